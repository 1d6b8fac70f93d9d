"""The cells of Copernicus GLO-30 around the made tiles.

A cell is there where land was made in it. The one north of the island holds sea alone and is not
there, as in the real collection.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from estinel_assets.ard.dem_cells import ROWS, DemCell
from estinel_assets.demo.ard_files import Level, Patch, sparse_tiff
from estinel_assets.demo.ard_land import Land
from estinel_assets.demo.ard_places import transformer
from estinel_assets.demo.noise import FloatArray, blur
from estinel_assets.raster.grids import Grid

BLOCK_PX: Final = 1024
_FACTORS: Final = (1, 2, 4)
_SECOND: Final = 1 / ROWS


@dataclass(frozen=True, slots=True)
class MadeCell:
    """One item to be."""

    cell: DemCell
    grid: Grid
    file: bytes


def cells_of_land(land: Land) -> Iterator[MadeCell]:
    """The cells in which a land has a pixel above the sea."""
    west, south, east, north = transformer(land.grid.crs, "EPSG:4326").transform_bounds(
        *land.grid.bounds, densify_pts=17
    )
    # A post stands for some 30 m of ground.
    smooth = blur(land.elevation, 1.0) * (land.elevation > 0)
    for latitude in range(math.floor(south), math.ceil(north)):
        for longitude in range(math.floor(west), math.ceil(east)):
            cell = DemCell(latitude, longitude)
            grid = cell_grid(cell)
            patch = _patch(cell, grid, land, np.asarray(smooth, dtype=np.float32))
            if patch is not None and patch.pixels.any():
                levels = [
                    Level(
                        factor,
                        (Patch(patch.row // factor, patch.column // factor,
                               patch.pixels[::factor, ::factor]),),
                    )
                    for factor in _FACTORS
                ]  # fmt: skip
                file = sparse_tiff(grid, levels, "float32", nodata=None, block_px=BLOCK_PX)
                yield MadeCell(cell, grid, file)


def cell_grid(cell: DemCell) -> Grid:
    """The pixels of a cell near the equator: an arc second each, the first on the upper edge."""
    return Grid("EPSG:4326", cell.west - _SECOND / 2, cell.south + 1 + _SECOND / 2, _SECOND,
                cell.columns, ROWS)  # fmt: skip


def _patch(cell: DemCell, grid: Grid, land: Land, elevation: FloatArray) -> Patch | None:
    """The cell's posts on the canvas; 0 m around it."""
    west, south, east, north = transformer(land.grid.crs, "EPSG:4326").transform_bounds(
        *land.grid.bounds, densify_pts=17
    )
    coarsest = _FACTORS[-1]
    first = max(0, int((grid.top - north) / _SECOND)) // coarsest * coarsest
    start = max(0, int((west - grid.left) / _SECOND)) // coarsest * coarsest
    last = min(grid.height, int((grid.top - south) / _SECOND) + 1)
    stop = min(grid.width, int((east - grid.left) / _SECOND) + 1)
    if first >= last or start >= stop:
        return None
    lon, lat = np.meshgrid(
        cell.west + np.arange(start, stop) * _SECOND,
        cell.south + 1 - np.arange(first, last) * _SECOND,
    )
    x, y = transformer("EPSG:4326", land.grid.crs).transform(lon, lat)
    columns = (x - land.grid.left) / land.grid.resolution - 0.5
    rows = (land.grid.top - y) / land.grid.resolution - 0.5
    inside = (rows >= 0) & (columns >= 0)
    inside &= (rows <= land.grid.height - 1) & (columns <= land.grid.width - 1)
    row = np.clip(np.floor(rows).astype(np.intp), 0, land.grid.height - 2)
    column = np.clip(np.floor(columns).astype(np.intp), 0, land.grid.width - 2)
    down = (rows - row).clip(0, 1).astype(np.float32)
    right = (columns - column).clip(0, 1).astype(np.float32)
    upper = elevation[row, column] * (1 - right) + elevation[row, column + 1] * right
    lower = elevation[row + 1, column] * (1 - right) + elevation[row + 1, column + 1] * right
    heights = np.where(inside, upper * (1 - down) + lower * down, 0)
    # A hundredth of a metre, as far as anybody measures.
    return Patch(first, start, np.asarray(np.rint(heights * 128) / 128, dtype=np.float32))
