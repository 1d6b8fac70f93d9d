"""A Handle service over its REST interface, and one for dry runs that writes lines to files.

`HandleClient` creates with `overwrite=false`, which is one request for a handle that is new and
changes nothing where one stands. Where one stands, it reads, writes the values that differ, deletes
those that are left over, and reads again until nothing differs or a later announcement stands. So a
write whose answer was lost is found by reading, and two writers at the same time do not leave a
mixture unseen. The interface has no condition on what stands: that no older announcement is written
over a newer one at the very same time is up to those who hand out the work.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.pids.handle_calls import HandleCalls, HandleLogin, Owner, Written
from estinel_assets.pids.handle_values import (
    Change,
    admin_index,
    change_of,
    check_handle,
    check_record,
    stamped,
)
from estinel_assets.pids.ports import HandleFault, HandleRecord, Registered
from estinel_assets.pids.stamps import Stamp
from estinel_assets.transport import RetryPolicy

__all__ = ["DryHandles", "HandleClient", "HandleLogin"]

_ROUNDS = 5
_PREFIX_KEY_INDEX = 200
_PROBED_SUFFIX = "estinel-assets-probe"


class HandleClient:
    """A `HandleService` over HTTP. Safe to share between threads.

    Connections are kept. Threads of one client that register the same handle wait for each
    other. Every request has been tried again by the policy when an error comes out.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        policy: RetryPolicy,
        timeout_s: float,
        login: HandleLogin | None = None,
        owner: str | None = None,
        at_once: int = 32,
        read_first: bool = False,
    ) -> None:
        """Remember the address; nothing is asked yet.

        Args:
            url: of the server, with or without `/api/handles`.
            prefix: of the handles that are to be registered; `probe` asks for it.
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            login: who writes; None for a server that asks nobody.
            owner: who may change new handles, as in `300:21.TEST/USER`; None for index 200 of
                the prefix's own handle.
            at_once: requests in flight, from all threads together.
            read_first: ask before creating, which is cheaper where most handles stand already.

        Raises:
            BadInputError: address, prefix, login or owner cannot be used.
        """
        self._probed = f"{prefix}/{_PROBED_SUFFIX}"
        check_handle(self._probed)
        self._owner = None if owner is None else Owner.parse(owner, "the owner")
        if login is not None:
            Owner.parse(login.user, "the user name")
        self._has_login = login is not None
        self._read_first = read_first
        self._calls = HandleCalls(
            url, policy=policy, timeout_s=timeout_s, login=login, at_once=at_once
        )
        self._turns = _Turns()

    def __repr__(self) -> str:
        """Without the login."""
        return f"{type(self).__name__}({self._calls.root!r})"

    def read(self, handle: str) -> HandleRecord | None:
        """See `HandleService.read`; values that only their owner may read are not there."""
        check_handle(handle)
        return self._calls.read(handle)

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        """See `HandleService.register`.

        A handle counts as created, too, when a try to create it had no answer and the handle
        stands just as it was to be.
        """
        check_record(record)
        with self._turns.of(record.handle.lower()):
            if self._read_first and (standing := self._calls.read(record.handle)) is not None:
                return self._update(record, stamp, standing)
            return self._create(record, stamp)

    def probe(self) -> None:
        """See `HandleService.probe`.

        Reads a handle of the prefix and, with a login, asks for a change of it that would need
        the login and has no effect.
        """
        standing = self._calls.read(self._probed, impatient=True)
        if self._has_login and standing is None:
            self._calls.try_login(self._probed)

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def _create(self, record: HandleRecord, stamp: Stamp) -> Registered:
        values = stamped(record, stamp)
        prefix = record.handle.partition("/")[0]
        owner = self._owner or Owner(_PREFIX_KEY_INDEX, f"0.NA/{prefix}")
        try:
            creation = self._calls.create(record.handle, values, owner, admin_index(values))
        except RetryableError as lost:
            return self._confirmed(record, stamp, lost, Registered.CREATED)
        if creation.done:
            return Registered.CREATED
        done = self._update(record, stamp, self._calls.read(record.handle))
        ours = creation.unanswered and done is Registered.UNCHANGED
        return Registered.CREATED if ours else done

    def _update(
        self, record: HandleRecord, stamp: Stamp, standing: HandleRecord | None
    ) -> Registered:
        done = Registered.UNCHANGED
        for _ in range(_ROUNDS):
            if standing is None:
                break
            change = change_of(standing.values, record, stamp)
            if change is None:
                return Registered.SUPERSEDED
            if not change:
                return done
            try:
                if self._apply(change, record, stamp, standing):
                    done = Registered.UPDATED
            except RetryableError as lost:
                return self._confirmed(record, stamp, lost, Registered.UPDATED)
            standing = self._calls.read(record.handle)
        raise RetryableError(
            HandleFault.CONFLICT,
            f"{record.handle} is changed by others while it is registered: register it again, "
            "from one place at a time",
        )

    def _apply(
        self, change: Change, record: HandleRecord, stamp: Stamp, standing: HandleRecord
    ) -> bool:
        """Write, then delete; returns whether anything was done.

        In this order, so that what is interrupted has its stamp, and only something newer or the
        same again can follow.
        """
        handle = record.handle

        def needed() -> Change | None:
            now = self._calls.read(handle, within=True)
            return None if now is None else change_of(now.values, record, stamp)

        if change.written:
            # What only adds may take no other's place, should one have come since.
            taken = {value.index for value in standing.values}
            changes = any(value.index in taken for value in change.written)
            written = self._calls.put_values(
                handle, change.written, overwrite=changes, still=lambda: needed() == change
            )
            if written is not Written.DONE:
                # What is to be deleted may not stand as it was read either.
                return written is Written.PERHAPS
        if not change.deleted:
            return True
        left = Change((), change.deleted)
        deleted = self._calls.delete_values(handle, change.deleted, still=lambda: needed() == left)
        return deleted or bool(change.written)

    def _confirmed(
        self, record: HandleRecord, stamp: Stamp, lost: RetryableError, done: Registered
    ) -> Registered:
        """Find out whether a write without an answer was done; raise its error unless it was."""
        try:
            standing = self._calls.read(record.handle)
        except (RetryableError, PermanentError):
            raise lost from None
        if standing is None:
            raise lost
        change = change_of(standing.values, record, stamp)
        if change is None:
            return Registered.SUPERSEDED
        if change:
            raise lost
        return done


