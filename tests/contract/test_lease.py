"""What a lease promises, tried on a folder, on memory and on S3."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from estinel_assets.errors import (
    ChangedError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    StoreError,
    UnansweredError,
)
from estinel_assets.storage import open_store
from estinel_assets.storage.lease import (
    Lease,
    Timing,
    hold_lease,
    lease_is_live,
    read_lease,
)
from estinel_assets.storage.lease_record import LeaseRecord
from estinel_assets.storage.port import ObjectMeta, ObjectStore
from estinel_assets.storage.processes import ProcessIdentity, current_process
from tests.support.racing import (
    LOST,
    RACERS,
    WON,
    Action,
    StoreAddress,
    TakeLease,
    race_processes,
    race_threads,
)
from tests.support.s3 import S3Access, s3_server

PATH = "leases/imagery/site_af38900f.json"
START = datetime(2024, 12, 4, 14, tzinfo=UTC)
TTL_S = 60.0
SKEW_S = 5.0
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="dead processes are recognised through /proc"
)


@dataclass
class Clocks:
    """A wall clock and a stopwatch that move when told."""

    now: datetime = START
    elapsed_s: float = 1000.0
    slept_s: list[float] = field(default_factory=list)

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.elapsed_s += seconds

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.pass_s(seconds)

    def timing(self) -> Timing:
        return Timing(
            ttl_s=TTL_S,
            skew_s=SKEW_S,
            clock=lambda: self.now,
            elapsed=lambda: self.elapsed_s,
            sleep=self.sleep,
        )

    def take(self, store: ObjectStore, owner: str = "run one", wait_s: float = 0.0) -> Lease:
        return Lease.acquire(store, PATH, self.timing(), owner=owner, wait_s=wait_s)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture(params=["file", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress | None:
    if request.param == "memory":
        return None
    if request.param == "file":
        return StoreAddress(f"file://{tmp_path}/root")
    access: S3Access = request.getfixturevalue("s3")
    return StoreAddress(access.url(uuid4().hex), access)


@pytest.fixture
def store(address: StoreAddress | None) -> ObjectStore:
    return open_store("memory://") if address is None else address.open()


def _race(store: ObjectStore, address: StoreAddress | None, action: Action) -> list[str]:
    return race_threads(store, action) if address is None else race_processes(address, action)


def _plant(store: ObjectStore, **changes: Any) -> LeaseRecord:
    """Let another worker, on another host, hold the lease since the start."""
    record = LeaseRecord(
        token="theirs",
        owner="run zero",
        process=ProcessIdentity("elsewhere", 42, "another-boot", 1, 1),
        acquired_at=START,
        renewed_at=START,
        expires_at=START + timedelta(seconds=TTL_S),
    )
    record = replace(record, **changes)
    store.put(PATH, record.to_json())
    return record


def test_a_lease_keeps_others_out_until_it_is_released(store: ObjectStore, clocks: Clocks) -> None:
    with clocks.take(store) as lease:
        lease.check()
        assert not lease.took_over
        assert lease_is_live(store, PATH, clock=lambda: clocks.now) is True
        with pytest.raises(LeaseHeldError) as caught:
            clocks.take(store, "run two")
        message = str(caught.value)
        assert "run one" in message
        assert f"process {os.getpid()}" in message
        assert "2024-12-04T14:01:00Z" in message
        assert store.uri(PATH) in message
    assert lease_is_live(store, PATH, clock=lambda: clocks.now) is None
    with pytest.raises(LeaseLostError, match="released"):
        lease.check()
    with clocks.take(store, "run two") as next_lease:
        assert not next_lease.took_over
        next_lease.check()


def test_its_object_tells_who_holds_it(store: ObjectStore, clocks: Clocks) -> None:
    assert read_lease(store, PATH) is None
    assert lease_is_live(store, PATH) is None
    lease = clocks.take(store, "run äöü")
    written = json.loads(store.get(PATH).data)
    assert written["owner"] == "run äöü"
    assert written["process"]["pid"] == os.getpid()
    assert written["expires_at"] == "2024-12-04T14:01:00+00:00"
    assert written["released"] is False
    assert read_lease(store, PATH) == lease.record
    assert lease.record.process == current_process()


def test_renewing_prolongs_it(store: ObjectStore, clocks: Clocks) -> None:
    lease = clocks.take(store)
    for _ in range(5):
        clocks.pass_s(TTL_S - 1)
        lease.renew()
        lease.check()
    assert lease.record.acquired_at == START
    assert lease.record.expires_at == clocks.now + timedelta(seconds=TTL_S)
    assert read_lease(store, PATH) == lease.record


def test_a_holder_that_did_not_renew_in_time_has_lost_it(
    store: ObjectStore, clocks: Clocks
) -> None:
    lease = clocks.take(store)
    clocks.pass_s(TTL_S - 0.001)
    lease.check()
    clocks.pass_s(0.001)
    before = store.get(PATH)
    for use in (lease.check, lease.renew, lease.check):
        with pytest.raises(LeaseLostError, match="not renewed within 60 s"):
            use()
    lease.release()
    assert store.get(PATH) == before


@pytest.mark.parametrize(("wall_s", "stopwatch_s"), [(61, 0), (-3600, 61)])
def test_either_clock_alone_ends_it(
    store: ObjectStore, clocks: Clocks, wall_s: float, stopwatch_s: float
) -> None:
    lease = clocks.take(store)
    clocks.now += timedelta(seconds=wall_s)
    clocks.elapsed_s += stopwatch_s
    with pytest.raises(LeaseLostError):
        lease.check()


def test_a_lease_of_another_host_is_taken_over_when_it_expired_by_more_than_the_skew(
    store: ObjectStore, clocks: Clocks
) -> None:
    _plant(store)
    clocks.pass_s(TTL_S + SKEW_S - 0.001)
    assert lease_is_live(store, PATH, clock=lambda: clocks.now) is True
    with pytest.raises(LeaseHeldError, match="run zero"):
        clocks.take(store)
    clocks.pass_s(0.001)
    assert lease_is_live(store, PATH, clock=lambda: clocks.now) is False
    lease = clocks.take(store)
    assert lease.took_over
    lease.check()
    assert lease_is_live(store, PATH, clock=lambda: clocks.now) is True


def test_a_released_lease_is_free_at_once_and_not_taken_over(
    store: ObjectStore, clocks: Clocks
) -> None:
    _plant(store, released=True)
    assert lease_is_live(store, PATH, clock=lambda: clocks.now) is None
    assert not clocks.take(store).took_over


def test_waiting_ends_when_the_holder_expires_or_patience_does(
    store: ObjectStore, clocks: Clocks
) -> None:
    _plant(store)
    with pytest.raises(LeaseHeldError):
        clocks.take(store, wait_s=10.2)
    assert sum(clocks.slept_s) == pytest.approx(10.2)
    assert clocks.take(store, wait_s=3600).took_over
    assert clocks.now >= START + timedelta(seconds=TTL_S + SKEW_S)
    assert clocks.now < START + timedelta(seconds=TTL_S + SKEW_S + 1)


def test_a_paused_holder_notices_that_it_lost(store: ObjectStore, clocks: Clocks) -> None:
    paused = clocks.take(store, "paused")
    # Its own clocks stand still; those of another host go on.
    elsewhere = Clocks(now=START + timedelta(hours=1))
    record = replace(paused.record, process=ProcessIdentity("elsewhere", 1))
    etag = store.replace(PATH, record.to_json(), etag=store.head(PATH).etag).etag
    heir = elsewhere.take(store, "heir")
    assert heir.took_over
    assert store.head(PATH).etag != etag
    with pytest.raises(LeaseLostError, match="taken over by heir"):
        paused.renew()
    with pytest.raises(LeaseLostError, match="taken over by heir"):
        paused.check()
    paused.release()
    heir.check()
    assert read_lease(store, PATH) == heir.record


def test_releasing_leaves_the_lease_of_an_heir_alone(store: ObjectStore, clocks: Clocks) -> None:
    paused = clocks.take(store)
    theirs = _plant(store)
    paused.release()
    assert read_lease(store, PATH) == theirs


def test_a_lease_that_was_deleted_is_lost(store: ObjectStore, clocks: Clocks) -> None:
    lease = clocks.take(store)
    store.delete(PATH)
    with pytest.raises(LeaseLostError, match="deleted"):
        lease.renew()
    lease.release()
    assert list(store.list()) == []


def test_work_that_ended_well_under_a_lost_lease_did_not_end_well(
    store: ObjectStore, clocks: Clocks
) -> None:
    with pytest.raises(LeaseLostError), clocks.take(store):
        clocks.pass_s(TTL_S)
    clocks.pass_s(SKEW_S)
    heir = clocks.take(store)
    assert heir.took_over
    clocks.pass_s(TTL_S)
    # An error of the work itself is not hidden by the lease's.
    heir.__exit__(ZeroDivisionError, ZeroDivisionError(), None)


def test_what_is_no_lease_is_named(store: ObjectStore, clocks: Clocks) -> None:
    for body in (b"", b"[]", b'{"token": "x"}', b"\xff"):
        store.put(PATH, body)
        for use in (lambda: clocks.take(store), lambda: read_lease(store, PATH)):
            with pytest.raises(LeaseError, match="is no lease") as caught:
                use()
            assert store.uri(PATH) in str(caught.value)


def test_of_many_workers_one_takes_a_free_lease(
    store: ObjectStore, address: StoreAddress | None
) -> None:
    said = _race(store, address, TakeLease(PATH))
    assert sorted(said) == [LOST] * (RACERS - 1) + [WON]
    record = read_lease(store, PATH)
    assert record is not None
    assert record.owner == f"racer {said.index(WON)}"


def test_of_many_workers_one_takes_an_expired_lease_over(
    store: ObjectStore, address: StoreAddress | None
) -> None:
    _plant(store)
    won = f"{WON}, took over"
    said = _race(store, address, TakeLease(PATH))
    assert sorted(said) == [LOST] * (RACERS - 1) + [won]
    record = read_lease(store, PATH)
    assert record is not None
    assert record.owner == f"racer {said.index(won)}"


def test_it_is_renewed_in_the_background(store: ObjectStore) -> None:
    with hold_lease(store, PATH, ttl_s=3, owner="run one") as lease:
        first, pause = lease.record, Event()
        for _ in range(600):
            if lease.record.renewed_at > first.renewed_at:
                break
            pause.wait(0.1)
        lease.check()
        assert lease.record.renewed_at > first.renewed_at
        assert lease.record.expires_at > first.expires_at
    record = read_lease(store, PATH)
    assert record is not None
    assert record.released


@needs_proc
def test_the_lease_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    with _worker(store.url, "600", "0") as worker:
        with pytest.raises(LeaseHeldError, match=f"process {worker.pid}"):
            Lease.acquire(store, PATH, Timing(ttl_s=600), owner="heir")
        assert lease_is_live(store, PATH) is True
        worker.kill()
        # Not reaped: for the kernel it is a zombie still.
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        assert lease_is_live(store, PATH) is False
        heir = Lease.acquire(store, PATH, Timing(ttl_s=600), owner="heir")
    assert heir.took_over
    heir.check()


def test_a_stopped_process_loses_its_lease_and_notices_when_it_wakes(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    with _worker(store.url, "1", "0") as worker:
        worker.send_signal(signal.SIGSTOP)
        timing = Timing(ttl_s=600, skew_s=0)
        heir = Lease.acquire(store, PATH, timing, owner="heir", wait_s=60)
        worker.send_signal(signal.SIGCONT)
        said, _ = worker.communicate(timeout=60)
    assert "LeaseLostError" in said
    assert heir.took_over
    heir.check()
    assert read_lease(store, PATH) == heir.record


_WORKER = """
import sys, time
from estinel_assets.errors import LeaseLostError
from estinel_assets.storage import open_store
from estinel_assets.storage.lease import hold_lease
url, path, ttl_s, skew_s = sys.argv[1:]
try:
    with hold_lease(
        open_store(url), path, ttl_s=float(ttl_s), skew_s=float(skew_s), owner="worker"
    ) as lease:
        print("held", flush=True)
        while True:
            lease.check()
            time.sleep(0.02)
