"""`estinel pids consume`, with real parts; signals and deaths in processes of its own."""

import json
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.demo.kafka_broker import KafkaCluster, Produced
from tests.support.cmip6_messages import patch_message
from tests.support.pid_commands import Desk, bad, desk, good, item_id
from tests.support.pid_world import wait_for
from tests.support.web_server import free_port

HANDLES = 3
"""Of one good message."""
HANGS_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as started:
        yield started


@pytest.fixture
def at(tmp_path: Path, cluster: KafkaCluster) -> Iterator[Desk]:
    with desk(tmp_path, cluster) as opened:
        yield opened


@pytest.fixture
def slow(tmp_path: Path, cluster: KafkaCluster) -> Iterator[Desk]:
    """Two partitions, and a Handle server that takes its time."""
    with desk(tmp_path, cluster, partitions=2, latency_s=0.02) as opened:
        yield opened


# --- how it ends -------------------------------------------------------------------------------


def test_what_is_done_is_told_and_committed(at: Desk) -> None:
    at.produce(good(1), bad(), good(2))

    ended = at.pids("consume", "--max-messages", 3, "--json")

    assert ended.code == 1, ended.stderr
    assert f"failed: the message at offset 1 of partition 0 of {at.topic}" in ended.stderr
    document = ended.document
    assert document["by_reason"] == {"none": 2, "invalid_message": 1}
    assert (document["messages"], document["faults"]) == (3, 1)
    assert (document["ending"], document["stopped_by"]) == ("asked", None)
    assert document["figures"]["handles_created"] == 2 * HANDLES
    assert len(at.handles()) == 2 * HANDLES
    assert at.behind() == 0


def test_all_well_is_0_and_all_failed_is_2(at: Desk) -> None:
    at.produce(good(1))
    well = at.pids("consume", "--max-messages", 1)
    assert well.code == 0, well.stderr
    assert "1 message recorded and committed" in well.stdout
    assert "Ended because no more were asked for" in well.stdout

    at.produce(bad())
    ill = at.pids("consume", "--max-messages", 1)
    assert ill.code == 2
    assert f"estinel pids retry --delete-after {at.outputs / 'failures'}" in ill.stdout


def test_it_stops_at_the_most_errors_and_goes_on_after_them(at: Desk) -> None:
    at.tables["consumer"]["max_errors"] = 1
    at.produce(good(1), bad(), good(2))

    stopped = at.pids("consume", "--json")

    assert stopped.code == 1, stopped.stderr
    by = stopped.document["stopped_by"]
    assert (by["topic"], by["partition"], by["offset"]) == (at.topic, 0, 1)
    assert by["reason"] == "invalid_message"
    assert "not JSON" in by["error"]
    assert f"offset 1 of partition 0 of {at.topic}: invalid_message" in stopped.stderr
    assert at.behind() == 1
    assert at.pids("consume", "--max-messages", 1).code == 0
    assert at.behind() == 0


def test_where_a_service_is_down_it_stops_and_nothing_is_lost(at: Desk) -> None:
    at.produce(good(1), good(2))
    # The probe and the first message's files are answered.
    at.app.fail_after(3)

    stopped = at.pids("consume")

    assert stopped.code == 2, stopped.stderr
    assert "handle_unavailable" in stopped.stdout
    assert "is not committed" in stopped.stdout
    assert "estinel pids consume --force" in stopped.stdout
    assert at.behind() == 2
    refused = at.pids("consume", "--json")
    assert refused.code == 2
    assert refused.document["error"]["reason"] == "handle_unavailable"
    at.app.recover()
    assert at.pids("consume", "--max-messages", 2).code == 0
    assert len(at.handles()) == 2 * HANDLES


def test_with_force_it_goes_on_without_what_is_skipped(at: Desk) -> None:
    at.produce(good(1), good(2), bad())
    at.app.fail_after(3)

    forced = at.pids("consume", "--force", "--max-messages", 3, "--json")

    assert forced.code == 2, forced.stderr
    assert forced.document["by_reason"] == {"handle_unavailable": 2, "invalid_message": 1}
    assert at.behind() == 0
    (skipped,) = (at.outputs / "skipped").glob("*.jsonl")
    assert len(skipped.read_text(encoding="utf-8").splitlines()) == 2
    at.app.recover()
    assert at.pids("retry", "--delete-after", at.outputs / "skipped").code == 0
    assert len(at.handles()) == 2 * HANDLES


def test_a_dry_run_writes_records_and_changes_nothing(at: Desk) -> None:
    patch = json.dumps(patch_message({"op": "remove", "path": "/assets/data0001"})).encode()
    at.produce(good(1), Produced(patch, key=b"patch", partition=0), good(2))

    dry = at.pids("consume", "--dry-run", "--max-messages", 3, "--json")

    assert dry.document["by_reason"] == {"none": 2, "stac_unavailable": 1}, dry.stderr
    assert dry.document["dry_run"]
    assert at.handles() == {}
    assert at.behind() == 3
    assert not (at.folder / "store" / "outcomes").exists()
    assert [one.name for one in at.outputs.iterdir()] == ["handles"]
    told = at.pids("consume", "--dry-run", "--max-messages", 3).stdout
    assert "nothing was registered" in told
    assert "it cannot try patches" in told
    assert f"The records are in {at.outputs / 'handles'}" in told


def test_a_dump_keeps_every_message(at: Desk) -> None:
    at.produce(good(1), bad())

    at.pids("consume", "--dump", "--max-messages", 2)

    (dump,) = (at.outputs / "dump").glob("*.jsonl")
    lines = dump.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["data"]["payload"]["item"]["id"] == item_id(1)
    assert len(lines) == 2


