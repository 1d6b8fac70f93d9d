"""Publishing's sensor, tick by tick, and once under Dagster's own daemon."""

import re
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from estinel_assets.orchestration import by_reason, keys_sensor
from estinel_assets.orchestration.runs import CONTENT_TAG, SENSOR_TAG
from estinel_assets.publishing.inbox import list_folder
from estinel_assets.publishing.sensors import inbox_sensor
from tests.support.daemon import running_dagster
from tests.support.publishing_dagster import (
    PublishingWorld,
    publication,
    publishing_world,
    quiet_dagster,
)

pytestmark = quiet_dagster

TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d|\b\d{10}\b")
STATUS = dg.DagsterRunStatus


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingWorld]:
    outcomes = {"backoff_s": 3600, "backoff_max_s": 86400, "max_attempts": 3}
    folder = tmp_path_factory.mktemp("sensor") / "world"
    with publishing_world(folder, settings={"outcomes": outcomes}) as world:
        yield world


@pytest.fixture
def world(made: PublishingWorld) -> PublishingWorld:
    """The world with an empty inbox, no outcomes and no runs."""
    for folder in list(made.inbox.iterdir()):
        made.take_away(folder.name)
    for meta in list(made.store.list()):
        made.store.delete(meta.path)
    made.instance.wipe()
    return made


def tick(world: PublishingWorld) -> Any:
    """One evaluation of the sensor, as the daemon would make it."""
    defs = world.definitions()
    built = defs.resources
    assert built is not None
    with dg.build_sensor_context(
        instance=world.instance,
        sensor_name=inbox_sensor.name,
        repository_def=defs.get_repository_def(),
        resources={name: built[name] for name in ("settings", "store")},
    ) as context:
        return inbox_sensor.evaluate_tick(context)


def asked(ticked: Any) -> list[str]:
    """The folders of the one run that a tick asks for; none where it skips."""
    if not ticked.run_requests:
        assert ticked.skip_message
        return []
    (request,) = ticked.run_requests
    assert request.partition_key is None
    assert not TIME.search(request.run_key)
    assert request.run_key.startswith(request.tags[CONTENT_TAG])
    keys: list[str] = request.run_config["ops"]["work_on_keys"]["config"]["keys"]
    return keys


def run_key(ticked: Any) -> str:
    (request,) = ticked.run_requests
    key: str = request.run_key
    return key


def add_run(world: PublishingWorld, ticked: Any, status: STATUS, *, hours_ago: float = 0) -> None:
    """The run that a tick asked for, as the instance knows it."""
    (request,) = ticked.run_requests
    tags = {SENSOR_TAG: inbox_sensor.name, **request.tags}
    run = dg.DagsterRun("publish_folders", run_id=str(uuid.uuid4()), status=status, tags=tags)
    world.instance.add_run(run)
    if status is STATUS.FAILURE:
        world.instance.run_storage.handle_run_event(
            run.run_id,
            dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.PIPELINE_FAILURE.value, job_name=run.job_name
            ),
            update_timestamp=datetime.now(UTC) - timedelta(hours=hours_ago),
        )


def test_what_waits_is_asked_for_once(world: PublishingWorld) -> None:
    for name in ("job-b", "job-a", "job-c"):
        world.dataset(name)
    fingerprint = list_folder(world.inbox / "job-b").fingerprint
    world.put(publication("job-b", inputs=fingerprint))

    first = tick(world)

    assert asked(first) == ["job-a", "job-c"]
    job = world.definitions().resolve_job_def("publish_folders")
    assert dg.validate_run_config(job, first.run_requests[0].run_config)
    assert run_key(tick(world)) == run_key(first), "as long as no run has started, nothing is new"
    add_run(world, first, STATUS.NOT_STARTED)
    assert tick(world).skip_message == "the run that was asked for last goes on"


def test_what_was_published_waits_no_more_until_it_changes(world: PublishingWorld) -> None:
    world.dataset("job-1")
    (request,) = tick(world).run_requests
    assert world.run("publish_folders", config=request.run_config).success
    assert tick(world).skip_message == "no job folder is waiting"

    world.job("job-1").write("AOI_job-1/image.tif", b"other content")

    again = tick(world)
    assert asked(again) == ["job-1"]
    assert run_key(again) != request.run_key
    # By the policy of the settings.
    world.configure(publishing={"policy": "replace"})
    assert world.run("publish_folders", config=again.run_requests[0].run_config).success
    world.configure(publishing={"policy": "fail"})
    assert world.outcomes()["job-1"].detail["action"] == "replaced"


def test_a_folder_that_is_written_to_is_left_alone(world: PublishingWorld) -> None:
    world.dataset("job-1")
    world.configure(publishing={"quiet_s": 60})
    skipped = tick(world)
    world.configure(publishing={"quiet_s": 0})

    assert skipped.skip_message == "no job folder is waiting"
    assert asked(tick(world)) == ["job-1"]