except LeaseLostError as error:
    print(type(error).__name__, error)
"""


class _worker:  # noqa: N801 - used as a function
    """A process that holds the lease until it loses it; killed at the end."""

    def __init__(self, url: str, ttl_s: str, skew_s: str) -> None:
        self._command = [sys.executable, "-c", _WORKER, url, PATH, ttl_s, skew_s]

    def __enter__(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class _LosesAnswers:
    """A store that writes and then answers as if it had not, or that a write never reaches."""

    def __init__(self, store: ObjectStore, error: type[StoreError], *, arrives: bool) -> None:
        self.real = store
        self.error = error
        self.arrives = arrives
        self.losing = 0
        """Writes from now on whose answer is lost."""

    def create(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        return self._write(self.real.create, path, data, **options)

    def replace(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        return self._write(self.real.replace, path, data, **options)

    def _write(
        self, write: Callable[..., ObjectMeta], path: str, data: bytes, **options: Any
    ) -> ObjectMeta:
        losing, self.losing = self.losing > 0, max(0, self.losing - 1)
        meta = write(path, data, **options) if self.arrives or not losing else None
        if losing or meta is None:
            raise self.error("made up")
        return meta

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize(
    ("error", "arrives"),
    [
        # A retry met its own first try.
        pytest.param(ChangedError, True, id="repeated"),
        pytest.param(UnansweredError, True, id="answer lost"),
        pytest.param(UnansweredError, False, id="request lost"),
    ],
)
def test_an_answer_lost_on_the_way_does_not_lose_the_lease(
    store: ObjectStore, clocks: Clocks, error: type[StoreError], arrives: bool
) -> None:
    unsure: Any = _LosesAnswers(store, error, arrives=arrives)
    unsure.losing = 1
    lease = clocks.take(unsure)
    assert not lease.took_over
    assert read_lease(store, PATH) == lease.record
    clocks.pass_s(30)
    unsure.losing = 1
    lease.renew()
    assert lease.record.expires_at == clocks.now + timedelta(seconds=TTL_S)
    assert read_lease(store, PATH) == lease.record
    unsure.losing = 1
    lease.release()
    record = read_lease(store, PATH)
    assert record is not None
    assert record.released
    assert record.token == lease.record.token

    _plant(store)
    clocks.pass_s(TTL_S)
    unsure.losing = 1
    heir = clocks.take(unsure, "heir")
    assert heir.took_over
    assert read_lease(store, PATH) == heir.record
    assert unsure.losing == 0


def test_a_lease_that_another_took_while_no_answer_came_is_lost(
    store: ObjectStore, clocks: Clocks
) -> None:
    unsure: Any = _LosesAnswers(store, UnansweredError, arrives=False)
    lease = clocks.take(unsure)
    theirs = _plant(store)
    unsure.losing = 1
    with pytest.raises(LeaseLostError, match="taken over by run zero"):
        lease.renew()
    with pytest.raises(LeaseHeldError, match="run zero"):
        clocks.take(unsure, "run two")
    assert read_lease(store, PATH) == theirs


def test_writes_that_never_get_an_answer_are_given_up(store: ObjectStore, clocks: Clocks) -> None:
    unsure: Any = _LosesAnswers(store, UnansweredError, arrives=False)
    unsure.losing = 100
    with pytest.raises(UnansweredError, match="made up"):
        clocks.take(unsure)
    assert read_lease(store, PATH) is None
    taken = 100 - unsure.losing
    assert 2 <= taken <= 10

    unsure.losing = 0
    lease = clocks.take(unsure)
    unsure.losing = 100
    with pytest.raises(UnansweredError, match="made up"):
        lease.renew()
    lease.check()
    unsure.losing = 0
    lease.renew()
    lease.check()


class _Refuses:
    """A store that cannot be reached for a while."""

    def __init__(self, store: ObjectStore) -> None:
        self.real = store
        self.refusing = False

    def replace(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        if self.refusing:
            raise StoreError("made up")
        return self.real.replace(path, data, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_a_store_that_refuses_for_a_while_costs_nothing_until_the_expiry(
    store: ObjectStore, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    shaky: Any = _Refuses(store)
    lease = clocks.take(shaky)
    shaky.refusing = True
    clocks.pass_s(TTL_S / 2)
    with pytest.raises(StoreError, match="made up"):
        lease.renew()
    lease.check()
    shaky.refusing = False
    lease.renew()
    clocks.pass_s(TTL_S - 1)
    lease.check()
    shaky.refusing = True
    lease.release()
    assert "left to expire" in caplog.text
    assert lease_is_live(store, PATH, clock=lambda: clocks.now) is True
