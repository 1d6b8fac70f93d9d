"""How far a group of consumers is behind a topic, and whether Kafka can be used at all."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_client import KafkaClient, KafkaOptions

_LATEST: Final = ("latest", "largest", "end")
_STEP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """Where a group stands in one partition."""

    at: TopicPartition
    committed: int | None
    """The offset that the group goes on from; None where it has committed none."""
    first: int
    """Offset of the oldest message that the partition still has."""
    end: int
    """Offset that the next new message will have."""
    reset: str
    """`auto.offset.reset`: `earliest`, `latest` or `error`."""

    @property
    def next(self) -> int:
        """The offset from which the group will really go on."""
        if self.committed is not None and self.first <= self.committed <= self.end:
            return self.committed
        return self.end if self.reset in _LATEST else self.first

    @property
    def behind(self) -> int:
        """Offsets that are still to be worked through; few of them may have no message."""
        return self.end - self.next

    @property
    def expired(self) -> int:
        """Offsets that were not worked through and whose messages Kafka has removed."""
        return 0 if self.committed is None else max(self.first - self.committed, 0)


def lag(options: KafkaOptions, topic: str, *, timeout_s: float = 10.0) -> list[PartitionLag]:
    """Ask how far the group `group.id` is behind; it does not join the group.

    Args:
        options: librdkafka's, secrets included.
        topic: an existing one.
        timeout_s: for all requests together, in seconds.

    Returns:
        One for each partition, by number.

    Raises:
        RetryableError: Kafka does not answer (`kafka_unavailable`).
        PermanentError: Kafka refuses, such as for an unknown topic (`kafka_refused`).
        BadInputError: an option cannot be used.
    """
    deadline = time.monotonic() + timeout_s
    what = f"the topic {topic} cannot be looked up"
    client = KafkaClient(options)
    try:
        described = _described(client, topic, what, deadline)
        ats = [TopicPartition(topic, number) for number in sorted(described)]
        return partition_lags(client.consumer, ats, client.reset, deadline)
    except KafkaException as error:
        raise client.failure(error.args[0], what) from error
    finally:
        client.close()


def probe(options: KafkaOptions, topic: str, *, timeout_s: float = 10.0) -> None:
    """See whether a topic can be read with a group; it changes nothing and does not join.

    Args:
        options: librdkafka's, secrets included.
        topic: is to exist.
        timeout_s: for all requests together, in seconds.

    Raises:
        RetryableError: Kafka does not answer (`kafka_unavailable`).
        PermanentError: Kafka refuses, such as for an unknown topic (`kafka_refused`).
        BadInputError: an option cannot be used.
    """
    lag(options, topic, timeout_s=timeout_s)


def partition_lags(
    consumer: Consumer, ats: Sequence[TopicPartition], reset: str, deadline: float
) -> list[PartitionLag]:
    """Where a consumer's group stands.

    Args:
        consumer: of the group; it may read something else.
        ats: partitions that exist.
        reset: `auto.offset.reset`.
        deadline: on the monotonic clock, in seconds.

    Raises:
        KafkaException: as librdkafka says.
    """
    asked = [KafkaPartition(at.topic, at.partition) for at in ats]
    lags = []
    for at, answer in zip(ats, consumer.committed(asked, timeout=_left_s(deadline)), strict=True):
        if answer.error is not None:
            raise KafkaException(answer.error)
        committed = answer.offset if answer.offset >= 0 else None
        wanted = KafkaPartition(at.topic, at.partition)
        first, end = consumer.get_watermark_offsets(wanted, timeout=_left_s(deadline))
        lags.append(PartitionLag(at, committed, first, end, reset))
    return lags


def _described(client: KafkaClient, topic: str, what: str, deadline: float) -> Collection[int]:
    while True:
        try:
            found = client.consumer.list_topics(topic, timeout=min(_left_s(deadline), _STEP_S))
        except KafkaException:
            # What is wrong with the credentials is said on the side, and ends the wait.
            client.serve()
            client.raise_refusal(what)
            if time.monotonic() >= deadline:
                raise
            continue
        described = found.topics[topic]
        if described.error is not None:
            raise KafkaException(described.error)
        if not described.partitions:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        numbers: Collection[int] = described.partitions
        return numbers


def _left_s(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.1)
