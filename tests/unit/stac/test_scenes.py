"""What is read of real items of every kind, and what is left of damaged ones."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError, SourceFault
from estinel_assets.stac.bands import BANDS, Provider, asset_keys
from estinel_assets.stac.scenes import parse_scene, processing_baseline, version_stamp
from estinel_assets.stac.source import item_datetime, parse_instant
from tests.unit.stac.stac_items import (
    C1,
    PC_1000,
    PC_2020,
    V0,
    V1_MARCH_2020,
    all_real_items,
    made_item,
    real_items,
)

EARTH_SEARCH, PC = Provider.EARTH_SEARCH, Provider.PLANETARY_COMPUTER


def test_every_real_item_is_a_scene() -> None:
    found = Counter(
        name for name, item in all_real_items() if parse_scene(item, EARTH_SEARCH).id == item["id"]
    )
    assert found.total() == 1076
    assert len(found) == 12


def test_a_collection_1_item() -> None:
    scene = parse_scene(real_items(C1)[0], EARTH_SEARCH)
    assert scene.id == "S2A_T13TDE_20240422T174753_L2A"
    assert scene.collection == "sentinel-2-c1-l2a"
    assert scene.datetime == datetime(2024, 4, 22, 17, 53, 2, 36000, tzinfo=UTC)
    assert scene.platform == "sentinel-2a"
    assert scene.mgrs_tile == "13TDE"
    assert scene.datatake == "GS2A_20240422T173911_046141"
    assert scene.sensing_start == "20240422T174753"
    assert scene.baseline == (5, 10)
    assert scene.updated == datetime(2024, 4, 23, 3, 23, 58, 819000, tzinfo=UTC)
    assert scene.cloud_cover == 81.344962
    # The item's own proj:centroid is the oracle.
    assert scene.centroid_longitude_deg == pytest.approx(-105.06593, abs=1e-4)
    assert list(scene.assets) == list(BANDS)
    for band, size in (("red", "B04"), ("scl", "SCL")):
        asset = scene.assets[band]
        assert asset.href.endswith(f"/{size}.tif")
        assert asset.crs == "EPSG:32613"
        assert asset.bounds == (399960.0, 4390200.0, 509760.0, 4500000.0)


def test_a_reprocessed_datastrip_has_the_sensing_start_of_the_first() -> None:
    starts = {
        (scene.id[:18], scene.sensing_start)
        for scene in (parse_scene(item, EARTH_SEARCH) for item in real_items(V1_MARCH_2020))
    }
    assert starts >= {("S2A_32TMT_20200305", "20200305T103210")}
    assert len(starts) == 8


@pytest.mark.parametrize(("name", "count"), [(PC_1000, 1000), (PC_2020, 13)])
def test_planetary_computer_items_have_all_fields_and_bands(name: str, count: int) -> None:
    items = real_items(name)
    assert len(items) == count
    for item in items:
        scene = parse_scene(item, PC)
        assert scene.platform in ("sentinel-2a", "sentinel-2b")
        assert scene.mgrs_tile == item["properties"]["s2:mgrs_tile"]
        assert scene.datatake is not None
        assert scene.sensing_start is not None
        assert scene.baseline is not None
        assert scene.updated == parse_instant(item["properties"]["s2:generation_time"])
        assert {asset.crs for asset in scene.assets.values()} == {
            f"EPSG:{item['properties']['proj:epsg']}"
        }
        # proj:bbox says the same as transform and shape.
        stated = {band: item["assets"][key]["proj:bbox"] for band, key in asset_keys(PC).items()}
        assert {band: list(scene.assets[band].bounds or ()) for band in BANDS} == stated


def test_earth_search_v0_items_are_scenes_whose_version_cannot_be_told() -> None:
    scenes = [parse_scene(item, EARTH_SEARCH) for item in real_items(V0)]
    assert scenes[0].mgrs_tile == "55GDP"
    assert scenes[0].baseline == (5, 11)
    assert scenes[0].updated == datetime(2024, 10, 3, 5, 22, 7, 796000, tzinfo=UTC)
    assert {(scene.datatake, scene.sensing_start) for scene in scenes} == {(None, None)}
    # v0 names its bands otherwise.
    assert {len(scene.assets) for scene in scenes} == {0}


def test_a_nine_number_transform_counts_like_a_six_number_one() -> None:
    scene = parse_scene(real_items(V0)[0], PC)
    assert scene.assets["red"].bounds == (399960.0, 5290240.0, 509760.0, 5400040.0)


def test_proj_code_goes_before_proj_epsg_and_the_asset_before_the_item() -> None:
    item = made_item(**{"proj:code": "EPSG:32756"})
    item["assets"]["green"]["proj:epsg"] = 32754
    item["assets"]["blue"]["proj:code"] = "EPSG:3031"
    assets = parse_scene(item, EARTH_SEARCH).assets
    assert [assets[band].crs for band in ("red", "green", "blue")] == [
        "EPSG:32756",
        "EPSG:32754",
        "EPSG:3031",
    ]


def test_the_extent_may_stand_at_the_item_or_in_proj_bbox() -> None:
    item = made_item(**{"proj:shape": [2, 3], "proj:transform": [10, 0, 100, 0, -10, 200]})
    for name in ("proj:shape", "proj:transform"):
        del item["assets"]["red"][name]
        del item["assets"]["green"][name]
    assert parse_scene(item, EARTH_SEARCH).assets["red"].bounds == (100, 180, 130, 200)
    item["properties"]["proj:transform"] = [10, 0.1, 100, 0, -10, 200]
    item["assets"]["green"]["proj:bbox"] = [1, 2, 3, 4]
    assets = parse_scene(item, EARTH_SEARCH).assets
    assert assets["red"].bounds is None
    assert assets["green"].bounds == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("properties", "tile"),
    [
        ({"grid:code": "MGRS-5CNK"}, "05CNK"),
        ({"grid:code": "WRS2-033032", "s2:mgrs_tile": "T05CNK"}, "05CNK"),
        ({"mgrs:utm_zone": 5, "mgrs:latitude_band": "C", "mgrs:grid_square": "NK"}, "05CNK"),
        ({"mgrs:utm_zone": "05", "mgrs:latitude_band": "C", "mgrs:grid_square": "NK"}, "05CNK"),
        ({"mgrs:utm_zone": 5, "mgrs:latitude_band": "C"}, None),
        ({"grid:code": "MGRS-61CNK"}, None),
        ({"grid:code": 5}, None),
        ({}, None),
    ],
)
def test_the_tile_has_many_spellings(properties: dict[str, Any], tile: str | None) -> None:
    item = made_item()
    item["properties"] = {"datetime": "2024-05-17T00:00:00Z", **properties}
    assert parse_scene(item, EARTH_SEARCH).mgrs_tile == tile


def test_baselines_compare_as_numbers() -> None:
    baselines = [
        processing_baseline({"s2:processing_baseline": text})
        for text in ("02.14", "04.00", "05.09", "05.10", "05.11", "10.00")
    ]
    assert baselines == sorted(baselines, key=lambda pair: pair or (0, 0))
    assert (9, 99) < (10, 0)


@pytest.mark.parametrize("value", [None, "", "N05.10", 5.1, "05", "05.10.1", "x.y"])
def test_an_unreadable_baseline_is_none(value: object) -> None:
    assert processing_baseline({"s2:processing_baseline": value}) is None


def test_the_version_is_updated_else_created_else_generation_time() -> None:
    stamps = {
        "s2:generation_time": "2024-01-01T00:00:00Z",
        "created": "2024-01-02T00:00:00Z",
        "updated": "2024-01-03T00:00:00Z",
    }
    for day in (3, 2, 1):
        assert version_stamp(stamps) == datetime(2024, 1, day, tzinfo=UTC)
        stamps.popitem()
    assert version_stamp(stamps) is None
    assert version_stamp({"updated": "lately", "created": "2024-01-02"}) == datetime(
        2024, 1, 2, tzinfo=UTC
    )


def test_a_span_instead_of_a_datetime_starts_the_scene() -> None:
    item = made_item()
    item["properties"] |= {
        "datetime": None,
        "start_datetime": "2024-05-17T00:11:09+02:00",
        "end_datetime": "2024-05-17T01:11:19Z",
    }
    assert parse_scene(item, EARTH_SEARCH).datetime == datetime(2024, 5, 16, 22, 11, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ({"id": None}, "id"),
        ({"id": 7}, "id"),
        ({"properties": {}}, "datetime"),
        ({"properties": None}, "datetime"),
    ],
)
def test_without_id_or_datetime_there_is_no_scene(damage: dict[str, Any], word: str) -> None:
    with pytest.raises(PermanentError, match=f"has no {word}") as raised:
        parse_scene({**made_item(), **damage}, EARTH_SEARCH)
    assert raised.value.reason == SourceFault.CORRUPT


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(made_item()["properties"])), junk=JUNK)
def test_junk_in_a_property_costs_at_most_that_property(name: str, junk: object) -> None:
    item = made_item(**{name: junk})
    if item_datetime(item) is not None:
        assert parse_scene(item, EARTH_SEARCH).id == item["id"]


@settings(deadline=None)
@given(
    part=st.sampled_from(["assets", "links", "geometry", "bbox", "collection", "stac_extensions"]),
    junk=JUNK,
)
def test_junk_in_a_part_costs_at_most_that_part(part: str, junk: object) -> None:
    assert parse_scene({**made_item(), part: junk}, EARTH_SEARCH).baseline == (5, 10)


@settings(deadline=None)
@given(
    name=st.sampled_from(
        ["href", "proj:transform", "proj:shape", "proj:bbox", "proj:code", "proj:epsg"]
    ),
    junk=JUNK,
)
def test_junk_in_an_asset_costs_at_most_that_asset(name: str, junk: object) -> None:
    item = made_item()
    item["assets"]["red"][name] = junk
    assets = parse_scene(item, EARTH_SEARCH).assets
    assert set(assets) >= {"green", "blue", "scl"}
    if name != "href":
        assert assets["red"].href == item["assets"]["red"]["href"]


def test_a_scene_is_hashable_and_knows_its_item() -> None:
    scene = parse_scene(made_item(), EARTH_SEARCH)
    assert scene in {scene}
    assert scene.self_href == f"https://host/items/{scene.id}"
