"""Where the made tiles lie: grids, squares, and what an image shows of a plane."""

import numpy as np
import pytest
from shapely.geometry import box

from estinel_assets.ard.dem_cells import DemCell, cells_of
from estinel_assets.ard.slope import bordered
from estinel_assets.ard.tiles import Tile, tile_grid
from estinel_assets.demo.ard_places import (
    COAST,
    GROUPS,
    SUMMIT,
    Group,
    canvas_of,
    group_named,
    square_grid,
    transformer,
    window_on,
)
from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid


def grid_of(place: tuple[float, float]) -> Grid:
    return tile_grid(Tile(1, 1, lon=place[0], lat=place[1]))


def test_four_tiles_meet_between_two_utm_zones() -> None:
    assert sorted({grid_of(place).crs for place in group_named("border").places}) == [
        "EPSG:32632",
        "EPSG:32633",
    ]


def test_the_coast_needs_a_cell_beyond_the_island() -> None:
    assert cells_of(bordered(grid_of(COAST))) == (DemCell(6, 158), DemCell(7, 158))
    assert cells_of(bordered(grid_of(SUMMIT))) == (DemCell(6, 158),)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_the_land_holds_the_tiles_and_some_scene_holds_each(group: Group) -> None:
    canvas = canvas_of(group)
    for place in group.places:
        grid = grid_of(place)
        around = transformer(grid.crs, canvas.crs).transform_bounds(*grid.bounds)
        assert box(*canvas.bounds).contains(box(*around))
        squares = [square_grid(square) for square in group.squares]
        seen = [
            box(*square.bounds).contains(
                box(*transformer(grid.crs, square.crs).transform_bounds(*grid.bounds))
            )
            for square in squares
        ]
        assert any(seen)


@pytest.mark.parametrize(
    ("square", "left", "top"),
    [
        # Corners of published scenes: 33TWM, 33TWL, 21UYT and 19PHS.
        (("EPSG:32633", 5, 51), 499_980.0, 5_200_020.0),
        (("EPSG:32633", 5, 50), 499_980.0, 5_100_000.0),
        (("EPSG:32621", 7, 57), 699_960.0, 5_800_020.0),
        (("EPSG:32619", 8, 16), 799_980.0, 1_700_040.0),
    ],
)
def test_squares_begin_where_real_ones_do(
    square: tuple[str, int, int], left: float, top: float
) -> None:
    grid = square_grid(square)
    assert (grid.left, grid.top, grid.width, grid.height) == (left, top, 10_980, 10_980)


def test_an_image_shows_a_plane_pixel_by_pixel() -> None:
    plane = Grid("EPSG:32632", 800_000.0, 650_000.0, 20.0, 8, 6)
    image = Grid("EPSG:32632", 799_900.0, 650_100.0, 20.0, 10, 9)
    window = window_on(plane, image)
    assert window is not None
    numbers = np.arange(48).reshape(6, 8) + 1
    shown = np.zeros(image.shape, dtype=int)
    height, width = window.inside.shape
    shown[window.row : window.row + height, window.column : window.column + width] = window.gather(
        numbers
    )
    expected = np.zeros(image.shape, dtype=int)
    expected[5:, 5:] = numbers[:4, :5]
    np.testing.assert_array_equal(shown, expected)
    assert window_on(plane, Grid("EPSG:32632", 0.0, 0.0, 20.0, 10, 10)) is None


def test_an_unknown_group_is_named() -> None:
    with pytest.raises(BadInputError, match=r"no group 'moon'.*border, island"):
        group_named("moon")
