"""pyhandle against the local Handle server, which runs as a process; the server by itself."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import requests
from pyhandle.client.resthandleclient import RESTHandleClient
from pyhandle.handleexceptions import (
    GenericHandleError,
    HandleAlreadyExistsException,
    HandleAuthenticationError,
    HandleNotFoundException,
)

from estinel_assets.demo.handle_app import LocalHandleApp, ServerLogin
from estinel_assets.demo.handle_server import main, running_handle_server
from estinel_assets.pids.ports import Registered
from tests.support.asgi import serve_asgi
from tests.support.handles import (
    PASSWORD,
    STAMP,
    USER,
    handle_client,
    register,
    texts_of,
    values_of,
)

LOGIN = ServerLogin(USER, PASSWORD)
MADE_AT = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_handle_server(login=LOGIN, prefixes=["21.test"]) as root:
        yield root


@pytest.fixture(scope="module", autouse=True)
def _closed_sessions() -> Iterator[None]:
    """Close what pyhandle leaves open."""
    made: list[requests.Session] = []

    class Session(requests.Session):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "Session", Session)
        yield
    for session in made:
        session.close()


@pytest.fixture(scope="module")
def pyhandle(url: str, _closed_sessions: None) -> RESTHandleClient:
    return RESTHandleClient.instantiate_with_username_and_password(url, USER, PASSWORD)


@pytest.fixture
def handle() -> str:
    return f"21.TEST/{uuid4()}"


# pyhandle, whose requests the server is made for.


def test_pyhandle_registers_reads_modifies_and_deletes(
    pyhandle: RESTHandleClient, handle: str
) -> None:
    assert pyhandle.retrieve_handle_record(handle) is None
    assert pyhandle.register_handle(handle, "https://h/1", checksum="ab", SIZE="1") == handle
    with pytest.raises(HandleAlreadyExistsException):
        pyhandle.register_handle(handle, "https://h/2")
    pyhandle.register_handle(handle, "https://h/2", overwrite=True, SIZE="2")
    record = pyhandle.retrieve_handle_record(handle, auth=True)
    admin = record.pop("HS_ADMIN")
    assert "'handle': '0.NA/21.TEST'" in admin
    assert record == {"URL": "https://h/2", "SIZE": "2"}

    pyhandle.modify_handle_value(handle, SIZE="3", CHECKSUM="cd")
    assert pyhandle.get_value_from_handle(handle, "SIZE") == "3"
    assert pyhandle.get_value_from_handle(handle, "CHECKSUM") == "cd"
    assert set(pyhandle.retrieve_handle_record(handle, indices=[1])) == {"URL"}
    assert set(pyhandle.retrieve_handle_record(handle, type=["SIZE", "URL"])) == {"SIZE", "URL"}
    pyhandle.add_handle_value(handle, NOTE="new")
    with pytest.raises(GenericHandleError):
        pyhandle.add_handle_value(handle, NOTE="again")
    assert pyhandle.delete_handle_value(handle, ["NOTE", "CHECKSUM"]) == handle
    assert set(pyhandle.retrieve_handle_record(handle)) == {"URL", "SIZE", "HS_ADMIN"}
    assert pyhandle.delete_handle(handle) == handle
    with pytest.raises(HandleNotFoundException):
        pyhandle.delete_handle(handle)
    with pytest.raises(HandleNotFoundException):
        pyhandle.modify_handle_value(handle, SIZE="4")


def test_pyhandle_is_refused(url: str, handle: str) -> None:
    with pytest.raises(HandleNotFoundException):
        RESTHandleClient.instantiate_with_username_and_password(url, "300:21.TEST/NOBODY", "x")
    # The handle stands, in another case: that is not the same to pyhandle unless it is repeated.
    lower = USER.lower()
    RESTHandleClient.instantiate_with_username_and_password(url, lower, PASSWORD)
    stranger = RESTHandleClient.instantiate_with_username_and_password(url, USER, "wrong")
    with pytest.raises(GenericHandleError):
        stranger.register_handle(handle, "https://h")
    with pytest.raises(HandleAuthenticationError):
        RESTHandleClient.instantiate_for_read_access(url).register_handle(handle, "https://h")
    assert httpx.get(f"{url}/api/handles/{handle}").status_code == 404


def test_pyhandle_and_our_client_read_each_other(
    url: str, pyhandle: RESTHandleClient, handle: str
) -> None:
    client = handle_client(url)
    parts = json.dumps(["hdl:21.TEST/a", "hdl:21.TEST/ü"])
    pyhandle.register_handle(handle, "https://h", CHECKSUM="ab", HAS_PARTS=parts)
    theirs = pyhandle.retrieve_handle_record(handle)
    values = values_of(URL="https://h", HAS_PARTS=parts, CHECKSUM="ab")
    assert register(client, handle, values) is Registered.UPDATED
    theirs["ANNOUNCED_AT"] = STAMP.text()
    assert pyhandle.retrieve_handle_record(handle) == theirs
    assert register(client, handle, values) is Registered.UNCHANGED
    changed = values_of(URL="https://h", HAS_PARTS=parts, CHECKSUM="cd", FILE_SIZE="7")
    assert register(client, handle, changed) is Registered.UPDATED
    assert pyhandle.retrieve_handle_record(handle) == {
        **theirs,
        "CHECKSUM": "cd",
        "FILE_SIZE": "7",
    }

    other = f"{handle}-other"
    assert register(client, other, values) is Registered.CREATED
    assert pyhandle.retrieve_handle_record(other) == theirs
    pyhandle.modify_handle_value(other, CHECKSUM="ef")
    assert texts_of(client.read(other))["CHECKSUM"] == "ef"
    client.close()


# The server by itself.


@pytest.fixture(scope="module")
def app() -> LocalHandleApp:
    return LocalHandleApp(login=LOGIN, prefixes=["21.TEST"], now=lambda: MADE_AT)


@pytest.fixture(scope="module")
def http(app: LocalHandleApp) -> Iterator[httpx.Client]:
    with (
        serve_asgi(app) as root,
        httpx.Client(base_url=f"{root}/api/handles/", auth=(quote(USER), PASSWORD)) as client,
    ):
        yield client


def value(index: Any, text: Any = "x", kind: Any = "A", **more: Any) -> dict[str, Any]:
    return {"index": index, "type": kind, "data": text, **more}


def answered(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, response.json()["responseCode"]


def test_a_record_as_it_is_answered(http: httpx.Client, handle: str) -> None:
    made = http.put(handle, json={"values": [value(2, "é", ttl=60), value("1", "u", "URL")]})
    assert answered(made) == (201, 1)
    asked = handle.swapcase()
    assert http.get(asked, params={"auth": "true"}).json() == {
        "responseCode": 1,
        "handle": asked,
        "values": [
            {
                "index": 1,
                "type": "URL",
                "data": {"format": "string", "value": "u"},
                "ttl": 86400,
                "timestamp": "2025-03-04T05:06:07Z",
            },
            {
                "index": 2,
                "type": "A",
                "data": {"format": "string", "value": "é"},
                "ttl": 60,
                "timestamp": "2025-03-04T05:06:07Z",
            },
        ],
    }
    assert answered(http.get(handle, params={"index": "9"})) == (200, 200)


def test_conditions_and_places(http: httpx.Client, app: LocalHandleApp, handle: str) -> None:
    body = {"values": [value(1), value(2)]}
    assert answered(http.put(handle, params={"index": "1"}, json=body)) == (404, 100)
    assert answered(http.put(handle, params={"overwrite": "false"}, json=body)) == (201, 1)
    assert answered(http.put(handle, params={"overwrite": "false"}, json=body)) == (409, 101)
    assert answered(http.put(handle, json=[value(3)])) == (200, 1)
    assert [one["index"] for one in app.records()[handle]] == [3]
    # What is not asked for is not written, and what is asked for has to be there.
    assert answered(http.put(handle, params={"index": "1"}, json=body)) == (201, 1)
    assert [one["index"] for one in app.records()[handle]] == [1, 3]
    assert answered(http.put(handle, params={"index": "7"}, json=body)) == (400, 202)
    both = {"index": ["1", "2"], "overwrite": "false"}
    assert answered(http.put(handle, params=both, json=body)) == (409, 201)
    assert answered(http.put(handle, params={"index": "various"}, json=body)) == (201, 1)
    assert answered(http.put(handle, params={"index": "various"}, json=value(1, "y"))) == (200, 1)
    assert [one["data"]["value"] for one in app.records()[handle]] == ["y", "x", "x"]
    # All or none.
    assert answered(http.delete(handle, params={"index": ["2", "9"]})) == (400, 200)
    assert [one["index"] for one in app.records()[handle]] == [1, 2, 3]
    assert answered(http.delete(handle, params={"index": ["2", "3"]})) == (200, 1)
    assert answered(http.delete(handle, params={"index": "2"})) == (400, 200)
    assert [one["index"] for one in app.records()[handle]] == [1]
    assert answered(http.delete(handle)) == (200, 1)
    assert answered(http.delete(handle)) == (404, 100)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 4),
        (b"{", 4),
        (b"[" * 100_000, 4),
        (b"[]", 202),
        (b"7", 202),
        (b"[7]", 202),
        (json.dumps([value(0)]).encode(), 202),
        (json.dumps([value(True)]).encode(), 202),
        (json.dumps([value("9" * 5000)]).encode(), 202),
        (json.dumps([value(1, kind="")]).encode(), 202),
        (json.dumps([value(1, 7)]).encode(), 202),
        (json.dumps([value(1, {"format": []})]).encode(), 202),
        (json.dumps([value(1), value("1")]).encode(), 202),
        (json.dumps([value(1, {"format": "admin", "value": "a"})]).encode(), 202),
        (json.dumps([value(1, {"format": "admin", "value": {"handle": "a/b"}})]).encode(), 202),
    ],
)
def test_bodies_that_are_refused(
    http: httpx.Client, app: LocalHandleApp, handle: str, body: bytes, code: int
) -> None:
    assert answered(http.put(handle, content=body)) == (400, code)
    assert handle not in app.records()


def test_requests_that_are_refused(http: httpx.Client, handle: str) -> None:
    body = [value(1)]
    assert answered(http.get("99.OTHER/a")) == (400, 301)
    assert answered(http.get("21.TEST/")) == (400, 102)
    assert answered(http.get("/../../other")) == (404, 2)
    assert answered(http.post(handle, json=body)) == (405, 4)
    assert answered(http.put(handle, params={"overwrit": "true"}, json=body)) == (400, 4)
    assert answered(http.put(handle, params={"overwrite": "maybe"}, json=body)) == (400, 4)
    assert answered(http.get(handle, params={"index": "x"})) == (404, 100)
    nobody = httpx.put(f"{http.base_url}{handle}", json=body)
    assert answered(nobody) == (401, 402)
    assert nobody.headers["www-authenticate"].startswith("Basic")
    unreadable = http.put(handle, json=body, headers={"Authorization": "Basic ???"}, auth=None)
    assert answered(unreadable) == (401, 402)
    assert answered(http.put(handle, json=body, auth=("300%3A21.TEST/B", PASSWORD))) == (403, 400)
    assert answered(http.put(handle, json=body, auth=(quote(USER), "wrong"))) == (403, 403)
    assert answered(http.get(handle)) == (404, 100)


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.soak)])
def test_many_handles_from_many_threads(count: int) -> None:
    app = LocalHandleApp()
    with serve_asgi(app) as root:
        client = handle_client(root, login=None)
        with ThreadPoolExecutor(16) as pool:
            done = pool.map(
                lambda number: register(client, f"21.TEST/{number}", values_of(URL=str(number))),
                range(count),
            )
            assert set(done) == {Registered.CREATED}
        client.close()
    records = app.records()
    assert len(records) == count
    assert all(
        [one["data"]["value"] for one in values if one["type"] == "URL"] == [name.split("/")[1]]
        for name, values in records.items()
    )


@pytest.mark.parametrize(("user", "password"), [(USER, ""), ("", "x"), ("21.TEST/USER", "x")])
def test_half_a_login(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: str, password: str
) -> None:
    monkeypatch.setenv("HANDLE_SERVER_USER", user)
    monkeypatch.setenv("HANDLE_SERVER_PASSWORD", password)
    assert main([]) == 3
    assert "who may write is not clear" in capsys.readouterr().err


def test_an_address_that_is_taken(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    port = url.rpartition(":")[2]
    assert main(["--port", port]) == 3
    assert f"cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err
