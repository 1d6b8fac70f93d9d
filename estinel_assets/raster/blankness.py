"""A blank read is never silent: a file must hold the pixels that its scene's footprint promises.

The constants come from Sentinel-2 items and scenes of Earth Search and the Planetary Computer:
1,077 footprints against the share of nodata that their items tell, and three scenes pixel by
pixel. A false alarm keeps good images back, so all of them lean to the quiet side.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.footprints import Extent, TileCoverage, inside_footprint, tile_coverage
from estinel_assets.raster.grids import Grid

MARGIN_M = 1000.0
"""Nearer to its footprint's border a pixel is not promised. Where a swath ends within a tile,
footprints reach up to 420 m, on the average of the border, beyond the last valid pixel."""
LEAST_PROMISED = 0.05
"""Share of the window that must be promised to judge it. A sliver may be off, or dark, whole."""
MOST_MISSING = 0.4
"""Share of the promised pixels that may be missing. Of a classification none is; of a single
band whose catalogue has subtracted the offset, dark pixels are 0 like missing ones: up to 0.12
of a window of 6 km, 0.32 of 3 km, 0.49 of 1.2 km. A window that is half blank lies at 0.5."""

_MOST_OVERREACH_M = 600.0
"""Farther, on the average of its border, a footprint may not reach beyond the valid pixels."""
_MOST_UNEXPLAINED = 0.0005
"""Share of the footprint that may be nodata where no border explains it. Of 383 tiles that
their footprint covers whole, the worst has 0.00006."""
_MOST_LEFT_OUT = 0.05
"""Share of a tile that may be valid outside the footprint, which is up to 0.004. A footprint
that leaves out more is of another outline, and may lie anywhere."""


def is_believable(coverage: TileCoverage | None, nodata_percent: float | None) -> bool:
    """Whether a footprint may be held against the pixels.

    Some catalogues give the whole tile as footprint of a scene of which the satellite saw a
    part. What the item tells of its nodata uncovers them: the area that the footprint has too
    much must fit into a strip of 600 m along that part of its border that lies within the tile,
    and 0.05 % of itself. A footprint that leaves out more than 5 % of the tile though it is
    valid is not believed either.

    Args:
        coverage: what the footprint covers of the tile; None = not known.
        nodata_percent: the share of the tile without any value, in [0, 100], as the property
            `s2:nodata_pixel_percentage`; None, or a number out of range = not told.

    Returns:
        True where nothing is told, since then nothing speaks against the footprint. Where the
        coverage is not known, only if no nodata is told either.
    """
    if nodata_percent is None or not 0 <= nodata_percent <= 100:
        return True
    nodata = nodata_percent / 100
    if coverage is None:
        return nodata <= _MOST_UNEXPLAINED
    excess = coverage.share - (1 - nodata)
    strip = _MOST_OVERREACH_M * coverage.border_m / coverage.area_m2
    return -_MOST_LEFT_OUT <= excess <= strip + _MOST_UNEXPLAINED * coverage.share


def promised_pixels(
    geometry: Mapping[str, Any] | None,
    grid: Grid,
    extent: Extent | None,
    nodata_percent: float | None,
) -> NDArray[np.bool_]:
    """The pixels of a grid that a scene must have.

    They lie at least `MARGIN_M` inside the footprint and the file, if the footprint is
    believable.

    Args:
        geometry: the item's, GeoJSON in longitude and latitude; None = it has none.
        grid: in a projected CRS.
        extent: where the file lies; None = not known.
        nodata_percent: as for `is_believable`.

    Returns:
        (grid.height, grid.width); all False where the footprint promises nothing.
    """
    if not is_believed(geometry, extent, nodata_percent):
        return np.zeros(grid.shape, dtype=np.bool_)
    return promised_by(geometry, grid, extent)


def is_believed(
    geometry: Mapping[str, Any] | None, extent: Extent | None, nodata_percent: float | None
) -> bool:
    """Whether a scene's footprint promises anything; the first half of `promised_pixels`.

    Args:
        geometry: as there.
        extent: as there.
        nodata_percent: as there.
    """
    coverage = None if extent is None else tile_coverage(geometry, extent)
    return is_believable(coverage, nodata_percent)


def promised_by(
    geometry: Mapping[str, Any] | None, grid: Grid, extent: Extent | None
) -> NDArray[np.bool_]:
    """What a footprint that is believed promises; the second half of `promised_pixels`.

    Args:
        geometry: as there.
        grid: as there.
        extent: as there.

    Returns:
        (grid.height, grid.width).
    """
    return inside_footprint(geometry, grid, margin_m=MARGIN_M, extent=extent)


def require_promised(valid: NDArray[np.bool_], promised: NDArray[np.bool_], what: str) -> None:
    """Refuse what was read if it is blank where its scene promises pixels.

    It is refused if at least 5 % of the window is promised, and more than 40 % of the promised
    pixels are missing. So a window that is promised whole is found if it is blank, or half of
    it, small ones too.

    Args:
        valid: (height, width), what has a value. Not `band != 0` where the catalogue has
            subtracted the offset (Earth Search's `earthsearch:boa_offset_applied`), for dark
            water may be 0 there in a whole band: take any of the bands, or the classification.
        promised: (height, width), as `promised_pixels` gives it.
        what: the file or scene, for the message, without the query of its address.

    Raises:
        RetryableError: too many are missing (`SourceFault.BLANK`).
        ValueError: the shapes differ.
    """
    if valid.shape != promised.shape:
        raise ValueError(
            f"{what}: valid pixels of shape {valid.shape} cannot be compared with promised ones "
            f"of shape {promised.shape}: read both on one grid"
        )
    expected = int(np.count_nonzero(promised))
    if expected == 0 or expected < LEAST_PROMISED * promised.size:
        return
    found = int(np.count_nonzero(valid & promised))
    least = math.ceil((1 - MOST_MISSING) * expected)
    if found < least:
        raise RetryableError(
            SourceFault.BLANK,
            f"{what}: {found:,} of the {expected:,} pixels that its footprint promises have a "
            f"value, fewer than the {least:,} that may be expected: try again later, and tell "
            "its provider if that does not help",
        )
