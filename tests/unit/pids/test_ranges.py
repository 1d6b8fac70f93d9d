"""Which ranges of offsets are worked through next."""

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import PartitionLag
from estinel_assets.pids.ranges import OffsetRange, next_ranges, range_of

TOPIC = "CMIP6"


def at(partition: int) -> TopicPartition:
    return TopicPartition(TOPIC, partition)


def standing(
    partition: int, committed: int | None, end: int, *, first: int = 0, reset: str = "earliest"
) -> PartitionLag:
    return PartitionLag(at(partition), committed, first, end, reset)


def texts(found: list[OffsetRange]) -> list[str]:
    return [str(one) for one in found]


def test_a_range_is_named_by_its_offsets_and_known_by_where_it_begins() -> None:
    part = OffsetRange(at(3), 500, 999)

    assert str(part) == "CMIP6/3/500-999"
    assert part.start == OffsetRange(at(3), 500, 1200).start == "CMIP6/3/500"


@pytest.mark.parametrize(("partition", "first", "last"), [(0, 5, 4), (0, -1, 4), (-1, 0, 0)])
def test_a_range_without_offsets_is_none(partition: int, first: int, last: int) -> None:
    with pytest.raises(BadInputError, match="no range of offsets"):
        OffsetRange(at(partition), first, last)


def test_the_furthest_behind_come_first_one_range_each() -> None:
    lags = [standing(0, 90, 100), standing(1, 0, 40), standing(2, 7, 7), standing(3, 0, 40)]

    assert texts(next_ranges(lags)) == ["CMIP6/1/0-39", "CMIP6/3/0-39", "CMIP6/0/90-99"]


def test_a_range_and_their_number_are_bounded() -> None:
    lags = [standing(number, 10, 1000) for number in range(5)]

    found = next_ranges(lags, messages=100, ranges=2)

    assert texts(found) == ["CMIP6/0/10-109", "CMIP6/1/10-109"]


def test_partitions_that_are_worked_on_are_left_alone() -> None:
    lags = [standing(0, 0, 10), standing(1, 0, 5)]

    assert texts(next_ranges(lags, {at(0)})) == ["CMIP6/1/0-4"]
    assert next_ranges(lags, {at(0), at(1)}) == []


def test_a_group_that_committed_nothing_begins_where_its_options_say() -> None:
    lags = [standing(0, None, 30, first=20), standing(1, None, 30, reset="latest")]

    assert texts(next_ranges(lags)) == ["CMIP6/0/20-29"]


def test_what_kafka_has_removed_is_not_asked_for() -> None:
    assert texts(next_ranges([standing(0, 3, 30, first=10)])) == ["CMIP6/0/10-29"]


def test_a_config_names_a_whole_range_or_none() -> None:
    assert range_of(TOPIC, None, None, None) is None
    assert range_of(TOPIC, 1, 0, 0) == OffsetRange(at(1), 0, 0)
    with pytest.raises(BadInputError, match="not 1, 0 and None"):
        range_of(TOPIC, 1, 0, None)
    with pytest.raises(BadInputError, match="not None, 0 and 5"):
        range_of(TOPIC, None, 0, 5)
