"""Slope of the ground, in degrees, from Copernicus GLO-30.

The rule is the one that existing tree-cover models were trained on: elevations are interpolated
bilinearly from 30 m to 10 m; the slope of a pixel comes from the difference of its two neighbours
along each axis over 20 m, atan(sqrt(dz/dx² + dz/dy²)), which is what GDAL calls Zevenbergen &
Thorne; slopes above 0 and below 0.02 degrees become 0.02; and the border, where a neighbour is
missing, is cut off. Here the interpolation goes straight onto the tile's grid in UTM, one pixel
wider on every side, so that nothing is lost by the cut and a pixel is 10 m along both axes.

Horn's formula over all eight neighbours, `gdaldem`'s default, can be chosen instead.

Several cells are interpolated together, as if they were one raster, also where their columns lie
at different distances; a cell that is sea counts as 0 m.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, assert_never

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from estinel_assets.ard.ard_zarr import grid_coordinates
from estinel_assets.ard.dem_cells import CellState, DemCell, DemChip, lon_lat, sea_chip, unwrapped
from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.grids import Grid

MIN_SLOPE_DEG: Final = 0.02
"""What a slope that is less, but more than 0, becomes."""
ATTRIBUTION: Final = (
    "Contains modified Copernicus WorldDEM-30 data, © DLR e.V. 2010-2014 and © Airbus Defence and "
    "Space GmbH 2014-2018, provided under COPERNICUS by the European Union and ESA; all rights "
    "reserved"
)
_WHOLE: Final = 1.0 - 1e-6
"""Sum of the weights of a pixel that has all it is interpolated from."""


class SlopeAlgorithm(StrEnum):
    """How a slope comes out of elevations."""

    CENTRAL = "central"
    """From the four nearest neighbours; GDAL's `ZevenbergenThorne`."""
    HORN = "horn"
    """From all eight neighbours; GDAL's `Horn`."""


def bordered(grid: Grid) -> Grid:
    """The grid with one pixel more on every side."""
    return Grid(
        crs=grid.crs,
        left=grid.left - grid.resolution,
        top=grid.top + grid.resolution,
        resolution=grid.resolution,
        width=grid.width + 2,
        height=grid.height + 2,
    )


def tile_slope(
    chips: Iterable[DemChip],
    grid: Grid,
    sea: Collection[DemCell] = (),
    *,
    algorithm: SlopeAlgorithm = SlopeAlgorithm.CENTRAL,
    min_slope_deg: float = MIN_SLOPE_DEG,
) -> NDArray[np.float32]:
    """The slope on a tile's grid.

    Args:
        chips: elevations of the cells around, as `cell_window(cell, bordered(grid))` says.
        grid: of the result, in metres.
        sea: the cells around that are sea.
        algorithm: the formula.
        min_slope_deg: what a slope that is less, but more than 0, becomes, in degrees.

    Returns:
        (height, width), degrees, 0 to 90.

    Raises:
        RetryableError: `source_blank`: a pixel has no elevation.
    """
    elevation_m = sample_elevation(chips, bordered(grid), sea)
    return slope_degrees(
        elevation_m, grid.resolution, algorithm=algorithm, min_slope_deg=min_slope_deg
    )


def sample_elevation(
    chips: Iterable[DemChip], grid: Grid, sea: Collection[DemCell] = ()
) -> NDArray[np.float32]:
    """Elevations on a grid, interpolated bilinearly.

    Each chip gives a pixel what those of the four points around it weigh that are the chip's, so
    that chips which adjoin one another are interpolated across their seam.

    Args:
        chips: in any order; no two of them have a point in common.
        grid: of the result, in any CRS.
        sea: cells at 0 m.

    Returns:
        (height, width), metres.

    Raises:
        RetryableError: `source_blank`: a pixel is not surrounded by elevations.
    """
    longitudes, latitudes = lon_lat(grid)
    total = np.zeros(grid.shape, dtype=np.float64)
    weight = np.zeros(grid.shape, dtype=np.float64)
    for chip in (*chips, *(sea_chip(cell) for cell in sea)):
        _add(chip, longitudes, latitudes, total, weight)
    lacking = weight < _WHOLE
    if lacking.any():
        row, column = (int(index[0]) for index in np.nonzero(lacking))
        raise RetryableError(
            SourceFault.BLANK,
            f"{int(lacking.sum())} of {lacking.size} pixels have no elevation, the first at "
            f"longitude {longitudes[row, column]:.5f}, latitude {latitudes[row, column]:.5f}: "
            "the cells that were read do not cover the tile",
        )
    return (total / weight).astype(np.float32)


