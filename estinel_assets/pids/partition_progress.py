"""How far a partition is done: messages end in any order, and are recorded in that of offsets."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.incoming import IncomingMessage, TopicPartition


@dataclass(slots=True)
class _Taken:
    offset: int
    bytes: int
    outcome: Outcome | None = None


class PartitionProgress:
    """The messages of one partition that were taken and are not yet recorded."""

    def __init__(self, at: TopicPartition) -> None:
        """Nothing was taken yet."""
        self.at = at
        self.in_work = 0
        """How many are with the threads that work on them, or wait for these."""
        self.given_up = False
        """Whether what waits is not to be begun, because the partition is another's."""
        self.bytes = 0
        """Of the messages that were taken and are not yet recorded."""
        self._done_bytes = 0
        self._taken: deque[_Taken] = deque()
        self._by_offset: dict[int, _Taken] = {}
        self._done: list[Outcome] = []
        """Ended, and with nothing open before them."""
        self._following: int | None = None

    def __len__(self) -> int:
        """How many were taken and are not yet recorded."""
        return len(self._taken) + len(self._done)

    @property
    def open(self) -> bool:
        """Whether some were taken whose end is not known, or is not next."""
        return bool(self._taken)

    @property
    def done(self) -> Sequence[Outcome]:
        """What can be recorded now, in the order of offsets."""
        return self._done

    @property
    def following(self) -> int | None:
        """The offset after the last one in `done`; None where nothing is done."""
        return self._following

    def take(self, message: IncomingMessage) -> bool:
        """Note that a message is worked on.

        Returns:
            False where it is worked on already, or done and not yet recorded, because Kafka handed
            it out twice.
        """
        offset = _offset(message)
        if offset in self._by_offset:
            return False
        taken = _Taken(offset, len(message.body or b""))
        self.bytes += taken.bytes
        self._taken.append(taken)
        self._by_offset[offset] = taken
        return True

    def end(self, message: IncomingMessage, outcome: Outcome) -> Sequence[Outcome]:
        """Note how a message ended.

        Returns:
            What can be recorded only now, in the order of offsets.
        """
        self._by_offset[_offset(message)].outcome = outcome
        before = len(self._done)
        while self._taken and (ended := self._taken[0].outcome) is not None:
            first = self._taken.popleft()
            self._done.append(ended)
            self._done_bytes += first.bytes
            self._following = first.offset + 1
        return self._done[before:]

    def cut(self, outcome: Outcome, *, keep: bool) -> None:
        """Take out what is done after a message.

        Args:
            outcome: the message's, among those done.
            keep: leave itself in.
        """
        place = self._done.index(outcome)
        self._done = self._done[: place + keep]
        self._following = int(outcome.key[-1]) + keep

    def recorded(self) -> None:
        """What was done is recorded."""
        for outcome in self._done:
            self._by_offset.pop(int(outcome.key[-1]), None)
        self.bytes -= self._done_bytes
        self._done_bytes = 0
        self._done = []
        self._following = None


def _offset(message: IncomingMessage) -> int:
    position = message.position
    if position is None:
        raise ValueError(f"{message.unit} has no offset")
    return position.offset
