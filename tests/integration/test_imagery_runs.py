"""A site's runs through Dagster: first, again, changed, and one product at a time."""

from datetime import timedelta

import dagster as dg
import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from estinel_assets.imagery.layout import VIEW_NAMES, day_paths
from tests.support.imagery import (
    COLLECTION,
    FIRST_DAY,
    cloudy_scene,
    demo_scenes,
    digests,
    imagery_world,
    plain_scenes,
    quiet_dagster,
    stamped,
)

pytestmark = quiet_dagster

DAYS = [(FIRST_DAY + timedelta(days=number)).isoformat() for number in range(5)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return plain_scenes(tmp_path_factory.getbasetemp())


@pytest.fixture
def world(tmp_path, scenes):
    with imagery_world(tmp_path, scenes) as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory, scenes):
    """A world after its first run, and that run; for tests that change nothing."""
    with imagery_world(tmp_path_factory.mktemp("standing"), scenes) as made:
        yield made, made.update()


@pytest.fixture
def made(standing, scenes):
    """The same, for tests that change something."""
    with standing[0].put_back(scenes) as world:
        yield world


def test_a_first_run_takes_every_day_to_its_images(standing):
    world, ran = standing

    assert ran.success, ran.error
    assert world.reasons() == dict.fromkeys(DAYS, "none")
    expected = set()
    for number in range(5):
        paths = day_paths(COLLECTION, FIRST_DAY + timedelta(days=number), "Hobart")
        expected |= {paths.scl, paths.rgb, paths.item}
        expected |= {*paths.views.values(), *paths.thumbnails.values()}
    assert set(world.products()) == expected
    search = world.outcomes()["search"]
    assert (search.status, search.detail["scenes_found"]) == (True, 7)
    for outcome in world.outcomes().values():
        assert outcome.run_id == ran.run_id
        if outcome.key[-1] != "search":
            assert {world.store.uri(path) for path in expected} >= set(outcome.outputs)
            assert len(outcome.outputs) == 9


def test_versions_are_told_from_halves(standing):
    outcomes = standing[0].outcomes()

    versions, halves = outcomes[DAYS[0]].detail, outcomes[DAYS[3]].detail
    assert versions["scenes"] == ["S2B_T55GEN_20241201T000537_1_L2A"]
    assert versions["superseded"] == {
        "S2B_T55GEN_20241201T000537_1_L2A": ["S2B_T55GEN_20241201T000537_L2A"]
    }
    assert len(halves["scenes"]) == 2
    assert halves["superseded"] == {}


def test_the_same_run_again_makes_nothing_new(made, standing):
    world, first = made, standing[1]
    merged = world.run("build_web_catalog")
    before = world.versions("sentinel-2-c1-l2a", "thumbs", "catalog", "stac")
    days = {day: one.run_id for day, one in world.outcomes().items() if day != "search"}

    again = world.update()
    merged_again = world.run("build_web_catalog")

    assert (first.success, merged.success, again.success, merged_again.success) == (True,) * 4
    assert world.versions("sentinel-2-c1-l2a", "thumbs", "catalog", "stac") == before
    assert set(days.values()) == {first.run_id}
    assert days == {day: one.run_id for day, one in world.outcomes().items() if day != "search"}
    planned = world.definitions().load_asset_value(
        dg.AssetKey("filtered_solardays"), partition_key=world.site, instance=world.instance
    )
    assert len(planned) == 0


def test_only_a_changed_day_is_made_again(made, scenes):
    world = made
    before = world.versions()

    world.publish(stamped(scenes[2]))
    ran = world.update()

    assert ran.success, ran.error
    touched = {path for path, version in world.versions().items() if before[path] != version}
    assert touched == {path for path in before if DAYS[1] in path}
    assert len(touched) == 9
    assert world.outcomes()[DAYS[1]].attempts == 1


def test_a_new_scene_adds_its_day(world, scenes):
    world.withdraw(scenes[-1])
    world.update()
    assert list(world.reasons()) == DAYS[:4]
    before = world.versions()

    world.publish(scenes[-1])
    ran = world.update()

    assert ran.success, ran.error
    assert list(world.reasons()) == DAYS
    after = world.versions()
    assert {path: after[path] for path in before} == before


def test_a_day_above_the_cloud_limit_is_no_fault(tmp_path, tmp_path_factory, scenes):
    clouds = cloudy_scene(tmp_path_factory.getbasetemp(), FIRST_DAY)
    limit = {"imagery": {"max_cloud_fraction": 0.9}}
    with imagery_world(tmp_path, [clouds, *scenes[2:]], settings=limit) as world:
        ran = world.update()

        assert ran.success, ran.error
        assert world.reasons() == {DAYS[0]: "too_cloudy", **dict.fromkeys(DAYS[1:], "none")}
        refused = world.outcomes()[DAYS[0]]
        assert refused.detail["cloud_fraction"] > 0.9
        assert refused.outputs == ()
        assert not [path for path in world.products() if DAYS[0] in path]
        assert [image["date"] for image in world.fragment()["images"]] == DAYS[1:]


