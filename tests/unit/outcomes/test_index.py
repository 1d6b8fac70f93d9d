"""An index comes back as it was written, and one that cannot be read is none."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.outcomes.index import IndexRow, read_index, write_index
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.tables import write_table

PATH = "outcome-index/cake/s.parquet"

PARTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
# Two plain parts, as almost every key has, and any others.
KEYS = st.tuples(st.just("site_1"), st.dates().map(str)) | st.lists(
    PARTS, min_size=1, max_size=4
).map(tuple)
TIMES = st.datetimes(timezones=st.just(UTC))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.builds(
    IndexRow,
    key=KEYS,
    status=st.booleans(),
    reason=TEXTS,
    attempts=st.integers(1, 2**31 - 1),
    inputs=TEXTS,
    started_at=TIMES,
    finished_at=TIMES,
    run_id=TEXTS,
    path=TEXTS,
    etag=TEXTS,
)


@given(st.lists(ROWS, max_size=8, unique_by=lambda row: row.key))
def test_rows_come_back_by_key_in_the_order_of_their_keys(rows):
    store = open_store("memory://")
    write_index(store, PATH, rows)

    read = read_index(store, PATH)

    assert read == {row.key: row for row in rows}
    assert list(read) == sorted(row.key for row in rows)
    for row in read.values():
        assert type(row.key) is tuple
        assert type(row.status) is bool
        assert type(row.attempts) is int
        for instant in (row.started_at, row.finished_at):
            assert type(instant) is datetime
            assert instant.tzinfo is UTC


@pytest.mark.parametrize(
    "year", [1, 1677, 1969, 2262, 9999], ids=lambda year: f"in the year {year}"
)
def test_times_are_kept_to_the_microsecond(year):
    when = datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    row = IndexRow(("s",), True, "none", 1, "", when, when.replace(microsecond=1), "", "", "")
    store = open_store("memory://")
    write_index(store, PATH, [row])

    assert read_index(store, PATH) == {("s",): row}


def test_without_an_index_there_is_none():
    assert read_index(open_store("memory://"), PATH) is None


def test_what_is_no_index_of_ours_is_none():
    store = open_store("memory://")
    store.put(PATH, b"damaged")
    assert read_index(store, PATH) is None
    write_table(store, PATH, pa.table({"key": ["s/1"]}))
    assert read_index(store, PATH) is None
