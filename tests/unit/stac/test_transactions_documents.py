"""What counts as the same document, and what does not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from estinel_assets.stac.transactions import same_document
from estinel_assets.stac.transactions.documents import difference, returned
from tests.support.stac_api import stac_collection, stac_item

MICROSECOND = "2020-01-01T00:00:00.000001Z"
Change = Callable[[dict[str, Any]], object]


def item() -> dict[str, Any]:
    made = stac_item(
        "a",
        datetime="2020-01-01T00:00:00Z",
        assets={"data": {"href": "https://h/a.tif", "roles": ["data"]}},
        nested={"deep": [1, {"x": None}]},
        gsd=10,
    )
    made["stac_extensions"] = ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"]
    made["links"] = [{"rel": "via", "href": "https://h/x"}]
    return made


def collection() -> dict[str, Any]:
    made = stac_collection("c")
    made["summaries"] = {"gsd": {"minimum": 1, "maximum": 2}, "other": {"minimum": 1}}
    return made


SAME: list[Change] = [
    lambda made: made["links"].append({"rel": "self", "href": "https://api/a"}),
    lambda made: made["links"].append({"rel": "child", "href": "https://api/a"}),
    lambda made: made.update({"pgstac:base_item": {}}),
    lambda made: made.update({"foreign": 1}),
    lambda made: made["properties"].update(gsd=10.0, title=None),
    lambda made: made["properties"].update(datetime="2020-01-01T01:00:00.000000000+01:00"),
    lambda made: made["properties"]["nested"]["deep"][1].clear(),
    lambda made: made["geometry"].update(bbox=[1, 2, 3, 4], crs={}),
    lambda made: made["assets"]["data"].update(empty={}, none=None),
    lambda made: made.update(stac_extensions=["https://STAC-extensions.github.io/eo/v1.1.0/schema.json"]),
    lambda made: made.update(bbox=tuple(made["bbox"])),
]  # fmt: skip
OTHER: list[tuple[Change, str]] = [
    (lambda made: made.update(id="b"), "id"),
    (lambda made: made.update(collection="d"), "collection"),
    (lambda made: made["links"].append({"rel": "via", "href": "https://h/y"}), "links"),
    (lambda made: made["links"][0].update(href="https://h/y"), "links[0].href"),
    (lambda made: made["links"][0].update(title="T"), "links[0].title"),
    (lambda made: made["properties"].update(gsd=10.5), "properties.gsd"),
    (lambda made: made["properties"].pop("gsd"), "properties.gsd"),
    (lambda made: made["properties"].update(new=1), "properties.new"),
    (lambda made: made["properties"].update(datetime=MICROSECOND), "properties.datetime"),
    (lambda made: made["properties"].update(datetime=MICROSECOND[:-1]), "properties.datetime"),
    (lambda made: made["properties"]["nested"]["deep"].append(2), "properties.nested.deep"),
    (lambda made: made["properties"]["nested"]["deep"].insert(0, None), "properties.nested.deep"),
    (lambda made: made["assets"]["data"].update(href="https://h/b.tif"), "assets.data.href"),
    (lambda made: made["assets"].clear(), "assets.data"),
    (lambda made: made["bbox"].__setitem__(0, 147.0000001), "bbox[0]"),
    (lambda made: made["geometry"]["coordinates"][0].reverse(), "geometry.coordinates[0][1][0]"),
    (lambda made: made.update(stac_extensions=[]), "stac_extensions"),
    (lambda made: made.update(foreign=1, geometry=None), "geometry"),
]  # fmt: skip


@pytest.mark.parametrize("change", SAME)
def test_forms_that_say_the_same(change: Change) -> None:
    one, other = item(), item()
    change(other)
    assert other != one
    before = copy.deepcopy((one, other))
    assert same_document(one, other)
    assert same_document(other, one)
    assert (one, other) == before


@pytest.mark.parametrize(("change", "where"), OTHER, ids=[where for _, where in OTHER])
def test_differences_are_found_and_named(change: Change, where: str) -> None:
    one, other = item(), item()
    change(other)
    assert difference(one, other) == where
    assert difference(other, one) == where
    assert not same_document(one, other)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda made: made["summaries"]["gsd"].update(count=3), None),
        (lambda made: made["extent"].update(odd=1), None),
        (lambda made: made["extent"]["spatial"].update(odd=1), None),
        (
            lambda made: made["extent"]["temporal"]["interval"][0].__setitem__(
                0, "2015-01-01T00:00:00.000000Z"
            ),
            None,
        ),
        (lambda made: made["summaries"]["gsd"].update(maximum=3), "summaries.gsd.maximum"),
        (lambda made: made["summaries"]["other"].update(count=3), "summaries.other.count"),
        (lambda made: made["extent"].pop("spatial"), "extent.spatial"),
        (
            lambda made: made["extent"]["temporal"]["interval"][0].__setitem__(
                1, "2015-01-01T00:00:00Z"
            ),
            "extent.temporal.interval[0][1]",
        ),
        (lambda made: made.update(foreign=1), "foreign"),
    ],
)
def test_collections(change: Change, where: str | None) -> None:
    one, other = collection(), collection()
    change(other)
    assert difference(one, other) == where
    assert difference(other, one) == where


def test_relative_addresses_are_those_below_the_root() -> None:
    one, other = item(), item()
    one["links"][0]["href"] = "./x.json"
    one["assets"]["data"]["href"] = "a.tif"
    other["links"][0]["href"] = "https://api/stac/x.json"
    other["assets"]["data"]["href"] = "https://api/stac/a.tif"
    assert same_document(one, other, root="https://api/stac")
    assert same_document(one, other, root="https://api/stac/")
    assert difference(one, other) == "assets.data.href"


@pytest.mark.parametrize(
    ("number", "back", "same"),
    [
        (2**70, float(2**70), True),
        (2**63 + 5, float(2**63), False),
        (2**53 + 1, 2**53, False),
        (10**400, 10**400, True),
        (True, 1.0, True),
    ],
)
def test_large_numbers(number: int, back: float, same: bool) -> None:
    one, other = item(), item()
    one["properties"]["number"], other["properties"]["number"] = number, back
    assert same_document(one, other) is same


def test_what_is_no_stac_at_all_can_be_compared() -> None:
    odd = {
        "type": "Feature",
        "links": [1, {"href": 5}, {"rel": "via", "href": "http://[::1"}],
        "assets": {"a": 1},
        "properties": {"datetime": 5, "created": "once", "updated": "0001-01-01T00:00:00+10:00"},
        "stac_extensions": ["not an address", None],
        "geometry": "none",
    }
    assert same_document(odd, copy.deepcopy(odd), root="https://api")
    assert returned(odd)["links"] == odd["links"]
    extents: list[Any] = [5, {"temporal": 5}, {"temporal": {"interval": 5}}]
    for extent in [*extents, {"temporal": {"interval": [5]}}]:
        assert same_document({"extent": extent}, {"extent": extent})
        assert not same_document({"extent": extent}, {})


def test_an_item_comes_back_whole() -> None:
    bare = {"type": "Feature", "id": "a", "properties": {"start_datetime": "2020-01-01T00:00:00Z"}}
    assert returned(bare) == {
        "type": "Feature",
        "id": "a",
        "geometry": None,
        "properties": {"start_datetime": "2020-01-01T00:00:00Z", "datetime": None},
        "links": [],
        "assets": {},
    }
    assert "datetime" not in bare["properties"]
    assert returned({"type": "Collection", "links": None}) == {"type": "Collection", "links": []}
