import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.instants import parse_interval
from estinel_assets.stac.api.parameters import MAX_LIMIT, parse_search
from estinel_assets.stac.api.search import Cursor, Order, SortKey

DAY = 86_400_000_000
texts = st.text(st.characters(codec="utf-8"))


def test_both_forms_of_a_request_give_the_same_search():
    got = parse_search(
        collections="a,b", ids="1,2", bbox="1,2,3,4", sortby="-datetime, id,properties.gsd", limit=5
    )
    posted = parse_search(
        collections=["a", "b"],
        ids=["1", "2"],
        bbox=[1, 2, 3, 4],
        sortby=[("properties.datetime", "desc"), ("id", "asc"), ("gsd", "asc")],
        limit=5,
    )

    assert got == posted
    assert got.collections == ("a", "b")
    assert str(got.order) == "-datetime,+id,+properties.gsd,+collection"


def test_a_geometry_comes_as_text_or_parsed():
    point = {"type": "Point", "coordinates": [1, 2]}

    assert parse_search(intersects='{"type": "Point", "coordinates": [1, 2]}').area.equals(
        parse_search(intersects=point).area
    )


def test_empty_parameters_of_a_query_string_count_as_left_out():
    assert parse_search(collections="", ids="", bbox="", interval="", sortby="", token="") == (
        parse_search()
    )


def test_the_default_order_is_newest_first():
    assert str(parse_search().order) == "-datetime,+id,+collection"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02T00:00:00Z", (DAY, DAY)),
        ("1970-01-02t00:00:00z", (DAY, DAY)),
        ("1970-01-02T02:00:00+02:00", (DAY, DAY)),
        ("1970-01-02T00:00:00.000001999Z/..", (DAY + 1, None)),
        ("/1970-01-02T00:00:00Z", (None, DAY)),
        ("1970-01-01T00:00:00Z/1970-01-02T00:00:00Z", (0, DAY)),
        ("1969-12-31T00:00:00Z/1970-01-02T00:00:00Z", (-DAY, DAY)),
    ],
)
def test_intervals(text, expected):
    assert parse_interval(text) == expected


@given(st.integers(-(10**15), 10**15), st.integers(-1439, 1439))
def test_an_instant_is_the_same_in_every_zone(microseconds, minutes):
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    elsewhere = instant.astimezone(timezone(timedelta(minutes=minutes)))

    assert parse_interval(elsewhere.isoformat()) == (microseconds, microseconds)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"interval": "2024-01-01"}, "RFC 3339"),
        ({"interval": "2024-01-01T00:00:00"}, "RFC 3339"),
        ({"interval": "2024-13-01T00:00:00Z"}, "RFC 3339"),
        ({"interval": "../.."}, "open on both sides"),
        ({"interval": "2024-01-02T00:00:00Z/2024-01-01T00:00:00Z"}, "ends before it starts"),
        ({"interval": "a/b/c"}, "more than one slash"),
        ({"limit": 0}, "limit: 0"),
        ({"bbox": "1,2,x,4"}, "bbox: '1,2,x,4'"),
        ({"bbox": []}, "bbox: 0 numbers"),
        ({"bbox": "1,2,3,4", "intersects": "{}"}, "only one of them"),
        ({"intersects": "{"}, "not JSON"),
        ({"intersects": "[]"}, "JSON object"),
        ({"ids": []}, "ids: the list is empty"),
        ({"collections": []}, "collections: the list is empty"),
        ({"sortby": 'a"b'}, "sortby"),
        ({"sortby": "properties."}, "sortby"),
        ({"sortby": [("id", "up")]}, "'up'"),
        ({"ids": ["\ud800"]}, "ids: .* UTF-8"),
        ({"sortby": [("\ud800", "asc")]}, "sortby"),
        ({"token": "%%%"}, "token"),
        ({"token": "bm90IGpzb24"}, "token"),
        ({"token": base64.urlsafe_b64encode(b'["x",1]').decode()}, "token"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(BadInputError, match=message):
        parse_search(**parameters)


def test_all_problems_are_named_at_once():
    with pytest.raises(BadInputError, match=r"bbox: .*; datetime: .*; limit: "):
        parse_search(bbox="1", interval="now", limit=-1)


def test_a_large_limit_is_lowered():
    assert parse_search(limit=10**9).limit == MAX_LIMIT


@given(
    st.integers(-(2**62), 2**62),
    texts,
    texts,
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | texts,
)
def test_a_token_brings_its_values_back(instant, item_id, collection, value):
    order = Order((SortKey("datetime", descending=True), SortKey.of("gsd", descending=False)))
    cursor = Cursor((instant, value, item_id, collection))

    token = cursor.encode(order)

    assert Cursor.decode(token, order) == cursor
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_token_of_another_order_is_refused():
    token = Cursor((0, "a", "c")).encode(Order(()))

    with pytest.raises(BadInputError, match="same sortby"):
        parse_search(token=token, sortby="+datetime")


def test_a_token_with_text_that_no_database_takes_is_refused():
    token = base64.urlsafe_b64encode(rb'["-datetime,+id,+collection",0,"\ud800","c"]').decode()

    with pytest.raises(BadInputError, match="token"):
        parse_search(token=token)


def test_an_area_across_the_antimeridian():
    assert parse_search(bbox="170,-10,-170,10").area.intersects(shapely.Point(-175, 0))
