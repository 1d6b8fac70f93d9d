"""The embedded world holds together: files, items, faults and both acts.

Making it takes ten seconds and more, so these are long tests; those of the demo run it every time.
"""

import csv
import hashlib
import json
import shutil
from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.errors
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.warp import transform_geom
from shapely.geometry import MultiPolygon, box, shape

from estinel_assets.demo.world import World, build_world, pass_a_day
from estinel_assets.errors import BadInputError

pytestmark = pytest.mark.soak

Item = dict[str, Any]
BANDS = {"red": "B04", "green": "B03", "blue": "B02"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"), seed=11)


def copy_of(world: World, folder: Path) -> World:
    """The same world in another folder."""
    shutil.copytree(world.folder, folder)
    return replace(world, folder=folder, sites=folder / world.sites.name)


def items_of(world: World) -> list[Item]:
    return [dict(item) for item in world.items]


def path_of(world: World, item: Item, asset: str) -> Path:
    return world.folder / str(item["assets"][asset]["href"])


def readable(world: World, item: Item) -> bool:
    size: int = item["assets"]["red"]["file:size"]
    return path_of(world, item, "red").stat().st_size == size


def sites_of(world: World) -> dict[str, dict[str, str]]:
    with world.sites.open(newline="") as table:
        return {row["location"]: row for row in csv.DictReader(table)}


def solar_day(item: Item, longitude: float) -> date:
    moment = datetime.fromisoformat(item["properties"]["datetime"])
    return (moment + timedelta(hours=longitude / 15)).date()


def by_zone(items: list[Item]) -> dict[int, list[Item]]:
    groups: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        groups[item["properties"]["mgrs:utm_zone"]].append(item)
    return groups


def piece(item: Item) -> tuple[str, ...]:
    """What versions of the same piece of a pass share."""
    properties = item["properties"]
    return (
        properties["platform"],
        properties["s2:datatake_id"].rsplit("_N", 1)[0],
        properties["grid:code"],
        properties["s2:datastrip_id"].split("_")[-2],
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_for_any_choice_of_places(world: World, tmp_path: Path) -> None:
    part = build_world(tmp_path, seed=world.seed, locations=["Scott Island"])
    whole = digests(world.folder)
    made = {name: sha for name, sha in digests(tmp_path).items() if name.startswith("scenes/")}
    assert len(made) == 4 * len(part.items) == 16
    assert made.items() <= whole.items()
    known = {item["id"]: item for item in world.items}
    assert all(known[item["id"]] == item for item in part.items)


def test_other_seed_other_pixels(world: World, tmp_path: Path) -> None:
    other = build_world(tmp_path, seed=world.seed + 1, locations=["Macquarie Island Station"])
    known = {item["id"]: item for item in items_of(world)}
    for item in items_of(other):
        for key in BANDS:
            former = known[item["id"]]["assets"][key]
            assert former["file:checksum"] != item["assets"][key]["file:checksum"]


def test_unknown_place_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"Atlantis.*Casey Station"):
        build_world(tmp_path, seed=1, locations=["Hobart", "Atlantis"])
    assert not list(tmp_path.iterdir())


def test_items_pass_the_core_schema(world: World) -> None:
    # Only the schemas of 1.1.0 come with pystac; they ask more than those of 1.0.0.
    validator = JsonSchemaSTACValidator()
    for document in items_of(world):
        validator.validate_core(
            document | {"stac_version": "1.1.0"}, pystac.STACObjectType.ITEM, "1.1.0"
        )
        assert pystac.Item.from_dict(document, preserve_dict=True).datetime is not None
    for collection in world.collections:
        document = dict(collection) | {"stac_version": "1.1.0"}
        validator.validate_core(document, pystac.STACObjectType.COLLECTION, "1.1.0")


def test_ids_are_unique_and_addresses_relative_and_present(world: World) -> None:
    ids = [item["id"] for item in world.items]
    assert len(ids) == len(set(ids))
    for item in items_of(world):
        assert set(item["assets"]) == {"red", "green", "blue", "scl"}
        for asset in item["assets"].values():
            assert asset["href"].startswith(f"scenes/{item['id']}/")
            assert (world.folder / asset["href"]).is_file()


def test_saved_documents_are_the_returned_ones(world: World) -> None:
    saved = json.loads((world.folder / "items.json").read_text())
    assert saved["features"] == list(world.items)
    assert json.loads((world.folder / "collections.json").read_text()) == list(world.collections)


def test_files_are_cogs_that_agree_with_their_items(world: World) -> None:
    for item in items_of(world):
        for key, asset in item["assets"].items():
            with rasterio.open(world.folder / asset["href"]) as raster:
                structure = raster.tags(ns="IMAGE_STRUCTURE")
                assert structure["LAYOUT"] == "COG"
                assert structure["COMPRESSION"] == "DEFLATE"
                assert structure["PREDICTOR"] == "2"
                assert raster.block_shapes == [(256, 256)]
                assert raster.overviews(1)[0] == 2
                assert raster.nodata == 0
                assert raster.dtypes[0] == asset["raster:bands"][0]["data_type"]
                assert list(raster.shape) == asset["proj:shape"]
                assert list(raster.transform)[:6] == asset["proj:transform"]
                assert raster.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert f"EPSG:{raster.crs.to_epsg()}" == item["properties"]["proj:code"]
                assert raster.res[0] == (20 if key == "scl" else 10)


def test_bands_and_classes_agree_on_what_was_seen(world: World) -> None:
    for item in items_of(world):
        with rasterio.open(path_of(world, item, "scl")) as raster:
            classes = raster.read(1)
        assert set(np.unique(classes)) <= set(range(12))
        seen = np.kron(classes > 0, np.ones((2, 2), dtype=bool))
        for key in BANDS:
            if key == "red" and not readable(world, item):
                continue
            with rasterio.open(path_of(world, item, key)) as raster:
                numbers = raster.read(1)
            assert np.array_equal(numbers > 0, seen), (item["id"], key)
            # Reflectance is (DN - 1000) / 10000: dark water sits just above 1000.
            assert np.percentile(numbers[seen], 1) > 1000
            assert numbers.max() < 15_000
        share = 100 * float((classes == 0).mean())
        assert item["properties"]["s2:nodata_pixel_percentage"] == pytest.approx(share, abs=1e-6)
        cloudy = 100 * float(np.isin(classes, (8, 9, 10)).sum() / (classes > 0).sum())
        assert item["properties"]["eo:cloud_cover"] == pytest.approx(cloudy, abs=1e-6)


def test_footprints_hold_every_valid_pixel(world: World) -> None:
    for item in items_of(world):
        with rasterio.open(path_of(world, item, "scl")) as raster:
            rows, columns = np.nonzero(raster.read(1))
            east, north = raster.transform @ np.stack([columns + 0.5, rows + 0.5])
            geometry = transform_geom("EPSG:4326", raster.crs, item["geometry"])
        outline = shape(geometry).buffer(1.0)
        hull = [np.argmin(east), np.argmax(east), np.argmin(north), np.argmax(north),
                np.argmin(east + north), np.argmax(east + north),
                np.argmin(east - north), np.argmax(east - north)]  # fmt: skip
        for index in hull:
            assert outline.covers(box(east[index], north[index], east[index], north[index]))


def test_every_place_has_its_solar_days(world: World) -> None:
    sites = sites_of(world)
    assert len(sites) == 5
    zones = {"Hobart": 55, "Casey Station": 49, "Mawson Station": 41,
             "Macquarie Island Station": 57, "Scott Island": 1}  # fmt: skip
    groups = by_zone(items_of(world))
    days = {
        location: {solar_day(item, float(sites[location]["lon"])) for item in groups[zone]}
        for location, zone in zones.items()
    }
    assert {location: len(found) for location, found in days.items()} == {
        "Hobart": 7, "Casey Station": 6, "Mawson Station": 5,
        "Macquarie Island Station": 5, "Scott Island": 4,
    }  # fmt: skip
    # Sensed in the evening of 24 June in UTC, which is the morning of the 25th in Hobart.
    assert date(2024, 6, 25) in days["Hobart"]
    assert date(2024, 1, 25) in days["Macquarie Island Station"]


def test_all_three_satellites_fly(world: World) -> None:
    assert {item["properties"]["platform"] for item in items_of(world)} == {
        "sentinel-2a",
        "sentinel-2b",
        "sentinel-2c",
    }


def test_reprocessed_scene_is_the_same_piece_in_a_newer_version(world: World) -> None:
    pieces: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for item in items_of(world):
        pieces[piece(item)].append(item)
    pairs = [group for group in pieces.values() if len(group) > 1]
    assert len(pairs) == 1
    old, new = sorted(pairs[0], key=lambda item: item["properties"]["updated"])
    assert old["properties"]["s2:processing_baseline"] == "05.10"
    assert new["properties"]["s2:processing_baseline"] == "05.11"
    assert old["id"].replace("_L2A", "_1_L2A") == new["id"]
    assert old["properties"]["datetime"] == new["properties"]["datetime"]
    assert path_of(world, old, "red").read_bytes() != path_of(world, new, "red").read_bytes()


def test_halves_differ_in_sensing_start_and_hardly_overlap(world: World) -> None:
    takes: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items_of(world):
        takes[(item["properties"]["s2:datatake_id"], item["properties"]["grid:code"])].append(item)
    halves = [group for group in takes.values() if len({piece(item) for item in group}) > 1]
    assert len(halves) == 1
    assert len(halves[0]) == 2
    seen = []
    for item in halves[0]:
        with rasterio.open(path_of(world, item, "scl")) as raster:
            seen.append(raster.read(1) > 0)
    assert 0 < (seen[0] & seen[1]).mean() < 0.05
    assert (seen[0] | seen[1]).all()
    assert all(0.3 < half.mean() < 0.7 for half in seen)


def test_neighbouring_tiles_of_one_pass_show_the_same_ground(world: World) -> None:
    passes: dict[str, list[Item]] = defaultdict(list)
    for item in by_zone(items_of(world))[41]:
        passes[item["properties"]["s2:datatake_id"]].append(item)
    pairs = [group for group in passes.values() if len(group) == 2]
    assert len(pairs) == 4, "the fifth pass waits for its northern tile"
    for group in pairs:
        north, south = sorted(group, key=lambda item: -item["assets"]["red"]["proj:transform"][5])
        assert north["properties"]["grid:code"] == "MGRS-41DMF"
        assert south["properties"]["grid:code"] == "MGRS-41DME"
        assert north["properties"]["s2:datastrip_id"] == south["properties"]["s2:datastrip_id"]
        with (
            rasterio.open(path_of(world, north, "green")) as upper,
            rasterio.open(path_of(world, south, "green")) as lower,
        ):
            assert lower.bounds.bottom < upper.bounds.bottom < lower.bounds.top < upper.bounds.top
            shared = round((lower.bounds.top - upper.bounds.bottom) / 10)
            assert np.array_equal(upper.read(1)[-shared:], lower.read(1)[:shared])


def test_truncated_file_opens_but_does_not_read(world: World) -> None:
    broken = [item for item in items_of(world) if not readable(world, item)]
    assert len(broken) == 1
    path = path_of(world, broken[0], "red")
    with rasterio.open(path) as raster:
        assert list(raster.shape) == broken[0]["assets"]["red"]["proj:shape"]
        assert raster.read(1, window=((0, 100), (0, 100))).min() > 0
        with pytest.raises(rasterio.errors.RasterioIOError):
            # The middle 600 x 600 pixels, which a site's window covers.
            raster.read(1, window=((84, 684), (84, 684)))
    for key in ("green", "blue", "scl"):
        with rasterio.open(path_of(world, broken[0], key)) as raster:
            assert raster.read(1).any()


def middle(world: World, item: Item, asset: str, half_size: int) -> np.ndarray[Any, Any]:
    with rasterio.open(path_of(world, item, asset)) as raster:
        rows, columns = raster.shape
        return np.asarray(
            raster.read(1)[
                rows // 2 - half_size : rows // 2 + half_size,
                columns // 2 - half_size : columns // 2 + half_size,
            ]
        )


def test_days_with_nothing_a_cut_and_clouds_only(world: World) -> None:
    groups = by_zone(items_of(world))
    # 160 pixels of 20 m either side: more than the window of 3000 m in any rotation of grids.
    casey = [float((middle(world, item, "scl", 160) > 0).mean()) for item in groups[49]]
    assert casey.count(0.0) == 1, "one day at Casey has no valid pixel in the window"
    assert any(0.2 < share < 0.9 for share in casey), "a swath edge cuts the window"
    hobart = [middle(world, item, "scl", 160) for item in groups[55]]
    assert any(np.isin(classes, (8, 9)).all() for classes in hobart), "an overcast day"
    assert any(np.isin(classes, (3, 8, 9)).mean() == 0 for classes in hobart), "a clear day"


def test_empty_day_is_still_found_by_its_footprint(world: World) -> None:
    groups = by_zone(items_of(world))[49]
    (empty,) = [item for item in groups if not (middle(world, item, "scl", 160) > 0).any()]
    window = box(110.4600, -66.3090, 110.5935, -66.2560)  # about 3000 m around Casey
    assert shape(empty["geometry"]).intersects(window)


def test_shadows_fall_away_from_the_sun(world: World) -> None:
    """Clouds moved along the sun's azimuth meet shadows, moved against it they do not."""
    groups = by_zone(items_of(world))
    scattered = [
        item for item in groups[55] if 10 < item["properties"]["eo:cloud_cover"] < 40
        and item["properties"]["s2:thin_cirrus_percentage"] == 0
        and item["properties"]["s2:nodata_pixel_percentage"] == 0
    ]  # fmt: skip
    assert scattered
    for item in scattered:
        with rasterio.open(path_of(world, item, "scl")) as raster:
            classes = raster.read(1)
        cloud, shadow = np.isin(classes, (8, 9)), classes == 3
        azimuth = np.radians(item["properties"]["view:sun_azimuth"])
        best = {}
        for direction in (-1, 1):
            best[direction] = max(
                float(
                    (
                        np.roll(
                            cloud,
                            (
                                round(-direction * reach * np.cos(azimuth)),
                                round(direction * reach * np.sin(azimuth)),
                            ),
                            axis=(0, 1),
                        )
                        & shadow
                    ).sum()
                )
                for reach in range(20, 170)
            )
        assert best[-1] > 1.1 * best[1]
        assert best[-1] > 0.9 * shadow.sum()


def test_scott_island_crosses_the_antimeridian(world: World) -> None:
    for item in by_zone(items_of(world))[1]:
        west, south, east, north = item["bbox"]
        assert item["properties"]["proj:epsg"] == 32701
        if item["properties"]["s2:nodata_pixel_percentage"] == 0:
            assert item["geometry"]["type"] == "MultiPolygon"
            assert west > 179 > -179 > east
        assert -67.5 < south < north < -67.2
        outline = shape(item["geometry"])
        for part in outline.geoms if isinstance(outline, MultiPolygon) else [outline]:
            assert part.bounds[0] >= -180
            assert part.bounds[2] <= 180
            assert part.bounds[2] - part.bounds[0] < 1


def test_items_offset_says_what_the_numbers_hold(world: World) -> None:
    for item in items_of(world):
        assert "earthsearch:boa_offset_applied" not in item["properties"]
        for key, name in BANDS.items():
            asset = item["assets"][key]
            assert asset["href"].endswith(f"{name}.tif")
            assert asset["raster:bands"][0]["offset"] == -0.1
            assert asset["raster:bands"][0]["scale"] == 0.0001


def test_a_day_passes(world: World, tmp_path: Path) -> None:
    world = copy_of(world, tmp_path / "world")
    before: dict[str, Item] = {item["id"]: item for item in items_of(world)}
    untouched = digests(world.folder)
    was_cut = [item for item in before.values() if not readable(world, item)]
    brought: list[Item] = [dict(item) for item in pass_a_day(world)]
    assert len(brought) == 4

    (repaired,) = [item for item in brought if item["id"] in before]
    former = before[repaired["id"]]
    assert [item["id"] for item in was_cut] == [repaired["id"]]
    assert readable(world, former)
    assert repaired["properties"]["updated"] > former["properties"]["updated"]
    assert repaired["properties"]["created"] == former["properties"]["created"]
    assert repaired["assets"] == former["assets"]
    with rasterio.open(path_of(world, repaired, "red")) as raster:
        assert raster.read(1).min() > 0

    fresh = [item for item in brought if item["id"] not in before]
    known = {piece(item): item for item in before.values()}
    (reprocessed,) = [item for item in fresh if piece(item) in known]
    assert (
        reprocessed["properties"]["s2:processing_baseline"]
        > known[piece(reprocessed)]["properties"]["s2:processing_baseline"]
    )
    takes = {item["properties"]["s2:datatake_id"] for item in before.values()}
    (late,) = [
        item for item in fresh if piece(item) not in known
        and item["properties"]["s2:datatake_id"] in takes
    ]  # fmt: skip
    assert late["properties"]["grid:code"] == "MGRS-41DMF"
    (partner,) = [
        item for item in before.values()
        if item["properties"]["s2:datatake_id"] == late["properties"]["s2:datatake_id"]
    ]  # fmt: skip
    assert late["properties"]["created"] > partner["properties"]["created"]
    (new_day,) = [item for item in fresh if item not in (reprocessed, late)]
    latest = max(item["properties"]["datetime"] for item in before.values())
    assert new_day["properties"]["datetime"] > latest

    after = digests(world.folder)
    changed = {name for name in untouched if untouched[name] != after[name]}
    assert changed == {"items.json", repaired["assets"]["red"]["href"]}
    saved = json.loads((world.folder / "items.json").read_text())["features"]
    assert {item["id"] for item in saved} == before.keys() | {item["id"] for item in fresh}
