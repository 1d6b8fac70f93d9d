"""A consumer that is suspended for longer than Kafka and its leases wait, and then goes on."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.demo.kafka_broker import KafkaCluster
from tests.support.pid_commands import Desk, desk, good
from tests.support.pid_world import wait_for

ITEMS, ROUNDS = 10, 4
LEASE_S = 1.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as started:
        yield started


@pytest.fixture
def at(tmp_path: Path, cluster: KafkaCluster) -> Iterator[Desk]:
    with desk(tmp_path, cluster, partitions=2, latency_s=0.02) as opened:
        opened.tables["kafka"]["session.timeout.ms"] = 1000
        yield opened


def produce(at: Desk, rounds: range) -> None:
    """Each dataset is announced once a round."""
    at.produce(
        *(
            good(number, partition=number % 2, retracted=bool(turn % 2))
            for turn in rounds
            for number in range(ITEMS)
        )
    )


@pytest.mark.soak
def test_what_others_did_meanwhile_stays(at: Desk, tmp_path: Path, cluster: KafkaCluster) -> None:
    produce(at, range(ROUNDS))
    with pytest.MonkeyPatch.context() as patch:
        variables = {**at.variables, "ESTINEL_OUTCOMES_LEASE_TTL_S": str(LEASE_S)}
        patch.setattr(Desk, "variables", property(lambda _: variables))
        with at.running("pids", "consume") as suspended:
            wait_for(lambda: len(at.handles()) > ITEMS, 60.0)
            suspended.send(signal.SIGSTOP)
            left = at.behind()
            assert left > 0
            other = at.pids("consume", "--max-messages", left)
            assert other.code == 0, other.stderr
            produce(at, range(ROUNDS, ROUNDS + 1))
            newer = at.pids("consume", "--max-messages", ITEMS)
            assert newer.code == 0, newer.stderr
            assert at.behind() == 0
            before = at.handles()

            suspended.send(signal.SIGCONT)
            time.sleep(3)
            assert at.handles() == before
            assert at.behind() == 0
            produce(at, range(ROUNDS + 1, ROUNDS + 2))
            # It goes on, or ends because it has no lease any more: either way nothing is lost.
            wait_for(lambda: at.behind() == 0 or not suspended.process.is_alive(), 30.0)
            if at.behind():
                assert at.pids("consume", "--max-messages", at.behind()).code == 0
    assert at.behind() == 0
    clean = tmp_path / "clean"
    clean.mkdir()
    with desk(clean, cluster) as one:
        one.tables["consumer"]["topic"] = at.topic
        one.tables["kafka"]["group.id"] = "clean"
        assert one.pids("consume", "--max-messages", ITEMS * (ROUNDS + 2)).code == 0
        assert one.handles() == at.handles()
