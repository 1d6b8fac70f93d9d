"""The stand-in for Kafka, and what can be asked of it without reading."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from estinel_assets.demo.kafka_broker import Produced, produce, running_kafka_broker
from estinel_assets.errors import BadInputError, EstinelError, PermanentError, RetryableError
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import lag, probe
from estinel_assets.pids.kafka_source import RangeSource
from tests.support.kafka import Told, group_options, take


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_kafka_broker({"one": 1, "three": 3}, brokers=2) as made:
        yield made


def test_messages_are_kept_by_another_process(address: str) -> None:
    assert address.count(":") == 2
    messages = [Produced(b"%d" % number, partition=number % 3) for number in range(9)]
    positions = produce(address, "three", messages)
    assert [(one.at.partition, one.offset) for one in positions] == [
        (number % 3, number // 3) for number in range(9)
    ]
    options = group_options(address, "group")
    before = lag(options, "three")
    assert [(one.at, one.committed, one.first, one.end) for one in before] == [
        (TopicPartition("three", number), None, 0, 3) for number in range(3)
    ]
    source = RangeSource(options, TopicPartition("three", 1), 0, 2)
    source.open(Told())
    assert [message.body for message in take(source, 3)] == [b"1", b"4", b"7"]
    source.commit({TopicPartition("three", 1): 3})
    source.close()
    assert [one.behind for one in lag(options, "three")] == [3, 0, 3]


def test_a_probe_says_whether_a_topic_can_be_read(address: str) -> None:
    options = group_options(address, "group")
    probe(options, "one")
    with pytest.raises(PermanentError, match=r"nowhere.*create the topic") as refused:
        probe(options, "nowhere")
    assert refused.value.reason == "kafka_refused"
    assert "very-secret" not in str(refused.value)
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1 fails.*Connection refused") as failed:
        probe(group_options("127.0.0.1:1", "group"), "one", timeout_s=0.2)
    assert failed.value.reason == "kafka_unavailable"
    with pytest.raises(BadInputError, match=r"group\.id"):
        probe({"bootstrap.servers": address}, "one")


def test_a_probe_says_so_where_the_login_is_refused(address: str) -> None:
    login = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"}
    secret = {"sasl.username": "somebody", "sasl.password": "very-secret"}
    with pytest.raises(PermanentError, match=r"sasl\.password") as refused:
        probe(group_options(address, "group") | login | secret, "one", timeout_s=20)
    assert "very-secret" not in str(refused.value)


def test_messages_that_cannot_be_written() -> None:
    with pytest.raises(EstinelError, match="1 of 1 messages were not written"):
        produce("127.0.0.1:1", "one", [Produced(b"1")], timeout_s=0.1)


@pytest.mark.parametrize("topic", ["one", "one=", "=1", "one=0"])
def test_topics_that_cannot_be_made(topic: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "estinel_assets.demo.kafka_broker", "--topic", topic],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert finished.returncode == 3
    assert "topic" in finished.stderr
    assert "Traceback" not in finished.stderr