# --- what it needs -----------------------------------------------------------------------------


def test_all_that_is_missing_is_told_at_once(at: Desk) -> None:
    at.tables |= {"handle": {}, "kafka": {}, "lookup": {"enabled": True}}

    ended = at.pids("consume")

    assert ended.code == 3
    for missing in ("kafka.bootstrap.servers", "handle.server_url", "handle.prefix", "stac.base"):
        assert missing in ended.stderr


def test_another_file_of_configuration(at: Desk, tmp_path: Path) -> None:
    file = at.variables["ESTINEL_PIDS_CONFIG"]
    at.produce(good(1))

    named = at.pids("consume", "--pids-config", file, "--max-messages", 1, ESTINEL_PIDS_CONFIG="/x")

    assert named.code == 0, named.stderr
    absent = at.pids("consume", "--pids-config", tmp_path / "none.toml")
    assert absent.code == 3
    assert "none.toml" in absent.stderr


def test_warnings_of_the_configuration_are_told(at: Desk) -> None:
    at.tables["stats"]["enable_db"] = True
    at.produce(good(1))

    assert at.pids("consume", "--max-messages", 1).stderr.count("stats.enable_db: not used") == 1


def test_a_topic_that_is_not_there(at: Desk) -> None:
    at.tables["consumer"]["topic"] = "nowhere"

    ended = at.pids("consume", "--json")

    assert ended.code == 2
    assert ended.document["error"]["reason"] == "kafka_refused"


def test_without_its_packages(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for name in list(sys.modules):
        if name.startswith(("estinel_assets.pids.kafka", "estinel_assets.pids.consuming")):
            monkeypatch.delitem(sys.modules, name)

    ended = at.pids("consume")

    assert ended.code == 4
    assert "estinel-assets[pids]" in ended.stderr


# --- signals and deaths ------------------------------------------------------------------------


def test_sigterm_drains_and_commits(slow: Desk) -> None:
    """As a service manager would end it; it waits for more until then."""
    slow.produce(*(good(number, partition=number % 2) for number in range(4)))
    with slow.running("pids", "consume", "--json") as command:
        wait_for(lambda: slow.handles() and slow.behind() == 0, 60.0)
        command.send(signal.SIGTERM)
        ended = command.ended()

    assert ended.code == 0, ended.stderr
    document = ended.document
    assert (document["ending"], document["messages"]) == ("asked", 4)
    assert "stopping: what is in work is ended" in ended.stderr


def test_ctrl_c_ends_what_is_in_work(slow: Desk) -> None:
    slow.produce(*(good(number, partition=number % 2) for number in range(60)))
    port = free_port()
    with slow.running("pids", "consume", "--json", "--metrics-port", port) as command:
        command.wait_for("metrics are served")
        wait_for(lambda: len(slow.handles()) > 4 * HANDLES, 60.0)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        command.send(signal.SIGINT)
        ended = command.ended()

    assert ended.code == 0, ended.stderr
    done = ended.document["messages"]
    assert 0 < done < 60
    assert slow.behind() == 60 - done
    assert len(slow.handles()) == HANDLES * done, "what was begun was ended and committed"
    assert "estinel_pids_in_flight" in metrics
    assert f'estinel_pids_lag{{partition="0",topic="{slow.topic}"}}' in metrics


def test_a_second_signal_interrupts_at_once(tmp_path: Path, cluster: KafkaCluster) -> None:
    with desk(tmp_path, cluster) as at:
        with at.running("pids", "consume") as command:
            command.wait_for("partition taken")
            at.app.hang_s = HANGS_S
            at.produce(good(1), good(2))
            wait_for(lambda: at.app.waiting > 0)
            command.send(signal.SIGINT)
            command.wait_for("stopping:")
            time.sleep(0.1)
            assert command.process.is_alive(), "it waits for what is in work"
            began = time.monotonic()
            command.send(signal.SIGTERM)
            ended = command.ended()
        took_s = time.monotonic() - began

        assert ended.code == 5, ended.stderr
        assert "estinel: aborted by the user" in ended.stderr
        assert took_s < HANGS_S / 3
        at.app.hang_s = 0.0
        assert at.behind() == 2
        assert at.pids("consume", "--max-messages", 2).code == 0


def test_a_killed_consumer_loses_nothing(slow: Desk, tmp_path: Path, cluster: KafkaCluster) -> None:
    messages = [good(number % 25, partition=number % 2, round=number) for number in range(40)]
    slow.produce(*messages)
    with slow.running("pids", "consume") as command:
        wait_for(lambda: len(slow.handles()) > 8 * HANDLES, 60.0)
        command.send(signal.SIGKILL)
        assert command.ended().code == -signal.SIGKILL

    left = slow.behind()
    assert left > 0
    ended = slow.pids("consume", "--max-messages", left)

    assert ended.code == 0, ended.stderr
    assert slow.behind() == 0
    by_reason = slow.pids("status", "--json").document["by_reason"]
    assert by_reason == {"none": 40}
    # Another group over the same messages, in one go, into another Handle server.
    clean = tmp_path / "clean"
    clean.mkdir()
    with desk(clean, cluster) as other:
        other.tables["consumer"]["topic"] = slow.topic
        other.tables["kafka"]["group.id"] = "clean"
        assert other.pids("consume", "--max-messages", 40).code == 0
        assert other.handles() == slow.handles()
