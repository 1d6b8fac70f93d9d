"""Reading what stands, from APIs that cannot search, page in their own ways or answer nonsense."""

from collections.abc import Iterator
from typing import Any

import pytest

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.transport import RetryPolicy
from tests.support.stac_api import stac_item
from tests.support.stac_stub import Answer, Asked, StacStub, first

POLICY = RetryPolicy(attempts=3, backoff_s=0, backoff_max_s=0, deadline_s=60, sleep=lambda _: None)
HTML = {"Content-Type": "text/html"}


def opened(url: str, **options: Any) -> StacTransactions:
    return StacTransactions(url, **{"policy": POLICY, "timeout_s": 5, "at_once": 3} | options)


@pytest.fixture(scope="module")
def stub() -> Iterator[StacStub]:
    with StacStub() as running:
        yield running


@pytest.fixture
def api(stub: StacStub) -> StacStub:
    stub.reset()
    stub.page = 4
    ids = [f"i{number:03d}" for number in range(10)]
    stub.items["c"] = {item_id: stac_item(item_id, collection="c") for item_id in ids}
    return stub


@pytest.fixture
def target(api: StacStub) -> Iterator[StacTransactions]:
    target = opened(api.url)
    yield target
    target.close()


def is_search(asked: Asked) -> bool:
    return asked.path == "/search"


def test_a_search_by_ids_is_a_post_in_chunks(api: StacStub, target: StacTransactions) -> None:
    ids = [f"i{number:03d}" for number in range(600)]
    assert sorted(target.items("c", ids)) == ids[:10]
    first_pages = [one.body for one in api.calls("POST", "/search") if "start" not in one.body]
    assert sorted(len(body["ids"]) for body in first_pages) == [100, 250, 250]
    assert all(body["collections"] == ["c"] for body in first_pages)
    assert all(body["limit"] == len(body["ids"]) for body in first_pages)


def test_the_same_id_is_asked_for_once(api: StacStub, target: StacTransactions) -> None:
    assert list(target.items("c", ["i001", "i001"])) == ["i001"]
    assert api.asked[0].body["ids"] == ["i001"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_api_without_search_is_asked_item_by_item(
    api: StacStub, target: StacTransactions, status: int
) -> None:
    api.spoil(lambda asked: Answer(status) if is_search(asked) else None)
    for _ in range(2):
        assert sorted(target.items("c", ["i001", "i002", "absent"])) == ["i001", "i002"]
    assert len(api.calls("POST", "/search")) == 1
    target.create_items("c", [stac_item("new", collection="c")])
    assert "new" in api.items["c"]


def test_an_api_that_ignores_ids_is_asked_item_by_item(
    api: StacStub, target: StacTransactions
) -> None:
    api.ignores_ids = True
    assert sorted(target.items("c", ["i001", "absent"])) == ["i001"]
    assert sorted(target.items("c", ["i007"])) == ["i007"]
    assert len(api.calls("POST", "/search")) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_an_api_that_does_not_know_fields_is_asked_for_whole_items(
    api: StacStub, target: StacTransactions, status: int
) -> None:
    api.spoil(lambda asked: Answer(status) if is_search(asked) and "fields" in asked.body else None)
    for name in ("new", "newer"):
        target.create_items("c", [stac_item(name, collection="c")])
        assert name in api.items["c"]
    assert ["fields" in one.body for one in api.calls("POST", "/search")] == [True, False, False]


@pytest.mark.parametrize("path", ["/search", "/items"])
def test_pages_are_followed_by_get_and_by_post(
    api: StacStub, target: StacTransactions, path: str
) -> None:
    ids = list(api.items["c"])
    if path == "/items":
        assert [item["id"] for item in target.all_items("c")] == ids
        assert len(api.calls("GET", path)) == 3
    else:
        assert sorted(target.items("c", ids)) == ids
        assert [one.body.get("start") for one in api.asked] == [None, 4, 8]
        assert api.asked[1].body["ids"] == ids


def test_pages_that_lead_in_a_circle_end(api: StacStub, target: StacTransactions) -> None:
    page = (
        '{"type": "FeatureCollection", "features": [{"id": "a", "collection": "c"}],'
        f'"links": [{{"rel": "next", "href": "{api.url}/collections/c/items?start=0"}}]}}'
    )
    api.spoil(lambda _: Answer(200, page))
    with pytest.raises(RetryableError, match="lead in a circle") as raised:
        list(target.all_items("c"))
    assert raised.value.reason == SourceFault.CORRUPT


def test_an_empty_page_is_the_last_whatever_it_says(
    api: StacStub, target: StacTransactions
) -> None:
    page = f'{{"features": [], "links": [{{"rel": "next", "href": "{api.url}/more"}}]}}'
    api.spoil(lambda _: Answer(200, page))
    assert list(target.all_items("c")) == []
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "link",
    ["https://127.0.0.1:1/collections/c/items", "http://inside.example/other", "{url}/other", ""],
    ids=["host", "host-and-path", "path", "relative"],
)
def test_pages_stay_below_the_root_that_we_know(api: StacStub, link: str) -> None:
    link = link.format(url=api.url)
    page = (
        '{"features": [{"id": "a", "collection": "c"}],'
        f'"links": [{{"rel": "next", "href": "{link}?start=8"}}]}}'
    )
    last = '{"features": [{"id": "b", "collection": "c"}], "links": []}'
    asked: list[str] = []

    def answer(request: Asked) -> Answer:
        asked.append(request.path)
        return Answer(200, page if len(asked) == 1 else last)

    api.spoil(answer)
    target = opened(f"{api.url}/gate")
    assert [item["id"] for item in target.all_items("c")] == ["a", "b"]
    assert asked == ["/gate/collections/c/items"] * 2
    target.close()