class DryHandles:
    """A `HandleService` that only writes down what would be registered. Safe for threads.

    A line is a JSON object with `handle`, `URL`, `data` (the other values by type) and
    `timestamp`, in `handles_{date}.jsonl`, by the date in UTC. Nothing is ever read.
    """

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        """Remember the folder; it is made with the first line.

        Args:
            folder: for the files; lines are added to those that stand.
            now: stamps lines, UTC and aware.
        """
        self._folder = folder
        self._now = now
        self._lock = threading.Lock()
        self._file: tuple[Path, BinaryIO] | None = None

    def read(self, handle: str) -> HandleRecord | None:
        """None: nothing is known of any handle."""
        check_handle(handle)
        return None

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        """Write a line.

        Returns:
            That it would be created.

        Raises:
            PermanentError: this is no record that could be registered (`invalid_item`).
            BadInputError: the file cannot be written.
        """
        check_record(record)
        by_type: dict[str, str] = {}
        for value in sorted(stamped(record, stamp), key=lambda value: value.index):
            by_type.setdefault(value.type, value.data)
        with self._lock:
            now = self._now()
            line = {
                "handle": record.handle,
                "URL": by_type.pop("URL", None),
                "data": by_type,
                "timestamp": now.isoformat(),
            }
            try:
                file = self._opened(self._folder / f"handles_{now:%Y-%m-%d}.jsonl")
                file.write(f"{json.dumps(line)}\n".encode())
            except OSError as error:
                raise BadInputError(
                    f"{self._folder} cannot take the lines of a dry run ({error.strerror}): choose "
                    "another folder"
                ) from error
        return Registered.CREATED

    def probe(self) -> None:
        """Nothing to ask."""

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _opened(self, path: Path) -> BinaryIO:
        if self._file is None or self._file[0] != path:
            self._close()
            self._folder.mkdir(parents=True, exist_ok=True)
            # Without a buffer, so that a line is there whole or not at all.
            self._file = path, path.open("ab", buffering=0)
        return self._file[1]

    def _close(self) -> None:
        if self._file is not None:
            _, file = self._file
            self._file = None
            file.close()


class _Turns:
    """One lock a handle, for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Wait for the turn of a name, and have it for as long as the context lasts."""
        with self._guard:
            lock, holders = self._locks.get(name, (threading.Lock(), 0))
            self._locks[name] = lock, holders + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                holders = self._locks[name][1] - 1
                if holders:
                    self._locks[name] = lock, holders
                else:
                    del self._locks[name]
