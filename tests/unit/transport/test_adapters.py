"""What every transport does over real sockets, whichever library it stands on."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

from estinel_assets.errors import (
    BadInputError,
    PermanentError,
    RetryableError,
    SourceFault,
    UnitError,
)
from estinel_assets.transport import (
    CorruptAnswerError,
    HttpStatusError,
    RequestsTransport,
    RetryPolicy,
)
from estinel_assets.transport.httpx_transport import HttpxTransport
from estinel_assets.transport.plain_transport import PlainAnswer, PlainTransport
from tests.support.asgi import serve_asgi
from tests.support.replay import Answer, ScriptedServer


def no_pauses() -> RetryPolicy:
    return RetryPolicy(
        attempts=3, backoff_s=0.0, backoff_max_s=0.0, deadline_s=60.0, sleep=lambda _: None
    )


class Requests:
    """`RequestsTransport`, asked as all transports are asked here."""

    def __init__(self, timeout_s: float) -> None:
        self._transport = RequestsTransport(no_pauses(), timeout_s=timeout_s)
        self.close = self._transport.close

    def send(self, method: str, url: str, *, json: object = None, **more: Any) -> Any:
        request = requests.Request(method, url, json=json)
        return self._transport.send(request, **more).json()


class Httpx:
    """`HttpxTransport`, asked the same way."""

    def __init__(self, timeout_s: float) -> None:
        self._transport = HttpxTransport(no_pauses(), timeout_s=timeout_s)
        self.close = self._transport.close

    def send(self, method: str, url: str, *, json: object = None, **more: Any) -> Any:
        return self._transport.send(method, url, json=json, **more).json()


class Plain:
    """`PlainTransport`, asked the same way."""

    def __init__(self, timeout_s: float) -> None:
        self._transport = PlainTransport(no_pauses(), timeout_s=timeout_s)
        self.close = self._transport.close

    def send(self, method: str, url: str, *, json: object = None, **more: Any) -> Any:
        return self._transport.send(method, url, json=json, **more).json()


Adapter = type[Requests | Httpx | Plain]


@pytest.fixture(params=[Requests, Httpx, Plain], ids=["requests", "httpx", "plain"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    kind: Adapter = request.param
    return kind


Ask = Callable[..., Any]


@pytest.fixture
def ask(adapter: Adapter) -> Ask:
    def one_request(
        url: str, *, method: str = "POST", timeout_s: float = 5.0, **more: Any
    ) -> object:
        transport = adapter(timeout_s)
        try:
            body = {"limit": 1} if method == "POST" else None
            return transport.send(method, url, json=body, **more)
        finally:
            transport.close()

    return one_request


def test_a_post_is_sent_again_with_its_body(ask: Ask) -> None:
    tries: list[str] = []
    with ScriptedServer(Answer(503), Answer(reset=True), Answer.json({"answer": 42})) as server:
        assert ask(server.url, on_try=lambda: tries.append("try")) == {"answer": 42}
        assert [request.body for request in server.requests] == [{"limit": 1}] * 3
    assert len(tries) == 3


@pytest.mark.parametrize(
    ("answer", "fault", "words"),
    [
        (Answer(reset=True), SourceFault.UNAVAILABLE, "Connection reset by peer"),
        (Answer(body=b'{"a": 1}', cut=True), SourceFault.UNAVAILABLE, "connection failed"),
        (Answer.json({"message": "too many"}, 429), SourceFault.UNAVAILABLE, "429 \\(too many\\)"),
    ],
    ids=["reset", "cut", "429"],
)
def test_faults_on_the_wire_are_retried(
    ask: Ask, answer: Answer, fault: SourceFault, words: str
) -> None:
    with ScriptedServer(answer) as server:
        with pytest.raises(RetryableError, match=words) as raised:
            ask(server.url)
        assert len(server.requests) == 3
    assert raised.value.reason == fault


def test_a_damaged_compression_is_retried(ask: Ask) -> None:
    damaged = Answer(200, b"no gzip at all", {"Content-Encoding": "gzip"})
    with ScriptedServer(damaged, Answer.json([1])) as server:
        assert ask(server.url) == [1]


def test_the_pause_that_a_server_asks_for_is_kept(adapter: Adapter) -> None:
    pauses: list[float] = []
    transport = adapter(5.0)
    transport._transport.policy = RetryPolicy(
        attempts=2, backoff_s=0.0, backoff_max_s=0.0, deadline_s=60.0, sleep=pauses.append
    )
    with ScriptedServer(Answer(429, headers={"Retry-After": "7"}), Answer.json([1])) as server:
        assert transport.send("GET", server.url) == [1]
    transport.close()
    assert pauses == [7.0]


def test_silence_is_a_timeout(ask: Ask) -> None:
    with ScriptedServer(Answer(hang=True)) as server:
        with pytest.raises(RetryableError, match=r"no answer within 0\.1 s") as raised:
            ask(server.url, timeout_s=0.1)
        assert len(server.requests) == 3
    assert raised.value.reason == SourceFault.TIMEOUT


def test_a_body_that_stops_in_the_middle_is_a_timeout(ask: Ask) -> None:
    with ScriptedServer(Answer(body=b"x" * 1000, stall=True)) as server:
        with pytest.raises(RetryableError, match=r"no whole answer within 0\.1 s") as raised:
            ask(server.url, timeout_s=0.1)
        assert len(server.requests) == 3
    assert raised.value.reason == SourceFault.TIMEOUT


def test_nobody_listening_is_unavailable(ask: Ask) -> None:
    with ScriptedServer(Answer()) as server:
        url = server.url
    with pytest.raises(RetryableError, match="Connection refused") as raised:
        ask(url)
    assert raised.value.reason == SourceFault.UNAVAILABLE


def test_a_redirected_post_is_refused_and_a_redirected_get_followed(ask: Ask) -> None:
    moved = Answer(302, headers={"Location": "/new"})
    with ScriptedServer(moved) as server, pytest.raises(PermanentError, match="302"):
        ask(server.url)
    with ScriptedServer(moved, Answer.json([1])) as server:
        assert ask(server.url, method="GET") == [1]
    with ScriptedServer(moved) as server, pytest.raises(PermanentError, match="in circles"):
        ask(server.url, method="GET")


def test_a_status_that_the_caller_deals_with_comes_back_at_once(ask: Ask) -> None:
    with ScriptedServer(Answer(502)) as server:
        with pytest.raises(HttpStatusError) as raised:
            ask(server.url, hand_back=frozenset({502}))
        assert len(server.requests) == 1
    assert raised.value.status == 502


def test_a_forbidden_signed_address_may_be_tried_another_time(ask: Ask) -> None:
    with ScriptedServer(Answer(403)) as server:
        with pytest.raises(RetryableError, match="signature"):
            ask(server.url, signed=True)
        with pytest.raises(PermanentError, match="access rights"):
            ask(server.url)


@pytest.mark.parametrize(
    "url", ["htp://a.b/c?sig=secret", "//a.b?sig=secret", "http://?sig=secret"]
)
def test_an_address_that_cannot_be_asked_is_bad_input(ask: Ask, url: str) -> None:
    with pytest.raises(BadInputError, match="check the address") as raised:
        ask(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(403), Answer(reset=True), Answer(hang=True), Answer(302)],
    ids=["500", "403", "reset", "timeout", "302"],
)
def test_no_message_shows_a_query(
    ask: Ask, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="estinel_assets")
    with ScriptedServer(answer) as server, pytest.raises(UnitError) as raised:
        ask(f"{server.url}/a?sig=secret", timeout_s=0.1)
    assert "/a failed" in str(raised.value)
    assert "secret" not in str(raised.value) + caplog.text
    assert raised.value.__cause__ is None


def test_one_transport_serves_many_threads(adapter: Adapter) -> None:
    transport = adapter(5.0)
    answers: list[object] = []

    def some_requests() -> None:
        for _ in range(5):
            answers.append(transport.send("POST", server.url, json={"a": 1}))  # noqa: PERF401

    with ScriptedServer(Answer.json({"b": 2})) as server:
        threads = [threading.Thread(target=some_requests) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asked = [request.body for request in server.requests]
    transport.close()
    assert answers == [{"b": 2}] * 40
    assert asked == [{"a": 1}] * 40


# Of httpx and the plain one alone.


def test_query_and_headers_are_added_to_those_of_the_client() -> None:
    client = httpx.Client(headers={"Client-Id": "tests"})
    transport = HttpxTransport(no_pauses(), timeout_s=5.0, client=client)
    with ScriptedServer(Answer.json([])) as server:
        transport.send(
            "GET", server.url, params={"provider[]": ["A", "B"], "n": 2}, headers={"X-More": "1"}
        )
        (request,) = server.requests
    transport.close()
    assert request.query == {"provider[]": ["A", "B"], "n": ["2"]}
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert (headers["client-id"], headers["x-more"]) == ("tests", "1")


@pytest.mark.parametrize("kind", [HttpxTransport, PlainTransport])
def test_an_answer_that_is_not_accepted_is_asked_for_again(
    kind: type[HttpxTransport | PlainTransport],
) -> None:
    def must_be_json(response: httpx.Response | PlainAnswer) -> None:
        if b"<" in response.content:
            raise CorruptAnswerError("HTML")

    transport = kind(no_pauses(), timeout_s=5.0)
    with ScriptedServer(Answer.html(), Answer.json([1])) as server:
        assert transport.send("GET", server.url, accept=must_be_json).json() == [1]
    with ScriptedServer(Answer.html()) as server, pytest.raises(RetryableError) as raised:
        transport.send("GET", server.url, accept=must_be_json)
    transport.close()
    assert raised.value.reason == SourceFault.CORRUPT
    assert "after 3 tries: HTML" in str(raised.value)


def test_the_plain_one_sends_query_headers_and_a_document_in_unicode() -> None:
    transport = PlainTransport(no_pauses(), timeout_s=5.0)
    with ScriptedServer(Answer.json([])) as server:
        transport.send(
            "PUT", server.url, params={"index": ["1", "2"]}, headers={"X-A": "1"}, json={"ü": "é"}
        )
        (request,) = server.requests
    transport.close()
    assert (request.query, request.body) == ({"index": ["1", "2"]}, {"ü": "é"})
    assert {name.lower(): value for name, value in request.headers.items()}["x-a"] == "1"


def test_the_plain_one_keeps_its_connection() -> None:
    clients: set[tuple[str, int]] = set()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        clients.add(tuple(scope["client"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[1]"})

    transport = PlainTransport(no_pauses(), timeout_s=5.0)
    with serve_asgi(app) as url:
        for _ in range(3):
            assert transport.send("GET", url).json() == [1]
        transport.close()
    assert len(clients) == 1


def test_the_plain_one_shows_each_answer_to_who_looks_at_it_first() -> None:
    seen: list[tuple[str, int]] = []

    def look(answer: PlainAnswer) -> None:
        seen.append((answer.method, answer.status_code))
        if answer.status_code == 404:
            raise CorruptAnswerError("not that 404")

    transport = PlainTransport(no_pauses(), timeout_s=5.0, look=look)
    with ScriptedServer(Answer(404), Answer.json([1])) as server:
        assert transport.send("GET", server.url).json() == [1]
    transport.close()
    assert seen == [("GET", 404), ("GET", 200)]


def test_the_plain_one_goes_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport = PlainTransport(no_pauses(), timeout_s=5.0)
    with ScriptedServer(Answer.json([1])) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "near.example.org")
        assert transport.send("GET", "http://far.example.org/a").json() == [1]
        with pytest.raises(RetryableError):
            transport.send("GET", "http://near.example.org/a")
        assert len(proxy.requests) == 1
    transport.close()
