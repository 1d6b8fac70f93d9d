"""Documents as they come back, and whether two of them say the same.

APIs reshape what they are given. What `returned` restores, and what only `same_document` can see
through, because it is lost:

- links that an API makes itself (self, root, parent, collection, items) go; pgstac also keeps no
  `item` and no `child`;
- pgstac leaves out every member that is null, and makes a relative link absolute;
- stac-fastapi writes the times of an item's core fields and of a collection's extent in UTC with
  microseconds, and addresses of extensions in their normal form;
- PostGIS keeps of a geometry only its type and its coordinates;
- stac-fastapi drops members that it does not know from single items, from a collection's extent,
  and from those summaries that are ranges; these are compared where both documents have them;
- integers of more than 64 bits come back as floating-point numbers.
"""

import re
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urljoin

from pydantic import AnyUrl, TypeAdapter, ValidationError

JsonObject = dict[str, Any]

QUERYABLES: Final = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
GENERATED: Final = frozenset({"self", "root", "parent", "collection", "items", QUERYABLES})
"""Links that APIs make themselves."""
_NOT_COMPARED: Final = GENERATED | {"item", "child"}
_ADDED: Final = ("pgstac:base_item",)
_TIMES: Final = ("datetime", "start_datetime", "end_datetime", "created", "updated")
_GEOMETRY: Final = ("type", "coordinates", "geometries")
_ITEM: Final = frozenset(
    {"type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "properties"}
    | {"links", "assets", "collection"}
)
_EXTENT: Final = frozenset({"spatial", "temporal"})
_RANGE: Final = frozenset({"minimum", "maximum"})
_FINER_THAN_MICROSECONDS: Final = re.compile(r"(\.\d{6})\d+")
_LARGEST_INTEGER: Final = 2**64 - 1
_ADDRESS: Final = TypeAdapter(AnyUrl)


def returned(document: Mapping[str, Any]) -> JsonObject:
    """A collection or item as it was written, from what the API gives.

    Args:
        document: from the API; it is left alone.

    Returns:
        It without links that APIs make; an item always has `assets` and a `datetime`.
    """
    restored = {name: value for name, value in document.items() if name not in _ADDED}
    links = document.get("links")
    restored["links"] = [
        link
        for link in (links if isinstance(links, list) else ())
        if not (isinstance(link, dict) and link.get("rel") in GENERATED)
    ]
    if document.get("type") == "Feature":
        restored.setdefault("geometry", None)
        restored.setdefault("assets", {})
        properties = document.get("properties")
        if isinstance(properties, dict) and "datetime" not in properties:
            restored["properties"] = {**properties, "datetime": None}
    return restored


def same_document(one: Mapping[str, Any], other: Mapping[str, Any], *, root: str = "") -> bool:
    """Whether two collections, or two items, say the same, whatever an API made of their form.

    Args:
        one: as written, or as an API gives it.
        other: likewise.
        root: address of the API, against which it makes relative addresses absolute.
    """
    return difference(one, other, root=root) is None


def difference(one: Mapping[str, Any], other: Mapping[str, Any], *, root: str = "") -> str | None:
    """Where two collections, or two items, first differ, such as `properties.gsd`.

    Args:
        one: see `same_document`.
        other: see `same_document`.
        root: see `same_document`.

    Returns:
        None where they say the same.
    """
    base = f"{root.rstrip('/')}/" if root else ""
    left, right = _normal(one, base), _normal(other, base)
    _drop_unknown(left, right)
    return _path(left, right, "")


def _path(one: Any, other: Any, above: str) -> str | None:
    if one == other:
        return None
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys(), key=str):
            path = f"{above}.{name}" if above else str(name)
            if name not in one or name not in other:
                return path
            if (found := _path(one[name], other[name], path)) is not None:
                return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            if (found := _path(left, right, f"{above}[{number}]")) is not None:
                return found
    return above


def _normal(document: Mapping[str, Any], base: str) -> JsonObject:
    normal: JsonObject = _plain(document)
    for name in _ADDED:
        normal.pop(name, None)
    links = [
        _addressed(link, base)
        for link in normal.get("links") or ()
        if not (isinstance(link, dict) and link.get("rel") in _NOT_COMPARED)
    ]
    normal["links"] = links
    normal["stac_extensions"] = [_address(url) for url in normal.get("stac_extensions") or ()]
    assets = normal.get("assets")
    normal["assets"] = {
        name: _addressed(_without_empty(asset), base)
        for name, asset in (assets if isinstance(assets, dict) else {}).items()
    }
    properties = normal.get("properties")
    if isinstance(properties, dict):
        normal["properties"] = {
            name: _instant(value) if name in _TIMES else value for name, value in properties.items()
        }
    geometry = normal.get("geometry")
    if isinstance(geometry, dict):
        normal["geometry"] = {name: geometry[name] for name in _GEOMETRY if name in geometry}
    extent = normal.get("extent")
    if isinstance(extent, dict):
        normal["extent"] = _extent(extent)
    return normal


def _drop_unknown(one: JsonObject, other: JsonObject) -> None:
    """Where only one document has a member that an API may drop, leave it out."""
    if one.get("type") == "Feature":
        _only_shared(one, other, _ITEM)
    extent, other_extent = one.get("extent"), other.get("extent")
    if isinstance(extent, dict) and isinstance(other_extent, dict):
        _only_shared(extent, other_extent, _EXTENT)
        for name, known in (("spatial", {"bbox"}), ("temporal", {"interval"})):
            _only_shared(extent.get(name), other_extent.get(name), known)
    summaries, other_summaries = one.get("summaries"), other.get("summaries")
    if isinstance(summaries, dict) and isinstance(other_summaries, dict):
        for name, summary in summaries.items():
            if isinstance(summary, dict) and summary.keys() >= _RANGE:
                _only_shared(summary, other_summaries.get(name), _RANGE)


def _only_shared(one: Any, other: Any, known: Set[str]) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in (one.keys() ^ other.keys()) - known:
            one.pop(name, None)
            other.pop(name, None)


def _plain(value: Any) -> Any:
    """Without members that are null; tuples are lists, and large integers numbers."""
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def _without_empty(asset: Any) -> Any:
    """Without the empty objects that pgstac leaves out where `item_assets` has them too."""
    if not isinstance(asset, dict):
        return asset
    return {name: _without_empty(member) for name, member in asset.items() if member != {}}


def _addressed(holder: Any, base: str) -> Any:
    if not isinstance(holder, dict) or not isinstance(href := holder.get("href"), str) or not base:
        return holder
    try:
        return {**holder, "href": urljoin(base, href)}
    except ValueError:  # such as a host with one bracket
        return holder


def _address(url: Any) -> Any:
    try:
        return str(_ADDRESS.validate_python(url))
    except ValidationError:
        return url


def _instant(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        instant = datetime.fromisoformat(_FINER_THAN_MICROSECONDS.sub(r"\1", value))
    except ValueError:
        return value
    if instant.tzinfo is None:
        return value
    try:
        return instant.astimezone(UTC).isoformat()
    except OverflowError:  # in the year 1 or 9999
        return value


def _extent(extent: JsonObject) -> JsonObject:
    temporal = extent.get("temporal")
    if not isinstance(temporal, dict) or not isinstance(temporal.get("interval"), list):
        return extent
    interval = [
        [_instant(end) for end in ends] if isinstance(ends, Sequence) else ends
        for ends in temporal["interval"]
    ]
    return {**extent, "temporal": {**temporal, "interval": interval}}
