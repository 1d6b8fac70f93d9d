"""Order within a key, many keys at once."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing

import pytest

from estinel_assets.pids.ordered_pool import Ended, OrderedPool


def drained(pool: OrderedPool[tuple[str, int], int]) -> list[Ended[tuple[str, int], int]]:
    taken: list[Ended[tuple[str, int], int]] = []
    while pool.open:
        taken += pool.take(5)
    return taken


def number(task: tuple[str, int]) -> int:
    return task[1]


def test_what_has_one_key_is_worked_on_in_order_and_alone() -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    busy: set[str] = set()
    together: list[str] = []

    def work(task: tuple[str, int]) -> int:
        key, position = task
        if key in busy:
            together.append(key)
        busy.add(key)
        time.sleep(0.0005 * (position % 3))
        seen[key].append(position)
        busy.discard(key)
        return position

    with closing(OrderedPool(work, threads=8, name="test")) as pool:
        for position in range(50):
            for key in "abcd":
                pool.submit((key, position), key)
        ended = drained(pool)
    assert together == []
    assert seen == {key: list(range(50)) for key in "abcd"}
    assert sorted(one.task for one in ended) == [(key, n) for key in "abcd" for n in range(50)]


def test_different_keys_are_in_work_at_once() -> None:
    meet = threading.Barrier(4, timeout=5)

    def work(task: tuple[str, int]) -> int:
        meet.wait()
        return task[1]

    with closing(OrderedPool(work, threads=4, name="test")) as pool:
        for position, key in enumerate("abcd"):
            pool.submit((key, position), key)
        assert sorted(one.result or 0 for one in drained(pool)) == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_an_error_comes_back_and_what_waited_behind_it_goes_on(error: BaseException) -> None:
    def work(task: tuple[str, int]) -> int:
        if task[1] == 0:
            raise error
        return task[1]

    with closing(OrderedPool(work, threads=2, name="test")) as pool:
        for position in range(3):
            pool.submit(("a", position), "a")
        ended = drained(pool)
    assert [one.error for one in ended] == [error, None, None]
    assert [one.result for one in ended] == [None, 1, 2]


def test_take_waits_no_longer_than_it_is_told() -> None:
    with closing(OrderedPool(number, threads=1, name="test")) as pool:
        assert pool.take(0) == []
        assert pool.take(0.01) == []


def test_what_waits_is_dropped_and_what_is_in_work_ends() -> None:
    go = threading.Event()
    begun = threading.Event()

    def work(task: tuple[str, int]) -> int:
        begun.set()
        go.wait(5)
        return task[1]

    with closing(OrderedPool(work, threads=1, name="test")) as pool:
        for position in range(4):
            pool.submit(("k", position), position % 2)
        begun.wait(5)
        pool.drop_waiting()
        go.set()
        ended = drained(pool)
    assert sorted((one.task[1], one.result) for one in ended if one.result is not None) == [(0, 0)]
    assert len(ended) == 4


def test_what_was_given_is_counted_until_it_is_taken_back() -> None:
    wait: Callable[[tuple[str, int]], int] = number
    with closing(OrderedPool(wait, threads=1, name="test")) as pool:
        pool.submit(("a", 1), "a")
        pool.submit(("a", 2), "a")
        assert pool.open == 2
        drained(pool)
        assert pool.open == 0
