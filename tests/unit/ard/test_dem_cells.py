"""Cells of the elevation model: their names, their pixels, and which of them are sea."""

import json

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.ard.dem_cells import (
    CellState,
    DemCell,
    cell_states,
    cell_window,
    cells_of,
    parse_dem_cell,
    require_known,
    sea_chip,
)
from estinel_assets.ard.tiles import utm_crs
from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterSource
from tests.support.real import real_data

LAND, COAST, OCEAN = DemCell(33, -119), DemCell(33, -120), DemCell(32, -120)


@given(st.integers(-90, 89), st.integers(-180, 179))
def test_names_are_read_as_they_are_written(south: int, west: int):
    cell = DemCell(south, west)
    assert parse_dem_cell(cell.name) == cell


@pytest.mark.parametrize(
    "item_id",
    [
        "",
        "Copernicus_DSM_COG_10_N33_00_W119_00",
        "Copernicus_DSM_COG_10_N90_00_W119_00_DEM",
        "Copernicus_DSM_COG_10_N33_00_E180_00_DEM",
        "Copernicus_DSM_COG_10_N33_50_W119_00_DEM",
    ],
)
def test_what_names_no_cell(item_id: str):
    assert parse_dem_cell(item_id) is None


def test_the_cells_of_real_items_lie_where_the_items_say():
    document = json.loads(real_data("s1_dem/cop-dem-glo-30-pc.json").read_text())
    items = document["features"] if isinstance(document, dict) else document
    assert items
    for item in items:
        cell = parse_dem_cell(item["id"])
        assert cell is not None
        chip = sea_chip(cell)
        height, width = chip.elevation_m.shape
        assert [height, width] == item["properties"]["proj:shape"]
        west, south, east, north = item["bbox"]
        right = chip.left_deg + width * chip.pixel_width_deg
        bottom = chip.top_deg - height * chip.pixel_height_deg
        assert (chip.left_deg, bottom, right, chip.top_deg) == pytest.approx(
            (west, south, east, north)
        )


@pytest.mark.parametrize(
    ("south", "columns"),
    [
        (0, 3600), (49, 3600), (50, 2400), (59, 2400), (60, 1800), (70, 1200), (80, 720), (85, 360),
        (-1, 3600), (-50, 3600), (-51, 2400), (-60, 2400), (-61, 1800), (-90, 360),
    ],
)  # fmt: skip
def test_columns_grow_apart_with_latitude(south: int, columns: int):
    assert DemCell(south, 0).columns == columns


def grid_at(lon: float, lat: float, pixels: int) -> Grid:
    """A 10 m grid whose upper left pixel's centre is the place."""
    crs = utm_crs(lon, lat)
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [lon], [lat])
    return Grid(crs, x - 5, y + 5, 10.0, pixels, pixels)


@pytest.mark.parametrize(
    ("lon", "lat", "cells"),
    [
        (-118.5, 33.5, [LAND]),
        # Whole degrees of latitude belong to the cell south of them, of longitude to the east.
        (-118.5, 34.0, [LAND]),
        (-119.0, 33.5, [LAND]),
        # West of the last column of a cell, and south of its last row, the next cell has a part.
        (-118.5, 34.0001, [LAND, DemCell(34, -119)]),
        (-119.0001, 33.5, [COAST, LAND]),
        (-118.5, 33.0001, [DemCell(32, -119), LAND]),
        (-118.00001, 33.00001, [DemCell(32, -119), DemCell(32, -118), LAND, DemCell(33, -118)]),
    ],
)
def test_which_cells_a_pixel_needs(lon: float, lat: float, cells: list[DemCell]):
    assert list(cells_of(grid_at(lon, lat, 1))) == cells


@given(st.floats(-179.99, 179.99), st.floats(-80, 83.9), st.integers(1, 90))
def test_every_cell_that_is_needed_has_a_window_and_no_other(lon: float, lat: float, pixels: int):
    grid = grid_at(lon, lat, pixels)
    needed = cells_of(grid)
    assert 1 <= len(needed) <= 4
    for cell in needed:
        window = cell_window(cell, grid)
        assert window is not None
        assert 0 <= window.row <= window.row + window.height <= 3600
        assert 0 <= window.column <= window.column + window.width <= cell.columns
    for south in (-3, 3):
        far = DemCell(min(max(needed[0].south + south, -90), 89), needed[0].west)
        assert cell_window(far, grid) is None


def test_states_tell_sea_from_what_nobody_knows():
    needed = [LAND, COAST, OCEAN]
    listed = {LAND, COAST}
    assert cell_states(needed, {LAND, COAST}, listed) == {
        LAND: CellState.PRESENT,
        COAST: CellState.PRESENT,
        OCEAN: CellState.SEA,
    }
    # The collection has the coast, so a search that lacks it was not complete.
    assert cell_states(needed, {LAND}, listed)[COAST] is CellState.UNKNOWN
    # Without the list nothing can be said of what is absent.
    assert cell_states(needed, {LAND, COAST}, None)[OCEAN] is CellState.UNKNOWN
    # An answer is an answer, whatever a list says.
    assert cell_states(needed, {OCEAN}, listed)[OCEAN] is CellState.PRESENT


@pytest.mark.parametrize(
    ("cell", "state"),
    [
        (DemCell(40, 44), CellState.UNKNOWN),
        (DemCell(41, 50), CellState.UNKNOWN),
        (DemCell(37, 44), CellState.SEA),
        (DemCell(42, 44), CellState.SEA),
        (DemCell(40, 42), CellState.SEA),
        (DemCell(40, 51), CellState.SEA),
    ],
)
def test_where_cells_are_withheld_absence_is_no_sea(cell: DemCell, state: CellState):
    assert cell_states([cell], set(), {LAND})[cell] is state


def test_unknown_cells_are_named():
    states = cell_states([LAND, COAST, OCEAN], {LAND}, None)
    with pytest.raises(RetryableError, match=f"{COAST.name}, {OCEAN.name}, and nothing") as told:
        require_known(states)
    assert told.value.reason == SourceFault.UNAVAILABLE
    assert LAND.name not in str(told.value)
    require_known(cell_states([LAND, OCEAN], {LAND}, {LAND}))


@pytest.mark.parametrize("south", [33, 52, 64, 75])
def test_windows_are_read_pixel_for_pixel(tmp_path, south: int):
    cell = DemCell(south, 10)
    chip = sea_chip(cell)
    rng = np.random.default_rng(south)
    pixels = rng.uniform(0, 900, chip.elevation_m.shape).astype(np.float32)
    path = tmp_path / "cell.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=3600, width=cell.columns, count=1, dtype="float32",
        crs="EPSG:4326", tiled=True,
        transform=rasterio.Affine(
            chip.pixel_width_deg, 0, chip.left_deg, 0, -chip.pixel_height_deg, chip.top_deg
        ),
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
    window = cell_window(cell, grid_at(10.4, south + 0.6, 80))
    assert window is not None
    read = window.chip(RasterioReader().read(RasterSource(str(path)), window.read_grid))
    part = pixels[window.row :, window.column :][: window.height, : window.width]
    np.testing.assert_array_equal(read.elevation_m, part)
    with pytest.raises(ValueError, match="are not on the grid"):
        window.chip(part)
