"""The made world of the ARD tiles holds together: files, items, clouds, gaps and requests."""

import datetime as dt
import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.warp import transform_geom
from shapely.geometry import box, shape

from estinel_assets.ard.coverage import tile_coverage
from estinel_assets.ard.requests import read_request
from estinel_assets.ard.sentinel1_selection import s1_scene, select_s1
from estinel_assets.ard.sentinel2_bands import S2_ASSET_KEYS
from estinel_assets.ard.sentinel2_rules import S2Rules
from estinel_assets.ard.sentinel2_selection import bad_fraction
from estinel_assets.ard.tiles import Tile, TileYear, tile_grid
from estinel_assets.demo.ard_items import s1_item, s2_item
from estinel_assets.demo.ard_land import Land, land_of
from estinel_assets.demo.ard_places import COAST, GROUPS, SUMMIT, Group, window_on
from estinel_assets.demo.ard_radar import NODATA, frame_files, frames_of
from estinel_assets.demo.ard_scenes import scenes_of, sights_of
from estinel_assets.demo.ard_sky import classes_of, sky_over
from estinel_assets.demo.ard_world import ARD_YEAR, ArdWorld, build_ard_world
from estinel_assets.demo.scenes import generator
from estinel_assets.stac.bands import Provider
from tests.support.tile_tables import table_of

Item = dict[str, Any]
SEED = 11
MONTH = {2}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ArdWorld:
    return build_ard_world(
        tmp_path_factory.mktemp("world"), seed=SEED, groups=["island"], months=MONTH
    )


@pytest.fixture(scope="module")
def island() -> Land:
    return land_of(GROUPS[1], SEED)


def of(world: ArdWorld, collection: str) -> list[Item]:
    return [item for item in world.items if item["collection"] == collection]


def year_of_frames(group: Group) -> list[Item]:
    return [s1_item(frame, {"vv": b"", "vh": b""}) for frame in frames_of(group, ARD_YEAR)]


def tile_at(world: ArdWorld, place: tuple[float, float]) -> Tile:
    return next(tile for tile in world.tiles if (tile.lon, tile.lat) == place)


def test_items_pass_the_core_schema(world: ArdWorld) -> None:
    # Only the schemas of 1.1.0 come with pystac; they ask more than those of 1.0.0.
    validator = JsonSchemaSTACValidator()
    for collection in world.collections:
        item = of(world, str(collection["id"]))[0]
        validator.validate_core(
            item | {"stac_version": "1.1.0"}, pystac.STACObjectType.ITEM, "1.1.0"
        )
        validator.validate_core(
            collection | {"stac_version": "1.1.0"}, pystac.STACObjectType.COLLECTION, "1.1.0"
        )
        assert pystac.Item.from_dict(item, preserve_dict=True).datetime is not None


def test_every_file_is_what_its_item_says(world: ArdWorld) -> None:
    stored = {path for path in (world.folder / "scenes").rglob("*") if path.is_file()}
    said = set()
    for item in world.items:
        for name, asset in item["assets"].items():
            path = world.folder / asset["href"]
            content = path.read_bytes()
            placed = item["properties"] | asset  # what holds for all assets stands in the item
            said.add(path)
            assert asset["file:size"] == len(content)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
            with rasterio.open(path) as raster:
                assert list(raster.shape) == placed["proj:shape"], name
                assert list(raster.transform)[:6] == pytest.approx(placed["proj:transform"])
                assert raster.crs.to_epsg() == item["properties"]["proj:epsg"]
                bands = asset.get("raster:bands")
                assert raster.nodata == (bands[0]["nodata"] if bands else None)
    assert said == stored


def test_footprints_contain_what_was_made(world: ArdWorld) -> None:
    scene = of(world, "sentinel-2-c1-l2a")[0]
    properties, asset = scene["properties"], scene["assets"]["red"]
    step, _, left, _, _, top = asset["proj:transform"]
    rows, columns = asset["proj:shape"]
    extent = box(left, top - rows * step, left + columns * step, top)
    degrees = transform_geom(properties["proj:code"], "EPSG:4326", extent.__geo_interface__)
    assert shape(scene["geometry"]).symmetric_difference(shape(degrees)).area < 1e-4


def test_scenes_have_the_bands_that_are_read(world: ArdWorld) -> None:
    for item in of(world, "sentinel-2-c1-l2a"):
        assert set(S2_ASSET_KEYS[Provider.EARTH_SEARCH].values()) == set(item["assets"])


