"""What a consumer did, counted from outcomes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from estinel_assets.errors import RetryableError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.figures import SECONDS, Figures, TimedHandles
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.ports import HandleFault, HandleRecord, Registered
from estinel_assets.pids.stamps import Stamp
from tests.support.handles import STAMP, values_of
from tests.support.memory_handles import MemoryHandles
from tests.support.outcomes import outcome

START = datetime(2025, 8, 1, 12, 0, tzinfo=UTC)


def ended(
    reason: str = "none", *, after_s: float = 1.0, took_s: float = 0.5, **detail: Any
) -> Outcome:
    return outcome(
        "CMIP6",
        "0",
        "7",
        product="pids",
        reason=reason,
        finished_at=START + timedelta(seconds=after_s),
        duration_s=took_s,
        detail=detail,
    )


def at(after_s: float) -> datetime:
    return START + timedelta(seconds=after_s)


def test_nothing_yet() -> None:
    totals = Figures(started_at=START).totals(START)
    assert set(totals.summary().values()) == {0}
    assert totals.line() == ("0 messages in 0.0 s (0.0 a second, lately 0.0), 0 handles")


def test_everything_that_an_outcome_tells() -> None:
    figures = Figures(started_at=START)
    figures.add(ended(created=3, replicas=2, handle="21.T/x", item_id="a.v1"))
    figures.add(ended(updated=1, unchanged=4, superseded=2, patched=True, retracted=True))
    figures.add(ended(warnings=["a", "b"], warnings_count=25, created=1, retries=2))
    figures.add(ended(warnings=["a", "b"], retries=0))
    figures.add(ended("invalid_item"))
    figures.add(ended("handle_refused", created=1))
    figures.add(ended("internal_error"))
    figures.add(ended("stac_unavailable", skipped=True, patched=True))
    figures.add_handle_time(0.25)
    figures.set_in_flight(5)
    figures.set_lag(TopicPartition("CMIP6", 0), 100)
    figures.set_lag(TopicPartition("CMIP6", 1), 7)
    figures.set_lag(TopicPartition("CMIP6", 0), 90)
    totals = figures.totals(at(4))
    assert totals.by_reason == {
        "none": 4,
        "invalid_item": 1,
        "handle_refused": 1,
        "internal_error": 1,
        "stac_unavailable": 1,
    }
    assert totals.summary() == {
        "messages": 8,
        "errors": 3,
        "retries": 1,
        "skipped_messages": 1,
        "patched_messages": 2,
        "retracted_messages": 1,
        "handles": 12,
        "handles_created": 5,
        "handles_updated": 1,
        "handles_unchanged": 4,
        "handles_superseded": 2,
        "replicas": 2,
        "warnings": 27,
        "external_failures": 2,
        "handle_s": 0.25,
        "message_s": 4.0,
        "in_flight": 5,
        "lag": 97,
        "running_s": 4.0,
        "per_s": 2.0,
        "lately_per_s": 2.0,
    }
    assert totals.line() == (
        "8 messages in 4.0 s (2.0 a second, lately 2.0), "
        "12 handles (5 created, 1 updated, 4 unchanged, 2 superseded), "
        "3 errors, 1 skipped, 1 retries, 27 warnings, 97 still to come"
    )


def test_a_partition_that_is_given_away_has_no_lag() -> None:
    figures = Figures(started_at=START)
    figures.set_lag(TopicPartition("a", 1), 3)
    figures.set_lag(TopicPartition("a", 1), None)
    figures.set_lag(TopicPartition("a", 2), None)
    assert figures.totals(START).lag == {}


def test_the_rate_of_late_is_that_of_the_last_minute() -> None:
    figures = Figures(started_at=START)
    for second in range(1000):
        for _ in range(1 + (second >= 900)):
            figures.add(ended(after_s=second))
    totals = figures.totals(at(999))
    assert totals.messages == 1100
    assert totals.per_s == pytest.approx(1100 / 999)
    assert totals.lately_per_s == pytest.approx(2.0)
    assert figures.totals(at(1029)).lately_per_s == pytest.approx(1.0)
    assert figures.totals(at(1100)).lately_per_s == 0.0


def test_messages_that_are_told_late_count_as_lately_all_the_same() -> None:
    figures = Figures(started_at=START, window_s=10)
    for second in [*range(100), 95, 95, 20]:
        figures.add(ended(after_s=second))
    assert figures.totals(at(99)).lately_per_s == pytest.approx(1.2)


def test_a_rate_needs_a_second() -> None:
    figures = Figures(started_at=START)
    figures.add(ended(after_s=0.001))
    totals = figures.totals(at(0.002))
    assert (totals.per_s, totals.lately_per_s) == (1.0, 1.0)
    assert figures.totals(at(-5)).running_s == 0.0


def test_times_are_counted_by_class() -> None:
    figures = Figures(started_at=START)
    for took_s in (0.0, 0.01, 0.011, 0.5, 300.0, 301.0):
        figures.add(ended(took_s=took_s))
    totals = figures.totals(START)
    assert len(totals.took) == len(SECONDS) + 1
    bounds = [*SECONDS, float("inf")]
    counted = {bound: n for bound, n in zip(bounds, totals.took, strict=True) if n}
    assert counted == {0.01: 2, 0.025: 1, 0.5: 1, 300.0: 1, float("inf"): 1}
    assert totals.message_s == pytest.approx(601.521)


def test_many_threads_lose_nothing() -> None:
    figures = Figures(started_at=START, window_s=5)

    def count(part: int) -> None:
        for number in range(500):
            figures.add(ended(after_s=number, created=1, warnings_count=part))
            figures.add_handle_time(1.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    totals = figures.totals(at(500))
    assert (totals.messages, totals.handles, totals.warnings) == (4000, 4000, 500 * sum(range(8)))
    assert totals.handle_s == 4000.0


class TestTimedHandles:
    def test_the_time_of_registering_is_told_and_the_work_is_another_s(self) -> None:
        figures = Figures(started_at=START)
        ticks = iter([10.0, 10.5, 20.0, 20.25])
        handles = MemoryHandles()
        timed = TimedHandles(handles, figures, clock=lambda: next(ticks))
        record = HandleRecord("21.T/a", tuple(values_of(URL="https://h/1")))
        assert timed.register(record, STAMP) is Registered.CREATED
        assert timed.register(record, STAMP) is Registered.UNCHANGED
        assert timed.read("21.T/a") == handles.read("21.T/a") != None  # noqa: E711
        timed.probe()
        timed.close()
        assert figures.totals(START).handle_s == 0.75

    def test_failures_take_time_too(self) -> None:
        figures = Figures(started_at=START)
        ticks = iter([1.0, 4.0])

        class Down(MemoryHandles):
            def register(self, record: HandleRecord, stamp: Stamp) -> Registered:  # noqa: ARG002
                raise RetryableError(HandleFault.UNAVAILABLE, "down")

        timed = TimedHandles(Down(), figures, clock=lambda: next(ticks))
        with pytest.raises(RetryableError, match="down"):
            timed.register(HandleRecord("21.T/a", ()), STAMP)
        assert figures.totals(START).handle_s == 3.0
