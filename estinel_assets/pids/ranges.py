"""Ranges of offsets: what one run of Dagster's works through. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from estinel_assets.errors import BadInputError
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import PartitionLag

MESSAGES_A_RUN = 5000
"""Offsets of a partition that one run takes at most: a run costs seconds before it begins."""
RANGES_AT_ONCE = 8
"""Ranges that are asked for, or taken, at once."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets of one partition; few of them may have no message."""

    at: TopicPartition
    first: int
    last: int
    """The last one that belongs to it."""

    def __post_init__(self) -> None:
        """Refuse a range without offsets.

        Raises:
            BadInputError: there is none in it, or one cannot be.
        """
        if not 0 <= self.first <= self.last or self.at.partition < 0:
            raise BadInputError(
                f"{self} is no range of offsets: give a partition, and a first and a last offset "
                "that is not smaller, all of them 0 or more"
            )

    def __str__(self) -> str:
        """As in `CMIP6/3/5000-9999`."""
        return f"{self.start}-{self.last}"

    @property
    def start(self) -> str:
        """Where it begins, as in `CMIP6/3/5000`: how far it reaches depends on when one looks."""
        return f"{self.at.topic}/{self.at.partition}/{self.first}"


def range_of(
    topic: str, partition: int | None, first: int | None, last: int | None
) -> OffsetRange | None:
    """The range that a run's config names; None where it names none.

    Args:
        topic: the topic of the configuration.
        partition: of the topic.
        first: the first offset.
        last: the last offset.

    Raises:
        BadInputError: some of it is missing, or it holds no offset.
    """
    if partition is None and first is None and last is None:
        return None
    if partition is None or first is None or last is None:
        raise BadInputError(
            f"a range needs partition, first and last, not {partition}, {first} and {last}; leave "
            "all of them out for what the group is behind now"
        )
    return OffsetRange(TopicPartition(topic, partition), first, last)


def next_ranges(
    lags: Iterable[PartitionLag],
    busy: Collection[TopicPartition] = (),
    *,
    messages: int = MESSAGES_A_RUN,
    ranges: int = RANGES_AT_ONCE,
) -> list[OffsetRange]:
    """What is to be done next of the partitions that are behind, the furthest behind first.

    Args:
        lags: where the group stands in each partition.
        busy: partitions that somebody works on already.
        messages: most offsets in a range.
        ranges: most ranges; one a partition.
    """
    behind = [lag for lag in lags if lag.behind > 0 and lag.at not in busy]
    behind.sort(key=lambda lag: (-lag.behind, lag.at))
    return [
        OffsetRange(lag.at, lag.next, min(lag.next + messages, lag.end) - 1)
        for lag in behind[:ranges]
    ]
