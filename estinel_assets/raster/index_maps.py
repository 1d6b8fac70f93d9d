"""Which pixel of a source each pixel of a grid in another CRS takes: nearest neighbour, once.

A site meets the same scene grid again and again, tile after tile of the same name, so the answer
is kept for a pair of grids and pixels are then gathered by one call of numpy.

The source position of a grid pixel's centre is worked out exactly on a lattice and interpolated
linearly between: two UTM zones, or UTM and a polar projection, differ so smoothly that a cell of 16
pixels is off by less than a thousandth of a pixel. Where the middle of a cell is off by more than
`LARGEST_ERROR`, the lattice is made finer, at last down to every pixel. GDAL's warper works alike
and allows itself an eighth of a pixel, so a pixel whose exact position lies closer than that to an
edge may differ from what GDAL takes; here it may differ from the exact one within `LARGEST_ERROR`.
"""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.placement import PixelWindow, to_pixels
from estinel_assets.raster.reader import Pixels

LARGEST_ERROR: Final = 0.01
"""Source pixels by which an interpolated position may be off."""
MOST_PIXELS: Final = 512 * 1024 * 1024
"""Of the source, that one grid may need; a whole scene of Sentinel-2 has 120 million."""
_FIRST_STEP: Final = 16
"""Grid pixels along a cell of the lattice."""
_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the maps that are kept."""

Positions = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Columns and rows in the source, fractions of pixels from its corner."""


class WindowTooLargeError(ValueError):
    """A grid would need too many pixels of a source; the message says how many."""


@dataclass(frozen=True, slots=True)
class IndexMap:
    """Where in a window of the source each pixel of a grid is."""

    window: PixelWindow
    """The source pixels that are needed."""
    taken: NDArray[np.int32]
    """(grid.height, grid.width): index into the window's pixels, row by row; 0 where none."""
    covered: NDArray[np.bool_] | None
    """(grid.height, grid.width): False where the source ends; None where it is True everywhere."""

    def gather(self, window_pixels: Pixels) -> Pixels:
        """The grid's pixels.

        Args:
            window_pixels: (window.height, window.width).

        Returns:
            (grid.height, grid.width); 0 where the source does not cover.
        """
        pixels: Pixels = np.take(window_pixels.reshape(-1), self.taken)
        if self.covered is not None:
            pixels[~self.covered] = 0
        return pixels

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.taken.nbytes + (0 if self.covered is None else self.covered.nbytes)


class IndexMaps:
    """Makes index maps, and keeps those used last. Safe to use from many threads."""

    def __init__(self, limit: int = _LIMIT) -> None:
        """Args: limit: bytes of the maps that are kept."""
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], IndexMap | None] = OrderedDict()
        self._size = 0

    def between(
        self, crs: str, transform: Affine, shape: tuple[int, int], grid: Grid
    ) -> IndexMap | None:
        """The map from a source to a grid.

        Args:
            crs: the source's.
            transform: the source's, from (column, row) of pixel corners.
            shape: (height, width) of the source.
            grid: in any CRS.

        Returns:
            None where the source and the grid are apart.

        Raises:
            WindowTooLargeError: the grid needs more than `MOST_PIXELS` of the source.
        """
        key = (crs, tuple(transform)[:6], shape, grid)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = index_map(crs, transform, shape, grid)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += _cost(made)
            while self._size > self._limit and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._size -= _cost(dropped)
        return made


def _cost(made: IndexMap | None) -> int:
    return 1024 if made is None else made.size


def index_map(crs: str, transform: Affine, shape: tuple[int, int], grid: Grid) -> IndexMap | None:
    """See `IndexMaps.between`; nothing is kept."""
    columns, rows = source_positions(crs, transform, grid)
    height, width = shape
    covered = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    if not covered.any():
        return None
    first_row, first_column = int(rows[covered].min()), int(columns[covered].min())
    window = PixelWindow(
        column=first_column,
        row=first_row,
        width=int(columns[covered].max()) - first_column + 1,
        height=int(rows[covered].max()) - first_row + 1,
    )
    if window.width * window.height > MOST_PIXELS:
        raise WindowTooLargeError(
            f"one read would need {window.width} by {window.height} pixels of it"
        )
    # Truncation is floor here: no position that counts is negative.
    row_index = np.where(covered, rows, first_row).astype(np.int32) - np.int32(first_row)
    column_index = np.where(covered, columns, first_column).astype(np.int32)
    taken = row_index * np.int32(window.width) + (column_index - np.int32(first_column))
    return IndexMap(window, taken, None if covered.all() else covered)


def source_positions(crs: str, transform: Affine, grid: Grid) -> Positions:
    """Where in the source the centres of a grid's pixels lie.

    Args:
        crs: the source's.
        transform: the source's.
        grid: in any CRS.

    Returns:
        Columns and rows, each (grid.height, grid.width), within `LARGEST_ERROR` of the exact ones;
        negative where a centre cannot be carried over.
    """
    step = _FIRST_STEP
    while step > 1:
        found = _interpolated(crs, transform, grid, step)
        if found is not None:
            return found
        step //= 4
    y, x = np.mgrid[0 : grid.height, 0 : grid.width]
    return _exact(crs, transform, grid, x + 0.5, y + 0.5, lost=-1.0)


def _interpolated(crs: str, transform: Affine, grid: Grid, step: int) -> Positions | None:
    """Positions from a lattice; None where that is not exact enough, or a node is lost."""
    columns = np.arange(math.ceil(grid.width / step) + 1) * step + 0.5
    rows = np.arange(math.ceil(grid.height / step) + 1) * step + 0.5
    x, y = np.meshgrid(columns, rows)
    nodes = _exact(crs, transform, grid, x, y, lost=np.nan)
    middles = _exact(
        crs, transform, grid, x[:-1, :-1] + step / 2, y[:-1, :-1] + step / 2, lost=np.nan
    )
    for lattice, middle in zip(nodes, middles, strict=True):
        corners = lattice[:-1, :-1] + lattice[1:, :-1] + lattice[:-1, 1:] + lattice[1:, 1:]
        off = np.abs(corners / 4 - middle)
        if not (off <= LARGEST_ERROR).all():  # NaN is none
            return None
    across, down = nodes
    return _spread(across, grid, step), _spread(down, grid, step)


def _spread(lattice: NDArray[np.float64], grid: Grid, step: int) -> NDArray[np.float64]:
    """Interpolate a lattice to every pixel, first along rows, then along columns."""
    cell, share = np.divmod(np.arange(grid.width), step)
    along = lattice[:, cell] + (lattice[:, cell + 1] - lattice[:, cell]) * (share / step)
    cell, share = np.divmod(np.arange(grid.height), step)
    spread: NDArray[np.float64] = along[cell]
    spread += (along[cell + 1] - along[cell]) * (share / step)[:, np.newaxis]
    return spread


def _exact(
    crs: str,
    transform: Affine,
    grid: Grid,
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
    *,
    lost: float,
) -> Positions:
    """Carry points of the grid, in pixels from its corner, into the source; `lost` where not."""
    x = grid.left + columns * grid.resolution
    y = grid.top - rows * grid.resolution
    across, down = to_pixels(transform, crs, grid.crs, x.ravel(), y.ravel())
    finite = np.isfinite(across) & np.isfinite(down)
    across, down = np.where(finite, across, lost), np.where(finite, down, lost)
    return across.reshape(columns.shape), down.reshape(columns.shape)
