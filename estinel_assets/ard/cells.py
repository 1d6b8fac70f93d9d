"""Which cells of a grid share area with which geometries, for millions of cells.

Cells are squares of `CELL_DEG` around their centres, in longitude and latitude. A coarse mask of
the Earth drops nearly all of them; only what is left becomes geometries.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.tiles import CELL_DEG

_MASK_DEG: Final = 0.5
"""Side of the mask's squares, in degrees."""
_MASK_SHAPE: Final = (round(180 / _MASK_DEG), round(360 / _MASK_DEG))
_HALF: Final = CELL_DEG / 2


class CellSearch:
    """Finds the cells that share area with each of some geometries."""

    def __init__(self, geometries: Sequence[BaseGeometry]) -> None:
        """Prepare the search.

        Args:
            geometries: valid polygons and multipolygons, longitude -180 to 180 and latitude in
                degrees. What lies within a cell's width of ±180° is looked for on both sides.
        """
        turned: list[tuple[int, BaseGeometry]] = []
        for index, geometry in enumerate(geometries):
            turned.append((index, geometry))
            west, _, east, _ = geometry.bounds
            if west < -180 + CELL_DEG:
                turned.append((index, _turned(geometry, 360.0)))
            if east > 180 - CELL_DEG:
                turned.append((index, _turned(geometry, -360.0)))
        self._index = np.array([index for index, _ in turned], dtype=np.intp)
        self._geometries = np.array([geometry for _, geometry in turned], dtype=object)
        self._bounds = np.array([geometry.bounds for _, geometry in turned]).reshape(-1, 4)
        shapely.prepare(self._geometries)
        self._mask = np.zeros(_MASK_SHAPE, dtype=np.bool_)
        for west, south, east, north in self._bounds:
            rows = slice(_mask_row(south - _HALF), int(_mask_row(north + _HALF)) + 1)
            columns = slice(_mask_column(west - _HALF), int(_mask_column(east + _HALF)) + 1)
            self._mask[rows, columns] = True

    def may_reach(self, west: float, south: float, east: float, north: float) -> bool:
        """Whether cells with their centres in this box (degrees) may be among those sought."""
        bounds = self._bounds
        apart = (
            (bounds[:, 0] > east + _HALF)
            | (bounds[:, 2] < west - _HALF)
            | (bounds[:, 1] > north + _HALF)
            | (bounds[:, 3] < south - _HALF)
        )
        return not bool(apart.all())

    def pairs(
        self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Find which of these cells share area with which geometry.

        Args:
            lon: centres, degrees east, shape (n,).
            lat: centres, degrees north, shape (n,).

        Returns:
            (geometries, cells): indices, of equal shape; a pair may stand twice near ±180°.
        """
        near = np.flatnonzero(self._mask[_mask_row(lat), _mask_column(lon)])
        if not near.size:
            return near, near
        cells = shapely.box(
            lon[near] - _HALF, lat[near] - _HALF, lon[near] + _HALF, lat[near] + _HALF
        )
        geometry, cell = shapely.STRtree(cells).query(self._geometries, predicate="intersects")
        shares_area = ~shapely.touches(self._geometries[geometry], cells[cell])
        return self._index[geometry[shares_area]], near[cell[shares_area]]


def _turned(geometry: BaseGeometry, degrees: float) -> BaseGeometry:
    return shapely.transform(geometry, lambda xy: xy + np.array([degrees, 0.0]))


def _mask_row(lat: npt.ArrayLike) -> npt.NDArray[np.intp]:
    rows = np.floor((np.asarray(lat) + 90.0) / _MASK_DEG)
    return np.clip(rows, 0, _MASK_SHAPE[0] - 1).astype(np.intp)


def _mask_column(lon: npt.ArrayLike) -> npt.NDArray[np.intp]:
    columns = np.floor((np.asarray(lon) + 180.0) / _MASK_DEG)
    return np.clip(columns, 0, _MASK_SHAPE[1] - 1).astype(np.intp)
