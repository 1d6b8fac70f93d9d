"""What every source of messages promises: the adapter of Kafka, and the fake."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError

from estinel_assets.demo.kafka_broker import KafkaCluster, Produced, produce
from estinel_assets.errors import PermanentError, RetryableError
from estinel_assets.pids.incoming import (
    IncomingMessage,
    MessageSource,
    Position,
    TopicPartition,
)
from estinel_assets.pids.kafka_client import KafkaOption
from estinel_assets.pids.kafka_lag import lag
from estinel_assets.pids.kafka_source import GroupSource, RangeSource
from tests.support.kafka import Api, Faults, group_options
from tests.support.memory_messages import MemoryGroupSource, MemoryRangeSource, MemoryTopic

PATIENCE_S = 20.0


class Topic(Protocol):
    """A topic with three partitions, and one group."""

    name: str

    def produce(self, *messages: Produced) -> list[Position]: ...
    def member(self) -> MessageSource: ...
    def range(self, at: TopicPartition, first: int, last: int) -> MessageSource: ...
    def committed(self, at: TopicPartition) -> int | None: ...
    def expire(self, at: TopicPartition, before: int) -> None: ...
    def expel(self) -> None: ...
    def delete(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.name = "topic"
        self._topic = MemoryTopic(self.name, 3)

    def produce(self, *messages: Produced) -> list[Position]:
        return [self._topic.produce(message) for message in messages]

    def member(self) -> MessageSource:
        return MemoryGroupSource(self._topic, "group")

    def range(self, at: TopicPartition, first: int, last: int) -> MessageSource:
        return MemoryRangeSource(self._topic, "group", at, first, last)

    def committed(self, at: TopicPartition) -> int | None:
        return self._topic.committed("group", at)

    def expire(self, at: TopicPartition, before: int) -> None:
        self._topic.expire(at, before)

    def expel(self) -> None:
        self._topic.expel("group")

    def delete(self) -> None:
        self._topic.deleted = True


class InKafka:
    def __init__(self, cluster: KafkaCluster, **more: KafkaOption) -> None:
        self.name = f"topic-{uuid4()}"
        cluster.create(self.name, 3)
        self._address = cluster.address
        self._faults = Faults(cluster)
        self._options = group_options(cluster.address, f"group-{self.name}", **more)

    def produce(self, *messages: Produced) -> list[Position]:
        return produce(self._address, self.name, messages)

    def member(self) -> MessageSource:
        return GroupSource(self._options, self.name)

    def range(self, at: TopicPartition, first: int, last: int) -> MessageSource:
        return RangeSource(self._options, at, first, last)

    def committed(self, at: TopicPartition) -> int | None:
        return lag(self._options, self.name)[at.partition].committed

    def expire(self, at: TopicPartition, before: int) -> None:
        self._faults.remove_before(at, before)

    def expel(self) -> None:
        self._faults.fail(Api.HEARTBEAT, KafkaError.UNKNOWN_MEMBER_ID)

    def delete(self) -> None:
        self._faults.delete(self.name)


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as made:
        yield made


@pytest.fixture(params=["kafka", "kafka, cooperative", "memory"])
def topic(request: pytest.FixtureRequest, cluster: KafkaCluster) -> Topic:
    if request.param == "memory":
        return InMemory()
    strategy = "range,roundrobin" if request.param == "kafka" else "cooperative-sticky"
    return InKafka(cluster, partition_assignment_strategy=strategy)


@pytest.fixture(params=["kafka", "memory"])
def impatient(request: pytest.FixtureRequest, cluster: KafkaCluster) -> Topic:
    """Whose brokers give the place of a silent member away soon."""
    short: dict[str, Any] = {"session_timeout_ms": 700}
    return InMemory() if request.param == "memory" else InKafka(cluster, **short)


@dataclass
class Worker:
    """Takes messages, and keeps what it was told."""

    source: MessageSource
    own: set[TopicPartition] = field(default_factory=set)
    told: list[tuple[str, tuple[TopicPartition, ...]]] = field(default_factory=list)
    taken: list[IncomingMessage] = field(default_factory=list)
    when_revoked: Callable[[Sequence[TopicPartition]], None] = lambda _: None
    when_lost: Callable[[Sequence[TopicPartition]], None] = lambda _: None

    def __enter__(self) -> "Worker":
        self.source.open(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        assert not self.own & set(partitions)
        self.own |= set(partitions)
        self.told.append(("assigned", tuple(partitions)))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.when_revoked(partitions)
        self.own -= set(partitions)
        self.told.append(("revoked", tuple(partitions)))

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.when_lost(partitions)
        self.own -= set(partitions)
        self.told.append(("lost", tuple(partitions)))

    def words(self) -> list[str]:
        return [word for word, _ in self.told]

    def take(self, most: int = 50, timeout_s: float = 0.05) -> list[IncomingMessage]:
        found = list(self.source.poll(most, timeout_s))
        assert len(found) <= most
        assert all(_at(message) in self.own for message in found)
        self.taken += found
        return found

    def take_all(self, count: int) -> list[IncomingMessage]:
        self.take_until(lambda: len(self.taken) >= count)
        return self.taken

    def take_to_the_end(self) -> list[IncomingMessage]:
        self.take_until(lambda: self.source.ended)
        return self.taken

    def take_until(self, done: Callable[[], bool]) -> None:
        def looked() -> bool:
            self.take()
            return done()

        _until(looked)


def _at(message: IncomingMessage) -> TopicPartition:
    assert message.position is not None
    return message.position.at


def _offsets(messages: Sequence[IncomingMessage], at: TopicPartition) -> list[int]:
    standing = [message.position for message in messages]
    return [one.offset for one in standing if one is not None and one.at == at]


def _until(done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, "it does not come"


def _numbered(count: int, **more: Any) -> list[Produced]:
    return [Produced(b"%d" % number, key=b"k%d" % number, **more) for number in range(count)]


def test_all_messages_come_in_the_order_of_their_partitions(topic: Topic) -> None:
    positions = topic.produce(*_numbered(40))
    with Worker(topic.member()) as worker:
        taken = worker.take_all(40)
        assert not worker.take()
        assert {message.position for message in taken} == set(positions)
        for at in worker.own:
            assert _offsets(taken, at) == list(range(len(_offsets(taken, at))))
        assert not worker.source.ended
        (late,) = topic.produce(Produced(b"late"))
        assert worker.take_all(41)[-1].position == late
    assert worker.words() == ["assigned", "revoked"]
    assert len(worker.told[0][1]) == 3


def test_key_headers_time_and_body_are_kept(topic: Topic) -> None:
    headers = (("a", b"1"), ("a", b"\xff\x00"), ("é", None), ("b", b""))
    sent_at = datetime(2024, 2, 29, 23, 59, 59, 123000, tzinfo=UTC)
    (first, second) = topic.produce(
        Produced(b"\x00\xff{}", b"\xfekey", headers, 1, sent_at),
        Produced(None, b"key", (), 1),
    )
    before = datetime.now(UTC)
    with Worker(topic.member()) as worker:
        full, tombstone = worker.take_all(2)
    assert full == IncomingMessage(first.unit, b"\x00\xff{}", b"\xfekey", headers, sent_at)
    assert (tombstone.unit, tombstone.body, tombstone.key) == (second.unit, None, b"key")
    assert tombstone.headers == ()
    assert tombstone.received_at is not None
    assert abs((before - tombstone.received_at).total_seconds()) < 60
    assert tombstone.received_at.tzinfo is UTC


def test_a_group_goes_on_from_what_was_committed(topic: Topic) -> None:
    topic.produce(*_numbered(9, partition=0), *_numbered(4, partition=2))
    left, right = TopicPartition(topic.name, 0), TopicPartition(topic.name, 2)
    with Worker(topic.member()) as worker:
        worker.take_all(13)
        worker.source.commit({left: 5, right: 4})
        assert (topic.committed(left), topic.committed(right)) == (5, 4)
        worker.source.commit({left: 7})
        worker.source.commit({})
    with Worker(topic.member()) as worker:
        again = worker.take_all(2)
        assert not worker.take()
    assert _offsets(again, left) == [7, 8]
    assert topic.committed(TopicPartition(topic.name, 1)) is None


def test_nothing_is_committed_by_itself(topic: Topic) -> None:
    (position, *_) = topic.produce(*_numbered(5))
    with Worker(topic.member()) as worker:
        worker.take_all(5)
    assert topic.committed(position.at) is None
    with Worker(topic.member()) as worker:
        worker.take_all(5)


def test_polling_for_none_takes_none_and_loses_none(topic: Topic) -> None:
    topic.produce(*_numbered(200))
    with Worker(topic.member()) as worker:
        _until(lambda: worker.take(0, 0.02) == [] and worker.own)
        for _ in range(5):
            assert worker.take(0, 0.01) == []
        assert len(worker.take_all(60)) >= 60
        for _ in range(5):
            assert worker.take(0, 0.01) == []
        taken = worker.take_all(200)
        assert len({message.unit for message in taken}) == len(taken) == 200
        for at in worker.own:
            assert _offsets(taken, at) == sorted(_offsets(taken, at))


def test_a_second_member_gets_a_share_and_what_was_committed_is_not_repeated(
    topic: Topic,
) -> None:
    topic.produce(*(message for at in range(3) for message in _numbered(4, partition=at)))
    first, second = Worker(topic.member()), Worker(topic.member())

    def commit(partitions: Sequence[TopicPartition]) -> None:
        # While partitions are dealt out anew, a broker may refuse.
        with suppress(RetryableError):
            first.source.commit(dict.fromkeys(partitions, 3))

    first.when_revoked = commit
    with first:
        first.take_all(12)
        first.source.commit(dict.fromkeys(first.own, 3))
        with second:

            def shared() -> bool:
                first.take(0, 0.01)
                second.take(0, 0.01)
                return len(first.own | second.own) == 3 and bool(first.own) and bool(second.own)

            _until(shared)
            assert not first.own & second.own
            assert "revoked" in first.words()
            moved = set(second.own)
            _until(lambda: second.take() and {_at(one) for one in second.taken} == moved)
            assert all(_offsets(second.taken, at) == [3] for at in moved)
            with pytest.raises(RetryableError, match="not committed"):
                first.source.commit(dict.fromkeys(moved, 4))
        _until(lambda: not first.take(0, 0.01) and len(first.own) == 3)
    assert first.words()[-1] == second.words()[-1] == "revoked"


def test_after_a_loss_nothing_can_be_committed_and_all_comes_again(impatient: Topic) -> None:
    topic = impatient
    topic.produce(*_numbered(6))
    with Worker(topic.member()) as worker:
        worker.take_all(6)
        held = dict.fromkeys(worker.own, 1)

        def commit(_: Sequence[TopicPartition]) -> None:
            with pytest.raises(RetryableError, match="not committed"):
                worker.source.commit(held)

        worker.when_lost = commit
        topic.expel()
        _until(lambda: worker.take(0, 0.01) or "lost" in worker.words())
        assert all(topic.committed(at) is None for at in held)
        worker.take_all(12)
        assert worker.words() == ["assigned", "lost", "assigned"]
        assert len({message.unit for message in worker.taken}) == 6


def test_a_range_ends_with_its_last_message(topic: Topic) -> None:
    topic.produce(*_numbered(9, partition=1))
    at = TopicPartition(topic.name, 1)
    with Worker(topic.range(at, 0, 3)) as worker:
        assert not worker.source.ended
        assert worker.source.beyond == {}
        _until(lambda: worker.take(3) and worker.source.ended)
        assert worker.source.beyond == {at: 4}
        assert _offsets(worker.taken, at) == [0, 1, 2, 3]
        assert worker.take() == []
        worker.source.commit({at: 3})
        worker.source.commit({at: 4})
    assert worker.told == [("assigned", (at,)), ("revoked", (at,))]
    assert topic.committed(at) == 4


def test_a_range_takes_the_group_neither_back_nor_over_a_gap(topic: Topic) -> None:
    topic.produce(*_numbered(9, partition=1))
    at = TopicPartition(topic.name, 1)
    for first, last, then in ((2, 4, None), (0, 5, 6), (0, 2, 6), (7, 8, 6), (6, 8, 9)):
        with Worker(topic.range(at, first, last)) as worker:
            worker.take_to_the_end()
            worker.source.commit({at: last + 1})
            assert worker.take() == []
        assert topic.committed(at) == then, (first, last)


def test_a_range_whose_first_messages_are_gone(topic: Topic) -> None:
    topic.produce(*_numbered(9, partition=1))
    at = TopicPartition(topic.name, 1)
    topic.expire(at, 4)
    with Worker(topic.range(at, 2, 5)) as worker:
        worker.take_to_the_end()
        assert _offsets(worker.taken, at) == [4, 5]
    with Worker(topic.range(at, 0, 3)) as worker:
        worker.take_to_the_end()
        assert worker.taken == []
        assert worker.source.beyond == {at: 4}


def test_a_range_that_begins_at_the_end_is_empty(topic: Topic) -> None:
    topic.produce(*_numbered(3, partition=1))
    at = TopicPartition(topic.name, 1)
    with Worker(topic.range(at, 3, 7)) as worker:
        worker.take_to_the_end()
        assert worker.taken == []
        assert worker.source.beyond == {at: 3}


def test_a_topic_that_was_deleted_is_said_so(topic: Topic) -> None:
    topic.produce(*_numbered(3))
    with Worker(topic.member()) as worker:
        worker.take_all(3)
        topic.delete()
        with pytest.raises(PermanentError, match=topic.name) as caught:
            worker.take_until(lambda: False)
    assert caught.value.reason == "kafka_refused"
