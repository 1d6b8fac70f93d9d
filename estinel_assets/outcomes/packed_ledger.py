"""The packed layout: one Parquet per batch, status and reason, for very many small units.

::

    {root}/{batch…}/status={true|false}/reason={reason}/{digest}.parquet

A file never changes: its name is a digest of its records. A key's newest record counts, in
whichever batch it stands; older records stay until their batch is written again: they are history,
not answers. Which record is newest is decided on columns; only records asked for are parsed.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.outcomes.ledger import ALL, Entry, Selection
from estinel_assets.outcomes.packed_standing import AGES, Source, Standing, StandingMaker
from estinel_assets.outcomes.paths import (
    RESULT_NAME,
    Key,
    OutcomePath,
    encode_key,
    format_path,
    parse_path,
)
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import read_table, write_table

READERS = 16
"""Files read at once."""

_ENDING = ".parquet"
_WINDOW = 256
"""Records in memory at once while many are read."""
_REMEMBERED_BYTES = 64 * 1024 * 1024
"""Of files that were read and may be asked for again."""
_LISTINGS = 10
"""A reader that meets so many listings, each with a file that is gone already, gives up."""
_SCHEMA = pa.schema([*AGES, ("record", pa.string())])

Covers = Callable[[Key, Key], bool]
"""Whether a batch (its name first) may hold keys that begin with these parts."""


def covers_all(batch: Key, under: Key) -> bool:  # noqa: ARG001 - one of `Covers`
    """Names of batches say nothing of their keys, so that every one is read."""
    return True


class PackedRow(NamedTuple):
    """A record as a batch keeps it."""

    key: str
    """Encoded."""
    status: bool
    reason: str
    finished_at: datetime
    run_id: str
    record: str
    """All of it, JSON."""

    @classmethod
    def of(cls, outcome: Outcome) -> "PackedRow":
        """The row of a record."""
        return cls(
            encode_key(outcome.key),
            outcome.status,
            outcome.reason,
            outcome.finished_at,
            outcome.run_id,
            outcome.model_dump_json(),
        )

    @property
    def age(self) -> tuple[datetime, str]:
        """As `Outcome.age_key`."""
        return self.finished_at, self.run_id


class PackedLedger:
    """A ledger with one Parquet per batch, status and reason."""

    def __init__(
        self, store: ObjectStore, product: str, root: str, *, covers: Covers = covers_all
    ) -> None:
        """Open the ledger; nothing is read yet.

        Args:
            store: where the batches are.
            product: the product line.
            root: folder of its batches, such as `outcomes/pids`.
            covers: which batches need not be read for a key.
        """
        self._store = store
        self._product = product
        self.root = root
        self._covers = covers

    @property
    def product(self) -> str:
        """The product line."""
        return self._product

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """See `Ledger.put`. The batch is named by a digest of its records."""
        if outcomes:
            rows = [PackedRow.of(outcome) for outcome in outcomes]
            self.put_batch(rows, (_digest(rows),))

    def put_batch(self, rows: Sequence[PackedRow], batch: Key) -> tuple[str, ...]:
        """Store the records of a batch, then remove those of its files that they replace.

        Args:
            rows: the records; of several of one key, the newest is stored.
            batch: names the batch, such as `(topic, partition, "100-199")`.

        Returns:
            The paths of its files.

        Raises:
            StoreError: the store refused; what stood before still stands.
        """
        kept: dict[str, PackedRow] = {}
        for row in rows:
            if kept.setdefault(row.key, row).age < row.age:
                kept[row.key] = row
        groups: dict[tuple[bool, str], list[PackedRow]] = {}
        for row in kept.values():
            groups.setdefault((row.status, row.reason), []).append(row)
        written = []
        for (status, reason), members in sorted(groups.items()):
            path = self._path(OutcomePath(batch, status, reason), _digest(members))
            columns = {name: [getattr(row, name) for row in members] for name in _SCHEMA.names}
            write_table(self._store, path, pa.table(columns, schema=_SCHEMA))
            written.append(path)
        for source in list(self._sources(batch)):
            is_other = source.batch == batch and source.path not in written
            if is_other and self._is_outdone(source, kept):
                self._store.delete(source.path)
        return tuple(written)

    def remove(self, paths: Sequence[str]) -> None:
        """Delete files whose records all stand elsewhere, too; absent ones are no error.

        Raises:
            StoreError: the store refused.
        """
        self._store.delete_many(paths)

    def get(self, key: Key) -> Outcome | None:
        """See `Ledger.get`. Costs one LIST, and reads the batches that may hold the key."""
        return self.records_of([key]).get(key)

    def records_of(self, keys: Collection[Key]) -> dict[Key, Outcome]:
        """The newest records of keys, for one LIST; a key without one is left out."""
        if not keys:
            return {}
        entries = self._standing(_Wanted(self._covers, frozenset(keys))).entries(ALL)
        return {outcome.key: outcome for outcome in self.read(entries)}

    def entries(self, selection: Selection = ALL) -> Iterator[Entry]:
        """See `Ledger.entries`. Reads the columns of every batch that may hold such a key.

        In memory are all keys with a time and a path each, sorted by their encoded parts.
        """
        yield from self._standing(_Wanted(self._covers, under=selection.under)).entries(selection)

    def counts(self, selection: Selection = ALL) -> Counter[tuple[bool, str]]:
        """How many keys stand under each status and reason; reads what `entries` reads."""
        return self._standing(_Wanted(self._covers, under=selection.under)).counts(selection)

    def read(self, entries: Iterable[Entry]) -> Iterator[Outcome]:
        """See `Ledger.read`. A batch that was replaced by one with the same record is no loss."""
        waiting = iter(entries)
        remembered = _Remembered()
        with ThreadPoolExecutor(READERS, thread_name_prefix="outcomes") as pool:
            while window := list(islice(waiting, _WINDOW)):
                texts = self._texts(window, remembered, pool)
                lost = [entry for entry in window if (entry.path, entry.key) not in texts]
                again = self._found_again(lost, remembered, pool)
                for entry in window:
                    text = texts.get((entry.path, entry.key)) or again.get(entry.key)
                    if text is not None:
                        yield Outcome.model_validate_json(text)

    def _path(self, at: OutcomePath, digest: str) -> str:
        return format_path(self.root, at).removesuffix(RESULT_NAME) + digest + _ENDING

    def _sources(self, under: Key = ()) -> Iterator[Source]:
        """The files, by the listing."""
        for meta in self._store.list(f"{self.root}/{encode_key(under)}" if under else self.root):
            folder, _, name = meta.path.rpartition("/")
            at = parse_path(self.root, f"{folder}/{RESULT_NAME}")
            if at is not None and name.endswith(_ENDING) and at.key[: len(under)] == under:
                yield Source(at.key, at.status, at.reason, meta.path, meta.etag)

    def _is_outdone(self, source: Source, by: Mapping[str, PackedRow]) -> bool:
        """Whether every record of a file has a newer one here, or the same."""
        ages = self._ages(source)
        return ages is not None and all(
            row["key"] in by and (row["finished_at"], row["run_id"]) <= by[row["key"]].age
            for row in ages.to_pylist()
        )

    def _ages(self, source: Source) -> pa.Table | None:
        try:
            return read_table(self._store, source.path, columns=AGES.names)
        except NotFoundError:
            return None

    def _standing(self, wanted: "_Wanted") -> Standing:
        """The newest of every wanted key.

        A file may be gone when it is read, because its batch has grown; then another one holds its
        records, which the next listing shows.
        """
        read: dict[str, pa.Table] = {}
        with ThreadPoolExecutor(READERS, thread_name_prefix="outcomes") as pool:
            for _ in range(_LISTINGS):
                sources = [one for one in self._sources() if wanted.may_stand_in(one.batch)]
                missing = [source for source in sources if source.path not in read]
                gone = False
                for start in range(0, len(missing), READERS):
                    part = missing[start : start + READERS]
                    for source, table in zip(part, pool.map(self._ages, part), strict=True):
                        if table is None:
                            gone = True
                        else:
                            read[source.path] = wanted.of(table)
                if not gone:
                    made = StandingMaker()
                    for source in sources:
                        made.add(source, read.pop(source.path))
                    return made.made()
        raise StoreError(
            f"{self._store.uri(self.root)} changes faster than it can be read: try again later"
        )

    def _texts(
        self, window: Sequence[Entry], remembered: "_Remembered", pool: ThreadPoolExecutor
    ) -> dict[tuple[str, Key], str]:
        """The records of entries as they are stored."""
        by_path: dict[str, dict[str, Key]] = {}
        for entry in window:
            by_path.setdefault(entry.path, {})[encode_key(entry.key)] = entry.key
        texts: dict[tuple[str, Key], str] = {}
        paths = list(by_path)
        for start in range(0, len(paths), READERS):
            part = paths[start : start + READERS]
            tables = {path: remembered.get(path) for path in part}
            missing = [path for path, table in tables.items() if table is None]
            tables |= zip(missing, pool.map(self._records, missing), strict=True)
            for path, table in tables.items():
                if table is None:
                    continue
                remembered.put(path, table)
                keys = by_path[path]
                chosen = table.filter(pc.is_in(table["key"], pa.array(keys, pa.string())))
                for row in chosen.to_pylist():
                    texts[path, keys[row["key"]]] = row["record"]
        return texts

    def _records(self, path: str) -> pa.Table | None:
        try:
            return read_table(self._store, path, columns=["key", "record"])
        except NotFoundError:
            return None

    def _found_again(
        self, lost: Sequence[Entry], remembered: "_Remembered", pool: ThreadPoolExecutor
    ) -> dict[Key, str]:
        """The records of entries whose file is gone, as far as another holds the same."""
        if not lost:
            return {}
        standing = self._standing(_Wanted(self._covers, frozenset(entry.key for entry in lost)))
        now = {entry.key: entry for entry in standing.entries(ALL)}
        same = [
            now[entry.key] for entry in lost if entry.key in now and _is_same(entry, now[entry.key])
        ]
        texts = self._texts(same, remembered, pool)
        return {key: text for (_, key), text in texts.items()}


class _Wanted(NamedTuple):
    """Which keys are asked for: these, or those under one."""

    covers: Covers
    keys: frozenset[Key] | None = None
    under: Key = ()

    def may_stand_in(self, batch: Key) -> bool:
        """Whether a batch has to be read."""
        if self.keys is None:
            return self.covers(batch, self.under)
        return any(self.covers(batch, key) for key in self.keys)

    def of(self, ages: pa.Table) -> pa.Table:
        """The rows of the wanted keys."""
        if self.keys is not None:
            encoded = pa.array(map(encode_key, self.keys), pa.string())
            return ages.filter(pc.is_in(ages["key"], encoded))
        if not self.under:
            return ages
        under = encode_key(self.under)
        below = pc.starts_with(ages["key"], f"{under}/")
        return ages.filter(pc.or_(pc.equal(ages["key"], under), below))


class _Remembered:
    """Files that were read last, up to a number of bytes."""

    def __init__(self) -> None:
        self._tables: dict[str, pa.Table] = {}
        self._bytes = 0

    def get(self, path: str) -> pa.Table | None:
        return self._tables.get(path)

    def put(self, path: str, table: pa.Table) -> None:
        if self._tables.pop(path, None) is None:
            self._bytes += table.nbytes
        self._tables[path] = table
        while self._bytes > _REMEMBERED_BYTES and self._tables:
            self._bytes -= self._tables.pop(next(iter(self._tables))).nbytes


def _is_same(entry: Entry, now: Entry) -> bool:
    known = entry.modified_at is None or entry.modified_at == now.modified_at
    return known and (entry.status, entry.reason) == (now.status, now.reason)


def _digest(rows: Sequence[PackedRow]) -> str:
    digest = sha256()
    for row in rows:
        digest.update(json.dumps([row.key, row.record]).encode())
    return digest.hexdigest()[:32]
