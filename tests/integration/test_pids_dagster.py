"""The PID line under Dagster: ranges of offsets, reprocessing, the table, the checks.

The sensor is in `test_pids_sensor`.
"""

import json
from collections.abc import Iterator

import dagster as dg
import pandas as pd
import pytest

from estinel_assets.errors import BadInputError, LeaseHeldError, PermanentError
from estinel_assets.outcomes.chart import markdown_bars
from estinel_assets.pids.claims import CONSUMER, DAGSTER
from estinel_assets.pids.registering import Registering
from estinel_assets.pids.statistics_table import SCHEMA
from tests.support.backfills import report
from tests.support.cli import Outcome as Called
from tests.support.cli import estinel
from tests.support.pids_dagster import (
    PidsWorld,
    Servers,
    message_outcome,
    pid_servers,
    quiet_dagster,
)

pytestmark = quiet_dagster

BROKEN = b"{"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with pid_servers(tmp_path_factory.mktemp("pids") / "servers") as running:
        yield running


@pytest.fixture
def world(servers: Servers) -> Iterator[PidsWorld]:
    with servers.world(partitions=2) as made:
        yield made


# --- registering -------------------------------------------------------------------------------


def test_a_range_registers_exactly_its_messages(world: PidsWorld) -> None:
    world.produce(0, 1, 2)
    world.produce(3, partition=1)

    run = world.register(0, 1)

    assert run.success, run.error
    assert world.registered() == {0, 1}
    assert world.behind() == {0: 1, 1: 1}
    assert {one.run_id for one in world.outcomes().values()} == {run.run_id}
    said = world.said(run.run_id)
    assert said["ranges"] == [f"{world.topic}/0/0-1"]
    handles = [said[f"handles_{what}"] for what in ("created", "updated", "unchanged")]
    assert (said["messages"], handles, said["warnings"]) == (2, [6, 0, 0], 0)
    assert said["counts"] == {"none": 2}
    assert said["chart"] == markdown_bars({"none": 2})
    assert said["duration_s"] > 0

    again = world.register(0, 1)

    assert again.success, "a replay has no effect"
    assert world.said(again.run_id)["handles_unchanged"] == 6
    assert world.behind() == {0: 1, 1: 1}, "the group goes back for nobody"


def test_what_failed_is_kept_and_the_run_is_red(world: PidsWorld) -> None:
    world.configure_pids(consumer={"max_errors": 2})
    world.produce(0, BROKEN, 2, BROKEN, 4)
    world.produce(5, partition=1)

    run = world.run("register_pids")

    assert not run.success
    reasons = {"0/0": "none", "0/1": "invalid_message", "0/2": "none", "0/3": "invalid_message"}
    assert world.reasons() == reasons
    assert world.behind() == {0: 1, 1: 1}, "the rest waits for another run"
    failed = world.failure(run.run_id)
    key = f"{world.topic}/0"
    assert failed["faults"] == {f"{key}/1": "invalid_message", f"{key}/3": "invalid_message"}
    assert failed["fault_reasons"] == {"invalid_message": 2}
    assert failed["counts"] == {"invalid_message": 2, "none": 2}
    assert f"It stopped at {key}/3 (invalid_message: " in str(run.error)
    assert world.said(run.run_id)["messages"] == 4, "the asset shows it, too"
    rest = world.run("register_pids")
    assert rest.success
    assert world.said(rest.run_id)["ranges"] == [f"{key}/4-4", f"{world.topic}/1/0-0"]
    assert world.registered() == {0, 2, 4, 5}
    nothing = world.run("register_pids")
    assert nothing.success
    assert world.said(nothing.run_id)["ranges"] == []


def test_where_a_service_is_down_the_rest_waits(world: PidsWorld) -> None:
    world.produce(0, 1, 2)
    world.fail_handle_service(1)

    run = world.register(0, 2)

    assert not run.success
    assert "(handle_unavailable: " in str(run.error)
    assert world.failure(run.run_id)["fault_reasons"] == {"handle_unavailable": 1}
    assert world.behind() == {0: 2, 1: 0}
    world.repair_handle_service()
    assert world.run("register_pids").success
    assert world.registered() == {0, 1, 2}
    assert set(world.reasons().values()) == {"none"}


def test_a_run_that_cannot_begin_says_why(world: PidsWorld) -> None:
    world.produce(0)
    world.fail_handle_service(0)
    world.configure_pids(handle={"server_url": "http://127.0.0.1:1"})

    run = world.register(0, 0)

    assert not run.success
    assert world.failure(run.run_id)["reason"] == "handle_unavailable"
    assert world.said(run.run_id)["messages"] == 0
    assert world.behind() == {0: 1, 1: 0}


