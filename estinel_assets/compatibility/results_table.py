"""The table of results: the published columns, one row a collection, and back to reasons.

Column names and types are those of the tables that were published before: `data_variables` and
`groups` are JSON (Arrow's `arrow.json`, Parquet's JSON), `num_granules` is a double, and a failure
without a known reason has no reason in the table either; here it is called `unrecorded`.
"""

import json
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
from pydantic import ValidationError

from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import PUBLISHED, CompatibilityRecord, TileTried
from estinel_assets.errors import StoreError
from estinel_assets.outcomes.record import Outcome

_JSON = pa.json_(pa.string())
_TIME = pa.timestamp("us", tz="UTC")
_NOT_TEXT = {
    "tiling_compatible": pa.bool_(),
    "data_variables": _JSON,
    "num_granules": pa.float64(),
    "groups": _JSON,
}
WITHOUT_WORD = frozenset({CompatibilityReason.NONE, CompatibilityReason.UNRECORDED})
"""Reasons that stand in a table as no reason."""

SCHEMA = pa.schema([(name, _NOT_TEXT.get(name, pa.string())) for name in PUBLISHED])
"""The published columns."""

_OF_RECORD: Mapping[str, pa.DataType] = {
    "hint": pa.string(),
    "access": pa.string(),
    "seed": pa.int64(),
    "tiles": _JSON,
    "durations_s": _JSON,
    "readers": _JSON,
    "revision_id": pa.int64(),
    "imported_from": pa.string(),
}
_OF_OUTCOME: Mapping[str, tuple[pa.DataType, Callable[[Outcome], object]]] = {
    "checked_at": (_TIME, lambda outcome: outcome.finished_at),
    "attempts": (pa.int64(), lambda outcome: outcome.attempts),
    "run_id": (pa.string(), lambda outcome: outcome.run_id),
    "code_version": (pa.string(), lambda outcome: outcome.code_version),
}
DETAILS_SCHEMA = pa.schema(
    [
        *SCHEMA,
        *(pa.field(name, kind) for name, kind in _OF_RECORD.items()),
        *(pa.field(name, kind) for name, (kind, _) in _OF_OUTCOME.items()),
    ]
)
"""The published columns, and what we add to them."""


def record_of(outcome: Outcome) -> CompatibilityRecord:
    """The record that an outcome carries.

    What the outcome itself says takes precedence. One without a record, as a bug may leave it,
    gives one that knows nothing else.

    Raises:
        StoreError: what it carries is no such record.
    """
    word = outcome.reason
    own = {
        "collection_concept_id": outcome.key[0],
        "tiling_compatible": outcome.status,
        "incompatible_reason": None if word in WITHOUT_WORD else word,
    }
    try:
        return CompatibilityRecord.model_validate(
            {"error_message": outcome.error, **outcome.detail, **own}
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise StoreError(
            f"the result of {outcome.key[0]} carries no record of a check "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}); check it again with "
            f"`estinel compatibility check {outcome.key[0]}`"
        ) from None


def table_of(outcomes: Iterable[Outcome], *, with_details: bool = False) -> pa.Table:
    """Make the table of results.

    Args:
        outcomes: one a collection, in any order.
        with_details: add our own columns: hint, access, seed, tiles, durations, readers, when it
            was checked, by which run and at which attempt. Nested ones are JSON.

    Returns:
        Rows sorted by concept id; `SCHEMA`, or `DETAILS_SCHEMA` with details.

    Raises:
        StoreError: an outcome carries no record of a check.
    """
    schema = DETAILS_SCHEMA if with_details else SCHEMA
    ordered = sorted(outcomes, key=lambda outcome: outcome.key)
    records = [record_of(outcome) for outcome in ordered]
    columns = []
    for field in schema:
        values: list[object]
        if field.name in _OF_OUTCOME:
            _, value_of = _OF_OUTCOME[field.name]
            values = [value_of(outcome) for outcome in ordered]
        else:
            values = [getattr(record, field.name) for record in records]
        columns.append(_column(field, values))
    return pa.Table.from_arrays(columns, schema=schema)


def reasons_of(table: pa.Table) -> list[str]:
    """The reason of each row, `none` and `unrecorded` included.

    Args:
        table: has the columns `tiling_compatible` and `incompatible_reason`.
    """
    verdicts = zip(
        table["tiling_compatible"].to_pylist(),
        table["incompatible_reason"].to_pylist(),
        strict=True,
    )
    none, unrecorded = str(CompatibilityReason.NONE), str(CompatibilityReason.UNRECORDED)
    return [none if good else word or unrecorded for good, word in verdicts]


def _column(field: pa.Field, values: list[object]) -> pa.Array:
    if field.type != _JSON:
        return pa.array(values, field.type)
    texts = [None if value is None else _json_text(value) for value in values]
    return pa.ExtensionArray.from_storage(_JSON, pa.array(texts, pa.string()))


def _json_text(value: object) -> str:
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), default=TileTried.model_dump
    )
