"""The contract of every `SceneSource`, kept by the list and by the STAC API's client."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.stac.search import StacApiSource
from estinel_assets.stac.source import (
    ListedScenes,
    SceneQuery,
    SceneSource,
    item_datetime,
    parse_instant,
)
from estinel_assets.transport import RequestsTransport, RetryPolicy
from tests.support.replay import StacStub
from tests.unit.stac.stac_items import made_item

HOBART = (147.2, -42.95, 147.4, -42.8)
DAY = datetime(2024, 5, 17, tzinfo=UTC)

MakeSource = Callable[[list[dict[str, Any]]], SceneSource]


@pytest.fixture(params=["list", "api"])
def make_source(request: pytest.FixtureRequest) -> Iterator[MakeSource]:
    with ExitStack() as stack:

        def listed(items: list[dict[str, Any]]) -> SceneSource:
            return ListedScenes(items)

        def api(items: list[dict[str, Any]]) -> SceneSource:
            server = stack.enter_context(StacStub(items))
            transport = RequestsTransport(
                RetryPolicy(attempts=1, backoff_s=0, backoff_max_s=0, deadline_s=10), timeout_s=5
            )
            stack.callback(transport.close)
            return StacApiSource(server.url, transport=transport, page_size=2)

        yield {"list": listed, "api": api}[request.param]


def query(**changes: Any) -> SceneQuery:
    values: dict[str, Any] = {
        "collection": "sentinel-2-c1-l2a",
        "boxes": (HOBART,),
        "start": DAY,
        "end": DAY + timedelta(days=1),
    }
    return SceneQuery(**{**values, **changes})


def ids(source: SceneSource, wanted: SceneQuery) -> list[str]:
    result = source.search(wanted)
    if result.matched is not None:
        assert result.matched == len(result.items)
    return [item["id"] for item in result.items]


def test_items_come_in_time_order_whatever_order_they_are_kept_in(make_source: MakeSource) -> None:
    items = [
        made_item("late", "2024-05-17T03:00:00Z"),
        made_item("b", "2024-05-17T01:00:00Z"),
        made_item("early", "2024-05-17T00:00:00.5Z"),
        made_item("a", "2024-05-17T01:00:00Z"),
    ]
    source = make_source(items)
    assert ids(source, query()) == ["early", "a", "b", "late"]
    found = {item["id"]: item for item in source.search(query()).items}
    assert found == {item["id"]: item for item in items}


def test_other_collections_places_and_times_are_left_out(make_source: MakeSource) -> None:
    source = make_source(
        [
            made_item("here"),
            made_item("elsewhere", west=10.0, south=50.0),
            made_item("before", "2024-05-16T23:59:59Z"),
            made_item("after", "2024-05-18T00:00:01Z"),
            made_item("other", collection="sentinel-2-l2a"),
        ]
    )
    assert ids(source, query()) == ["here"]
    assert ids(source, query(collection="sentinel-2-l2a")) == ["other"]


def test_both_ends_of_the_span_are_included(make_source: MakeSource) -> None:
    source = make_source(
        [made_item("first", "2024-05-17T00:00:00Z"), made_item("last", "2024-05-18T00:00:00Z")]
    )
    assert ids(source, query()) == ["first", "last"]


def test_a_place_across_180_degrees_finds_both_sides_once_each(make_source: MakeSource) -> None:
    both = made_item("both", west=179.0, south=-17.0)
    halves = [
        [[[w, -17], [e, -17], [e, -16], [w, -16], [w, -17]]] for w, e in ((179, 180), (-180, -179))
    ]
    both["geometry"] = {"type": "MultiPolygon", "coordinates": halves}
    source = make_source(
        [
            both,
            made_item("west", west=178.9, south=-17.0),
            made_item("east", west=-180.0, south=-17.0),
            made_item("far", west=0.0, south=-17.0),
        ]
    )
    fiji = ((179.5, -17.0, 180.0, -16.5), (-180.0, -17.0, -179.5, -16.5))
    assert sorted(ids(source, query(boxes=fiji))) == ["both", "east", "west"]


def test_nothing_found_is_a_result(make_source: MakeSource) -> None:
    assert ids(make_source([]), query()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"boxes": ()},
        {"boxes": ((179.0, 0.0, -179.0, 1.0),)},
        {"start": DAY.replace(tzinfo=None)},
        {"end": DAY.replace(tzinfo=None)},
        {"end": DAY - timedelta(seconds=1)},
    ],
)
def test_a_query_that_means_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        query(**changes)


def test_a_query_covers_its_span() -> None:
    wanted = query()
    assert wanted.covers(wanted.start)
    assert wanted.covers(wanted.end)
    assert not wanted.covers(wanted.end + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-05-17T00:11:09.024Z", datetime(2024, 5, 17, 0, 11, 9, 24000, tzinfo=UTC)),
        ("2024-05-17T02:11:09+02:00", datetime(2024, 5, 17, 0, 11, 9, tzinfo=UTC)),
        ("2024-05-17T00:11:09", datetime(2024, 5, 17, 0, 11, 9, tzinfo=UTC)),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (20240517, None),
    ],
)
def test_instants(text: object, instant: datetime | None) -> None:
    assert parse_instant(text) == instant
    assert item_datetime({"properties": {"datetime": text}}) == instant
