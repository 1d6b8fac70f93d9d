"""What went wrong with a source, told from what GDAL raised.

GDAL's messages hold the address with its query, which may be a signature. None of their text
is passed on: errors carry our own words, and what rasterio logs is redacted.
"""

import logging
import re
import threading
import warnings
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from rasterio._err import (  # no public module names these types
    CPLE_AWSAccessDeniedError,
    CPLE_AWSBucketNotFoundError,
    CPLE_AWSInvalidCredentialsError,
    CPLE_AWSObjectNotFoundError,
    CPLE_AWSSignatureDoesNotMatchError,
    CPLE_HttpResponseError,
)
from rasterio.errors import NotGeoreferencedWarning

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, public_url
from estinel_assets.raster.placement import UnrelatedCrsError

_STATUS = re.compile(r"response code:? *(\d{3})")
_QUERY = re.compile(r"\?\S+")
_TALKATIVE = ("rasterio._base", "rasterio._env", "rasterio._err", "rasterio._io")

_MISSING = (CPLE_AWSObjectNotFoundError, CPLE_AWSBucketNotFoundError)
_REFUSED = (
    CPLE_AWSAccessDeniedError,
    CPLE_AWSInvalidCredentialsError,
    CPLE_AWSSignatureDoesNotMatchError,
)

_WORDS = {
    SourceFault.NOT_FOUND: "there is no such file: it was moved or withdrawn, search again",
    SourceFault.FORBIDDEN: "access was refused: sign the address anew or check the credentials",
    SourceFault.TIMEOUT: "no answer in time: try later or allow more time",
    SourceFault.UNAVAILABLE: "the server cannot be reached or is failing: try later",
    SourceFault.CORRUPT: "the file cannot be decoded, it is truncated or damaged: try again later, "
    "and tell its provider if that does not help",
    SourceFault.BLANK: "it has fewer pixels than its scene promises: try again later, and tell its "
    "provider if that does not help",
}

_FILTERS_LOCK = threading.Lock()


class _QueryFilter(logging.Filter):
    """Cuts queries out of log messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _QUERY.sub("?…", record.getMessage())
        record.args = ()
        return True


_QUERY_FILTER = _QueryFilter()


def redact_logs() -> None:
    """Keep queries of addresses out of what rasterio logs. Calling it twice changes nothing."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_QUERY_FILTER)


def accept_missing_georeference() -> None:
    """Silence rasterio's warning about files without georeference: the catalogue knows it.

    `warnings.catch_warnings` may not be used for it, since it is not safe among threads.
    """
    with _FILTERS_LOCK:
        if not any(
            entry[0] == "ignore" and entry[2] is NotGeoreferencedWarning
            for entry in warnings.filters
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)


def source_error(href: str, fault: SourceFault, words: str = "") -> RetryableError | PermanentError:
    """The error to raise for a fault.

    Args:
        href: the address; only its public part is shown.
        fault: what is wrong.
        words: what to say instead of the usual words. They must not hold the address.
    """
    kind = PermanentError if fault is SourceFault.NOT_FOUND else RetryableError
    return kind(fault, f"{public_url(href)}: {words or _WORDS[fault]}")


def unreadable(href: str, scheme: str) -> RetryableError | PermanentError:
    """The error to raise for an address of a kind that no reader knows."""
    return source_error(
        href,
        SourceFault.NOT_FOUND,
        f"addresses with {scheme}:// cannot be read: use http, https, s3, file or a path",
    )


def unrelated(href: str, error: UnrelatedCrsError) -> RetryableError | PermanentError:
    """The error to raise where a file's CRS and the grid's have nothing to do with each other."""
    words = f"{error}, so its CRS is wrong: the file or its catalogue must say another"
    return source_error(href, SourceFault.CORRUPT, words)


def fault_of_status(status: int) -> SourceFault:
    """What an HTTP status other than success means."""
    if status in {404, 410}:
        return SourceFault.NOT_FOUND
    if status in {401, 403}:
        return SourceFault.FORBIDDEN
    if status == 408:
        return SourceFault.TIMEOUT
    return SourceFault.UNAVAILABLE


def fault_of_exception(error: BaseException) -> SourceFault | None:
    """What the exception and its causes say; None where they do not say it.

    A failure in the middle of a file is such a case: GDAL reports "Read failed" whether the
    server refused, the line broke or the bytes are damaged.
    """
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    if any(isinstance(link, _MISSING) for link in chain):
        return SourceFault.NOT_FOUND
    if any(isinstance(link, _REFUSED) for link in chain):
        return SourceFault.FORBIDDEN
    for link in chain:
        if isinstance(link, CPLE_HttpResponseError):
            text = str(link)
            status = _STATUS.search(text)
            if status is not None:
                return fault_of_status(int(status.group(1)))
            slow = "timed out" in text.lower() or "timeout" in text.lower()
            return SourceFault.TIMEOUT if slow else SourceFault.UNAVAILABLE
    return None


def fault_of_source(path: str, timeout_s: float) -> SourceFault | None:
    """Ask the source itself whether it can be read, with the least request that tells.

    Args:
        path: an `http(s)://` address, an `s3://` address (which is not asked) or a local path.
        timeout_s: longest wait for an answer.

    Returns:
        What is wrong; None where its bytes come, so that they must be what is wrong.
    """
    scheme = urlsplit(path).scheme
    if scheme in {"http", "https"}:
        return _ask_server(path, timeout_s)
    if scheme == "s3":
        return None
    try:
        with Path(path).open("rb"):
            return None
    except FileNotFoundError:
        return SourceFault.NOT_FOUND
    except PermissionError:
        return SourceFault.FORBIDDEN
    except OSError:
        return SourceFault.UNAVAILABLE


def _ask_server(url: str, timeout_s: float) -> SourceFault | None:
    request = Request(url, headers={"Range": "bytes=0-0"})  # noqa: S310 - the caller checked it
    try:
        with urlopen(request, timeout=timeout_s):  # noqa: S310
            return None
    except HTTPError as error:
        with error:
            # 416 is how a server says that an empty file has no first byte.
            return None if error.code == 416 else fault_of_status(error.code)
    except TimeoutError:
        return SourceFault.TIMEOUT
    except URLError as error:
        slow = isinstance(error.reason, TimeoutError)
        return SourceFault.TIMEOUT if slow else SourceFault.UNAVAILABLE
    except (OSError, HTTPException):
        return SourceFault.UNAVAILABLE
