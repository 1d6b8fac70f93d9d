"""How much of a tile the footprints of scenes cover.

A scene whose footprint crosses ±180 degrees is put together first, whichever way its catalogue
writes it, and moved to the tile's side.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import box, make_valid, transform, union_all
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.tiles import Tile


def tile_coverage(footprints: Iterable[BaseGeometry], tile: Tile) -> float:
    """The share of a tile's cell that lies within at least one footprint.

    Areas are taken in degrees, which over a tile is fair to a thousandth.

    Args:
        footprints: in degrees (EPSG:4326), less than 180 degrees wide; empty ones cover nothing.
        tile: the tile.

    Returns:
        0 to 1.
    """
    cell = box(*tile.bbox)
    parts = [
        make_valid(_beside(part, tile.lon))
        for footprint in footprints
        for part in getattr(footprint, "geoms", [footprint])
        if not part.is_empty
    ]
    covered = float(union_all(parts).intersection(cell).area / cell.area)
    return min(covered, 1.0)


def _beside(part: BaseGeometry, longitude_deg: float) -> BaseGeometry:
    """A part of a footprint in one piece, on the turn of the globe where the tile lies."""

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        longitudes = _near(points[:, 0], points[0, 0])
        middle = (longitudes.min() + longitudes.max()) / 2
        return np.column_stack([longitudes + (_near(middle, longitude_deg) - middle), points[:, 1]])

    whole: BaseGeometry = transform(part, moved)
    return whole


def _near(longitudes: Any, centre_deg: float) -> Any:
    return (longitudes - centre_deg + 180.0) % 360.0 - 180.0 + centre_deg
