"""Nearest neighbour by index maps, measured with pyproj pixel by pixel."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from estinel_assets.raster import index_maps
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.index_maps import (
    LARGEST_ERROR,
    IndexMaps,
    WindowTooLargeError,
    index_map,
    source_positions,
)
from tests.support.examples import examples

SOURCE = "EPSG:32755"
TRANSFORM = Affine(10, 0, 699_960, 0, -10, 5_300_020)


def exact(crs, transform, grid):
    """Where the centres of a grid's pixels lie in the source, each carried over by itself."""
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    to_source = Transformer.from_crs(grid.crs, crs, always_xy=True)
    x, y = to_source.transform(
        grid.left + columns * grid.resolution, grid.top - rows * grid.resolution
    )
    return ~transform @ (x, y)


@examples(40)
@given(
    st.sampled_from(["EPSG:32756", "EPSG:32754", "EPSG:3031", "EPSG:3112"]),
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([10.0, 20.0, 60.0, 300.0]),
    st.floats(-120_000, 120_000),
)
def test_positions_are_as_exact_as_they_promise(crs, width, height, resolution, shift):
    x, y = Transformer.from_crs(SOURCE, crs, always_xy=True).transform(
        750_000 + shift, 5_250_000 - shift
    )
    grid = Grid(crs, x, y, resolution, width, height)

    found = source_positions(SOURCE, TRANSFORM, grid)

    for positions, expected in zip(found, exact(SOURCE, TRANSFORM, grid), strict=True):
        # A cell's middle is where linear interpolation is off most; a little for what it is not.
        np.testing.assert_allclose(positions, expected, rtol=0, atol=1.5 * LARGEST_ERROR)


def test_across_a_pole_every_pixel_is_carried_over_by_itself():
    grid = Grid("EPSG:3031", -400.0, 400.0, 20.0, 40, 40)
    transform = Affine(20, 0, 499_000, 0, -20, 1_002_000)

    columns, rows = source_positions("EPSG:32701", transform, grid)

    expected = exact("EPSG:32701", transform, grid)
    np.testing.assert_allclose(columns, expected[0], rtol=0, atol=LARGEST_ERROR)
    np.testing.assert_allclose(rows, expected[1], rtol=0, atol=LARGEST_ERROR)


def test_pixels_come_from_where_their_centres_lie():
    shape = (400, 500)
    source = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    x, y = Transformer.from_crs(SOURCE, "EPSG:32756", always_xy=True).transform(701_000, 5_299_500)
    grid = Grid("EPSG:32756", x, y, 10.0, 90, 70)
    made = index_map(SOURCE, TRANSFORM, shape, grid)
    assert made is not None
    window = made.window

    got = made.gather(
        source[window.row : window.row + window.height, window.column :][:, : window.width]
    )

    columns, rows = exact(SOURCE, TRANSFORM, grid)
    sure = np.ones(grid.shape, bool)
    for positions in (columns, rows):
        sure &= np.abs(positions - np.round(positions)) > 2 * LARGEST_ERROR
    expected = source[
        np.clip(rows, 0, shape[0] - 1).astype(int), np.clip(columns, 0, shape[1] - 1).astype(int)
    ]
    inside = (columns >= 0) & (rows >= 0) & (columns < shape[1]) & (rows < shape[0])
    np.testing.assert_array_equal(got[sure & inside], expected[sure & inside])
    assert not got[sure & ~inside].any()
    assert (sure & inside).mean() > 0.5


def test_grids_that_are_apart_have_no_map():
    assert index_map(SOURCE, TRANSFORM, (100, 100), Grid("EPSG:32733", 5e5, 6e6, 10, 5, 5)) is None
    assert index_map(SOURCE, TRANSFORM, (100, 100), Grid("EPSG:32754", 9e8, -9e8, 10, 5, 5)) is None


def test_a_window_of_a_continent_is_refused():
    grid = Grid("EPSG:32756", -2_000_000, 8_000_000, 20_000, 200, 200)
    with pytest.raises(WindowTooLargeError, match="pixels of it"):
        index_map(SOURCE, Affine(1, 0, 0, 0, -1, 9e6), (9_000_000, 9_000_000), grid)


def test_maps_are_kept_and_the_oldest_go(monkeypatch):
    made = []
    whole = index_maps.index_map
    monkeypatch.setattr(index_maps, "index_map", lambda *a: made.append(a[3]) or whole(*a))
    grids = [Grid("EPSG:32756", 220_000 + 10 * n, 5_290_000, 10, 50, 50) for n in range(4)]
    maps = IndexMaps(limit=3 * 50 * 50 * 4)

    for grid in (*grids[:3], *grids[:3]):
        maps.between(SOURCE, TRANSFORM, (10980, 10980), grid)
    assert made == grids[:3]
    maps.between(SOURCE, TRANSFORM, (10980, 10980), grids[3])
    maps.between(SOURCE, TRANSFORM, (10980, 10980), grids[2])
    assert made == grids
    maps.between(SOURCE, TRANSFORM, (10980, 10980), grids[0])
    assert made == [*grids, grids[0]]
