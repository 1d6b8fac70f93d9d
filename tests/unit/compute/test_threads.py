"""What threads do beyond what every engine promises (`tests/contract/test_engine.py`)."""

import threading
from contextvars import ContextVar

from estinel_assets.compute import Threads

unit = ContextVar("unit", default="none")


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
