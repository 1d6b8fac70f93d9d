"""Trees of results, elsewhere and where our own stand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.compatibility.import_results import import_results
from estinel_assets.compatibility.import_sources import (
    find_in_tree,
    find_results,
)
from estinel_assets.errors import BadInputError, ChangedError, StoreError
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.published_results import (
    flat,
    open_book,
    problems,
    result_path,
    row,
    stored,
)
from tests.support.watched_store import refusing


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(params=["", "collections", "a/b/c/collections", "deep/processed"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tree(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "tree"))


def put(tree: ObjectStore, prefix: str, columns: dict[str, Any], *, at: str | None = None) -> str:
    """Put a result into a tree; returns its path."""
    path = at or result_path(columns["collection_concept_id"], columns["incompatible_reason"])
    if columns["incompatible_reason"] is None and not columns["tiling_compatible"]:
        path = path.replace("status=true", "status=false")
    whole = f"{prefix}/{path}" if prefix else path
    tree.put(whole, flat(columns))
    return whole


class TestTree:
    def test_any_depth_and_name(self, tree: ObjectStore, store: ObjectStore, prefix: str) -> None:
        put(tree, prefix, row("C1-A", num_granules=3, data_variables=["a"]))
        put(tree, prefix, row("C2-A", "timeout"))
        put(tree, prefix, row("C3-A", tiling_compatible=False))
        tree.put("x/unprocessed/C4-A/.marker", b"")
        tree.put("x/notes/result.json", b"{}")
        modified = tree.head(f"{prefix}/{result_path('C1-A')}".strip("/")).last_modified
        found = find_results(tree.url, open_store)
        assert found.name == "tree"
        assert [one.concept_id for one in found.results] == ["C1-A", "C2-A", "C3-A"]
        done = import_results(open_book(store), found)
        assert done.by_reason == {"none": 1, "timeout": 1, "unrecorded": 1}
        one = stored(store)["C1-A"]
        assert (one.finished_at, one.detail["imported_from"]) == (modified, "tree")
        assert stored(store)["C3-A"].reason == "unrecorded"
        assert import_results(open_book(store), find_results(tree.url, open_store)).unchanged == 3

    def test_a_result_that_is_added_leaves_the_others_alone(
        self, tree: ObjectStore, store: ObjectStore
    ) -> None:
        put(tree, "p", row("C1-A"))
        import_results(open_book(store), find_in_tree(tree, name="tree"))
        put(tree, "p", row("C2-A"))
        done = import_results(open_book(store), find_in_tree(tree, "p", name="tree"))
        assert (done.written, done.unchanged) == (1, 1)

    @pytest.mark.parametrize(
        ("at", "said"),
        [
            (result_path("C2-A", "timeout"), "says C2-A, status false, reason timeout"),
            (result_path("C1-A", "forbidden"), "says C1-A, status false, reason forbidden"),
            (result_path("C1-A"), "says C1-A, status true, reason none"),
            ("C1-A/status=no/reason=timeout/result.json", "says C1-A, status no, reason timeout"),
        ],
    )
    def test_path_and_content_must_agree(self, tree: ObjectStore, at: str, said: str) -> None:
        path = put(tree, "p", row("C1-A", "timeout"), at=at)
        with pytest.raises(BadInputError) as error:
            find_in_tree(tree, name="tree")
        assert problems(error) == [
            f"{path}: the path {said}, the object C1-A, status false, reason timeout"
        ]

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (b"{", "it is not JSON"),
            (b"[]", "it is no JSON object"),
            (b"<html>", "it is not JSON"),
            (b"{}", "collection_concept_id is missing"),
            (flat(row("C1-A", "tired")), "no reason is called 'tired'; there are: none,"),
            (json.dumps({"product": "compatibility", "detail": {}}).encode(), "key is"),
        ],
    )
    def test_what_is_no_result_is_named(self, tree: ObjectStore, body: bytes, problem: str) -> None:
        tree.put(f"p/{result_path('C1-A', 'timeout')}", body)
        put(tree, "p", row("C2-A"))
        with pytest.raises(BadInputError) as error:
            find_in_tree(tree, name="tree")
        (only,) = problems(error)
        assert only.startswith(f"p/{result_path('C1-A', 'timeout')}: ")
        assert problem in only

    def test_the_newer_of_two_results_counts(self, tmp_path: Path, tree: ObjectStore) -> None:
        newer = put(tree, "processed", row("C1-A"))
        older = put(tree, "collections", row("C1-A", "timeout"))
        os.utime(tmp_path / "tree" / older, (1, 1))
        found = find_in_tree(tree, name="tree")
        assert [one.outcome.reason for one in found.results] == ["none"]
        assert [one.place for one in found.superseded] == [older]
        assert found.warnings == (f"C1-A: {newer} is newer than {older}",)

    def test_two_results_of_one_time_are_a_problem(self, tmp_path: Path, tree: ObjectStore) -> None:
        paths = [put(tree, "p", row("C1-A")), put(tree, "p", row("C1-A", "timeout"))]
        for path in paths:
            os.utime(tmp_path / "tree" / path, (1, 1))
        with pytest.raises(BadInputError) as error:
            find_in_tree(tree, name="tree")
        assert len(problems(error)) == 1
        assert all(path in problems(error)[0] for path in paths)
        assert "two results of one time" in problems(error)[0]

    def test_two_copies_of_one_result_are_one(self, tree: ObjectStore) -> None:
        put(tree, "processed", row("C1-A"))
        put(tree, "collections", row("C1-A"))
        found = find_in_tree(tree, name="tree")
        assert (len(found.results), found.warnings) == (1, ())

    def test_a_tree_without_results(self, tree: ObjectStore) -> None:
        tree.put("unprocessed/C1-A/.marker", b"")
        with pytest.raises(BadInputError, match=r"no result stands under file://.*/tree;"):
            find_results(tree.url, open_store)

    def test_results_of_other_product_lines_are_passed_over(self, tree: ObjectStore) -> None:
        put(tree, "p", row("C1-A"))
        other = {"product": "imagery", "detail": {}}
        tree.put("imagery/search/status=true/reason=none/result.json", flat(other))
        assert [one.concept_id for one in find_in_tree(tree, name="tree").results] == ["C1-A"]


class TestInPlace:
    """The tree stands where our own results are looked for."""

    def test_a_tree_is_converted(self, store: ObjectStore) -> None:
        for columns in (row("C1-A"), row("C2-A", "timeout"), row("C3-A", tiling_compatible=False)):
            put(store, "collections", columns)
        done = import_results(open_book(store), find_results(store.url, open_store))
        assert (done.total, done.written) == (3, 3)
        assert {key: one.reason for key, one in stored(store).items()} == {
            "C1-A": "none",
            "C2-A": "timeout",
            "C3-A": "unrecorded",
        }
        assert len(list(store.list("collections"))) == 3
        again = import_results(open_book(store), find_results(store.url, open_store))
        assert (again.written, again.unchanged) == (0, 3)

    def test_of_two_results_the_newer_one_counts(self, tmp_path: Path, store: ObjectStore) -> None:
        older = put(store, "collections", row("C1-A", "timeout"))
        os.utime(tmp_path / "store" / older, (1, 1))
        put(store, "collections", row("C1-A"))
        import_results(open_book(store), find_results(f"{store.url}/collections", open_store))
        assert stored(store)["C1-A"].status

    def test_a_converted_part_and_a_rest(self, store: ObjectStore) -> None:
        columns = [row(f"C{number}-A") for number in range(10)]
        for one in columns:
            put(store, "collections", one)
        broken = refusing(store, 4)
        with pytest.raises(StoreError):
            import_results(open_book(broken), find_results(store.url, open_store), workers=1)
        done = import_results(open_book(store), find_results(store.url, open_store))
        assert (done.written, done.unchanged) == (6, 4)

    def test_what_a_check_put_there_meanwhile_is_kept(self, store: ObjectStore) -> None:
        path = put(store, "collections", row("C1-A"))
        found = find_results(store.url, open_store)
        (one,) = found.results
        ours = one.outcome.model_copy(update={"run_id": "ours"})
        store.put(path, flat(ours.model_dump(mode="json")))
        with pytest.raises(ChangedError, match="read it again"):
            import_results(open_book(store), found)
        assert stored(store) == {"C1-A": ours}

    def test_an_interruption_between_record_and_deletion(self, store: ObjectStore) -> None:
        put(store, "collections", row("C1-A", tiling_compatible=False))
        broken = refusing(store, 1)
        with pytest.raises(StoreError, match="the store refuses collections/C1-A/status=false/re"):
            import_results(open_book(broken), find_in_tree(broken, name="tree"))
        assert len(list(store.list("collections"))) == 2
        # The tree is called otherwise now, which does not matter.
        import_results(open_book(store), find_in_tree(store, "collections", name="other"))
        assert len(list(store.list("collections"))) == 1
        assert stored(store)["C1-A"].reason == "unrecorded"

    def test_a_store_in_memory(self) -> None:
        store, other = open_store("memory://"), open_store("memory://")
        put(store, "collections", row("C1-A"))
        done = import_results(open_book(other), find_in_tree(store, name="tree"))
        assert done.written == 1
        assert list(stored(other)) == ["C1-A"]
        import_results(open_book(store), find_in_tree(store, name="tree"))
        assert list(stored(store)) == ["C1-A"]
