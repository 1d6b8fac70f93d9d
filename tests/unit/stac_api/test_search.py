"""Searches against a brute-force filter that knows the globe as a cylinder, uncut."""

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import ItemRepository, load_items
from estinel_assets.stac.api.parameters import parse_search
from tests.support.examples import examples
from tests.support.stac_api import stac_collection, stac_item

START = datetime(2024, 1, 1, tzinfo=UTC)


def rfc3339(hours):
    return (START + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


# Items lie on quarters, areas on three quarters: nothing touches, nothing ends on ±180° exactly.
def rectangles(offset):
    return st.tuples(
        st.integers(-180, 179), st.integers(-85, 80), st.integers(1, 60), st.integers(1, 5)
    ).map(lambda r: (r[0] + offset, r[1] + offset, r[0] + offset + r[2], r[1] + offset + r[3]))


def ring(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def bbox_of(rectangle):
    west, south, east, north = rectangle
    return [west, south, east - 360 if east > 180 else east, north]


def cut(rectangle):
    west, south, east, north = rectangle
    if east <= 180:
        return {"type": "Polygon", "coordinates": [ring(*rectangle)]}
    parts = [[ring(west, south, 180, north)], [ring(-180, south, east - 360, north)]]
    return {"type": "MultiPolygon", "coordinates": parts}


def uncut(rectangle):
    return {"type": "Polygon", "coordinates": [ring(*rectangle)]}


def jumping(rectangle):
    return {"type": "Polygon", "coordinates": [ring(*bbox_of(rectangle))]}


@st.composite
def items(draw):
    rectangle = draw(st.none() | rectangles(0.25))
    starts = draw(st.integers(0, 40))
    span = draw(st.none() | st.integers(0, 10))
    times = {"datetime": rfc3339(starts)}
    if span is not None:
        times |= {"start_datetime": rfc3339(starts), "end_datetime": rfc3339(starts + span)}
        times["datetime"] = draw(st.sampled_from([None, rfc3339(starts)]))
    item = stac_item("?", collection=draw(st.sampled_from("ab")), **times)
    cloud = draw(st.none() | st.integers(0, 3) | st.sampled_from([0.5, "much", True]))
    if cloud is not None:
        item["properties"]["eo:cloud_cover"] = cloud
    if rectangle is None:
        item["geometry"] = None
        del item["bbox"]
    else:
        item["geometry"] = draw(st.sampled_from([cut, uncut, jumping]))(rectangle)
        item["bbox"] = bbox_of(rectangle)
    return item, rectangle, (starts, starts + (span or 0))


@st.composite
def searches(draw):
    area = draw(st.none() | st.none() | rectangles(0.75))
    parameters = {}
    if area is not None:
        if draw(st.booleans()):
            parameters["bbox"] = bbox_of(area)
        else:
            parameters["intersects"] = draw(st.sampled_from([cut, uncut]))(area)
    starts = draw(st.none() | st.integers(0, 50))
    ends = draw(st.none() | st.integers(starts or 0, 55))
    if starts is not None or ends is not None:
        sides = [".." if side is None else rfc3339(side) for side in (starts, ends)]
        parameters["interval"] = sides[0] if starts == ends else "/".join(sides)
    for name, values in (("collections", "ab"), ("ids", [f"{n:02d}" for n in range(8)])):
        if draw(st.integers(0, 3)) == 0:
            parameters[name] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=4))
    fields = st.sampled_from(["datetime", "id", "collection", "eo:cloud_cover"])
    parameters["sortby"] = draw(
        st.lists(st.tuples(fields, st.sampled_from(["asc", "desc"])), max_size=3)
    )
    return parameters, area, (starts, ends)


def on_globe(rectangle, area):
    placed = shapely.box(*rectangle)
    west, south, east, north = area
    return any(
        placed.intersects(shapely.box(west + turn, south, east + turn, north))
        for turn in (-360, 0, 360)
    )


