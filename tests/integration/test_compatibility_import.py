"""The table of a real run becomes our results, in a local store and on S3, and comes out again.

A part of the table, in which every reason stands, here; all of it among the long tests.
"""

import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from estinel_assets.compatibility.import_results import Imported, import_results
from estinel_assets.compatibility.import_sources import find_results
from estinel_assets.compatibility.results_table import reasons_of, table_of
from estinel_assets.compatibility.standing import counts
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import table_bytes
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel
from tests.support.published_counts import REASONS, TABLE
from tests.support.published_results import flat, open_book, parquet, result_path, row
from tests.support.real import real_data
from tests.support.s3 import S3Access, s3_server

SAMPLE = 1500
RARE = 200
"""Of a reason that stands no more often, a part of the table has every result."""
SHOWN = "C1231627223-GES_DISC"
"""A collection that can be tiled, and its variable."""


@dataclass(frozen=True)
class Filled:
    """A store into which a table was imported."""

    file: Path
    reasons: Mapping[str, int]
    """How often each stands in it."""
    store: ObjectStore
    imported: Imported
    variables: Mapping[str, str]
    """What leads the command to it."""

    @property
    def total(self) -> int:
        return sum(self.reasons.values())

    def ask(self, *arguments: object) -> Ended:
        return estinel(*arguments, **self.variables)


def real_table() -> Path:
    return real_data(TABLE)


def part_of_table(folder: Path) -> Path:
    """Every eighth result, and all of rare reasons."""
    whole = sorted_rows(real_table())
    every = zip(reasons_of(whole), whole["collection_concept_id"].to_pylist(), strict=True)
    chosen = [
        number
        for number, (reason, concept_id) in enumerate(every)
        if number % 8 == 0 or REASONS[reason] <= RARE or concept_id == SHOWN
    ]
    file = folder / "part.parquet"
    file.write_bytes(table_bytes(whole.take(chosen)))
    return file


@pytest.fixture(scope="module", params=["part", pytest.param("whole", marks=pytest.mark.soak)])
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("imported")
    file = real_table() if request.param == "whole" else part_of_table(folder)
    reasons = REASONS if request.param == "whole" else counts(reasons_of(pq.read_table(file)))
    assert reasons.keys() == REASONS.keys()
    url = (folder / "store").as_uri()
    store = open_store(url)
    done = timed_import(store, file)
    return Filled(file, reasons, store, done, {"ESTINEL_STORE_URL": url})


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


def timed_import(store: ObjectStore, file: Path) -> Imported:
    began = time.perf_counter()
    done = import_results(open_book(store), find_results(str(file), open_store))
    print(f"\nimport of {done.total} results into {store.url}: {time.perf_counter() - began:.1f} s")
    return done


def sorted_rows(file: Path) -> pa.Table:
    """The rows of a table in the order of an export, without the words of its writer."""
    table = pq.read_table(file).sort_by("collection_concept_id")
    return table.replace_schema_metadata(None).combine_chunks()


def export(store: ObjectStore) -> pa.Table:
    ledger = open_book(store).ledger
    file = table_bytes(table_of(ledger.read(ledger.entries())))
    return pq.read_table(io.BytesIO(file))


def test_every_result_is_imported(local: Filled) -> None:
    total = local.total
    assert local.imported == Imported(total, total, 0, 0, local.reasons)
    again = import_results(open_book(local.store), find_results(str(local.file), open_store))
    assert again == Imported(total, 0, total, 0, local.reasons)


def test_the_export_equals_the_input_row_by_row(local: Filled) -> None:
    theirs, ours = sorted_rows(local.file), export(local.store)
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    assert ours.equals(theirs)
    pd.testing.assert_frame_equal(ours.to_pandas(), theirs.to_pandas(), check_exact=True)
    assert counts(reasons_of(ours)) == local.reasons


def test_the_command_counts_by_reason(local: Filled) -> None:
    document = local.ask("outcomes", "count", "--product", "compatibility", "--json").document
    good = local.reasons["none"]
    assert document["total"] == local.total
    assert document["by_status"] == {"true": good, "false": local.total - good}
    assert document["by_reason"] == local.reasons


def test_the_command_lists_what_a_reason_selects(local: Filled) -> None:
    began = time.perf_counter()
    which = ("--product", "compatibility", "--status", "false", "--reason", "cant_open_file")
    listed = local.ask("outcomes", "list", *which, "--json").document
    print(f"\nlist of {len(listed)} of {local.total}: {time.perf_counter() - began:.1f} s")
    theirs = [one for one in pq.read_table(real_table()).to_pylist()
              if one["incompatible_reason"] == "cant_open_file"]  # fmt: skip
    assert {one["key"]: one["error"] for one in listed} == {
        one["collection_concept_id"]: one["error_message"] for one in theirs
    }
    planned = local.ask("reprocess", *which, "--dry-run", "--json")
    assert planned.code == 0
    assert [one["key"] for one in planned.document] == [one["key"] for one in listed]
    assert len(planned.document) == 132


