"""The budget of bytes among threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from estinel_assets.raster.byte_budget import ByteBudget


def test_never_more_is_held_than_there_is():
    budget, lock = ByteBudget(100), threading.Lock()
    held = most = 0

    def work(count):
        nonlocal held, most
        with budget.holding(count):
            with lock:
                held += count
                most = max(most, held)
            with lock:
                held -= count

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [7, 30, 60, 99, 1, 45] * 60))

    assert held == 0
    assert 45 <= most <= 100


def test_what_is_larger_than_everything_goes_alone():
    budget = ByteBudget(10)
    with budget.holding(1_000):
        assert not _begins(budget, 1)
    assert _begins(budget, 1)


def test_a_large_one_is_not_overtaken():
    budget, order = ByteBudget(10), []
    large_waits = threading.Event()

    def large():
        large_waits.set()
        with budget.holding(10):
            order.append("large")

    def small():
        with budget.holding(1):
            order.append("small")

    with ThreadPoolExecutor(2) as pool:
        with budget.holding(9):
            first = pool.submit(large)
            assert large_waits.wait(10)
            while not budget._waiting:
                pass
            second = pool.submit(small)
            while len(budget._waiting) < 2:
                pass
        first.result(10)
        second.result(10)
    assert order == ["large", "small"]


def test_an_error_gives_the_bytes_back():
    budget = ByteBudget(10)
    with pytest.raises(KeyError), budget.holding(10):
        raise KeyError
    assert _begins(budget, 10)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        ByteBudget(0)


def _begins(budget, count):
    """Whether work of so many bytes could begin now."""
    begun = threading.Event()

    def work():
        with budget.holding(count):
            begun.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return begun.wait(0.2)
