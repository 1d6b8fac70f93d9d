"""A product line's outcomes with their per-partition index and lease.

Whoever works on a partition opens it: that takes its lease, loads its index, and writes the index
back at the end. The lease doubles as a mark of unfinished work: a worker that dies leaves it
behind, and the next one to open the partition rebuilds the index from the ledger's listing.

A product line of partition depth 0 has one index for all its outcomes and no lease. There the index
only saves reading records: every use checks it against the ledger's listing.

A product line whose outcomes are packed has neither: a batch says of many units at once what an
index would say.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Self

from estinel_assets.errors import StoreError
from estinel_assets.outcomes.index import Index, IndexRow, read_index, rebuild, write_index
from estinel_assets.outcomes.ledger import ALL, Entry, Ledger, Selection
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.outcomes.packed_ledger import Covers, PackedLedger, covers_all
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.reason import Reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import OutcomeSettings
from estinel_assets.storage.lease import Lease, hold_lease, lease_is_live
from estinel_assets.storage.port import ObjectStore

_log = logging.getLogger(__name__)

INDEX_FOLDER = "outcome-index"
LEASE_FOLDER = "leases"


@dataclass(frozen=True, slots=True)
class ProductOutcomes:
    """How a product line keeps its outcomes."""

    product: str
    """Its name, as in `--product`."""
    reasons: type[Reason]
    field_name: str | None = None
    """Word under which the fingerprint stands in a record's path, if it does."""
    partition_depth: int = 1
    """How many leading parts of a key name its partition; 0 where there is but one, the whole
    product line, in which many may write at once because nobody replaces another's key."""
    contract_root: str | None = None
    """Folder of the records where a published contract fixes it; else `{prefix}/{product}`."""
    packed: bool = False
    """Whether outcomes stand in batches, not each in an object of its own."""
    covers: Covers = covers_all
    """Which batches have to be read for a key, where outcomes are packed."""

    def __post_init__(self) -> None:
        """Refuse what no layout can do."""
        if self.packed and (self.partition_depth or self.field_name or self.contract_root):
            raise ValueError(
                f"{self.product} packs its outcomes: leave `field_name` and `contract_root` out, "
                "and set `partition_depth` to 0"
            )


def lease_path(product: str, partition: Key) -> str:
    """Where the lease of a product line's partition stands."""
    return f"{LEASE_FOLDER}/{product}/{encode_key(partition)}.json"


