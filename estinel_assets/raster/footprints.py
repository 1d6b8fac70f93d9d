"""Where a scene's footprint lies on a grid.

A footprint is the GeoJSON geometry of a STAC item: longitudes and latitudes in degrees,
EPSG:4326. Here it is a promise of pixels, so whatever is doubtful about it promises nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import CRSError
from shapely import MultiPolygon, Polygon
from shapely.errors import ShapelyError

from estinel_assets.raster.grids import Grid

_STEP_DEG = 0.05
"""Longest piece of an edge that is carried over as one. Between its ends, at most 5.6 km apart,
a line that is straight in degrees leaves the straight line on the map by less than 1 m."""
_FARTHEST_DEG = 40.0
"""Farther from the middle of the grid, along a great circle, no footprint is carried over: all
projections have places where they turn inside out, and none has one so near to where it is used."""
_ROUND_TRIP_DEG = 1e-6
"""Largest error of a point carried over and back, about 0.1 m."""
_LONGEST_STEP_M = 100_000.0
"""A piece of an edge that becomes longer than this crosses the seam of the projection."""
_SEAM_M = 30.0
"""Widest gap that is closed between the parts of a footprint: some cut it at ±179.9999°."""
_ARC_PIECES = 16
"""Straight pieces that stand for a quarter of a circle around a corner of the border."""
_NEAR_EDGE_M = 300.0
"""Border so near to the edge of the file belongs to that edge, which catalogues round."""

_Bounds = tuple[float, float, float, float]
_Outline = Polygon | MultiPolygon


@dataclass(frozen=True, slots=True)
class Extent:
    """Where all pixels of a file lie, whether they have something or not."""

    crs: str
    """A projected CRS, as `EPSG:32755`."""
    bounds: tuple[float, float, float, float]
    """(left, bottom, right, top) of the outer edges, in CRS units (metres)."""


@dataclass(frozen=True, slots=True)
class TileCoverage:
    """How much of a file its footprint covers."""

    share: float
    """Share of the file's extent inside the footprint, in [0, 1]."""
    border_m: float
    """Length of the footprint's border inside the extent, without what runs along its edges."""
    area_m2: float
    """Area of the whole extent."""


def inside_footprint(
    geometry: Mapping[str, Any] | None,
    grid: Grid,
    *,
    margin_m: float = 0.0,
    extent: Extent | None = None,
) -> NDArray[np.bool_]:
    """Which pixel centres of a grid lie inside a footprint.

    An edge is a straight line in degrees, as GeoJSON has it. Many catalogues, however, carry
    over only the corners of an outline that is straight on the scene's own map; at 46° the two
    differ by 250 m along the edge of a Sentinel-2 tile, at 80° by 1,300 m. A pixel is inside
    only if it is so both ways.

    These promise nothing at all, which is never an error: no geometry, or one that is no Polygon
    or MultiPolygon of finite coordinates within ±360° and ±90°; a ring that goes around a pole
    or spans 180° of longitude; a part farther than 40° of arc from the middle of the grid; one
    that crosses the seam of the grid's CRS; one that cannot be made valid; an extent that is
    none, or of an unknown CRS. Longitudes may pass ±180° or jump there, or the geometry may be
    cut there.

    Args:
        geometry: the item's.
        grid: in a projected CRS.
        margin_m: how far from the footprint's border a pixel must lie, in metres.
        extent: the file's; what lies outside is not inside, and its edges count as border. None
            = not known.

    Returns:
        (grid.height, grid.width); all False where the footprint promises nothing.
    """
    outline = _outline(geometry, grid.crs, grid.bounds)
    if outline is not None and extent is not None:
        edges = _outline_of_extent(extent, grid)
        outline = None if edges is None else _polygons(outline & edges)
    if outline is None or outline.is_empty:
        return np.zeros(grid.shape, dtype=np.bool_)
    return _mask(outline, grid, margin_m)


