"""Every error that Estinel Assets raises on purpose.

The tree::

    EstinelError
    ├── BadInputError             the caller gave something unusable: exit code 3
    ├── MissingDependencyError    an optional package or program is absent: exit code 4
    ├── AbortedError              the user stopped the work: exit code 5
    ├── StoreError                the object store refused
    │   ├── NotFoundError         no object at that path
    │   ├── AlreadyExistsError    create-if-absent lost
    │   ├── ChangedError          compare-and-swap lost
    │   └── UnansweredError       the connection broke: it may be done, or not
    ├── LeaseError
    │   ├── LeaseHeldError        another live worker holds it
    │   └── LeaseLostError        ours was taken over, stop writing
    └── UnitError                 one unit of work failed, for a reason
        ├── RetryableError        another attempt may succeed
        └── PermanentError        another attempt would fail the same way

A message names the thing, the value and the remedy, and never a secret or a URL's query
(`public_url` strips those).
"""

import traceback
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit


class EstinelError(Exception):
    """Base of all errors raised on purpose."""


class BadInputError(EstinelError):
    """Input that cannot be used; the message lists every problem found in it."""


class MissingDependencyError(EstinelError):
    """An optional package or program is needed and absent; the message says how to get it."""


class AbortedError(EstinelError):
    """The user stopped the work; the message says what stands."""


class StoreError(EstinelError):
    """The object store refused an operation."""


class NotFoundError(StoreError):
    """There is no object at the path."""


class AlreadyExistsError(StoreError):
    """An object already stands at the path that was to be created."""


class ChangedError(StoreError):
    """The object changed since it was read, so that a compare-and-swap lost."""


class UnansweredError(StoreError):
    """No answer came, or none that could be read whole: the server may have done it, or not."""


class LeaseError(EstinelError):
    """A lease could not be used."""


class LeaseHeldError(LeaseError):
    """Another live worker holds the lease."""


class LeaseLostError(LeaseError):
    """Our lease was taken over by another worker; whatever is not written yet must not be."""


class SourceFault(StrEnum):
    """What may go wrong with a source that we do not own, in the words that reasons use."""

    NOT_FOUND = "source_not_found"
    FORBIDDEN = "source_forbidden"
    TIMEOUT = "source_timeout"
    CORRUPT = "source_corrupt"
    BLANK = "source_blank"
    UNAVAILABLE = "source_unavailable"


class UnitError(EstinelError):
    """One unit of work failed.

    Attributes:
        reason: the word that its outcome will carry, a member of the product line's reasons.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = str(reason)

    def __reduce__(self) -> tuple[type["UnitError"], tuple[str, str]]:
        """Pickle with both arguments, so that the error survives a process boundary."""
        return type(self), (self.reason, str(self))


class RetryableError(UnitError):
    """Another attempt, later, may succeed."""


class PermanentError(UnitError):
    """Another attempt with the same input would fail the same way."""


def describe_bug(error: Exception) -> str:
    """A bug of ours for people: what was raised, in which line, and what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:  # it comes from another process, whose log has the rest
        return f"{type(error).__name__}: {error}"
    where = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}"
    return f"{type(error).__name__} at {where}: {error}"


def public_url(url: str) -> str:
    """Strip what a URL may hide: credentials in the authority, query and fragment.

    Args:
        url: any URL or path.

    Returns:
        The same URL with scheme, host, port and path only; a plain path comes back as it is.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a host with one bracket
        return "(an address that cannot be read)"
    if not parts.scheme or "://" not in url:
        return url.split("?", 1)[0]
    host = parts.netloc.rsplit("@", 1)[-1]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
