"""The PID line's sensor, tick by tick; consumers and runs keep off one another."""

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import KafkaError

from estinel_assets.clock import utc_now
from estinel_assets.orchestration.run_requests import ORPHAN_AGE
from estinel_assets.orchestration.runs import SENSOR_TAG
from estinel_assets.pids.claims import CONSUMER, DAGSTER, holder
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.pids.consuming import Consuming
from estinel_assets.pids.figures import Figures
from estinel_assets.pids.kafka_source import GroupSource
from estinel_assets.pids.sensors import PAUSE_S, pid_messages_sensor
from estinel_assets.pids.watching import ConsumerWatch
from tests.support.pids_dagster import PidsWorld, Servers, pid_servers, quiet_dagster

pytestmark = quiet_dagster

TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d|\b\d{10}\b")
STATUS = dg.DagsterRunStatus
EVENTS = {
    STATUS.FAILURE: dg.DagsterEventType.PIPELINE_FAILURE,
    STATUS.STARTED: dg.DagsterEventType.PIPELINE_START,
}
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with pid_servers(tmp_path_factory.mktemp("sensor") / "servers") as running:
        yield running


@pytest.fixture
def world(servers: Servers) -> Iterator[PidsWorld]:
    with servers.world(partitions=2) as made:
        yield made


def tick(world: PidsWorld) -> Any:
    """One evaluation of the sensor, as the daemon would make it."""
    defs = world.definitions()
    built = defs.resources
    assert built is not None
    with dg.build_sensor_context(
        instance=world.instance,
        sensor_name=pid_messages_sensor.name,
        repository_def=defs.get_repository_def(),
        resources={name: built[name] for name in ("settings", "store")},
    ) as context:
        ticked: Any = pid_messages_sensor.evaluate_tick(context)
    assert bool(ticked.run_requests) != bool(ticked.skip_message)
    for request in ticked.run_requests:
        assert not TIME.search(request.run_key)
    return ticked


def asked(world: PidsWorld) -> list[str]:
    """The run keys of a tick, without the topic."""
    return [one.run_key.removeprefix(f"{world.topic}/") for one in tick(world).run_requests]