def tile_coverage(geometry: Mapping[str, Any] | None, extent: Extent) -> TileCoverage | None:
    """How much of a file its footprint covers, taking edges as straight on the file's map.

    Args:
        geometry: the item's.
        extent: the file's.

    Returns:
        None where the footprint promises nothing, see `inside_footprint`, or the extent is none.
    """
    tile = _tile(extent)
    carried = None if tile is None else _carried(geometry, extent.crs, extent.bounds)
    if tile is None or carried is None:
        return None
    covered = carried[1] & tile
    border = covered.boundary & tile.buffer(-_NEAR_EDGE_M)
    return TileCoverage(
        share=float(covered.area / tile.area),
        border_m=float(border.length),
        area_m2=float(tile.area),
    )


def _mask(outline: _Outline, grid: Grid, margin_m: float) -> NDArray[np.bool_]:
    """Pixel centres at least a margin inside; mostly all or none, which is decided first."""
    window = shapely.box(*grid.bounds)
    if outline.contains(window) and outline.boundary.distance(window) >= margin_m:
        return np.ones(grid.shape, dtype=np.bool_)
    # Only what is near decides; the cut must not count as border.
    outline = _polygons(outline & window.buffer(2 * margin_m + grid.resolution, join_style="mitre"))
    if margin_m > 0:
        # The pieces of an arc lie within the circle: a little more keeps the distance.
        distance = margin_m / math.cos(math.pi / (4 * _ARC_PIECES))
        outline = _polygons(outline.buffer(-distance, quad_segs=_ARC_PIECES))
    if not outline.intersects(window):
        return np.zeros(grid.shape, dtype=np.bool_)
    return _burnt(outline, grid)


def _burnt(outline: _Outline, grid: Grid) -> NDArray[np.bool_]:
    """Pixel centres inside an outline: along its row, each has an odd number of edges before it.

    `rasterio.features` is not used: it silences a warning on the way, which is not safe among
    threads.
    """
    rings = shapely.get_rings(shapely.get_parts(outline))
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    columns = (corners[:, 0] - grid.left) / grid.resolution - 0.5
    rows = (grid.top - corners[:, 1]) / grid.resolution - 0.5
    edges = np.flatnonzero((ring[1:] == ring[:-1]) & (rows[1:] != rows[:-1]))
    # An edge belongs to the rows from its upper end on, not to that of its lower end.
    upper = np.minimum(rows[edges], rows[edges + 1])
    lower = np.maximum(rows[edges], rows[edges + 1])
    first = np.clip(np.ceil(upper), 0, grid.height).astype(np.intp)
    crossings = np.clip(np.ceil(lower), 0, grid.height).astype(np.intp) - first
    edge = np.repeat(edges, crossings)
    row = np.repeat(first - np.cumsum(crossings) + crossings, crossings) + np.arange(len(edge))
    slope = (columns[edge + 1] - columns[edge]) / (rows[edge + 1] - rows[edge])
    column = np.ceil(columns[edge] + (row - rows[edge]) * slope)
    place = row * (grid.width + 1) + np.clip(column, 0, grid.width).astype(np.intp)
    begun = np.bincount(place, minlength=grid.height * (grid.width + 1)).astype(np.uint8)
    before = np.cumsum(begun.reshape(grid.height, -1), axis=1, dtype=np.uint8)
    return (before[:, :-1] & np.uint8(1)).view(np.bool_)


def _outline(geometry: Mapping[str, Any] | None, crs: str, near: _Bounds) -> _Outline | None:
    """What is inside under both readings of the edges, in a CRS."""
    carried = _carried(geometry, crs, near)
    return None if carried is None else _polygons(carried[0] & carried[1])


