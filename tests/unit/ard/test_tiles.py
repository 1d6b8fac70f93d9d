"""Tiles: their names, their order and the grids of their pixels."""

import math
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj.aoi import AreaOfUse
from pyproj.database import query_utm_crs_info
from rasterio.warp import transform_bounds

from estinel_assets.ard.tiles import (
    CELL_DEG,
    SNAP_M,
    Source,
    Tile,
    TileYear,
    parse_key,
    parse_tag,
    tile_grid,
    utm_crs,
)
from estinel_assets.errors import BadInputError

numbers = st.integers(0, 999_999)
tiles = st.builds(Tile, numbers, numbers, lon=st.floats(-180, 180), lat=st.floats(-79.9, 83.9))
real_tile = Tile(1035, 727, -52.5278, -13.1389)


@given(numbers, numbers)
def test_a_tag_carries_the_numbers(x_tile: int, y_tile: int) -> None:
    tag = Tile(x_tile, y_tile, 0.0, 0.0).tag
    assert parse_tag(tag) == (x_tile, y_tile)


@given(st.text(alphabet="0123456789XY-+ _.\n٣", max_size=12))
def test_one_tile_has_one_tag(text: str) -> None:
    try:
        x_tile, y_tile = parse_tag(text)
    except BadInputError:
        return
    assert Tile(x_tile, y_tile, 0.0, 0.0).tag == text


@pytest.mark.parametrize(
    "tag",
    ["", "1035X727", "1035x727y", " 1035X727Y", "1035X727Y\n", "01X2Y", "-1X2Y", "1X2Y3X4Y",
     "1.0X2Y", "٣X٣Y", "1234567X1Y", "X" * 10_000],
)  # fmt: skip
def test_what_is_no_tag_is_refused_briefly(tag: str) -> None:
    with pytest.raises(BadInputError, match="write it as 1035X727Y") as refused:
        parse_tag(tag)
    assert len(str(refused.value)) < 120


@given(st.integers(2015, 2100), numbers, numbers)
def test_a_key_carries_year_and_tile(year: int, x_tile: int, y_tile: int) -> None:
    asked = TileYear(Tile(x_tile, y_tile, 0.0, 0.0), year)
    assert parse_key(asked.key) == (year, (x_tile, y_tile))