def test_the_command_shows_and_exports_records(local: Filled, tmp_path: Path) -> None:
    shown = local.ask("outcomes", "show", "-p", "compatibility", "-k", SHOWN, "--json")
    assert shown.document["detail"]["variable"] == "precipitation"
    assert shown.document["code_version"] == "imported"
    file = tmp_path / "unaligned.parquet"
    which = ("--product", "compatibility", "--reason", "group_not_aligned_with_parents")
    assert local.ask("outcomes", "export", *which, "-o", file).code == 0
    found = find_results(str(file), open_store)
    assert len(found.results) == 11
    assert import_results(open_book(local.store), found).unchanged == 11


def test_the_command_indexes_the_whole_product_line(local: Filled) -> None:
    expected = [{"partition": "(all)", "outcomes": local.total, "error": None}]
    done = local.ask("outcomes", "reindex", "--product", "compatibility", "--json")
    assert (done.code, done.document) == (0, expected)
    one = local.ask("outcomes", "reindex", "-p", "compatibility", "-k", SHOWN, "--json")
    assert one.document == expected
    unknown = local.ask("outcomes", "reindex", "-p", "compatibility", "-k", "C1-NOWHERE")
    assert unknown.code == 3
    assert "no outcome 'C1-NOWHERE'" in unknown.stderr


def s3_filled(s3: S3Access, prefix: str, file: Path) -> Filled:
    store = s3.open(prefix)
    variables = {
        **s3.environment(),
        "ESTINEL_STORE_URL": s3.url(prefix),
        "ESTINEL_STORE_ENDPOINT_URL": s3.endpoint_url,
    }
    reasons = counts(reasons_of(pq.read_table(file)))
    return Filled(file, reasons, store, timed_import(store, file), variables)


@pytest.mark.soak
def test_a_part_of_the_table_on_s3(s3: S3Access, tmp_path: Path) -> None:
    whole = sorted_rows(real_table())
    part = whole.take(list(range(0, whole.num_rows, whole.num_rows // SAMPLE))).slice(0, SAMPLE)
    file = tmp_path / "part.parquet"
    file.write_bytes(table_bytes(part))
    filled = s3_filled(s3, "deep/er", file)
    assert (filled.imported.total, filled.imported.written) == (SAMPLE, SAMPLE)
    assert len(filled.imported.by_reason) > 8
    document = filled.ask("outcomes", "count", "-p", "compatibility", "--json").document
    assert document["by_reason"] == filled.imported.by_reason
    assert export(filled.store).equals(part.combine_chunks())
    keys = s3.keys("deep/er/collections/")
    assert len(keys) == SAMPLE
    assert set(keys) == {
        f"deep/er/collections/{concept_id}/status={'true' if reason == 'none' else 'false'}"
        f"/reason={reason}/result.json"
        for concept_id, reason in zip(
            part["collection_concept_id"].to_pylist(), reasons_of(part), strict=True
        )
    }


@pytest.mark.soak
def test_the_whole_table_on_s3(s3: S3Access) -> None:
    filled = s3_filled(s3, "whole", real_table())
    assert filled.imported == Imported(10_047, 10_047, 0, 0, REASONS)
    planned = filled.ask(
        "reprocess", "-p", "compatibility", "-r", "cant_open_file", "--dry-run", "--json"
    )
    assert len(planned.document) == 132
    assert export(filled.store).equals(sorted_rows(real_table()))


def test_a_tree_on_s3(s3: S3Access, tmp_path: Path) -> None:
    old = s3.open("old/run")
    for columns in (row("C1-A"), row("C2-A", "timeout"), row("C3-A", tiling_compatible=False)):
        path = result_path(columns["collection_concept_id"], columns["incompatible_reason"])
        if not columns["tiling_compatible"]:
            path = path.replace("status=true", "status=false")
        old.put(f"processed/{path}", flat(columns))
    old.put("unprocessed/C4-A/.marker", b"")

    def open_at(url: str) -> ObjectStore:
        return open_store(url, endpoint_url=s3.endpoint_url, session=s3.session())

    found = find_results(s3.url("old/run/"), open_at)
    assert found.name == s3.url("old/run")
    new = open_store(str(tmp_path / "store"))
    expected = {"none": 1, "timeout": 1, "unrecorded": 1}
    assert import_results(open_book(new), found) == Imported(3, 3, 0, 0, expected)
    old.put("results.parquet", parquet([row("C8-A", "timeout"), row("C9-A")]))
    file = find_results(s3.url("old/run/results.parquet"), open_at)
    assert import_results(open_book(new), file).written == 2


def test_a_tree_on_s3_is_converted_where_it_stands(s3: S3Access) -> None:
    store = s3.open("here")
    for columns in (row("C1-A"), row("C2-A", "timeout")):
        path = result_path(columns["collection_concept_id"], columns["incompatible_reason"])
        store.put(f"collections/{path}", flat(columns))

    def open_at(url: str) -> ObjectStore:
        return open_store(url, endpoint_url=s3.endpoint_url, session=s3.session())

    done = import_results(open_book(store), find_results(s3.url("here"), open_at))
    assert done == Imported(2, 2, 0, 0, {"none": 1, "timeout": 1})
    assert set(open_book(store).standing()) == {("C1-A",), ("C2-A",)}
    assert len(s3.keys("here/collections/")) == 2
