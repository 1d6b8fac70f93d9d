"""Compatibility's sensors, tick by tick; `test_compatibility_graphql` has them under a daemon."""

import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from estinel_assets.compatibility.sensors import new_collections_sensor, retry_collections_sensor
from estinel_assets.orchestration.by_reason import MOST_KEYS
from estinel_assets.orchestration.runs import CONTENT_TAG, SENSOR_TAG
from estinel_assets.outcomes.record import Outcome
from tests.support.compatibility import (
    CompatibilityWorld,
    compatibility_world,
    quiet_dagster,
    result,
)

pytestmark = quiet_dagster

TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d|\d{10}")
HOUR = {"backoff_s": 3600, "backoff_max_s": 86400, "max_attempts": 3}
SENSORS = [new_collections_sensor, retry_collections_sensor]
STATUS = dg.DagsterRunStatus


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CompatibilityWorld]:
    """A world that knows no collection."""
    with compatibility_world(tmp_path / "world", {}, settings={"outcomes": HOUR}) as made:
        yield made


def know(world: CompatibilityWorld, concept_ids: Sequence[str]) -> None:
    """Make partitions, as the refresh of the collections would."""
    for start in range(0, len(concept_ids), 500):
        world.instance.add_dynamic_partitions("collections", list(concept_ids[start : start + 500]))


def tick(world: CompatibilityWorld, sensor: dg.SensorDefinition) -> Any:
    """One evaluation of a sensor, as the daemon would make it."""
    defs = world.definitions()
    built = defs.resources
    assert built is not None
    with dg.build_sensor_context(
        instance=world.instance,
        sensor_name=sensor.name,
        repository_def=defs.get_repository_def(),
        resources={name: built[name] for name in ("settings", "store")},
    ) as context:
        return sensor.evaluate_tick(context)


def asked(ticked: Any) -> list[str]:
    """The collections of the one run that a tick asks for; none where it skips."""
    if not ticked.run_requests:
        assert ticked.skip_message
        return []
    (request,) = ticked.run_requests
    assert request.partition_key is None
    assert not TIME.search(request.run_key)
    assert request.run_key.startswith(request.tags[CONTENT_TAG])
    keys: list[str] = request.run_config["ops"]["work_on_keys"]["config"]["keys"]
    return keys


def add_run(
    world: CompatibilityWorld,
    sensor: dg.SensorDefinition,
    status: STATUS,
    *,
    hours_ago: float = 0.0,
    content: str = "",
) -> None:
    """A run as the instance knows those that a sensor asked for."""
    tags = {SENSOR_TAG: sensor.name, CONTENT_TAG: content}
    run = dg.DagsterRun("check_collections", run_id=str(uuid.uuid4()), status=status, tags=tags)
    world.instance.add_run(run)
    kind = {
        STATUS.STARTED: dg.DagsterEventType.PIPELINE_START,
        STATUS.FAILURE: dg.DagsterEventType.PIPELINE_FAILURE,
    }.get(status)
    if kind is not None:
        world.instance.run_storage.handle_run_event(
            run.run_id,
            dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name),
            update_timestamp=datetime.now(UTC) - timedelta(hours=hours_ago),
        )


def ended(concept_id: str, reason: str, *, hours_ago: float = 0.0, attempts: int = 1) -> Outcome:
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    return result(concept_id, reason, started_at=at, finished_at=at, attempts=attempts)


def test_new_collections_are_asked_for_in_bounded_batches(world: CompatibilityWorld) -> None:
    everyone = [f"C{number:04d}-DEMO" for number in range(620)]
    know(world, everyone)
    world.put(*[result(one) for one in everyone[:70]])

    first = tick(world, new_collections_sensor)

    assert asked(first) == everyone[70:570]
    assert len(asked(first)) == MOST_KEYS
    assert asked(tick(world, retry_collections_sensor)) == []

    world.put(*[result(one) for one in everyone[70:570]])
    second = tick(world, new_collections_sensor)

    assert asked(second) == everyone[570:]
    assert first.run_requests[0].run_key != second.run_requests[0].run_key

    world.put(*[result(one, "unsupported_format") for one in everyone[570:]])
    assert tick(world, new_collections_sensor).skip_message == (
        "no collection is waiting for a check"
    )


