"""Small pictures of views: every pixel is the mean of its area."""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from estinel_assets.raster.views import View

K = TypeVar("K", np.uint32, np.int64)


def thumbnail(view: View, fraction: float = 0.125) -> View:
    """Shrink a view by averaging areas, in which transparent pixels do not count.

    Args:
        view: the picture.
        fraction: new size by old size, along both axes, in (0, 1].

    Returns:
        A view of rounded size, at least 1 by 1. A pixel is opaque where any pixel of its area is.

    Raises:
        ValueError: the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a thumbnail cannot be {fraction} of its picture: give 0 < fraction <= 1")
    rows, columns = view.alpha.shape
    height, width = (max(1, math.floor(size * fraction + 0.5)) for size in (rows, columns))
    if view.alpha.all():
        # An area has rows / height times columns / width pixels, counted as in `_area_sums`.
        means = _area_sums(view.rgb, height, width) / (rows * columns)
        return View(_rounded(means), np.ones((height, width), dtype=np.bool_))
    weights = _area_sums(view.alpha.view(np.uint8)[np.newaxis], height, width)
    sums = _area_sums(view.rgb * view.alpha, height, width)
    alpha = weights[0] > 0
    means = np.divide(sums, weights, out=np.zeros(sums.shape), where=alpha)
    return View(_rounded(means), alpha)


def _rounded(means: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.floor(means + 0.5).astype(np.uint8)


def _area_sums(planes: NDArray[np.uint8], height: int, width: int) -> NDArray[np.int64]:
    """Sums over the areas of coarser planes, times height times width: so they are whole numbers.

    Args:
        planes: (planes, rows, columns), at least as large as the coarser ones.
        height: rows of the coarser planes.
        width: their columns.
    """
    bands = _row_sums(planes, height, np.uint32)  # at most 255 times the number of rows
    turned = np.ascontiguousarray(bands.swapaxes(1, 2))
    return _row_sums(turned, width, np.int64).swapaxes(1, 2)


def _row_sums(planes: NDArray[Any], count: int, kind: type[K]) -> NDArray[K]:
    """Sum the rows of (planes, rows, columns) into `count` bands of equal height, times `count`."""
    number, rows, columns = planes.shape
    if rows % count == 0:
        split = planes.reshape(number, count, rows // count, columns)
        whole: NDArray[K] = split.sum(axis=2, dtype=kind) * kind(count)
        return whole
    # Edges are whole numbers of 1 / count rows, so that shares are exact.
    edges, parts = np.divmod(np.arange(count + 1) * rows, count)
    starts, lengths = edges[:-1], np.diff(edges)
    fewest = int(lengths.min())
    sums: NDArray[Any] = planes[:, starts].astype(kind)
    for row in range(1, fewest):
        sums += planes[:, starts + row]
    longer = np.flatnonzero(lengths > fewest)
    sums[:, longer] += planes[:, starts[longer] + fewest]
    sums *= kind(count)
    # A row with an edge in it was counted for the band below alone: give its upper part back.
    upper = planes[:, edges[1:-1]] * parts[1:-1, np.newaxis].astype(kind)
    sums[:, :-1] += upper
    sums[:, 1:] -= upper
    return sums
