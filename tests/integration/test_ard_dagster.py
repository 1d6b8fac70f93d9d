"""ARD under Dagster: requests, keys in a run, colours, the sensor, tables, checks.

The sources list nothing, so that no pixel is read; `test_ard_command` has the command line.
"""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import rioxarray  # noqa: F401 - `.rio`

from estinel_assets.ard.ard_zarr import write_group
from estinel_assets.ard.sensors import NOTHING, tile_requests_sensor
from estinel_assets.demo.ard_world import build_ard_world
from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.by_reason import MOST_KEYS
from estinel_assets.orchestration.runs import CONTENT_TAG, SENSOR_TAG
from tests.support.ard_dagster import (
    HEADER,
    INBOX,
    ArdDagsterWorld,
    ard_dagster_world,
    quiet_dagster,
)
from tests.support.ard_groups import product
from tests.support.onnx_models import mean_model
from tests.support.stac_api import running_stac_api

pytestmark = quiet_dagster

TILE, OTHER = "11X7Y", "12X7Y"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArdDagsterWorld]:
    """One world for all tests; each uses tiles of its own."""
    with ard_dagster_world(tmp_path_factory.mktemp("ard") / "world") as made:
        yield made


@pytest.fixture
def world(shared: ArdDagsterWorld) -> ArdDagsterWorld:
    """The world without outcomes, requests and partitions."""
    for folder in ("outcomes", "outcome-index", "ard"):
        shared.store.delete_many([meta.path for meta in shared.store.list(folder)])
    for key in shared.partitions():
        shared.instance.delete_dynamic_partition("tile_years", key)
    for source in ("dem", "s1", "s2"):
        shared.repair_source(source)
    shared.configure(ard={"sources": ["s1", "s2"]})
    return shared


def tick(world: ArdDagsterWorld, cursor: str | None = None) -> Any:
    """One evaluation of the sensor, as the daemon would make it."""
    built = world.definitions().resources
    assert built is not None
    with dg.build_sensor_context(
        instance=world.instance,
        sensor_name=tile_requests_sensor.name,
        cursor=cursor,
        repository_def=world.definitions().get_repository_def(),
        resources={name: built[name] for name in ("settings", "store")},
    ) as context:
        return tile_requests_sensor.evaluate_tick(context)


def keys_of(ticked: Any) -> list[str]:
    """The keys of the one run that a tick asks for."""
    (request,) = ticked.run_requests
    assert request.partition_key is None
    assert request.run_key.startswith(request.tags[CONTENT_TAG])
    keys: list[str] = request.run_config["ops"]["work_on_keys"]["config"]["keys"]
    return keys


