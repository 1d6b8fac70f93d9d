"""The newest announcement wins at a Handle server, too, whose deletes may fail."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.errors import RetryableError
from estinel_assets.pids.handle_client import HandleClient
from estinel_assets.pids.ports import ADMIN_TYPE
from tests.support.announced import announcements, attempts
from tests.support.asgi import serve_asgi
from tests.support.examples import examples
from tests.support.handles import handle_app, handle_client
from tests.support.memory_handles import MemoryHandles
from tests.support.proxy import Fault, FaultProxy, Passed


@pytest.fixture(scope="module")
def app() -> LocalHandleApp:
    return handle_app()


@pytest.fixture(scope="module")
def proxy(app: LocalHandleApp) -> Iterator[FaultProxy]:
    with serve_asgi(app) as root, FaultProxy(root) as running:
        yield running


@pytest.fixture(scope="module")
def client(proxy: FaultProxy) -> Iterator[HandleClient]:
    made = handle_client(proxy.url, attempts=1)
    yield made
    made.close()


def reset_deletes(request: Passed) -> Fault | None:
    return Fault(reset=True) if request.method == "DELETE" else None


Standing = dict[str, set[tuple[int, str, str]]]
"""Index, type and text of values by handle."""


@examples(8)
@given(st.data())
def test_any_order_repetition_and_interruption_end_in_the_same_records(
    app: LocalHandleApp, proxy: FaultProxy, client: HandleClient, data: st.DataObject
) -> None:
    prefix = f"21.{uuid4()}"
    announced = data.draw(announcements(prefix=prefix, least=3, most=5))
    for step in data.draw(attempts(announced)):
        proxy.spoil(reset_deletes if step.interrupted else None)
        try:
            announced[step.number].register(client, first=step.first)
        except RetryableError:
            assert [one.method for one in proxy.spoilt] == ["DELETE"]

    clean = MemoryHandles()
    for one in sorted(announced, key=lambda one: one.stamp):
        one.register(clean)
    expected: Standing = {
        handle: {(v.index, v.type, v.data) for v in record.values if v.type != ADMIN_TYPE}
        for handle, record in clean.handles.items()
    }
    found: Standing = {
        handle.lower(): {
            (v["index"], v["type"], v["data"]["value"]) for v in values if v["type"] != ADMIN_TYPE
        }
        for handle, values in app.records().items()
        if handle.startswith(f"{prefix}/")
    }
    assert found == expected
