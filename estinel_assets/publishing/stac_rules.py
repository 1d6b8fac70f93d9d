"""What STAC asks of ids, times and places beyond its schemas."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shapely.errors import ShapelyError
from shapely.geometry import shape

from estinel_assets.publishing.stac_documents import Problem
from estinel_assets.stac.fields import as_numbers

MAX_ID_BYTES = 512
"""Longest id, as UTF-8."""
_UNUSABLE_IN_ID = re.compile(r"[\x00-\x1f\x7f/\\?#%]")
_RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]00:00)")
_SLACK_DEG = 1.0
"""Pixels at the edge of a global grid reach this far beyond ±180°."""
_ROUNDING_DEG = 1e-6


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, UTC."""

    start: datetime
    end: datetime


def id_problem(value: object) -> str | None:
    """Why an id cannot stand in a URL; None where it can."""
    if not isinstance(value, str) or not value:
        return "the id is not a text"
    shown = value if len(value) <= 80 else f"{value[:80]}…"
    if len(value.encode()) > MAX_ID_BYTES:
        return f"the id {shown} has more than {MAX_ID_BYTES} bytes: shorten it"
    if _UNUSABLE_IN_ID.search(value) or value != value.strip() or value in {".", ".."}:
        return (
            f"the id {shown!r} cannot stand in a URL: use letters, digits and characters other "
            "than / \\ ? # %, without spaces at the ends"
        )
    return None


def parse_time(value: object) -> datetime | None:
    """A time as STAC writes it (RFC 3339, UTC); None for anything else."""
    if not isinstance(value, str) or not _RFC3339_UTC.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except ValueError:  # such as month 13
        return None


def span_of(properties: Mapping[str, Any]) -> Span | None:
    """When an item was: `start_datetime` to `end_datetime`, else `datetime`."""
    start = parse_time(properties.get("start_datetime")) or parse_time(properties.get("datetime"))
    end = parse_time(properties.get("end_datetime")) or start
    return Span(start, end) if start is not None and end is not None else None


def time_problems(item: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with an item's times."""
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        return
    for name in ("datetime", "start_datetime", "end_datetime", "created", "updated"):
        value = properties.get(name)
        if isinstance(value, str) and parse_time(value) is None:
            yield Problem(
                f"/properties/{name}",
                f"{value[:60]!r} is not a time: write it in UTC, such as 2023-01-01T00:00:00Z",
            )
    start = parse_time(properties.get("start_datetime"))
    end = parse_time(properties.get("end_datetime"))
    if properties.get("datetime", "") is None and (start is None or end is None):
        yield Problem("/properties/datetime", "null needs start_datetime and end_datetime")
    if start is not None and end is not None and start > end:
        yield Problem("/properties/end_datetime", "the end is before the start: swap the two")


def place_problems(item: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with an item's geometry and bbox, both of which passed the schema."""
    geometry = item.get("geometry")
    if isinstance(geometry, Mapping):
        yield from _geometry_problems(geometry)
    box = as_numbers(item.get("bbox"), (4, 6))
    if box is None:
        return
    if what := box_problem(box):
        yield Problem("/bbox", what)


def box_problem(box: list[float]) -> str | None:
    """What is wrong with a bbox of 4 or 6 numbers; west may be greater than east."""
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    if any(_out_of_range(x, y) for x, y in ((west, south), (east, north))):
        return f"{box} is out of range: write degrees, [west, south, east, north]"
    if south > north or (half == 3 and box[2] > box[5]):
        return f"{box} is upside down: write [west, south, east, north]"
    return None


def _out_of_range(longitude: float, latitude: float) -> bool:
    return abs(longitude) > 180 + _SLACK_DEG or abs(latitude) > 90


def _geometry_problems(geometry: Mapping[str, Any]) -> Iterator[Problem]:
    positions = 0
    for position in positions_of(geometry):
        positions += 1
        if len(position) < 2 or _out_of_range(position[0], position[1]):
            shown = position[:3]
            yield Problem(
                "/geometry/coordinates",
                f"{shown} is out of range: write [longitude, latitude] in degrees",
            )
            return
    if not positions:
        yield Problem("/geometry", "it has no coordinates: write null where the place is unknown")
        return
    for ring in _rings_of(geometry):
        if len(ring) < 4 or ring[0] != ring[-1]:
            yield Problem(
                "/geometry/coordinates", "a ring is not closed: repeat its first position"
            )
            return
    if _as_shape(geometry) is None:
        yield Problem("/geometry", "it cannot be read as a geometry: write GeoJSON (RFC 7946)")


def place_warnings(item: Mapping[str, Any]) -> Iterator[str]:
    """What is odd about an item's geometry and bbox, where nothing is wrong."""
    geometry = item.get("geometry")
    found = _as_shape(geometry) if isinstance(geometry, Mapping) else None
    if found is None:
        return
    if not found.is_valid:
        yield "the geometry crosses itself, and some searches will not find it"
    box = as_numbers(item.get("bbox"), (4, 6))
    if box is None:
        return
    half = len(box) // 2
    west, south, east, north = found.bounds
    lower, upper = _ROUNDING_DEG, -_ROUNDING_DEG
    out = south < box[1] - lower or north > box[half + 1] - upper
    if box[0] <= box[half]:
        out = out or west < box[0] - lower or east > box[half] - upper
    if out:
        yield "the geometry reaches out of the bbox"


def _as_shape(geometry: Mapping[str, Any]) -> Any:
    try:
        return shape(dict(geometry))
    except (ShapelyError, ValueError, TypeError, LookupError, AttributeError):
        return None


def positions_of(geometry: Mapping[str, Any]) -> Iterator[list[float]]:
    """All positions of a GeoJSON geometry: lists that begin with longitude and latitude."""
    waiting: list[Any] = [geometry]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += [part.get("coordinates"), *_listed(part.get("geometries"))]
        elif isinstance(part, list) and part and _is_number(part[0]):
            yield [float(number) if _is_number(number) else math.inf for number in part]
        elif isinstance(part, list):
            waiting += part


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _rings_of(geometry: Mapping[str, Any]) -> Iterator[list[Any]]:
    coordinates = _listed(geometry.get("coordinates"))
    match geometry.get("type"):
        case "Polygon":
            yield from (_listed(ring) for ring in coordinates)
        case "MultiPolygon":
            for polygon in coordinates:
                yield from (_listed(ring) for ring in _listed(polygon))
        case "GeometryCollection":
            for part in _listed(geometry.get("geometries")):
                if isinstance(part, Mapping):
                    yield from _rings_of(part)