def run(world: PidsWorld, request: dg.RunRequest) -> bool:
    """Run what a tick asked for, as the daemon would; says whether it went well."""
    tags = {SENSOR_TAG: pid_messages_sensor.name, **request.tags}
    ended = (
        world.definitions()
        .resolve_job_def("register_pids")
        .execute_in_process(
            instance=world.instance,
            run_config={
                **request.run_config,
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags=tags,
            raise_on_error=False,
        )
    )
    return ended.success


def add_run(
    world: PidsWorld, request: dg.RunRequest, status: STATUS, *, ago: timedelta = timedelta()
) -> None:
    """The run that a tick asked for, as the instance knows it.

    Args:
        world: has the instance.
        request: of a tick.
        status: FAILURE or STARTED get their event, which happened so long ago.
        ago: see `status`.
    """
    tags = {SENSOR_TAG: pid_messages_sensor.name, **request.tags}
    added = dg.DagsterRun("register_pids", run_id=str(uuid.uuid4()), status=status, tags=tags)
    world.instance.add_run(added)
    if status in EVENTS:
        add_event(world, added, status, ago=ago)


def add_event(world: PidsWorld, to: dg.DagsterRun, status: STATUS, *, ago: timedelta) -> None:
    """Let a run have begun or failed so long ago."""
    world.instance.run_storage.handle_run_event(
        to.run_id,
        dg.DagsterEvent(event_type_value=EVENTS[status].value, job_name=to.job_name),
        update_timestamp=datetime.now(UTC) - ago,
    )


def test_what_waits_is_asked_for_partition_by_partition(world: PidsWorld) -> None:
    assert tick(world).skip_message == "no message waits"
    world.produce(0, 1, 2)
    world.produce(3, partition=1)

    first = tick(world)

    assert [one.run_key for one in first.run_requests] == [
        f"{world.topic}/0/0-2/1",
        f"{world.topic}/1/0-0/1",
    ]
    assert asked(world) == ["0/0-2/1", "1/0-0/1"], "as long as no run has started, nothing is new"
    job = world.definitions().resolve_job_def("register_pids")
    for request in first.run_requests:
        assert dg.validate_run_config(job, request.run_config)
        assert run(world, request)
    assert world.registered() == {0, 1, 2, 3}
    assert tick(world).skip_message == "no message waits"
    world.produce(4)
    assert asked(world) == ["0/3-3/1"]


def test_one_run_a_partition_at_a_time(world: PidsWorld) -> None:
    world.produce(0)
    world.produce(1, partition=1)
    first, second = tick(world).run_requests
    add_run(world, first, STATUS.NOT_STARTED)
    world.produce(2)

    assert asked(world) == ["1/0-0/1"]
    add_run(world, second, STATUS.STARTED)
    assert tick(world).skip_message == "runs go on over what waits (3 messages)"


def test_a_run_that_lost_its_process_is_asked_for_again(world: PidsWorld) -> None:
    world.produce(0)
    (request,) = tick(world).run_requests
    add_run(world, request, STATUS.STARTED, ago=ORPHAN_AGE + timedelta(minutes=5))

    with world.claimed(f"{DAGSTER} 1234"):
        assert "runs go on" in tick(world).skip_message, "it works all the same"
    assert asked(world) == ["0/0-0/2"]


def test_a_run_that_got_nowhere_is_asked_for_again_after_a_pause(world: PidsWorld) -> None:
    world.produce(0)
    (request,) = tick(world).run_requests
    add_run(world, request, STATUS.FAILURE, ago=timedelta(seconds=PAUSE_S - 10))

    assert "have just failed: " in tick(world).skip_message
    world.produce(1)
    assert "have just failed: " in tick(world).skip_message, "it began at the same offset"
    world.produce(2, partition=1)
    assert asked(world) == ["1/0-0/1"], "other partitions do not wait for it"


def test_each_attempt_has_a_key_of_its_own_and_there_is_no_last_one(world: PidsWorld) -> None:
    world.produce(0)
    for attempt in range(1, 6):
        (request,) = tick(world).run_requests
        assert request.run_key == f"{world.topic}/0/0-0/{attempt}"
        add_run(world, request, STATUS.FAILURE, ago=timedelta(days=1))


def test_a_failing_service_makes_a_red_run_and_the_rest_is_asked_for(world: PidsWorld) -> None:
    world.produce(0, 1, 2)
    world.fail_handle_service(1)
    (request,) = tick(world).run_requests

    assert not run(world, request)

    assert world.reasons() == {"0/0": "none", "0/1": "handle_unavailable"}
    (rest,) = tick(world).run_requests
    assert rest.run_key == f"{world.topic}/0/1-2/1"
    assert not run(world, rest)
    assert "have just failed: " in tick(world).skip_message, "it got nowhere"
    world.repair_handle_service()
    (latest,) = world.instance.get_run_records(limit=1)
    add_event(world, latest.dagster_run, STATUS.FAILURE, ago=timedelta(seconds=PAUSE_S + 1))
    (again,) = tick(world).run_requests
    assert again.run_key == f"{world.topic}/0/1-2/2"
    assert run(world, again)
    assert world.registered() == {0, 1, 2}
    assert set(world.reasons().values()) == {"none"}
    assert world.behind() == {0: 0, 1: 0}


def test_while_kafka_has_trouble_the_tick_is_skipped(world: PidsWorld) -> None:
    world.produce(0)
    world.servers.faults.refuse(world.topic, KafkaError.LEADER_NOT_AVAILABLE)

    told = tick(world).skip_message

    assert told.startswith(f"no run is asked for: the topic {world.topic} cannot be looked up")
    world.servers.faults.refuse(world.topic, KafkaError.NO_ERROR)
    assert asked(world) == ["0/0-0/1"]


def test_without_kafka_the_tick_is_skipped(world: PidsWorld) -> None:
    world.configure_pids(consumer={"topic": "nowhere"})
    assert "nowhere" in tick(world).skip_message
    del world.tables["kafka"]
    world.configure_pids(handle={"backend": "jsonl"})
    assert "every run a dry run" in tick(world).skip_message
    world.configure_pids(handle={"backend": "pyhandle"})
    assert "kafka.bootstrap.servers is not set" in tick(world).skip_message
    world.configure_pids(handle={"no_such_key": [1]}, stats={"interval_seconds": -1})
    assert tick(world).skip_message.startswith("no run is asked for: the configuration")


# --- consumers and runs ------------------------------------------------------------------------


@contextmanager
def consuming(world: PidsWorld) -> Iterator[None]:
    """A consumer of the group, as the command runs it, for as long as the block lasts."""
    configuration = load_configuration(world.settings.pids)
    consumer = Consuming(
        world.settings, configuration, world.store, f"{CONSUMER} on a-host", "a-consumer"
    )
    stop = threading.Event()
    watch = ConsumerWatch(
        Figures(started_at=utc_now()), clock=utc_now, interval_s=60, every_messages=1000
    )
    source = GroupSource(consumer.options(), world.topic)
    thread = threading.Thread(target=consumer.run, args=(source, watch, stop), daemon=True)
    thread.start()
    try:
        group = configuration.kafka.group_id
        ends_at = time.monotonic() + PATIENCE_S
        while holder(world.store, group, world.at()) is None:
            assert thread.is_alive()
            assert time.monotonic() < ends_at, "the consumer gets no partition"
            time.sleep(0.02)
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_while_a_consumer_works_the_sensor_and_its_runs_keep_off(world: PidsWorld) -> None:
    world.produce(0)
    (request,) = tick(world).run_requests
    with consuming(world):
        skipped = tick(world).skip_message
        refused = run(world, request)
        ends_at = time.monotonic() + PATIENCE_S
        world.produce(1, partition=1)
        while world.registered() != {0, 1}:
            assert time.monotonic() < ends_at, "the consumer registers nothing"
            time.sleep(0.05)

    assert "estinel pids consume on a-host works on partition" in skipped
    assert not refused
    assert {one.run_id for one in world.outcomes().values()} == {"a-consumer"}
    assert tick(world).skip_message == "no message waits"
    world.produce(2)
    assert asked(world) == ["0/1-1/1"]


def test_partitions_of_other_runs_are_left_to_them(world: PidsWorld) -> None:
    world.produce(0)
    world.produce(1, partition=1)

    with world.claimed(f"{DAGSTER} 1234", partition=1):
        assert asked(world) == ["0/0-0/1"]
    with world.claimed(f"{CONSUMER} on a-host", partition=1):
        assert "use either consumers or Dagster's sensor" in tick(world).skip_message
    assert asked(world) == ["0/0-0/1", "1/0-0/1"]
