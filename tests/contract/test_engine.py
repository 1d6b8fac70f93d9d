"""What every engine promises, kept by each."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from itertools import count

import pytest

from estinel_assets.compute import LATER, Backoff, Threads, with_retries
from estinel_assets.compute.dask_engine import DaskEngine
from estinel_assets.compute.lithops_engine import LithopsEngine
from estinel_assets.compute.processes import Processes
from estinel_assets.compute.worker_errors import (
    NotTransferableError,
    OutOfMemoryError,
    RemoteTracebackError,
    TimeLimitError,
    WorkerDiedError,
)
from estinel_assets.errors import NotFoundError, PermanentError, RetryableError, StoreError
from tests.support import engine_work, work
from tests.support.engine_bucket import SIZE, engine_bucket
from tests.support.one_by_one import OneByOne
from tests.support.proxy import Fault
from tests.support.real import ROOT

SLOW = [pytest.mark.soak, pytest.mark.timeout(600)]
ISOLATED = ["processes", "dask", pytest.param("lithops", marks=SLOW)]


@pytest.fixture(scope="module")
def dask():
    """One cluster for all tests."""
    with DaskEngine(2, time_limit_s=60) as engine:
        yield engine


def _maker(name, request):
    """Makes an engine of so many workers; that of Dask is one for all, of two."""
    if name == "one by one":
        return lambda _: OneByOne()
    if name == "threads":
        return lambda workers, **_: Threads(workers)
    if name == "processes":
        return lambda workers, time_limit_s=60: Processes(workers, time_limit_s=time_limit_s)
    if name == "lithops":
        return lambda workers, time_limit_s=60: LithopsEngine(workers, time_limit_s=time_limit_s)

    def of_dask(_, time_limit_s=60):
        shared = request.getfixturevalue("dask")
        shared.time_limit_s = time_limit_s
        return shared

    return of_dask


@pytest.fixture(scope="module")
def served():
    """One S3 server for all tests."""
    with engine_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(served, monkeypatch):
    """The bucket, with its credentials where workers that are threads look for them."""
    for variable, value in served.access.environment().items():
        monkeypatch.setenv(variable, value)
    return served


@pytest.fixture(params=["one by one", "threads", *ISOLATED])
def engine(request):
    """Makes an engine of so many workers."""
    return _maker(request.param, request)


@pytest.fixture(params=["threads", *ISOLATED])
def concurrent(request):
    """Makes an engine of so many workers, which is all but the fake one for tests."""
    return _maker(request.param, request)


@pytest.fixture(params=ISOLATED)
def isolated(request):
    """Makes an engine whose items cannot harm one another."""
    return _maker(request.param, request)


@pytest.fixture(params=["dask", pytest.param("lithops", marks=SLOW)])
def remote(request):
    """Makes an engine that may be on other machines."""
    return _maker(request.param, request)


def test_every_item_comes_back_once(engine, request):
    many = 8 if "lithops" in request.node.name else 100

    completed = list(engine(4).map(work.square, range(many)))

    squares = [(n, n * n) for n in range(many)]
    assert sorted((one.item, one.result()) for one in completed) == squares


def test_one_round_of_lithops(bucket):
    """What is quick enough for every day; the rest is `soak`."""
    bucket.fill(["a"])
    items = bucket.items(["a", "absent"])

    completed = {
        one.item.name: one for one in LithopsEngine(2, time_limit_s=60).map(engine_work.turn, items)
    }

    assert completed["a"].result() == SIZE
    assert isinstance(completed["absent"].error, NotFoundError)
    assert bucket.turned() == {"a"}


def test_no_items_are_no_results(engine):
    assert list(engine(2).map(work.square, [])) == []


def test_an_error_belongs_to_its_item(engine):
    completed = {one.item: one for one in engine(2).map(work.fail_at_two, range(4))}

    assert isinstance(completed[2].error, ValueError)
    assert completed[2].value is None
    assert [completed[n].result() for n in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(ValueError, match="two is bad"):
        completed[2].result()


def test_none_is_a_result(engine):
    (completed,) = engine(1).map(work.nothing, [1])

    assert completed.error is None
    assert completed.result() is None


def test_the_very_item_comes_back(engine):
    item = {"not": ["hashable"]}

    (completed,) = engine(1).map(str, [item])

    assert completed.item is item
    assert completed.result() == str(item)


def test_results_come_as_they_complete(concurrent, request):
    long = 6.0 if "lithops" in request.node.name else 1.0  # a process each, with its imports
    with closing(concurrent(2).map(work.sleep, [long, 0.0, 0.0])) as results:
        assert [one.item for one in results] == [0.0, 0.0, long]


def test_items_are_taken_as_workers_come_free(engine):
    taken = []

    def endless():
        for n in count():
            taken.append(n)
            yield n

    results = engine(2).map(work.square, endless())
    assert taken == []
    for _ in range(5):
        next(results)
    results.close()

    assert len(taken) <= 5 + 2 + 1


def test_an_error_of_the_items_ends_the_map(engine):
    def items():
        yield 1
        raise LookupError("no more pages")

    with pytest.raises(LookupError, match="no more pages"):
        list(engine(1).map(work.square, items()))


def test_an_engine_serves_again(engine):
    one = engine(2)

    assert {c.result() for c in one.map(work.square, [1, 2])} == {1, 4}
    assert {c.result() for c in one.map(work.nothing, [1, 2])} == {None}


def test_a_source_without_an_item_for_now_is_asked_again(engine):
    told: list[int] = []

    def items():
        yield LATER
        yield LATER
        yield 2
        while not told:  # until the first result is out, with a worker free
            yield LATER
        yield 3

    told.extend(completed.result() for completed in engine(2).map(work.square, items()))

    assert told == [4, 9]


def test_large_items_and_results(engine):
    nested = {"blocks": [os.urandom(2**22) for _ in range(3)]}

    (completed,) = engine(1).map(engine_work.reverse, [nested])

    value = completed.result()
    assert value["blocks"] == [block[::-1] for block in nested["blocks"]]
    assert value["of"]["depth"] == nested


# --- processes that end badly --------------------------------------------------------------------


def test_a_killed_process_is_the_end_of_its_item_only(isolated):
    items = ["well", "exit 3", "SIGKILL", "modest"]

    completed = {one.item: one for one in isolated(2).map(work.misbehave, items)}

    assert completed["well"].result() == "well"
    assert completed["modest"].result() == 20 * work.MEBIBYTE
    assert isinstance(completed["exit 3"].error, WorkerDiedError)
    assert completed["exit 3"].error.ended == "exit code 3"
    assert isinstance(completed["SIGKILL"].error, OutOfMemoryError)
    assert completed["SIGKILL"].error.killed


def test_an_item_that_hangs_is_ended(isolated):
    completed = {
        one.item: one for one in isolated(2, time_limit_s=2).map(work.misbehave, ["sleep", "well"])
    }

    assert completed["well"].result() == "well"
    assert isinstance(completed["sleep"].error, TimeLimitError)
    assert completed["sleep"].error.limit_s == 2


def test_what_cannot_be_pickled_is_an_error_of_its_item(isolated):
    unfit = threading.Lock()

    completed = {one.item: one for one in isolated(2).map(work.square, [2, unfit])}
    (returned,) = isolated(2).map(engine_work.lock, [1])

    assert completed[2].result() == 4
    assert isinstance(completed[unfit].error, NotTransferableError)
    assert isinstance(returned.error, NotTransferableError)
    assert "lock" in str(returned.error)


def test_errors_come_back_with_their_reason_and_context(isolated):
    completed = {
        one.item: one.error for one in isolated(2).map(engine_work.refuse, ["retryable", "final"])
    }

    assert type(completed["retryable"]) is RetryableError
    assert type(completed["final"]) is PermanentError
    for how, error in completed.items():
        assert error.reason == "source_timeout"
        assert str(error) == f"no answer for {how}"
        assert isinstance(error.__cause__, RemoteTracebackError)
        assert "KeyError: 'B04'" in str(error.__cause__)


def test_closing_early_ends_what_is_under_way(isolated, tmp_path):
    left, engine = tmp_path / "pid", isolated(2)
    with closing(engine.map(engine_work.hold, [left, None, None])) as results:
        assert next(results).result() is None
        _wait_for(left.exists)
    pid = int(left.read_text())

    assert sorted(one.result() for one in engine.map(work.square, range(4))) == [0, 1, 4, 9]
    _wait_for(lambda: not _runs(pid))


def test_logs_of_workers_are_logged_here(remote, caplog):
    caplog.set_level(logging.INFO, "estinel_assets")

    assert [one.result() for one in remote(2).map(engine_work.log_and_double, [4])] == [8]

    ours = [r for r in caplog.records if r.name == "estinel_assets.of_a_worker"]
    assert [(r.levelname, r.getMessage(), r.site) for r in ours] == [
        ("INFO", "doubling 4", "Hobart")
    ]
    assert "slow down" in caplog.messages


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW) for name in ("processes", "dask", "lithops")]
)
def test_ctrl_c_stops_and_what_finished_is_kept(name):
    script = [sys.executable, "-P", str(ROOT / "tests/support/engine_work.py"), name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        script,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        finished = {process.stdout.readline(), process.stdout.readline()}
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, complaints = process.communicate(timeout=60)

    assert finished == {"finished 0.0\n", "finished 0.1\n"}
    assert out == "stopped\n"
    assert complaints == ""
    assert process.returncode == 0
    _wait_for(lambda: not _mentioned(str(process.pid)))


# --- several attempts ----------------------------------------------------------------------------


def test_retries_over_the_engine(engine, tmp_path):
    folders = {failures: tmp_path / str(failures) for failures in (0, 1, 9)}
    for folder in folders.values():
        folder.mkdir()

    completed = {
        one.item[1]: one
        for one in with_retries(
            engine(2),
            engine_work.fail_at_first,
            [(folder, failures) for failures, folder in folders.items()],
            retries=2,
            backoff=Backoff(first_s=0.05),
            straggler_multiple=None,
        )
    }

    assert completed[0].result() == completed[0].attempts == 1
    assert completed[1].result() == completed[1].attempts == 2
    assert completed[9].attempts == 3
    assert isinstance(completed[9].error, RetryableError)


def test_a_straggler_is_overtaken_by_its_backup(isolated, tmp_path):
    engine = isolated(2)
    list(engine.map(work.nothing, [1, 2]))  # what starts only once has started
    quick = [tmp_path / str(n) for n in range(3)]
    for folder in (*quick, tmp_path / "slow"):
        folder.mkdir()
        if folder in quick:
            (folder / "been here").touch()

    completed = {
        one.item[0].name: one
        for one in with_retries(
            engine,
            engine_work.slow_at_first,
            [(tmp_path / "slow", 50), *((folder, 0) for folder in quick)],
            straggler_multiple=3,
        )
    }

    assert completed["slow"].result() == "backup"
    assert completed["slow"].attempts == 2
    assert completed["slow"].duration_s < 45
    assert {completed[str(n)].attempts for n in range(3)} == {1}


# --- a store in S3 --------------------------------------------------------------------------------


def test_a_store_that_fails_for_a_while_is_outlived(engine, bucket):
    names = list("abcde")
    bucket.fill(names)
    failing = 6
    bucket.proxy.spoil(lambda asked: Fault(status=503) if asked.number <= failing else None)

    completed = list(
        with_retries(
            engine(2),
            engine_work.turn,
            bucket.items([*names, "absent"]),
            retries=failing,
            backoff=Backoff(first_s=0.05),
            is_retryable=_may_pass,
            straggler_multiple=None,
        )
    )

    assert {one.item.name for one in completed if one.value == SIZE} == set(names)
    assert [type(one.error) for one in completed if one.item.name == "absent"] == [NotFoundError]
    assert sum(one.attempts - 1 for one in completed) == failing
    assert bucket.turned() == set(names)


@pytest.mark.parametrize(
    "name",
    ["processes", *(pytest.param(name, marks=SLOW) for name in ("dask", "lithops"))],
)
def test_killed_and_slow_workers_leave_whole_objects_all_the_same(name, bucket, request):
    names = list("abcdef")
    bucket.fill(names)
    bucket.proxy.spoil(lambda asked: Fault(status=503) if asked.number <= 3 else None)

    completed = {
        one.item.name: one
        for one in with_retries(
            _maker(name, request)(2),
            engine_work.turn,
            bucket.items(names, a="killed", b="slow"),
            retries=4,
            backoff=Backoff(first_s=0.05),
            is_retryable=_may_pass,
            straggler_multiple=3,
        )
    }

    assert {name: one.value for name, one in completed.items()} == dict.fromkeys(names, SIZE)
    assert completed["a"].attempts >= 2
    assert completed["b"].attempts >= 2
    assert completed["b"].duration_s < engine_work.SLOW_S
    assert bucket.turned() == set(names)


def _may_pass(error):
    if isinstance(error, StoreError):
        return not isinstance(error, NotFoundError)
    return isinstance(error, WorkerDiedError | OutOfMemoryError)


def _wait_for(come):
    until = time.monotonic() + 20
    while not come():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _mentioned(session):
    """Whether a process of the session runs on."""
    listed = subprocess.run(["ps", "-eo", "sess="], capture_output=True, text=True, check=True)
    return session in listed.stdout.split()
