"""Scenes read from a table's columns are those that their items describe."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.scene_columns import (
    SCENE_COLUMNS,
    WITHDRAWN,
    read_scenes,
    scene_columns,
    scenes_of,
    version_text,
)
from estinel_assets.stac.scene_table import encode_table, merge_items
from estinel_assets.stac.scenes import Scene, parse_scene
from tests.unit.stac.stac_items import all_real_items, made_item

Json = dict[str, Any]
ALWAYS = [(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))]


def expected(item: Json, provider: Provider = Provider.EARTH_SEARCH) -> Scene:
    """The scene as parsed from its item, less what the columns leave out."""
    return replace(parse_scene(item, provider), assets={}, self_href=None)


def table_of(*items: Json) -> pa.Table:
    return merge_items(None, items, covered=()).table


@pytest.mark.parametrize("provider", Provider)
def test_every_real_scene_comes_back(provider: Provider) -> None:
    items = {item["id"]: item for _, item in all_real_items()}
    scenes = read_scenes(encode_table(table_of(*items.values())))
    assert len(scenes) == len(items) > 1000
    assert {scene.id: scene for scene in scenes} == {
        item_id: expected(item, provider) for item_id, item in items.items()
    }
    assert [(scene.datetime, scene.id) for scene in scenes] == sorted(
        (scene.datetime, scene.id) for scene in scenes
    )


def test_instants_are_in_utc_to_the_microsecond() -> None:
    item = made_item(when="2024-05-17T10:11:09.024567+10:00", updated="2024-05-18T00:00:00.5Z")
    (scene,) = scenes_of(table_of(item))
    assert scene.datetime == datetime(2024, 5, 17, 0, 11, 9, 24567, tzinfo=UTC)
    assert scene.updated == datetime(2024, 5, 18, 0, 0, 0, 500_000, tzinfo=UTC)
    assert scene.datetime.tzinfo is UTC


@pytest.mark.parametrize("baseline", ["05.10", "05.01", "02.09", "99.99", "100.1", None, "new"])
def test_baselines_stay_numbers(baseline: str | None) -> None:
    item = made_item()
    item["properties"]["s2:processing_baseline"] = baseline
    (scene,) = scenes_of(table_of(item))
    assert scene.baseline == expected(item).baseline
    if baseline in ("05.10", "05.01", "02.09"):
        assert scene_columns(scene)["estinel:baseline"] == baseline


def test_what_an_item_does_not_say_stays_unsaid() -> None:
    bare = made_item()
    bare["properties"] = {"datetime": bare["properties"]["datetime"]}
    del bare["geometry"], bare["bbox"], bare["collection"]
    (scene,) = scenes_of(table_of(bare))
    assert scene == expected(bare)
    assert (scene.collection, scene.updated, scene.platform) == ("", None, None)


def test_withdrawn_scenes_are_there_and_say_so() -> None:
    first, second = made_item("a"), made_item("b")
    table = merge_items(table_of(first, second), [second], covered=ALWAYS).table
    assert scenes_of(table) == [replace(expected(first), withdrawn=True), expected(second)]


def test_an_empty_table_has_no_scenes() -> None:
    assert read_scenes(encode_table(table_of())) == []


def test_every_scene_column_is_given_a_value() -> None:
    assert set(scene_columns(expected(made_item()))) == set(SCENE_COLUMNS)


@pytest.mark.parametrize("column", ["id", WITHDRAWN, "estinel:baseline"])
def test_a_table_of_others_is_refused(column: str) -> None:
    table = table_of(made_item())
    assert read_scenes(encode_table(table))
    with pytest.raises(BadInputError, match="delete it"):
        read_scenes(encode_table(table.drop_columns([column])))
    with pytest.raises(BadInputError, match="delete it"):
        scenes_of(table.drop_columns([column]))


@pytest.mark.parametrize("content", [b"", b"PAR0", b"PAR1 and nothing of it PAR1"])
def test_what_is_no_parquet_is_refused(content: bytes) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        read_scenes(content)


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
