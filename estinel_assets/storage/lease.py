"""Leases: one worker at a time, and what happens when it dies.

A lease is a small JSON object (`lease_record`). It is created where nothing stands, renewed by
compare-and-swap in a background thread every third of its time to live, and released by one more
compare-and-swap that marks it so. It is not deleted: no store can delete on condition that
nothing changed, and a deletion that is late, or sent twice, could hit the next holder's lease.

Another worker takes a lease over, by compare-and-swap as well, when it was released, has expired,
or is held by a process of the same host that has ended. Only in the first case did the former
holder finish its work, so the other two set `Lease.took_over`.

Where a connection breaks, nobody knows whether the lease was written. It is read again then: the
token in it tells whose it is. If it is not ours, it is written again, under the same conditions as
before, so that a first write that arrives late finds them broken.

Clocks: expiry is written by the holder's clock and judged by the taker's, who adds `skew_s`. As
long as two hosts' clocks differ by less than that, a holder that looks at `check` before it
writes stops before another can start. The holder also counts the time since its last renewal by
a clock that nobody can set, and that runs on while a host sleeps, so that stepping its wall clock
back does not prolong the lease. What no lease can do is stop a worker that is suspended between
`check` and the write that follows: objects that several workers write are therefore written by
compare-and-swap under the lease, not by the lease alone.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self
from uuid import uuid4

from estinel_assets.clock import utc_now
from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    NotFoundError,
    StoreError,
    UnansweredError,
)
from estinel_assets.storage.documents import JSON_TYPE
from estinel_assets.storage.lease_record import LeaseRecord
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.processes import current_process

SKEW_S = 5.0
"""How far the clocks of two workers' hosts may differ, in seconds."""

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_ROUNDS = 20
"""Tries against other takers before giving up; each lost one means that another won."""
_UNANSWERED = 3
"""Writes of one hold that may get no answer before giving up."""


