"""Deleting the values that a record has no more, where the network is not as it should be."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from estinel_assets.demo.cmr_files import respond
from estinel_assets.errors import PermanentError, RetryableError
from estinel_assets.pids.handle_client import HandleClient
from estinel_assets.pids.ports import Registered
from tests.support.asgi import serve_asgi
from tests.support.handles import (
    LATER,
    PASSWORD,
    USER,
    handle_app,
    handle_client,
    register,
    texts_of,
    values_of,
)
from tests.support.proxy import Fault, FaultProxy, Passed

FULL = values_of(URL="https://h/1", SIZE="1", NOTE="n", COPIES="c")
OWNED = ["URL", "SIZE", "NOTE", "COPIES"]
URL = values_of(URL="https://h/1", SIZE="1")
CHANGED = values_of(URL="https://h/1", SIZE="2")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_asgi(handle_app()) as root:
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


def spoil_deletes(fault: Fault, *, first: int = 1000) -> Callable[[Passed], Fault | None]:
    """Spoil the first few DELETEs."""
    left = [first]

    def choose(request: Passed) -> Fault | None:
        if request.method != "DELETE" or left[0] == 0:
            return None
        left[0] -= 1
        return fault

    return choose


@pytest.mark.parametrize(
    "fault", [Fault(lost=True), Fault(cut=True), Fault(status=503), Fault(reset=True)]
)
def test_a_fault_of_a_delete_goes_by(
    proxy: FaultProxy, client: HandleClient, handle: str, fault: Fault
) -> None:
    register(client, handle, FULL)
    proxy.spoil(spoil_deletes(fault, first=1))
    assert register(client, handle, CHANGED, owned=OWNED, stamp=LATER) is Registered.UPDATED
    assert [one.method for one in proxy.spoilt] == ["DELETE"]
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "2"}
    # Where only a delete is left to do, too.
    register(client, handle, FULL, stamp=LATER)
    proxy.spoil(spoil_deletes(fault, first=1))
    assert register(client, handle, URL, owned=OWNED, stamp=LATER) is Registered.UPDATED
    # Before the second try it is asked for, and not made where the first one had its effect.
    again = () if fault.lost or fault.cut else ("DELETE",)
    assert [one.method for one in proxy.requests] == [
        *("PUT", "GET", "DELETE", "GET"),
        *again,
        "GET",
    ]
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "1"}


def test_no_answer_to_a_delete_ever_arrives_and_reading_finds_out(
    proxy: FaultProxy, client: HandleClient, handle: str
) -> None:
    register(client, handle, FULL)
    proxy.spoil(spoil_deletes(Fault(lost=True)))
    assert register(client, handle, CHANGED, owned=OWNED, stamp=LATER) is Registered.UPDATED
    assert len(proxy.spoilt) == 1
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "2"}


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(reset=True)])
def test_a_delete_that_was_not_done_is_an_error_and_is_done_by_the_next_try(
    proxy: FaultProxy, client: HandleClient, handle: str, fault: Fault
) -> None:
    register(client, handle, FULL)
    proxy.spoil(spoil_deletes(fault))
    with pytest.raises(RetryableError, match=r"DELETE .* failed after 4 tries") as caught:
        register(client, handle, CHANGED, owned=OWNED, stamp=LATER)
    assert caught.value.reason == "handle_unavailable"
    proxy.spoil(None)
    assert texts_of(client.read(handle)) == {
        "URL": "https://h/1",
        "SIZE": "2",
        "NOTE": "n",
        "COPIES": "c",
    }
    # What came before finds the newer stamp; the same again finishes it.
    assert register(client, handle, FULL, owned=OWNED) is Registered.SUPERSEDED
    assert register(client, handle, CHANGED, owned=OWNED, stamp=LATER) is Registered.UPDATED
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "2"}


def test_another_deletes_one_of_them_at_the_same_time(
    url: str, proxy: FaultProxy, client: HandleClient, handle: str
) -> None:
    register(client, handle, FULL)

    def interfere(request: Passed) -> Fault | None:
        if request.number == 4:  # after PUT, GET and PUT
            assert request.method == "DELETE"
            answer = httpx.delete(
                f"{url}/api/handles/{handle}", params={"index": "3"}, auth=(quote(USER), PASSWORD)
            )
            assert answer.status_code == 200
        return None

    proxy.spoil(interfere)
    assert register(client, handle, CHANGED, owned=OWNED, stamp=LATER) is Registered.UPDATED
    assert [one.target.partition("?")[2] for one in proxy.requests if one.method == "DELETE"] == [
        "index=3&index=4",
        "index=4",
    ]
    assert texts_of(client.read(handle)) == {"URL": "https://h/1", "SIZE": "2"}


def test_a_delete_that_is_refused(handle: str) -> None:
    app = handle_app()

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "DELETE":
            await app(scope, receive, send)
            return
        refusal = {"responseCode": 401, "handle": handle, "message": "No right to remove"}
        await respond(send, 403, json.dumps(refusal).encode(), None, b"application/json")

    with serve_asgi(refusing) as root:
        client = handle_client(root)
        register(client, handle, FULL)
        with pytest.raises(PermanentError, match="No right to remove; Handle code 401") as caught:
            register(client, handle, URL, owned=OWNED)
        assert caught.value.reason == "handle_refused"
        assert texts_of(client.read(handle)) == {one.type: one.data for one in FULL}
        client.close()
