"""Compatibility under a real daemon and web server: its sensors, and reprocessing from the UI.

One daemon serves all tests here, in their order: the sensors check what is new and try again what
failed; then the UI is asked to reprocess what stands under a reason.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from estinel_assets.compatibility.sensors import new_collections_sensor, retry_collections_sensor
from estinel_assets.orchestration.in_process import run_job
from estinel_assets.orchestration.runs import SENSOR_TAG
from tests.support.backfills import backfill, report, statuses
from tests.support.compatibility import CompatibilityWorld, compatibility_world, quiet_dagster
from tests.support.daemon import RunningDagster, running_dagster

pytestmark = [quiet_dagster, pytest.mark.timeout(400)]

KINDS = {
    "C1-DEMO": "good",
    "C2-DEMO": "swath",
    "C3-DEMO": "broken",
    "C4-DEMO": "lost",
    "C5-DEMO": "table",
    "C6-DEMO": "broken",
}
REASONS = {
    "C1-DEMO": "none",
    "C2-DEMO": "no_xy_dimensions",
    "C3-DEMO": "cant_open_file",
    "C4-DEMO": "cant_open_file",
    "C5-DEMO": "unsupported_format",
    "C6-DEMO": "cant_open_file",
}
BROKEN = {key for key, reason in REASONS.items() if reason == "cant_open_file"}
BY_REASON = "compatibility_by_reason"
PARTITION = "false:cant_open_file"
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
EVENTS = """
query ($asset: AssetKeyInput!, $partition: String!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      latestRunForPartition(partition: $partition) { runId status }
      assetObservations(partitions: [$partition], limit: 1) {
        metadataEntries { label ... on TextMetadataEntry { text } }
      }
    }
  }
}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatibilityWorld]:
    # Attempts: the first, one of the retry sensor, and no more. Runs have processes of their own
    # already; how isolated ones fare within them is tested elsewhere.
    settings = {
        "outcomes": {"backoff_s": 3600, "max_attempts": 2},
        "compatibility": {"engine": "threads"},
    }
    folder = tmp_path_factory.mktemp("daemon") / "world"
    with compatibility_world(folder, KINDS, settings=settings) as made:
        yield made


@pytest.fixture(scope="module")
def running(world: CompatibilityWorld) -> Iterator[RunningDagster]:
    on = [new_collections_sensor.name, retry_collections_sensor.name]
    home = world.folder / "operation"
    with running_dagster(home, world.config, sensors=on, web=True) as dagster:
        assert run_job(world.definitions(), dagster.instance, "refresh_collections").success
        yield dagster


def keys_of(record: dg.RunRecord) -> list[str]:
    config: Any = record.dagster_run.run_config
    keys: list[str] = config["ops"]["work_on_keys"]["config"]["keys"]
    return keys


def test_the_sensor_asks_once_for_what_is_new(
    world: CompatibilityWorld, running: RunningDagster
) -> None:
    mine = {SENSOR_TAG: new_collections_sensor.name}

    (record,) = running.ended_runs("check_collections", 1, **mine)

    assert record.dagster_run.status is FAILURE, "three of them end with a fault"
    assert sorted(keys_of(record)) == sorted(KINDS)
    assert world.reasons() == REASONS
    assert statuses(running, "compatibility_results") == {
        "materialized": set(KINDS) - BROKEN,
        "failed": BROKEN,
        "unmaterialized": BROKEN,
    }
    assert record.end_time is not None
    for sensor in (new_collections_sensor, retry_collections_sensor):
        ticks = running.ticks(sensor.name, 1, after=record.end_time)
        assert {tick.status.value for tick in ticks} == {"SKIPPED"}
    assert len(running.runs("check_collections")) == 1


