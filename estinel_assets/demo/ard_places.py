"""Where the tiles of the made world lie, and the planes on which their land is made.

Four tiles meet at 12° E, between two UTM zones: each date has a Sentinel-2 scene of either zone,
two cells of elevations meet, and two tiles of a group have another CRS than the others. Two more
lie on Pohnpei: one on the coast, at whose northern edge the sea begins and the cells of elevations
end, and one on the summit, which has its cloud all the year.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import Polygon

from estinel_assets.ard.tiles import CELL_DEG
from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid

CANVAS_M: Final = 20.0
"""Pixel size of the made land, in metres; pixels of 10 m come two by two."""
MARGIN_M: Final = 600.0
"""How far the made land reaches beyond the tiles."""
WIDE_M: Final = 160.0
"""Pixel size of the wide plane, on which clouds are made."""
WIDE_PX: Final = 900
"""Its side."""
_SNAP_M: Final = 160.0


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles that are neighbours, and the satellites' paths over them."""

    name: str
    lon: float
    """Of the middle, in degrees east."""
    lat: float
    places: tuple[tuple[float, float], ...]
    """(longitude, latitude) of each tile's centre, in degrees."""
    crs: str
    """Of the plane of its land."""
    squares: tuple[tuple[str, int, int], ...]
    """Sentinel-2's: CRS, column and row in units of 100 km."""
    s2_orbit: int
    s2_first_day: int
    """Day of the year on which Sentinel-2 passes first."""
    s1_orbit: int
    """Relative orbit of the descending passes."""


def _lattice(column: int, row: int) -> tuple[float, float]:
    """The centre of a tile, from its number east of Greenwich and north of the equator."""
    return round((column + 0.5) * CELL_DEG, 4), round((row + 0.5) * CELL_DEG, 4)


GROUPS: Final = (
    Group(
        name="border",
        lon=12.0,
        lat=5.8333,
        places=tuple(_lattice(column, row) for row in (104, 105) for column in (215, 216)),
        crs="EPSG:32632",
        squares=(("EPSG:32632", 8, 6), ("EPSG:32633", 1, 6)),
        s2_orbit=22,
        s2_first_day=4,
        s1_orbit=36,
    ),
    Group(
        name="island",
        lon=158.1944,
        lat=6.9167,
        places=(_lattice(2847, 125), _lattice(2847, 123)),
        crs="EPSG:32657",
        squares=tuple(("EPSG:32657", column, row) for row in (7, 8) for column in (3, 4)),
        s2_orbit=116,
        s2_first_day=2,
        s1_orbit=75,
    ),
)
COAST: Final = GROUPS[1].places[0]
SUMMIT: Final = GROUPS[1].places[1]


def group_named(name: str) -> Group:
    """A group of the made world.

    Raises:
        BadInputError: there is none of that name.
    """
    for group in GROUPS:
        if group.name == name:
            return group
    known = ", ".join(group.name for group in GROUPS)
    raise BadInputError(f"the made world has no group {name!r} of tiles; choose from {known}")


@lru_cache(maxsize=32)
def transformer(source: str, target: str) -> Transformer:
    """From one CRS to another, easting or longitude first."""
    return Transformer.from_crs(source, target, always_xy=True)


def in_degrees(outline: Polygon, crs: str) -> Polygon:
    """An outline in longitude and latitude, corner by corner."""
    x, y = (list(part) for part in outline.exterior.coords.xy)
    return Polygon(zip(*transformer(crs, "EPSG:4326").transform(x, y), strict=True))


def canvas_of(group: Group) -> Grid:
    """The 20 m grid on which a group's land is made: its tiles and a margin."""
    half = CELL_DEG / 2
    boxes = [
        transformer("EPSG:4326", group.crs).transform_bounds(
            lon - half, lat - half, lon + half, lat + half, densify_pts=17
        )
        for lon, lat in group.places
    ]
    left, bottom = (min(box[side] for box in boxes) - MARGIN_M for side in (0, 1))
    right, top = (max(box[side] for box in boxes) + MARGIN_M for side in (2, 3))
    plane = Grid.covering(group.crs, (left, bottom, right, top), _SNAP_M)
    pixels = round(_SNAP_M / CANVAS_M)
    return Grid(
        plane.crs, plane.left, plane.top, CANVAS_M, plane.width * pixels, plane.height * pixels
    )


def wide_plane_of(group: Group) -> Grid:
    """The 160 m grid on which a group's clouds are made: 144 km around its middle."""
    middle = transformer("EPSG:4326", group.crs).transform(group.lon, group.lat)
    x, y = (round(at / _SNAP_M) * _SNAP_M for at in middle)
    reach = WIDE_PX / 2 * WIDE_M
    return Grid(group.crs, x - reach, y + reach, WIDE_M, WIDE_PX, WIDE_PX)


def square_grid(square: tuple[str, int, int]) -> Grid:
    """The 10 m grid of a Sentinel-2 tile: its 100 km square, and 9.8 km to the east and south."""
    crs, column, row = square
    return Grid(
        crs,
        left=column * 100_000 // 60 * 60.0,
        top=-(-(row + 1) * 100_000 // 60) * 60.0,
        resolution=10.0,
        width=10_980,
        height=10_980,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image, and which pixel of a plane each of its pixels shows."""

    row: int
    column: int
    pixels: NDArray[np.intp]
    """(height, width): number of the plane's pixel, row by row."""
    inside: NDArray[np.bool_]
    """(height, width): False where the plane has no pixel."""

    def gather(self, plane: NDArray[Any], fill: float = 0) -> NDArray[Any]:
        """The plane's pixels as the image shows them."""
        seen = plane.ravel().take(self.pixels)
        if not self.inside.all():
            seen[~self.inside] = fill
        return seen


def window_on(plane: Grid, image: Grid, *, whole: bool = False) -> Window | None:
    """Where an image shows a plane, by nearest neighbour; None where it does not.

    Args:
        plane: what is shown.
        image: what shows it, in any CRS.
        whole: the whole image, with the plane's edges drawn out, instead of the part that shows.
    """
    if whole:
        first, start, last, stop = 0, 0, image.height, image.width
    else:
        left, bottom, right, top = transformer(plane.crs, image.crs).transform_bounds(
            *plane.bounds, densify_pts=17
        )
        first = max(0, int((image.top - top) / image.resolution))
        last = min(image.height, int((image.top - bottom) / image.resolution) + 1)
        start = max(0, int((left - image.left) / image.resolution))
        stop = min(image.width, int((right - image.left) / image.resolution) + 1)
    if first >= last or start >= stop:
        return None
    x = image.left + (np.arange(start, stop) + 0.5) * image.resolution
    y = image.top - (np.arange(first, last) + 0.5) * image.resolution
    across, up = np.meshgrid(x, y)
    if plane.crs != image.crs:
        across, up = transformer(image.crs, plane.crs).transform(across, up)
    columns = np.floor((across - plane.left) / plane.resolution).astype(np.intp)
    rows = np.floor((plane.top - up) / plane.resolution).astype(np.intp)
    inside = (rows >= 0) & (rows < plane.height) & (columns >= 0) & (columns < plane.width)
    if whole:
        inside = np.ones_like(inside)
    elif not inside.any():
        return None
    return Window(
        first,
        start,
        rows.clip(0, plane.height - 1) * plane.width + columns.clip(0, plane.width - 1),
        inside,
    )
