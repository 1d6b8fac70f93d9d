"""`estinel pids status`: the lag of a group, who works, and how messages ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.cli import pids_status
from estinel_assets.demo.kafka_broker import KafkaCluster
from estinel_assets.pids.claims import DAGSTER, PartitionClaims
from estinel_assets.storage.opening import open_store
from tests.support.pid_commands import GROUP, Desk, bad, desk, good
from tests.support.web_server import free_port


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as started:
        yield started


@pytest.fixture
def at(tmp_path: Path, cluster: KafkaCluster) -> Iterator[Desk]:
    with desk(tmp_path, cluster, partitions=2) as opened:
        opened.produce(good(1), bad(), good(2, partition=1))
        yield opened


def test_before_anything_was_done(at: Desk) -> None:
    document = at.pids("status", "--json").document

    assert document["behind"] == 3
    assert (document["topic"], document["group"]) == (at.topic, GROUP)
    first, second = document["partitions"]
    assert (first["committed"], first["end"], first["behind"]) == (None, 2, 2)
    assert (second["partition"], second["behind"], second["holder"]) == (1, 1, None)
    assert (document["messages"], document["by_reason"]) == (0, {})


def test_what_was_done(at: Desk) -> None:
    assert at.pids("consume", "--max-messages", 3).code == 1

    ended = at.pids("status", "--json")

    assert ended.code == 0, ended.stderr
    document = ended.document
    assert document["behind"] == 0
    assert [one["committed"] for one in document["partitions"]] == [2, 1]
    assert document["by_reason"] == {"none": 2, "invalid_message": 1}
    assert (document["last_hour"], document["last_day"]) == (3, 3)
    told = at.pids("status").stdout
    assert f"{at.topic}, group {GROUP}: 0 messages behind." in told
    assert "3 messages ended; in the last hour 3, day 3." in told


def test_who_works_on_a_partition(at: Desk) -> None:
    store = open_store(f"file://{at.folder}/store")
    claims = PartitionClaims(store, GROUP, f"{DAGSTER} 4711", 60.0)
    claims.take(at.at(1), wait_s=0.0)
    try:
        found = at.pids("status")
    finally:
        claims.release_all()

    assert [one.split()[-1] for one in found.stdout.splitlines() if "4711" in one] == ["4711"]
    holders = [one["holder"] for one in at.pids("status", "--json").document["partitions"]]
    assert holders == [None, None]


def test_kafka_that_does_not_answer(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pids_status, "TIMEOUT_S", 0.5)
    assert at.pids("consume", "--max-messages", 3).code == 1
    at.tables["kafka"]["bootstrap.servers"] = f"127.0.0.1:{free_port()}"

    ended = at.pids("status", "--json")

    assert ended.code == 2
    document = ended.document
    assert document["by_reason"] == {"none": 2, "invalid_message": 1}
    assert document["behind"] is None
    assert document["kafka_error"]["reason"] == "kafka_unavailable"
    assert document["kafka_error"]["message"] in ended.stderr
    told = at.pids("status").stdout
    assert "Kafka does not tell how far it is behind" in told
    assert "invalid_message" in told


def test_without_kafka_there_is_no_status(at: Desk) -> None:
    at.tables["kafka"] = {}

    ended = at.pids("status")

    assert ended.code == 3
    assert "kafka.bootstrap.servers" in ended.stderr
