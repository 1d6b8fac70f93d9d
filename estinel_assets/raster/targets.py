"""Where the pixels of a source's blocks go: onto a grid, by slicing or by a map.

In a shared CRS the nearest source pixel is found for rows and columns on their own, so that pixels
are copied from each block to their place, also where grids do not lie on the same pixel corners.
Where source and grid have the same pixel size, that is plain slicing. In another CRS each grid
pixel takes its own (`index_maps`), from a window into which the blocks are copied first.
"""

from typing import Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.index_maps import IndexMap
from estinel_assets.raster.placement import PixelWindow, nearest_indices, window_of
from estinel_assets.raster.reader import Pixels


class Target(Protocol):
    """What one grid takes of a source."""

    @property
    def window(self) -> PixelWindow | None:
        """The source pixels that are needed; None where there are none."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it needs in memory."""
        ...

    def put(self, row: int, column: int, part: Pixels) -> None:
        """Take what is needed of a part of the source. Parts may come from several threads.

        Args:
            row: of the source, of the part's first pixel.
            column: likewise.
            part: (rows, columns), which reaches over the window's columns or ends with the block.
        """
        ...

    def finished(self) -> Pixels:
        """The grid's pixels: (grid.height, grid.width), 0 where nothing was put."""
        ...


class SlicedTarget:
    """A `Target` in the source's CRS."""

    def __init__(
        self, transform: Affine, shape: tuple[int, int], grid: Grid, dtype: np.dtype[np.generic]
    ) -> None:
        """Args: as `nearest_indices`; dtype: the result's."""
        rows, columns = nearest_indices(transform, shape, grid)
        self.window = window_of(rows, columns)
        self._rows, self._columns = _Axis(rows), _Axis(columns)
        self._pixels: Pixels = np.zeros(grid.shape, dtype)

    @property
    def size(self) -> int:
        """See `Target.size`."""
        return self._pixels.nbytes

    def put(self, row: int, column: int, part: Pixels) -> None:
        """See `Target.put`."""
        rows, from_rows = self._rows.within(row, row + part.shape[0])
        columns, from_columns = self._columns.within(column, column + part.shape[1])
        if rows.start == rows.stop or columns.start == columns.stop:
            return
        self._pixels[rows, columns] = part[from_rows][:, from_columns]

    def finished(self) -> Pixels:
        """See `Target.finished`."""
        return self._pixels


class _Axis:
    """Source index of each grid row, or column: ascending, -1 before and after."""

    def __init__(self, indices: NDArray[np.intp]) -> None:
        covered = np.flatnonzero(indices >= 0)
        self._first = int(covered[0]) if covered.size else 0
        self._indices = indices[covered]
        last = self._indices.size - 1
        # Ascending by one each, where pixels have the same size.
        self._by_one = covered.size > 0 and bool(
            self._indices[last] - self._indices[0] == last and (np.diff(self._indices) == 1).all()
        )

    def within(self, start: int, stop: int) -> tuple[slice, slice | NDArray[np.intp]]:
        """Where the source indices from start to stop go, and which of them, from start on."""
        if self._by_one:
            begin, size = int(self._indices[0]), self._indices.size
            low, high = (min(max(index - begin, 0), size) for index in (start, stop))
            taken: slice | NDArray[np.intp] = slice(begin + low - start, begin + high - start)
        else:
            low, high = np.searchsorted(self._indices, (start, stop)).tolist()
            taken = self._indices[low:high] - start
        return slice(self._first + low, self._first + high), taken


class MappedTarget:
    """A `Target` in another CRS than the source's."""

    def __init__(self, index_map: IndexMap | None, grid: Grid, dtype: np.dtype[np.generic]) -> None:
        """Args: index_map: None where source and grid are apart; dtype: the result's."""
        self._map = index_map
        self._grid = grid
        self.window = None if index_map is None else index_map.window
        shape = (0, 0) if self.window is None else (self.window.height, self.window.width)
        self._pixels: Pixels = np.zeros(shape, dtype)

    @property
    def size(self) -> int:
        """See `Target.size`."""
        return self._pixels.nbytes + self._grid.width * self._grid.height * self._pixels.itemsize

    def put(self, row: int, column: int, part: Pixels) -> None:
        """See `Target.put`."""
        if self.window is None:
            return
        top, left = row - self.window.row, column - self.window.column
        rows = slice(max(top, 0), max(min(top + part.shape[0], self.window.height), 0))
        columns = slice(max(left, 0), max(min(left + part.shape[1], self.window.width), 0))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        self._pixels[rows, columns] = part[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]

    def finished(self) -> Pixels:
        """See `Target.finished`."""
        if self._map is None:
            return np.zeros(self._grid.shape, self._pixels.dtype)
        return self._map.gather(self._pixels)
