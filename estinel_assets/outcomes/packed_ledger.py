"""The packed layout: one Parquet per batch, status and reason, for very many small units.

::

    {root}/{batch…}/status={true|false}/reason={reason}/outcomes.parquet

A key's newest record counts, in whichever batch it stands. Older records stay until their batch
is written again; they are history, not answers. Looking up a single key reads every batch.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa

from estinel_assets.errors import NotFoundError
from estinel_assets.outcomes.ledger import ALL, Entry, Selection
from estinel_assets.outcomes.paths import Key, decode_key, encode_key, encode_segment
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.port import ObjectMeta, ObjectStore
from estinel_assets.storage.tables import read_table, write_table

_FILE = "outcomes.parquet"
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("run_id", pa.string()),
        ("record", pa.string()),
    ]
)


class PackedLedger:
    """A ledger with one Parquet per batch, status and reason."""

    def __init__(self, store: ObjectStore, product: str, root: str) -> None:
        """Open the ledger; nothing is read yet.

        Args:
            store: where the batches are.
            product: the product line.
            root: folder of its batches, such as `outcomes/pids`.
        """
        self._store = store
        self._product = product
        self.root = root

    @property
    def product(self) -> str:
        """The product line."""
        return self._product

    def put(self, outcomes: Sequence[Outcome], *, batch: Key | None = None) -> None:
        """See `Ledger.put`.

        Args:
            outcomes: the records of one batch.
            batch: what names the batch, such as `(topic, partition, "100-199")`; by default a
                hash of the records, so that writing the same batch twice leaves one.
        """
        if not outcomes:
            return
        rows = [_row(outcome) for outcome in outcomes]
        name = batch or (_batch_name(rows),)
        groups: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
        for outcome, row in zip(outcomes, rows, strict=True):
            groups.setdefault((outcome.status, outcome.reason), []).append(row)
        written = set()
        for (status, reason), members in sorted(groups.items()):
            path = self._path(name, status=status, reason=reason)
            write_table(self._store, path, pa.Table.from_pylist(members, schema=_SCHEMA))
            written.add(path)
        if batch is not None:
            for meta in list(self._store.list(f"{self.root}/{encode_key(batch)}")):
                if meta.path.endswith(f"/{_FILE}") and meta.path not in written:
                    self._store.delete(meta.path)

    def get(self, key: Key) -> Outcome | None:
        """See `Ledger.get`."""
        found = self._newest(ALL).get(encode_key(key))
        return _outcome(found.row) if found else None

    def entries(self, selection: Selection = ALL) -> Iterator[Entry]:
        """See `Ledger.entries`. Reads every batch: which record is newest is not in the path."""
        for key, found in sorted(self._newest(selection).items()):
            outcome = _outcome(found.row)
            if selection.takes(outcome.status, outcome.reason):
                at = found.meta
                yield Entry(
                    decode_key(key),
                    outcome.status,
                    outcome.reason,
                    at.path,
                    at.etag,
                    outcome.finished_at,
                )

    def read(self, entries: Iterable[Entry]) -> Iterator[Outcome]:
        """See `Ledger.read`."""
        wanted = list(entries)
        rows: dict[tuple[str, str], Mapping[str, Any]] = {}
        for path in {entry.path for entry in wanted}:
            for row in self._batch(path):
                rows[path, row["key"]] = row
        for entry in wanted:
            found = rows.get((entry.path, encode_key(entry.key)))
            if found is not None:
                yield _outcome(found)

    def _path(self, batch: Key, *, status: bool, reason: str) -> str:
        word = "true" if status else "false"
        return (
            f"{self.root}/{encode_key(batch)}/status={word}/reason={encode_segment(reason)}/{_FILE}"
        )

    def _batch(self, path: str) -> list[Mapping[str, Any]]:
        try:
            rows: list[Mapping[str, Any]] = read_table(self._store, path).to_pylist()
        except NotFoundError:  # replaced since it was listed
            return []
        return rows

    def _newest(self, selection: Selection) -> dict[str, "_Found"]:
        under = encode_key(selection.under) if selection.under else None
        kept: dict[str, _Found] = {}
        for meta in self._store.list(self.root):
            if not meta.path.endswith(f"/{_FILE}"):
                continue
            for row in self._batch(meta.path):
                key = row["key"]
                if under is not None and key != under and not key.startswith(f"{under}/"):
                    continue
                found = _Found(row, meta)
                if key not in kept or kept[key].age < found.age:
                    kept[key] = found
        return kept


class _Found:
    def __init__(self, row: Mapping[str, Any], meta: ObjectMeta) -> None:
        self.row = row
        self.meta = meta
        self.age: tuple[datetime, str] = (row["finished_at"], row["run_id"])


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "key": encode_key(outcome.key),
        "finished_at": outcome.finished_at,
        "run_id": outcome.run_id,
        "record": outcome.model_dump_json(),
    }


def _outcome(row: Mapping[str, Any]) -> Outcome:
    return Outcome.model_validate_json(row["record"])


def _batch_name(rows: Sequence[Mapping[str, Any]]) -> str:
    digest = sha256()
    for row in rows:
        digest.update(json.dumps([row["key"], row["record"]]).encode())
    return digest.hexdigest()[:32]
