"""A search merged into the site's table: what is written, kept, and read back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.imagery.scene_search import refresh_scenes, stored_items, stored_scenes
from estinel_assets.stac.scene_table import decode_table, read_items
from estinel_assets.stac.source import ListedScenes, SceneQuery
from tests.support.recording_store import RecordingStore
from tests.unit.stac.stac_items import C1, made_item, real_items

SITE = "site_af38900f"
PATH = f"stac/{SITE}.parquet"
QUERY = SceneQuery(
    "sentinel-2-c1-l2a",
    ((147.2, -42.9, 147.4, -42.8),),
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 12, 31, tzinfo=UTC),
)
A = made_item("a", "2024-05-01T00:00:00Z")
B = made_item("b", "2024-05-03T00:00:00Z")
NEWER_B = made_item("b", "2024-05-03T00:00:00Z", updated="2024-06-01T00:00:00Z")
OUTSIDE = made_item("c", "2023-05-03T00:00:00Z")


class Failing:
    """A source that does not answer."""

    def search(self, query):  # noqa: ARG002
        raise RetryableError(SourceFault.UNAVAILABLE, "down")


@pytest.fixture
def store():
    return RecordingStore()


def refresh(store, *items, query=QUERY):
    return refresh_scenes(store, SITE, ListedScenes(items), query)


def known(store):
    return {scene.id: scene.withdrawn for scene in stored_scenes(store, SITE)}


def test_what_was_found_is_kept(store):
    refreshed = refresh(store, B, A)

    assert store.writes == [PATH]
    counts = refreshed.counts()
    assert counts == counts | {
        "scenes_found": 2,
        "scenes_known": 2,
        "scenes_withdrawn": 0,
        "requests": 0,
        "table_changed": True,
    }
    assert refreshed.frame["id"].tolist() == ["a", "b"]
    assert known(store) == {"a": False, "b": False}


def test_the_same_answer_writes_nothing(store):
    refresh(store, A, B)
    store.forget()

    refreshed = refresh(store, B, A)

    assert store.writes == []
    assert not refreshed.changed
    assert refreshed.found == 2


def test_a_newer_version_takes_the_place_of_the_older(store):
    refresh(store, A, B)

    assert refresh(store, A, NEWER_B).changed
    assert stored_items(store, SITE, {"b"})["b"] == NEWER_B
    refresh(store, A, B)  # a mirror that is behind
    assert stored_items(store, SITE, {"b"})["b"] == NEWER_B


def test_a_scene_that_is_absent_is_withdrawn_until_it_is_back(store):
    refresh(store, A, B)

    assert refresh(store, A).counts()["scenes_withdrawn"] == 1
    assert known(store) == {"a": False, "b": True}
    assert stored_items(store, SITE, {"a", "b"}).keys() == {"a"}
    refresh(store, A, B)
    assert known(store) == {"a": False, "b": False}


def test_an_empty_answer_withdraws_nothing(store):
    refresh(store, A, B)
    store.forget()

    refreshed = refresh(store)

    assert (refreshed.found, refreshed.changed) == (0, False)
    assert store.writes == []
    assert known(store) == {"a": False, "b": False}


def test_what_the_search_did_not_cover_is_left_alone(store):
    wide = replace(QUERY, start=datetime(2015, 1, 1, tzinfo=UTC))
    refresh(store, A, OUTSIDE, query=wide)

    refresh(store, A)

    assert known(store) == {"c": False, "a": False}


def test_a_search_that_fails_leaves_the_table(store):
    refresh(store, A)
    store.forget()

    with pytest.raises(RetryableError, match="down"):
        refresh_scenes(store, SITE, Failing(), QUERY)

    assert store.writes == []
    assert known(store) == {"a": False}


def test_nothing_is_known_before_the_first_search(store):
    assert list(stored_scenes(store, SITE)) == []
    assert stored_items(store, SITE, {"a"}) == {}


def test_no_ids_ask_for_nothing(store):
    refresh(store, A)
    store.forget()

    assert stored_items(store, SITE, []) == {}
    assert store.reads == []


def test_real_items_come_back_as_they_were(store):
    items = real_items(C1)
    query = SceneQuery(
        items[0]["collection"],
        ((-180.0, -90.0, 180.0, 90.0),),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 12, 31, tzinfo=UTC),
    )
    refresh(store, *items, query=query)

    ids = {item["id"] for item in items}
    assert stored_items(store, SITE, ids) == {item["id"]: item for item in items}
    assert len(read_items(decode_table(store.get(PATH).data))) == len(items)
