"""What obstore and the operating system say when they refuse, in our own errors.

obstore's messages quote whole addresses, list requests with their query included. Only what is
known to be harmless is passed on, so the original is left out of the chain of causes as well.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from obstore.exceptions import (
    AlreadyExistsError as ObstoreAlreadyExists,
)
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    StoreError,
    UnansweredError,
    public_url,
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_STATUS = re.compile(r"status code: (\d{3}[^:\n]*)")
_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>")
_UNREACHABLE = ("error sending request", "HTTP error", "timed out", "connection")
_THROUGH_A_FILE = "Not a directory (os error 20)"
_DENIED = ("401", "403")
_ABSENT_BUCKET = "NoSuchBucket"


@contextmanager
def refusals(action: str, uri: str) -> Iterator[None]:
    """Translate what goes wrong inside.

    Args:
        action: what was tried, such as `read`.
        uri: the object or prefix it was tried on, without a query.

    Raises:
        NotFoundError: nothing stands there.
        AlreadyExistsError: something stands there.
        ChangedError: another version stands there, or nothing does.
        UnansweredError: the connection failed, and nobody knows what became of the request.
        StoreError: anything else.
    """
    try:
        yield
    except (BaseError, OSError, NotImplementedError, ValueError) as error:
        raise translate(error, action, uri) from None


def translate(error: Exception, action: str, uri: str) -> StoreError:
    """The error of ours that says the same; see `refusals`."""
    text = str(error)
    if _ABSENT_BUCKET in text:
        return StoreError(f"cannot {action} {uri}: the bucket does not exist; create it")
    if isinstance(error, FileNotFoundError) or _THROUGH_A_FILE in text:
        return NotFoundError(f"no object at {uri}")
    if isinstance(error, (ObstoreAlreadyExists, FileExistsError)):
        return AlreadyExistsError(f"an object stands at {uri} already")
    if isinstance(error, PreconditionError):
        return ChangedError(f"{uri} changed since it was read; read it again")
    answer = _answer(text)
    if not answer and _is_unanswered(error, text):
        return UnansweredError(
            f"cannot {action} {uri}: the server{_server(text)} cannot be reached or does not "
            "answer; check it and the network"
        )
    return StoreError(f"cannot {action} {uri}: {_why(error, text, answer)}")


def _answer(text: str) -> str:
    """What the server said: status and code; empty where it said nothing."""
    status, code = _STATUS.search(text), _CODE.search(text)
    return " ".join(found[1].strip() for found in (status, code) if found)


def _is_unanswered(error: Exception, text: str) -> bool:
    denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
    return (
        isinstance(error, BaseError) and not denied and any(word in text for word in _UNREACHABLE)
    )


def _why(error: Exception, text: str, answer: str) -> str:
    if isinstance(error, UnauthenticatedError) and not answer:
        return f"no valid credentials ({_harmless(text)}); check the AWS profile"
    denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError))
    # Listings come back as general errors, whatever the server said.
    if denied or answer.startswith(_DENIED):
        said = f" ({answer})" if answer else ""
        return f"access denied{said}; check credentials and permissions"
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__}; check the folder"
    if answer:
        return f"the server answered {answer}"
    return _harmless(text)


def _server(text: str) -> str:
    found = _URL.search(text)
    return f" {urlsplit(public_url(found[0])).netloc}" if found else ""


def _harmless(text: str) -> str:
    """The first line, with addresses stripped of credentials and query."""
    line = text.split("\n", 1)[0].strip()
    return _URL.sub(lambda found: public_url(found[0]), line)
