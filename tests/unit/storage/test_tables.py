"""Tables as Parquet: stable bytes, and what comes back."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.storage import open_store
from estinel_assets.storage.tables import (
    read_frame,
    read_table,
    table_bytes,
    table_from_bytes,
    write_table,
)
from tests.support.examples import examples

TABLE = pa.table(
    {
        "id": pa.array(["a", "b", None]),
        "cloud": pa.array([1.5, None, float("nan")]),
        "when": pa.array([datetime(2024, 12, 4, 14, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
        "bands": pa.array([["B04"], [], None], pa.list_(pa.string())),
        "geometry": pa.array([b"\x01", None, b""], pa.binary()),
    }
)

_rows = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.none() | st.integers(0, 9)))


def _table(rows: list[tuple[str, int | None]]) -> pa.Table:
    return pa.table(
        {
            "text": pa.array([text for text, _ in rows], pa.string()),
            "number": pa.array([number for _, number in rows], pa.int64()),
        }
    )


@examples(40)
@given(_rows, st.integers(1, 5))
def test_the_bytes_depend_on_the_rows_not_on_the_chunks(
    rows: list[tuple[str, int | None]], cut: int
) -> None:
    whole = _table(rows)
    pieces = [_table(rows[at : at + cut]) for at in range(0, len(rows), cut)]
    chunked = pa.concat_tables(pieces) if pieces else whole
    sliced = pa.concat_tables([_table([("x", 1)]), whole]).slice(1)
    body = table_bytes(whole)
    assert table_bytes(chunked) == table_bytes(sliced) == table_bytes(table_from_bytes(body))
    assert body == table_bytes(whole)
    assert table_from_bytes(body).equals(whole)


def test_the_order_of_metadata_does_not_matter() -> None:
    one = TABLE.replace_schema_metadata({"geo": "{}", "origin": "x"})
    other = TABLE.replace_schema_metadata({"origin": "x", "geo": "{}"})
    assert table_bytes(one) == table_bytes(other) != table_bytes(TABLE)
    assert table_from_bytes(table_bytes(one)).schema.metadata == {b"geo": b"{}", b"origin": b"x"}


def test_it_is_zstd_and_typed() -> None:
    body = table_bytes(TABLE)
    found = pq.ParquetFile(pa.BufferReader(body))
    group = found.metadata.row_group(0)
    assert {group.column(at).compression for at in range(group.num_columns)} == {"ZSTD"}
    assert table_from_bytes(body).schema == TABLE.schema
    assert table_from_bytes(body, columns=["cloud", "id"]).column_names == ["cloud", "id"]


def test_tables_are_stored_and_loaded() -> None:
    store = open_store("memory://")
    write_table(store, "a.parquet", TABLE)
    read = read_table(store, "a.parquet")
    assert read.schema == TABLE.schema
    assert read.drop_columns("cloud").equals(TABLE.drop_columns("cloud"))
    assert read_table(store, "a.parquet", columns=["id"]).column_names == ["id"]
    with pytest.raises(NotFoundError):
        read_table(store, "b.parquet")
    store.put("broken", b"PAR1 no")
    with pytest.raises(StoreError, match="memory:///broken is not Parquet"):
        read_table(store, "broken")
    with pytest.raises(BadInputError, match="no column nope; it has id, cloud"):
        read_table(store, "a.parquet", columns=["id", "nope"])


def test_a_table_without_rows_keeps_its_columns() -> None:
    empty = TABLE.slice(0, 0)
    assert table_from_bytes(table_bytes(empty)).schema == empty.schema


def test_frames_come_back_on_arrow() -> None:
    store = open_store("memory://")
    frame = pd.DataFrame({"site": ["Casey", "Mawson"], "scenes": [3, None]}, index=[7, 9])
    write_table(store, "a.parquet", frame)
    read = read_frame(store, "a.parquet")
    assert read["site"].tolist() == ["Casey", "Mawson"]
    assert read["scenes"].isna().tolist() == [False, True]
    assert all(isinstance(kind, pd.ArrowDtype) for kind in read.dtypes)
    assert read.index.tolist() == [0, 1]
    write_table(store, "b.parquet", read)
    assert read_frame(store, "b.parquet").equals(read)
    assert table_bytes(frame) == store.get("a.parquet").data


def test_a_frame_that_arrow_has_no_type_for_is_refused() -> None:
    with pytest.raises(BadInputError, match="cannot be stored"):
        table_bytes(pd.DataFrame({"mixed": [1, "x", object()]}))
