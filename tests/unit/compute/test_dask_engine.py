"""Dask: somebody else's cluster, and what becomes of its own."""

import asyncio
import threading
import time
from contextlib import closing

import dask.config
import pytest
from distributed import LocalCluster

from estinel_assets.compute.dask_engine import DaskEngine
from estinel_assets.compute.worker_errors import WorkerDiedError, WorkerError
from estinel_assets.errors import BadInputError
from tests.support import engine_work, work


@pytest.fixture
def cluster(tmp_path):
    """A cluster within this process."""
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path),
            silence_logs=False,
        ) as cluster,
    ):
        yield cluster


def test_a_scheduler_is_used_and_left_as_it_was(cluster):
    for _ in range(2):
        with DaskEngine(2, address=cluster.scheduler_address) as engine:
            results = {one.item: one.result() for one in engine.map(work.square, range(20))}
            assert results == {n: n * n for n in range(20)}

    assert len(cluster.scheduler.workers) == 1


def test_closing_early_cancels_what_has_not_begun_elsewhere(cluster):
    begun, let_go = [], threading.Event()

    def work_until(n):
        begun.append(n)
        assert n == 0 or let_go.wait(30)
        return n

    _held.append(work_until)
    with (
        DaskEngine(6, address=cluster.scheduler_address) as engine,
        closing(engine.map(_call_held, range(6))) as results,
    ):
        assert next(results).result() == 0
    _until(lambda: not _at_workers(cluster, {"waiting", "ready"}))  # they are told
    let_go.set()
    _until(lambda: not _at_workers(cluster, {"executing", "cancelled"}))

    assert len(begun) <= 3


def test_a_time_limit_needs_workers_of_one_thread(cluster):
    with DaskEngine(2, address=cluster.scheduler_address, time_limit_s=60) as engine:
        errors = [one.error for one in engine.map(engine_work.wait, [0.5, 0.5])]

    refused = [error for error in errors if error is not None]
    assert refused
    assert all(isinstance(error, BadInputError) for error in refused)
    assert "--nthreads 1" in str(refused[0])


def test_a_scheduler_that_goes_away_ends_the_map(cluster):
    with (
        DaskEngine(2, address=cluster.scheduler_address) as engine,
        closing(engine.map(engine_work.wait, [0.0, 0.5, 0.5])) as results,
    ):
        assert next(results).result() == 0.0
        cluster.close()
        with pytest.raises(WorkerError, match="the Dask scheduler is lost"):
            list(results)


def test_nobody_at_the_address():
    with (
        DaskEngine(1, address="tcp://127.0.0.1:9", start_limit_s=0.2) as engine,
        pytest.raises(WorkerError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        list(engine.map(work.square, [1]))


def test_a_scheduler_without_workers(cluster):
    cluster.scale(0)
    _until(lambda: not cluster.scheduler.workers)

    with (
        DaskEngine(1, address=cluster.scheduler_address, start_limit_s=0.2) as engine,
        pytest.raises(WorkerError, match="has no worker after"),
    ):
        list(engine.map(work.square, [1]))


def test_a_map_waits_for_the_workers_of_another():
    with DaskEngine(1, start_limit_s=0.2) as engine:
        list(engine.map(work.nothing, [1]))
        with closing(engine.map(engine_work.wait, [0.0, 0.6])) as first:
            next(first)  # the other item is under way

            assert [one.result() for one in engine.map(work.square, [3])] == [9]
            assert [one.result() for one in first] == [0.6]


def test_nothing_starts_before_an_item_is_there():
    with DaskEngine(1) as engine:
        assert list(engine.map(work.square, [])) == []

        assert engine._cluster is None


def test_its_own_cluster_is_gone_when_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with DaskEngine(1) as engine:
        (one,) = engine.map(work.pid_of, [1])
        assert list(tmp_path.glob("estinel-dask-*"))

    assert one.result() > 0
    assert list(tmp_path.iterdir()) == []
    assert engine._cluster is None


def test_items_are_ended_in_a_thread_without_an_event_loop():
    asyncio.run(asyncio.sleep(0))  # as libraries do; no other is made after it
    with DaskEngine(1) as engine:
        with closing(engine.map(engine_work.wait, [0.0, 100.0])) as results:
            assert next(results).result() == 0.0
        assert [one.result() for one in engine.map(work.square, [3])] == [9]


@pytest.mark.soak
def test_what_was_sent_a_moment_before_closing_is_ended_too():
    with DaskEngine(2, time_limit_s=30) as engine:
        for _ in range(6):
            with closing(engine.map(engine_work.wait, [100.0, 0.0, 101.0])) as results:
                assert next(results).result() == 0.0
            assert [one.error for one in engine.map(work.square, range(6))] == [None] * 6


@pytest.mark.soak
def test_its_own_cluster_survives_many_deaths():
    """Dask takes a worker that is missing 15 s after its first death for lost."""
    until = time.monotonic() + 40

    def items():
        while time.monotonic() < until:
            yield "exit 3"
        yield from ["well"] * 4

    with DaskEngine(2, time_limit_s=30) as engine:
        completed = list(engine.map(work.misbehave, items()))

    assert [one.value for one in completed[-4:]] == ["well"] * 4
    assert all(isinstance(one.error, WorkerDiedError) for one in completed[:-4])
    assert len(completed) > 10


_held = []


def _call_held(n):
    return _held[-1](n)


def _at_workers(cluster, states):
    """What is in one of these states at the workers of a cluster within this process."""
    tasks = [task for one in cluster.workers.values() for task in list(one.state.tasks.values())]
    return [task for task in tasks if task.state in states]


def _until(come):
    until = time.monotonic() + 20
    while not come():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
