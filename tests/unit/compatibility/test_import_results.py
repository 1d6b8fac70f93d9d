"""Results of others become results of ours: twice is once, and newer ones stay."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.cli.outcome_files import write_outcomes
from estinel_assets.compatibility.import_results import Imported, import_results
from estinel_assets.compatibility.import_rows import Origin, outcome_of_row
from estinel_assets.compatibility.import_sources import (
    find_in_table,
    find_results,
)
from estinel_assets.compatibility.results_table import table_of
from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import table_bytes
from tests.support.published_results import (
    MODIFIED,
    ORIGIN,
    found_rows,
    open_book,
    result_path,
    row,
    stored,
)
from tests.support.recording_store import RecordingStore
from tests.support.watched_store import refusing


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


class TestImport:
    def test_twice_is_once(self, store: ObjectStore) -> None:
        found = found_rows(row("C1-A"), row("C2-A", "timeout"), row("C3-A", "timeout"))
        first = import_results(open_book(store), found)
        assert first == Imported(3, 3, 0, 0, {"timeout": 2, "none": 1})
        before = {meta.path: meta for meta in store.list()}
        steps: list[str] = []
        again = import_results(open_book(store), found, step=steps.append)
        assert again == Imported(3, 0, 3, 0, {"timeout": 2, "none": 1})
        assert {meta.path: meta for meta in store.list()} == before
        assert sorted(steps) == ["C1-A", "C2-A", "C3-A"]

    def test_a_run_that_is_called_alike_is_another_one(self, store: ObjectStore) -> None:
        (older,) = found_rows(row("C1-A")).results
        ours = [
            older.outcome.model_copy(update={"run_id": "command", "finished_at": MODIFIED + later})
            for later in (timedelta(), timedelta(hours=1))
        ]
        open_book(store).ledger.put_one(ours[0])
        file = table_bytes(table_of(ours[1:], with_details=True))
        done = import_results(open_book(store), find_in_table(file, "own.parquet", ORIGIN))
        assert done.written == 1
        assert stored(store)["C1-A"].finished_at == MODIFIED + timedelta(hours=1)

    def test_the_same_content_of_another_time_is_not_written_again(
        self, store: ObjectStore
    ) -> None:
        import_results(open_book(store), found_rows(row("C1-A")))
        touched = import_results(open_book(store), found_rows(row("C1-A"), days=1))
        assert (touched.written, touched.unchanged) == (0, 1)

    def test_a_newer_file_replaces_an_older_one_and_not_the_reverse(
        self, store: ObjectStore
    ) -> None:
        older, newer = found_rows(row("C1-A")), found_rows(row("C1-A", "timeout"), days=1)
        import_results(open_book(store), older)
        assert import_results(open_book(store), newer).written == 1
        assert import_results(open_book(store), older).kept_newer == 1
        assert {meta.path for meta in store.list("collections")} == {
            f"collections/{result_path('C1-A', 'timeout')}"
        }

    def test_a_newer_result_of_ours_is_kept(self, store: ObjectStore) -> None:
        found = found_rows(row("C1-A"), row("C2-A"))
        ours = found.results[0].outcome.model_copy(
            update={"finished_at": MODIFIED + timedelta(hours=1), "run_id": "ours"}
        )
        open_book(store).ledger.put_one(ours)
        done = import_results(open_book(store), found)
        assert (done.written, done.kept_newer) == (1, 1)
        assert stored(store)["C1-A"] == ours

    def test_an_older_result_of_ours_is_replaced(self, store: ObjectStore) -> None:
        found = found_rows(row("C1-A"))
        ours = outcome_of_row(
            row("C1-A", "timeout"), Origin("x", "ours", MODIFIED - timedelta(hours=1))
        )
        open_book(store).ledger.put_one(ours)
        assert import_results(open_book(store), found).written == 1
        assert len(list(store.list("collections"))) == 1
        assert stored(store)["C1-A"].status

    def test_an_interrupted_import_goes_on(self, store: ObjectStore) -> None:
        rows = [row(f"C{number}-A") for number in range(20)]
        broken = refusing(store, 7)
        with pytest.raises(StoreError, match="the store refuses"):
            import_results(open_book(broken), found_rows(*rows), workers=2)
        standing = len(stored(store))
        assert 7 <= standing < 20
        done = import_results(open_book(store), found_rows(*rows))
        assert (done.written, done.unchanged) == (20 - standing, standing)
        assert len(stored(store)) == 20

    def test_what_appears_meanwhile_is_not_overwritten(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = found_rows(row("C1-A", "timeout"), row("C2-A", "timeout"))
        newer, older = (
            one.outcome.model_copy(
                update={"finished_at": MODIFIED + timedelta(days=days), "run_id": "ours"}
            )
            for one, days in zip(found.results, (1, -1), strict=True)
        )
        book = open_book(store)
        standing = book.standing

        def and_then() -> Any:
            rows = standing()
            book.ledger.put([newer, older])
            return rows

        monkeypatch.setattr(book, "standing", and_then)
        done = import_results(book, found)
        assert (done.written, done.kept_newer) == (1, 1)
        assert stored(store) == {"C1-A": newer, "C2-A": found.results[1].outcome}

    def test_a_first_import_needs_one_request_a_result(self) -> None:
        watched = RecordingStore()
        found = found_rows(*(row(f"C{number}-A") for number in range(5)))
        import_results(open_book(watched), found)
        assert watched.reads == ["outcome-index/compatibility.parquet"]
        assert len(watched.writes) == 6
        watched.forget()
        open_book(watched).standing()
        assert watched.reads == ["outcome-index/compatibility.parquet"]


class TestOwnExports:
    @pytest.fixture
    def full(self, store: ObjectStore) -> ObjectStore:
        found = found_rows(
            row("C1-A"), row("C2-A", "timeout"), row("C3-A", tiling_compatible=False)
        )
        import_results(open_book(store), found)
        ours = stored(store)["C2-A"].model_copy(
            update={
                "run_id": "ours",
                "finished_at": MODIFIED + timedelta(hours=1),
                "attempts": 2,
                "duration_s": 3.5,
            }
        )
        open_book(store).ledger.put_one(ours)
        return store

    @pytest.mark.parametrize("ending", ["parquet", "jsonl"])
    def test_whole_records_come_back_as_they_were(
        self, full: ObjectStore, tmp_path: Path, ending: str
    ) -> None:
        file = tmp_path / f"outcomes.{ending}"
        write_outcomes(file, stored(full).values(), force=False)
        empty = open_store("memory://")
        found = find_results(str(file), open_store)
        assert import_results(open_book(empty), found).written == 3
        assert stored(empty) == stored(full)
        assert import_results(open_book(full), found).unchanged == 3

    def test_a_table_with_details_changes_nothing_where_it_comes_from(
        self, full: ObjectStore, tmp_path: Path
    ) -> None:
        file = tmp_path / "results.parquet"
        file.write_bytes(table_bytes(table_of(stored(full).values(), with_details=True)))
        found = find_results(file.as_uri(), open_store)
        assert import_results(open_book(full), found).unchanged == 3
        empty = open_store("memory://")
        import_results(open_book(empty), found)
        one = stored(empty)["C2-A"]
        assert (one.run_id, one.attempts) == ("ours", 2)
        assert one.finished_at == MODIFIED + timedelta(hours=1)

    def test_a_tree_of_ours(self, full: ObjectStore) -> None:
        empty = open_store("memory://")
        import_results(open_book(empty), find_results(full.url, open_store))
        assert stored(empty) == stored(full)

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("[]", "line 1 is no JSON object"),
            ("{", "line 1 is no JSON object"),
            ("{}", "Field required"),
            ({"product": "imagery"}, "product is 'imagery', not compatibility"),
            ({"key": "C1-A/more"}, "key is 'C1-A/more', not a concept id"),
            ({"reason": "tired"}, "no reason is called 'tired'"),
            ({"detail": {"n": 1}}, "detail.n is 1: Extra inputs are not permitted"),
        ],
    )
    def test_bad_records(self, full: ObjectStore, tmp_path: Path, line: Any, problem: str) -> None:
        record = stored(full)["C2-A"].model_dump(mode="json")
        text = line if isinstance(line, str) else json.dumps({**record, **line})
        file = tmp_path / "outcomes.jsonl"
        file.write_text(text)
        with pytest.raises(BadInputError, match=problem.replace(".", r"\.")):
            find_results(str(file), open_store)
