"""Longitude-latitude boxes and what becomes of them where a place crosses ±180°.

A box is (west, south, east, north) in degrees, EPSG:4326, with west ≤ east; a place that crosses
the antimeridian has two.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shapely import box, union_all
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from estinel_assets.errors import BadInputError
from estinel_assets.stac.fields import as_numbers

Box = tuple[float, float, float, float]
"""(west, south, east, north), degrees, EPSG:4326, west ≤ east."""


def check_boxes(boxes: Sequence[Box]) -> None:
    """Refuse boxes that no STAC API understands.

    Raises:
        BadInputError: there is none, or one is inverted or out of range.
    """
    if not boxes:
        raise BadInputError("a place needs at least one box (west, south, east, north)")
    for west, south, east, north in boxes:
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            raise BadInputError(
                f"({west}, {south}, {east}, {north}) is not a box (west, south, east, north) in "
                "degrees: split it in two where it crosses ±180°"
            )


def footprint(boxes: Sequence[Box]) -> tuple[dict[str, Any], list[float]]:
    """The GeoJSON geometry and bbox of a place.

    Args:
        boxes: one, or two where the place crosses ±180°.

    Returns:
        A Polygon with counter-clockwise ring, or a MultiPolygon of one polygon a box; and the
        bbox, whose west is greater than its east where the place crosses ±180°
        (RFC 7946, 3.1.6, 3.1.9 and 5.2).

    Raises:
        BadInputError: see `check_boxes`.
    """
    check_boxes(boxes)
    rings = [
        [[[w, s], [e, s], [e, n], [w, n], [w, s]]]
        for w, s, e, n in (map(float, corners) for corners in boxes)
    ]
    south = min(float(corners[1]) for corners in boxes)
    north = max(float(corners[3]) for corners in boxes)
    if len(boxes) == 1:
        west, east = float(boxes[0][0]), float(boxes[0][2])
        return {"type": "Polygon", "coordinates": rings[0]}, [west, south, east, north]
    touching_180 = [corners for corners in boxes if corners[2] == 180]
    touching_minus_180 = [corners for corners in boxes if corners[0] == -180]
    if touching_180 and touching_minus_180:
        west = min(float(corners[0]) for corners in touching_180)
        east = max(float(corners[2]) for corners in touching_minus_180)
    else:
        west = min(float(corners[0]) for corners in boxes)
        east = max(float(corners[2]) for corners in boxes)
    return {"type": "MultiPolygon", "coordinates": rings}, [west, south, east, north]


def geometry_of(item: Mapping[str, Any]) -> BaseGeometry | None:
    """An item's geometry, else its bbox, as shapely has it; None where neither is usable.

    Longitudes are as the item gives them, in degrees.
    """
    geometry = item.get("geometry")
    if isinstance(geometry, Mapping):
        try:
            return shape(dict(geometry))
        except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError):
            pass
    bbox = as_numbers(item.get("bbox"), (4, 6))
    if bbox is None:
        return None
    half = len(bbox) // 2
    west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
    if west > east:
        return union_all([box(west, south, 180, north), box(-180, south, east, north)])
    return box(west, south, east, north)


def centroid_longitude_deg(item: Mapping[str, Any]) -> float | None:
    """The longitude of an item's middle.

    The centroid is planar, in degrees; an item whose parts lie on both sides of ±180° is put
    together first.

    Returns:
        Degrees in [-180, 180), None where the item says nothing of its place.
    """
    geometry = geometry_of(item)
    if geometry is None or geometry.is_empty:
        return None
    west, _, east, _ = geometry.bounds
    if east - west > 180:
        # No scene is that wide: its western part lies beyond 180°.
        document = mapping(geometry)
        geometry = shape({**document, "coordinates": _unwrapped(document["coordinates"])})
    x = float(geometry.centroid.x)
    return (x + 180) % 360 - 180 if math.isfinite(x) else None


def _unwrapped(coordinates: Any) -> Any:
    if coordinates and isinstance(coordinates[0], int | float):
        x, *rest = coordinates
        return (x + 360 if x < 0 else x, *rest)
    return [_unwrapped(part) for part in coordinates]
