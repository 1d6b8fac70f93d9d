"""The slope of a group of tiles, from the cells of the elevation model around them."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from estinel_assets.ard.catalogues import ELEVATION, Catalogue, require_asset
from estinel_assets.ard.dem_cells import (
    CellState,
    CellWindow,
    DemCell,
    cell_states,
    cell_window,
    cells_of,
    parse_dem_cell,
    require_known,
)
from estinel_assets.ard.group_reading import FileRead, GroupReading, reading_files
from estinel_assets.ard.making import Ends, Failures, GroupInput, TileEnd
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.slope import bordered, slope_dataset, tile_slope
from estinel_assets.ard.tiles import TileYear, tile_grid
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.scenes import SceneAsset
from estinel_assets.stac.source import StacItem

_DIGITS: Final = 4

_Windows = Mapping[DemCell, CellWindow]


def make_dem(group: GroupInput) -> Ends:
    """Make the slope of each tile.

    Raises:
        UnitError: the search failed.
        StoreError: the list of cells cannot be read.
    """
    tile_years = group.tile_years
    grids = {tile_year: tile_grid(tile_year.tile) for tile_year in tile_years}
    with group.seconds.of("search"):
        found = _found(group, [bordered(grid) for grid in grids.values()])
        needed = {tile_year: cells_of(bordered(grid)) for tile_year, grid in grids.items()}
        absent = {cell for cells in needed.values() for cell in cells} - found.keys()
        # Nearly all tiles have all their cells, and the list is long.
        listed = group.catalogue.listed_cells(group.store) if absent else None
    ends: Ends = {}
    failures = Failures()
    with (
        group.seconds.of("read"),
        reading_files(group.rasters, group.catalogue.signer) as reading,
    ):
        states: dict[TileYear, dict[DemCell, CellState]] = {}
        windows: dict[TileYear, _Windows] = {}
        for tile_year in tile_years:
            with failures.of(tile_year):
                known = cell_states(needed[tile_year], found, listed)
                require_known(known)
                states[tile_year] = known
                windows[tile_year] = _windows(known, bordered(grids[tile_year]))
        reads = _begin(reading, group.catalogue, found, windows, failures)
        for tile_year in failures.spared(tile_years):
            with failures.of(tile_year):
                ends[tile_year] = _end(
                    grids[tile_year], states[tile_year], windows[tile_year], reads
                )
    return ends | failures


def _found(group: GroupInput, grids: Sequence[Grid]) -> dict[DemCell, StacItem]:
    """The cells that the catalogue gives, with their items."""
    items = group.catalogue.find_always(grids)
    cells = {parse_dem_cell(item["id"]): item for item in items}
    return {cell: item for cell, item in cells.items() if cell is not None}


def _windows(states: Mapping[DemCell, CellState], grid: Grid) -> _Windows:
    """What is to be read of each cell that is there."""
    windows = {
        cell: cell_window(cell, grid)
        for cell, state in states.items()
        if state is CellState.PRESENT
    }
    return {cell: window for cell, window in windows.items() if window is not None}


def _begin(
    reading: GroupReading,
    catalogue: Catalogue,
    found: Mapping[DemCell, StacItem],
    windows: Mapping[TileYear, _Windows],
    failures: Failures,
) -> dict[DemCell, FileRead]:
    """Begin to read each cell, once for all tiles that need it."""
    grids: dict[DemCell, list[Grid]] = {}
    assets: dict[DemCell, SceneAsset] = {}
    for tile_year, of_tile in windows.items():
        with failures.of(tile_year):
            for cell in of_tile:
                listed = catalogue.assets(found[cell])
                asset = require_asset(listed, ELEVATION, cell.name)
                # Where it lies, the file says best: catalogues round its half pixels.
                assets[cell] = SceneAsset(asset.href, None, None)
            for cell, window in of_tile.items():
                grids.setdefault(cell, []).append(window.read_grid)
    return {cell: reading.begin(assets[cell], wanted) for cell, wanted in grids.items()}


def _end(
    grid: Grid,
    states: Mapping[DemCell, CellState],
    windows: _Windows,
    reads: Mapping[DemCell, FileRead],
) -> TileEnd:
    cells = {cell.name: state.value for cell, state in sorted(states.items())}
    if all(state is CellState.SEA for state in states.values()):
        return TileEnd(ArdReason.NO_DEM, detail={"cells": cells})
    slope = tile_slope(
        (window.chip(reads[cell].on(window.read_grid)) for cell, window in windows.items()),
        grid,
        sea=[cell for cell, state in states.items() if state is CellState.SEA],
    )
    numbers = {"min": np.min(slope), "max": np.max(slope), "mean": np.mean(slope, dtype=float)}
    return TileEnd(
        ArdReason.NONE,
        {"dem": slope_dataset(slope, grid, cells=states)},
        {
            "cells": cells,
            "slope_deg": {name: round(float(n), _DIGITS) for name, n in numbers.items()},
        },
    )
