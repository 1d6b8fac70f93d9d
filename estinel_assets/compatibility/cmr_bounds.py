"""The bounds of a granule from the geometry in its metadata.

UMM-G describes a granule's place by any number of rectangles, polygons, lines and points in
degrees, EPSG:4326. A granule that crosses the antimeridian often comes as two rectangles that touch
it from both sides; the plain minimum and maximum would span the world and put the granule's middle
where it has no pixel. So longitudes are joined on the circle: the bounds leave out the widest gap.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from estinel_assets.compatibility.cmr_json import Json, mappings, number, section
from estinel_assets.compatibility.source import Bounds


def granule_bounds(umm: Mapping[str, Json]) -> Bounds | None:
    """The smallest box around all that a granule's metadata places on the map.

    Args:
        umm: the granule, UMM-G.

    Returns:
        West, south, east, north; west > east across the antimeridian. None where the metadata
        gives no area, as for granules that are described by their orbit, and parts of it that lie
        off the globe are left out.
    """
    geometry = section(umm, "SpatialExtent", "HorizontalSpatialDomain", "Geometry")
    return union(_parts(geometry))


def union(parts: Iterable[Bounds]) -> Bounds | None:
    """The smallest box around several; None of none."""
    boxes = list(parts)
    if len(boxes) < 2:
        return boxes[0] if boxes else None
    west, east = _join([(box[0], box[2]) for box in boxes])
    return west, min(box[1] for box in boxes), east, max(box[3] for box in boxes)


def _join(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """The shortest span of longitudes that covers all; west > east across the antimeridian."""
    merged: list[tuple[float, float]] = []
    for west, east in sorted(_arc(*span) for span in spans):
        if merged and west <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], east)
        else:
            merged.append((west, east))
    # Up to where everything is covered when an arc begins; the last one may reach round the circle.
    round_the_circle = merged[-1][1] - 360.0
    covered = [round_the_circle] + [max(east, round_the_circle) for _, east in merged[:-1]]
    gaps = [west - before for (west, _), before in zip(merged, covered, strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    if gaps[widest] <= 0.0:
        return -180.0, 180.0
    east = merged[-1][1] if widest == 0 else covered[widest]
    return merged[widest][0], east if east <= 180.0 else east - 360.0


def _arc(west: float, east: float) -> tuple[float, float]:
    """Where a span begins, in [-180, 180), and where it ends, east of that."""
    if west == 180.0:
        west, east = -180.0, -180.0 if east == 180.0 else east
    return west, east if east >= west else east + 360.0


def _parts(geometry: Mapping[str, Json]) -> Iterator[Bounds]:
    for rectangle in mappings(geometry, "BoundingRectangles"):
        west, south, east, north = (
            number(rectangle, f"{side}BoundingCoordinate")
            for side in ("West", "South", "East", "North")
        )
        if west is None or south is None or east is None or north is None:
            continue
        if _on_globe(west, south) and _on_globe(east, north) and south <= north:
            yield west, south, east, north
    for polygon in mappings(geometry, "GPolygons"):
        yield from _around(mappings(section(polygon, "Boundary"), "Points"), closed=True)
    for line in mappings(geometry, "Lines"):
        yield from _around(mappings(line, "Points"), closed=False)
    for point in mappings(geometry, "Points"):
        yield from _around([point], closed=False)


def _around(points: Iterable[Mapping[str, Json]], *, closed: bool) -> Iterator[Bounds]:
    """The box around a ring or a line, whose every step goes the shorter way round the globe."""
    path = [
        (longitude, latitude)
        for point in points
        if (longitude := number(point, "Longitude")) is not None
        and (latitude := number(point, "Latitude")) is not None
        and _on_globe(longitude, latitude)
    ]
    if not path:
        return
    unrolled = [path[0][0]]
    for (before, _), (after, _) in pairwise([*path, path[0]] if closed else path):
        unrolled.append(unrolled[-1] + _shorter_way(after - before))
    latitudes = [latitude for _, latitude in path]
    south, north = min(latitudes), max(latitudes)
    if closed and abs(unrolled[-1] - unrolled[0]) > 180.0:
        # A ring that goes all the way round encloses the nearer pole.
        pole_is_north = sum(latitudes) > 0.0
        south, north = (south, 90.0) if pole_is_north else (-90.0, north)
        yield -180.0, south, 180.0, north
    elif max(unrolled) - min(unrolled) >= 360.0:
        yield -180.0, south, 180.0, north
    else:
        yield _wrapped(min(unrolled)), south, _wrapped(max(unrolled)), north


def _shorter_way(step: float) -> float:
    """The same step round the other side if that is shorter.

    From one edge of the map to the other is no step of nothing: it is how the whole world is drawn.
    """
    if abs(step) == 360.0 or abs(step) <= 180.0:
        return step
    return step - math.copysign(360.0, step)


def _wrapped(longitude: float) -> float:
    turns = math.floor((longitude + 180.0) / 360.0) if not -180.0 <= longitude <= 180.0 else 0
    return longitude - 360.0 * turns


def _on_globe(longitude: float, latitude: float) -> bool:
    return -180.0 <= longitude <= 180.0 and -90.0 <= latitude <= 90.0
