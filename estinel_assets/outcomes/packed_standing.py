"""Which records of many batches count, decided on columns: key, time and run. Pure."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estinel_assets.outcomes.ledger import Entry, Selection
from estinel_assets.outcomes.paths import Key, decode_segment

AGES = pa.schema(
    [
        ("key", pa.string()),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("run_id", pa.string()),
    ]
)
"""The columns that decide; a key is encoded."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS = 8192
"""Rows that are made Python objects at once."""
_Numbers = npt.NDArray[np.int64]


class Source(NamedTuple):
    """A file of one batch, status and reason."""

    batch: Key
    status: bool
    reason: str
    path: str
    etag: str


class Standing:
    """The newest record of every key, sorted by key. Made by `StandingMaker`."""

    def __init__(
        self, sources: list[Source], keys: pa.ChunkedArray, finished: _Numbers, source: _Numbers
    ) -> None:
        """Columns of the same length.

        Args:
            sources: the files.
            keys: encoded and sorted, each once.
            finished: when the unit finished, in microseconds since 1970.
            source: in which of the files the record stands.
        """
        self._sources = sources
        self._keys = keys
        self._finished = finished
        self._source = source

    def counts(self, selection: Selection) -> Counter[tuple[bool, str]]:
        """How many keys stand under each selected status and reason."""
        found: Counter[tuple[bool, str]] = Counter()
        numbers = np.bincount(self._source, minlength=len(self._sources)).tolist()
        for source, number in zip(self._sources, numbers, strict=True):
            if number and selection.takes(source.status, source.reason):
                found[source.status, source.reason] += number
        return found

    def entries(self, selection: Selection) -> Iterator[Entry]:
        """The entries of the selected keys."""
        takes = [selection.takes(source.status, source.reason) for source in self._sources]
        rows = np.flatnonzero(np.array(takes, dtype=bool)[self._source])
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            keys = self._keys.take(pa.array(part)).to_pylist()
            finished, sources = self._finished[part].tolist(), self._source[part].tolist()
            for key, time, number in zip(keys, finished, sources, strict=True):
                source = self._sources[number]
                yield Entry(
                    tuple(map(_decode, key.split("/"))),
                    source.status,
                    source.reason,
                    source.path,
                    source.etag,
                    _EPOCH + timedelta(microseconds=time),
                )


class StandingMaker:
    """Takes the columns of file after file, and says in the end which records count."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._keys: list[pa.Array] = []
        self._finished: list[_Numbers] = []
        self._run: list[_Numbers] = []
        self._source: list[_Numbers] = []
        self._runs: dict[str, int] = {}

    def add(self, source: Source, ages: pa.Table) -> None:
        """Take a file; `ages` has the columns of `AGES`."""
        number = len(self._sources)
        self._sources.append(source)
        self._keys += ages["key"].chunks
        self._finished.append(ages["finished_at"].cast(pa.int64()).to_numpy())
        runs = ages["run_id"].combine_chunks().dictionary_encode()
        numbers = [self._runs.setdefault(run, len(self._runs)) for run in runs.dictionary.tolist()]
        self._run.append(np.array(numbers, np.int64)[runs.indices.to_numpy(zero_copy_only=False)])
        self._source.append(np.full(len(ages), number, np.int64))

    def made(self) -> Standing:
        """The newest record of every key."""
        keys = pa.chunked_array(self._keys, pa.string())
        # The order of runs is that of their names.
        rank = np.argsort(np.argsort(np.array(list(self._runs), dtype=object)))
        table = pa.table(
            {
                # Below every character of an encoded part: `a/b` comes before `a-b`.
                "key": pc.replace_substring(keys, "/", "!"),
                "finished": _joined(self._finished),
                "run": rank[_joined(self._run)] if len(rank) else _joined(self._run),
            }
        )
        order = pc.sort_indices(
            table,
            sort_keys=[("key", "ascending"), ("finished", "descending"), ("run", "descending")],
        )
        keys = keys.take(order)
        first = np.ones(len(keys), dtype=bool)
        if len(keys) > 1:
            first[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy()
        chosen = order.to_numpy()[first]
        return Standing(
            self._sources,
            keys.filter(pa.array(first)),
            _joined(self._finished)[chosen],
            _joined(self._source)[chosen],
        )


def _joined(parts: list[_Numbers]) -> _Numbers:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


# Parts of keys recur, such as topics; offsets are their own encoding.
@lru_cache(maxsize=4096)
def _decode_other(segment: str) -> str:
    return decode_segment(segment)


def _decode(segment: str) -> str:
    return segment if segment.isalnum() and segment.isascii() else _decode_other(segment)
