"""A message as it came in, from Kafka or from a file that keeps it for another attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from estinel_assets.outcomes.paths import Key


class TopicPartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a message stands in Kafka."""

    at: TopicPartition
    offset: int

    @property
    def unit(self) -> Key:
        """The key of its outcome."""
        return self.at.topic, str(self.at.partition), str(self.offset)


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message, not yet looked at."""

    unit: Key
    """The key of its outcome: topic, partition and offset, or, for one that another program kept
    without them, `files` and a digest of its body."""
    body: bytes | None
    """None for a message without a value."""
    key: bytes | None = None
    """Its key in Kafka, by custom the id of its item."""
    headers: tuple[tuple[str, bytes | None], ...] = ()
    received_at: datetime | None = None
    """Its time in Kafka, UTC; None where it has none."""
    retries: int = 0
    """How often it was tried again before, from files of failures."""

    @property
    def position(self) -> Position | None:
        """Where it stands in Kafka; None where that is not known."""
        if len(self.unit) != 3:
            return None
        topic, partition, offset = self.unit
        return Position(TopicPartition(topic, int(partition)), int(offset))


class PartitionListener(Protocol):
    """Whoever works through messages, and is told which partitions are its own."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """These are ours from now on."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These are ours until this returns: what is done can still be committed."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are another one's already: nothing of them may be committed any more."""


class MessageSource(Protocol):
    """Messages in the order of their offsets, partition by partition. For one thread alone."""

    def open(self, listener: PartitionListener) -> None:
        """Begin; the listener is called from within `poll` and `close` only."""

    def poll(self, most: int, timeout_s: float) -> Sequence[IncomingMessage]:
        """The next messages.

        Must be called all the time, also while nothing can be taken: then with `most` 0, which
        takes none, and keeps the place in the group.

        Args:
            most: at most so many.
            timeout_s: longest wait for the first one, in seconds.

        Raises:
            RetryableError: Kafka cannot be reached (`kafka_unavailable`).
            PermanentError: Kafka refuses, such as for an unknown topic (`kafka_refused`).
        """

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        """Let the group go on from these offsets, for good when this returns.

        Args:
            following: the offset after the last message that is done, by partition.

        Raises:
            RetryableError: it is not sure that they are committed; the messages may come again.
        """

    @property
    def ended(self) -> bool:
        """Whether no further message will come: all of a given range were handed out."""

    @property
    def beyond(self) -> Mapping[TopicPartition, int]:
        """Where the group goes on after a range that has ended, by partition; else nothing.

        Its last offsets may have no message, and what follows the last message is not it then.
        """

    def close(self) -> None:
        """Leave the group; partitions are revoked before."""
