"""Items for what is made from scenes: valid, deterministic, and complete."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pystac
import pytest
from pystac.validation import validate_dict

from estinel_assets.errors import BadInputError
from estinel_assets.stac.geography import Box, footprint
from estinel_assets.stac.items import (
    COPERNICUS,
    ItemAsset,
    ItemGrid,
    ItemProvider,
    derived_item,
    sentinel_attribution,
)

WHEN = datetime(2024, 5, 17, 0, 11, 9, 24000, tzinfo=UTC)
GRID = ItemGrid("EPSG:32755", (10.0, 0.0, 399960.0, 0.0, -10.0, 5300020.0), (600, 500))
ASSETS = {
    "image": ItemAsset("Hobart_2024-05-17.tif", "Reflectance", ("data",), bands=("red", "green")),
    "view_q128": ItemAsset("https://host/a/q128.png?x=.tif", "View", ("visual", "overview")),
    "report": ItemAsset("report.bin", "Report", ("metadata",), media_type="application/x-thing"),
    "odd": ItemAsset("folder/odd", "Odd", ()),
}


def make(
    boxes: tuple[Box, ...] = ((147.2, -42.95, 147.4, -42.8),), **changes: Any
) -> dict[str, Any]:
    geometry, bbox = footprint(boxes)
    values: dict[str, Any] = {
        "when": WHEN,
        "geometry": geometry,
        "bbox": bbox,
        "grid": GRID,
        "assets": ASSETS,
        "derived_from": ["https://host/items/a", "https://host/items/b"],
        "cloud_cover": 12.5,
        "attribution": sentinel_attribution(2024),
        "providers": [COPERNICUS, ItemProvider("Us", ("processor",), "https://us.example")],
        "properties": {"estinel:valid_fraction": 0.5, "created": "2024-05-18T00:00:00Z"},
        "self_href": "https://host/a/item.json",
    }
    return derived_item("hobart_2024-05-17", **{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cloud_cover": None, "attribution": None, "self_href": None, "properties": None},
        {"boxes": ((179.5, -17.0, 180.0, -16.0), (-180.0, -17.0, -179.5, -16.0))},
        {"assets": {}, "providers": (), "derived_from": ()},
    ],
)
def test_items_are_valid_stac_1_1(changes: dict[str, Any]) -> None:
    item = make(**changes)
    # Without extensions nothing is fetched: the core schemas come with pystac.
    assert validate_dict(item, extensions=[])
    assert item["stac_version"] == "1.1.0"
    assert pystac.Item.from_dict(item).id == "hobart_2024-05-17"


def test_an_invalid_item_would_be_noticed() -> None:
    item = make()
    item["properties"]["datetime"] = None
    with pytest.raises(pystac.STACValidationError):
        validate_dict(item, extensions=[])


def test_everything_given_is_in_the_item() -> None:
    item = make()
    properties = item["properties"]
    assert properties["datetime"] == "2024-05-17T00:11:09.024000Z"
    assert properties["proj:code"] == "EPSG:32755"
    assert properties["proj:shape"] == [600, 500]
    assert properties["proj:transform"] == [10.0, 0.0, 399960.0, 0.0, -10.0, 5300020.0]
    assert properties["eo:cloud_cover"] == 12.5
    assert properties["attribution"] == "Contains modified Copernicus Sentinel data 2024"
    assert properties["license"] == "other"
    assert [provider["name"] for provider in properties["providers"]] == [COPERNICUS.name, "Us"]
    assert properties["estinel:valid_fraction"] == 0.5
    links = [(link["rel"], link["href"]) for link in item["links"]]
    assert ("self", "https://host/a/item.json") in links
    assert [href for rel, href in links if rel == "derived_from"] == [
        "https://host/items/a",
        "https://host/items/b",
    ]
    assert [rel for rel, _ in links].count("license") == 1
    extensions = pystac.Item.from_dict(item).stac_extensions
    assert [name.split("/")[-3] for name in extensions] == ["eo", "projection"]


def test_assets_have_media_types_and_bands() -> None:
    assets = make()["assets"]
    assert {key: asset.get("type") for key, asset in assets.items()} == {
        "image": "image/tiff; application=geotiff",
        "view_q128": "image/png",
        "report": "application/x-thing",
        "odd": None,
    }
    assert assets["image"]["bands"] == [{"name": "red"}, {"name": "green"}]
    assert assets["view_q128"]["roles"] == ["visual", "overview"]


def test_what_is_not_known_is_left_out() -> None:
    item = make(cloud_cover=None, attribution=None)
    assert "eo:cloud_cover" not in item["properties"]
    assert "attribution" not in item["properties"]
    assert len(item["stac_extensions"]) == 1


def test_the_same_arguments_make_the_same_bytes() -> None:
    hobart = timezone(timedelta(hours=10))
    swapped = {"created": "2024-05-18T00:00:00Z", "estinel:valid_fraction": 0.5}
    again = make(when=WHEN.astimezone(hobart), properties=swapped)
    assert json.dumps(again) == json.dumps(make())


def test_a_datetime_without_time_zone_is_refused() -> None:
    with pytest.raises(BadInputError, match="time zone"):
        make(when=WHEN.replace(tzinfo=None))


def test_a_property_cannot_be_given_twice() -> None:
    with pytest.raises(BadInputError, match="eo:cloud_cover, license"):
        make(properties={"license": "MIT", "eo:cloud_cover": 1, "other": 2})