def elapsed_s() -> float:
    """Seconds by a clock that cannot be set and, where the system has it, counts sleep too."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a lease lasts, and the clocks it goes by."""

    ttl_s: float
    """Time to live after each renewal, in seconds."""
    skew_s: float = SKEW_S
    """See the module."""
    clock: Callable[[], datetime] = utc_now
    """Wall clock, UTC."""
    elapsed: Callable[[], float] = elapsed_s
    """Seconds since some moment."""
    sleep: Callable[[float], None] = time.sleep
    """Waits for seconds."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """Our hold as it stands in the store."""

    record: LeaseRecord
    etag: str
    good_until_s: float
    """By `Timing.elapsed`."""


class Lease:
    """A lease that this worker holds; take one with `hold_lease`. Safe to use from many threads.

    Attributes:
        path: the lease's object.
        took_over: it was taken from a holder that expired or died, so that holder's work may be
            unfinished.
    """

    def __init__(
        self, store: ObjectStore, path: str, timing: Timing, hold: _Hold, *, took_over: bool
    ) -> None:
        """Made by `Lease.acquire`."""
        self.path = path
        self.took_over = took_over
        self._store = store
        self._timing = timing
        # Replaced as a whole, so that `check` needs no lock and never waits for a slow store.
        self._hold = hold
        self._lost = ""
        self._writing = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @classmethod
    def acquire(
        cls, store: ObjectStore, path: str, timing: Timing, *, owner: str, wait_s: float = 0.0
    ) -> Self:
        """Take a lease, without renewing it in the background.

        Args:
            store: where it stands.
            path: its object.
            timing: how long it lasts, and the clocks.
            owner: shown to others, such as a run id.
            wait_s: how long to wait for another holder, in seconds.

        Raises:
            LeaseHeldError: another worker holds it; the message names it and the expiry.
            LeaseError: the object is no lease.
            StoreError: the store refuses.
        """
        token = uuid4().hex
        give_up = timing.elapsed() + wait_s
        while True:
            taken = _try_to_take(store, path, timing, owner, token)
            if not isinstance(taken, LeaseRecord):
                hold, took_over = taken
                return cls(store, path, timing, hold, took_over=took_over)
            left_s = give_up - timing.elapsed()
            if left_s <= 0:
                raise LeaseHeldError(
                    f"{store.uri(path)} is held by {taken.describe()}; "
                    "wait for that worker, or stop it"
                )
            timing.sleep(min(_POLL_S, left_s))

    @property
    def record(self) -> LeaseRecord:
        """Our hold, as last written."""
        return self._hold.record

    def check(self) -> None:
        """Make sure that the lease is still ours. Asks no store, so it costs nothing.

        Raises:
            LeaseLostError: another worker took it over, or it was not renewed in time. It stays
                lost.
        """
        hold, timing = self._hold, self._timing
        if not self._lost and (
            timing.elapsed() >= hold.good_until_s or timing.clock() >= hold.record.expires_at
        ):
            self._lost = f"was not renewed within {timing.ttl_s:g} s"
        if self._lost:
            raise LeaseLostError(
                f"the lease {self._store.uri(self.path)} {self._lost}; "
                "what is not written yet must not be; start the work again"
            )

    def renew(self) -> None:
        """Prolong the lease; the background thread does this.

        Raises:
            LeaseLostError: see `check`.
            StoreError: the store refuses; the lease stands until it expires.
        """
        with self._writing:
            self.check()
            self._rewrite(released=False)
            if self._lost:
                self.check()

    def release(self) -> None:
        """Give the lease up, if it is still ours. A store that refuses is logged: it expires."""
        self._stop.set()
        with self._writing:
            try:
                if not self._lost:
                    self._rewrite(released=True)
            except (StoreError, LeaseError) as error:
                _log.warning("lease %s is left to expire: %s", self._store.uri(self.path), error)
            self._lost = self._lost or "was released"
        if self._thread is not None:
            self._thread.join()

    def abandon(self) -> None:
        """Stop renewing without releasing: once it expires, the next holder finds `took_over` set.

        For a holder whose work is unfinished although its process goes on.
        """
        self._stop.set()
        self._lost = self._lost or "was abandoned"

    def keep(self) -> None:
        """Start to renew in the background."""
        self._thread = Thread(target=self._renew_on, name=f"lease {self.path}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release; work that ended well under a lost lease did not end well."""
        try:
            if kind is None:
                self.check()
        finally:
            self.release()

    def _renew_on(self) -> None:
        pause_s = self._timing.ttl_s / 3
        while not self._stop.wait(pause_s):
            try:
                self.renew()
                pause_s = self._timing.ttl_s / 3
            except LeaseLostError:
                return
            except (StoreError, LeaseError) as error:
                _log.warning("lease %s not renewed: %s", self._store.uri(self.path), error)
                pause_s = self._timing.ttl_s / 12

    def _rewrite(self, *, released: bool) -> None:
        """Write our hold anew, or note that it is lost."""
        timing = self._timing
        started_s, now = timing.elapsed(), timing.clock()
        expires_at = now if released else now + timedelta(seconds=timing.ttl_s)
        record = replace(
            self._hold.record, renewed_at=now, expires_at=expires_at, released=released
        )
        etag, unanswered = self._hold.etag, 0
        for _ in range(_ROUNDS):
            try:
                meta = self._store.replace(
                    self.path, record.to_json(), etag=etag, content_type=JSON_TYPE
                )
            except (ChangedError, NotFoundError, UnansweredError) as error:
                unanswered += isinstance(error, UnansweredError)
                if unanswered > _UNANSWERED:
                    raise
                stored = _read(self._store, self.path)
                if stored is None:
                    self._lost = "was deleted"
                    return
                current, etag = stored
                if current.token != record.token:
                    self._lost = f"was taken over by {current.describe()}"
                    return
                # Ours: as it was, or an earlier write of ours whose answer got lost on the way.
                continue
            self._hold = _Hold(record, meta.etag, started_s + timing.ttl_s)
            return
        raise StoreError(f"{self._store.uri(self.path)} keeps changing; check who writes it")


