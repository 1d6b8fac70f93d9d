"""The inbox: which requests are new, what they become, and what stands beside them."""

import json
from datetime import UTC, datetime

import pytest

from estinel_assets.ard.inbox import (
    MOST_BYTES,
    InboxRequest,
    Resolved,
    read_cursor,
    requests_in,
    resolve,
    write_cursor,
)
from estinel_assets.ard.tile_table import TileTable
from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.tile_tables import BAMENDA, small_table

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
INBOX = "ard/inbox"
GOOD = b"Year,Y_tile,X_tile\n2023,7,11\n2022,8,12\n"


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory://")


@pytest.fixture(scope="module")
def table() -> TileTable:
    return small_table(BAMENDA)


def put(store: ObjectStore, name: str, body: bytes = GOOD) -> str:
    store.put(f"{INBOX}/{name}", body)
    return f"{INBOX}/{name}"


def standing(store: ObjectStore) -> list[InboxRequest]:
    return requests_in(store.list(INBOX), INBOX)


def resolved(store: ObjectStore, table: TileTable) -> list[Resolved]:
    return list(resolve(standing(store), store, table, NOW))


def test_records_and_hidden_files_are_no_requests(store: ObjectStore) -> None:
    for name in ("b.csv", "a.json", "b.csv.resolved.csv", "c.refused.json", ".part", "d/.x.csv"):
        put(store, name)

    assert [one.path for one in standing(store)] == [f"{INBOX}/a.json", f"{INBOX}/b.csv"]


def test_the_folder_may_say_the_year(store: ObjectStore, table: TileTable) -> None:
    put(store, "2021/ids.txt", b"11X7Y 12X7Y\n")
    put(store, "2020", GOOD)  # a file of that name is no folder

    file, in_folder = resolved(store, table)

    assert (file.request.year, in_folder.request.year) == (None, 2021)
    assert [one.key for one in in_folder.tile_years] == ["2021_11X7Y", "2021_12X7Y"]


def test_a_request_becomes_tile_years_and_its_table_stands_beside_it(
    store: ObjectStore, table: TileTable
) -> None:
    path = put(store, "good.csv")

    (done,) = resolved(store, table)

    assert done.problem is None
    assert [one.key for one in done.tile_years] == ["2022_12X8Y", "2023_11X7Y"]
    lines = store.get(f"{path}.resolved.csv").data.decode().splitlines()
    assert lines[0] == "Year,X,Y,Y_tile,X_tile"
    assert [line.split(",")[0] for line in lines[1:]] == ["2022", "2023"]
    assert standing(store) == [done.request]


def test_a_bad_request_is_told_of_beside_it_and_the_others_go_on(
    store: ObjectStore, table: TileTable
) -> None:
    bad = put(store, "a-bad.csv", b"Year,Y_tile,X_tile\n1999,7,11\n2023,700,11\n")
    put(store, "b-good.csv")

    first, second = resolved(store, table)

    assert (len(first.tile_years), len(second.tile_years)) == (0, 2)
    record = json.loads(store.get(f"{bad}.refused.json").data)
    assert record["version"] == first.request.version
    assert record["refused_at"] == "2024-05-01T12:00:00+00:00"
    assert "2 problems" in record["problems"][0]
    assert "1999" in record["problems"][1]
    assert "11X700Y" in record["problems"][2]


def test_a_repaired_request_has_one_record_only(store: ObjectStore, table: TileTable) -> None:
    path = put(store, "one.csv", b"nonsense")
    (refused,) = resolved(store, table)
    put(store, "one.csv")
    (taken,) = resolved(store, table)

    assert refused.request.version != taken.request.version
    names = {meta.path for meta in store.list(INBOX)}
    assert names == {path, f"{path}.resolved.csv"}

    put(store, "one.csv", b"nonsense again")
    resolved(store, table)

    assert {meta.path for meta in store.list(INBOX)} == {path, f"{path}.refused.json"}


def test_a_huge_request_is_refused_unread(store: ObjectStore, table: TileTable) -> None:
    request = InboxRequest(f"{INBOX}/never-there.csv", MOST_BYTES + 1, "v", None)

    (done,) = resolve([request], store, table, NOW)

    assert done.problem is not None
    assert str(MOST_BYTES) in done.problem


def test_a_request_that_is_taken_away_meanwhile_is_passed_over(
    store: ObjectStore, table: TileTable
) -> None:
    path = put(store, "gone.csv")
    put(store, "here.csv")
    listed = standing(store)
    store.delete(path)

    (done,) = resolve(listed, store, table, NOW)

    assert done.request.path.endswith("here.csv")


def test_without_a_table_of_tiles_no_request_is_to_blame(store: ObjectStore) -> None:
    path = put(store, "good.csv")

    with pytest.raises(BadInputError, match="no table of tiles"):
        resolved(store, TileTable(store, "grid/absent.parquet"))
    assert [meta.path for meta in store.list(INBOX)] == [path]


def test_a_store_that_refuses_is_no_verdict_on_a_request(
    store: ObjectStore, table: TileTable
) -> None:
    put(store, "good.csv")
    listed = standing(store)

    class Refusing:
        def get(self, path: str) -> None:
            raise StoreError(f"{path}: 503")

    with pytest.raises(StoreError, match="503"):
        list(resolve(listed, Refusing(), table, NOW))  # type: ignore[arg-type]
    assert len(list(store.list(INBOX))) == 1


def test_the_cursor_remembers_versions_and_forgets_what_is_gone(store: ObjectStore) -> None:
    for name in ("a.csv", "b.csv"):
        put(store, name)
    first, second = standing(store)
    cursor = write_cursor({first.version, second.version, "of-a-former-time"}, [first, second])

    assert read_cursor(cursor) == {first.version, second.version}
    assert read_cursor(write_cursor(read_cursor(cursor), [second])) == {second.version}
    put(store, "a.csv", GOOD + b"2021,7,11\n")
    changed = standing(store)[0]
    assert changed.path == first.path
    assert changed.version not in read_cursor(cursor)


@pytest.mark.parametrize("cursor", [None, "", "not JSON", "{}", "7"])
def test_a_cursor_of_somebody_else_says_nothing(cursor: str | None) -> None:
    assert read_cursor(cursor) == frozenset()
