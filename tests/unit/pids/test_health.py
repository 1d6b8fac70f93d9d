"""Verdicts on a group's lag and on the faults of the last day."""

from datetime import UTC, datetime, timedelta

import pytest

from estinel_assets.outcomes.ledger import Entry
from estinel_assets.pids.health import MOST_BEHIND, SHOWN, consumer_lag, message_fault_rate
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import PartitionLag

NOW = datetime(2024, 12, 4, 12, 0, tzinfo=UTC)


def standing(
    partition: int, behind: int, *, committed: int = 100_000, gone: int = 0
) -> PartitionLag:
    first, end = committed + gone, committed + gone + behind
    return PartitionLag(TopicPartition("CMIP6", partition), committed, first, end, "earliest")


def entry(offset: int, reason: str = "none", *, hours_ago: float = 1.0) -> Entry:
    at = NOW - timedelta(hours=hours_ago)
    return Entry(("CMIP6", "0", str(offset)), reason == "none", reason, "p", "e", at)


def test_a_group_may_be_behind_by_so_many_over_all_partitions() -> None:
    verdict = consumer_lag([standing(0, MOST_BEHIND - 10), standing(1, 10), standing(2, 0)])
    assert verdict.passed
    assert verdict.numbers == {
        "partitions": 3,
        "behind": MOST_BEHIND,
        "most_behind": MOST_BEHIND - 10,
        "expired": 0,
    }
    assert verdict.failing == ()

    late = consumer_lag([standing(0, 1), standing(1, MOST_BEHIND), standing(2, 0)])
    assert not late.passed
    assert late.failing == ("CMIP6/1", "CMIP6/0")
    assert late.description == "10001 messages wait"


def test_messages_that_kafka_removed_fail_it_though_none_waits() -> None:
    verdict = consumer_lag([standing(0, 5), standing(1, 0, gone=7)])

    assert not verdict.passed
    assert verdict.failing == ("CMIP6/1", "CMIP6/0")
    assert verdict.numbers["expired"] == 7
    assert "7 were removed from Kafka before they were registered" in verdict.description


def test_a_lag_that_nobody_knows_fails() -> None:
    verdict = consumer_lag((), "no broker answers")

    assert not verdict.passed
    assert verdict.description == "nobody can say what waits: no broker answers"


def test_one_fault_in_ten_passes_and_more_do_not() -> None:
    good = [entry(number) for number in range(9)]
    fault = entry(100, "invalid_message", hours_ago=2)

    assert message_fault_rate([], NOW).passed
    assert message_fault_rate([*good, fault], NOW).passed
    verdict = message_fault_rate([*good, fault, entry(7, "invalid_message")], NOW)
    assert not verdict.passed
    assert verdict.numbers == {"messages": 11, "faults": 2, "share": 0.1818}
    assert verdict.failing == ("CMIP6/0/7", "CMIP6/0/100")
    assert verdict.description == (
        "2 of 11 messages of the last 24 hours ended with a fault, most of them invalid_message"
    )


@pytest.mark.parametrize("count", [SHOWN - 1, SHOWN + 1])
def test_the_newest_faults_are_named_and_no_more_than_can_be_read(count: int) -> None:
    faults = [entry(n, "handle_refused", hours_ago=n / 100) for n in range(count)]

    named = message_fault_rate(faults, NOW).failing

    assert named == tuple(f"CMIP6/0/{n}" for n in range(min(count, SHOWN)))


def test_faults_of_yesterday_say_nothing() -> None:
    old = [entry(number, "handle_unavailable", hours_ago=24.1) for number in range(20)]

    verdict = message_fault_rate([*old, entry(50)], NOW)

    assert verdict.passed
    assert verdict.numbers["messages"] == 1
