"""The daily operation under a real daemon: schedule, sensors, runs and alerts hand over by files,
processes and HTTP alone.

One daemon serves all tests here, on a world whose first site was made before it started, but for
one day whose scene is broken.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData
from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.cli import execute_query

from estinel_assets.imagery.checks import daily_checks, imagery_checks
from estinel_assets.imagery.sensors import (
    daily_update,
    new_imagery_sensor,
    sites_sensor,
    web_catalog_sensor,
)
from estinel_assets.imagery.site_id import site_id
from estinel_assets.orchestration.runs import PARTITION_TAG, SENSOR_TAG
from tests.support.daemon import LOCATION, RunningDagster, running_dagster
from tests.support.imagery import (
    ImageryWorld,
    Item,
    imagery_world,
    plain_scenes,
    quiet_dagster,
    stamped,
)
from tests.support.serving import serving

pytestmark = [quiet_dagster, pytest.mark.soak]

ALERTS = ["alert_on_failed_run", "alert_on_failed_check"]
KINGSTON = 'Kingston,147.3000,-42.8826,10,400,300,"tasmania"'
"""In the same scenes as Hobart, two kilometres west of it."""
GOOD_DAYS = {"2024-12-01": "none", "2024-12-02": "none", "2024-12-03": "none"}
CORRUPT_DAY = "2024-12-05"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
SCHEDULE_TAG = "dagster/schedule_name"
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
START = """
mutation ($schedule: ScheduleSelector!) {
  startSchedule(scheduleSelector: $schedule) {
    __typename
    ... on ScheduleStateResult { scheduleState { id status } }
  }
}"""


@contextmanager
def receiving() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of alerts: its address, and the documents that it got."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}/alerts", posted


@dataclass
class Operation:
    """A world, the daemon that runs on it, and who is told when something fails."""

    world: ImageryWorld
    running: RunningDagster
    alerts: list[dict[str, Any]]
    """As they were posted."""
    broken: Item
    """The scene of a day that shows Hobart alone, and whose red band is cut off."""
    instance: dg.DagsterInstance = field(init=False)

    def __post_init__(self) -> None:
        self.instance = self.running.instance

    def click(self, document: str, **variables: object) -> dict[str, Any]:
        """What the UI's mutation would do, and its one answer."""
        workspace = WorkspaceFileTarget(paths=[str(self.running.home / "workspace.yaml")])
        with WorkspaceProcessContext(self.instance, workspace) as context:
            answered = execute_query(context, document, variables)
        assert "errors" not in answered, answered
        (answer,) = answered["data"].values()
        return dict(answer)

    def runs(self, sensor: str, job: str, **tags: str) -> list[dg.DagsterRun]:
        """The runs of a job that a sensor asked for, the oldest first."""
        found = self.running.runs(job, **{SENSOR_TAG: sensor, **tags})
        return [record.dagster_run for record in found]

    def ended(self, find: Callable[[], list[dg.DagsterRun]], what: str) -> dg.DagsterRun:
        """The newest of some runs, once there are any and it has ended."""

        def newest() -> dg.DagsterRun | None:
            runs = find()
            return runs[-1] if runs and runs[-1].is_finished else None

        return self.running.until(newest, what)

    def alert(self, **wanted: object) -> dict[str, Any]:
        """The alert that says so, once it is there."""

        def found() -> dict[str, Any] | None:
            matching = (one for one in self.alerts if wanted.items() <= one.items())
            return next(matching, None)

        return self.running.until(found, f"the alert {wanted}")


@pytest.fixture(scope="module")
def operation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    folder = tmp_path_factory.mktemp("operation")
    scenes = plain_scenes(tmp_path_factory.getbasetemp())
    on = [sites_sensor.name, new_imagery_sensor.name, web_catalog_sensor.name, *ALERTS]
    with receiving() as (url, alerts):
        settings = {"alert": {"url": url}}
        broken = cut_off(scenes[-1], folder)
        given = [*scenes[:4], broken]
        with imagery_world(folder / "world", given, settings=settings) as world:
            world.update()
            assert world.reasons() == {**GOOD_DAYS, CORRUPT_DAY: "source_corrupt"}
            with running_dagster(folder / "home", world.config, sensors=on) as running:
                running.instance.add_dynamic_partitions("sites", [world.site])
                made = Operation(world, running, alerts, broken)
                # The daemon loads its modules meanwhile; should it look before this is written,
                # it looks again at the next full minute.
                for schedule in (daily_update, daily_checks):
                    start_in_the_past(made, schedule)
                yield made


def cut_off(item: Item, folder: Path) -> Item:
    """An item that shows Hobart alone, and whose red band ends in the middle of a tile."""
    bbox = west, south, east, north = 147.315, -42.89, 147.335, -42.875
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    red = item["assets"]["red"]
    whole = Path(red["href"].removeprefix("file://"))
    part = folder / whole.name
    part.write_bytes(whole.read_bytes()[:3000])
    return {
        **item,
        "bbox": list(bbox),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "assets": {**item["assets"], "red": {**red, "href": f"file://{part}"}},
    }


