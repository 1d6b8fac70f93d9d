"""How many at once, and how many a second."""

import threading
from contextlib import closing

import pytest

from estinel_assets.errors import RetryableError
from estinel_assets.stac.transactions.limits import Pace, Threads


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_pace_is_even() -> None:
    clock = Clock()
    pace = Pace(4.0, clock=lambda: clock.now, sleep=clock.sleep)
    for _ in range(5):
        pace.wait()
    assert clock.slept == [0.25] * 4
    clock.now += 10
    pace.wait()
    pace.wait()
    assert clock.slept == [0.25] * 5


def test_turns_are_given_out_in_advance() -> None:
    clock = Clock()
    slept: list[float] = []
    pace = Pace(2.0, clock=lambda: clock.now, sleep=slept.append)
    for _ in range(4):
        pace.wait()
    assert slept == [0.5, 1.0, 1.5]


def test_no_limit_never_waits() -> None:
    clock = Clock()
    pace = Pace(None, clock=lambda: clock.now, sleep=clock.sleep)
    for _ in range(100):
        pace.wait()
    assert clock.slept == []


def test_each_hands_back_values_and_unit_errors() -> None:
    threads = Threads(3)

    def halve(number: int) -> int:
        if number % 2:
            raise RetryableError("odd", f"{number} is odd")
        return number // 2

    got = dict(threads.each(halve, range(50)))
    assert {number: half for number, half in got.items() if isinstance(half, int)} == {
        number: number // 2 for number in range(0, 50, 2)
    }
    assert sum(isinstance(half, RetryableError) for half in got.values()) == 25
    threads.close()


def test_no_more_run_than_allowed() -> None:
    threads = Threads(3)
    lock = threading.Lock()
    running, most = 0, 0
    three = threading.Barrier(3)

    def work(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number < 3:
            three.wait(5)
        with lock:
            running -= 1

    assert len(list(threads.each(work, range(30)))) == 30
    assert most == 3
    threads.close()


def test_other_errors_come_out_and_stop_the_rest() -> None:
    threads = Threads(1)
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(threads.each(work, range(1000)))
    assert len(begun) < 10
    threads.close()


def test_what_has_not_begun_is_not_begun_when_nobody_listens() -> None:
    threads = Threads(2)
    begun: list[int] = []
    with closing(threads.each(begun.append, range(1000))) as each:
        next(each)
    count = len(begun)
    assert count < 20
    threads.close()
    assert len(begun) == count