def test_the_other_sensor_tries_again_once_what_is_due(
    world: CompatibilityWorld, running: RunningDagster
) -> None:
    mine = {SENSOR_TAG: retry_collections_sensor.name}
    before = world.records()
    world.repair("C6-DEMO", "broken")
    world.configure(outcomes={"backoff_s": 0})

    (record,) = running.ended_runs("check_collections", 1, **mine)

    assert set(keys_of(record)) == BROKEN
    after = world.records()
    assert {key for key in before if before[key] != after[key]} == BROKEN
    outcomes = world.outcomes()
    assert {key: outcomes[key].attempts for key in BROKEN} == dict.fromkeys(BROKEN, 2)
    assert statuses(running, "compatibility_results")["failed"] == {"C3-DEMO", "C4-DEMO"}
    assert record.end_time is not None
    ticks = running.ticks(retry_collections_sensor.name, 1, after=record.end_time)
    assert {tick.status.value for tick in ticks} == {"SKIPPED"}, "the attempts are used up"
    assert len(running.runs("check_collections")) == 2
    # Reprocessing begins to count anew; no sensor is to come between.
    world.configure(outcomes={"backoff_s": 3600})


def test_a_backfill_from_the_ui_checks_exactly_what_stands_under_the_reason(
    world: CompatibilityWorld, running: RunningDagster
) -> None:
    under = {"C3-DEMO", "C4-DEMO"}
    before = world.records()
    world.repair("C3-DEMO", "broken")
    world.cmr.forget()

    red = backfill(running, BY_REASON, PARTITION)

    assert red.dagster_run.status is FAILURE
    assert world.cmr.described == dict.fromkeys(under, 1)
    assert set(world.cmr.read) == under
    after = world.records()
    assert {key for key in before if before[key] != after[key]} == under
    outcomes = world.outcomes()
    assert {outcomes[key].run_id for key in under} == {red.dagster_run.run_id}
    assert report(running.instance, red.dagster_run.run_id, BY_REASON) == {
        "reprocessed": 2,
        "left_for_another_run": 0,
        "now_none": 1,
        "now_cant_open_file": 1,
        "reasons_now": {"C3-DEMO": "none", "C4-DEMO": "cant_open_file"},
    }
    assert statuses(running, BY_REASON)["failed"] == {PARTITION}
    assert statuses(running, "compatibility_results") == {
        "materialized": set(KINDS) - {"C4-DEMO"},
        "failed": {"C4-DEMO"},
        "unmaterialized": {"C4-DEMO"},
    }
    asset = {"path": ["compatibility_results"]}
    shown = running.graphql(EVENTS, asset=asset, partition="C4-DEMO")["assetNodeOrError"]
    assert shown["latestRunForPartition"] == {
        "runId": red.dagster_run.run_id,
        "status": "FAILURE",
    }
    (observed,) = shown["assetObservations"]
    said = {entry["label"]: entry.get("text") for entry in observed["metadataEntries"]}
    assert said["reason"] == "cant_open_file"
    assert said["error"] == outcomes["C4-DEMO"].error

    assert len(running.runs("check_collections")) == 2, "no sensor came between"


@pytest.mark.soak
def test_when_all_are_repaired_the_backfill_is_green(
    world: CompatibilityWorld, running: RunningDagster
) -> None:
    running.ended_runs("check_collections", 1)
    before = world.records()
    under = {key for key, reason in world.reasons().items() if reason == "cant_open_file"}
    for key in under:
        world.repair(key, KINDS[key])
    world.cmr.forget()

    green = backfill(running, BY_REASON, PARTITION)

    assert green.dagster_run.status is SUCCESS
    assert under
    assert world.cmr.described == dict.fromkeys(under, 1)
    after = world.records()
    assert {key for key in before if before[key] != after[key]} == under
    assert report(running.instance, green.dagster_run.run_id, BY_REASON) == {
        "reprocessed": len(under),
        "left_for_another_run": 0,
        "now_none": len(under),
        "reasons_now": dict.fromkeys(under, "none"),
    }
    assert statuses(running, BY_REASON)["materialized"] == {PARTITION}
    assert statuses(running, "compatibility_results") == {"materialized": set(KINDS)}
