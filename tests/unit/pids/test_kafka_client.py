"""Options of Kafka, and what is logged of it."""

import logging

import pytest
from confluent_kafka import KafkaError

from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.pids.kafka_client import KafkaClient, KafkaOption, check_options

GOOD: dict[str, KafkaOption] = {
    "bootstrap.servers": "a.example.org:9092, [::1]:9093",
    "group.id": "group",
    "enable.auto.commit": True,
    "session.timeout.ms": 45000,
}


def test_options_of_librdkafka_are_taken() -> None:
    check_options(GOOD)
    login = {"sasl.username": "somebody", "sasl.password": "secret"}
    check_options(GOOD | login | {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"})


def test_everything_that_is_wrong_is_said_at_once_and_no_secret() -> None:
    with pytest.raises(BadInputError) as caught:
        check_options(
            {
                "bootstrap.servers": "a.example.org:x,b:9092",
                "group.id": " ",
                "foo.bar": 1,
                "session.timeout.ms": "hidden",
                "auto.offset.reset": "never",
                "check.crcs": "maybe",
                "error_cb": "f",
                "sasl.password": "never",
                "auto": {"offset": 1},  # type: ignore[dict-item]
            }
        )
    said = str(caught.value)
    for problem in (
        "group.id is missing",
        '"a.example.org:x" is no host:port',
        'No such configuration property: "foo.bar"',
        'configuration property "session.timeout.ms"',
        'configuration property "auto.offset.reset"',
        'Expected bool value for "check.crcs"',
        "error_cb",
        "auto is neither text, number nor true or false",
    ):
        assert problem in said, problem
    assert "b:9092" not in said
    assert "never" not in said, "the password happens to be the same"


def test_options_that_contradict_each_other() -> None:
    with pytest.raises(BadInputError, match=r"max\.poll\.interval\.ms"):
        check_options(GOOD | {"max.poll.interval.ms": 1000})


def test_nothing_is_needed_but_servers_and_group() -> None:
    with pytest.raises(BadInputError, match=r"group\.id is missing.*bootstrap\.servers is missing"):
        check_options({})


def test_a_trouble_is_logged_once_a_minute_and_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = KafkaClient(
        {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "sasl.password": "s3cret"}
    )
    with caplog.at_level(logging.DEBUG, "estinel_assets.pids.kafka_client"):
        for attempt in range(3):
            client.note(f"127.0.0.1:1: refused {attempt} times, with s3cret")
        client.note("something else")
    client.close()
    # librdkafka may complain by itself, too.
    ours = [record for record in caplog.records if "FAIL" not in record.getMessage()]
    levels = [record.levelname for record in ours]
    assert levels == ["WARNING", "DEBUG", "DEBUG", "WARNING"]
    assert "s3cret" not in caplog.text


def test_errors_in_our_words() -> None:
    client = KafkaClient(
        {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "sasl.password": "s3cret"}
    )
    refused = client.failure(KafkaError(KafkaError._AUTHENTICATION, "no s3cret"), "it")
    failed = client.failure(KafkaError(KafkaError._TRANSPORT, "s3cret"), "it")
    client.close()
    assert isinstance(refused, PermanentError)
    assert "sasl.password" in str(refused)
    assert isinstance(failed, RetryableError)
    for error in (refused, failed):
        assert "127.0.0.1:1" in str(error)
        assert "s3cret" not in str(error)
