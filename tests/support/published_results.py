"""Published tables and trees of results for tests."""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from estinel_assets.compatibility.import_rows import Origin
from estinel_assets.compatibility.import_sources import FoundResults, find_in_table
from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.compatibility.record import PUBLISHED
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.port import ObjectStore

MODIFIED = datetime(2025, 11, 24, 12, tzinfo=UTC)
ORIGIN = Origin("old.parquet", "import-0123456789ab", MODIFIED)


def row(concept_id: object = "C1-PODAAC", reason: str | None = None, **more: object) -> dict:
    """A row of the published columns: compatible without a reason."""
    columns: dict[str, object] = dict.fromkeys(PUBLISHED)
    columns |= {
        "collection_concept_id": concept_id,
        "tiling_compatible": reason is None,
        "incompatible_reason": reason,
        "error_message": None if reason is None else f"it was {reason}",
    }
    return {**columns, **more}


def table(rows: Sequence[Mapping[str, object]], **types: pa.DataType) -> pa.Table:
    """Rows as a table; columns have the published types, or those given."""
    usual = {"tiling_compatible": pa.bool_(), "num_granules": pa.float64()}
    names = list(rows[0]) if rows else list(PUBLISHED)
    return pa.table(
        {
            name: pa.array([one[name] for one in rows], {**usual, **types}.get(name, pa.string()))
            for name in names
        }
    )


def parquet(content: pa.Table | Sequence[Mapping[str, object]]) -> bytes:
    """A table, or rows of one, as a Parquet file."""
    made = content if isinstance(content, pa.Table) else table(content)
    file = io.BytesIO()
    pq.write_table(made, file)
    return file.getvalue()


def result_path(concept_id: str, reason: str | None = None) -> str:
    """Where a tree holds a result."""
    status = "true" if reason is None else "false"
    return f"{concept_id}/status={status}/reason={reason or 'none'}/result.json"


def flat(columns: Mapping[str, object]) -> bytes:
    """A row as a tree holds it."""
    return json.dumps(columns).encode()


def open_book(store: Any) -> OutcomeBook:
    """The results in a store."""
    return OutcomeBook(store, COMPATIBILITY, prefix="outcomes", lease_ttl_s=30)


def found_rows(*rows: dict[str, Any], days: float = 0, name: str = "old.parquet") -> FoundResults:
    """Results as a file of some days later holds them."""
    run_id = f"import-{sha256(parquet(rows)).hexdigest()[:12]}"
    return find_in_table(parquet(rows), name, Origin(name, run_id, MODIFIED + timedelta(days=days)))


def stored(store: ObjectStore) -> dict[str, Outcome]:
    """All results of a store, by concept id."""
    ledger = open_book(store).ledger
    return {one.key[0]: one for one in ledger.read(ledger.entries())}


def problems(error: pytest.ExceptionInfo[BadInputError]) -> list[str]:
    """The problems that a message lists."""
    return [line.strip() for line in str(error.value).splitlines()[1:]]