@pytest.mark.parametrize("key", ["", "2023", "1035X727Y", "2023-1035X727Y", "23_1X2Y", "2023_1X2"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadInputError, match="write it as"):
        parse_key(key)


def test_a_tile_and_year_knows_its_names() -> None:
    asked = TileYear(real_tile, 2023)
    assert asked.key == "2023_1035X727Y"
    assert asked.store_path == "ard/2023/1035X727Y.zarr"
    assert [asked.outcome_key(source) for source in Source] == [
        ("2023", "1035X727Y", "dem"),
        ("2023", "1035X727Y", "s1"),
        ("2023", "1035X727Y", "s2"),
    ]
    assert pickle.loads(pickle.dumps(asked)) == asked  # noqa: S301 - workers get it so


def test_tiles_are_ordered_by_their_numbers() -> None:
    near, far = Tile(9, 500, 170.0, 0.0), Tile(10, 2, -170.0, 0.0)
    assert sorted([far, near, Tile(9, 7, 0.0, 0.0)]) == [Tile(9, 7, 0.0, 0.0), near, far]


@pytest.mark.parametrize(
    ("x_tile", "y_tile", "lon", "lat"),
    [(-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, 180.1, 0), (0, 0, 0, 84.1), (0, 0, 0, -80.1),
     (0, 0, math.nan, 0), (0, 0, 0, math.inf)],
)  # fmt: skip
def test_an_impossible_tile_is_refused(x_tile: int, y_tile: int, lon: float, lat: float) -> None:
    with pytest.raises(BadInputError):
        Tile(x_tile, y_tile, lon, lat)


@pytest.mark.parametrize("year", [0, 2014, 2101])
def test_an_impossible_year_is_refused(year: int) -> None:
    with pytest.raises(BadInputError, match=f"year {year} of tile 1035X727Y"):
        TileYear(real_tile, year)


@given(tiles)
@example(Tile(0, 0, 179.9722, -16.5))
@example(Tile(0, 0, 180.0, 10.0))
@example(Tile(0, 0, -180.0, 10.0))
@example(Tile(0, 0, 9.0, 0.0))
@example(Tile(0, 0, 6.0, 0.001))
def test_a_grid_covers_its_cell_and_no_more_than_the_snap_adds(tile: Tile) -> None:
    grid = tile_grid(tile)
    # The whole cell by another way; at ±180° the cell is moved to where its bounds are ordered.
    inner = transform_bounds("EPSG:4326", grid.crs, *tile.bbox, densify_pts=501)
    left, bottom, right, top = grid.bounds
    for outside, inside in (
        (inner[0], left),
        (inner[1], bottom),
        (right, inner[2]),
        (top, inner[3]),
    ):
        # A side bends by a few millimetres between the points that either way looks at.
        assert -0.01 <= outside - inside < SNAP_M + 0.01


@given(tiles)
def test_grids_of_all_resolutions_share_corners_that_are_multiples_of_120_m(tile: Tile) -> None:
    bounds = tile_grid(tile).bounds
    assert all(edge % SNAP_M == 0 for edge in bounds)
    for resolution in (10.0, 20.0, 40.0, 60.0, 120.0):
        grid = tile_grid(tile, resolution)
        assert grid.bounds == bounds
        assert grid.resolution == resolution


@pytest.fixture(scope="module")
def zones() -> dict[str, AreaOfUse]:
    """Where each UTM zone is used, as EPSG says it."""
    return {
        f"{crs.auth_name}:{crs.code}": crs.area_of_use
        for crs in query_utm_crs_info("WGS 84")
        if crs.area_of_use is not None
    }


@given(st.integers(-180_000, 179_999), st.floats(-79.9, 83.9))
def test_the_zone_is_the_one_that_epsg_names_for_the_place(
    zones: dict[str, AreaOfUse], thousandths: int, lat: float
) -> None:
    lon = thousandths / 1000
    area = zones[utm_crs(lon, lat)]
    assert len(zones) == 120
    assert area.west <= lon <= area.east
    assert area.south <= lat <= area.north


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [(147.3, -42.9, "EPSG:32755"), (-180.0, 1.0, "EPSG:32601"), (180.0, -1.0, "EPSG:32760"),
     (6.0, 0.0, "EPSG:32632"), (5.0, 60.0, "EPSG:32631"), (20.0, 78.0, "EPSG:32634")],
)  # fmt: skip
def test_zones_are_plain_ones(lon: float, lat: float, crs: str) -> None:
    assert utm_crs(lon, lat) == crs


def test_the_grid_of_a_real_tile() -> None:
    # Its cell reaches from 331,367.7 to 337,428.0 m east and 8,543,910.5 to 8,550,092.7 m north.
    grid = tile_grid(real_tile)
    assert (grid.crs, grid.left, grid.top) == ("EPSG:32722", 331320.0, 8550120.0)
    assert grid.shape == (624, 612)


def test_a_cell_is_an_eighteenth_of_a_degree() -> None:
    west, south, east, north = real_tile.bbox
    assert (east - west, north - south) == pytest.approx((CELL_DEG, CELL_DEG))
    assert ((west + east) / 2, (south + north) / 2) == pytest.approx((-52.5278, -13.1389))


@pytest.mark.parametrize("resolution", [0.0, -10.0, 7.0, 50.0, 240.0, math.nan, math.inf])
def test_a_resolution_that_does_not_divide_the_snap_is_refused(resolution: float) -> None:
    with pytest.raises(BadInputError, match="does not divide 120 m"):
        tile_grid(real_tile, resolution)
