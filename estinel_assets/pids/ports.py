"""The services around the product line, as it sees them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from estinel_assets.pids.stamps import Stamp

ADMIN_TYPE: Final = "HS_ADMIN"
"""Type of the value that says who may change a handle; adapters write it, callers never do."""
STAMP_TYPE: Final = "ANNOUNCED_AT"
"""Type of the value with a record's stamp; adapters write it, callers never do."""
STAMP_INDEX: Final = 99
"""Where the stamp stands in every record, behind its own values and before the administrators."""


class HandleFault(StrEnum):
    """What may go wrong with the Handle service, in the words that reasons use."""

    UNAVAILABLE = "handle_unavailable"
    REFUSED = "handle_refused"
    CONFLICT = "conflict"
    INVALID = "invalid_item"


class Registered(StrEnum):
    """What registering a handle did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    """Nothing: what stands was announced later."""


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
    owned: frozenset[str] = frozenset()
    """Types that belong to such a record, whether it has a value of them now or not. Nothing for
    one that was read."""


class HandleService(Protocol):
    """Registers handles. Safe to share between threads."""

    def read(self, handle: str) -> HandleRecord | None:
        """What stands under a handle; None where there is no such handle.

        Raises:
            RetryableError: the service failed until the end.
            PermanentError: the service refuses.
            BadInputError: it is no handle.
        """

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        """Let a handle have these values and this stamp, unless what stands was announced later.

        The newest announcement wins, whatever the order in which they come. Compares before it
        changes anything, writes only what differs, and then deletes the values that stand of the
        types that the record owns and are not its own any more. A value that stands is found
        again by its type, at whatever index, so that records of other writers are taken on;
        values of other types stay. What was interrupted in the middle is finished by the same
        record with the same stamp.

        Args:
            record: its values at different indexes. An index that a value of another type has is
                left to it, and a free one is taken.
            stamp: of the announcement; it becomes a value of the record.

        Returns:
            What was done. A stamp that is all that differs counts as an update.

        Raises:
            RetryableError: the service failed until the end (`handle_unavailable`), or others
                change the handle all the time (`conflict`). It may be registered, or half of it.
            PermanentError: the service refuses (`handle_refused`), or this is no record that
                could be registered (`invalid_item`).
            BadInputError: the stamp's unit is no key of an outcome, or this service cannot be used
                at all, such as a folder that cannot be written.
        """

    def probe(self) -> None:
        """Ask the service for something, to see whether it can be used; it changes nothing.

        Raises:
            RetryableError: it does not answer.
            PermanentError: it refuses.
        """

    def close(self) -> None:
        """Close connections and files; nothing can be registered afterwards."""
