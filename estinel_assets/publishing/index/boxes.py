"""The box around a GeoJSON geometry, on a globe whose longitudes go round.

A ring's edges are straight in longitude and latitude, as RFC 7946 has it, with one exception, which
Elasticsearch makes for GRQ as well: a ring that runs clockwise on the plane and has an edge longer
than 180° runs counter-clockwise, as it should, on the globe, and crosses ±180° there.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from estinel_assets.publishing.index.errors import FieldError

_TURN = 360.0
_HALF_TURN = 180.0
_FARTHEST = 360.0
_ROW = (list, tuple)
"""Of positions or numbers; a tuple becomes a list in JSON."""
_DEPTH = {
    "point": 0,
    "multipoint": 1,
    "linestring": 1,
    "multilinestring": 2,
    "polygon": 2,
    "multipolygon": 3,
}
"""How deep the positions of a geometry's coordinates lie."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box of longitudes and latitudes, degrees, EPSG:4326."""

    west: float
    """From -180 to 180."""
    south: float
    east: float
    """Not less than the west, and so beyond 180 where the box crosses that meridian."""
    north: float

    def windows(self) -> tuple[tuple[float, float], ...]:
        """West and east of this box, counted from every turn on which another may overlap it."""
        return tuple((self.west + turn, self.east + turn) for turn in (-_TURN, 0.0, _TURN))


@dataclass(frozen=True, slots=True)
class _Part:
    west: float
    east: float
    south: float
    north: float


def box_of(location: Mapping[str, Any]) -> Box | None:
    """The smallest box around a geometry.

    Args:
        location: GeoJSON geometry; the type in upper or lower case, as GRQ takes it, or
            `envelope`. A `bbox` in it counts where it says that the geometry crosses ±180°.

    Returns:
        None for a geometry without any position.

    Raises:
        FieldError: it is no geometry, or lies off the globe; says what is wrong.
    """
    crossing = _crossing(location.get("bbox"))
    if crossing is not None:
        return crossing
    parts = list(_parts(location))
    if not parts:
        return None
    west, east = _around((part.west, part.east) for part in parts)
    return Box(west, min(part.south for part in parts), east, max(part.north for part in parts))


def box(west: float, south: float, east: float, north: float) -> Box:
    """A box from its four sides, degrees.

    Args:
        west: greater than `east` where the box crosses ±180°.
        south: lower latitude.
        east: longitude.
        north: upper latitude.

    Raises:
        FieldError: a side is no number or off the globe, or the south is north of the north.
    """
    for longitude in (west, east):
        _check(longitude, _FARTHEST, "longitude")
    for latitude in (south, north):
        _check(latitude, 90.0, "latitude")
    if south > north:
        raise FieldError(f"its south {south} is north of its north {north}")
    spanned = _around([(float(west), float(east + _TURN if west > east else east))])
    return Box(spanned[0], float(south), spanned[1], float(north))


def _crossing(bbox: Any) -> Box | None:
    """The box that a `bbox` describes, where it crosses ±180°."""
    if not isinstance(bbox, _ROW) or len(bbox) not in (4, 6):
        return None
    half = len(bbox) // 2
    for longitude in (bbox[0], bbox[half]):
        _check(longitude, _FARTHEST, "longitude")
    if bbox[0] <= bbox[half]:
        return None
    return box(bbox[0], bbox[1], bbox[half], bbox[half + 1])


def _parts(geometry: Mapping[str, Any]) -> Iterator[_Part]:
    kind = str(geometry.get("type", "")).lower()
    if kind == "geometrycollection":
        members = geometry.get("geometries")
        if not isinstance(members, _ROW):
            raise FieldError("a GeometryCollection has no list of geometries")
        for member in members:
            if not isinstance(member, Mapping):
                raise FieldError(f"a GeometryCollection holds {member!r:.50}, which is no geometry")
            yield from _parts(member)
        return
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, _ROW):
        raise FieldError("it has no list of coordinates")
    if kind == "envelope":
        yield _envelope(coordinates)
        return
    if kind not in _DEPTH:
        raise FieldError(f"its type {geometry.get('type')!r} is none of GeoJSON's geometries")
    if kind == "multipoint":
        kind, coordinates = "multilinestring", [[position] for position in coordinates]
    polygon = kind.endswith("polygon")
    for line in _lines(coordinates, _DEPTH[kind]):
        yield _part(line, polygon=polygon)


def _lines(coordinates: Sequence[Any], depth: int) -> Iterator[list[tuple[float, float]]]:
    """The rows of positions in coordinates; a lone point is a row of one."""
    if depth == 0:
        yield [_position(coordinates)]
    elif depth == 1:
        if coordinates:
            yield [_position(position) for position in coordinates]
    else:
        for member in coordinates:
            if not isinstance(member, _ROW):
                raise FieldError(f"its coordinates hold {member!r:.50} in place of a list")
            yield from _lines(member, depth - 1)


def _position(position: Any) -> tuple[float, float]:
    if not isinstance(position, _ROW) or len(position) < 2:
        raise FieldError(f"its coordinates hold {position!r:.50} in place of a position")
    _check(position[0], _FARTHEST, "longitude")
    _check(position[1], 90.0, "latitude")
    return float(position[0]), float(position[1])


def _check(value: Any, farthest: float, name: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value) > farthest:
        raise FieldError(f"{value!r:.50} is no {name} in degrees")


def _envelope(coordinates: Sequence[Any]) -> _Part:
    """Elasticsearch's rectangle: its upper left and lower right corners."""
    if len(coordinates) != 2:
        raise FieldError("an envelope has two corners")
    (west, north), (east, south) = map(_position, coordinates)
    around = box(west, south, east, north)
    return _Part(around.west, around.east, around.south, around.north)


def _part(positions: list[tuple[float, float]], *, polygon: bool) -> _Part:
    if polygon and _crosses(positions):
        positions = [(x + _TURN if x < 0 else x, y) for x, y in positions]
    longitudes = [x for x, _ in positions]
    latitudes = [y for _, y in positions]
    return _Part(min(longitudes), max(longitudes), min(latitudes), max(latitudes))


def _crosses(ring: list[tuple[float, float]]) -> bool:
    longest = max((abs(b[0] - a[0]) for a, b in pairwise(ring)), default=0.0)
    if not _HALF_TURN < longest < _TURN:
        return False
    # Twice the area on the plane, by the shoelace formula: negative for a clockwise ring.
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairwise([*ring, ring[0]])) < 0


def _around(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The shortest span of longitudes that covers others: all but the widest gap between them."""
    ordered = sorted(_from_west(west, east) for west, east in spans)
    farthest = max(east for _, east in ordered)
    reached = farthest - _TURN
    widest, found = 0.0, (-_HALF_TURN, _HALF_TURN)
    for number, (west, east) in enumerate(ordered):
        if west - reached > widest:
            widest = west - reached
            found = west, farthest if number == 0 else reached + _TURN
        reached = max(reached, east)
    return found


def _from_west(west: float, east: float) -> tuple[float, float]:
    """The same span, counted so that its west lies from -180° to 180°."""
    if west > _HALF_TURN:
        return west - _TURN, east - _TURN
    if west < -_HALF_TURN:
        return west + _TURN, east + _TURN
    return west, east