def test_generated_links_are_dropped_and_others_kept(
    api: StacStub, target: StacTransactions
) -> None:
    kept = {"rel": "via", "href": "https://h/x"}
    generated = [{"rel": rel, "href": "x"} for rel in ("self", "root", "parent", "collection")]
    api.items["c"]["i001"]["links"] = [*generated, kept, {"rel": "items", "href": "x"}]
    assert target.items("c", ["i001"])["i001"]["links"] == [kept]
    api.collections["c"]["links"] = [*generated, kept]
    assert (target.collection("c") or {})["links"] == [kept]


@pytest.mark.parametrize(
    "nonsense",
    [
        Answer(200, "<html>We are moving house.</html>", HTML),
        Answer(200, '{"features": ['),
        Answer(200, "[]"),
        Answer(200, '{"features": {}}'),
        Answer(200, '{"features": [1]}'),
        Answer(200, ""),
    ],
    ids=["html", "half", "list", "no-list", "no-objects", "empty"],
)
def test_nonsense_is_asked_for_again(
    api: StacStub, target: StacTransactions, nonsense: Answer
) -> None:
    api.spoil(first(2, nonsense, is_search))
    assert sorted(target.items("c", ["i001"])) == ["i001"]
    api.spoil(lambda _: nonsense)
    for ask in (lambda: target.items("c", ["i001"]), lambda: list(target.all_items("c"))):
        with pytest.raises(RetryableError, match="after 3 tries") as raised:
            ask()
        assert raised.value.reason == SourceFault.CORRUPT


def test_an_error_page_is_not_repeated_in_the_message(
    api: StacStub, target: StacTransactions
) -> None:
    api.spoil(lambda _: Answer(400, "<html><body>An error page</body></html>", HTML))
    with pytest.raises(PermanentError) as raised:
        target.items("c", ["i001"])
    assert "error page" not in str(raised.value)
    assert "answered 400" in str(raised.value)


def test_has_items_reads_one(api: StacStub, target: StacTransactions) -> None:
    assert target.has_items("c")
    api.items["c"].clear()
    assert not target.has_items("c")
    assert not target.has_items("absent")
    assert {one.path for one in api.asked} == {"/collections/c/items", "/collections/absent/items"}


def test_ids_are_quoted_in_addresses(api: StacStub, target: StacTransactions) -> None:
    seen: list[str] = []

    def note(asked: Asked) -> Answer:
        seen.append(asked.path)
        return Answer(404)

    api.spoil(note)
    target.collection("a b/c?d#e%2F")
    target.delete_collection("é")
    assert seen == ["/collections/a b/c?d#e%2F", "/collections/é"]