def test_what_a_sensor_asks_for_the_job_takes(world: CompatibilityWorld) -> None:
    know(world, ["C1-DEMO", "C2-DEMO"])
    (request,) = tick(world, new_collections_sensor).run_requests
    job = world.definitions().resolve_job_def("check_collections")

    assert dg.validate_run_config(job, request.run_config)


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_one_run_at_a_time(world: CompatibilityWorld, sensor: dg.SensorDefinition) -> None:
    know(world, ["C1-DEMO", "C2-DEMO"])
    world.put(ended("C2-DEMO", "timeout", hours_ago=2))
    assert len(asked(tick(world, sensor))) == 1
    other = next(one for one in SENSORS if one is not sensor)
    add_run(world, other, STATUS.NOT_STARTED)
    assert len(asked(tick(world, sensor))) == 1, "the other sensor's run is not ours"

    add_run(world, sensor, STATUS.NOT_STARTED, content="whatever")

    assert tick(world, sensor).skip_message == "the run that was asked for last goes on"


def test_a_run_that_lost_its_process_keeps_nobody_waiting(world: CompatibilityWorld) -> None:
    know(world, ["C1-DEMO"])
    add_run(world, new_collections_sensor, STATUS.STARTED, hours_ago=0.1)
    assert asked(tick(world, new_collections_sensor)) == []

    world.instance.wipe()
    know(world, ["C1-DEMO"])
    add_run(world, new_collections_sensor, STATUS.STARTED, hours_ago=1)
    assert asked(tick(world, new_collections_sensor)) == ["C1-DEMO"]


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_a_crashed_run_is_asked_for_again_after_its_pause(
    world: CompatibilityWorld, sensor: dg.SensorDefinition
) -> None:
    know(world, ["C1-DEMO", "C2-DEMO"])
    world.put(ended("C2-DEMO", "timeout", hours_ago=9))
    first = tick(world, sensor)
    content = first.run_requests[0].tags[CONTENT_TAG]
    assert first.run_requests[0].run_key == f"{content}-1"
    add_run(world, sensor, STATUS.FAILURE, hours_ago=0.9, content=content)
    assert "failed" in tick(world, sensor).skip_message

    world.configure(outcomes={"backoff_s": 3000})
    again = tick(world, sensor)
    assert asked(again) == asked(first)
    assert again.run_requests[0].run_key == f"{content}-2"

    # The pause has doubled.
    add_run(world, sensor, STATUS.FAILURE, hours_ago=0.85, content=content)
    assert asked(tick(world, sensor)) == []


def test_an_outage_however_long_does_not_end_the_asking(world: CompatibilityWorld) -> None:
    know(world, ["C1-DEMO"])
    content = tick(world, new_collections_sensor).run_requests[0].tags[CONTENT_TAG]
    for hours_ago in (200, 150, 100, 50, 25):
        add_run(world, new_collections_sensor, STATUS.FAILURE, hours_ago=hours_ago, content=content)

    (request,) = tick(world, new_collections_sensor).run_requests

    assert request.run_key == f"{content}-6"
    add_run(world, new_collections_sensor, STATUS.FAILURE, hours_ago=23, content=content)
    assert asked(tick(world, new_collections_sensor)) == [], "the longest pause is a day"


def test_only_what_is_due_is_tried_again(world: CompatibilityWorld) -> None:
    world.put(
        ended("C1-DEMO", "timeout", hours_ago=1.1),
        ended("C2-DEMO", "timeout", hours_ago=0.9),
        ended("C3-DEMO", "timeout", hours_ago=1.1, attempts=2),
        ended("C4-DEMO", "timeout", hours_ago=2.1, attempts=2),
        ended("C5-DEMO", "timeout", hours_ago=99, attempts=3),
        ended("C6-DEMO", "unsupported_format", hours_ago=99),
        ended("C7-DEMO", "out_of_memory", hours_ago=99),
        ended("C8-DEMO", "none", hours_ago=99),
        ended("C9-DEMO", "forbidden", hours_ago=9),
        ended("C10-GONE", "forbidden", hours_ago=9),
    )
    know(world, [f"C{number}-DEMO" for number in range(1, 10)])

    assert asked(tick(world, retry_collections_sensor)) == ["C9-DEMO", "C4-DEMO", "C1-DEMO"]
    assert asked(tick(world, new_collections_sensor)) == []


def test_results_that_cannot_be_read_skip_the_tick(world: CompatibilityWorld) -> None:
    know(world, ["C1-DEMO"])
    world.store.put("collections/C1-DEMO/status=false/reason=timeout/result.json", b"half a reco")

    for sensor in SENSORS:
        ticked = tick(world, sensor)
        assert ticked.run_requests == []
        assert "C1-DEMO" in ticked.skip_message