@contextmanager
def hold_lease(
    store: ObjectStore,
    path: str,
    *,
    ttl_s: float,
    wait_s: float = 0.0,
    owner: str = "a worker",
    skew_s: float = SKEW_S,
    clock: Callable[[], datetime] = utc_now,
) -> Iterator[Lease]:
    """Hold a lease while the block runs, renewed in the background, released at its end.

    Args:
        store: where it stands.
        path: its object.
        ttl_s: a holder that has not renewed for this long counts as dead, in seconds.
        wait_s: how long to wait for another holder, in seconds.
        owner: shown to others, such as a run id.
        skew_s: how far two hosts' clocks may differ, in seconds.
        clock: wall clock, UTC.

    Raises:
        LeaseHeldError: another worker holds it.
        LeaseLostError: the block ended without an error, but the lease was lost meanwhile.
        LeaseError: the object is no lease.
        StoreError: the store refuses.
    """
    timing = Timing(ttl_s=ttl_s, skew_s=skew_s, clock=clock)
    with Lease.acquire(store, path, timing, owner=owner, wait_s=wait_s) as lease:
        lease.keep()
        yield lease


def read_lease(store: ObjectStore, path: str) -> LeaseRecord | None:
    """Who holds a lease, or held it last; None where it was never taken.

    Raises:
        LeaseError: the object is no lease.
        StoreError: the store refuses.
    """
    stored = _read(store, path)
    return None if stored is None else stored[0]


def lease_is_live(
    store: ObjectStore,
    path: str,
    *,
    skew_s: float = SKEW_S,
    clock: Callable[[], datetime] = utc_now,
) -> bool | None:
    """Whether a worker holds a lease.

    Returns:
        True for a live holder, False for one that expired or died without releasing it, None where
        it was released or never taken.

    Raises:
        LeaseError: the object is no lease.
        StoreError: the store refuses.
    """
    record = read_lease(store, path)
    if record is None or record.released:
        return None
    return not record.is_free(clock(), current_process(), timedelta(seconds=skew_s))


def _try_to_take(
    store: ObjectStore, path: str, timing: Timing, owner: str, token: str
) -> tuple[_Hold, bool] | LeaseRecord:
    """Our hold and whether it was taken over, or the record of the live holder."""
    here, skew = current_process(), timedelta(seconds=timing.skew_s)
    took_over, unanswered = False, 0
    for _ in range(_ROUNDS):
        started_s, now = timing.elapsed(), timing.clock()
        good_until_s, expires_at = started_s + timing.ttl_s, now + timedelta(seconds=timing.ttl_s)
        record = LeaseRecord(token, owner, here, now, now, expires_at)
        stored = _read(store, path)
        try:
            if stored is None:
                meta = store.create(path, record.to_json(), content_type=JSON_TYPE)
                return _Hold(record, meta.etag, good_until_s), False
            current, etag = stored
            if current.token == token:
                # Our write stands, only its answer got lost on the way.
                since_s = (now - current.renewed_at).total_seconds()
                return _Hold(current, etag, good_until_s - max(0.0, since_s)), took_over
            if not current.is_free(now, here, skew):
                return current
            took_over = not current.released
            meta = store.replace(path, record.to_json(), etag=etag, content_type=JSON_TYPE)
            return _Hold(record, meta.etag, good_until_s), took_over
        except (AlreadyExistsError, ChangedError, NotFoundError):
            continue
        except UnansweredError:
            unanswered += 1
            if unanswered > _UNANSWERED:
                raise
    raise LeaseError(f"{store.uri(path)} keeps changing; check who writes it")


def _read(store: ObjectStore, path: str) -> tuple[LeaseRecord, str] | None:
    try:
        stored = store.get(path)
    except NotFoundError:
        return None
    return LeaseRecord.from_json(stored.data, store.uri(path)), stored.meta.etag
