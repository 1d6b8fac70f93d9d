"""A source in memory that does what a test wants: rebalances, repetitions, refusals."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from estinel_assets.errors import RetryableError
from estinel_assets.pids.incoming import (
    IncomingMessage,
    PartitionListener,
    Position,
    TopicPartition,
)
from estinel_assets.pids.kafka_client import KafkaFault
from tests.support.memory_messages import MemoryGroupSource, MemoryTopic

TOPIC = "CMIP6"
GROUP = "group"
_POLL_S = 0.002


def at(partition: int) -> TopicPartition:
    """A partition of the topic."""
    return TopicPartition(TOPIC, partition)


class Log(MemoryTopic):
    """A topic that has one group."""

    def __init__(self, partitions: int = 1) -> None:
        super().__init__(TOPIC, partitions)
        self.committed_offsets = self.commits.setdefault(GROUP, {})

    def add(
        self,
        body: bytes | None,
        key: bytes | None = None,
        *,
        partition: int = 0,
        received_at: datetime | None = None,
        gap: int = 0,
        headers: tuple[tuple[str, bytes | None], ...] = (),
    ) -> IncomingMessage:
        """Add a message, some offsets after the one before, also one without a time."""
        self.leave_out(at(partition), gap)
        place = Position(at(partition), len(self.logs[at(partition)]))
        message = IncomingMessage(place.unit, body, key, headers, received_at)
        self.logs[at(partition)].append(message)
        return message

    @property
    def all(self) -> list[IncomingMessage]:
        """All messages."""
        return [one for log in self.logs.values() for one in log if one is not None]

    @property
    def is_done(self) -> bool:
        """Whether everything is committed."""
        return all(
            self.committed_offsets.get(place, 0) == len(log) for place, log in self.logs.items()
        )


Hook = Callable[["LogSource"], object]


class LogSource(MemoryGroupSource):
    """Has all partitions, and ends where the topic does.

    Before each poll the hook is called; it may take partitions away and give them back.
    """

    def __init__(self, log: Log, hook: Hook = lambda _: None, *, ends: bool = True) -> None:
        super().__init__(log, GROUP)
        self.log = log
        self.polls = 0
        self.asked: list[int] = []
        """How many messages were wanted, poll by poll."""
        self.refusals = 0
        """So many further commits fail."""
        self._hook = hook
        self._ends = ends

    @property
    def next(self) -> dict[TopicPartition, int]:
        """The next offset, of partitions that are ours; may be changed."""
        return self._next

    def poll(self, most: int, timeout_s: float) -> Sequence[IncomingMessage]:
        if self.polls == 0:
            self.assign(*self.log.partitions)
        self.polls += 1
        self.asked.append(most)
        self._hook(self)
        return super().poll(most, min(timeout_s, _POLL_S))

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RetryableError(KafkaFault.UNAVAILABLE, "not committed, as was asked for")
        super().commit(following)

    @property
    def ended(self) -> bool:
        return (
            self._ends
            and self.polls > 0
            and not any(
                one is not None
                for place, offset in self._next.items()
                for one in self.log.logs[place][offset:]
            )
        )

    def assign(self, *places: TopicPartition) -> None:
        """Get partitions, from where the group stands."""
        for place in places:
            self._next[place] = self.log.committed_offsets.get(place, 0)
        self._opened().assigned(places)

    def revoke(self, *places: TopicPartition) -> None:
        """Give partitions away in an orderly way."""
        self._give(self._opened(), list(places), lost=False)

    def lose(self, *places: TopicPartition) -> None:
        """Have partitions taken away."""
        self._give(self._opened(), list(places), lost=True)

    def _take_part(self, listener: PartitionListener) -> None:
        """Partitions come and go as the hook wants it."""


def offset_of(message: IncomingMessage) -> int:
    """Its offset."""
    assert message.position is not None
    return message.position.offset
