import sqlite3

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import (
    AlreadyStoredError,
    ItemRepository,
    NotStoredError,
    load_items,
)
from estinel_assets.stac.api.parameters import parse_search
from tests.support.stac_api import stac_collection, stac_item

ACROSS = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[179, 0], [180, 0], [180, 1], [179, 1], [179, 0]]],
        [[[-180, 0], [-179, 0], [-179, 1], [-180, 1], [-180, 0]]],
    ],
}


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path / "deep" / "stac.db") as opened:
        load_items(opened, [stac_collection("scenes"), stac_collection("others")], [])
        yield opened


@pytest.fixture
def repository(database):
    return ItemRepository(database)


def matched(repository, **parameters):
    return repository.search(parse_search(**parameters)).matched


def boxes_kept(database):
    with database.reading() as connection:
        return connection.execute("SELECT count(*) FROM boxes").fetchone()[0]


def test_what_was_loaded_is_counted_and_given_back(database, repository):
    item = stac_item("a", assets={"red": {"href": "scenes/a.tif"}})

    assert load_items(database, [], iter([item, stac_item("b")])) == 2
    assert repository.get("scenes", "a") == item
    assert repository.get("others", "a") is None
    assert repository.get_collection("scenes") == stac_collection("scenes")
    assert repository.collection_ids() == ["others", "scenes"]


def test_one_id_may_stand_in_two_collections(repository):
    repository.upsert_items([stac_item("a"), stac_item("a", collection="others")])

    assert matched(repository) == 2
    assert matched(repository, collections=["others"]) == 1


def test_an_item_replaces_its_former_version_with_place_and_time(database, repository):
    repository.upsert_items([stac_item("a", bbox=(-179, 0, 179, 1), geometry=ACROSS)])
    assert boxes_kept(database) == 2

    repository.upsert_items(
        [stac_item("a", bbox=(10, 10, 11, 11), datetime="2020-01-01T00:00:00Z")]
    )

    assert boxes_kept(database) == 1
    assert matched(repository) == 1
    assert matched(repository, bbox=[179, 0, -179, 1]) == 0
    assert matched(repository, bbox=[10, 10, 11, 11], interval="2020-01-01T00:00:00Z") == 1


def test_deleting_leaves_nothing_behind(database, repository):
    repository.upsert_items(
        [stac_item("a", geometry=ACROSS), stac_item("b"), stac_item("c", collection="others")]
    )

    assert repository.delete_items("scenes", ["a", "absent"]) == 1
    assert boxes_kept(database) == 2
    assert repository.delete_collection("scenes") is True
    assert repository.delete_collection("scenes") is False
    assert boxes_kept(database) == 1
    assert repository.get("scenes", "b") is None
    assert matched(repository) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id must be a text"),
        ({"id": "a/b"}, "slash"),
        ({"id": "a\nb"}, "control character"),
        ({"collection": "unknown"}, "'unknown' is not known"),
        ({"properties": None}, "no properties"),
        ({"properties": {"datetime": None}}, "neither a datetime"),
        ({"properties": {"datetime": "yesterday"}}, "'yesterday'"),
        ({"properties": {"datetime": 7}}, "7"),
        (
            {
                "properties": {
                    "datetime": None,
                    "start_datetime": "2024-01-02T00:00:00Z",
                    "end_datetime": "2024-01-01T00:00:00Z",
                }
            },
            "before its start_datetime",
        ),
        ({"geometry": {"type": "Circle"}}, "'Circle'"),
        ({"geometry": {"type": "Point", "coordinates": [0, 95]}}, "no longitude and latitude"),
        ({"properties": {"datetime": "2024-01-01T00:00:00Z", "x": object()}}, "JSON cannot say"),
    ],
)
def test_an_unusable_item_is_named_and_nothing_is_stored(repository, change, message):
    with pytest.raises(BadInputError, match=message):
        repository.upsert_items([stac_item("good"), stac_item("bad") | change])

    assert matched(repository) == 0


def test_many_unusable_items_are_listed_together(repository):
    bad = [stac_item(f"bad{n}") | {"properties": {}} for n in range(25)]

    with pytest.raises(BadInputError, match=r"'bad0'.*'bad19'.*and 5 more"):
        repository.upsert_items(bad)


def test_an_unusable_collection_stores_nothing(database, repository):
    with pytest.raises(BadInputError, match="collection ''"):
        load_items(database, [stac_collection("new"), stac_collection("")], [])

    assert repository.get_collection("new") is None


def test_an_unbroken_reader_sees_one_state(database, repository):
    with database.reading() as connection:
        before = connection.execute("SELECT count(*) FROM items").fetchone()
        repository.upsert_items([stac_item("a")])
        during = connection.execute("SELECT count(*) FROM items").fetchone()

    assert before == during == (0,)
    assert matched(repository) == 1


def test_a_failed_write_is_undone(database, repository):
    def failing():
        yield stac_item("a")
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        repository.upsert_items(failing())

    assert matched(repository) == 0
    assert repository.upsert_items([stac_item("a")]) == 1


def test_a_database_is_found_again(tmp_path):
    path = tmp_path / "stac.db"
    with Database(path) as database:
        load_items(database, [stac_collection("scenes")], [stac_item("a")])

    with Database(path) as database:
        assert ItemRepository(database).get("scenes", "a") == stac_item("a")


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, but long enough to be looked at\n" * 100)
    before = path.read_bytes()

    with pytest.raises(BadInputError, match="cannot be used"):
        Database(path)

    assert path.read_bytes() == before


def test_tables_of_another_program_are_refused(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE items (id)")
    connection.commit()
    connection.close()

    with pytest.raises(BadInputError, match="version 0"):
        Database(path)


def test_creating_refuses_what_stands_and_putting_replaces_it(database, repository):
    (text,) = repository.create_items("scenes", [stac_item("a", geometry=ACROSS)])
    assert text == repository.item_text("scenes", "a")

    with pytest.raises(AlreadyStoredError, match="'a'"):
        repository.create_items("scenes", iter([stac_item("b"), stac_item("a")]))
    assert repository.get("scenes", "b") is None
    assert repository.get("scenes", "a") == stac_item("a", geometry=ACROSS)

    assert len(repository.put_items("scenes", [stac_item("b"), stac_item("a")])) == 2
    assert repository.get("scenes", "a") == stac_item("a")
    assert boxes_kept(database) == 2
    with pytest.raises(NotStoredError, match="'absent'"):
        repository.create_items("absent", [stac_item("a", collection="absent")])


def test_a_change_that_fails_leaves_what_stands(repository):
    repository.create_items("scenes", [stac_item("a")])

    def spoil(item):
        item["properties"]["datetime"] = None
        return item

    with pytest.raises(BadInputError, match=r"'a'.*neither a datetime"):
        repository.change_item("scenes", "a", spoil)
    with pytest.raises(BadInputError, match="collection ''"):
        repository.change_collection("scenes", lambda one: {**one, "id": ""})
    with pytest.raises(AlreadyStoredError, match="'scenes'"):
        repository.create_collection({**stac_collection("scenes"), "title": "new"})

    assert repository.get("scenes", "a") == stac_item("a")
    assert repository.get_collection("scenes") == stac_collection("scenes")


def test_only_what_stands_can_be_changed(repository):
    for change in (
        lambda: repository.change_collection("absent", dict),
        lambda: repository.change_item("scenes", "absent", dict),
        lambda: repository.change_item("absent", "absent", dict),
    ):
        with pytest.raises(NotStoredError, match="'absent'"):
            change()
