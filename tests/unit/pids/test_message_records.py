"""A message and what its outcome keeps of it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_records import (
    bytes_of,
    describe_message,
    fingerprint,
    message_of,
    unit_of_body,
)
from tests.support.outcomes import outcome
from tests.support.pid_messages import messages

UNIT = ("cmip6", "0", "17")


def kept(message: IncomingMessage) -> Outcome:
    """The outcome of a message, as it comes out of a store."""
    detail = {"message": describe_message(message), "retries": message.retries}
    record = outcome(*message.unit, reason="oven_cold", detail=detail)
    return Outcome.model_validate_json(record.model_dump_json())


@given(messages())
def test_nothing_of_a_message_is_lost(message: IncomingMessage) -> None:
    assert message_of(kept(message)) == message


def test_bytes_are_text_where_they_can_be() -> None:
    message = IncomingMessage(
        UNIT,
        b'{"a": "\xc3\xa9"}',
        key=b"\xff\x00",
        headers=(("h", b"v"), ("h", None)),
        received_at=datetime(2025, 8, 1, 15, 15, 12, 441000, tzinfo=UTC),
    )

    assert describe_message(message) == {
        "key": {"base64": "/wA="},
        "headers": [["h", "v"], ["h", None]],
        "time": "2025-08-01T15:15:12.441000+00:00",
        "body": '{"a": "é"}',
    }
    assert json.loads(json.dumps(describe_message(message))) == describe_message(message)


def test_times_of_other_zones_are_the_same_time() -> None:
    time = datetime(2025, 8, 1, 12, tzinfo=timezone(timedelta(hours=9, minutes=30)))
    message = IncomingMessage(UNIT, b"", received_at=time)
    assert message_of(kept(message)) == message


def test_an_outcome_without_its_message_has_none() -> None:
    assert message_of(outcome(*UNIT)) is None


def test_a_message_never_tried_again_has_no_retries() -> None:
    detail = {"message": describe_message(IncomingMessage(UNIT, None))}
    assert message_of(outcome(*UNIT, detail=detail)) == IncomingMessage(UNIT, None)


def test_what_tells_a_body_from_others() -> None:
    digest = sha256(b"abc").hexdigest()
    assert fingerprint(IncomingMessage(UNIT, b"abc")) == digest
    assert fingerprint(IncomingMessage(UNIT, None)) == sha256(b"").hexdigest()
    assert unit_of_body(b"abc") == ("files", digest)


@pytest.mark.parametrize("damaged", [{"base64": 1}, {}, 5])
def test_what_was_never_bytes_is_refused(damaged) -> None:
    with pytest.raises(ValueError, match="base64"):
        bytes_of(damaged)