def test_a_day_without_a_valid_pixel_is_no_fault(tmp_path, scenes):
    swath = next(item for item in scenes if "20241203" in item["id"])
    with imagery_world(tmp_path, [swath], sites=[_beside_the_swath(swath)]) as world:
        ran = world.update()

        assert ran.success, ran.error
        assert world.reasons() == {DAYS[2]: "no_valid_pixels"}
        assert world.outcomes()[DAYS[2]].status is False
        assert world.products() == {}
        assert world.fragment()["images"] == []


def _beside_the_swath(item):
    """A small site where the scene has no pixels, although its footprint still touches it."""
    with rasterio.open(item["assets"]["scl"]["href"].removeprefix("file://")) as file:
        classes = file.read(1)
        rows = np.flatnonzero(classes[:, -8:].max(axis=1) == 0)
        row = int(rows[len(rows) // 2])
        x, y = file.xy(row, int(np.flatnonzero(classes[row])[-1]) + 4)
        (lon,), (lat,) = transform(file.crs, "EPSG:4326", [x], [y])
    return f"Edge,{lon:.6f},{lat:.6f},10,20,20,"


def test_one_product_alone_touches_nothing_else(made):
    world = made
    products, outcomes = world.products(), world.outcomes()
    by_name = {
        "views": [path for path in products if path.endswith(".png")],
        "rgb_composites": [
            path
            for path in products
            if path.endswith((".tif", ".json")) and not path.endswith("_scl.tif")
        ],
        "scene_classification": [path for path in products if path.endswith("_scl.tif")],
    }

    for asset, own in by_name.items():
        before = world.versions()
        ran = world.materialize(asset)

        assert ran.success
        assert digests(world.products()) == digests(products)
        touched = [path for path, version in world.versions().items() if before[path] != version]
        assert sorted(touched) == sorted(own)
        made = [
            event.asset_key.to_user_string() for event in ran.get_asset_materialization_events()
        ]
        assert made == [asset]

    assert world.reasons() == dict.fromkeys(DAYS, "none")
    for day, outcome in world.outcomes().items():
        assert outcome.outputs == outcomes[day].outputs
        assert outcome.detail == outcomes[day].detail
    assert len(by_name["views"]) == 5 * 2 * len(VIEW_NAMES)


def test_views_alone_come_from_the_stored_composites(tmp_path, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    scenes = tmp_path / "scenes"
    scenes.symlink_to(demo_scenes(base)[0])
    with imagery_world(tmp_path / "world", plain_scenes(base, f"file://{scenes}")) as world:
        world.update()
        products = world.products()
        scenes.unlink()  # from here on no scene can be read
        for path in products:
            if path.endswith(".png"):
                world.store.put(path, b"spoilt")

        assert world.materialize("views").success

        assert digests(world.products()) == digests(products)
        world.materialize("rgb_composites")  # asks for the scenes, in vain

        assert world.reasons() == dict.fromkeys(DAYS, "source_not_found")
        assert digests(world.products()) == digests(products)


NOTHING_STANDS = "false:too_cloudy"
"""A status and reason that no day of the world has."""


def test_every_asset_loads_as_what_it_is(standing):
    world, _ = standing
    world.run("build_web_catalog")
    world.run("build_image_ratings")
    assert world.materialize("imagery_by_reason", partition=NOTHING_STANDS).success
    defs = world.definitions()
    graph = defs.resolve_asset_graph()
    loaded = {}
    for key in graph.materializable_asset_keys:
        if graph.get(key).group_name != "imagery":
            continue
        partitions = graph.get(key).partitions_def
        by_site = isinstance(partitions, dg.DynamicPartitionsDefinition)
        partition = None if partitions is None else world.site if by_site else NOTHING_STANDS
        loaded[key.to_user_string()] = defs.load_asset_value(
            key, partition_key=partition, instance=world.instance
        )

    assert loaded["site_windows"]["SITE_ID"].tolist() == [world.site]
    assert loaded["stac_query_tables"]["id"].is_unique
    assert len(loaded["stac_query_tables"]) == 7
    assert [str(day) for day in loaded["filtered_solardays"]["solarday"]] == DAYS
    for name in ("scene_classification", "rgb_composites"):
        assert loaded[name]["uri"].str.endswith(".tif").all()
    for view in VIEW_NAMES:
        assert loaded["views"][f"uri_{view}"].str.endswith(f"_{view}.png").all()
    assert loaded["web_catalog"]["images"] == 5
    assert loaded["image_ratings"].columns.tolist() == [
        "image_id", "site", "date", "good", "ok", "bad", "raters", "consensus",
    ]  # fmt: skip
    for name, value in loaded.items():
        assert value is not None, name


def test_an_asset_that_was_never_made_says_so(world):
    with pytest.raises(Exception, match=r"rgb_composites was never made.*partition site_"):
        world.definitions().load_asset_value(
            dg.AssetKey("rgb_composites"), partition_key=world.site, instance=world.instance
        )