def _outline_of_extent(extent: Extent, grid: Grid) -> _Outline | None:
    """A file's extent in the CRS of a grid; None where it cannot be carried over."""
    tile = _tile(extent)
    if tile is None or extent.crs == grid.crs:
        return tile
    step = max(tile.length / 4 / 64, 1.0)
    edge = shapely.get_coordinates(shapely.segmentize(tile, step))
    longitudes, latitudes = _from_degrees(extent.crs).transform(
        edge[:, 0], edge[:, 1], direction="INVERSE"
    )
    ring = _unwrapped(np.column_stack([longitudes, latitudes]))
    frame = _Frame.around(grid.crs, grid.bounds)
    if ring is None or frame is None:
        return None
    points = frame.carry(ring)
    return None if points is None else _valid([Polygon(points)])


def _tile(extent: Extent) -> Polygon | None:
    """An extent in its own CRS; None where a catalogue tells something that is no extent."""
    left, bottom, right, top = extent.bounds
    if not (np.isfinite(extent.bounds).all() and left < right and bottom < top):
        return None
    try:
        _from_degrees(extent.crs)
    except CRSError:
        return None
    return shapely.box(left, bottom, right, top)


def _carried(
    geometry: Mapping[str, Any] | None, crs: str, near: _Bounds
) -> tuple[_Outline, _Outline] | None:
    """A footprint in a CRS, its edges straight in degrees and straight on the map; or None."""
    frame = _Frame.around(crs, near)
    parts = _rings(geometry) if isinstance(geometry, Mapping) else None
    if frame is None or parts is None:
        return None
    curved: list[Polygon] = []
    straight: list[Polygon] = []
    for part in parts:
        pieces, corners = [], []
        for ring in part:
            points = frame.carry(_densified(ring))
            ends = None if points is None else frame.carry(ring, longest_m=math.inf)
            if points is None or ends is None:
                return None
            pieces.append(points)
            corners.append(ends)
        curved.append(Polygon(pieces[0], pieces[1:]))
        straight.append(Polygon(corners[0], corners[1:]))
    both = _valid(curved), _valid(straight)
    return None if both[0] is None or both[1] is None else (both[0], both[1])


def _rings(geometry: Mapping[str, Any]) -> list[list[NDArray[np.float64]]] | None:
    """The polygons of a geometry as closed rings without jumps, each (n, 2); None if any is odd."""
    coordinates = geometry.get("coordinates")
    polygons: Any = ()
    if geometry.get("type") == "Polygon":
        polygons = [coordinates]
    elif geometry.get("type") == "MultiPolygon":
        polygons = coordinates
    parts = []
    for polygon in _listed(polygons):
        rings = []
        for positions in _listed(polygon):
            numbers = _numbers(positions)
            ring = None if numbers is None else _unwrapped(numbers)
            if ring is None:
                return None
            rings.append(ring)
        if not rings:
            return None
        parts.append(rings)
    return parts or None


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _numbers(positions: Any) -> NDArray[np.float64] | None:
    """Positions of a ring as (n, 2) longitudes and latitudes; None if they are no such thing."""
    try:
        array = np.asarray(_listed(positions))
    except ValueError:  # positions of different lengths
        return None
    if array.ndim != 2 or array.shape[1] not in {2, 3} or array.dtype.kind not in "iuf":
        return None
    return array[:, :2].astype(np.float64)