class OutcomeBook:
    """The outcomes of one product line in one store."""

    def __init__(
        self,
        store: ObjectStore,
        spec: ProductOutcomes,
        *,
        prefix: str,
        lease_ttl_s: float,
        lease_wait_s: float = 0.0,
    ) -> None:
        """Open the book; nothing is read yet.

        Args:
            store: where everything is.
            spec: how the product line keeps its outcomes.
            prefix: folder of the store that holds outcomes.
            lease_ttl_s: a worker silent for this long counts as dead, in seconds.
            lease_wait_s: how long to wait for another worker to finish a partition, in seconds.
        """
        self.store = store
        self.spec = spec
        root = spec.contract_root or f"{prefix}/{spec.product}"
        self._objects: ObjectLedger | None = None
        self._packed: PackedLedger | None = None
        if spec.packed:
            self._packed = PackedLedger(store, spec.product, root, covers=spec.covers)
        else:
            self._objects = ObjectLedger(store, spec.product, root, field_name=spec.field_name)
        self._lease_ttl_s = lease_ttl_s
        self._lease_wait_s = lease_wait_s

    @classmethod
    def from_settings(cls, store: ObjectStore, spec: ProductOutcomes, at: OutcomeSettings) -> Self:
        """The book as the settings say."""
        return cls(
            store,
            spec,
            prefix=at.prefix,
            lease_ttl_s=at.lease_ttl_s,
            lease_wait_s=at.lease_wait_s,
        )

    @property
    def ledger(self) -> Ledger:
        """The outcomes, whatever their layout."""
        return self.packed if self._objects is None else self._objects

    @property
    def objects(self) -> ObjectLedger:
        """The outcomes, each in an object of its own.

        Raises:
            RuntimeError: they are packed.
        """
        if self._objects is None:
            raise RuntimeError(self._packed_problem())
        return self._objects

    @property
    def packed(self) -> PackedLedger:
        """The outcomes, packed in batches.

        Raises:
            RuntimeError: each stands in an object of its own.
        """
        if self._packed is None:
            raise RuntimeError(
                f"{self.spec.product} keeps each outcome in an object of its own: use `objects`"
            )
        return self._packed

    def counts(self, selection: Selection = ALL) -> Counter[tuple[bool, str]]:
        """How many keys stand under each status and reason; no record is parsed."""
        if self._packed is not None:
            return self._packed.counts(selection)
        return Counter((entry.status, entry.reason) for entry in self.ledger.entries(selection))

    def records_of(self, keys: Collection[Key]) -> dict[Key, Outcome]:
        """The newest records of keys; a key without one is left out."""
        if self._packed is not None:
            return self._packed.records_of(keys)
        found = ((key, self.ledger.get(key)) for key in keys)
        return {key: outcome for key, outcome in found if outcome is not None}

    def partition_of(self, key: Key) -> Key:
        """The partition that a key belongs to."""
        return key[: self.spec.partition_depth]

    def standing(self) -> dict[Key, IndexRow]:
        """All outcomes of a product line of partition depth 0, as they stand now.

        Costs one LIST, and one read for each record that changed since the index was written. A
        changed index is written back; where that fails, the next call has more to read.

        Raises:
            StoreError: the store refuses to list or read, or a record cannot be understood.
        """
        self._check_depth(none=True)
        former = read_index(self.store, self._index_path(()))
        rows = rebuild(self.objects, (), former or {})
        if rows != (former or {}):
            self.save_index(rows.values())
        return rows

    def save_index(self, rows: Iterable[IndexRow]) -> None:
        """Write the index of a product line of partition depth 0, which saves others reading.

        Nothing depends on it: the last writer wins, and a store that refuses causes a warning.

        Args:
            rows: the outcomes, as far as the caller knows them.
        """
        self._check_depth(none=True)
        path = self._index_path(())
        try:
            write_index(self.store, path, rows)
        except StoreError as error:
            _log.warning("%s is not written, so records will be read again: %s", path, error)

    def index(self, partition: Key) -> dict[Key, IndexRow]:
        """A partition's outcomes, for reading only.

        While a live worker holds the partition its last index is good enough; after a crash, or
        where no index was ever written, the ledger's listing is read instead. Where the partition
        is the whole product line, this is `standing`.
        """
        if self.spec.partition_depth == 0:
            return self.standing()
        rows = read_index(self.store, self._index_path(partition))
        path = self._lease_path(partition)
        if rows is not None and lease_is_live(self.store, path) is not False:
            return rows
        return rebuild(self.objects, partition, rows or {})

    @contextmanager
    def open(self, partition: Key, *, owner: str = "a worker") -> Iterator["OpenPartition"]:
        """Hold a partition for work.

        Args:
            partition: leading parts of its keys.
            owner: shown to whoever has to wait, such as a run id.

        Raises:
            LeaseHeldError: another live worker holds it.
            RuntimeError: partitions of this product line are not held; see `standing`.
        """
        self._check_depth(none=False)
        path = self._index_path(partition)
        with hold_lease(
            self.store,
            self._lease_path(partition),
            ttl_s=self._lease_ttl_s,
            wait_s=self._lease_wait_s,
            owner=owner,
        ) as lease:
            former = read_index(self.store, path)
            if former is None or lease.took_over:
                rows = rebuild(self.objects, partition, former or {})
            else:
                rows = former
            held = OpenPartition(self.objects, lease, partition, rows)
            try:
                yield held
            finally:
                lease.check()
                if held.changed or held.behind or rows is not former:
                    try:
                        if held.behind:
                            held.rows = rebuild(self.objects, partition, held.rows)
                        write_index(self.store, path, held.rows.values())
                    except StoreError:
                        # The index is behind the ledger: whoever comes next must see that.
                        lease.abandon()
                        raise

    def is_held(self, partition: Key) -> bool:
        """Whether a live worker holds a partition now."""
        if self.spec.partition_depth == 0:
            return False
        return lease_is_live(self.store, self._lease_path(partition)) is True

    def reindex(self, partition: Key) -> int:
        """Rebuild a partition's index from the ledger's listing, whatever it says now.

        Returns:
            How many outcomes it holds.
        """
        if self.spec.partition_depth == 0:
            self._check_depth(none=True)
            whole = rebuild(self.objects, (), {})
            write_index(self.store, self._index_path(()), whole.values())
            return len(whole)
        with self.open(partition) as held:
            held.rows = rebuild(self.objects, partition, {})
            held.changed = True
            return len(held.rows)

    def _check_depth(self, *, none: bool) -> None:
        if self.spec.packed:
            raise RuntimeError(self._packed_problem())
        if (self.spec.partition_depth == 0) != none:
            depth = self.spec.partition_depth
            way = "`open` a partition" if depth else "ask `standing` and write to the ledger"
            raise RuntimeError(f"{self.spec.product} has partition depth {depth}: {way}")

    def _packed_problem(self) -> str:
        return (
            f"{self.spec.product} packs its outcomes in batches: there are no partitions to open "
            "and no index; ask `ledger`, and write to `packed`"
        )

    def _index_path(self, partition: Key) -> str:
        whole = f"{INDEX_FOLDER}/{self.spec.product}"
        return f"{whole}/{encode_key(partition)}.parquet" if partition else f"{whole}.parquet"

    def _lease_path(self, partition: Key) -> str:
        return lease_path(self.spec.product, partition)


class OpenPartition:
    """A partition that is held for work. Safe to use from many threads."""

    def __init__(
        self, ledger: ObjectLedger, lease: Lease, partition: Key, rows: Mapping[Key, IndexRow]
    ) -> None:
        """Made by `OutcomeBook.open`."""
        self._ledger = ledger
        self._lease = lease
        self._lock = Lock()
        self.partition = partition
        self.rows: dict[Key, IndexRow] = dict(rows)
        self.changed = False
        self.behind = False

    def index(self) -> Index:
        """The outcomes as they are now."""
        with self._lock:
            return dict(self.rows)

    def put(self, outcome: Outcome) -> None:
        """Store an outcome.

        Raises:
            LeaseLostError: another worker took the partition over; nothing was stored.
        """
        self._lease.check()
        try:
            entry = self._ledger.put_one(outcome)
        except StoreError:
            # The record may stand all the same, for instance where its predecessor could not be
            # deleted: only the ledger's listing tells.
            self.behind = True
            raise
        with self._lock:
            self.rows[outcome.key] = IndexRow.of(outcome, entry)
            self.changed = True

    def get(self, key: Key) -> Outcome | None:
        """The newest record of a key of this partition; None where there is none."""
        row = self.rows.get(key)
        if row is None:
            return None
        entry = Entry(row.key, row.status, row.reason, row.path, row.etag)
        return next(self._ledger.read([entry]), None) or self._ledger.get(key)
