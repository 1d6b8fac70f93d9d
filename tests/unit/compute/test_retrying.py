"""Further attempts: when, how many, and when not."""

import math
import threading
from collections import Counter
from contextlib import closing
from itertools import count

import pytest

from estinel_assets.compute import LATER, Backoff, Threads, with_retries
from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from tests.support.one_by_one import Clock, OneByOne

QUICK = Backoff(first_s=0.01, longest_s=0.02)


class Flaky:
    """Fails for each item as often as the item says."""

    def __init__(self, error=RetryableError):
        self.error = error
        self.attempts = Counter()
        self.changing = threading.Lock()

    def __call__(self, failures):
        with self.changing:
            self.attempts[failures] += 1
            attempt = self.attempts[failures]
        if attempt <= failures:
            raise self.error("source_timeout", f"attempt {attempt}")
        return attempt


def test_what_may_succeed_is_tried_again():
    flaky = Flaky()

    ended = {one.item: one for one in with_retries(Threads(2), flaky, [0, 2, 9], backoff=QUICK)}

    assert (ended[0].result(), ended[0].attempts) == (1, 1)
    assert (ended[2].result(), ended[2].attempts) == (3, 3)
    assert ended[9].attempts == 4
    assert str(ended[9].error) == "attempt 4"
    assert flaky.attempts == {0: 1, 2: 3, 9: 4}


@pytest.mark.parametrize("error", [PermanentError, lambda _, text: ValueError(text)])
def test_what_would_fail_again_is_not(error):
    flaky = Flaky(error)

    (ended,) = with_retries(Threads(1), flaky, [1], backoff=QUICK)

    assert ended.attempts == 1
    assert flaky.attempts == {1: 1}


def test_the_caller_may_say_what_is_worth_another_attempt():
    flaky = Flaky(lambda _, text: ValueError(text))

    (ended,) = with_retries(
        Threads(1), flaky, [1], backoff=QUICK, is_retryable=lambda e: isinstance(e, ValueError)
    )

    assert ended.result() == 2


def test_without_retries_there_is_one_attempt():
    (ended,) = with_retries(Threads(1), Flaky(), [1], retries=0)

    assert ended.attempts == 1
    assert isinstance(ended.error, RetryableError)


def test_equal_items_are_told_apart():
    ended = list(with_retries(Threads(2), Flaky(), [0, 0, 0]))

    assert len(ended) == 3
    assert {one.attempts for one in ended} == {1}


def test_pauses_grow_and_nothing_is_done_meanwhile():
    clock = Clock()

    (ended,) = with_retries(
        OneByOne(),
        Flaky(),
        [9],
        backoff=Backoff(4, 3, 20),
        clock=clock,
        sleep=clock.sleep,
        random=lambda: 0.5,
    )

    assert clock.slept == [3.0, 9.0, 15.0]
    assert ended.duration_s == 27.0


def test_others_go_on_in_a_pause():
    clock = Clock()
    done = []

    def work(item):
        clock.now_s += 1
        done.append(item)
        if item == "flaky" and done.count("flaky") == 1:
            raise RetryableError("source_timeout", "busy")

    ended = with_retries(
        OneByOne(),
        work,
        ["flaky", "a", "b", "c", "d"],
        backoff=Backoff(2.5),
        clock=clock,
        sleep=clock.sleep,
        random=lambda: 1.0,
    )

    # It fails at 1 s and is due at 3.5 s, when c is under way.
    assert [one.item for one in ended] == ["a", "b", "c", "flaky", "d"]
    assert clock.slept == []


def test_pauses_are_between_half_of_the_longest_and_all_of_it():
    backoff = Backoff(first_s=1, factor=2, longest_s=60)

    assert [backoff.pause_s(retry, 1) for retry in (1, 2, 3)] == [1, 2, 4]
    assert [backoff.pause_s(retry, 0) for retry in (1, 2, 3)] == [0.5, 1, 2]
    assert backoff.pause_s(7, 1) == 60
    assert backoff.pause_s(10_000, 1) == 60


def test_an_item_that_hangs_gets_one_backup():
    hanging = threading.Event()
    attempts = Counter()

    def work(item):
        attempts[item] += 1
        if item == "slow" and attempts[item] == 1:
            hanging.wait(30)
            return "first"
        return "backup"

    items = ["slow", *range(5)]
    with closing(with_retries(Threads(2), work, items, straggler_multiple=2)) as results:
        ended = {}
        for one in results:
            ended[one.item] = one
            if one.item == "slow":
                hanging.set()  # threads cannot be ended, only let go

    assert ended["slow"].result() == "backup"
    assert ended["slow"].attempts == 2
    assert attempts["slow"] == 2
    assert len(ended) == 6


@pytest.mark.parametrize("multiple", [None, 1e9])
def test_nothing_is_slow_before_the_multiple(multiple):
    let_go = threading.Event()

    def work(item):
        if item == "slow":
            assert let_go.wait(30)
        if item == 4:
            threading.Timer(0.3, let_go.set).start()
        return item

    ended = with_retries(Threads(2), work, ["slow", *range(5)], straggler_multiple=multiple)

    assert {one.attempts for one in ended} == {1}


def test_an_error_of_one_leaves_the_item_to_the_other():
    failing, hanging = threading.Event(), threading.Event()
    attempts = Counter()

    def work(item):
        attempts[item] += 1
        if item != "slow":
            return item
        if attempts[item] == 1:
            assert failing.wait(30)
            raise RetryableError("source_timeout", "the first")
        failing.set()
        assert hanging.wait(0.2) is False  # meanwhile the first one fails
        return "backup"

    ended = {one.item: one for one in with_retries(Threads(2), work, ["slow", *range(5)])}

    assert ended["slow"].result() == "backup"
    assert ended["slow"].attempts == 2


def test_endless_items_are_taken_as_workers_come_free():
    taken = []

    def endless():
        for n in count():
            taken.append(n)
            yield n

    with closing(with_retries(Threads(2), lambda n: n, endless())) as results:
        assert taken == []
        ended = [next(results).item for _ in range(5)]

    assert len(set(ended)) == 5
    assert len(taken) <= 5 + 2 + 1


def test_a_source_that_has_nothing_for_now_is_asked_again():
    ended = with_retries(Threads(2), lambda n: n, iter([1, LATER, 2]))

    assert [one.item for one in ended] == [1, 2]


def test_an_error_of_the_items_passes():
    def items():
        yield 1
        raise LookupError("page 2")

    with pytest.raises(LookupError, match="page 2"):
        list(with_retries(Threads(1), lambda n: n, items()))


def test_numbers_that_make_no_sense_are_named_together():
    with pytest.raises(BadInputError) as raised:
        with_retries(Threads(1), len, [], retries=-1, straggler_multiple=math.nan)

    assert "retries is -1" in str(raised.value)
    assert "straggler_multiple is nan" in str(raised.value)
