"""Messages from Kafka: of a group of consumers, or a range of one partition.

Nothing is committed but what `commit` is told to. librdkafka tries requests again by itself; what
comes through here are refusals, and brokers that stay silent.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.pids.incoming import IncomingMessage, PartitionListener, TopicPartition
from estinel_assets.pids.kafka_client import KafkaClient, KafkaFault, KafkaOptions
from estinel_assets.pids.kafka_gaps import Gaps
from estinel_assets.pids.kafka_lag import partition_lags
from estinel_assets.pids.kafka_reading import KafkaReading, partitions_of

__all__ = ["GroupSource", "KafkaFault", "KafkaOptions", "RangeSource"]

_REQUEST_S: Final = 10.0
_DEALT_OUT: Final = frozenset(
    {
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 - librdkafka's own errors are called so
    }
)
"""Errors of a commit by one that is no member (any more), or not of this deal."""

logger = logging.getLogger(__name__)


class GroupSource(KafkaReading):
    """A member of a group of consumers; Kafka gives it partitions, and takes them away.

    Args:
        options: librdkafka's; `bootstrap.servers` and `group.id` are needed.
        topic: an existing one.
        patience_s: brokers may be silent for so long, in seconds.

    Raises:
        BadInputError: an option cannot be used.
    """

    def __init__(self, options: KafkaOptions, topic: str, *, patience_s: float = 60.0) -> None:
        super().__init__(options, topic, patience_s)

    def open(self, listener: PartitionListener) -> None:
        """See `MessageSource`."""
        client = KafkaClient(self.options)
        self.opened = client, listener, Gaps(client)
        client.consumer.subscribe(
            [self.topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )

    @property
    def ended(self) -> bool:
        """Never: there may always be another message."""
        return False

    @property
    def beyond(self) -> Mapping[TopicPartition, int]:
        """See `MessageSource`: nothing."""
        return {}

    def close(self) -> None:
        """See `MessageSource`; may be called twice."""
        if self.opened is None:
            return
        client, listener, _ = self.opened
        try:
            client.close()
            if client.broken and self.own:
                listener.lost(sorted(self.own))
        finally:
            self.end()

    def not_committed(
        self, client: KafkaClient, error: KafkaError | None
    ) -> PermanentError | RetryableError:
        """The error for offsets that were not committed; the partitions may be another one's."""
        if error is None or error.code() not in _DEALT_OUT:
            return super().not_committed(client, error)
        return RetryableError(
            KafkaFault.UNAVAILABLE,
            f"offsets of {self.topic} were not committed: the partitions of the group "
            f"{client.group} are dealt out anew ({error.str()}); whoever gets them takes their "
            "messages again",
        )

    def _assigned(self, _consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        client, listener, gaps = self.parts
        ours = partitions_of(partitions)
        self.own.update(ours)
        self.flowing = None
        client.alive()
        gaps.forget(ours)
        if ours:
            listener.assigned(ours)

    def _revoked(self, _consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        _, listener, _ = self.parts
        gone = partitions_of(partitions)
        self.drop(gone)
        try:
            if gone:
                listener.revoked(gone)
        finally:
            self.own.difference_update(gone)

    def _lost(self, _consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        _, listener, _ = self.parts
        gone = partitions_of(partitions)
        self.drop(gone)
        self.own.difference_update(gone)
        if gone:
            listener.lost(gone)


class RangeSource(KafkaReading):
    """Some offsets of one partition, without being a member of the group.

    Its commits count for the group, as long as that has no members. They never take it back, nor
    over offsets before the range.

    Args:
        options: librdkafka's; `bootstrap.servers` and `group.id` are needed.
        at: an existing partition.
        first: the first offset.
        last: the last offset.
        patience_s: brokers may be silent for so long, in seconds.

    Raises:
        BadInputError: an option cannot be used, or it is no range.
    """

    def __init__(
        self,
        options: KafkaOptions,
        at: TopicPartition,
        first: int,
        last: int,
        *,
        patience_s: float = 60.0,
    ) -> None:
        if not 0 <= first <= last or at.partition < 0:
            raise BadInputError(
                f"{first} to {last} is no range of offsets of {at.topic}/{at.partition}: name "
                "a first and a last one, from 0 on"
            )
        super().__init__(options, at.topic, patience_s)
        self._at = at
        self._first, self._last = first, last
        self._through = False
        """Nothing of the range is still to come from Kafka."""
        self._beyond = last + 1

    def open(self, listener: PartitionListener) -> None:
        """See `MessageSource`."""
        # Offsets that are gone are skipped, whatever holds for the group.
        client = KafkaClient(
            {**self.options, "auto.offset.reset": "earliest"}, enable_partition_eof=True
        )
        self.opened = client, listener, Gaps(client, {self._at: self._first})
        client.consumer.assign([KafkaPartition(self._at.topic, self._at.partition, self._first)])

    def poll(self, most: int, timeout_s: float) -> Sequence[IncomingMessage]:
        """See `MessageSource`."""
        _, listener, _ = self.parts
        if not self.own:
            self.own = {self._at}
            listener.assigned([self._at])
        return () if self.ended else super().poll(most, timeout_s)

    @property
    def ended(self) -> bool:
        """Whether all messages of the range were handed out that Kafka still has."""
        return self._through and not self.held

    @property
    def beyond(self) -> Mapping[TopicPartition, int]:
        """See `MessageSource`."""
        return {self._at: self._beyond} if self.ended else {}

    def close(self) -> None:
        """See `MessageSource`; may be called twice."""
        if self.opened is None:
            return
        client, listener, _ = self.opened
        self.held.clear()
        try:
            if self.own:
                listener.revoked([self._at])
        finally:
            self.end()
            client.close()

    @property
    def over(self) -> bool:
        """Whether the range has come."""
        return self._through

    @property
    def what(self) -> str:
        """What does not work where an error comes."""
        return f"the partition {self._at.topic}/{self._at.partition} cannot be read"

    def receive(self, client: KafkaClient, message: Message) -> None:
        """Keep a message of the range; the first one beyond it is its end."""
        offset = message.offset()
        if message.error() is None and offset is not None:
            client.alive()
            if self._through or not self._first <= offset <= self._last:
                self._stop(client, end=None if offset > self._last else offset)
                return
        super().receive(client, message)
        if message.error() is None and offset == self._last:
            self._stop(client, end=None)

    def at_end(self, offset: int) -> None:
        """The log ends: whatever of the range has not come has no message."""
        client, _, _ = self.parts
        self._stop(client, end=offset if offset <= self._last else None)

    def _stop(self, client: KafkaClient, *, end: int | None) -> None:
        if self._through:
            return
        self._through = True
        if end is not None:
            self._beyond = end
        client.consumer.pause([KafkaPartition(self._at.topic, self._at.partition)])
        if end is not None:
            logger.warning(
                "%s/%d: the range of offsets %d to %d reaches beyond what Kafka has; it ends or "
                "begins again at %d",
                *self._at,
                self._first,
                self._last,
                end,
            )

    def commit_ours(self, client: KafkaClient, following: Mapping[TopicPartition, int]) -> None:
        """Commit where the range takes the group further without a gap."""
        reset = self.options.get("auto.offset.reset", client.reset)
        deadline = time.monotonic() + _REQUEST_S
        try:
            (standing,) = partition_lags(client.consumer, [self._at], str(reset), deadline)
        except KafkaException as error:
            raise self.not_committed(client, error.args[0]) from error
        if not self._first <= standing.next < following[self._at]:
            logger.info(
                "%s/%d: offset %d is not committed: the group %s goes on at %d, and the range "
                "began at %d",
                *self._at,
                following[self._at],
                client.group,
                standing.next,
                self._first,
            )
            return
        super().commit_ours(client, following)

    def not_committed(
        self, client: KafkaClient, error: KafkaError | None
    ) -> PermanentError | RetryableError:
        """The error for offsets that were not committed; the group may have members."""
        if error is not None and error.code() in _DEALT_OUT:
            return RetryableError(
                KafkaFault.UNAVAILABLE,
                f"{self._at.topic}/{self._at.partition}: offsets of a range cannot be committed "
                f"while the group {client.group} has members; stop its consumers, or leave "
                "the messages to them",
            )
        return super().not_committed(client, error)