def expected(stored, parameters, area, interval):
    found = []
    for item, rectangle, (starts, ends) in stored:
        if area is not None and (rectangle is None or not on_globe(rectangle, area)):
            continue
        if interval[0] is not None and ends < interval[0]:
            continue
        if interval[1] is not None and starts > interval[1]:
            continue
        if item["collection"] not in parameters.get("collections", "ab"):
            continue
        if "ids" in parameters and item["id"] not in parameters["ids"]:
            continue
        found.append((item, starts))
    return [(item["collection"], item["id"]) for item, _ in in_order(found, parameters["sortby"])]


def in_order(found, sortby):
    found = sorted(found, key=lambda one: (one[0]["id"], one[0]["collection"]))
    for field, direction in reversed(sortby or [("datetime", "desc")]):

        def key(one, field=field):
            item, starts = one
            if field == "datetime":
                return starts
            if field == "eo:cloud_cover":
                value = item["properties"][field]
                return (isinstance(value, str), value)
            return item[field]

        absent = [
            one for one in found if field == "eo:cloud_cover" and field not in one[0]["properties"]
        ]
        present = [one for one in found if one not in absent]
        found = sorted(present, key=key, reverse=direction == "desc") + absent
    return found


@examples(150)
@given(
    st.lists(items(), max_size=25), st.lists(searches(), min_size=1, max_size=6), st.integers(1, 9)
)
def test_searches_find_what_a_brute_force_filter_finds_page_by_page(stored, asked, limit):
    for number, (item, _, _) in enumerate(stored):
        item["id"] = f"{number % 20:02d}"
        item["collection"] = "ab"[number // 20] if number >= 20 else item["collection"]
    stored = list({(one[0]["id"], one[0]["collection"]): one for one in stored}.values())
    with tempfile.TemporaryDirectory() as folder, Database(Path(folder) / "stac.db") as database:
        load_items(database, map(stac_collection, "ab"), [item for item, _, _ in stored])
        repository = ItemRepository(database)
        for parameters, area, interval in asked:
            wanted = expected(stored, parameters, area, interval)
            assert pages_of(repository, parameters, limit, len(wanted)) == wanted


def pages_of(repository, parameters, limit, matched):
    found, token = [], None
    while True:
        page = repository.search(parse_search(**parameters, limit=limit, token=token))
        assert page.matched == matched
        assert len(page.texts) == min(limit, matched - len(found))
        found += [identity(text) for text in page.texts]
        token = page.token
        if token is None:
            return found


def identity(text):
    item = json.loads(text.replace("\x01", ""))
    return item["collection"], item["id"]


def test_items_that_only_touch_the_area_are_found(tmp_path):
    with Database(tmp_path / "stac.db") as database:
        load_items(database, [stac_collection("scenes")], [stac_item("a", bbox=(10, 10, 11, 11))])
        repository = ItemRepository(database)

        def matched(bbox):
            return repository.search(parse_search(bbox=bbox)).matched

        assert matched([11, 11, 12, 12]) == 1
        assert matched([10.5, 10.5, 10.5, 10.5]) == 1
        assert matched([11.000001, 10, 12, 11]) == 0


def test_the_footprint_decides_not_its_box(tmp_path):
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
    with Database(tmp_path / "stac.db") as database:
        item = stac_item("a", bbox=(0, 0, 10, 10), geometry=triangle)
        load_items(database, [stac_collection("scenes")], [item])
        repository = ItemRepository(database)

        assert repository.search(parse_search(bbox=[8, 8, 9, 9])).matched == 0
        assert repository.search(parse_search(bbox=[1, 1, 2, 2])).matched == 1


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_items_without_the_property_come_last_and_are_paged_too(tmp_path, direction):
    clouds = {"a": None, "b": 2, "c": None, "d": 1, "e": None, "f": None, "g": 2, "h": None}
    items = [stac_item(name, cloud=cloud) for name, cloud in clouds.items()]
    del items[0]["properties"]["cloud"]
    with Database(tmp_path / "stac.db") as database:
        load_items(database, [stac_collection("scenes")], items)

        parameters = {"sortby": [("properties.cloud", direction)]}
        found = pages_of(ItemRepository(database), parameters, limit=2, matched=8)

    present = "dbg" if direction == "asc" else "bgd"
    assert "".join(name for _, name in found) == present + "acefh"