def _unwrapped(ring: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The ring, closed, with longitudes that run on past ±180°; None if it promises nothing."""
    if len(ring) == 0 or not np.isfinite(ring).all():
        return None
    if np.abs(ring[:, 0]).max() > 360 or np.abs(ring[:, 1]).max() > 90:
        return None
    if not np.array_equal(ring[0], ring[-1]):
        ring = np.vstack([ring, ring[:1]])
    if len(ring) < 4:
        return None
    steps = np.diff(ring[:, 0])
    turns = np.round(steps / 360)
    if (np.abs(steps - 360 * turns) >= 180).any():
        return None
    longitudes = ring[:, 0] - 360 * np.concatenate([[0.0], np.cumsum(turns)])
    # A ring that ends a turn away from where it began has gone around a pole.
    if longitudes[-1] != longitudes[0] or np.ptp(longitudes) >= 180:
        return None
    return np.column_stack([longitudes, ring[:, 1]])


def _densified(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same line with no piece longer than `_STEP_DEG`."""
    edges = np.diff(ring, axis=0)
    pieces = np.maximum(np.ceil(np.hypot(edges[:, 0], edges[:, 1]) / _STEP_DEG), 1).astype(np.intp)
    edge = np.repeat(np.arange(len(edges)), pieces)
    nth = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.vstack([ring[edge] + edges[edge] * (nth / pieces[edge])[:, None], ring[-1:]])


@dataclass(frozen=True, slots=True)
class _Frame:
    """A CRS and where in the world it is used."""

    from_degrees: Transformer
    middle: NDArray[np.float64]
    """Unit vector from the centre of the earth to the middle of what is looked at."""

    @classmethod
    def around(cls, crs: str, bounds: _Bounds) -> "_Frame | None":
        left, bottom, right, top = bounds
        transformer = _from_degrees(crs)
        middle = np.array([[(left + right) / 2, (bottom + top) / 2]])
        degrees = transformer.transform(middle[:, 0], middle[:, 1], direction="INVERSE")
        vector = _unit_vectors(np.column_stack(degrees))[0]
        return cls(transformer, vector) if np.isfinite(vector).all() else None

    def carry(
        self, degrees: NDArray[np.float64], *, longest_m: float = _LONGEST_STEP_M
    ) -> NDArray[np.float64] | None:
        """Points (n, 2) along a line in the CRS; None where that cannot be done safely."""
        vectors = _unit_vectors(degrees)
        if (vectors @ self.middle < math.cos(math.radians(_FARTHEST_DEG))).any():
            return None
        points = np.column_stack(self.from_degrees.transform(degrees[:, 0], degrees[:, 1]))
        if not np.isfinite(points).all():
            return None
        back = self.from_degrees.transform(points[:, 0], points[:, 1], direction="INVERSE")
        errors = np.abs(_unit_vectors(np.column_stack(back)) - vectors)
        lengths = np.abs(np.diff(points, axis=0))
        sure = errors.max() < math.radians(_ROUND_TRIP_DEG) and lengths.max() <= longest_m
        return points if sure else None


@lru_cache(maxsize=256)
def _from_degrees(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _unit_vectors(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions from the centre of a globe, (n, 3), of longitudes and latitudes, (n, 2)."""
    longitudes, latitudes = np.radians(degrees).T
    with np.errstate(invalid="ignore"):  # of what is infinite: not a number
        around = np.cos(latitudes)
        return np.column_stack(
            [around * np.cos(longitudes), around * np.sin(longitudes), np.sin(latitudes)]
        )


def _valid(polygons: Sequence[Polygon]) -> _Outline | None:
    """The polygons as one valid outline; None where they cannot be made so, or have no area."""
    try:
        # By structure: what a hole takes away is not inside, even where the rings cross.
        repaired = shapely.make_valid(polygons, method="structure", keep_collapsed=False)
        whole = shapely.union_all(repaired)
        if len(polygons) > 1:
            closed = whole.buffer(_SEAM_M / 2, join_style="mitre")
            whole = closed.buffer(-_SEAM_M / 2, join_style="mitre")
    except ShapelyError:
        return None
    outline = _polygons(whole)
    return None if outline.is_empty else outline


def _polygons(shape: shapely.Geometry) -> _Outline:
    """What has an area; overlays and repairs leave lines and points beside it."""
    if isinstance(shape, Polygon):
        return shape
    return MultiPolygon(list(_each_polygon(shape)))


def _each_polygon(shape: shapely.Geometry) -> Iterator[Polygon]:
    for part in shapely.get_parts(shape):
        if isinstance(part, Polygon):
            yield part
        elif shapely.get_num_geometries(part) > 1:
            yield from _each_polygon(part)
