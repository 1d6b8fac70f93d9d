"""Documents of a catalogue as they are published: for the API, and as a static catalogue."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from estinel_assets.publishing.item_documents import written
from estinel_assets.publishing.model import DIGEST, PUBLICATION, JsonObject
from estinel_assets.publishing.scanned import Placement
from estinel_assets.publishing.stac_documents import digest_of
from estinel_assets.publishing.stac_hrefs import (
    STRUCTURE,
    CatalogRoot,
    LocalHref,
    OutsideHref,
    published_href,
    relative_href,
    resolve,
)
from estinel_assets.publishing.stac_rules import positions_of, span_of
from estinel_assets.publishing.stac_validation import STAC_VERSION, VERSION_EXTENSION
from estinel_assets.stac.fields import as_list, as_mapping, as_numbers, as_text

_GEOJSON = "application/geo+json"
_VERSION_RELATIONS = frozenset({"predecessor-version", "successor-version", "latest-version"})
_MADE_BY_API = STRUCTURE | {"next", "prev"}
_NUMBERED = re.compile(r"(?P<start>.*-v)(?P<number>\d+)")
_OF_THE_FILE = ("file:size", "file:checksum")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the documents of one catalogue go."""

    root: CatalogRoot
    placement: Placement
    rewritten: Container[str] = ()
    """Documents whose published copies differ from the files, by relative path."""

    @property
    def url(self) -> str:
        """Address of the place."""
        return self.placement.urls[0]


def published_item(
    item: Mapping[str, Any], *, document: str, collection: str, target: Target
) -> JsonObject:
    """Make the item that goes to the API.

    Args:
        item: of STAC 1.1.
        document: its path, relative to the catalogue's folder.
        collection: that it is published in.
        target: where it goes.

    Returns:
        The item with id, absolute addresses, owner and digest, without the links that the API
        makes itself.
    """
    suffix = target.placement.suffix
    properties = {**as_mapping(item.get("properties")), PUBLICATION: target.placement.publication}
    properties.pop(DIGEST, None)
    made: JsonObject = {
        **item,
        "id": f"{item['id']}{suffix}",
        "collection": collection,
        "properties": properties,
        "links": _kept_links(item, document=document, target=target),
        "assets": _published_assets(item, document=document, target=target),
    }
    if suffix:
        _mark_version(made, document=document, target=target)
    properties[DIGEST] = digest_of(made)
    return made


def published_collection(
    collection: Mapping[str, Any], *, document: str, target: Target
) -> JsonObject:
    """Make the collection that goes to the API; see `published_item`."""
    made = {**collection, "links": _kept_links(collection, document=document, target=target)}
    if "assets" in collection:
        made["assets"] = _published_assets(collection, document=document, target=target)
    return made


def _mark_version(item: JsonObject, *, document: str, target: Target) -> None:
    suffix = target.placement.suffix
    numbered = _NUMBERED.fullmatch(suffix)
    item["properties"]["version"] = numbered["number"] if numbered else suffix.lstrip("-")
    item["stac_extensions"] = list(
        dict.fromkeys([*as_list(item.get("stac_extensions")), VERSION_EXTENSION])
    )
    links = [link for link in item["links"] if link["rel"] not in _VERSION_RELATIONS]
    place = target.url.rstrip("/")
    if numbered and place.endswith(suffix):
        number = int(numbered["number"]) - 1
        former = f"{numbered['start']}{number}" if number > 1 else ""
        href = published_href(document, url=place.removesuffix(suffix) + former)
        links.append({"rel": "predecessor-version", "href": href, "type": _GEOJSON})
    item["links"] = links


def _kept_links(source: Mapping[str, Any], *, document: str, target: Target) -> list[JsonObject]:
    """Links that an API does not make itself, and that lead somewhere."""
    kept = []
    for link in map(as_mapping, as_list(source.get("links"))):
        href = as_text(link.get("href"))
        if href is None or link.get("rel") in _MADE_BY_API:
            continue
        meant = resolve(href, document=document, root=target.root)
        if isinstance(meant, LocalHref):
            if not (target.root.folder / meant.relative).exists():
                continue
            link = {**link, "href": published_href(meant.relative, url=target.url)}
        elif isinstance(meant, OutsideHref):
            continue
        kept.append(dict(link))
    return kept


