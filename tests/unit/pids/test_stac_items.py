"""Items of a STAC API that answers strangely, or not at all."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from estinel_assets.errors import BadInputError, PermanentError, RetryableError, UnitError
from estinel_assets.pids.item_source import MAX_VERSIONS, ItemFault
from estinel_assets.pids.plugins import VersionQuery
from estinel_assets.pids.stac_items import StacItems
from estinel_assets.transport import RetryPolicy
from tests.support.asgi import serve_asgi
from tests.support.memory_items import MemoryItems
from tests.support.proxy import Fault, FaultProxy, every
from tests.support.stac_api import running_stac_api, stac_collection, stac_item
from tests.support.web_server import free_port

FILTER = "https://api.stacspec.org/v1.0.0/item-search#filter"
FIELDS = "https://api.stacspec.org/v1.0.0/item-search#fields"
QUERY = VersionQuery("c", "a.b", {})
OURS = ["a.b.v1", "a.b.v2"]


def opened(url: str, *, attempts: int = 3, timeout_s: float = 5.0, **options: Any) -> StacItems:
    policy = RetryPolicy(
        attempts=attempts, backoff_s=0, backoff_max_s=0, deadline_s=60, sleep=lambda _: None
    )
    return StacItems(url, policy=policy, timeout_s=timeout_s, **options)


class Api:
    """Answers what a test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.landing: Any = {}
        self.search: Callable[[Any, Request], Any] = always({})
        self.item: Any = None
        self.asked: list[tuple[str, str, Any]] = []

    def reset(self) -> None:
        self.landing = {"type": "Catalog", "conformsTo": [FILTER], "links": []}
        self.search = always(page(*OURS))
        self.item = stac_item("a.b.v1", collection="c")
        self.asked = []

    @property
    def bodies(self) -> list[Any]:
        return [body for _, path, body in self.asked if path.endswith("/search")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = await request.body()
        path = scope["path"]
        self.asked.append((request.method, path, json.loads(raw) if raw else None))
        if path in ("/", "/gate/"):
            answer = self.landing
        elif path.endswith("/search"):
            answer = self.search(self.asked[-1][2], request)
        else:
            answer = self.item
        response = answer if isinstance(answer, Response) else JSONResponse(answer)
        await response(scope, receive, send)


def always(answer: Any) -> Callable[[Any, Request], Any]:
    """The answer to every search."""
    return lambda *_: answer


def page(*ids: str, **link: Any) -> dict[str, Any]:
    links = [{"rel": "next", **link}] if link else [{"rel": "self", "href": "https://h/"}]
    features = [{"type": "Feature", "id": name, "collection": "c"} for name in ids]
    return {"type": "FeatureCollection", "features": features, "links": links}


APP = Api()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve_asgi(APP) as root:
        yield root


@pytest.fixture
def api() -> Api:
    APP.reset()
    return APP


@pytest.fixture
def items(address: str, api: Api) -> Iterator[StacItems]:
    source = opened(address)
    yield source
    source.close()


@contextmanager
def failing(kind: type[UnitError], fault: ItemFault, words: str) -> Iterator[None]:
    with pytest.raises(kind, match=words) as raised:
        yield
    assert raised.value.reason == fault


def refused(words: str) -> Any:
    return failing(PermanentError, ItemFault.REFUSED, words)


def unavailable(words: str) -> Any:
    return failing(RetryableError, ItemFault.UNAVAILABLE, words)


class TestAsking:
    def test_versions_are_asked_for_by_their_ids(self, items: StacItems, api: Api) -> None:
        assert items.versions(QUERY).versions == ("a.b.v1", "a.b.v2")
        (body,) = api.bodies
        low, high = body["filter"]["args"]
        assert low == {"op": ">=", "args": [{"property": "id"}, "a.b."]}
        assert high["op"] == "<="
        assert body["collections"] == ["c"]
        assert "fields" not in body

    def test_items_are_left_out_of_the_answer_where_the_api_can(
        self, items: StacItems, api: Api
    ) -> None:
        api.landing["conformsTo"].append(FIELDS)
        items.versions(QUERY)
        assert api.bodies[0]["fields"]["include"] == ["id", "collection"]

    def test_the_landing_page_is_read_once(self, items: StacItems, api: Api) -> None:
        for _ in range(3):
            items.versions(QUERY)
            items.item("c", "a.b.v1")
        assert [path for _, path, _ in api.asked].count("/") == 1

    def test_what_lies_between_in_another_order_is_left_out(
        self, items: StacItems, api: Api
    ) -> None:
        api.search = always(page("A.B.v1", "a.b.v1", "a.b1.v1", "a.b"))
        assert items.versions(QUERY).versions == ("a.b.v1",)

    def test_names_in_addresses_are_encoded(self, address: str, api: Api) -> None:
        source = opened(f"{address}/gate")
        api.item = stac_item("a/b ?", collection="c")
        assert source.item("c d", "a/b ?") is not None
        assert api.asked[-1][1] == "/gate/collections/c d/items/a/b ?"
        source.close()


class TestPages:
    def test_a_next_link_of_a_post_is_merged_or_not(self, items: StacItems, api: Api) -> None:
        def search(body: Any, request: Request) -> Any:
            token = body.get("token", 0)
            following = {"href": str(request.url), "method": "POST", "body": {"token": token + 1}}
            if token == 0:
                return page("a.b.v1", merge=True, **following)
            if token == 1:
                following["body"] = {**body, "token": 2}
                return page("a.b.v2", **following)
            return page("a.b.v3")

        api.search = search
        assert items.versions(QUERY).versions == ("a.b.v1", "a.b.v2", "a.b.v3")
        assert len(api.bodies) == 3
        assert all(body["filter"] == api.bodies[0]["filter"] for body in api.bodies)

    def test_a_next_link_may_be_a_get_of_a_host_that_only_the_api_knows(
        self, items: StacItems, api: Api
    ) -> None:
        def search(body: Any, request: Request) -> Any:
            if request.method == "GET":
                assert request.query_params["token"] == "t"
                return page("a.b.v2")
            return page("a.b.v1", href="http://inner.invalid:81/search?token=t")

        api.search = search
        assert items.versions(QUERY).versions == ("a.b.v1", "a.b.v2")

    def test_an_empty_page_ends_it(self, items: StacItems, api: Api) -> None:
        api.search = lambda body, request: page(href=str(request.url), method="POST", body=body)
        assert items.versions(QUERY).versions == ()
        assert len(api.bodies) == 1

    def test_an_api_that_does_not_look_at_the_filter_is_refused(
        self, items: StacItems, api: Api
    ) -> None:
        everything = [f"x{number}" for number in range(100)]
        api.search = lambda body, request: page(
            *everything, href=str(request.url), method="POST", body=body
        )
        with refused("more than 1000 items.*does not look at the filter; give another API"):
            items.versions(QUERY)
        assert len(api.bodies) == MAX_VERSIONS / len(everything)


class TestStrangeAnswers:
    @pytest.mark.parametrize("conforms", [[], ["https://api.stacspec.org/v1.0.0/core"], [None]])
    def test_no_filter_extension(self, address: str, api: Api, conforms: list[Any]) -> None:
        api.landing["conformsTo"] = conforms
        source = opened(address)
        for ask in (lambda: source.versions(QUERY), source.probe):
            with refused("has no Filter extension.*turn the lookup of earlier versions off"):
                ask()
        assert source.item("c", "a.b.v1") is not None
        source.close()
        without = opened(address, lookup=False)
        without.probe()
        without.close()

    @pytest.mark.parametrize("landing", [{}, {"conformsTo": "all"}])
    def test_another_service_is_no_stac_api(self, items: StacItems, api: Api, landing: Any) -> None:
        api.landing = landing
        for ask in (
            items.probe,
            lambda: items.item("c", "a.b.v1"),
            lambda: items.versions(QUERY),
        ):
            with refused("is no STAC API.*address of its landing page"):
                ask()

    def test_absent_means_something_only_where_an_api_is(self, items: StacItems, api: Api) -> None:
        api.landing = api.item = Response("no such page", 404)
        with refused("answered 404.*check the address"):
            items.item("c", "a.b.v1")

    @pytest.mark.parametrize("status", [404, 410])
    def test_no_such_item(self, items: StacItems, api: Api, status: int) -> None:
        api.item = JSONResponse({"code": "NotFoundError"}, status)
        assert items.item("c", "a.b.v1") is None

    @pytest.mark.parametrize(
        "answer",
        [
            {"type": "Feature", "id": "a.b.v2"},
            {"type": "Collection", "id": "a.b.v1"},
            {"detail": "all is well"},
        ],
    )
    def test_something_else_than_the_item(self, items: StacItems, api: Api, answer: Any) -> None:
        api.item = answer
        with refused("gave something else than that item"):
            items.item("c", "a.b.v1")

    @pytest.mark.parametrize(
        "answer",
        [
            Response("<html>Maintenance</html>", media_type="text/html"),
            Response('{"features": [', media_type="application/json"),
            JSONResponse([]),
        ],
    )
    def test_what_is_no_json_object(self, items: StacItems, api: Api, answer: Response) -> None:
        api.item = answer
        api.search = always(answer)
        for ask in (lambda: items.item("c", "a.b.v1"), lambda: items.versions(QUERY), items.probe):
            with unavailable("not (JSON|a JSON object); see whether the STAC API http.* is up"):
                ask()

    @pytest.mark.parametrize(
        "found", [{}, {"features": {}}, {"features": [1]}, {"features": [{"id": 1}]}]
    )
    def test_what_is_no_list_of_items(self, items: StacItems, api: Api, found: Any) -> None:
        api.search = always(found)
        with unavailable("no list of items"):
            items.versions(QUERY)

    def test_a_refusal_says_why(self, items: StacItems, api: Api) -> None:
        refusal = JSONResponse({"description": "bad filter"}, 400)
        api.search = always(refusal)
        with refused(r"answered 400 \(bad filter\); check the address"):
            items.versions(QUERY)

    @pytest.mark.parametrize("status", [401, 403])
    def test_no_right_to_read(self, items: StacItems, api: Api, status: int) -> None:
        api.item = Response("", status)
        with refused("check the access rights$"):
            items.item("c", "a.b.v1")

    def test_a_lost_api_is_found_again(self, items: StacItems, api: Api) -> None:
        landing, api.landing = api.landing, Response("", 503)
        with unavailable("503"):
            items.item("c", "a.b.v1")
        api.landing = landing
        assert items.item("c", "a.b.v1") is not None


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """The embedded API behind a proxy that goes wrong."""
    stored = [stac_item(name, collection="c") for name in OURS]
    folder = tmp_path_factory.mktemp("stac")
    with (
        running_stac_api(folder, [stac_collection("c")], stored) as root,
        FaultProxy(root) as proxy,
    ):
        yield proxy


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=429),
        Fault(reset=True),
        Fault(lost=True),
        Fault(cut=True),
        Fault(delay_s=0.5),
    ],
    ids=["500", "503", "429", "reset", "lost", "cut", "slow"],
)
def test_what_passes_is_not_noticed_and_what_stays_is_told(proxy: FaultProxy, fault: Fault) -> None:
    timeout_s = 0.25 if fault.delay_s else 5.0
    # On a busy machine, what is not spoilt may take too long as well.
    patient = opened(proxy.url, timeout_s=timeout_s, attempts=9)
    proxy.spoil(every(2, fault))
    assert patient.item("c", "a.b.v1") is not None
    assert patient.versions(QUERY).versions == tuple(OURS)
    assert patient.item("c", "a.b.v3") is None
    assert proxy.spoilt
    patient.close()
    source = opened(proxy.url, timeout_s=timeout_s)
    proxy.spoil(lambda _: fault)
    with unavailable("failed after 3 tries.*is up"):
        source.versions(QUERY)
    assert len(proxy.requests) == 3
    with unavailable("failed after 2 tries"):
        source.probe()
    source.close()


def test_nobody_listens() -> None:
    source = opened(f"http://user:s3cret@127.0.0.1:{free_port()}/stac")
    assert "s3cret" not in repr(source)
    with unavailable("Connection refused"):
        source.probe()
    with pytest.raises(RetryableError) as raised:
        source.versions(QUERY)
    assert "s3cret" not in str(raised.value)
    source.close()


def test_an_unusable_address_is_refused_at_once() -> None:
    with pytest.raises(BadInputError, match="must begin with https") as raised:
        opened("ftp://host/x?key=s3cret")
    assert "s3cret" not in str(raised.value)


def test_the_fake_fails_on_request() -> None:
    fake = MemoryItems([stac_item("a.b.v1", collection="c")])
    fake.fail(RetryableError(ItemFault.UNAVAILABLE, "down"))
    for ask in (lambda: fake.item("c", "a.b.v1"), lambda: fake.versions(QUERY), fake.probe):
        with unavailable("down"):
            ask()
    fake.fail(None)
    assert fake.versions(QUERY).versions == ("a.b.v1",)
    assert fake.asked == ["a.b.v1", "a.b", "", "a.b"]
