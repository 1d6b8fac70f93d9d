"""Scenes read from a table's columns are those that their items describe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.scene_columns import (
    SCENE_COLUMNS,
    WITHDRAWN,
    KnownScenes,
    known_scenes,
    read_known_scenes,
    scene_columns,
    version_text,
)
from estinel_assets.stac.scene_table import encode_table, merge_items
from estinel_assets.stac.scenes import Scene, parse_scene
from estinel_assets.stac.versions import piece_of_pass
from tests.unit.stac.stac_items import all_real_items, made_item

Json = dict[str, Any]
ALWAYS = [(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))]


def expected(item: Json, provider: Provider = Provider.EARTH_SEARCH) -> Scene:
    """The scene as parsed from its item, less what the columns leave out."""
    return replace(parse_scene(item, provider), assets={}, self_href=None)


def table_of(*items: Json) -> pa.Table:
    return merge_items(None, items, covered=()).table


@cache
def real_table() -> tuple[dict[str, Json], pa.Table]:
    """All real items by id, and a table of them; do not change them."""
    items = {item["id"]: item for _, item in all_real_items()}
    return items, table_of(*items.values())


@pytest.mark.parametrize("provider", Provider)
def test_every_real_scene_comes_back(provider: Provider) -> None:
    items, table = real_table()
    scenes = list(read_known_scenes(encode_table(table)))
    assert len(scenes) == len(items) > 1000
    assert {scene.id: scene for scene in scenes} == {
        item_id: expected(item, provider) for item_id, item in items.items()
    }
    assert [(scene.datetime, scene.id) for scene in scenes] == sorted(
        (scene.datetime, scene.id) for scene in scenes
    )


def test_instants_are_in_utc_to_the_microsecond() -> None:
    item = made_item(when="2024-05-17T10:11:09.024567+10:00", updated="2024-05-18T00:00:00.5Z")
    (scene,) = known_scenes(table_of(item))
    assert scene.datetime == datetime(2024, 5, 17, 0, 11, 9, 24567, tzinfo=UTC)
    assert scene.updated == datetime(2024, 5, 18, 0, 0, 0, 500_000, tzinfo=UTC)
    assert scene.datetime.tzinfo is UTC


@pytest.mark.parametrize("baseline", ["05.10", "05.01", "02.09", "99.99", "100.1", None, "new"])
def test_baselines_stay_numbers(baseline: str | None) -> None:
    item = made_item()
    item["properties"]["s2:processing_baseline"] = baseline
    (scene,) = known_scenes(table_of(item))
    assert scene.baseline == expected(item).baseline
    if baseline in ("05.10", "05.01", "02.09"):
        assert scene_columns(scene)["estinel:baseline"] == baseline


def test_what_an_item_does_not_say_stays_unsaid() -> None:
    bare = made_item()
    bare["properties"] = {"datetime": bare["properties"]["datetime"]}
    del bare["geometry"], bare["bbox"], bare["collection"]
    (scene,) = known_scenes(table_of(bare))
    assert scene == expected(bare)
    assert (scene.collection, scene.updated, scene.platform) == ("", None, None)


def test_withdrawn_scenes_are_there_and_say_so() -> None:
    first, second = made_item("a"), made_item("b")
    table = merge_items(table_of(first, second), [second], covered=ALWAYS).table
    assert list(known_scenes(table)) == [replace(expected(first), withdrawn=True), expected(second)]


def test_an_empty_table_has_no_scenes() -> None:
    assert_same(read_known_scenes(encode_table(table_of())), [])


def assert_same(known: KnownScenes, scenes: list[Scene]) -> None:
    """Each column says what the scenes do, one by one."""
    assert len(known) == len(scenes)
    assert list(known) == scenes
    assert [known[place] for place in range(len(scenes))] == scenes
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [epoch + timedelta(microseconds=us) for us in known.instants_us.tolist()] == [
        scene.datetime for scene in scenes
    ]
    assert known.instants_us.dtype == np.int64
    assert known.withdrawn.dtype == np.bool_
    assert known.withdrawn.tolist() == [scene.withdrawn for scene in scenes]
    assert [None if np.isnan(one) else one for one in known.longitudes_deg] == [
        scene.centroid_longitude_deg for scene in scenes
    ]
    assert known.versions == [
        (scene.id, scene.updated.isoformat() if scene.updated else "") for scene in scenes
    ]
    assert known.pieces == [piece_of_pass(scene) for scene in scenes]


def test_columns_say_of_every_real_scene_what_the_scene_does() -> None:
    items, table = real_table()
    scenes = [expected(items[name]) for name in table.column("id").to_pylist()]
    assert len({piece_of_pass(scene) for scene in scenes}) > 100
    assert_same(known_scenes(table), scenes)
    assert_same(read_known_scenes(encode_table(table)), scenes)
    assert_same(KnownScenes.of(scenes), scenes)


def test_columns_tell_what_is_withdrawn_and_what_is_not_said() -> None:
    first, second, bare = made_item("a"), made_item("b"), made_item("c")
    bare["properties"] = {"datetime": bare["properties"]["datetime"]}
    del bare["geometry"], bare["bbox"], bare["collection"]
    table = merge_items(table_of(first, second, bare), [second], covered=ALWAYS).table
    withdrawn = {"a": True, "b": False, "c": True}
    by_id = {item["id"]: expected(item) for item in (first, second, bare)}
    scenes = [
        replace(by_id[name], withdrawn=withdrawn[name]) for name in table.column("id").to_pylist()
    ]
    assert_same(known_scenes(table), scenes)
    assert_same(KnownScenes.of(scenes), scenes)
    assert [scene.updated for scene in scenes].count(None) == 1


def test_a_made_scene_is_known_without_its_assets_and_links() -> None:
    scene = parse_scene(made_item(), Provider.EARTH_SEARCH)
    assert scene.assets
    assert list(KnownScenes.of([scene])) == [expected(made_item())]


def test_every_scene_column_is_given_a_value() -> None:
    assert set(scene_columns(expected(made_item()))) == set(SCENE_COLUMNS)


@pytest.mark.parametrize("column", ["id", "datetime", WITHDRAWN, "estinel:baseline"])
def test_a_table_of_others_is_refused(column: str) -> None:
    table = table_of(made_item())
    assert read_known_scenes(encode_table(table))
    with pytest.raises(BadInputError, match="delete it"):
        read_known_scenes(encode_table(table.drop_columns([column])))
    with pytest.raises(BadInputError, match="delete it"):
        known_scenes(table.drop_columns([column]))


def test_a_table_in_which_a_scene_has_no_time_is_refused() -> None:
    table = table_of(made_item())
    place = table.schema.get_field_index("datetime")
    missing = pa.nulls(len(table), table.schema.field(place).type)
    with pytest.raises(BadInputError, match="delete it"):
        known_scenes(table.set_column(place, table.schema.field(place), missing))


@pytest.mark.parametrize("content", [b"", b"PAR0", b"PAR1 and nothing of it PAR1"])
def test_what_is_no_parquet_is_refused(content: bytes) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        read_known_scenes(content)


STAMPS = st.datetimes(timezones=st.just(UTC)) | st.builds(
    lambda second, microsecond: datetime(2024, 6, 1, 0, 0, second, microsecond, UTC),
    st.integers(0, 2),
    st.integers(0, 2),
)


@given(STAMPS, STAMPS)
def test_stamps_sort_as_text_as_they_do_as_time(one: datetime, other: datetime) -> None:
    texts = version_text(one), version_text(other)
    assert texts[0] is not None
    assert texts[1] is not None
    assert (texts[0] < texts[1]) == (one < other)
    assert (texts[0] == texts[1]) == (one == other)


def test_no_stamp_is_no_text() -> None:
    assert version_text(None) is None
