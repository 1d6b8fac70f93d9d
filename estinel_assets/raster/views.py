"""Three 8-bit views of a composite, each for another kind of light.

A pixel is valid where all three bands are not 0; only valid pixels count, the others become
transparent. *Linear* means per band ``(v - min) * (255 / (max - min))``, truncated, and 0 where
the maximum is the minimum. *Pooled* values are those of the three bands together.

- `stretch`: linear.
- `q128`: each value becomes the lower breakpoint of its bin, then linear. The breakpoints are
  the 128 quantiles of the pooled values at equal steps from 0 to 1 (type 7 of Hyndman and Fan
  1996), equal ones merged; bins are closed on the right, the first one on both sides.
- `histeq`: each value becomes the share of pooled values that are less or equal, then linear.

Values have 16 bits, so everything follows from one histogram a band, and each view is a look-up
table. The order of the floating point operations is that of R (`quantile`, `ecdf`, and terra's
`stretch`), because truncation makes the last bit visible.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_VALUES = 1 << 16
_QUANTILES = 128
_PIECE = 1 << 17
"""Pixels that are counted or looked up at a time."""


class ViewName(StrEnum):
    """The views, by the names that file names carry."""

    Q128 = "q128"
    HISTEQ = "histeq"
    STRETCH = "stretch"


@dataclass(frozen=True, slots=True)
class View:
    """A picture."""

    rgb: NDArray[np.uint8]
    """(3, height, width): red, green, blue; 0 where transparent."""
    alpha: NDArray[np.bool_]
    """(height, width): False where transparent."""


@dataclass(frozen=True, slots=True)
class _Histogram:
    """How often each value occurs among the valid pixels of the three bands."""

    values: NDArray[np.intp]
    """Values that occur in any band, ascending, shape (n,)."""
    pooled: NDArray[np.intp]
    """How often each does in the three bands together, shape (n,)."""
    spans: tuple[slice, ...]
    """For each band the part of `values` from its least to its greatest."""


def render_views(
    composite: NDArray[np.uint16], names: Iterable[ViewName] = tuple(ViewName)
) -> dict[ViewName, View]:
    """Make views of a composite.

    Args:
        composite: (3, height, width): red, green, blue; 0 means no data.
        names: which views.

    Returns:
        The views asked for, in that order. Their alpha is one shared array.

    Raises:
        ValueError: the composite has another shape or type.
    """
    if composite.ndim != 3 or composite.shape[0] != 3 or composite.dtype != np.uint16:
        raise ValueError(
            f"a composite is (3, height, width) of uint16, not {composite.shape} of "
            f"{composite.dtype}"
        )
    red, green, blue = composite
    alpha = (red != 0) & (green != 0) & (blue != 0)
    if not alpha.any():
        return {name: View(np.zeros(composite.shape, np.uint8), alpha) for name in names}
    holes = None if alpha.all() else ~alpha
    histogram = _count(composite, holes)
    tables = {name: _tables(_LEVELS[name](histogram), histogram) for name in names}
    views = {name: View(np.empty(composite.shape, dtype=np.uint8), alpha) for name in tables}
    for band, plane in enumerate(composite):
        for rows, values in _pieces(plane, holes):
            for name, view in views.items():
                # None is out of range; with "raise" numpy would write to a copy first.
                np.take(tables[name][band], values, out=view.rgb[band, rows], mode="wrap")
    return views


def _pieces(
    plane: NDArray[np.uint16], holes: NDArray[np.bool_] | None
) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Some rows of a band at a time, and their values, 0 in holes.

    They are converted once for all that is done with them, and so few that they stay in the
    processor's cache.
    """
    step = max(1, _PIECE // plane.shape[1])
    for start in range(0, len(plane), step):
        rows = slice(start, start + step)
        values = plane[rows].astype(np.intp)
        if holes is not None:
            values[holes[rows]] = 0
        yield rows, values


def _count(composite: NDArray[np.uint16], holes: NDArray[np.bool_] | None) -> _Histogram:
    counts = np.zeros((len(composite), _VALUES), dtype=np.intp)
    for plane, count in zip(composite, counts, strict=True):
        for _, values in _pieces(plane, holes):
            count += np.bincount(values.ravel(), minlength=_VALUES)
    counts[:, 0] = 0  # no valid pixel is 0 in any band
    pooled = counts.sum(axis=0)
    occurring = np.flatnonzero(pooled)
    spans = []
    for band in counts[:, occurring]:
        present = np.flatnonzero(band)
        spans.append(slice(int(present[0]), int(present[-1]) + 1))
    return _Histogram(occurring, pooled[occurring], tuple(spans))


def _tables(levels: NDArray[np.float64], histogram: _Histogram) -> list[NDArray[np.uint8]]:
    """A band's look-up table, for each of the three."""
    return [_linear_table(levels, histogram.values, span) for span in histogram.spans]


def _linear_table(
    levels: NDArray[np.float64], values: NDArray[np.intp], span: slice
) -> NDArray[np.uint8]:
    """The 8-bit value of every 16-bit value of one band; its levels ascend with the values."""
    table = np.zeros(_VALUES, dtype=np.uint8)
    within = levels[span]
    low, high = within[0], within[-1]
    if high > low:
        table[values[span]] = ((within - low) * (255 / (high - low))).astype(np.uint8)
    return table


def _stretch_levels(histogram: _Histogram) -> NDArray[np.float64]:
    return histogram.values.astype(np.float64)


def _histeq_levels(histogram: _Histogram) -> NDArray[np.float64]:
    cumulative = np.cumsum(histogram.pooled)
    return np.asarray(cumulative / cumulative[-1], dtype=np.float64)


def _q128_levels(histogram: _Histogram) -> NDArray[np.float64]:
    breaks = np.unique(_quantiles(histogram))
    bins = np.searchsorted(breaks, histogram.values, side="left") - 1
    return breaks[np.maximum(bins, 0)]


def _quantiles(histogram: _Histogram) -> NDArray[np.float64]:
    """The type-7 quantiles of the pooled values, shape (128,)."""
    cumulative = np.cumsum(histogram.pooled)
    # R's seq() multiplies the step, and its quantile() counts from 1: both show in the last bit,
    # which decides on which side of a breakpoint a value lies.
    probabilities = np.arange(_QUANTILES) * (1 / (_QUANTILES - 1))
    probabilities[-1] = 1.0
    positions = 1 + (cumulative[-1] - 1) * probabilities
    below, above = np.floor(positions), np.ceil(positions)
    # The k-th smallest pooled value is the first one whose cumulative count reaches k.
    low = histogram.values[np.searchsorted(cumulative, below, side="left")].astype(np.float64)
    high = histogram.values[np.searchsorted(cumulative, above, side="left")].astype(np.float64)
    share = positions - below
    # Between equal values nothing is interpolated: rounding would part equal breakpoints.
    quantiles: NDArray[np.float64] = np.where(low == high, low, (1 - share) * low + share * high)
    return quantiles


_LEVELS: dict[ViewName, Callable[[_Histogram], NDArray[np.float64]]] = {
    ViewName.Q128: _q128_levels,
    ViewName.HISTEQ: _histeq_levels,
    ViewName.STRETCH: _stretch_levels,
}
"""What every value of the histogram becomes before the linear stretch."""
