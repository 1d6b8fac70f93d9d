"""The retry policy, with an invented clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.settings import TransportSettings
from estinel_assets.transport import (
    AnswerTimeoutError,
    ConnectionLostError,
    CorruptAnswerError,
    HttpStatusError,
    RequestsTransport,
    RetryPolicy,
    retry_after_s,
    server_message,
)
from estinel_assets.transport.httpx_transport import HttpxTransport

START = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)


@dataclass
class Time:
    """A clock that only sleeping and working move."""

    seconds: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def policy(self, uniform: Callable[[], float] = lambda: 1.0, **changes: float) -> RetryPolicy:
        values = {"attempts": 5, "backoff_s": 0.5, "backoff_max_s": 4.0, "deadline_s": 60.0}
        return RetryPolicy(
            **{**values, **changes},
            sleep=self.sleep,
            clock=lambda: self.seconds,
            now=lambda: START + timedelta(seconds=self.seconds),
            uniform=uniform,
        )


@dataclass
class Tries:
    """A request whose tries end as listed; the rest succeed."""

    endings: list[Exception]
    made: int = 0
    time: Time | None = None
    takes_s: float = 0.0
    allowed_s: list[float] = field(default_factory=list)

    def __call__(self, remaining_s: float) -> str:
        self.allowed_s.append(remaining_s)
        self.made += 1
        if self.time is not None:
            self.time.seconds += self.takes_s
        if self.made <= len(self.endings):
            raise self.endings[self.made - 1]
        return "answer"


TRANSIENT = [
    HttpStatusError(429),
    HttpStatusError(408),
    HttpStatusError(500),
    HttpStatusError(502),
    HttpStatusError(503),
    HttpStatusError(504),
    HttpStatusError(599),
    ConnectionLostError("reset"),
    AnswerTimeoutError("slow"),
    CorruptAnswerError("half a page"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=str)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    time, tries = Time(), Tries([error, error])
    assert time.policy().run(tries, what="GET x") == "answer"
    assert tries.made == 3
    assert time.pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (HttpStatusError(429), SourceFault.UNAVAILABLE),
        (HttpStatusError(503), SourceFault.UNAVAILABLE),
        (HttpStatusError(504), SourceFault.TIMEOUT),
        (ConnectionLostError("reset"), SourceFault.UNAVAILABLE),
        (AnswerTimeoutError("slow"), SourceFault.TIMEOUT),
        (CorruptAnswerError("half a page"), SourceFault.CORRUPT),
    ],
    ids=str,
)
def test_what_never_passes_is_retryable_in_the_end(error: Exception, fault: SourceFault) -> None:
    tries = Tries([error] * 9)
    with pytest.raises(RetryableError, match="POST x failed after 5 tries") as raised:
        Time().policy().run(tries, what="POST x")
    assert raised.value.reason == fault
    assert tries.made == 5


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, SourceFault.UNAVAILABLE),
        (401, SourceFault.FORBIDDEN),
        (403, SourceFault.FORBIDDEN),
        (404, SourceFault.NOT_FOUND),
        (410, SourceFault.NOT_FOUND),
        (405, SourceFault.UNAVAILABLE),
        (303, SourceFault.UNAVAILABLE),
    ],
)
def test_what_would_be_the_same_again_is_tried_once(status: int, fault: SourceFault) -> None:
    time, tries = Time(), Tries([HttpStatusError(status, message="no such field")])
    with pytest.raises(PermanentError, match=f"{status} \\(no such field\\)") as raised:
        time.policy().run(tries, what="GET x")
    assert (raised.value.reason, tries.made, time.pauses) == (fault, 1, [])


def test_a_forbidden_signed_address_is_worth_another_attempt() -> None:
    with pytest.raises(RetryableError, match="signature may have expired") as raised:
        Time().policy().run(Tries([HttpStatusError(403)]), what="GET x", signed=True)
    assert raised.value.reason == SourceFault.FORBIDDEN


def test_a_status_handed_back_is_raised_at_once() -> None:
    time, tries = Time(), Tries([HttpStatusError(503), HttpStatusError(502)])
    with pytest.raises(HttpStatusError) as raised:
        time.policy().run(tries, what="POST x", hand_back=frozenset({502}))
    assert (raised.value.status, tries.made) == (502, 2)


def test_a_bug_is_not_retried_and_not_translated() -> None:
    tries = Tries([KeyError("bug")])
    with pytest.raises(KeyError):
        Time().policy().run(tries, what="GET x")
    assert tries.made == 1


def test_retry_after_makes_the_pause_longer_in_seconds_and_as_a_date() -> None:
    time = Time()
    date = format_datetime(START + timedelta(seconds=20), usegmt=True)
    tries = Tries([HttpStatusError(429, "7"), HttpStatusError(503, date)])
    assert time.policy().run(tries, what="GET x") == "answer"
    assert time.pauses == [7.0, 13.0]


def test_retry_after_never_makes_the_pause_shorter() -> None:
    time = Time()
    time.policy().run(Tries([HttpStatusError(429, "0")]), what="GET x")
    assert time.pauses == [0.5]


def test_a_server_that_asks_to_wait_beyond_the_deadline_is_not_waited_for() -> None:
    time, tries = Time(), Tries([HttpStatusError(429, "61")])
    with pytest.raises(RetryableError):
        time.policy().run(tries, what="GET x")
    assert (tries.made, time.pauses) == (1, [])


def test_each_try_learns_how_long_it_may_take() -> None:
    time = Time()
    tries = Tries([AnswerTimeoutError("slow")] * 9, time=time, takes_s=25.0)
    with pytest.raises(RetryableError):
        time.policy().run(tries, what="GET x")
    assert tries.allowed_s == [60.0, 34.5, 8.5]


@settings(deadline=None)
@given(
    uniforms=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30),
    attempts=st.integers(1, 200),
    backoff_s=st.floats(0, 10),
    backoff_max_s=st.floats(0, 20),
    deadline_s=st.floats(0.1, 100),
    waits=st.lists(st.one_of(st.none(), st.integers(0, 200)), max_size=20),
)
def test_pauses_keep_their_bounds_and_the_deadline(
    uniforms: list[float],
    attempts: int,
    backoff_s: float,
    backoff_max_s: float,
    deadline_s: float,
    waits: list[int | None],
) -> None:
    time = Time()
    draws = iter(uniforms * 200)
    policy = time.policy(
        lambda: next(draws),
        attempts=attempts,
        backoff_s=backoff_s,
        backoff_max_s=backoff_max_s,
        deadline_s=deadline_s,
    )
    asked = [None if wait is None else str(wait) for wait in waits] + [None] * 200
    tries = Tries([HttpStatusError(503, wait) for wait in asked])
    with pytest.raises(RetryableError):
        policy.run(tries, what="GET x")
    assert tries.made <= attempts
    assert sum(time.pauses) < deadline_s
    for number, pause in enumerate(time.pauses):
        ours = min(backoff_max_s, backoff_s * 2.0**number)
        theirs = float(asked[number] or 0)
        assert theirs <= pause <= max(ours, theirs)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("Fri, 17 May 2024 12:01:00 GMT", 60.0),
        ("Fri, 17 May 2024 11:00:00 GMT", 0.0),
        ("Fri, 17 May 2024 14:01:00 +0200", 60.0),
        ("Fri, 17 May 2024 12:01:00 -0000", 60.0),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, now=START) == seconds


@settings(deadline=None)
@given(st.text())
def test_any_retry_after_is_a_number_or_nothing(header: str) -> None:
    seconds = retry_after_s(header, now=START)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        ('{"code": "BadRequest", "description": "bad  bbox"}', "application/json", "bad bbox"),
        ('{"detail": [{"loc": 1}]}', "application/json", ""),
        ('{"errors": [{"path": 1}, "no such id"]}', "application/json", "no such id"),
        ('{"errors": "none"}', "application/json", ""),
        ("<h1>Oops</h1>", "", ""),
        ("Oops", "text/html; charset=utf-8", ""),
        ("see https://a.b/c?sig=secret#x now", "text/plain", "see https://a.b/c now"),
        ("x" * 500, "text/plain", "x" * 199 + "…"),
        ("", "", ""),
    ],
)
def test_a_servers_message_is_short_and_keeps_secrets(
    body: str, content_type: str, message: str
) -> None:
    assert server_message(body, content_type) == message


def test_settings_make_the_policy() -> None:
    policy = RetryPolicy.from_settings(TransportSettings(attempts=3, deadline_s=9))
    assert (policy.attempts, policy.backoff_s, policy.deadline_s) == (3, 0.5, 9)


@pytest.mark.parametrize("adapter", [RequestsTransport, HttpxTransport])
def test_settings_make_the_transports(adapter: type[RequestsTransport | HttpxTransport]) -> None:
    transport = adapter.from_settings(TransportSettings(attempts=3, deadline_s=9))
    assert (transport.policy.attempts, transport.policy.deadline_s) == (3, 9)
    transport.close()
