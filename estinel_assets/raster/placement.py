"""Which pixels of a source a grid needs.

Affine transforms map (column, row) of pixel corners to (x, y) in CRS units. A CRS is given as
`EPSG:32755`, or as WKT.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from estinel_assets.raster.grids import Grid

_TIE_SLACK = 1e-6
"""Pixels. A centre on an edge belongs to the pixel right of it or below, despite float noise."""
_LATTICE_CELLS = 32
"""Cells along each axis of the lattice that probes a reprojected footprint."""


class UnrelatedCrsError(ValueError):
    """There is no way from one CRS to another; the message names both."""


@dataclass(frozen=True, slots=True)
class PixelWindow:
    """A rectangle of source pixels."""

    column: int
    """First column."""
    row: int
    """First row."""
    width: int
    """Number of columns, at least 1."""
    height: int
    """Number of rows, at least 1."""


def affine_of_bounds(bounds: tuple[float, float, float, float], shape: tuple[int, int]) -> Affine:
    """The north-up transform of a raster of that shape between those outer edges.

    Args:
        bounds: (left, bottom, right, top), in CRS units.
        shape: (height, width), in pixels.
    """
    left, bottom, right, top = bounds
    height, width = shape
    return Affine((right - left) / width, 0.0, left, 0.0, -(top - bottom) / height, top)


def is_upright(transform: Affine) -> bool:
    """Whether rows and columns run along the axes, so that a read needs no warping."""
    return bool(transform.b == 0 and transform.d == 0)


def nearest_indices(
    transform: Affine, shape: tuple[int, int], grid: Grid
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Source row of every grid row and source column of every grid column, in a shared CRS.

    Args:
        transform: the source's, upright.
        shape: (height, width) of the source.
        grid: in the source's CRS.

    Returns:
        (rows, columns), shapes (grid.height,) and (grid.width,); -1 where the source ends.
    """
    height, width = shape
    x = grid.left + (np.arange(grid.width) + 0.5) * grid.resolution
    y = grid.top - (np.arange(grid.height) + 0.5) * grid.resolution
    with np.errstate(over="ignore"):  # pixels may be said to be hardly there
        columns = np.floor((x - transform.c) / transform.a + _TIE_SLACK)
        rows = np.floor((y - transform.f) / transform.e + _TIE_SLACK)
    columns[~((columns >= 0) & (columns < width))] = -1
    rows[~((rows >= 0) & (rows < height))] = -1
    return rows.astype(np.intp), columns.astype(np.intp)


def window_of(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> PixelWindow | None:
    """The smallest window that holds these indices, of which -1 means none; None if all are."""
    rows, columns = rows[rows >= 0], columns[columns >= 0]
    if rows.size == 0 or columns.size == 0:
        return None
    row, column = int(rows.min()), int(columns.min())
    return PixelWindow(
        column=column,
        row=row,
        width=int(columns.max()) - column + 1,
        height=int(rows.max()) - row + 1,
    )


def footprint_window(
    transform: Affine, shape: tuple[int, int], crs: str, grid: Grid
) -> PixelWindow | None:
    """A window that surely holds every source pixel that the grid, in another CRS, may need.

    A lattice over the grid is carried into the source; the widest gap between neighbouring
    lattice points is added on every side, because between them nothing was looked at.

    Returns:
        The window; the whole source where the lattice cannot be carried over; None where the
        source and the grid are apart.
    """
    height, width = shape
    fractions = np.linspace(0.0, 1.0, _LATTICE_CELLS + 1)
    left, bottom, right, top = grid.bounds
    x, y = np.meshgrid(left + fractions * (right - left), top - fractions * (top - bottom))
    points = to_pixels(transform, crs, grid.crs, x.ravel(), y.ravel())
    if not np.isfinite(points).all():
        return PixelWindow(0, 0, width, height)
    edges = []
    for positions, size in zip(points, (width, height), strict=True):
        lattice = positions.reshape(x.shape)
        gap = max(float(np.abs(np.diff(lattice, axis=axis)).max()) for axis in (0, 1))
        first = max(math.floor(float(lattice.min()) - gap) - 2, 0)
        last = min(math.ceil(float(lattice.max()) + gap) + 2, size)
        if first >= last:
            return None
        edges.append((first, last))
    (column, column_end), (row, row_end) = edges
    return PixelWindow(column, row, column_end - column, row_end - row)


def source_pixels_per_grid_pixel(transform: Affine, crs: str, grid: Grid) -> float:
    """How many source pixels lie along one grid pixel at the grid's centre; NaN if unknown."""
    left, bottom, right, top = grid.bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    step = grid.resolution
    points = to_pixels(
        transform, crs, grid.crs, np.array([x, x + step, x]), np.array([y, y, y - step])
    )
    if not np.isfinite(points).all():
        return math.nan
    columns, rows = points
    area = (columns[1] - columns[0]) * (rows[2] - rows[0]) - (columns[2] - columns[0]) * (
        rows[1] - rows[0]
    )
    return math.sqrt(abs(float(area)))


def overview_level(factors: Sequence[float], ratio: float) -> int | None:
    """The coarsest overview that is not coarser than the grid.

    Args:
        factors: the overviews' decimation, ascending, such as 2, 4, 8.
        ratio: source pixels along one grid pixel.

    Returns:
        Index into factors; None = read the full resolution.
    """
    fitting = [level for level, factor in enumerate(factors) if factor <= ratio * (1 + 1e-6)]
    return fitting[-1] if fitting else None


def to_pixels(
    transform: Affine, crs: str, grid_crs: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Carry points of a grid's CRS to (columns, rows) of a source.

    Args:
        transform: the source's.
        crs: the source's.
        grid_crs: the points'.
        x: of the points, in units of their CRS, shape (n,).
        y: likewise.

    Returns:
        Columns and rows, fractions of pixels from the source's corner, each (n,); not finite for a
        point that cannot be carried over.

    Raises:
        UnrelatedCrsError: there is no way from one CRS to the other.
    """
    xs, ys = _transformer(grid_crs, crs).transform(x, y)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite ones stay so, or become NaN
        columns, rows = ~transform @ (np.asarray(xs, np.float64), np.asarray(ys, np.float64))
    return columns, rows


@lru_cache(maxsize=128)
def _transformer(crs_from: str, crs_to: str) -> Transformer:
    try:
        return Transformer.from_crs(crs_from, crs_to, always_xy=True)
    except ProjError:
        # One is vertical, local, or of another planet.
        raise UnrelatedCrsError(f"nothing leads from {crs_from[:80]} to {crs_to[:80]}") from None
