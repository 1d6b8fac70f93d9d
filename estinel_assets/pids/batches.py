"""Outcomes of messages, stored in batches that grow.

The last batch of a partition is written anew with every addition, under a name that says how far
it reaches; then its former files are deleted. So few objects hold very many outcomes, and what was
added is durable at once. A crash in between leaves both, which readers know.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

from estinel_assets.errors import StoreError
from estinel_assets.outcomes.packed_ledger import PackedLedger, PackedRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.batch_names import batch_of
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.message_records import FILES

_log = logging.getLogger(__name__)

MOST_OUTCOMES = 1000
"""A batch with so many is full."""
MOST_BYTES = 16 * 1024 * 1024
"""A batch whose records have so many bytes, before they are compressed, is full."""
_POSITION_PARTS = 3


class OutcomeBatches:
    """Stores outcomes of messages. For one thread alone.

    In memory is the batch of each partition that is not full yet.
    """

    def __init__(
        self,
        ledger: PackedLedger,
        *,
        most: int = MOST_OUTCOMES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Begin with no batch; nothing is read.

        Args:
            ledger: where batches go.
            most: outcomes of a full batch.
            most_bytes: bytes of the records of a full batch; the last record may exceed it.
        """
        self._ledger = ledger
        self._most = most
        self._most_bytes = most_bytes
        self._open: dict[TopicPartition, _Batch] = {}

    def add(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
        """Store outcomes of a partition; they are durable when this returns.

        Args:
            at: the partition.
            outcomes: in the order of their offsets, none of which was left out. Where they do not
                come after those of the partition's batch, a new batch begins.

        Raises:
            StoreError: they are not stored, or not all: add all of them again.
            ValueError: an outcome belongs to another partition, or they are in no order.
        """
        offsets = [_offset(at, outcome) for outcome in outcomes]
        if any(one >= following for one, following in pairwise(offsets)):
            raise ValueError(f"outcomes of {at} are not in the order of their offsets: {offsets}")
        start = 0
        while start < len(outcomes):
            batch = self._open.get(at)
            if batch is None or batch.last >= offsets[start] or self._is_full(batch):
                batch = _Batch(offsets[start])
            grown = batch.copy()
            while start < len(outcomes) and not self._is_full(grown):
                grown.take(offsets[start], outcomes[start])
                start += 1
            name = batch_of(at, grown.first, grown.last)
            written = self._ledger.put_batch(grown.rows, name)
            grown.former = self._removed([*batch.former, *batch.files], written)
            grown.files = written
            self._open[at] = grown

    def add_retried(self, outcomes: Iterable[Outcome], run_id: str) -> None:
        """Store outcomes of messages that were tried again, wherever they come from.

        Each call makes a batch for each partition: so hand over many at once. None of them is
        ever one that `add` makes.

        Args:
            outcomes: in any order.
            run_id: who tried again.

        Raises:
            StoreError: they are not stored, or not all: add all of them again.
            ValueError: the key of an outcome is none of this product line.
        """
        groups: dict[Key, list[Outcome]] = {}
        for outcome in outcomes:
            is_file = outcome.key[0] == FILES and len(outcome.key) < _POSITION_PARTS
            group = (FILES,) if is_file else outcome.key[:-1]
            groups.setdefault(group, []).append(outcome)
        for group, members in sorted(groups.items()):
            rows = [PackedRow.of(outcome) for outcome in members]
            mark = f"retried-{_digest([run_id, *sorted(row.key for row in rows)])}"
            if group == (FILES,):
                self._ledger.put_batch(rows, (FILES, mark))
                continue
            at = _partition(members[0])
            offsets = [_offset(at, outcome) for outcome in members]
            self._ledger.put_batch(rows, batch_of(at, min(offsets), max(offsets), mark))

    def forget(self, at: TopicPartition) -> None:
        """Begin a new batch with the next addition: the partition was another's meanwhile."""
        self._open.pop(at, None)

    def _is_full(self, batch: "_Batch") -> bool:
        return len(batch.rows) >= self._most or batch.bytes >= self._most_bytes

    def _removed(self, former: Sequence[str], written: Sequence[str]) -> list[str]:
        """Delete files whose records stand elsewhere now; those that stay, to try again."""
        stale = [path for path in former if path not in written]
        if stale:
            try:
                self._ledger.remove(stale)
            except StoreError as error:
                _log.warning("files of a batch that has grown stay for now: %s", error)
                return stale
        return []


@dataclass(slots=True)
class _Batch:
    """The batch of a partition that is not full yet."""

    first: int
    last: int = -1
    rows: list[PackedRow] = field(default_factory=list)
    bytes: int = 0
    files: Sequence[str] = ()
    """Its files."""
    former: Sequence[str] = ()
    """Those of narrower ones that could not be deleted."""

    def copy(self) -> "_Batch":
        """A batch that can grow while this one stays as it is stored."""
        return _Batch(self.first, self.last, list(self.rows), self.bytes)

    def take(self, offset: int, outcome: Outcome) -> None:
        """Grow by one."""
        self.last = offset
        row = PackedRow.of(outcome)
        self.rows.append(row)
        self.bytes += len(row.record)


def _partition(outcome: Outcome) -> TopicPartition:
    key = outcome.key
    if len(key) != _POSITION_PARTS or not (key[1].isdecimal() and key[2].isdecimal()):
        raise ValueError(f"{key} is neither topic, partition and offset nor a message of a file")
    return TopicPartition(key[0], int(key[1]))


def _offset(at: TopicPartition, outcome: Outcome) -> int:
    if _partition(outcome) != at:
        raise ValueError(f"the outcome of {outcome.key} does not belong to {at}")
    return int(outcome.key[2])


def _digest(parts: Sequence[str]) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
