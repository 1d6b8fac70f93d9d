"""Imagery's asset checks, run through Dagster over a real store: each passes, and each fails.

Those of compatibility are in `test_compatibility_checks`.
"""

import json
import shutil
from datetime import timedelta

import dagster as dg
import pytest

from estinel_assets.imagery.checks import CHECKED
from estinel_assets.imagery.layout import CATALOG, day_paths, fragment_path
from estinel_assets.imagery.markers import Marker, marker_path, read_marker
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.site_survey import survey
from estinel_assets.imagery.sites import sites_of
from estinel_assets.raster.encode import encode_geotiff, read_geotiff
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.search import StacApiSource
from estinel_assets.storage.documents import write_json
from estinel_assets.storage.lease import hold_lease
from tests.support.imagery import (
    COLLECTION,
    FIRST_DAY,
    SITES_HEADER,
    ImageryWorld,
    imagery_world,
    on_day,
    plain_scenes,
    quiet_dagster,
)

pytestmark = quiet_dagster

SITES = (
    "Hobart,147.3257,-42.8826,10,400,300,tasmania",
    "Casey,110.5,-66.3,10,400,300,",
)
SITE_ID = "site_af38900f"
LAST_DAY = FIRST_DAY + timedelta(days=4)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return plain_scenes(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def made(tmp_path_factory, scenes):
    """A site whose five days are made and listed, and one that was never run."""
    with imagery_world(tmp_path_factory.mktemp("made"), scenes, sites=SITES) as world:
        assert world.update().success
        assert world.run("build_web_catalog").success
        shutil.copytree(world.folder / "store", world.folder / "kept")
        yield world


@pytest.fixture
def world(made):
    """The same world for each test, however the one before left it."""
    shutil.rmtree(made.folder / "store")
    shutil.copytree(made.folder / "kept", made.folder / "store")
    table = made.folder / "sites.csv"
    table.write_text("\n".join([SITES_HEADER, *SITES, ""]))
    return made


def checked(world: ImageryWorld) -> dict[str, dg.AssetCheckEvaluation]:
    """Run `imagery_checks`, and return its evaluations by name."""
    job = world.definitions().resolve_job_def("imagery_checks")
    result = job.execute_in_process(
        instance=world.instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success, "a check that does not pass is no failed run"
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def failed(world: ImageryWorld) -> dict[str, list[dict[str, object]]]:
    """The failing sites of each check that did not pass."""
    return {
        name: one.metadata["failing"].value
        for name, one in checked(world).items()
        if not one.passed
    }


def imagery_of(world: ImageryWorld):
    site = next(one for one in sites_of(world.settings, world.store) if one.location == "Hobart")
    return open_site(site, world.settings, world.store, "test")


def only(found: dict[str, list[dict[str, object]]], name: str) -> dict[str, object]:
    """The one failing site of the one check that failed."""
    assert list(found) == [name]
    (site,) = found[name]
    assert (site["SITE_ID"], site["location"]) == (SITE_ID, "Hobart")
    return site


def test_every_check_passes_over_sound_sites(world):
    found = checked(world)

    assert {name for name, one in found.items() if one.passed} == {one.name for one in CHECKED}
    assert {one.asset_key.to_user_string() for one in found.values()} == {
        "updated_markers",
        "stac_query_tables",
        "views",
        "rgb_composites",
        "web_catalog",
    }
    assert found["day_counts_reconcile"].metadata["outcomes"].value == 5
    assert found["image_grid_equals_window"].metadata["images_seen"].value == 2
    assert found["marker_age"].metadata["sites"].value == 2
    assert found["marker_age"].metadata["sites_current"].value == 1
    assert found["marker_age"].metadata["sites_missing"].value == 1


def test_checks_do_not_run_with_every_run(world):
    defs = world.definitions()
    for job in (
        *("update_site", "build_web_catalog", "refresh_sites"),
        *("refresh_collections", "build_compatibility_table", "check_collections"),
    ):
        names = {node.name for node in defs.resolve_job_def(job).nodes}
        assert names.isdisjoint({"imagery_health", "compatibility_health"})
    assert {node.name for node in defs.resolve_job_def("compatibility_checks").nodes} == {
        "compatibility_health"
    }


def test_a_chosen_check_of_compatibility_runs_alone(world):
    defs = world.definitions()
    key = dg.AssetCheckKey(dg.AssetKey("compatibility_table"), "distribution_change")
    job = defs.resolve_job_def("compatibility_checks").get_subset(asset_check_selection={key})

    result = job.execute_in_process(instance=world.instance)

    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == ("distribution_change", True)
    assert evaluation.asset_key == key.asset_key


def test_a_chosen_check_runs_alone(world):
    defs = world.definitions()
    key = dg.AssetCheckKey(dg.AssetKey("updated_markers"), "marker_age")
    job = defs.resolve_job_def("imagery_checks").get_subset(asset_check_selection={key})

    result = job.execute_in_process(instance=world.instance)

    assert [one.check_name for one in result.get_asset_check_evaluations()] == ["marker_age"]


def test_marker_age_and_write_failures(world):
    former = read_marker(world.store, world.site).marker
    old = Marker(
        former.site_id, former.location, FIRST_DAY - timedelta(days=9), former.last_updated, 1, 5
    )
    world.store.put(marker_path(world.site), json.dumps(old.document()).encode())

    found = failed(world)

    # It should have been written by the run, and is old for that reason.
    assert list(found) == ["marker_age", "marker_write_failures"]
    assert found["marker_age"][0]["marker_age_days"] == 13
    assert found["marker_write_failures"][0]["due"] == (
        f"last_solarday {LAST_DAY}, not {old.last_solarday}"
    )


def test_a_corrupt_marker(world):
    world.store.put(marker_path(world.site), b"{half a marker")

    found = failed(world)

    assert "is no marker" in found["marker_readable"][0]["problem"]
    evaluation = checked(world)["marker_readable"]
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert evaluation.description == "1 of 2 sites: Hobart"


def test_a_lost_marker(world):
    world.store.delete(marker_path(world.site))

    found = failed(world)

    assert found["marker_readable"][0]["problem"] == "it has finished days and no marker"
    assert world.update().success
    assert failed(world) == {}


def test_no_images_though_scenes_come(tmp_path, scenes):
    # Scenes whose images nobody made for three weeks: all but the first day ended without one.
    with imagery_world(tmp_path, scenes[:1]) as world:
        assert world.update().success
        world.publish(*[on_day(scenes[-1], FIRST_DAY + timedelta(days=n)) for n in range(1, 22)])
        imagery = imagery_of(world)
        settings = world.settings
        source = StacApiSource.from_settings(settings.stac, settings.transport)
        imagery.search(source, FIRST_DAY)

        found = failed(world)

    assert found["images_keep_coming"][0]["days_without_image"] == 21
    assert found["marker_age"][0]["marker_age_days"] == 21


def test_a_day_that_nobody_will_make(world):
    store = world.store
    # The outcome of the second day is gone, and the marker is so far on that no search reaches it.
    lost = FIRST_DAY + timedelta(days=1)
    for meta in store.list(f"outcomes/imagery/{world.site}/{lost.isoformat()}"):
        store.delete(meta.path)
    imagery = imagery_of(world)
    imagery.book.reindex((world.site,))
    former = read_marker(store, world.site).marker
    ahead = Marker(
        former.site_id, former.location, FIRST_DAY + timedelta(days=90), former.last_updated, 1, 5
    )
    store.put(marker_path(world.site), json.dumps(ahead.document()).encode())

    site = only(failed(world), "day_counts_reconcile")

    assert (site["known_days"], site["outcomes"], site["unaccounted"]) == (5, 4, 1)
    assert site["unaccounted_days"] == [lost.isoformat()]
    assert site["unfounded_days"] == [lost.isoformat()]


def test_a_catalogue_with_other_images_than_stand(world):
    path = fragment_path(world.site)
    fragment = json.loads(world.store.get(path).data)
    fragment["location"]["images"].pop()
    write_json(world.store, path, fragment)

    found = failed(world)

    assert found["day_counts_reconcile"][0]["unlisted_days"] == [LAST_DAY.isoformat()]
    assert set(found) == {"day_counts_reconcile", "marker_write_failures"}


def test_a_merged_catalogue_that_lost_images(world):
    assert world.run("build_web_catalog").success
    catalog = world.catalog()
    for location in catalog["locations"]:
        location["images"] = location["images"][:3]
    write_json(world.store, CATALOG, catalog)

    site = only(failed(world), "day_counts_reconcile")

    assert (site["images"], site["images_in_catalog"]) == (5, 3)


def test_an_image_on_another_grid(world):
    path = day_paths(COLLECTION, LAST_DAY, "Hobart").rgb
    raster = read_geotiff(world.store.get(path).data)
    at = raster.grid
    moved = Grid(at.crs, at.left + 10, at.top, at.resolution, at.width, at.height)
    world.store.put(path, encode_geotiff(raster.array, moved, nodata=0))

    site = only(failed(world), "image_grid_equals_window")

    assert site["images_seen"] == 2
    assert site["problems"][0].startswith(f"{LAST_DAY}: it has EPSG:32755, ")


@pytest.mark.parametrize("content", [None, b"II*\0 and nothing more", b"no raster at all"])
def test_an_image_that_is_gone_or_spoilt(world, content):
    path = day_paths(COLLECTION, LAST_DAY, "Hobart").rgb
    if content is None:
        world.store.delete(path)
    else:
        world.store.put(path, content)

    site = only(failed(world), "image_grid_equals_window")

    assert path in site["problems"][0]


def test_a_changed_window_is_planned_again_and_no_fault(world):
    table = world.folder / "sites.csv"
    table.write_text(table.read_text().replace("10,400,300,tasmania", "10,500,300,tasmania"))

    assert "image_grid_equals_window" not in failed(world)
    assert len(survey(imagery_of(world)).planned) == 5


def test_faults_and_a_failed_search(tmp_path, scenes):
    broken = json.loads(json.dumps(scenes))
    for item in broken[:2]:
        item["assets"]["red"]["href"] += ".gone"
    with imagery_world(tmp_path, broken) as world:
        assert not world.update().success
        share = failed(world)["share_of_faults"]
        world.configure(stac={"url": "http://127.0.0.1:9"})
        assert not world.update().success
        searched = failed(world)["source_searched"]

    assert (share[0]["faults"], share[0]["days"], share[0]["share"]) == (1, 5, 0.2)
    assert "source_unavailable" in searched[0]["problem"]


def test_a_site_that_a_run_holds_is_not_judged(world):
    world.store.delete(fragment_path(world.site))
    assert "day_counts_reconcile" in failed(world)

    with hold_lease(world.store, f"leases/imagery/{world.site}.json", ttl_s=60, wait_s=0):
        found = checked(world)["day_counts_reconcile"]

    assert found.passed
    assert found.metadata["sites"].value == 1


def test_a_run_records_the_metrics_as_numbers(world):
    *_, first = world.instance.get_runs(dg.RunsFilter(job_name="update_site"))
    entries = world.instance.all_logs(
        first.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    recorded = {
        name: entry.value
        for event in entries
        for name, entry in event.asset_materialization.metadata.items()
    }

    assert recorded["marker_age_days"] == 0
    assert recorded["images"] == 5
    assert recorded["marker_write_success"] == 1
    assert recorded["query_time_s"] >= 0
    assert recorded["processing_time_s"] > 0
    for name in ("marker_age_days", "images", "query_time_s", "processing_time_s",
                 "marker_write_success"):  # fmt: skip
        assert isinstance(recorded[name], (int, float))
        assert not isinstance(recorded[name], bool)
