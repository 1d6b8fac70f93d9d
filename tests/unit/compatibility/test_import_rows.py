"""Rows of published tables: which are results, and what is wrong with the others."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from estinel_assets.compatibility.import_results import Imported, import_results
from estinel_assets.compatibility.import_rows import outcome_of_row
from estinel_assets.compatibility.import_sources import (
    find_in_table,
    find_results,
)
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.errors import BadInputError
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.published_results import (
    MODIFIED,
    ORIGIN,
    found_rows,
    open_book,
    parquet,
    problems,
    row,
    table,
)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


class TestRow:
    def test_becomes_an_outcome(self) -> None:
        outcome = outcome_of_row(
            row("C1-A", "timeout", num_granules=3.0, data_variables="[null]", groups=["/"]), ORIGIN
        )
        assert outcome.key == ("C1-A",)
        assert (outcome.status, outcome.reason, outcome.error) == (
            False,
            "timeout",
            "it was timeout",
        )
        assert (outcome.attempts, outcome.run_id, outcome.code_version) == (
            1,
            "import-0123456789ab",
            "imported",
        )
        assert outcome.started_at == outcome.finished_at == MODIFIED
        assert outcome.detail["num_granules"] == 3
        assert outcome.detail["data_variables"] == [None]
        assert outcome.detail["groups"] == ["/"]
        assert outcome.detail["imported_from"] == "old.parquet"

    @pytest.mark.parametrize("reason", CompatibilityReason)
    def test_takes_every_reason(self, reason: CompatibilityReason) -> None:
        wordless = reason in {"none", "unrecorded"}
        columns = row(reason=None if wordless else str(reason), tiling_compatible=reason == "none")
        assert outcome_of_row(columns, ORIGIN).reason == reason
        with_word = {**columns, "incompatible_reason": str(reason)}
        assert outcome_of_row(with_word, ORIGIN).reason == reason

    @pytest.mark.parametrize(
        ("changed", "problem"),
        [
            ({"collection_concept_id": "G1-A"}, "collection_concept_id is 'G1-A', not a concept"),
            ({"collection_concept_id": "C1-A/../x"}, "not a concept id"),
            ({"collection_concept_id": None}, "collection_concept_id is missing"),
            ({"tiling_compatible": None}, "tiling_compatible is missing, not true or false"),
            ({"tiling_compatible": "yes"}, "tiling_compatible is 'yes'"),
            ({"tiling_compatible": True}, "is true, but incompatible_reason is 'timeout'"),
            ({"incompatible_reason": "none"}, "is false, but incompatible_reason is 'none'"),
            ({"incompatible_reason": "tired"}, "'tired'; there are: none, unsupported_format,"),
            ({"incompatible_reason": ["timeout"]}, "no reason is called"),
            ({"backend": "gdal"}, "backend is 'gdal': Input should be 'rasterio' or 'xarray'"),
            ({"num_granules": 1.5}, "num_granules is 1.5: Input should be a valid integer"),
            ({"num_granules": float("inf")}, "num_granules"),
            ({"groups": '["/", 3]'}, "groups.1 is 3: Input should be a valid string"),
            ({"groups": "not json"}, "groups is 'not json': Input should be a valid"),
            ({"format": b"x"}, "a value that JSON has no word for"),
            ({"data_url": "https://a/b?token=hidden", "format": 3}, "format is 3"),
        ],
    )
    def test_says_what_is_wrong(self, changed: dict[str, object], problem: str) -> None:
        with pytest.raises(BadInputError) as error:
            outcome_of_row(row(reason="timeout") | changed, ORIGIN)
        assert problem in str(error.value)
        assert "hidden" not in str(error.value)

    def test_lists_every_problem(self) -> None:
        with pytest.raises(BadInputError, match=r"C-1.*tiling_compatible is 3"):
            outcome_of_row(row("C-1", tiling_compatible=3), ORIGIN)

    def test_nan_is_missing(self) -> None:
        assert outcome_of_row(row(num_granules=float("nan")), ORIGIN).detail["num_granules"] is None

    def test_does_not_keep_the_query_of_an_address(self) -> None:
        outcome = outcome_of_row(row(data_url="https://u:p@host/a.nc?token=hidden"), ORIGIN)
        assert outcome.detail["data_url"] == "https://host/a.nc"


class TestParquet:
    def test_lists_all_problems_once_and_shows_ten(self) -> None:
        rows = [row(f"X{number}-A") for number in range(12)]
        with pytest.raises(BadInputError, match=r"old\.parquet cannot be imported.*12 problems"):
            found_rows(*rows)
        with pytest.raises(BadInputError) as error:
            found_rows(*rows)
        assert len(problems(error)) == 11
        assert problems(error)[0].startswith("row 1 (X0-A): collection_concept_id is 'X0-A'")
        assert problems(error)[-1] == "and 2 more"

    def test_two_rows_of_one_collection(self) -> None:
        with pytest.raises(BadInputError) as error:
            found_rows(row("C1-A"), row("C2-A"), row("C1-A", "timeout"))
        assert problems(error) == ["C1-A has 2 results: row 1, row 3"]

    @pytest.mark.parametrize(
        "body", [b"", b"PAR1 and nothing else", b"<html>", parquet([row()])[:-9]]
    )
    def test_malformed(self, body: bytes) -> None:
        with pytest.raises(BadInputError, match=r"old\.parquet is not Parquet"):
            find_in_table(body, "old.parquet", ORIGIN)

    def test_text_that_is_not_unicode(self) -> None:
        spoilt = pa.array([b"\xff\xfe"]).cast(pa.string(), safe=False)
        whole = table([row()])
        broken = whole.set_column(whole.schema.get_field_index("format"), "format", spoilt)
        with pytest.raises(BadInputError, match=r"old\.parquet cannot be imported: .*UTF8"):
            find_in_table(parquet(broken), "old.parquet", ORIGIN)

    def test_columns_that_are_absent_or_of_another_type(self) -> None:
        columns = row(tiling_compatible="true", num_granules="3", groups=7)
        del columns["variable"]
        broken = table(
            [columns],
            tiling_compatible=pa.string(),
            num_granules=pa.string(),
            groups=pa.int64(),
        )
        with pytest.raises(BadInputError) as error:
            find_in_table(parquet(broken), "old.parquet", ORIGIN)
        assert problems(error) == [
            "it has no column variable",
            "column tiling_compatible is of type string, not boolean",
            "column num_granules is of type string, not number",
            "column groups is of type int64, not JSON or text or list",
        ]

    def test_columns_of_another_writer(self) -> None:
        lists = pa.list_(pa.string())
        other = table(
            [row(data_variables=["a", None], num_granules=5, groups=[])],
            num_granules=pa.int32(),
            data_variables=lists,
            groups=lists,
            collection_concept_id=pa.large_string(),
            variable=pa.null(),
        )
        (one,) = find_in_table(parquet(other), "old.parquet", ORIGIN).results
        assert one.outcome.detail["data_variables"] == ["a", None]
        assert one.outcome.detail["groups"] == []

    def test_a_column_that_is_unknown_is_named(self) -> None:
        found = found_rows(row(colour="red"))
        assert found.warnings == ("old.parquet has columns that are not imported: colour",)
        assert len(found.results) == 1

    def test_no_rows_are_no_problem(self, store: ObjectStore) -> None:
        found = find_in_table(parquet([]), "old.parquet", ORIGIN)
        assert import_results(open_book(store), found) == Imported(0, 0, 0, 0, {})


class TestWhere:
    def test_a_file_is_named_and_dated_by_itself(self, tmp_path: Path) -> None:
        file = tmp_path / "old results.parquet"
        file.write_bytes(parquet([row()]))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        (one,) = find_results(str(file), open_store).results
        assert one.outcome.finished_at.timestamp() == 1_700_000_000
        assert one.outcome.detail["imported_from"] == "old results.parquet"
        assert one.outcome.run_id.startswith("import-")
        assert len(one.outcome.run_id) == 19

    @pytest.mark.parametrize(
        ("where", "problem"),
        [
            ("absent.parquet", "absent.parquet does not exist"),
            ("absent", "absent does not exist"),
            ("memory://", "nothing can be imported from memory://"),
            ("https://host/a?token=hidden", "store URL https://host/a"),
            ("s3://bucket/a?token=hidden", "carries a query"),
        ],
    )
    def test_nothing_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, problem: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BadInputError, match=problem) as error:
            find_results(where, open_store)
        assert "hidden" not in str(error.value)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_of_something_else(self, tmp_path: Path) -> None:
        file = tmp_path / "results.csv"
        file.write_text("a,b\n")
        with pytest.raises(BadInputError, match=r"results\.csv is not Parquet"):
            find_results(str(file), open_store)
