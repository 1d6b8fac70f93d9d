"""Searching a STAC API that fails in the ways that real ones do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, UnitError
from estinel_assets.settings import StacSettings, TransportSettings
from estinel_assets.stac.search import StacApiSource
from estinel_assets.stac.source import SceneQuery, SearchResult
from estinel_assets.transport import RequestsTransport, RetryPolicy
from tests.support.replay import Answer, StacStub
from tests.unit.stac.stac_items import made_item

DAY = datetime(2024, 5, 17, tzinfo=UTC)
QUERY = SceneQuery(
    "sentinel-2-c1-l2a", ((147.2, -42.95, 147.4, -42.8),), DAY, DAY + timedelta(days=30)
)


def items(count: int) -> list[dict[str, Any]]:
    return [
        made_item(f"scene-{number:03d}", (DAY + timedelta(hours=number)).isoformat())
        for number in range(count)
    ]


class Asking:
    """A source with a policy that never really waits."""

    def __init__(self, *, attempts: int = 4, timeout_s: float = 5.0) -> None:
        self.pauses: list[float] = []
        policy = RetryPolicy(
            attempts=attempts,
            backoff_s=0.5,
            backoff_max_s=8,
            deadline_s=120,
            sleep=self.pauses.append,
            uniform=lambda: 1.0,
        )
        self.transport = RequestsTransport(policy, timeout_s=timeout_s)

    def source(self, server: StacStub, **options: Any) -> StacApiSource:
        return StacApiSource(server.url, transport=self.transport, **options)

    def search(self, server: StacStub, **options: Any) -> SearchResult:
        try:
            return self.source(server, **options).search(QUERY)
        finally:
            self.transport.close()


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_pages_are_followed_to_the_end_and_limit_is_never_a_total(asking: Asking) -> None:
    with StacStub(items(25)) as server:
        result = asking.search(server, page_size=10)
        assert [search["limit"] for search in server.searches] == [10, 10, 10]
    assert len(result.items) == 25
    assert (result.matched, result.requests, result.page_size) == (25, 4, 10)


def test_the_search_is_one_post_with_bbox_span_and_collection(asking: Asking) -> None:
    with StacStub(items(1)) as server:
        asking.search(server)
        assert server.searches == [
            {
                "limit": 100,
                "bbox": [147.2, -42.95, 147.4, -42.8],
                "datetime": "2024-05-17T00:00:00Z/2024-06-16T00:00:00Z",
                "collections": ["sentinel-2-c1-l2a"],
            }
        ]


def test_two_boxes_are_one_intersects(asking: Asking) -> None:
    boxes = ((179.0, -17.0, 180.0, -16.0), (-180.0, -17.0, -179.0, -16.0))
    with StacStub() as server:
        asking.source(server).search(SceneQuery("c", boxes, DAY, DAY))
        (search,) = server.searches
    asking.transport.close()
    assert "bbox" not in search
    assert search["intersects"]["type"] == "MultiPolygon"
    assert len(search["intersects"]["coordinates"]) == 2


def test_a_page_is_never_larger_than_100(asking: Asking) -> None:
    with StacStub(items(3)) as server:
        asking.search(server, page_size=500)
        assert server.searches[0]["limit"] == 100


def test_502_halves_the_page_until_it_fits(asking: Asking) -> None:
    with StacStub(items(40), largest_page=13) as server:
        result = asking.search(server)
        limits = [search["limit"] for search in server.searches]
    assert limits == [100, 50, 25, 12, 12, 12, 12]
    assert len(result.items) == 40
    assert (result.page_size, result.requests) == (12, 8)
    assert asking.pauses == []


def test_502_in_the_middle_starts_again_with_half_the_page(asking: Asking) -> None:
    with StacStub(items(40), script=[None, Answer(502)]) as server:
        result = asking.search(server, page_size=20)
        bodies = server.searches
    assert [body["limit"] for body in bodies] == [20, 20, 10, 10, 10, 10]
    assert [body.get("token") for body in bodies] == [None, "20", None, "10", "20", "30"]
    assert len(result.items) == 40


def test_502_at_the_smallest_page_is_retried_and_then_an_error(asking: Asking) -> None:
    with StacStub(items(5), largest_page=4) as server:
        with pytest.raises(RetryableError, match="502") as raised:
            asking.search(server, page_size=20, min_page_size=8)
        assert [search["limit"] for search in server.searches] == [20, 10, 8, 8, 8, 8]
    assert raised.value.reason == SourceFault.UNAVAILABLE
    assert asking.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("script", "pauses"),
    [
        ([Answer(429, headers={"Retry-After": "7"})], [7.0]),
        ([Answer(503), Answer(503)], [0.5, 1.0]),
        ([Answer(reset=True)], [0.5]),
        ([Answer(504), Answer(reset=True), Answer(500)], [0.5, 1.0, 2.0]),
    ],
    ids=["429", "503-twice", "reset", "mixed"],
)
def test_posts_are_retried(asking: Asking, script: list[Answer], pauses: list[float]) -> None:
    with StacStub(items(3), script=script) as server:
        result = asking.search(server)
        assert len(server.searches) == len(script) + 1
    assert len(result.items) == 3
    assert result.requests == len(script) + 2
    assert asking.pauses == pauses


def test_a_search_that_is_never_answered_is_a_timeout() -> None:
    asking = Asking(attempts=2, timeout_s=0.1)
    with StacStub(items(1), script=[Answer(hang=True)] * 2) as server:
        with pytest.raises(RetryableError) as raised:
            asking.search(server)
        assert len(server.searches) == 2
    assert raised.value.reason == SourceFault.TIMEOUT


def test_pages_that_overlap_give_each_item_once(asking: Asking) -> None:
    with StacStub(items(25), repeated=3) as server:
        result = asking.search(server, page_size=10)
    assert [item["id"] for item in result.items] == [f"scene-{number:03d}" for number in range(25)]


def test_of_two_versions_on_two_pages_the_newer_is_taken(asking: Asking) -> None:
    old = made_item("a", updated="2024-05-18T00:00:00Z", title="old")
    new = made_item("a", updated="2024-05-19T00:00:00Z", title="new")
    for pair in ([old, new], [new, old]):
        page = {"type": "FeatureCollection", "features": pair, "links": []}
        with StacStub(script=[Answer.json(page)]) as server:
            (item,) = asking.search(server).items
        assert item["properties"]["title"] == "new"


@pytest.mark.parametrize("counts", ["numberMatched", "context"])
def test_a_shortfall_fails_and_names_both_numbers(asking: Asking, counts: str) -> None:
    with (
        StacStub(items(5), claimed_matched=7, counts=counts) as server,
        pytest.raises(RetryableError, match="7 items match and gave 5") as raised,
    ):
        asking.search(server)
    assert raised.value.reason == SourceFault.UNAVAILABLE


def test_overlapping_pages_cannot_hide_a_shortfall(asking: Asking) -> None:
    with (
        StacStub(items(25), repeated=3, claimed_matched=31) as server,
        pytest.raises(RetryableError, match="31 items match and gave 25"),
    ):
        asking.search(server, page_size=10)


@pytest.mark.parametrize("options", [{"claimed_matched": 3}, {"counts": "none"}])
def test_a_count_that_is_too_low_or_missing_is_no_shortfall(
    asking: Asking, options: dict[str, Any]
) -> None:
    with StacStub(items(5), **options) as server:
        assert len(asking.search(server).items) == 5


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer.html(), RetryableError, "not JSON"),
        (Answer(200, b'{"features": ['), RetryableError, "not JSON"),
        (Answer(200, b"\xff\xfe"), RetryableError, "not JSON"),
        (Answer.json([1]), PermanentError, "a JSON list"),
        (Answer.json({"message": "hello"}), PermanentError, "without features"),
        (Answer.json({"features": None}), PermanentError, "without features"),
    ],
)
def test_an_answer_that_is_no_page_is_corrupt(
    asking: Asking, answer: Answer, kind: type[UnitError], words: str
) -> None:
    with StacStub(script=[answer]) as server, pytest.raises(kind, match=words) as raised:
        asking.search(server)
    assert raised.value.reason == SourceFault.CORRUPT


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda item: item.pop(key)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without("id"), "has no id"),
        (lambda item: item.update(id=""), "has no id"),
        (without("properties"), "has no datetime"),
        (lambda item: item["properties"].update(datetime="soon"), "has no datetime"),
        (without("assets"), "has no assets"),
        (lambda item: item.update(collection="other"), "is of collection 'other'"),
    ],
)
def test_an_item_that_cannot_be_used_is_corrupt(
    asking: Asking, damage: Callable[[dict[str, Any]], None], words: str
) -> None:
    good, bad = items(2)
    damage(bad)
    page = {"type": "FeatureCollection", "features": [good, bad], "links": []}
    with (
        StacStub(script=[Answer.json(page)]) as server,
        pytest.raises(PermanentError, match=words) as raised,
    ):
        asking.search(server)
    assert raised.value.reason == SourceFault.CORRUPT


def test_a_feature_that_is_no_object_is_corrupt(asking: Asking) -> None:
    page = {"type": "FeatureCollection", "features": ["scene"], "links": []}
    with (
        StacStub(script=[Answer.json(page)]) as server,
        pytest.raises(PermanentError, match="no object"),
    ):
        asking.search(server)


def test_an_empty_page_in_the_middle_is_not_the_end(asking: Asking) -> None:
    first, second = items(2)
    link = {"rel": "next", "href": "/search", "method": "POST", "body": {"token": "x"}}
    pages = [
        {"features": [first], "links": [link]},
        {"features": [], "links": [{**link, "body": {"token": "y"}}]},
        {"features": [second], "links": [{"rel": "root", "href": "/"}], "numberMatched": 2},
    ]
    with StacStub(script=[Answer.json(page) for page in pages]) as server:
        result = asking.search(server)
        assert [search.get("token") for search in server.searches] == [None, "x", "y"]
    assert [item["id"] for item in result.items] == ["scene-000", "scene-001"]


def test_a_next_link_by_get_and_a_merged_body_work(asking: Asking) -> None:
    first, second = items(2)
    merged = {
        "rel": "next",
        "href": "/search",
        "method": "POST",
        "merge": True,
        "body": {"token": "m"},
    }
    by_get = {"rel": "next", "href": "/page?token=g"}
    with StacStub(
        script=[
            Answer.json({"features": [first], "links": [merged]}),
            Answer.json({"features": [second], "links": [by_get]}),
        ]
    ) as server:
        with pytest.raises(PermanentError, match=r"GET .*/page failed: the server answered 404"):
            asking.search(server)
        assert server.searches[1] == {**server.searches[0], "token": "m"}
        assert server.requests[-1].query == {"token": ["g"]}


def test_pages_that_lead_in_circles_end(asking: Asking) -> None:
    link = {"rel": "next", "href": "/search", "method": "POST", "body": {"token": "x"}}
    page = Answer.json({"features": items(1), "links": [link]})
    with (
        StacStub(script=[page] * 9) as server,
        pytest.raises(RetryableError, match="in circles") as raised,
    ):
        asking.search(server)
    assert raised.value.reason == SourceFault.CORRUPT


def test_empty_pages_without_end_end(asking: Asking) -> None:
    pages = [
        Answer.json(
            {
                "features": [],
                "links": [{"rel": "next", "href": "/search", "method": "POST", "body": {"t": n}}],
            }
        )
        for n in range(99)
    ]
    with StacStub(script=pages) as server, pytest.raises(RetryableError, match="no end"):
        asking.search(server)


def test_the_root_is_read_once_and_under_the_policy(asking: Asking) -> None:
    with StacStub(items(1), root_script=[Answer(503), Answer(reset=True)]) as server:
        source = asking.source(server)
        counts = [source.search(QUERY).requests for _ in range(3)]
        assert source.check() == f"{server.url}/search"
        assert sum(request.path == "/" for request in server.requests) == 3
    asking.transport.close()
    assert counts == [4, 1, 1]


def test_a_root_that_failed_is_asked_again(asking: Asking) -> None:
    with StacStub(items(1), root_script=[Answer(404)]) as server:
        source = asking.source(server)
        with pytest.raises(PermanentError):
            source.search(QUERY)
        assert len(source.search(QUERY).items) == 1
    asking.transport.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"conforms_to": ["https://api.stacspec.org/v1.0.0/core"]},
            "does not conform to item search",
        ),
        ({"search_link": False}, "no link to a search by POST"),
        ({"search_link": False, "conforms_to": None}, "no link to a search by POST"),
    ],
)
def test_a_root_without_search_says_what_to_do(
    asking: Asking, options: dict[str, Any], words: str
) -> None:
    with StacStub(**options) as server, pytest.raises(PermanentError, match=words) as raised:
        asking.search(server)
    assert "set ESTINEL_STAC_URL" in str(raised.value)


def test_an_old_root_without_conformance_classes_but_with_a_search_is_taken(
    asking: Asking,
) -> None:
    with StacStub(items(1), conforms_to=None) as server:
        assert len(asking.search(server).items) == 1


@pytest.mark.parametrize(
    ("answer", "reason", "kind"),
    [
        (Answer.html(), SourceFault.CORRUPT, RetryableError),
        (Answer(403), SourceFault.FORBIDDEN, PermanentError),
        (Answer(404), SourceFault.NOT_FOUND, PermanentError),
        (Answer.json("root"), SourceFault.CORRUPT, PermanentError),
    ],
)
def test_a_root_that_cannot_be_used(
    asking: Asking, answer: Answer, reason: SourceFault, kind: type[UnitError]
) -> None:
    with StacStub(root_script=[answer]) as server, pytest.raises(kind) as raised:
        asking.search(server)
    assert raised.value.reason == reason


def test_a_refused_search_says_what_the_server_said(asking: Asking) -> None:
    answer = Answer.json({"code": "BadRequest", "description": "bbox is too large"}, 400)
    with (
        StacStub(script=[answer]) as server,
        pytest.raises(PermanentError, match=r"/search failed: the server answered 400 \(bbox is"),
    ):
        asking.search(server)


def test_settings_make_the_source() -> None:
    with StacStub(items(3)) as server:
        source = StacApiSource.from_settings(
            StacSettings(url=server.url, page_size=2), TransportSettings()
        )
        assert len(source.search(QUERY).items) == 3
        assert [search["limit"] for search in server.searches] == [2, 2]
        source.close()
