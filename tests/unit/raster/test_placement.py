"""Which source pixels a grid needs, measured by carrying over every single pixel."""

import math

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.placement import (
    PixelWindow,
    footprint_window,
    overview_level,
    source_pixels_per_grid_pixel,
)

# Large enough to hold the grids below, so that no window is right only for being cut off.
SHAPE = (30_000, 30_000)
POLAR = Affine(100, 0, -1_000_000, 0, -100, 2_000_000)  # the pole: about (500_000, 2_000)
DEGREES = Affine(0.01, 0, -150, 0, -0.01, -60)
DISTANT = Affine(100, 0, 500_000, 0, -100, 6_500_000)


@pytest.mark.parametrize(
    ("crs", "source", "grid"),
    [
        # The southernmost point is in the middle of an edge.
        (4326, DEGREES, Grid("EPSG:3031", -300_000.0, 900_000.0, 1000.0, 600, 400)),
        # Far apart, far from the central meridian.
        (32733, DISTANT, Grid("EPSG:32737", 200_000.0, 5_400_000.0, 1000.0, 600, 600)),
        # Curved edges of hundreds of kilometres, the pole inside, an edge through the pole.
        (32733, POLAR, Grid("EPSG:3031", -400_000.0, 900_000.0, 2000.0, 400, 300)),
        (32733, POLAR, Grid("EPSG:3031", -300_000.0, 300_000.0, 1000.0, 500, 500)),
        (32733, POLAR, Grid("EPSG:3031", 0.0, 500_000.0, 1000.0, 500, 500)),
        (32733, POLAR, Grid("EPSG:32720", 300_000.0, 600_000.0, 1000.0, 500, 700)),
        (32733, POLAR, Grid("EPSG:3031", 100_000.0, 600_000.0, 10.0, 60, 40)),
    ],
)
def test_the_window_holds_every_pixel_that_any_grid_pixel_lies_on(crs, source, grid):
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x = grid.left + columns * grid.resolution
    y = grid.top - rows * grid.resolution
    xs, ys = transform_points(
        CRS.from_user_input(grid.crs), CRS.from_epsg(crs), x.ravel(), y.ravel()
    )
    found_columns = np.floor((np.array(xs) - source.c) / source.a)
    found_rows = np.floor((np.array(ys) - source.f) / source.e)
    inside = (
        (found_columns >= 0) & (found_columns < 30_000) & (found_rows >= 0) & (found_rows < 30_000)
    )
    assert inside.any()
    window = footprint_window(source, SHAPE, CRS.from_epsg(crs), grid)
    assert window is not None
    assert window.column <= found_columns[inside].min()
    assert window.row <= found_rows[inside].min()
    assert found_columns[inside].max() < window.column + window.width
    assert found_rows[inside].max() < window.row + window.height
    assert window.column + window.width <= 30_000
    assert window.row + window.height <= 30_000


def test_a_small_grid_needs_a_small_window():
    grid = Grid("EPSG:3031", 100_000.0, 600_000.0, 10.0, 60, 40)
    window = footprint_window(POLAR, SHAPE, CRS.from_epsg(32733), grid)
    assert window is not None
    assert window.width < 20
    assert window.height < 20


def test_a_grid_elsewhere_needs_nothing():
    grid = Grid("EPSG:3031", 2_000_000.0, -1_000_000.0, 10.0, 60, 40)
    assert footprint_window(POLAR, SHAPE, CRS.from_epsg(32733), grid) is None


def test_what_cannot_be_carried_over_gets_the_whole_source_in_full_resolution():
    nowhere = Grid("EPSG:32733", 1e9, 1e9, 10.0, 60, 40)
    crs = CRS.from_epsg(3031)
    assert footprint_window(POLAR, SHAPE, crs, nowhere) == PixelWindow(0, 0, *SHAPE)
    ratio = source_pixels_per_grid_pixel(POLAR, crs, nowhere)
    assert math.isnan(ratio)
    assert overview_level([2, 4], ratio) is None


@pytest.mark.parametrize(
    ("factors", "ratio", "level"),
    [
        ([2, 4, 8], 1.99, None),
        ([2, 4, 8], 2.0, 0),
        ([2, 4, 8], 3.9999999, 1),
        ([2, 4, 8], 100.0, 2),
        ([], 100.0, None),
    ],
)
def test_the_coarsest_overview_that_is_not_coarser_than_the_grid(factors, ratio, level):
    assert overview_level(factors, ratio) == level


def test_the_ratio_counts_source_pixels_whatever_the_rotation():
    grid = Grid("EPSG:32733", 500_000.0, 2_000_000.0, 60.0, 10, 10)
    for angle in (0, 45, 90):
        turned = Affine.rotation(angle) @ Affine.scale(10, -20)
        ratio = source_pixels_per_grid_pixel(turned, CRS.from_epsg(32733), grid)
        assert ratio == pytest.approx(60 / math.sqrt(200))