def test_a_failure_is_tried_again_after_its_pause(world: PublishingWorld) -> None:
    for name, reason, hours_ago, attempts in (
        ("job-1", "stac_failed", 1.1, 1),
        ("job-2", "stac_failed", 0.9, 1),
        ("job-3", "stac_failed", 1.1, 2),
        ("job-4", "stac_failed", 99, 3),
        ("job-5", "missing_asset", 99, 1),
        ("job-6", "not_enabled", 99, 1),
    ):
        world.dataset(name)
        at = datetime.now(UTC) - timedelta(hours=hours_ago)
        inputs = list_folder(world.inbox / name).fingerprint
        times = {"started_at": at, "finished_at": at}
        world.put(publication(name, reason, attempts=attempts, inputs=inputs, **times))

    assert asked(tick(world)) == ["job-1"]


def test_a_crashed_run_is_asked_for_again_after_its_pause(world: PublishingWorld) -> None:
    world.dataset("job-1")
    first = tick(world)
    assert run_key(first).endswith("-1")
    add_run(world, first, STATUS.FAILURE, hours_ago=0.9)
    assert tick(world).skip_message == "a run over exactly what waits now (1) has just failed"

    world.dataset("job-2")
    assert asked(tick(world)) == ["job-1", "job-2"], "other content waits for nobody"
    world.take_away("job-2")

    world.configure(outcomes={"backoff_s": 3000})
    again = tick(world)
    world.configure(outcomes={"backoff_s": 3600})
    assert asked(again) == ["job-1"]
    assert run_key(again) == run_key(first).removesuffix("-1") + "-2"


def test_a_run_takes_so_many_folders_and_no_more(
    world: PublishingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys_sensor.MOST_KEYS == by_reason.MOST_KEYS == 500
    monkeypatch.setattr(keys_sensor, "MOST_KEYS", 3)
    for number in range(5):
        world.job(f"job-{number}").write("a", b"a")

    assert asked(tick(world)) == ["job-0", "job-1", "job-2"]


@pytest.mark.parametrize("name", ["a...b", "x" * 201, "line\nbreak"])
def test_a_name_that_cannot_be_published_stops_no_other(world: PublishingWorld, name: str) -> None:
    world.job(name).write("a", b"a")
    assert tick(world).skip_message == "no job folder is waiting"
    world.dataset("job-1")
    assert asked(tick(world)) == ["job-1"]


def test_a_name_of_any_other_kind_comes_through(world: PublishingWorld) -> None:
    name = "job 1 (Ö), 100%.v2"
    world.job(name).dataset("AOI_1")
    (request,) = tick(world).run_requests

    assert world.run("publish_folders", config=request.run_config).success

    assert world.reasons() == {name: "none"}
    assert world.colours() == {name: "green"}
    assert tick(world).skip_message == "no job folder is waiting"


def test_without_an_inbox_the_tick_is_skipped(world: PublishingWorld, tmp_path: Path) -> None:
    kept = world.former["publishing"].pop("inbox")
    world.configure()
    unset = tick(world)
    world.configure(publishing={"inbox": str(tmp_path / "absent")})
    absent = tick(world)
    world.configure(publishing={"inbox": kept})

    assert unset.run_requests == absent.run_requests == []
    assert "set publishing.inbox" in unset.skip_message
    assert "absent is no folder" in absent.skip_message


def test_outcomes_that_cannot_be_read_skip_the_tick(world: PublishingWorld) -> None:
    world.dataset("job-1")
    path = "outcomes/publishing/job-1/status=false/reason=stac_failed/result.json"
    world.store.put(path, b"half a reco")

    ticked = tick(world)

    assert ticked.run_requests == []
    assert "job-1" in ticked.skip_message


@pytest.mark.soak
def test_under_the_daemon_two_ticks_make_one_run(world: PublishingWorld) -> None:
    world.dataset("job-1")
    world.catalog("job-2")
    home = world.folder / "operation"
    with running_dagster(home, world.config, sensors=[inbox_sensor.name]) as dagster:
        (record,) = dagster.ended_runs("publish_folders", 1)
        ended_at = time.time()
        dagster.ticks(inbox_sensor.name, 2, after=ended_at)

        assert record.dagster_run.is_success
        assert len(dagster.runs("publish_folders")) == 1
        assert world.reasons() == {"job-1": "none", "job-2": "none"}

        world.dataset("job-3")
        runs = dagster.ended_runs("publish_folders", 2)
        dagster.ticks(inbox_sensor.name, 2, after=time.time())

        assert [run.dagster_run.is_success for run in runs] == [True, True]
        assert len(dagster.runs("publish_folders")) == 2
        assert world.reasons()["job-3"] == "none"
        assert world.outcomes()["job-1"].run_id == record.dagster_run.run_id
