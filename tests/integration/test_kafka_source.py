"""Kafka's troubles, as a source of messages gets by with them or tells of them."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError

from estinel_assets.demo.kafka_broker import KafkaCluster, Produced, produce
from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.pids.incoming import Position, TopicPartition
from estinel_assets.pids.kafka_client import KafkaOption
from estinel_assets.pids.kafka_lag import lag
from estinel_assets.pids.kafka_source import GroupSource, RangeSource
from tests.support.kafka import PATIENCE_S, Api, Faults, Told, consume, group_options, take

COUNT = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as made:
        yield made


@pytest.fixture
def faults(cluster: KafkaCluster) -> Iterator[Faults]:
    made = Faults(cluster)
    yield made
    for request in Api:
        made.clear(request)


@pytest.fixture
def topic(cluster: KafkaCluster) -> str:
    name = f"topic-{uuid4()}"
    cluster.create(name, 2)
    _produce(cluster, name)
    return name


@pytest.fixture
def options(cluster: KafkaCluster, topic: str) -> dict[str, KafkaOption]:
    return group_options(cluster.address, f"group-{topic}")


@pytest.fixture
def source(options: dict[str, KafkaOption], topic: str) -> Iterator[GroupSource]:
    made = GroupSource(options, topic, patience_s=0.5)
    yield made
    made.close()


def _produce(cluster: KafkaCluster, topic: str) -> list[Position]:
    return produce(
        cluster.address, topic, [Produced(b"%d" % i, partition=i % 2) for i in range(COUNT)]
    )


def _committed(options: dict[str, KafkaOption], topic: str) -> list[int | None]:
    return [one.committed for one in lag(options, topic)]


# --- commits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._TRANSPORT,
    ],
)
def test_a_commit_is_tried_again(
    source: GroupSource, faults: Faults, options: dict[str, KafkaOption], topic: str, code: int
) -> None:
    source.open(Told())
    take(source, COUNT)
    faults.fail(Api.OFFSET_COMMIT, code, code)
    source.commit({TopicPartition(topic, 0): 3})
    assert _committed(options, topic) == [3, None]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (KafkaError.UNKNOWN_MEMBER_ID, RetryableError, "dealt out anew"),
        (KafkaError.ILLEGAL_GENERATION, RetryableError, "dealt out anew"),
        (KafkaError.REBALANCE_IN_PROGRESS, RetryableError, "dealt out anew"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, PermanentError, "let the user read"),
    ],
)
def test_a_commit_that_is_refused(
    source: GroupSource,
    faults: Faults,
    options: dict[str, KafkaOption],
    topic: str,
    code: int,
    kind: type[RetryableError | PermanentError],
    said: str,
) -> None:
    source.open(Told())
    take(source, COUNT)
    faults.fail(Api.OFFSET_COMMIT, code)
    with pytest.raises(kind, match=said) as caught:
        source.commit({TopicPartition(topic, 0): 3})
    word = "kafka_unavailable" if kind is RetryableError else "kafka_refused"
    assert caught.value.reason == word
    assert _committed(options, topic) == [None, None]


def test_a_client_that_cannot_go_on_is_closed_without_waiting(
    source: GroupSource, faults: Faults, topic: str
) -> None:
    told = Told()
    source.open(told)
    take(source, COUNT)
    faults.fail(Api.OFFSET_COMMIT, KafkaError.FENCED_INSTANCE_ID)
    with pytest.raises(PermanentError, match=r"group\.instance\.id"):
        source.commit({TopicPartition(topic, 0): 3})
    with pytest.raises(RetryableError, match="cannot go on") as caught:
        take(source, 1)
    assert caught.value.reason == "kafka_unavailable"
    source.close()
    assert told.words == ["assigned", "lost"]


# --- refusals ----------------------------------------------------------------------------------


def test_an_unknown_topic(options: dict[str, KafkaOption], cluster: KafkaCluster) -> None:
    source = GroupSource(options, "nowhere")
    source.open(Told())
    with pytest.raises(PermanentError, match=r"nowhere.*create the topic") as caught:
        take(source, 1)
    assert cluster.address in str(caught.value)
    assert caught.value.reason == "kafka_refused"
    source.close()


@pytest.mark.parametrize("request_", [Api.FIND_COORDINATOR, Api.JOIN_GROUP])
def test_a_group_that_may_not_be_joined(source: GroupSource, faults: Faults, request_: Api) -> None:
    faults.fail(request_, *[KafkaError.GROUP_AUTHORIZATION_FAILED] * 3)
    source.open(Told())
    with pytest.raises(PermanentError, match="let the user read the topic and the group"):
        take(source, 1)


def test_a_topic_that_may_not_be_read(source: GroupSource, faults: Faults, topic: str) -> None:
    faults.refuse(topic, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    source.open(Told())
    with pytest.raises(PermanentError, match="let the user read the topic and the group"):
        take(source, 1)


def test_a_partition_that_does_not_exist(options: dict[str, KafkaOption], topic: str) -> None:
    source = RangeSource(options, TopicPartition(topic, 7), 0, 1)
    source.open(Told())
    with pytest.raises(PermanentError, match=r"/7 cannot be read.*name a partition") as caught:
        take(source, 1)
    assert caught.value.reason == "kafka_refused"
    source.close()


def test_a_login_that_brokers_do_not_take(options: dict[str, KafkaOption], topic: str) -> None:
    login: dict[str, KafkaOption] = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "somebody",
        "sasl.password": "very-secret",
    }
    source = GroupSource(options | login, topic)
    source.open(Told())
    with pytest.raises(PermanentError, match=r"check security\.protocol") as caught:
        take(source, 1)
    assert "very-secret" not in str(caught.value)
    source.close()


def test_offsets_that_are_gone_where_nobody_says_how_to_go_on(
    options: dict[str, KafkaOption], topic: str
) -> None:
    source = GroupSource(options | {"auto.offset.reset": "error"}, topic)
    source.open(Told())
    with pytest.raises(PermanentError, match=r"set auto\.offset\.reset"):
        take(source, 1)
    source.close()


def test_a_source_that_is_not_open(options: dict[str, KafkaOption], topic: str) -> None:
    source = GroupSource(options, topic)
    with pytest.raises(BadInputError, match="not open"):
        source.poll(1, 0)
    source.close()
    with pytest.raises(BadInputError, match="5 to 4 is no range"):
        RangeSource(options, TopicPartition(topic, 0), 5, 4)


# --- brokers that are away ---------------------------------------------------------------------


def test_brokers_that_are_away_for_too_long(
    source: GroupSource, faults: Faults, cluster: KafkaCluster, topic: str
) -> None:
    source.open(Told())
    take(source, COUNT)
    with faults.brokers_down():
        began = time.monotonic()
        with pytest.raises(RetryableError, match=cluster.address) as caught:
            take(source, 1)
        assert time.monotonic() - began > 0.5
    assert caught.value.reason == "kafka_unavailable"
    assert "Connection refused" in str(caught.value)
    _produce(cluster, topic)
    assert len(take(source, COUNT)) >= COUNT


def test_brokers_that_come_back_in_time(
    options: dict[str, KafkaOption], faults: Faults, cluster: KafkaCluster, topic: str
) -> None:
    source, told = GroupSource(options, topic), Told()
    source.open(told)
    take(source, COUNT)
    with faults.brokers_down():
        for _ in range(5):
            assert source.poll(10, 0.05) == []
    _produce(cluster, topic)
    assert len(take(source, COUNT)) == COUNT
    source.commit({TopicPartition(topic, 0): COUNT})
    assert told.words == ["assigned"]
    source.close()


def test_there_is_no_broker(topic: str) -> None:
    source = GroupSource(group_options("127.0.0.1:1", "group"), topic, patience_s=0.2)
    source.open(Told())
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1 fails"):
        take(source, 1)
    source.close()


def test_silence_is_no_fault_while_brokers_answer(source: GroupSource) -> None:
    told = Told()
    source.open(told)
    take(source, COUNT)
    began = time.monotonic()
    while time.monotonic() - began < 0.8:
        assert source.poll(10, 0.1) == []
    assert told.words == ["assigned"]


# --- messages that are gone --------------------------------------------------------------------


def test_a_group_that_is_too_late(
    source: GroupSource,
    options: dict[str, KafkaOption],
    faults: Faults,
    cluster: KafkaCluster,
    topic: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    at = TopicPartition(topic, 0)
    with caplog.at_level(logging.WARNING, "estinel_assets.pids.kafka_gaps"):
        source.open(Told())
        take(source, COUNT)
        source.commit({at: 1, TopicPartition(topic, 1): 4})
        source.close()
        faults.remove_before(at, 3)
        (standing, _) = lag(options, topic)
        assert (standing.committed, standing.next, standing.behind, standing.expired) == (
            1,
            3,
            1,
            2,
        )
        assert not caplog.records
        source.open(Told())
        (message,) = take(source, 1)
    assert message.unit == (topic, "0", "3")
    (warning,) = [one for one in caplog.records if one.name.endswith("kafka_gaps")]
    assert f"{topic}/0: 2 offsets are missing, from 1 on" in warning.getMessage()


def test_a_topic_that_was_made_anew(
    source: GroupSource,
    options: dict[str, KafkaOption],
    topic: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ahead = RangeSource(options, TopicPartition(topic, 0), 0, 3)
    ahead.open(Told())
    take(ahead, 4)
    ahead.commit({TopicPartition(topic, 0): 90})
    ahead.close()
    source.open(Told())
    take(source, COUNT)
    assert "offset 0 comes where 90 was to come" in caplog.text


# --- members -----------------------------------------------------------------------------------


def test_an_error_of_the_listener_comes_through(
    options: dict[str, KafkaOption], topic: str
) -> None:
    class Failing(Told):
        def assigned(self, partitions: Sequence[TopicPartition]) -> None:
            super().assigned(partitions)
            raise KeyError("no lease")

        def revoked(self, partitions: Sequence[TopicPartition]) -> None:
            super().revoked(partitions)
            raise KeyError("no store")

    source, told = GroupSource(options, topic), Failing()
    source.open(told)
    with pytest.raises(KeyError, match="no lease"):
        take(source, 1)
    with pytest.raises(KeyError, match="no store"):
        source.close()
    source.close()
    assert told.words == ["assigned", "revoked"]


def test_a_range_of_a_group_that_has_members(
    source: GroupSource, options: dict[str, KafkaOption], topic: str
) -> None:
    source.open(Told())
    take(source, COUNT)
    at = TopicPartition(topic, 0)
    some = RangeSource(options, at, 0, 1)
    some.open(Told())
    assert [message.unit[2] for message in take(some, 2)] == ["0", "1"]
    with pytest.raises(RetryableError, match=r"while the group .* has members"):
        some.commit({at: 2})
    some.close()
    assert _committed(options, topic) == [None, None]


# Every day, consumers of a group are killed in `test_pid_crashes`.
@pytest.mark.soak
def test_partitions_of_a_killed_process_move_to_the_other(cluster: KafkaCluster) -> None:
    name = f"topic-{uuid4()}"
    cluster.create(name, 4)
    # The last one bounds how long a member waits for the others to join.
    options = group_options(
        cluster.address, f"group-{name}", session_timeout_ms=1000, max_poll_interval_ms=2000
    )
    taken: list[Position] = []
    with _member(options, name) as killed, _member(options, name) as left:
        expected = _produce(cluster, name)
        _hear([killed, left], taken, expected)
        assert killed.process.pid is not None
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.join()
        expected += _produce(cluster, name)
        _hear([left], taken, expected)


@dataclass
class _Member:
    process: ForkServerProcess
    receiver: Connection
    own: list[TopicPartition] = field(default_factory=list)


@contextmanager
def _member(options: dict[str, KafkaOption], topic: str) -> Iterator[_Member]:
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=consume, args=(options, topic, sender), daemon=True)
    process.start()
    sender.close()
    with receiver:
        yield _Member(process, receiver)
        process.kill()
        process.join()


def _hear(members: list[_Member], taken: list[Position], expected: list[Position]) -> None:
    """Wait until each of them has a share, all of the topic is shared, and all came."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for member in members:
            while member.receiver.poll():
                member.own, more = member.receiver.recv()
                taken += more
        shares = [at for member in members for at in member.own]
        shared = all(member.own for member in members) and len(set(shares)) == len(shares) == 4
        if shared and set(expected) <= set(taken):
            return
        assert time.monotonic() < deadline, (shares, len(set(expected) - set(taken)))
        time.sleep(0.01)
