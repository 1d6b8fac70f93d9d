"""Footprints and search areas on the globe, made fit for planar tests.

Longitudes run from -180° to 180°. Whatever crosses the antimeridian is cut in two there, as
RFC 7946 (3.1.9) asks of GeoJSON; what comes uncut (longitudes beyond 180°, boxes whose west is
greater than their east) is cut here, so that a planar intersection is the one on the globe.
Heights are ignored.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic_core import PydanticSerializationError, to_json
from shapely.geometry.base import BaseGeometry

from estinel_assets.errors import BadInputError

Box = tuple[float, float, float, float]
"""(west, south, east, north) in degrees, west ≤ east."""

GEOMETRY_TYPES: Final = (
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
)
_MAX_LONGITUDE: Final = 540.0


def area_of_bbox(bbox: Sequence[float]) -> BaseGeometry:
    """The search area of a STAC bounding box.

    Args:
        bbox: west, south, east, north in degrees, or the same with heights (west, south, lowest,
            east, north, highest). A west greater than the east crosses ±180°.

    Returns:
        One or two boxes; a line or a point where the box has no width or no height.

    Raises:
        BadInputError: wrong count, not finite, out of range, or south above north.
    """
    problem = "bbox"
    if len(bbox) not in (4, 6):
        raise BadInputError(f"{problem}: {len(bbox)} numbers were given, it takes 4 or 6")
    if not all(math.isfinite(number) for number in bbox):
        raise BadInputError(f"{problem}: {list(bbox)} holds a number that is not finite")
    half = len(bbox) // 2
    west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
    if len(bbox) == 6 and bbox[2] > bbox[5]:
        raise BadInputError(
            f"{problem}: the lowest height {bbox[2]} is above the highest {bbox[5]}"
        )
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        raise BadInputError(f"{problem}: west {west} and east {east} must lie within ±180°")
    if not (-90 <= south <= 90 and -90 <= north <= 90):
        raise BadInputError(f"{problem}: south {south} and north {north} must lie within ±90°")
    if south > north:
        raise BadInputError(f"{problem}: south {south} is above north {north}")
    if west <= east:
        return _rectangle((west, south, east, north))
    return shapely.union_all(
        [_rectangle((west, south, 180.0, north)), _rectangle((-180.0, south, east, north))]
    )


def area_of_geojson(geojson: Mapping[str, object]) -> BaseGeometry:
    """The search area of a GeoJSON geometry (`intersects`).

    Raises:
        BadInputError: no geometry, empty, out of range, or invalid (such as a ring that crosses
            itself): its area would be anybody's guess.
    """
    try:
        geometry = _read(geojson)
    except ValueError as error:
        raise BadInputError(f"intersects: {error}") from error
    if geometry.is_empty:
        raise BadInputError("intersects: the geometry is empty")
    if not geometry.is_valid:
        reason = shapely.is_valid_reason(geometry)
        raise BadInputError(f"intersects: the geometry is invalid ({reason})")
    return fold(geometry)


def footprint(geojson: Mapping[str, object] | None, bbox: object = None) -> BaseGeometry | None:
    """The footprint of an item, as searches test it.

    A ring that crosses itself is repaired. Where the item's bbox says that it crosses ±180° (its
    west is greater than its east), a polygon wider than half the globe is taken as one whose
    ring jumps from 179° to -179°, a common way of writing such a footprint.

    Args:
        geojson: the item's geometry.
        bbox: the item's bbox.

    Returns:
        None for an item without a place: no spatial search finds it.

    Raises:
        ValueError: the geometry cannot be read; the message says why.
    """
    if geojson is None:
        return None
    geometry = _read(geojson)
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    if geometry.is_empty:
        return None
    if _crosses(bbox):
        geometry = shapely.union_all([_unwrapped(part) for part in shapely.get_parts(geometry)])
    return fold(geometry)


def fold(geometry: BaseGeometry) -> BaseGeometry:
    """Bring longitudes beyond ±180° back, cutting the geometry at the antimeridian."""
    west, _, east, _ = geometry.bounds
    if west >= -180 and east <= 180:
        return geometry
    globe = shapely.box(-180, -90, 180, 90)
    turned = (_shifted(geometry, turn) for turn in (0.0, 360.0, -360.0))
    return shapely.union_all([shapely.intersection(part, globe) for part in turned])


def boxes(geometry: BaseGeometry) -> list[Box]:
    """One or two boxes that cover a folded geometry; two where it reaches ±180° on both sides."""
    bounds = shapely.bounds(geometry)
    if bounds[2] - bounds[0] <= 180:
        return [_box(bounds)]
    parts = shapely.bounds(shapely.get_parts(geometry))
    eastern = parts[:, 0] + parts[:, 2] >= 0
    halves = [half for half in (parts[eastern], parts[~eastern]) if len(half)]
    return [
        _box(np.concatenate((half[:, :2].min(axis=0), half[:, 2:].max(axis=0)))) for half in halves
    ]


def _box(bounds: NDArray[np.float64]) -> Box:
    west, south, east, north = (float(number) for number in bounds)
    return west, south, east, north


def _rectangle(box: Box) -> BaseGeometry:
    west, south, east, north = box
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    if west == east and south == north:
        return shapely.Point(west, south)
    return shapely.LineString([(west, south), (east, north)])


def _read(geojson: Mapping[str, object]) -> BaseGeometry:
    kind = geojson.get("type")
    if kind not in GEOMETRY_TYPES:
        raise ValueError(f"its type is {kind!r}, it must be one of {', '.join(GEOMETRY_TYPES)}")
    try:
        geometry = shapely.force_2d(shapely.from_geojson(to_json(geojson)))
    except (shapely.errors.GEOSException, PydanticSerializationError) as error:
        raise ValueError(f"it cannot be read as a GeoJSON {kind} ({error})") from error
    coordinates = shapely.get_coordinates(geometry)
    if not np.isfinite(coordinates).all():
        raise ValueError("it holds a coordinate that is not finite")
    if (np.abs(coordinates) > (_MAX_LONGITUDE, 90)).any():
        raise ValueError("it holds a position that is no longitude and latitude in degrees")
    return geometry


def _crosses(bbox: object) -> bool:
    if not isinstance(bbox, Sequence) or len(bbox) not in (4, 6):
        return False
    west, east = bbox[0], bbox[len(bbox) // 2]
    return isinstance(west, int | float) and isinstance(east, int | float) and west > east


def _unwrapped(part: BaseGeometry) -> BaseGeometry:
    west, _, east, _ = part.bounds
    if east - west <= 180 or west < -180 or east > 180:
        return part
    unwrapped = shapely.transform(
        part,
        lambda xy: np.column_stack((np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1])),
    )
    return unwrapped if unwrapped.is_valid else shapely.make_valid(unwrapped)


def _shifted(geometry: BaseGeometry, turn: float) -> BaseGeometry:
    return shapely.transform(geometry, lambda xy: xy + np.array([turn, 0.0]))