def last_tick(schedule: dg.ScheduleDefinition) -> datetime:
    """When a daily schedule should have ticked the last time."""
    minute, hour = (int(number) for number in str(schedule.cron_schedule).split()[:2])
    now = datetime.now(UTC)
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def start_in_the_past(operation: Operation, schedule: dg.ScheduleDefinition) -> None:
    """Start a schedule, as if that had been done before its last tick and no daemon had run since.

    Dagster's scheduler makes up for the last tick that it missed.
    """
    at = last_tick(schedule) - timedelta(hours=1)
    selector = {**REPOSITORY, "scheduleName": schedule.name}
    answer = operation.click(START, schedule=selector)
    assert answer["__typename"] == "ScheduleStateResult", answer
    state = schedule_state(operation.instance, schedule)
    started = ScheduleInstigatorData(str(schedule.cron_schedule), at.timestamp())
    operation.instance.update_instigator_state(state.with_data(started))


def schedule_state(
    instance: dg.DagsterInstance, schedule: dg.ScheduleDefinition
) -> InstigatorState:
    states = instance.all_instigator_state()
    (state,) = [state for state in states if state.instigator_name == schedule.name]
    return state


def missed_run(operation: Operation, schedule: dg.ScheduleDefinition, job: str) -> dg.DagsterRun:
    """The one run of the tick that a schedule missed, once it has ended."""
    running = operation.running
    (tick,) = running.ticks(schedule.name, 1)
    assert tick.status.value == "SUCCESS"
    (record,) = running.ended_runs(job, 1, **{SCHEDULE_TAG: schedule.name})
    run = record.dagster_run
    assert [run.run_id] == list(tick.run_ids)
    at = datetime.fromisoformat(run.tags[SCHEDULED_EXECUTION_TIME_TAG])
    assert at == datetime.fromtimestamp(tick.timestamp, UTC) == last_tick(schedule)
    return run


def test_the_daily_update_that_was_missed_runs_once(operation: Operation) -> None:
    world = operation.world

    run = missed_run(operation, daily_update, "update_site")

    assert run.status is SUCCESS
    assert run.tags[PARTITION_TAG] == world.site
    assert run.tags["dagster/run_key"] == world.site
    # There was nothing new, and the broken day's pause was not over.
    outcomes = world.outcomes()
    assert outcomes.pop("search").run_id == run.run_id
    assert run.run_id not in {outcome.run_id for outcome in outcomes.values()}


def test_a_failed_check_of_the_daily_ones_reaches_the_receiver(operation: Operation) -> None:
    run = missed_run(operation, daily_checks, imagery_checks.name)

    assert run.status is SUCCESS
    told = operation.alert(kind="check", run_id=run.run_id)
    assert told["job"] == imagery_checks.name
    (faults,) = [one for one in told["checks"] if one["name"] == "share_of_faults"]
    assert faults["severity"] == "WARN"
    assert "Hobart" in faults["description"]
    assert "share_of_faults" in told["text"]


def test_a_site_written_to_the_table_gets_its_images_and_a_place_in_the_catalogue(
    operation: Operation,
) -> None:
    world, running = operation.world, operation.running
    new = site_id("Kingston")
    assert new not in operation.instance.get_dynamic_partitions("sites")

    with (world.folder / "sites.csv").open("a", encoding="utf-8") as table:
        table.write(f"{KINGSTON}\n")

    running.until(
        lambda: new in operation.instance.get_dynamic_partitions("sites"), "the new partition"
    )
    refreshed = operation.runs(sites_sensor.name, "refresh_sites")
    assert refreshed
    asked = new_imagery_sensor.name
    made = operation.ended(
        lambda: operation.runs(asked, "update_site", **{PARTITION_TAG: new}), "the site's run"
    )
    assert made.status is SUCCESS, running.logs()
    assert made.tags["dagster/run_key"] == f"{new}-bootstrap-1"
    assert world.reasons(new) == GOOD_DAYS

    def listed() -> dict[str, list[str]] | None:
        found = catalogue(world)
        return found if {"Hobart", "Kingston"} <= found.keys() else None

    places = running.until(listed, "the catalogue of both sites")
    assert set(places["Kingston"]) == set(places["Hobart"]) == set(GOOD_DAYS)
    merged = operation.ended(
        lambda: operation.runs(web_catalog_sensor.name, "build_web_catalog"), "the merge"
    )
    assert merged.status is SUCCESS


def catalogue(world: ImageryWorld) -> dict[str, list[str]]:
    """The days of each site that the web catalogue lists; empty before there is one."""
    if "catalog/image-catalog.json" not in {meta.path for meta in world.store.list("catalog")}:
        return {}
    return {
        place["name"]: [image["date"] for image in place["images"]]
        for place in world.catalog()["locations"]
    }


def test_a_failed_run_reaches_the_receiver_once(operation: Operation) -> None:
    world = operation.world

    world.publish(stamped(operation.broken))

    told = operation.alert(kind="run", partition=world.site)
    failed = operation.instance.get_run_by_id(told["run_id"])
    assert failed is not None
    assert failed.status is FAILURE
    assert failed.tags[SENSOR_TAG] == new_imagery_sensor.name
    assert (told["job"], told["reason"]) == ("update_site", "source_corrupt")
    assert f"{CORRUPT_DAY}: source_corrupt" in told["error"]
    assert told["text"].startswith(f"update_site failed for {world.site} (source_corrupt)")
    assert world.outcomes()[CORRUPT_DAY].run_id == failed.run_id
    operation.running.ticks(ALERTS[0], 2, after=datetime.now(UTC).timestamp())
    assert [one["run_id"] for one in operation.alerts].count(failed.run_id) == 1