# --- refusals ----------------------------------------------------------------------------------


def chosen(
    world: PidsWorld,
    topic: str | None = None,
    partition: int | None = None,
    first: int | None = None,
    last: int | None = None,
) -> list[str]:
    """The ranges that a run with this config would work through."""
    registering = Registering.open(world.settings, world.store, "a-run")
    return [str(one) for one in registering.chosen(topic, partition, first, last)]


def test_a_run_refuses_a_group_that_a_consumer_works_for(world: PidsWorld) -> None:
    world.produce(0)
    with world.claimed(f"{CONSUMER} on a-host", partition=1):
        run = world.register(0, 0, partition=0)

    assert not run.success
    assert "estinel pids consume on a-host works on partition 1 of" in str(run.error)
    assert "use either consumers or Dagster's sensor for a group" in str(run.error)
    assert (world.registered(), world.reasons()) == (set(), {})


def test_a_run_leaves_partitions_to_other_runs(world: PidsWorld) -> None:
    world.produce(0)
    world.produce(1, partition=1)

    with world.claimed(f"{DAGSTER} 1234", partition=1):
        assert chosen(world) == [f"{world.topic}/0/0-0"]
    with world.claimed(f"{CONSUMER} on a-host"), pytest.raises(LeaseHeldError):
        chosen(world)
    assert len(chosen(world)) == 2


def test_a_range_that_cannot_be_is_refused(world: PidsWorld) -> None:
    with pytest.raises(BadInputError, match=f"topic CMIP9, and consumer.topic is {world.topic}"):
        chosen(world, "CMIP9", 0, 0, 0)
    with pytest.raises(BadInputError, match="has no partition 2; choose one from 0 to 1"):
        chosen(world, world.topic, 2, 0, 0)
    with pytest.raises(BadInputError, match="partition, first and last, not 0, None and 5"):
        chosen(world, None, 0, None, 5)


def test_what_the_configuration_lacks_is_said(world: PidsWorld) -> None:
    world.configure_pids(handle={"backend": "jsonl"})
    with pytest.raises(BadInputError, match="estinel pids consume --dry-run"):
        chosen(world)
    world.configure_pids(handle={"backend": "pyhandle"}, lookup={"enabled": True})
    with pytest.raises(BadInputError, match=r"stac\.base_url is not set"):
        chosen(world)
    world.configure_pids(lookup={"enabled": False}, consumer={"topic": "nowhere"})
    with pytest.raises(PermanentError, match="nowhere"):
        chosen(world)


# --- again -------------------------------------------------------------------------------------


@pytest.fixture
def failed(world: PidsWorld) -> PidsWorld:
    """A world in which one message is broken, two were skipped, and one went well."""
    world.configure_pids(consumer={"max_errors": -1})
    world.configure_pids(**{"consumer.transient": {"stop_on_skip": False}})
    world.produce(0, BROKEN, 2, 3)
    world.fail_handle_service(2, 3)
    assert not world.register(0, 3).success
    world.repair_handle_service()
    assert world.behind() == {0: 0, 1: 0}, "nothing stops it"
    assert sorted(world.reasons().values()) == [
        *["handle_unavailable"] * 2,
        *["invalid_message", "none"],
    ]
    return world


def test_what_failed_for_a_reason_is_tried_again_from_the_ui(failed: PidsWorld) -> None:
    again = failed.by_reason("false:handle_unavailable")

    assert again.success
    assert failed.registered() == {0, 2, 3}
    done = failed.outcomes()["0/2"]
    assert (done.reason, done.attempts, done.detail["retries"]) == ("none", 2, 1)
    assert done.run_id == again.run_id
    said = report(failed.instance, again.run_id, "pids_by_reason")
    assert (said["reprocessed"], said["now_none"]) == (2, 2)
    assert failed.by_reason("false:handle_unavailable").success, "there is nothing left"


def test_what_is_not_kept_cannot_be_tried_again(failed: PidsWorld) -> None:
    before = failed.outcomes()["0/0"]

    again = failed.by_reason("true:none")

    assert not again.success
    told = failed.failure(again.run_id)["error"]
    assert f"1 ({failed.topic}/0/0) whose message is not kept" in told
    assert failed.outcomes()["0/0"] == before


def test_where_the_service_is_still_down_the_rest_is_left(failed: PidsWorld) -> None:
    failed.produce(4, 5, 6)
    numbers = range(2, 7)
    failed.fail_handle_service(*numbers)
    assert not failed.register(4, 6).success
    failed.configure_pids(**{"consumer.transient": {"stop_on_skip": True}})
    failed.configure_pids(consumer={"in_flight": 1})
    failed.fail_handle_service(*numbers, delay_s=0.1)

    again = failed.by_reason("false:handle_unavailable")

    assert not again.success
    attempts = [failed.outcomes()[f"0/{number}"].attempts for number in numbers]
    assert attempts == sorted(attempts, reverse=True), "in the order of offsets"
    assert (attempts[0], attempts[-1]) == (2, 1)
    assert f"{attempts.count(1)} ({failed.topic}/0/" in failed.failure(again.run_id)["error"]
    assert "not tried, because a service was down" in failed.failure(again.run_id)["error"]


