import threading
from contextvars import ContextVar
from itertools import count

import pytest

from estinel_assets.compute import Threads

unit = ContextVar("unit", default="none")


def test_every_item_comes_back_once():
    completed = list(Threads(4).map(lambda n: n * n, range(100)))

    assert sorted((one.item, one.result()) for one in completed) == [(n, n * n) for n in range(100)]


def test_an_error_belongs_to_its_item():
    def work(n):
        if n == 2:
            raise ValueError("two is bad")
        return n

    completed = {one.item: one for one in Threads(2).map(work, range(4))}

    assert isinstance(completed[2].error, ValueError)
    assert [completed[n].result() for n in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(ValueError, match="two is bad"):
        completed[2].result()


def test_none_is_a_result():
    (completed,) = Threads(1).map(lambda _: None, [1])

    assert completed.error is None
    assert completed.result() is None


def test_so_many_at_once_and_no_more():
    workers, under_way, most, lock = 3, 0, 0, threading.Lock()
    full = threading.Barrier(workers)

    def work(n):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if n < workers:
            full.wait(timeout=10)  # the first ones are under way together
        with lock:
            under_way -= 1

    assert len(list(Threads(workers).map(work, range(20)))) == 20
    assert most == workers


def test_items_are_taken_as_workers_come_free():
    taken = []

    def endless():
        for n in count():
            taken.append(n)
            yield n

    results = Threads(2).map(lambda n: n, endless())
    for _ in range(5):
        next(results)
    results.close()

    assert len(taken) <= 5 + 2 + 1


def test_closing_early_waits_for_what_is_under_way():
    done = []
    slow = threading.Event()

    def work(n):
        if n:
            slow.wait(timeout=10)
        done.append(n)
        return n

    results = Threads(2).map(work, range(10))
    assert next(results).item == 0
    slow.set()
    results.close()

    assert set(done) >= {0, 1}


def test_context_variables_reach_the_function():
    token = unit.set("Hobart")
    try:
        (completed,) = Threads(1).map(lambda _: unit.get(), [1])
    finally:
        unit.reset(token)

    assert completed.result() == "Hobart"