def _published_assets(source: Mapping[str, Any], *, document: str, target: Target) -> JsonObject:
    made: JsonObject = {}
    for key, asset in as_mapping(source.get("assets")).items():
        meant = resolve(asset["href"], document=document, root=target.root)
        made[key] = dict(asset)
        if isinstance(meant, LocalHref):
            made[key]["href"] = published_href(meant.relative, url=target.url)
            if meant.relative in target.rewritten:
                _forget_file(made[key])
    return made


def _forget_file(asset: JsonObject) -> None:
    """A document that is written anew has another size and checksum."""
    for name in _OF_THE_FILE:
        asset.pop(name, None)


def static_document(
    source: Mapping[str, Any], *, document: str, root: CatalogRoot, rewritten: Container[str]
) -> JsonObject:
    """Make a document of an absolute catalogue work wherever the catalogue stands.

    Args:
        source: the document, of whatever version.
        document: its path, relative to the catalogue's folder.
        root: of the catalogue.
        rewritten: documents that are made anew so.

    Returns:
        The document with relative addresses for all files of the catalogue, and no link `self`.
    """
    made = dict(source)
    links = []
    for link in map(as_mapping, as_list(source.get("links"))):
        href = as_text(link.get("href"))
        meant = resolve(href, document=document, root=root) if href else None
        if isinstance(meant, LocalHref) and meant.absolute:
            if link.get("rel") == "self":
                continue
            link = {**link, "href": relative_href(meant.relative, document=document)}
        links.append(dict(link))
    made["links"] = links
    if isinstance(source.get("assets"), Mapping):
        made["assets"] = {
            key: _static_asset(asset, document=document, root=root, rewritten=rewritten)
            for key, asset in source["assets"].items()
        }
    return made


def _static_asset(
    asset: Any, *, document: str, root: CatalogRoot, rewritten: Container[str]
) -> Any:
    href = as_text(as_mapping(asset).get("href"))
    meant = resolve(href, document=document, root=root) if href else None
    if not isinstance(meant, LocalHref):
        return asset
    made = dict(asset)
    if meant.absolute:
        made["href"] = relative_href(meant.relative, document=document)
    if meant.relative in rewritten:
        _forget_file(made)
    return made


class Extent:
    """Where and when the items of a collection are, for a collection that is made here."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._box: tuple[float, float, float, float] | None = None
        self._start: datetime | None = None
        self._end: datetime | None = None

    def add(self, item: Mapping[str, Any]) -> None:
        """Widen it by an item."""
        box = _box_of(item)
        if box is not None:
            mine = self._box or box
            self._box = (
                min(mine[0], box[0]),
                min(mine[1], box[1]),
                max(mine[2], box[2]),
                max(mine[3], box[3]),
            )
        span = span_of(as_mapping(item.get("properties")))
        if span is not None:
            self._start = min(self._start or span.start, span.start)
            self._end = max(self._end or span.end, span.end)

    def collection(self, catalog: Mapping[str, Any]) -> JsonObject:
        """A collection for items that name none.

        Args:
            catalog: root document of their catalogue, whose id and texts it gets.
        """
        made: JsonObject = {
            "type": "Collection",
            "stac_version": STAC_VERSION,
            "stac_extensions": [],
            "id": catalog["id"],
            "description": catalog["description"],
            "license": "other",
            "extent": {
                "spatial": {"bbox": [list(self._box or (-180.0, -90.0, 180.0, 90.0))]},
                "temporal": {
                    "interval": [[_written_or_none(self._start), _written_or_none(self._end)]]
                },
            },
            "links": [],
        }
        title = as_text(catalog.get("title"))
        return {**made, "title": title} if title else made


def _written_or_none(when: datetime | None) -> str | None:
    return written(when) if when is not None else None


def _box_of(item: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """West, south, east, north; the whole circle where the place crosses ±180°."""
    box = as_numbers(item.get("bbox"), (4, 6))
    if box is not None:
        half = len(box) // 2
        west, south, east, north = box[0], box[1], box[half], box[half + 1]
        return (west, south, east, north) if west <= east else (-180.0, south, 180.0, north)
    points = [position[:2] for position in positions_of(as_mapping(item.get("geometry")))]
    if not points:
        return None
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return min(xs), min(ys), max(xs), max(ys)