def made_in(world: ArdDagsterWorld, run_id: str) -> dict[str, Any]:
    """The metadata of the one materialization of a run."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    (entry,) = world.instance.all_logs(run_id, of_type=kind)
    assert entry.dagster_event is not None
    said = entry.dagster_event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in said.items()}


# --- keys --------------------------------------------------------------------------------------


def test_one_bad_source_is_red_and_the_others_are_green(world: ArdDagsterWorld) -> None:
    world.stand(TILE, "dem")
    world.break_source("s2")

    ran = world.make(*(f"2023/{TILE}/{source}" for source in ("dem", "s1", "s2")))

    assert not ran.success
    assert ran.error is not None
    assert f"1 with a fault (2023/{TILE}/s2: source_unavailable)" in ran.error
    key = f"2023_{TILE}"
    assert world.colours("dem_ard") == {key: "green"}, "it stood already"
    assert world.colours("sentinel1_ard") == {key: "green"}, "an honest no"
    assert world.colours("sentinel2_ard") == {key: "red"}
    assert world.reasons() == {
        f"2023/{TILE}/dem": "none",
        f"2023/{TILE}/s1": "no_scenes",
        f"2023/{TILE}/s2": "source_unavailable",
    }
    outcomes = world.outcomes()
    assert outcomes[f"2023/{TILE}/dem"].run_id == "long-ago"
    assert outcomes[f"2023/{TILE}/s2"].run_id == ran.run_id
    event = world.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("sentinel1_ard"), asset_partitions=[key]), limit=1
    ).records[0]
    assert event.asset_materialization is not None
    said = event.asset_materialization.metadata
    assert said["reason"].value == "no_scenes"
    assert said["gaps"].value == "Q1, Q2, Q3, Q4"


def test_a_range_is_one_run_and_what_is_repaired_turns_green(world: ArdDagsterWorld) -> None:
    world.add_partitions(f"2023_{OTHER}", f"2023_{TILE}")
    world.break_source("s2")
    failed = world.materialize("sentinel2_ard", f"2023_{OTHER}", f"2023_{TILE}")
    assert not failed.success
    assert set(world.colours("sentinel2_ard").values()) == {"red"}
    world.repair_source("s2")

    again = world.by_reason("false:source_unavailable")

    assert again.success
    assert world.colours("sentinel2_ard") == {f"2023_{TILE}": "green", f"2023_{OTHER}": "green"}
    assert set(world.reasons().values()) == {"no_scenes"}
    assert set(again.output_for_node("ard_by_reason").values()) == {"no_scenes"}


def test_reprocessing_makes_what_is_complete_again(world: ArdDagsterWorld) -> None:
    world.stand(TILE, "s1")
    assert world.make(f"2023/{TILE}/s1").success
    assert world.reasons() == {f"2023/{TILE}/s1": "none"}

    assert world.make(f"2023/{TILE}/s1", job="reprocess_ard").success

    assert world.reasons() == {f"2023/{TILE}/s1": "no_scenes"}


def test_what_is_damaged_is_made_again_unasked(world: ArdDagsterWorld) -> None:
    world.stand(TILE, "s1")
    world.store.delete(f"ard/2023/{TILE}.zarr/s1/zarr.json")

    assert world.make(f"2023/{TILE}/s1").success

    assert world.reasons() == {f"2023/{TILE}/s1": "no_scenes"}


def test_arrays_that_are_gone_are_seen(world: ArdDagsterWorld) -> None:
    value = world.definitions().load_asset_value
    world.stand(TILE, "dem")
    world.add_partitions(f"2023_{TILE}", f"2023_{OTHER}")

    loaded = value("dem_ard", partition_key=f"2023_{TILE}", instance=world.instance)
    world.stand(TILE, "s2")
    tree = value("sentinel2_ard", partition_key=f"2023_{TILE}", instance=world.instance)

    assert float(loaded["slope"].mean()) == 1.5
    assert set(tree.children) == {"s2_10", "s2_20", "clouds"}
    with pytest.raises(BadInputError, match=f"dem of 2023_{OTHER} was never made"):
        value("dem_ard", partition_key=f"2023_{OTHER}", instance=world.instance)
    with pytest.raises(BadInputError, match=f"tree_cover of 2023_{TILE} was never made"):
        value("tree_cover", partition_key=f"2023_{TILE}", instance=world.instance)


@pytest.mark.parametrize("key", ["2023/11X99Y/s2", "2023/11X7Y/s9", "nonsense"])
def test_a_key_that_cannot_be_used_starts_nothing(world: ArdDagsterWorld, key: str) -> None:
    ran = world.make(f"2023/{TILE}/s1", key)

    assert not ran.success
    assert world.reasons() == {}
    assert world.partitions() == set()


# --- the inbox ---------------------------------------------------------------------------------


def test_a_new_request_becomes_partitions_and_a_run_once(world: ArdDagsterWorld) -> None:
    path = world.ask("one.csv", f"{HEADER}2023,7,11\n2023,7,12\n")
    world.put(world.ended(OTHER, "s1", "no_scenes"))

    first = tick(world)

    assert keys_of(first) == [f"2023/{TILE}/s1", f"2023/{TILE}/s2", f"2023/{OTHER}/s2"]
    assert world.partitions() == {f"2023_{TILE}", f"2023_{OTHER}"}
    assert world.store.get(f"{path}.resolved.csv").data.count(b"\n") == 3
    job = world.definitions().resolve_job_def("make_tiles")
    assert dg.validate_run_config(job, first.run_requests[0].run_config)

    world.store.delete(f"{path}.resolved.csv")
    second = tick(world, first.cursor)

    assert second.run_requests[0].run_key == first.run_requests[0].run_key
    assert second.cursor == first.cursor
    assert [meta.path for meta in world.store.list(INBOX)] == [path], "it was not resolved again"
    world.put(*(world.ended(*key.split("/")[1:], "no_scenes") for key in keys_of(first)))
    assert tick(world, second.cursor).skip_message == NOTHING


def test_a_bad_request_is_told_of_once_and_stands_recorded(world: ArdDagsterWorld) -> None:
    path = world.ask("bad.csv", f"{HEADER}1999,7,11\n")

    first = tick(world)
    second = tick(world, first.cursor)

    assert not first.run_requests
    assert f"{path} is refused" in first.skip_message
    assert "1999" in first.skip_message
    assert second.skip_message == NOTHING
    record = json.loads(world.store.get(f"{path}.refused.json").data)
    assert any("1999" in line for line in record["problems"])

    world.ask("bad.csv", f"{HEADER}2023,7,11\n")
    third = tick(world, second.cursor)

    assert len(keys_of(third)) == 2
    assert {meta.path for meta in world.store.list(INBOX)} == {path, f"{path}.resolved.csv"}


def test_without_a_table_of_tiles_the_request_waits(world: ArdDagsterWorld) -> None:
    path = world.ask("one.csv", f"{HEADER}2023,7,11\n")
    world.configure(ard={"tile_table": "grid/elsewhere.parquet"})

    skipped = tick(world)

    world.configure(ard={"tile_table": "grid/tiles.parquet"})
    assert "the inbox cannot be read" in skipped.skip_message
    assert [meta.path for meta in world.store.list(INBOX)] == [path]
    assert len(keys_of(tick(world, skipped.cursor))) == 2


def test_runs_are_bounded_and_one_goes_at_a_time(world: ArdDagsterWorld) -> None:
    years = range(2016, 2026)
    rows = [f"{year},{y},{x}" for year in years for x in range(11, 16) for y in range(7, 12)]
    world.configure(ard={"sources": ["dem", "s1", "s2"]})
    world.ask("many.csv", HEADER + "\n".join(rows) + "\n")

    asked = tick(world)

    assert len(world.partitions()) == 250
    assert len(keys_of(asked)) == MOST_KEYS == 500
    tags = {SENSOR_TAG: tile_requests_sensor.name, CONTENT_TAG: "whatever"}
    run = dg.DagsterRun("make_tiles", run_id=str(uuid.uuid4()), tags=tags)
    world.instance.add_run(run)
    assert tick(world, asked.cursor).skip_message == "the run that was asked for last goes on"
    world.instance.delete_run(run.run_id)


def test_a_partition_of_no_tile_keeps_nobody_waiting(world: ArdDagsterWorld) -> None:
    world.add_partitions("2023_10X6Y", "nonsense")
    alone = tick(world)
    world.add_partitions(f"2023_{TILE}")

    assert keys_of(tick(world)) == [f"2023/{TILE}/s1", f"2023/{TILE}/s2"]
    assert alone.skip_message == f"the table of tiles has no 10X6Y; {NOTHING}"


# --- tables, reports, checks -------------------------------------------------------------------


def test_the_inbox_as_a_table(world: ArdDagsterWorld) -> None:
    world.ask("a.csv", f"{HEADER}2023,7,11\n2022,8,12\n")
    world.ask("2021/b.txt", f"{TILE}\n")
    bad = world.ask("c.csv", "nonsense")

    assert world.run("refresh_tile_requests").success

    said = world.shown("tile_requests")
    assert (said["requests"], said["tile_years"], said["requests_refused"]) == (3, 3, 1)
    assert list(said["refused"]) == [bad]
    frame = world.definitions().load_asset_value("tile_requests", instance=world.instance)
    assert frame["tile_year"].tolist() == ["2021_11X7Y", "2022_12X8Y", "2023_11X7Y"]
    assert world.partitions() == set(frame["tile_year"])


def test_what_is_complete_as_a_table(world: ArdDagsterWorld) -> None:
    world.add_partitions(f"2023_{TILE}", f"2023_{OTHER}")
    world.stand(TILE, "s1")
    world.put(world.ended(TILE, "s2", "no_clear_scenes"))

    assert world.run("build_ard_tiles").success

    said = world.shown("ard_tiles")
    assert {name: said[name] for name in ("tile_years", "s1_complete", "s2_complete")} == {
        "tile_years": 2,
        "s1_complete": 1,
        "s2_complete": 0,
    }
    frame = world.definitions().load_asset_value("ard_tiles", instance=world.instance)
    assert frame["s2_reason"].fillna("").tolist() == ["no_clear_scenes", ""]


def test_the_report_is_of_the_latest_run(world: ArdDagsterWorld) -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    world.put(
        world.ended(TILE, "s1", "none", run_id="first"),
        world.ended(TILE, "s2", "none", run_id="latest", finished_at=later),
        world.ended(OTHER, "s2", "source_timeout", run_id="latest"),
    )

    assert world.run("build_ard_run_report").success

    said = world.shown("ard_run_report")
    assert (said["run_id"], said["jobs"]) == ("latest", 2)
    assert said["actual_usd"] == pytest.approx(2 * 3.0 * 4 * 0.00001667)
    assert said["estimated_usd"] == pytest.approx(2 * 62 * 4 * 0.00001667)
    assert "`S2_12_7_2023` | source\\_timeout (worth another attempt)" in said["report"]
    assert said["timeline_here"].startswith("![here](data:image/png;base64,")
    value = world.definitions().load_asset_value("ard_run_report", instance=world.instance)
    endings = sorted(Path(name).suffix for name in value["files"])
    assert endings == [".csv", ".json", ".json", ".png", ".txt"]
    for uri in value["files"].values():
        assert "/ard/reports/latest/" in uri
        assert Path(uri.removeprefix("file://")).stat().st_size > 0


def test_without_a_model_tree_cover_says_so_and_is_skipped(world: ArdDagsterWorld) -> None:
    world.add_partitions(f"2023_{TILE}")

    ran = world.materialize("tree_cover", f"2023_{TILE}", f"2023_{TILE}")

    assert ran.success
    assert not ran.asset_materializations_for_node("tree_cover")
    (told,) = [event for event in ran.all_events if event.is_asset_observation]
    assert "no model is set" in str(told.asset_observation_data.asset_observation.metadata)


def test_tree_cover_of_what_stands_is_green_and_the_rest_red(
    world: ArdDagsterWorld, tmp_path: Path
) -> None:
    model = tmp_path / "cover.onnx"
    said = {"estinel:channels": "slope, VV", "estinel:layout": "NTHWC"}
    model.write_bytes(mean_model([0.01, 0], 20, 14, metadata=said))
    world.configure(ard={"model": str(model)})
    one = world.tile_year(TILE)
    for group in ("dem", "s1"):
        write_group(world.store, one.store_path, group, product(group), root={"tile": TILE})
    world.add_partitions(f"2023_{TILE}", f"2023_{OTHER}")

    ran = world.materialize("tree_cover", f"2023_{TILE}", f"2023_{OTHER}")
    again = world.materialize("tree_cover", f"2023_{TILE}", f"2023_{TILE}")

    world.former["ard"].pop("model")
    world.configure()
    assert not ran.success
    assert again.success
    assert world.colours("tree_cover") == {f"2023_{TILE}": "green", f"2023_{OTHER}": "red"}
    first, second = made_in(world, ran.run_id), made_in(world, again.run_id)
    assert (first["made"], second["made"]) == (True, False)
    cog = world.definitions().load_asset_value(
        "tree_cover", partition_key=f"2023_{TILE}", instance=world.instance
    )
    assert cog == first["cog"] == second["cog"]
    assert cog.endswith(f"/tree_cover/2023/tiles/11/7/{TILE}_FINAL.tif")
    assert Path(cog.removeprefix("file://")).read_bytes()[:2] == b"II"


def test_checks_name_what_fails(world: ArdDagsterWorld) -> None:
    world.configure(ard={"sources": ["s1", "s2"]})
    world.add_partitions(f"2023_{TILE}", f"2023_{OTHER}")
    world.put(
        world.ended(TILE, "s1", "missing_band"),
        world.ended(TILE, "s2", "internal_error"),
        # Its arrays stand nowhere.
        world.ended(OTHER, "s2", "none"),
    )
    job = world.definitions().resolve_job_def("ard_checks")

    ran = job.execute_in_process(
        instance=world.instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )

    found = {one.check_name: one for one in ran.get_asset_check_evaluations()}
    assert {name for name, one in found.items() if one.passed} == {
        "dem_ard_quality",
        "sentinel1_ard_quality",
    }
    failing = {name: one.metadata["failing"].value for name, one in found.items()}
    assert failing["tiles_complete"] == [f"2023/{TILE}/s1"]
    assert failing["tiles_internal_errors"] == [f"2023/{TILE}/s2"]
    assert all(f"2023_{OTHER}" in one for one in failing["sentinel2_ard_quality"])


# --- everything, over a made world -------------------------------------------------------------


@pytest.mark.soak
def test_a_request_becomes_tiles_and_tree_cover(tmp_path: Path) -> None:
    made = build_ard_world(tmp_path / "scenes", groups={"island"})
    body = next(path for path in made.requests if path.suffix == ".json").read_bytes()
    model = tmp_path / "cover.onnx"
    model.write_bytes(mean_model([0.5, *[0.0] * 12], 172, 158))
    with (
        running_stac_api(
            tmp_path, made.collections, made.items, scenes_folder=made.folder / "scenes"
        ) as url,
        ard_dagster_world(tmp_path / "world") as world,
    ):
        urls = {f"{source}_url": url for source in ("dem", "s1", "s2")}
        table = {"tile_table": str(made.tile_table), "model": str(model)}
        world.configure(ard={**urls, **table})
        world.store.put(f"{INBOX}/missing.json", body)

        asked = tick(world)
        ran = world.run("make_tiles", config=asked.run_requests[0].run_config)

        assert ran.success, ran.error
        summit, coast = sorted(world.partitions())
        assert sorted(world.reasons().values()) == [
            "incomplete",
            "no_clear_scenes",
            "none",
            "none",
            "none",
            "none",
        ]
        for asset in ("dem_ard", "sentinel1_ard", "sentinel2_ard"):
            assert world.colours(asset) == {summit: "green", coast: "green"}
        assert tick(world, asked.cursor).skip_message == NOTHING
        tree = world.definitions().load_asset_value(
            "sentinel2_ard", partition_key=coast, instance=world.instance
        )
        fine, coarse = (tree[group].to_dataset() for group in ("s2_10", "s2_20"))
        assert fine.rio.crs == coarse.rio.crs
        covered = world.materialize("tree_cover", summit, coast)
        assert not covered.success, "where no day is clear there is nothing to look at"
        assert world.colours("tree_cover") == {summit: "red", coast: "green"}
        for job in ("build_ard_tiles", "build_ard_run_report", "ard_checks"):
            assert world.run(job).success, job
        assert world.shown("ard_tiles")["complete"] == 0
        assert world.shown("ard_run_report")["jobs"] == 6
