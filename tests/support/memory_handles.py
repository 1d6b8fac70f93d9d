"""A `HandleService` in memory, for tests of what is built on that port."""

import threading
from collections.abc import Sequence

from estinel_assets.pids.handle_values import admin_index, check_handle, check_values, differing
from estinel_assets.pids.ports import ADMIN_TYPE, HandleRecord, HandleValue, Registered


class MemoryHandles:
    """Records as a service keeps them; it passes the contract tests of the port."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, dict[int, HandleValue]] = {}
        self.registered: list[str] = []
        """Every handle that was registered, oldest first, repeated ones repeatedly."""

    @property
    def handles(self) -> dict[str, HandleRecord]:
        """All records as they stand, by the handle in lower case."""
        with self._lock:
            return {name: self._record(name) for name in self._stored}

    def read(self, handle: str) -> HandleRecord | None:
        check_handle(handle)
        with self._lock:
            return self._record(handle) if handle.lower() in self._stored else None

    def register(self, handle: str, values: Sequence[HandleValue]) -> Registered:
        check_handle(handle)
        check_values(handle, values)
        with self._lock:
            self.registered.append(handle)
            standing = self._stored.get(handle.lower())
            if standing is None:
                admin = HandleValue(admin_index(values), ADMIN_TYPE, "{}")
                self._stored[handle.lower()] = {one.index: one for one in (*values, admin)}
                return Registered.CREATED
            missing = differing(tuple(standing.values()), values)
            standing.update({one.index: one for one in missing})
            return Registered.UPDATED if missing else Registered.UNCHANGED

    def probe(self) -> None:
        return

    def close(self) -> None:
        return

    def _record(self, handle: str) -> HandleRecord:
        standing = self._stored[handle.lower()]
        return HandleRecord(handle, tuple(standing[index] for index in sorted(standing)))
