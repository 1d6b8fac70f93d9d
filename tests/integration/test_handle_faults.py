"""The client of the Handle service where network, server or login are not as they should be."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.pids.handle_client import HandleClient, HandleLogin
from estinel_assets.pids.ports import ADMIN_TYPE, STAMP_INDEX, STAMP_TYPE, HandleValue, Registered
from estinel_assets.pids.stamps import Stamp
from tests.support.asgi import serve_asgi
from tests.support.handles import (
    LATER,
    LOGIN,
    PASSWORD,
    STAMP,
    USER,
    handle_app,
    handle_client,
    register,
    texts_of,
    values_of,
)
from tests.support.proxy import Fault, FaultProxy, Passed, every
from tests.support.replay import Answer, Request, ScriptedServer, Server
from tests.support.web_server import free_port

RACERS = 20
URL = values_of(URL="https://h/1", SIZE="1")
CHANGED = values_of(URL="https://h/1", SIZE="2")
FULL = values_of(URL="https://h/1", SIZE="1", NOTE="n", COPIES="c")
OWNED = ["URL", "SIZE", "NOTE", "COPIES"]


@pytest.fixture(scope="module")
def app() -> LocalHandleApp:
    return handle_app(prefixes=["21.TEST"])


@pytest.fixture(scope="module")
def url(app: LocalHandleApp) -> Iterator[str]:
    with serve_asgi(app) as root:
        yield root


@pytest.fixture(scope="module")
def running_proxy(url: str) -> Iterator[FaultProxy]:
    with FaultProxy(url) as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy: FaultProxy) -> FaultProxy:
    running_proxy.spoil(None)
    return running_proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[HandleClient]:
    client = handle_client(proxy.url)
    yield client
    client.close()


@pytest.fixture
def handle() -> str:
    return f"21.TEST/{uuid4()}"


def spoil_puts(fault: Fault, *, first: int | None = None) -> Callable[[Passed], Fault | None]:
    """Spoil PUTs: all of them, or the first few."""
    left = [first]

    def choose(request: Passed) -> Fault | None:
        if request.method != "PUT" or left[0] == 0:
            return None
        if left[0] is not None:
            left[0] -= 1
        return fault

    return choose


# Requests.


def test_what_is_asked(proxy: FaultProxy, client: HandleClient, handle: str) -> None:
    path = f"/api/handles/{handle}"
    assert register(client, handle, URL) is Registered.CREATED
    assert [f"{one.method} {one.target}" for one in proxy.requests] == [
        f"PUT {path}?overwrite=false"
    ]
    proxy.spoil(None)
    assert register(client, handle, URL) is Registered.UNCHANGED
    assert [one.method for one in proxy.requests] == ["PUT", "GET"]
    proxy.spoil(None)
    assert register(client, handle, CHANGED) is Registered.UPDATED
    assert [f"{one.method} {one.target}" for one in proxy.requests] == [
        f"PUT {path}?overwrite=false",
        f"GET {path}?auth=true",
        f"PUT {path}?index=2&overwrite=true",
        f"GET {path}?auth=true",
    ]
    proxy.spoil(None)
    assert register(client, handle, FULL) is Registered.UPDATED
    less = URL[:1]
    proxy.spoil(None)
    assert register(client, handle, less, owned=OWNED, stamp=LATER) is Registered.UPDATED
    assert [f"{one.method} {one.target}" for one in proxy.requests] == [
        f"PUT {path}?overwrite=false",
        f"GET {path}?auth=true",
        f"PUT {path}?index=99&overwrite=true",
        f"DELETE {path}?index=2&index=3&index=4",
        f"GET {path}?auth=true",
    ]
    proxy.spoil(None)
    assert register(client, handle, CHANGED) is Registered.SUPERSEDED
    assert [one.method for one in proxy.requests] == ["PUT", "GET"]
    assert register(client, handle, CHANGED, stamp=LATER) is Registered.UPDATED
    proxy.spoil(None)
    careful = handle_client(proxy.url, read_first=True)
    assert register(careful, handle, CHANGED, stamp=LATER) is Registered.UNCHANGED
    assert [one.method for one in proxy.requests] == ["GET"]
    careful.close()


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        (None, {"handle": "0.NA/21.TEST", "index": 200}),
        ("301:21.TEST/OTHER", {"handle": "21.TEST/OTHER", "index": 301}),
    ],
)
def test_the_owner(
    app: LocalHandleApp, url: str, handle: str, owner: str | None, told: dict[str, Any]
) -> None:
    client = handle_client(url, owner=owner)
    register(client, handle, URL)
    client.close()
    admins = [one for one in app.records()[handle] if one["type"] == ADMIN_TYPE]
    assert [one["data"]["value"] for one in admins] == [{**told, "permissions": "011111110011"}]
    assert [one["index"] for one in admins] == [100]


# Faults.


@pytest.mark.parametrize(
    "fault", [Fault(lost=True), Fault(cut=True), Fault(status=503), Fault(reset=True)]
)
def test_a_fault_goes_by(
    proxy: FaultProxy, client: HandleClient, handle: str, fault: Fault
) -> None:
    proxy.spoil(spoil_puts(fault, first=1))
    assert register(client, handle, URL) is Registered.CREATED
    assert len(proxy.spoilt) == 1
    proxy.spoil(lambda request: fault if request.number == 3 else None)
    assert register(client, handle, CHANGED) is Registered.UPDATED
    assert [one.method for one in proxy.spoilt] == ["PUT"]
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "2"}


@pytest.mark.parametrize("values", [CHANGED, values_of(URL="https://h/1", SIZE="1", NEW="n")])
def test_an_update_whose_answer_is_lost_counts_as_one(
    proxy: FaultProxy, client: HandleClient, handle: str, values: list[HandleValue]
) -> None:
    register(client, handle, URL)
    proxy.spoil(lambda request: Fault(lost=True) if request.number == 3 else None)
    assert register(client, handle, values) is Registered.UPDATED
    assert [one.method for one in proxy.requests] == ["PUT", "GET", "PUT", "GET", "GET"]
    assert texts_of(client.read(handle)) == {one.type: one.data for one in values}


def test_no_answer_ever_arrives_and_reading_finds_out(
    proxy: FaultProxy, client: HandleClient, handle: str
) -> None:
    proxy.spoil(spoil_puts(Fault(lost=True)))
    assert register(client, handle, URL) is Registered.CREATED
    assert len(proxy.spoilt) == 4
    lost_updates: list[Passed] = []

    def choose(request: Passed) -> Fault | None:
        if request.method == "PUT" and "index=" in request.target:
            lost_updates.append(request)
            return Fault(lost=True)
        return None

    proxy.spoil(choose)
    assert register(client, handle, CHANGED) is Registered.UPDATED
    assert len(lost_updates) == 1
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "2"}


def test_a_write_that_was_not_done_is_an_error(
    app: LocalHandleApp, proxy: FaultProxy, client: HandleClient, handle: str
) -> None:
    proxy.spoil(spoil_puts(Fault(status=500)))
    with pytest.raises(RetryableError, match="after 4 tries: the server answered 500") as caught:
        register(client, handle, URL)
    assert caught.value.reason == "handle_unavailable"
    assert handle not in app.records()
    proxy.spoil(lambda _: Fault(reset=True))
    with pytest.raises(RetryableError) as caught:
        register(client, handle, URL)
    assert caught.value.reason == "handle_unavailable"
    proxy.spoil(None)
    register(client, handle, URL)
    proxy.spoil(lambda request: Fault(reset=True) if "index=" in request.target else None)
    with pytest.raises(RetryableError):
        register(client, handle, CHANGED)
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "1"}


def test_nobody_listens(handle: str) -> None:
    client = handle_client(f"http://127.0.0.1:{free_port()}")
    for ask in (lambda: register(client, handle, URL), client.probe):
        with pytest.raises(RetryableError) as caught:
            ask()
        assert caught.value.reason == "handle_unavailable"
    client.close()


def test_slow_answers(proxy: FaultProxy, handle: str) -> None:
    client = handle_client(proxy.url, timeout_s=0.1, attempts=2)
    proxy.spoil(spoil_puts(Fault(delay_s=0.3), first=1))
    assert register(client, handle, URL) is Registered.CREATED
    proxy.spoil(lambda _: Fault(delay_s=0.3))
    with pytest.raises(RetryableError, match="no answer within") as caught:
        register(client, handle, CHANGED)
    assert caught.value.reason == "handle_unavailable"
    client.close()


@pytest.mark.parametrize(
    "answer",
    [
        Answer.html(),
        Answer.html(status=404),
        Answer.html(status=409),
        Answer.html(status=502),
        Answer.json({"detail": "Not Found"}, 404),
        Answer.json([1]),
        Answer.json({"responseCode": [1], "handle": "21.TEST/a"}),
        Answer.json({"responseCode": 1, "handle": "21.TEST/another", "values": []}),
        Answer.json({"responseCode": 100, "handle": "21.TEST/a"}),
        Answer.json({"responseCode": 1, "handle": "21.TEST/a", "values": [{"index": 1}]}),
    ],
)
def test_answers_of_somebody_else(answer: Answer) -> None:
    with ScriptedServer(answer) as server:
        client = handle_client(server.url, attempts=2)
        with pytest.raises(RetryableError) as caught:
            client.read("21.TEST/a")
        assert caught.value.reason == "handle_unavailable"
        assert len(server.requests) == 2
        client.close()


def test_many_faults_and_many_threads(app: LocalHandleApp, proxy: FaultProxy) -> None:
    names = [f"21.TEST/{uuid4()}" for _ in range(25)]
    client = handle_client(proxy.url, attempts=8)
    proxy.spoil(every(3, Fault(lost=True), Fault(status=503), Fault(reset=True), Fault(cut=True)))

    def run(number: int) -> None:
        register(client, names[number % len(names)], URL if number < 50 else CHANGED)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(50)))
        list(pool.map(run, range(50, 100)))
    client.close()
    assert len(proxy.spoilt) > 50
    records = app.records()
    for name in names:
        kinds = {one["type"]: one["data"]["value"] for one in records[name]}
        assert kinds.pop(ADMIN_TYPE)["handle"] == "0.NA/21.TEST"
        assert kinds == {"URL": "https://h/1", "SIZE": "2", STAMP_TYPE: STAMP.text()}
        assert len(records[name]) == 4


def test_racing_clients_with_faults_leave_one_record(
    app: LocalHandleApp, proxy: FaultProxy, handle: str
) -> None:
    proxy.spoil(every(4, Fault(lost=True), Fault(reset=True)))
    clients = [handle_client(proxy.url, attempts=8) for _ in range(RACERS)]
    start = threading.Barrier(RACERS)

    def run(client: HandleClient) -> Registered:
        start.wait(30)
        return register(client, handle, URL)

    with ThreadPoolExecutor(RACERS) as pool:
        done = list(pool.map(run, clients))
    for client in clients:
        client.close()
    assert Registered.CREATED in done
    assert Registered.UPDATED not in done
    assert [(one["index"], one["type"]) for one in app.records()[handle]] == [
        (1, "URL"),
        (2, "SIZE"),
        (STAMP_INDEX, STAMP_TYPE),
        (100, ADMIN_TYPE),
    ]


# Others write, too.


def test_a_newer_announcement_stands_where_an_answer_was_lost(
    url: str, proxy: FaultProxy, client: HandleClient, handle: str
) -> None:
    register(client, handle, URL)
    other = handle_client(url)

    def interfere(request: Passed) -> Fault | None:
        if request.number < 3:
            return None
        if request.number == 3:
            register(other, handle, FULL, stamp=LATER)
        return Fault(reset=True) if request.method == "PUT" else None

    proxy.spoil(interfere)
    assert register(client, handle, CHANGED) is Registered.SUPERSEDED
    assert [one.method for one in proxy.spoilt] == ["PUT"]
    assert texts_of(client.read(handle)) == {one.type: one.data for one in FULL}
    other.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_second_try_does_not_take_back_what_came_before_it(
    url: str, proxy: FaultProxy, client: HandleClient, handle: str, method: str
) -> None:
    register(client, handle, FULL)
    other = handle_client(url)
    newest = values_of(URL="https://h/2", SIZE="7", NOTE="new", COPIES="new")
    owned = ["URL", "SIZE", "NOTE", "COPIES"]
    spoilt: list[Passed] = []

    def interfere(request: Passed) -> Fault | None:
        if request.method != method or "index=" not in request.target or spoilt:
            return None
        spoilt.append(request)
        register(other, handle, newest, owned=owned, stamp=Stamp(LATER.at, ("CMIP6", "3", "200")))
        return Fault(status=503)

    proxy.spoil(interfere)
    done = register(client, handle, CHANGED, owned=owned, stamp=LATER)
    assert done is Registered.SUPERSEDED
    assert len(spoilt) == 1
    assert texts_of(client.read(handle)) == {one.type: one.data for one in newest}
    other.close()


def _other_writer(request: Request, *, stands: bool) -> Answer:
    """A service where what stands is never what was written."""
    handle = request.path.removeprefix("/api/handles/")
    if request.method == "PUT" and "index" in request.query:
        return Answer.json({"responseCode": 1, "handle": handle})
    if request.method == "PUT":
        return Answer.json({"responseCode": 101, "handle": handle}, 409)
    if not stands:
        return Answer.json({"responseCode": 100, "handle": handle}, 404)
    value = {"index": 1, "type": "URL", "data": {"format": "string", "value": "theirs"}}
    return Answer.json({"responseCode": 1, "handle": handle, "values": [value]})


@pytest.mark.parametrize("stands", [True, False])
def test_a_handle_that_others_change_all_the_time(handle: str, stands: bool) -> None:
    with Server(lambda request: _other_writer(request, stands=stands)) as server:
        client = handle_client(server.url)
        with pytest.raises(RetryableError, match="changed by others") as caught:
            register(client, handle, URL)
        assert caught.value.reason == "conflict"
        assert len(server.requests) < 20
        client.close()


# Logins and addresses.


@pytest.mark.parametrize(
    ("login", "code"),
    [(HandleLogin(USER, "wr:ong"), 403), (HandleLogin("300:21.TEST/NOBODY", PASSWORD), 400)],
)
def test_a_refused_login(url: str, handle: str, login: HandleLogin, code: int) -> None:
    client = handle_client(url, login=login)
    for ask in (lambda: register(client, handle, URL), client.probe):
        with pytest.raises(PermanentError, match=f"403.*Handle code {code}") as caught:
            ask()
        assert caught.value.reason == "handle_refused"
    assert client.read(handle) is None
    client.close()


def test_a_login_that_is_missing(url: str, handle: str) -> None:
    client = handle_client(url, login=None)
    client.probe()
    with pytest.raises(PermanentError, match="Authentication needed") as caught:
        register(client, handle, URL)
    assert caught.value.reason == "handle_refused"
    client.close()


def test_a_prefix_that_does_not_live_there(url: str) -> None:
    client = handle_client(url, prefix="99.OTHER")
    for ask in (lambda: register(client, "99.OTHER/a", URL), client.probe):
        with pytest.raises(PermanentError, match="That prefix doesn't live here") as caught:
            ask()
        assert caught.value.reason == "handle_refused"
    client.close()


def test_a_redirect_is_told(handle: str) -> None:
    moved = Answer(302, headers={"Location": "https://elsewhere/api/handles/x?token=1"})
    with ScriptedServer(moved) as server:
        client = handle_client(server.url)
        with pytest.raises(PermanentError, match="it redirects to https://elsewhere") as caught:
            register(client, handle, URL)
        assert "token" not in str(caught.value)
        client.close()


def test_the_login_is_nowhere_to_be_seen(
    proxy: FaultProxy, handle: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = [repr(LOGIN), str(LOGIN)]

    def ask(root: str) -> None:
        client = handle_client(root, attempts=2)
        seen.append(repr(client))
        for one in (lambda: register(client, handle, URL), client.probe):
            try:
                one()
            except (RetryableError, PermanentError) as error:
                seen.extend([str(error), repr(error), repr(error.__cause__)])
        client.close()

    ask(proxy.url)
    proxy.spoil(every(2, Fault(status=503), Fault(reset=True)))
    ask(proxy.url)
    encoded = LOGIN.header().split(" ")[1]
    said = f"{USER} may not, with {PASSWORD}, that is {encoded}, or 300%3A21.TEST/OWNER"
    for status in (400, 403, 500):
        with ScriptedServer(Answer.json({"responseCode": 400, "message": said}, status)) as server:
            ask(server.url)
    seen.extend(record.getMessage() for record in caplog.records)
    everything = "\n".join(seen)
    assert "(hidden) may not, with (hidden), that is (hidden)" in everything
    for secret in ("OWNER", PASSWORD, encoded):
        assert secret not in everything


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "ftp://h"}, "must begin with https:// or http://"),
        ({"url": "h:8000"}, "must begin with https:// or http://"),
        ({"url": "http://[h"}, "cannot be read"),
        ({"url": "https://user:secret@h"}, "has a user, a query or a fragment"),
        ({"url": "https://h?key=secret"}, "has a user, a query or a fragment"),
        ({"prefix": ""}, "is no handle"),
        ({"login": HandleLogin("secret", "secret")}, "the user name .* must be index:prefix"),
        ({"owner": "300:secret"}, "the owner .* must be index:prefix"),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInputError, match=problem) as caught:
        handle_client(**{"url": "http://h", **options})
    assert "secret" not in str(caught.value)


def test_the_whole_address_of_the_interface_is_taken(url: str, handle: str) -> None:
    client = handle_client(f"{url}/api/handles/")
    assert register(client, handle, URL) is Registered.CREATED
    client.close()


def test_requests_run_at_once_up_to_a_bound() -> None:
    with serve_asgi(handle_app(latency_s=0.1)) as root:
        client = handle_client(root, at_once=5)
        started = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda n: register(client, f"21.TEST/{n}", URL), range(20)))
        took_s = time.monotonic() - started
        client.close()
    # Four rounds of five; one by one it would be two seconds.
    assert 0.4 <= took_s < 1.6
