"""Tiles: cells of an eighteenth of a degree, and the pixels that are made for them.

A tile's numbers come from the tile table alone: the numbering has gaps and jumps, so that nothing
but the table says where a tile lies. Its pixels lie in the plain six-degree UTM zone of its
centre. The military grid's exceptions, for south-west Norway and Svalbard, are not made: they
begin at 56° N, beyond the last row of tiles, and EPSG's own areas of use do not know them.
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid

Bbox: TypeAlias = tuple[float, float, float, float]
"""(west, south, east, north), in degrees."""

CELL_DEG: Final = 1.0 / 18.0
"""Side of a tile, in degrees."""
SNAP_M: Final = 120.0
"""The corners of every tile's grids are multiples of this, in metres."""
UTM_SOUTH_DEG: Final = -80.0
UTM_NORTH_DEG: Final = 84.0
FIRST_YEAR: Final = 2015
"""Sentinel-2 began in June of it."""
LAST_YEAR: Final = 2100
"""A bound that is no clock; what is still to come is refused where a clock is at hand."""

_TAG = re.compile(r"(0|[1-9][0-9]{0,5})X(0|[1-9][0-9]{0,5})Y")
_KEY = re.compile(r"([0-9]{4})_([0-9]+X[0-9]+Y)")
_POINTS_A_SIDE = 17
"""Along each side of a cell that is reprojected, both ends included."""
_SNAP_SLACK = 1e-6
"""Of `SNAP_M`, a tenth of a millimetre: float noise on a multiple adds no column."""


class Source(StrEnum):
    """What a tile's arrays are made from; one outcome each."""

    DEM = "dem"
    S1 = "s1"
    S2 = "s2"


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A cell of the grid of tiles, ordered by its numbers."""

    x_tile: int
    """Number of the column, 0 or more."""
    y_tile: int
    """Number of the row, 0 or more, from south to north."""
    lon: float
    """Longitude of the centre (WGS 84), in degrees east, -180 to 180."""
    lat: float
    """Latitude of the centre (WGS 84), in degrees north, -80 to 84."""

    def __post_init__(self) -> None:
        if self.x_tile < 0 or self.y_tile < 0:
            raise BadInputError(f"tile numbers {self.x_tile}, {self.y_tile}: none is negative")
        if not (-180.0 <= self.lon <= 180.0 and UTM_SOUTH_DEG <= self.lat <= UTM_NORTH_DEG):
            raise BadInputError(
                f"tile {self.tag} is said to lie at longitude {self.lon}, latitude {self.lat}: "
                "give degrees from -180 to 180 and from -80 to 84"
            )

    @property
    def tag(self) -> str:
        """Its name, as `1035X727Y`."""
        return f"{self.x_tile}X{self.y_tile}Y"

    @property
    def bbox(self) -> Bbox:
        """The cell: the centre ± 1/36 degree; its east may pass 180, its west -180."""
        half = CELL_DEG / 2.0
        return self.lon - half, self.lat - half, self.lon + half, self.lat + half


@dataclass(frozen=True, slots=True, order=True)
class TileYear:
    """What is asked for: a tile in a year."""

    tile: Tile
    year: int
    """Calendar year, UTC, `FIRST_YEAR` to `LAST_YEAR`."""

    def __post_init__(self) -> None:
        if not FIRST_YEAR <= self.year <= LAST_YEAR:
            raise BadInputError(
                f"year {self.year} of tile {self.tile.tag}: give one from {FIRST_YEAR} on"
            )

    @property
    def key(self) -> str:
        """Its Dagster partition, as `2023_1035X727Y`."""
        return f"{self.year}_{self.tile.tag}"

    @property
    def store_path(self) -> str:
        """Where its arrays stand, as `ard/2023/1035X727Y.zarr`."""
        return f"ard/{self.year}/{self.tile.tag}.zarr"

    def outcome_key(self, source: Source) -> tuple[str, str, str]:
        """The key of its outcome for a source, as `("2023", "1035X727Y", "s2")`."""
        return str(self.year), self.tile.tag, source.value


def parse_tag(tag: str) -> tuple[int, int]:
    """The numbers in a tile's name.

    Args:
        tag: as `1035X727Y`, without blanks or leading zeros.

    Returns:
        (x_tile, y_tile).

    Raises:
        BadInputError: it is no such name.
    """
    found = _TAG.fullmatch(tag)
    if found is None:
        raise BadInputError(f"{tag[:40]!r} is not the name of a tile: write it as 1035X727Y")
    return int(found[1]), int(found[2])


def parse_key(key: str) -> tuple[int, tuple[int, int]]:
    """The year and the tile's numbers in a partition key.

    Args:
        key: as `2023_1035X727Y`.

    Returns:
        (year, (x_tile, y_tile)).

    Raises:
        BadInputError: it is no such key.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise BadInputError(f"{key[:40]!r} is not a tile and year: write it as 2023_1035X727Y")
    return int(found[1]), parse_tag(found[2])


def utm_crs(lon: float, lat: float) -> str:
    """The plain six-degree UTM zone of a place, as `EPSG:32755`.

    Args:
        lon: degrees east, -180 to 180; 180 counts to zone 60.
        lat: degrees north, -80 to 84; the equator counts as north.
    """
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    return f"EPSG:{(32700 if lat < 0 else 32600) + zone}"


def tile_grid(tile: Tile, resolution: float = 10.0) -> Grid:
    """The grid of a tile: its cell in the UTM zone of its centre, snapped outward to 120 m.

    Meridians converge, so the cell is no rectangle in UTM and the grid holds a little more. Grids
    of all resolutions share their corners.

    Args:
        tile: the tile.
        resolution: pixel size in metres, a whole fraction of 120.

    Raises:
        BadInputError: 120 m is no whole number of such pixels.
    """
    pixels = SNAP_M / resolution if resolution > 0 else 0.0
    if pixels < 1 or not math.isclose(pixels, round(pixels), abs_tol=1e-9):
        raise BadInputError(
            f"a resolution of {resolution} m does not divide {SNAP_M:g} m: "
            "take 10, 20, 40, 60 or 120 m"
        )
    crs = utm_crs(tile.lon, tile.lat)
    x, y = _transformer(crs).transform(*_outline(tile.bbox))
    left, bottom = (math.floor(float(v.min()) / SNAP_M + _SNAP_SLACK) for v in (x, y))
    right, top = (math.ceil(float(v.max()) / SNAP_M - _SNAP_SLACK) for v in (x, y))
    return Grid(
        crs=crs,
        left=left * SNAP_M,
        top=top * SNAP_M,
        resolution=float(resolution),
        width=(right - left) * round(pixels),
        height=(top - bottom) * round(pixels),
    )


def _outline(bbox: Bbox) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points along the sides of a box: longitudes and latitudes."""
    west, south, east, north = bbox
    steps = np.linspace(0.0, 1.0, _POINTS_A_SIDE)
    across, up = west + steps * (east - west), south + steps * (north - south)
    same = np.ones(_POINTS_A_SIDE)
    return (
        np.concatenate([across, across, west * same, east * same]),
        np.concatenate([south * same, north * same, up, up]),
    )


@lru_cache(maxsize=128)
def _transformer(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)