def test_pixels_stand_where_the_tiles_are(world: ArdWorld) -> None:
    grid = tile_grid(tile_at(world, COAST))
    scenes = [item for item in of(world, "sentinel-2-c1-l2a") if "_T57NVH" in item["id"]]
    assert scenes
    for item in scenes:
        with rasterio.open(world.folder / item["assets"]["nir"]["href"]) as raster:
            assert raster.read(1, window=raster.window(*grid.bounds)).min() > 0
    frame = of(world, "sentinel-1-rtc")[0]
    with rasterio.open(world.folder / frame["assets"]["vv"]["href"]) as raster:
        assert raster.overviews(1) == [2, 4, 8, 16]
        seen = raster.read(1, window=raster.window(*grid.bounds))
        assert 0 < seen.min() < seen.max() < 5
        coarse = raster.read(1, out_shape=(raster.height // 16, raster.width // 16))
    assert 0 < coarse[coarse != NODATA].mean() < 1


def test_the_overviews_show_the_clouds_of_the_pixels(world: ArdWorld) -> None:
    scene = of(world, "sentinel-2-c1-l2a")[-1]
    path = world.folder / scene["assets"]["scl"]["href"]
    with rasterio.open(path, overview_level=2) as raster:
        wide = raster.read(1)
    assert wide.min() > 0
    share = float(np.isin(wide, (8, 9, 10)).mean() * 100)
    assert scene["properties"]["eo:cloud_cover"] == pytest.approx(share, abs=1e-6)


def test_the_same_seed_gives_the_same_bytes(world: ArdWorld, island: Land) -> None:
    known = {item["id"]: item for item in world.items}
    sight = next(one for one in sights_of(GROUPS[1], ARD_YEAR) if one.moment.month in MONTH)
    for scene in scenes_of(sight, island, SEED):
        item = s2_item(scene)
        assert known[item["id"]] == item
    frame = next(one for one in frames_of(GROUPS[1], ARD_YEAR) if one.moment.month in MONTH)
    again = s1_item(frame, frame_files(frame, island, SEED))
    assert known[again["id"]] == again
    other = s1_item(frame, frame_files(frame, island, SEED + 1))
    assert other["assets"]["vv"]["file:checksum"] != again["assets"]["vv"]["file:checksum"]


def test_the_sea_cell_is_absent(world: ArdWorld) -> None:
    assert [item["id"] for item in of(world, "cop-dem-glo-30")] == [
        "Copernicus_DSM_COG_10_N06_00_E158_00_DEM",
    ]


def test_requests_in_three_forms_ask_for_the_same_tiles(world: ArdWorld) -> None:
    table = table_of(pq.read_table(world.tile_table))
    asked = [
        read_request(path.read_bytes(), path.name, table, today=dt.date(2026, 1, 1))
        for path in world.requests
    ]
    assert asked[0] == tuple(sorted(TileYear(tile, ARD_YEAR) for tile in world.tiles))
    assert asked[1:] == [asked[0], asked[0]]
    assert len(asked[0]) == len(world.tiles) == 2


def test_only_the_coast_has_a_gap() -> None:
    gaps = {}
    for group in GROUPS:
        scenes = [s1_scene(item) for item in year_of_frames(group)]
        for place in group.places:
            selected = select_s1(scenes, Tile(1, 1, *place), ARD_YEAR)
            assert selected.orbit == "descending"
            assert all(quarter.qualified for quarter in selected.quarters if quarter.days)
            gaps[place] = selected.gaps
    assert gaps.pop(COAST) == ("Q3",)
    assert set(gaps.values()) == {()}


def test_frames_meet_between_the_islands_tiles() -> None:
    north, south = (frame.footprint for frame in frames_of(GROUPS[1], ARD_YEAR)[:2])
    coast, summit = Tile(1, 1, *COAST), Tile(1, 1, *SUMMIT)
    assert (tile_coverage([north], coast), tile_coverage([south], coast)) == (1, 0)
    assert (tile_coverage([north], summit), tile_coverage([south], summit)) == (0, 1)


def test_the_summit_is_never_clear(island: Land) -> None:
    group, limit = GROUPS[1], S2Rules().max_bad
    bad: dict[tuple[float, float], list[float]] = {SUMMIT: [], COAST: []}
    for sight in sights_of(group, ARD_YEAR)[::7]:
        sky = sky_over(group, island, sight.cover, sight.sun, generator(SEED, str(sight.moment)))
        classes = classes_of(island, sky)
        for place, shares in bad.items():
            window = window_on(island.grid, tile_grid(Tile(1, 1, *place), 20.0))
            assert window is not None
            shares.append(bad_fraction(window.gather(classes)))
    assert min(bad[SUMMIT]) > limit
    assert min(bad[COAST]) < limit


def test_a_year_has_two_or_three_dates_a_month() -> None:
    for group in GROUPS:
        months = Counter(sight.moment.month for sight in sights_of(group, ARD_YEAR))
        assert set(months) == set(range(1, 13))
        assert set(months.values()) <= {2, 3}


def test_the_catalogue_stands_in_its_files(world: ArdWorld) -> None:
    items = json.loads((world.folder / "items.json").read_text())
    assert items["features"] == list(world.items)
    collections = json.loads((world.folder / "collections.json").read_text())
    assert [one["id"] for one in collections] == [
        "sentinel-2-c1-l2a",
        "sentinel-1-rtc",
        "cop-dem-glo-30",
    ]
