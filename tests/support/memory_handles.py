"""A `HandleService` in memory, for tests of what is built on that port."""

import threading
from collections.abc import Iterable

from estinel_assets.errors import RetryableError
from estinel_assets.pids.handle_values import (
    admin_index,
    change_of,
    check_handle,
    check_record,
    stamped,
)
from estinel_assets.pids.ports import ADMIN_TYPE, HandleFault, HandleRecord, HandleValue, Registered
from estinel_assets.pids.stamps import Stamp


class MemoryHandles:
    """Records as a service keeps them; it passes the contract tests of the port."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, dict[int, HandleValue]] = {}
        self.registered: list[str] = []
        """Every handle that was registered, oldest first, repeated ones repeatedly."""
        self.interrupted = False
        """Set to end the next update that writes and deletes after it has written."""

    @property
    def handles(self) -> dict[str, HandleRecord]:
        """All records as they stand, by the handle in lower case."""
        with self._lock:
            return {name: self._record(name) for name in self._stored}

    def read(self, handle: str) -> HandleRecord | None:
        check_handle(handle)
        with self._lock:
            return self._record(handle) if handle.lower() in self._stored else None

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        check_record(record)
        with self._lock:
            self.registered.append(record.handle)
            standing = self._stored.get(record.handle.lower())
            if standing is None:
                values = stamped(record, stamp)
                admin = HandleValue(admin_index(values), ADMIN_TYPE, "{}")
                self._stored[record.handle.lower()] = {one.index: one for one in (*values, admin)}
                return Registered.CREATED
            change = change_of(tuple(standing.values()), record, stamp)
            if change is None:
                return Registered.SUPERSEDED
            standing.update({one.index: one for one in change.written})
            if self.interrupted and change.written and change.deleted:
                self.interrupted = False
                raise RetryableError(HandleFault.UNAVAILABLE, "interrupted, as was asked for")
            for index in change.deleted:
                del standing[index]
            return Registered.UPDATED if change else Registered.UNCHANGED

    def put(self, handle: str, values: Iterable[HandleValue]) -> None:
        """Let a handle have these values and no others, as another writer left them."""
        with self._lock:
            self._stored[handle.lower()] = {one.index: one for one in values}

    def probe(self) -> None:
        return

    def close(self) -> None:
        return

    def _record(self, handle: str) -> HandleRecord:
        standing = self._stored[handle.lower()]
        return HandleRecord(handle, tuple(standing[index] for index in sorted(standing)))
