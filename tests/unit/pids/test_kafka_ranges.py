"""Ranges of offsets some of which have no message, as after transactions and compaction."""

import logging
from collections.abc import Iterator

import pytest
from confluent_kafka import Message

from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import PartitionLag
from estinel_assets.pids.kafka_source import RangeSource
from tests.support.kafka import Told
from tests.support.memory_messages import MemoryRangeSource, MemoryTopic, Produced

AT = TopicPartition("topic", 0)


@pytest.fixture
def source() -> Iterator[RangeSource]:
    made = RangeSource({"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}, AT, 5, 9)
    made.open(Told())
    yield made
    made.close()


def _receive(source: RangeSource, offset: int) -> None:
    client, _, _ = source.parts
    source.receive(client, Message("topic", 0, offset, None, b"1", None, None, (1, 2**60)))


def test_the_first_message_beyond_the_range_ends_it(source: RangeSource) -> None:
    _receive(source, 5)
    assert not source.ended
    _receive(source, 11)
    (message,) = source.poll(5, 0)
    assert message.unit == ("topic", "0", "5")
    assert message.received_at is None, "there is no such year"
    assert source.ended
    assert source.beyond == {AT: 10}


def test_the_end_of_the_log_ends_it(source: RangeSource, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _receive(source, 5)
        source.at_end(10)
        assert len(source.poll(5, 0)) == 1
    assert source.ended
    assert "beyond" not in caplog.text


def test_a_log_that_ends_within_the_range_is_said_so(
    source: RangeSource, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        source.at_end(7)
    assert source.ended
    assert source.beyond == {AT: 7}
    assert "offsets 5 to 9 reaches beyond what Kafka has; it ends or begins again at 7" in (
        caplog.text
    )


def test_the_fake_ends_the_same_way() -> None:
    topic = MemoryTopic("topic", 1)
    topic.leave_out(AT, 2)
    topic.produce(Produced(b"1"))
    topic.leave_out(AT)
    source = MemoryRangeSource(topic, "g", AT, 0, 3)
    source.open(Told())
    assert [message.unit[2] for message in source.poll(9, 0)] == ["2"]
    assert source.ended
    source.commit({AT: 4})
    assert topic.committed("g", AT) == 4


@pytest.mark.parametrize(
    ("committed", "first", "end", "reset", "then", "behind", "expired"),
    [
        (None, 0, 0, "earliest", 0, 0, 0),
        (None, 3, 9, "earliest", 3, 6, 0),
        (None, 3, 9, "latest", 9, 0, 0),
        (5, 3, 9, "latest", 5, 4, 0),
        (9, 3, 9, "earliest", 9, 0, 0),
        (1, 3, 9, "earliest", 3, 6, 2),
        (1, 3, 9, "latest", 9, 0, 2),
        (12, 3, 9, "earliest", 3, 6, 0),
    ],
)
def test_how_far_a_group_is_behind(
    committed: int | None,
    first: int,
    end: int,
    reset: str,
    then: int,
    behind: int,
    expired: int,
) -> None:
    lag = PartitionLag(AT, committed, first, end, reset)
    assert (lag.next, lag.behind, lag.expired) == (then, behind, expired)
