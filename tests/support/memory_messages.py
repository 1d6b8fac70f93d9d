"""A `MessageSource` in memory, for tests of what is built on that port."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from estinel_assets.demo.kafka_broker import Produced
from estinel_assets.errors import PermanentError, RetryableError
from estinel_assets.pids.incoming import (
    IncomingMessage,
    PartitionListener,
    Position,
    TopicPartition,
)
from estinel_assets.pids.kafka_client import KafkaFault

_PAUSE_S = 0.002


class MemoryTopic:
    """A topic with its groups; it passes the contract tests of the port. For one thread."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.partitions = [TopicPartition(name, number) for number in range(partitions)]
        self.logs: dict[TopicPartition, list[IncomingMessage | None]] = {
            at: [] for at in self.partitions
        }
        """Messages by offset; None for an offset without one."""
        self.groups: dict[str, list[MemoryGroupSource]] = {}
        self.commits: dict[str, dict[TopicPartition, int]] = {}
        self.down = False
        """Whether Kafka cannot be reached."""
        self.deleted = False

    def produce(self, message: Produced) -> Position:
        """Write a message; without a partition, its key decides."""
        chosen = message.partition
        if chosen is None:
            chosen = sum(message.key or b"") % len(self.partitions)
        at = self.partitions[chosen]
        position = Position(at, len(self.logs[at]))
        self.logs[at].append(
            IncomingMessage(
                unit=position.unit,
                body=message.body,
                key=message.key,
                headers=message.headers,
                received_at=message.sent_at or datetime.now(UTC),
            )
        )
        return position

    def leave_out(self, at: TopicPartition, count: int = 1) -> None:
        """Use offsets up without a message, as transactions do."""
        self.logs[at] += [None] * count

    def expire(self, at: TopicPartition, before: int) -> None:
        """Let a partition lose its oldest messages."""
        self.logs[at][:before] = [None] * before

    def expel(self, group: str) -> None:
        """Let all members of a group lose their places, as after too long a silence."""
        for member in self.groups.get(group, []):
            member.expelled = True

    def committed(self, group: str, at: TopicPartition) -> int | None:
        """The offset from which a group goes on; None where it has committed none."""
        return self.commits.get(group, {}).get(at)

    def check(self) -> None:
        """Raise what a broker would say."""
        if self.down:
            raise RetryableError(KafkaFault.UNAVAILABLE, "Kafka in memory is down; let it up")
        if self.deleted:
            raise PermanentError(KafkaFault.REFUSED, f"there is no topic {self.name}; make it")


class MemoryGroupSource:
    """A member of a group; another one takes part from its first `poll` on."""

    def __init__(self, topic: MemoryTopic, group: str) -> None:
        self._topic, self._group = topic, group
        self._next: dict[TopicPartition, int] = {}
        """The offset to hand out next, by partition that is ours."""
        self._listener: PartitionListener | None = None
        self.expelled = False

    def open(self, listener: PartitionListener) -> None:
        self._listener = listener

    def poll(self, most: int, timeout_s: float) -> Sequence[IncomingMessage]:
        listener = self._opened()
        self._topic.check()
        deadline = time.monotonic() + timeout_s
        while True:
            self._take_part(listener)
            taken = self._take(most)
            if taken or time.monotonic() >= deadline:
                return taken
            time.sleep(_PAUSE_S)

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        self._opened()
        if self._topic.down or self.expelled or not set(following) <= set(self._next):
            raise RetryableError(
                KafkaFault.UNAVAILABLE, f"not committed for {self._group}: {following}; try again"
            )
        self._topic.commits.setdefault(self._group, {}).update(following)

    @property
    def ended(self) -> bool:
        return False

    @property
    def beyond(self) -> Mapping[TopicPartition, int]:
        return {}

    def close(self) -> None:
        if self._listener is None:
            return
        listener, members = self._listener, self._members
        try:
            self._give(listener, list(self._next), lost=self.expelled)
        finally:
            self._listener = None
            self._next.clear()
            if self in members:
                members.remove(self)

    @property
    def _members(self) -> list["MemoryGroupSource"]:
        return self._topic.groups.setdefault(self._group, [])

    def _opened(self) -> PartitionListener:
        assert self._listener is not None, "the source is not open"
        return self._listener

    def _take_part(self, listener: PartitionListener) -> None:
        members = self._members
        if self.expelled:
            self._give(listener, list(self._next), lost=True)
            self.expelled = False
        if self not in members:
            members.append(self)
        share = self._topic.partitions[members.index(self) :: len(members)]
        self._give(listener, [at for at in self._next if at not in share], lost=False)
        taken = {at for one in members if one is not self for at in one._next}
        free = [at for at in share if at not in self._next and at not in taken]
        self._next.update((at, self._topic.committed(self._group, at) or 0) for at in free)
        if free:
            listener.assigned(free)

    def _give(self, listener: PartitionListener, gone: list[TopicPartition], *, lost: bool) -> None:
        if not gone:
            return
        try:
            if not lost:
                listener.revoked(gone)
        finally:
            for at in gone:
                self._next.pop(at, None)
        if lost:
            listener.lost(gone)

    def _take(self, most: int) -> list[IncomingMessage]:
        taken: list[IncomingMessage] = []
        for at, offset in self._next.items():
            log = self._topic.logs[at]
            while offset < len(log) and len(taken) < most:
                message = log[offset]
                offset += 1
                if message is not None:
                    taken.append(replace(message))
            self._next[at] = offset
        return taken


class MemoryRangeSource:
    """Some offsets of one partition."""

    def __init__(
        self, topic: MemoryTopic, group: str, at: TopicPartition, first: int, last: int
    ) -> None:
        self._topic, self._group, self._at = topic, group, at
        self._first, self._next, self._last = first, first, last
        self._listener: PartitionListener | None = None
        self._ours = False

    def open(self, listener: PartitionListener) -> None:
        self._listener = listener

    def poll(self, most: int, timeout_s: float) -> Sequence[IncomingMessage]:
        del timeout_s  # all of a range is there
        assert self._listener is not None, "the source is not open"
        if not self._ours:
            self._ours = True
            self._listener.assigned([self._at])
        self._topic.check()
        taken: list[IncomingMessage] = []
        while len(taken) < most and not self.ended:
            message = self._topic.logs[self._at][self._next]
            self._next += 1
            if message is not None:
                taken.append(message)
        return taken

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        offset = following[self._at]
        if self._topic.down or self._topic.groups.get(self._group):
            raise RetryableError(
                KafkaFault.UNAVAILABLE, f"not committed: the group {self._group} has members"
            )
        standing = self._topic.committed(self._group, self._at) or self._oldest()
        if self._first <= standing < offset:
            self._topic.commits.setdefault(self._group, {})[self._at] = offset

    @property
    def ended(self) -> bool:
        log = self._topic.logs[self._at]
        rest = log[self._next : self._last + 1]
        return self._ours and not any(message is not None for message in rest)

    @property
    def beyond(self) -> Mapping[TopicPartition, int]:
        end = min(self._last + 1, len(self._topic.logs[self._at]))
        return {self._at: end} if self.ended else {}

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None and self._ours:
            listener.revoked([self._at])

    def _oldest(self) -> int:
        log = self._topic.logs[self._at]
        return next((offset for offset, one in enumerate(log) if one is not None), len(log))