def reprocess(world: PidsWorld, *arguments: object) -> Called:
    command = ("--config", world.config, "reprocess", "--product", "pids", "--json", *arguments)
    return estinel(*command, DAGSTER_HOME=str(world.folder.parent / "home"))


def test_the_command_tries_them_again(failed: PidsWorld) -> None:
    called = reprocess(failed, "--status", "false")

    assert called.code == 1, called.stderr
    assert called.document["by_reason"] == {"invalid_message": 1, "none": 2}
    assert failed.registered() == {0, 2, 3}
    assert failed.outcomes()["0/1"].detail["retries"] == 1
    (kept,) = (failed.folder / "outputs" / "failures" / "r1").glob("*.jsonl")
    told = json.loads(kept.read_text())["__infos__"]
    assert (told["reason"], told["retries"], told["offset"]) == ("invalid_message", 1, 1)


def test_the_command_says_which_could_not_be_tried(failed: PidsWorld) -> None:
    called = reprocess(failed, "--key", f"{failed.topic}/0/0", "--key", f"{failed.topic}/0/2")

    assert called.code == 1
    assert "whose message is not kept" in called.document["errors"][0]
    assert failed.reasons()["0/2"] == "none", "the other one was"


# --- the table ---------------------------------------------------------------------------------


def test_the_table_counts_messages_and_handles(failed: PidsWorld) -> None:
    run = failed.run("build_pid_statistics")

    assert run.success
    defs = failed.definitions()
    frame = defs.load_asset_value("pid_statistics", instance=failed.instance)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == SCHEMA.names
    counted = frame.set_index("reason")["messages"].to_dict()
    assert counted == {"handle_unavailable": 2, "invalid_message": 1, "none": 1}
    said = failed.said(run.run_id, "pid_statistics")
    assert (said["messages"], said["counts"]) == (4, counted)
    assert said["chart"] == markdown_bars(said["counts"])
    assert said["handles_created"] == frame["created"].sum() == 3 + 2 * 2


def test_without_messages_the_table_is_empty(world: PidsWorld) -> None:
    run = world.run("build_pid_statistics")

    assert run.success, run.error
    assert world.said(run.run_id, "pid_statistics")["messages"] == 0


# --- the checks --------------------------------------------------------------------------------


def verdicts(world: PidsWorld) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the job of asset checks."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = world.definitions().resolve_job_def("pid_checks")
    ran = job.execute_in_process(instance=world.instance, run_config=quiet)
    assert ran.success, "a check that does not pass is no failed run"
    found = {one.check_name: one for one in ran.get_asset_check_evaluations()}
    assert {one.asset_key.to_user_string() for one in found.values()} == {"pid_registrations"}
    assert {one.severity for one in found.values()} == {dg.AssetCheckSeverity.WARN}
    assert set(found) == {"consumer_lag", "message_fault_rate"}
    return found


def test_a_group_in_step_passes_and_one_that_lost_messages_does_not(world: PidsWorld) -> None:
    world.produce(0, 1, 2)
    world.put(message_outcome(world.topic, 0), message_outcome(world.topic, 1))

    found = verdicts(world)

    assert all(one.passed for one in found.values())
    assert found["consumer_lag"].metadata["behind"].value == 3
    assert found["message_fault_rate"].metadata["messages"].value == 2
    assert world.register(0, 0).success
    world.servers.faults.remove_before(world.at(), 2)
    lost = verdicts(world)["consumer_lag"]
    assert not lost.passed
    assert lost.metadata["expired"].value == 1
    assert lost.metadata["failing"].value == [f"{world.topic}/0"]


def test_many_faults_and_a_topic_that_is_not_there_fail(world: PidsWorld) -> None:
    world.put(
        *(message_outcome(world.topic, number) for number in range(8)),
        message_outcome(world.topic, 8, "invalid_message"),
    )
    world.configure_pids(consumer={"topic": "nowhere"})

    found = verdicts(world)

    assert {name for name, one in found.items() if not one.passed} == set(found)
    assert found["message_fault_rate"].metadata["share"].value == 0.1111
    assert found["message_fault_rate"].metadata["failing"].value == [f"{world.topic}/0/8"]
    assert "nowhere" in str(found["consumer_lag"].description)
