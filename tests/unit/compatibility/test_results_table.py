"""Outcomes as a table of the published columns, and back."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.import_rows import Origin
from estinel_assets.compatibility.import_sources import find_in_table
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import PUBLISHED, CompatibilityRecord, TileTried
from estinel_assets.compatibility.results_table import (
    DETAILS_SCHEMA,
    SCHEMA,
    reasons_of,
    record_of,
    table_of,
)
from estinel_assets.errors import StoreError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.tables import table_bytes, table_from_bytes
from tests.support.outcomes import NOON, outcome
from tests.support.published_counts import TABLE
from tests.support.published_results import MODIFIED
from tests.support.real import real_data

ORIGIN = Origin("results.parquet", "import-0123456789ab", MODIFIED)


def result(concept_id: str, reason: str = "none", **fields: Any) -> Outcome:
    """An outcome with a record."""
    wordless = reason in {"none", "unrecorded"}
    record = CompatibilityRecord(
        collection_concept_id=concept_id,
        tiling_compatible=reason == "none",
        incompatible_reason=None if wordless else reason,
        error_message=None if wordless else "why",
        **fields,
    )
    return outcome(
        concept_id,
        reason=reason,
        product="compatibility",
        inputs="",
        error=record.error_message,
        detail=record.model_dump(mode="json"),
    )


def test_the_schema_is_the_published_one() -> None:
    theirs = pq.read_schema(real_data(TABLE))
    assert SCHEMA.equals(theirs.remove_metadata(), check_metadata=True)


def test_rows_are_sorted_and_json_columns_keep_null_and_empty_apart() -> None:
    table = table_of(
        [
            result("C3-A", data_variables=["a", "ä"], num_granules=7),
            result("C1-A", "group_structure", groups=["/", "/b"], data_variables=[]),
            result("C2-A", "unrecorded", data_variables=[None]),
        ]
    )
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table["collection_concept_id"].to_pylist() == ["C1-A", "C2-A", "C3-A"]
    assert table["data_variables"].to_pylist() == ["[]", "[null]", '["a","ä"]']
    assert table["groups"].to_pylist() == ['["/","/b"]', None, None]
    assert table["num_granules"].to_pylist() == [None, None, 7.0]
    assert table["tiling_compatible"].to_pylist() == [False, False, True]
    assert table["incompatible_reason"].to_pylist() == ["group_structure", None, None]
    assert reasons_of(table) == ["group_structure", "unrecorded", "none"]


def test_an_empty_table_has_the_columns() -> None:
    assert table_of([]).schema.equals(SCHEMA)
    assert table_of([], with_details=True).schema.equals(DETAILS_SCHEMA)


def test_details() -> None:
    tile = TileTried(z=0, x=0, y=0, through="rio-tiler", valid_pixels=9)
    fields = {"tiles": (tile,), "durations_s": {"open": 0.5}, "readers": {"rio-tiler": "9"}}
    table = table_of([result("C1-A", hint="open /b", seed=4, **fields)], with_details=True)
    assert table.schema.names[:17] == SCHEMA.names
    (row,) = table.to_pylist()
    assert json.loads(row["tiles"]) == [tile.model_dump()]
    assert json.loads(row["durations_s"]) == {"open": 0.5}
    assert json.loads(row["readers"]) == {"rio-tiler": "9"}
    assert (row["hint"], row["seed"], row["checked_at"]) == ("open /b", 4, NOON)
    assert (row["attempts"], row["run_id"], row["code_version"]) == (1, "run", "1")


def test_an_outcome_without_a_record_still_has_a_row() -> None:
    bare = outcome("C1-A", reason="internal_error", detail={})
    assert record_of(bare) == CompatibilityRecord(
        collection_concept_id="C1-A",
        tiling_compatible=False,
        incompatible_reason="internal_error",
        error_message="it was internal_error",
    )


def test_an_outcome_with_another_record_is_named() -> None:
    with pytest.raises(StoreError, match=r"result of C1-A carries no record .* \(n: Extra inputs"):
        table_of([outcome("C1-A", detail={"n": 1})])


TEXT = st.none() | st.text(max_size=8)
NAMES = st.none() | st.lists(st.text(max_size=5), max_size=3)
RESULTS = st.builds(
    result,
    st.from_regex(r"C[0-9]{1,6}-[A-Z_]{1,6}", fullmatch=True),
    st.sampled_from([str(reason) for reason in CompatibilityReason]),
    format=TEXT,
    variable=TEXT,
    collection_short_name_and_version=TEXT,
    backend=st.sampled_from([None, "rasterio", "xarray"]),
    data_variables=st.none() | st.lists(st.none() | st.text(max_size=5), max_size=3),
    num_granules=st.none() | st.integers(0, 2**50),
    groups=NAMES,
    hint=TEXT,
    seed=st.none() | st.integers(0, 2**62),
    revision_id=st.none() | st.integers(1, 99),
    durations_s=st.dictionaries(st.text(max_size=4), st.floats(0, 1e6), max_size=2),
)


@given(st.lists(RESULTS, max_size=4, unique_by=lambda one: one.key), st.booleans())
def test_what_is_exported_can_be_imported(results: list[Outcome], with_details: bool) -> None:
    file = table_bytes(table_of(results, with_details=with_details))
    assert table_from_bytes(file).schema.equals(DETAILS_SCHEMA if with_details else SCHEMA)
    found = [one.outcome for one in find_in_table(file, "results.parquet", ORIGIN).results]
    assert table_of(found).equals(table_of(results))
    assert [one.reason for one in found] == [
        one.reason for one in sorted(results, key=lambda one: one.key)
    ]
    if with_details:
        again = table_of(found, with_details=True).drop_columns("imported_from")
        assert again.equals(table_of(results, with_details=True).drop_columns("imported_from"))


def test_published_columns_are_those_of_the_table() -> None:
    assert list(PUBLISHED) == SCHEMA.names
    assert isinstance(SCHEMA.field("groups").type, pa.JsonType)
