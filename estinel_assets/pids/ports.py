"""The services around the product line, as it sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

ADMIN_TYPE: Final = "HS_ADMIN"
"""Type of the value that says who may change a handle; adapters write it, callers never do."""


class HandleFault(StrEnum):
    """What may go wrong with the Handle service, in the words that reasons use."""

    UNAVAILABLE = "handle_unavailable"
    REFUSED = "handle_refused"
    CONFLICT = "conflict"


class Registered(StrEnum):
    """What registering a handle did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class HandleValue:
    """One value of a handle."""

    index: int
    """From 1 on; its place in the record."""
    type: str
    """As in `URL` or `HAS_PARTS`; a record may have several of one type."""
    data: str
    """Text; what is no text in the service, such as who may change the handle, as JSON."""


@dataclass(frozen=True, slots=True)
class HandleRecord:
    """What stands under a handle."""

    handle: str
    """Prefix, slash and suffix, without `hdl:`, as it was asked for."""
    values: tuple[HandleValue, ...]
    """All that may be read, by index."""


class HandleService(Protocol):
    """Registers handles. Safe to share between threads."""

    def read(self, handle: str) -> HandleRecord | None:
        """What stands under a handle; None where there is no such handle.

        Raises:
            RetryableError: the service failed until the end.
            PermanentError: the service refuses.
            BadInputError: it is no handle.
        """

    def register(self, handle: str, values: Sequence[HandleValue]) -> Registered:
        """Let a handle have these values, whatever it had of them before.

        Compares before it changes anything and writes only what differs. A value that stands is
        found again by its type, at whatever index, so that records of other writers are taken
        on; all other values stay as they are, and none is deleted.

        Args:
            handle: prefix, slash and suffix.
            values: at different indexes. An index that a value of another type has is left to
                it, and a free one is taken.

        Raises:
            RetryableError: the service failed until the end (`handle_unavailable`), or others
                change the handle all the time (`conflict`). It may be registered.
            PermanentError: the service refuses (`handle_refused`).
            BadInputError: it is no handle, or these are no values.
        """

    def probe(self) -> None:
        """Ask the service for something, to see whether it can be used; it changes nothing.

        Raises:
            RetryableError: it does not answer.
            PermanentError: it refuses.
        """

    def close(self) -> None:
        """Close connections and files; nothing can be registered afterwards."""