def slope_degrees(
    elevation_m: NDArray[np.floating],
    resolution_m: float,
    *,
    algorithm: SlopeAlgorithm = SlopeAlgorithm.CENTRAL,
    min_slope_deg: float = MIN_SLOPE_DEG,
) -> NDArray[np.float32]:
    """The slope of every pixel that has all its neighbours.

    Args:
        elevation_m: (height + 2, width + 2), metres, square pixels.
        resolution_m: their size, in metres.
        algorithm: the formula.
        min_slope_deg: what a slope that is less, but more than 0, becomes, in degrees.

    Returns:
        (height, width), degrees, 0 to 90; NaN where an elevation that counts is NaN.

    Raises:
        ValueError: there is no pixel that has all its neighbours.
    """
    if min(elevation_m.shape) < 3:
        raise ValueError(f"elevations of shape {elevation_m.shape} have no pixel with neighbours")
    z = elevation_m.astype(np.float64)
    north, south = z[:-2, 1:-1], z[2:, 1:-1]
    west, east = z[1:-1, :-2], z[1:-1, 2:]
    match algorithm:
        case SlopeAlgorithm.CENTRAL:
            across, down, span = east - west, south - north, 2.0
        case SlopeAlgorithm.HORN:
            northwest, northeast = z[:-2, :-2], z[:-2, 2:]
            southwest, southeast = z[2:, :-2], z[2:, 2:]
            across = (northeast + 2 * east + southeast) - (northwest + 2 * west + southwest)
            down = (southwest + 2 * south + southeast) - (northwest + 2 * north + northeast)
            span = 8.0
        case _:
            assert_never(algorithm)
    slope = np.degrees(np.arctan(np.hypot(across, down) / (span * resolution_m)))
    slope[(slope > 0) & (slope < min_slope_deg)] = min_slope_deg
    return slope.astype(np.float32)


def slope_dataset(
    slope: NDArray[np.float32],
    grid: Grid,
    *,
    cells: Mapping[DemCell, CellState],
    algorithm: SlopeAlgorithm = SlopeAlgorithm.CENTRAL,
    min_slope_deg: float = MIN_SLOPE_DEG,
) -> xr.Dataset:
    """The slope as the group `dem` keeps it.

    Args:
        slope: of `tile_slope`.
        grid: its grid.
        cells: the cells that it was made from, and which of them are sea.
        algorithm: the formula.
        min_slope_deg: the least slope.
    """
    variable = xr.Variable(
        ("y", "x"),
        slope,
        attrs={
            "long_name": "terrain slope",
            "units": "degree",
            "algorithm": algorithm.value,
            "min_slope_deg": min_slope_deg,
        },
        encoding={"grid_mapping": "spatial_ref"},
    )
    return xr.Dataset(
        {"slope": variable},
        coords=grid_coordinates(grid),
        attrs={
            "title": "Terrain slope from Copernicus DEM GLO-30",
            "dem_cells": _names(cells, CellState.PRESENT),
            "dem_cells_sea": _names(cells, CellState.SEA),
            "attribution": ATTRIBUTION,
        },
    )


def _names(cells: Mapping[DemCell, CellState], state: CellState) -> list[str]:
    return [cell.name for cell, found in sorted(cells.items()) if found is state]


def _add(
    chip: DemChip,
    longitudes: NDArray[np.float64],
    latitudes: NDArray[np.float64],
    total: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> None:
    """Add what a chip gives each pixel, and how much of the pixel's whole that is."""
    height, width = chip.elevation_m.shape
    middle = chip.left_deg + width * chip.pixel_width_deg / 2
    columns = (unwrapped(longitudes, middle) - chip.left_deg) / chip.pixel_width_deg - 0.5
    rows = (chip.top_deg - latitudes) / chip.pixel_height_deg - 0.5
    near = (columns > -1) & (columns < width) & (rows > -1) & (rows < height)
    if not near.any():
        return
    columns, rows = columns[near], rows[near]
    left, upper = np.floor(columns).astype(np.intp), np.floor(rows).astype(np.intp)
    right_part, lower_part = columns - left, rows - upper
    gained = np.zeros(columns.shape)
    of_whole = np.zeros(columns.shape)
    corners: Sequence[tuple[int, int, NDArray[np.float64]]] = (
        (0, 0, (1 - lower_part) * (1 - right_part)),
        (0, 1, (1 - lower_part) * right_part),
        (1, 0, lower_part * (1 - right_part)),
        (1, 1, lower_part * right_part),
    )
    for down, across, part in corners:
        row, column = upper + down, left + across
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        elevation = chip.elevation_m[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        share = np.where(inside & np.isfinite(elevation), part, 0.0)
        gained += share * np.where(share > 0, elevation, 0.0)
        of_whole += share
    total[near] += gained
    weight[near] += of_whole
