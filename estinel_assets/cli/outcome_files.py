"""Outcome records as a local file: Parquet or JSON Lines, written whole or not at all."""

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from estinel_assets.cli.replacing import replacing
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.outcomes.record import Outcome

_CHUNK = 5000
_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("product", pa.string()),
        ("key", pa.string()),
        ("status", pa.bool_()),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("attempts", pa.int32()),
        ("started_at", _TIME),
        ("finished_at", _TIME),
        ("duration_s", pa.float64()),
        ("run_id", pa.string()),
        ("code_version", pa.string()),
        ("inputs", pa.string()),
        ("outputs", pa.list_(pa.string())),
        ("detail", pa.string()),
    ]
)


def write_outcomes(file: Path, outcomes: Iterable[Outcome], *, force: bool) -> int:
    """Write records to a file whose ending says how.

    Args:
        file: `.parquet` (one column a field, `detail` as JSON text) or `.jsonl` (one record a
            line, as it is stored).
        outcomes: the records.
        force: replace a file that stands there.

    Returns:
        How many records.

    Raises:
        BadInputError: another ending, no such folder, the file exists or cannot be written.
    """
    writers = {".parquet": _write_parquet, ".jsonl": _write_jsonl}
    write = writers.get(file.suffix.lower())
    if write is None:
        raise BadInputError(f"{file} ends in neither .parquet nor .jsonl; name it so")
    with replacing(file, force=force) as sink:
        return write(sink, outcomes)


def _write_jsonl(sink: BinaryIO, outcomes: Iterable[Outcome]) -> int:
    count = 0
    for outcome in outcomes:
        sink.write(json.dumps(outcome.model_dump(mode="json"), ensure_ascii=False).encode() + b"\n")
        count += 1
    return count


def _write_parquet(sink: BinaryIO, outcomes: Iterable[Outcome]) -> int:
    count = 0
    remaining = iter(outcomes)
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
        while chunk := list(islice(remaining, _CHUNK)):
            writer.write_table(pa.Table.from_pylist([_row(one) for one in chunk], schema=_SCHEMA))
            count += len(chunk)
    return count


def _row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(outcome, name, None) for name in _SCHEMA.names}
    row["key"] = encode_key(outcome.key)
    row["outputs"] = list(outcome.outputs)
    row["detail"] = json.dumps(outcome.detail, ensure_ascii=False)
    return row
