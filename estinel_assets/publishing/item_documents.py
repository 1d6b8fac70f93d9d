"""The dataset index's document of a STAC item, with the fields that GRQ gives it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from estinel_assets.publishing.model import DIGEST, PUBLICATION, JsonObject
from estinel_assets.publishing.stac_rules import parse_time, span_of
from estinel_assets.stac.fields import as_list, as_mapping, as_text

DATASET = "stac_item"
LEVEL = "item"
SYSTEM_VERSION = "v1.0"


def document_id(item: Mapping[str, Any]) -> str:
    """Id of an item's document: items of two collections may have one id, documents may not."""
    return f"{item['id']}@{item['collection']}"


def item_document(item: Mapping[str, Any], *, version: str) -> JsonObject:
    """Describe an item as GRQ does.

    Args:
        item: as it is published: with its collection and absolute addresses.
        version: of the catalogue's route, where the item has none of its own; may be empty.

    Returns:
        The document. `location` and `creation_timestamp` are left out where the item has none;
        times are in UTC, with `Z`.
    """
    properties = as_mapping(item.get("properties"))
    item_id, collection = item["id"], item["collection"]
    hrefs = [as_text(as_mapping(asset).get("href")) for asset in _assets(item)]
    document: JsonObject = {
        "id": document_id(item),
        "objectid": item_id,
        "metadata": {
            name: value for name, value in properties.items() if name not in {PUBLICATION, DIGEST}
        },
        "dataset": DATASET,
        "ipath": f"{DATASET}/{item_id}",
        "system_version": SYSTEM_VERSION,
        "version": as_text(properties.get("version")) or version or SYSTEM_VERSION,
        "dataset_level": LEVEL,
        "dataset_type": collection,
        "urls": [href for href in hrefs if href],
        "browse_urls": [],
        "images": [],
        "prov": _provenance(item),
        "label": as_text(properties.get("title")) or item_id,
        "stac_version": item["stac_version"],
        "stac_item_id": item_id,
        "stac_collection": collection,
    }
    if item.get("geometry") is not None:
        document["location"] = item["geometry"]
    span = span_of(properties)
    if span is not None:
        document["starttime"], document["endtime"] = written(span.start), written(span.end)
    created = parse_time(properties.get("created"))
    if created is not None:
        document["creation_timestamp"] = written(created)
    return document


def written(when: datetime) -> str:
    """A time in UTC as `2023-01-01T00:06:00Z`."""
    return when.isoformat().replace("+00:00", "Z")


def _assets(item: Mapping[str, Any]) -> list[Any]:
    return list(as_mapping(item.get("assets")).values())


def _provenance(item: Mapping[str, Any]) -> JsonObject:
    links = [as_mapping(link) for link in as_list(item.get("links"))]
    sources = [link["href"] for link in links if link.get("rel") == "derived_from"]
    return {"wasDerivedFrom": sources} if sources else {}
