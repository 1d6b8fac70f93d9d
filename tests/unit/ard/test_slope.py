"""Slope: against GDAL's own `gdaldem` and bilinear warp, on real elevations and made ones."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - gives datasets their `rio`
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject

from estinel_assets.ard.dem_cells import (
    CellState,
    DemCell,
    DemChip,
    cell_window,
    cells_of,
    column_arcseconds,
    lon_lat,
    sea_chip,
)
from estinel_assets.ard.slope import (
    SlopeAlgorithm,
    bordered,
    sample_elevation,
    slope_dataset,
    slope_degrees,
    tile_slope,
)
from estinel_assets.ard.tiles import utm_crs
from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from tests.support.real import real_data

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

CHIPS = [f"los_angeles_tile_{number}.tif" for number in range(4)]
GDAL_NAMES = {SlopeAlgorithm.CENTRAL: b"ZevenbergenThorne", SlopeAlgorithm.HORN: b"Horn"}
Gdaldem = Callable[[Path, Path, SlopeAlgorithm], NDArray[np.float32]]


@pytest.fixture(scope="module")
def gdaldem() -> Gdaldem:
    """`gdaldem slope` of the GDAL that rasterio brings along, called as a library."""
    found = sorted((Path(rasterio.__file__).parent.parent / "rasterio.libs").glob("libgdal*"))
    if not found:
        pytest.skip("this rasterio comes without a GDAL of its own")
    gdal = ctypes.CDLL(str(found[0]))
    gdal.GDALAllRegister()
    for name, result in {
        "GDALOpen": ctypes.c_void_p,
        "GDALDEMProcessingOptionsNew": ctypes.c_void_p,
        "GDALDEMProcessing": ctypes.c_void_p,
    }.items():
        getattr(gdal, name).restype = result

    def slope(source: Path, target: Path, algorithm: SlopeAlgorithm) -> NDArray[np.float32]:
        words = (ctypes.c_char_p * 3)(b"-alg", GDAL_NAMES[algorithm], None)
        options = ctypes.c_void_p(gdal.GDALDEMProcessingOptionsNew(words, None))
        opened = ctypes.c_void_p(gdal.GDALOpen(str(source).encode(), 0))
        made = ctypes.c_void_p(
            gdal.GDALDEMProcessing(str(target).encode(), opened, b"slope", None, options, None)
        )
        gdal.GDALClose(made)
        gdal.GDALClose(opened)
        gdal.GDALDEMProcessingOptionsFree(options)
        with rasterio.open(target) as dataset:
            return dataset.read(1)

    return slope


def real_chip(name: str) -> DemChip:
    with rasterio.open(real_data(f"s1_dem/{name}")) as dataset:
        a, _, left, _, e, top = dataset.transform[:6]
        return DemChip(dataset.read(1), left, top, a, -e)


def grid_in(west: float, south: float, east: float, north: float, pixels: int = 60) -> Grid:
    """A 10 m grid around the middle of a box in degrees."""
    lon, lat = (west + east) / 2, (south + north) / 2
    crs = utm_crs(lon, lat)
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [lon], [lat])
    half = pixels // 2 * 10
    return Grid(crs, round(x, -1) - half, round(y, -1) + half, 10.0, pixels, pixels)


AROUND_THE_CORNER = grid_in(-118.01, 33.99, -117.99, 34.01)


def write_tif(path: Path, pixels: NDArray[np.float32], grid: Grid) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype="float32",
        crs=grid.crs,
        transform=Affine(*grid.transform),
    ) as dataset:
        dataset.write(pixels, 1)
    return path


@pytest.mark.parametrize("algorithm", SlopeAlgorithm)
@pytest.mark.parametrize("chip", ["los_angeles_tile_2.tif", "fairbanks_tile_0.tif"])
def test_real_slopes_are_gdaldems(
    tmp_path: Path, gdaldem: Gdaldem, algorithm: SlopeAlgorithm, chip: str
):
    elevations = real_chip(chip)
    height, width = elevations.elevation_m.shape
    grid = grid_in(
        elevations.left_deg,
        elevations.top_deg - height * elevations.pixel_height_deg,
        elevations.left_deg + width * elevations.pixel_width_deg,
        elevations.top_deg,
        pixels=200,
    )
    on_grid = sample_elevation([elevations], bordered(grid))
    source = write_tif(tmp_path / "dem.tif", on_grid, bordered(grid))
    expected = gdaldem(source, tmp_path / "slope.tif", algorithm)[1:-1, 1:-1]
    found = slope_degrees(on_grid, 10.0, algorithm=algorithm, min_slope_deg=0.0)
    assert found.shape == grid.shape
    assert found.dtype == np.float32
    assert expected.max() > 5
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_elevations_are_interpolated_as_gdal_does_across_four_cells():
    chips = [real_chip(name) for name in CHIPS]
    southeast, southwest, northeast, northwest = (chip.elevation_m for chip in chips)
    # Rows and columns as they lie: the four adjoin one another at 118° W, 34° N.
    whole = np.vstack([np.hstack([northwest, northeast]), np.hstack([southwest, southeast])])
    expected = np.zeros(AROUND_THE_CORNER.shape, dtype=np.float32)
    reproject(
        whole,
        expected,
        src_transform=Affine(1 / 3600, 0, chips[3].left_deg, 0, -1 / 3600, chips[3].top_deg),
        src_crs="EPSG:4326",
        dst_transform=Affine(*AROUND_THE_CORNER.transform),
        dst_crs=AROUND_THE_CORNER.crs,
        resampling=Resampling.bilinear,
        tolerance=0.0,
    )
    elsewhere = sea_chip(DemCell(10, 10))
    found = sample_elevation([elsewhere, *chips[::-1]], AROUND_THE_CORNER)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_lost_cell_is_told_and_never_guessed():
    chips = [real_chip(name) for name in CHIPS[:3]]
    with pytest.raises(RetryableError, match=r"pixels have no elevation, the first at longitude"):
        tile_slope(chips, AROUND_THE_CORNER)


def test_elevations_that_are_nan_are_told():
    chip = real_chip(CHIPS[2])
    holed = chip.elevation_m.copy()
    holed[80:100, 80:100] = np.nan
    grid = grid_in(
        chip.left_deg, chip.top_deg - 190 / 3600, chip.left_deg + 191 / 3600, chip.top_deg
    )
    with pytest.raises(RetryableError) as told:
        sample_elevation([DemChip(holed, chip.left_deg, chip.top_deg, 1 / 3600, 1 / 3600)], grid)
    assert told.value.reason == SourceFault.BLANK


def plane_chip(cell: DemCell, east_m: float, north_m: float) -> DemChip:
    """A cell whose elevation grows linearly with longitude and latitude."""
    chip = sea_chip(cell)
    rows = cell.south + 1 - np.arange(3600) / 3600
    columns = cell.west + np.arange(cell.columns) / cell.columns
    plane = (north_m * rows[:, None] + east_m * columns).astype(np.float32)
    return DemChip(plane, chip.left_deg, chip.top_deg, chip.pixel_width_deg, chip.pixel_height_deg)


def test_cells_whose_columns_differ_in_distance_are_interpolated_together():
    north, south = DemCell(50, 10), DemCell(49, 10)
    assert (column_arcseconds(north), column_arcseconds(south)) == (1.5, 1.0)
    grid = grid_in(10.49, 49.99, 10.51, 50.01)
    found = sample_elevation([plane_chip(north, 10, 200), plane_chip(south, 10, 200)], grid)
    longitudes, latitudes = lon_lat(grid)
    np.testing.assert_allclose(found, 200 * latitudes + 10 * longitudes, atol=0.01)
    alone = DemChip(plane_chip(south, 10, 200).elevation_m, 10.0, 50.0, 1 / 3600, 1 / 3600)
    with pytest.raises(RetryableError):
        sample_elevation([alone], grid)


def test_the_sea_is_at_zero_metres_and_meets_the_land():
    land, sea = DemCell(33, -119), DemCell(33, -118)
    grid = grid_in(-118.01, 33.5, -117.99, 33.52, pixels=200)
    chip = plane_chip(land, 0, 0)
    raised = DemChip(
        np.full_like(chip.elevation_m, 30.0), chip.left_deg, chip.top_deg, 1 / 3600, 1 / 3600
    )
    assert set(cells_of(bordered(grid))) == {land, sea}
    slope = tile_slope([raised], grid, [sea])
    assert slope[:, :20].max() == 0
    assert slope[:, -20:].max() == 0
    # 30 m over the last column before the coast, an arc second of longitude.
    assert slope.max() == pytest.approx(np.degrees(np.arctan(30 / 25.8)), abs=1.5)


def test_around_the_antimeridian_longitudes_are_one_line():
    east, west = DemCell(-17, 179), DemCell(-17, -180)
    crs = "EPSG:32701"
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [-180.0], [-16.5])
    grid = Grid(crs, round(x, -1) - 300, round(y, -1) + 300, 10.0, 60, 60)
    assert cells_of(grid) == (west, east)
    beyond = sea_chip(west)
    rising = plane_chip(east, 50, 0)
    continued = DemChip(
        (50 * (180 + np.arange(3600) / 3600) + np.zeros((3600, 1))).astype(np.float32),
        beyond.left_deg,
        beyond.top_deg,
        1 / 3600,
        1 / 3600,
    )
    found = sample_elevation([rising, continued], grid)
    longitudes, _ = lon_lat(grid)
    np.testing.assert_allclose(found, 50 * (longitudes % 360), atol=0.01)


def test_a_plane_has_its_slope_in_both_ways():
    rows, columns = np.mgrid[0:7, 0:9]
    plane = 3.0 * columns - 4.0 * rows
    for algorithm in SlopeAlgorithm:
        slope = slope_degrees(plane, 10.0, algorithm=algorithm)
        assert slope.shape == (5, 7)
        np.testing.assert_allclose(slope, np.degrees(np.arctan(0.5)), rtol=1e-6)


def test_the_two_ways_differ_where_only_a_corner_is_higher():
    z = np.zeros((3, 3))
    z[0, 0] = 80.0
    assert slope_degrees(z, 10.0) == 0
    horn = slope_degrees(z, 10.0, algorithm=SlopeAlgorithm.HORN)
    assert horn[0, 0] == pytest.approx(np.degrees(np.arctan(np.sqrt(2))))


@pytest.mark.parametrize(
    ("slope_deg", "expected"),
    [(0.0, 0.0), (0.001, 0.02), (0.0199, 0.02), (0.02, 0.02), (0.0201, 0.0201), (1.0, 1.0)],
)
def test_the_least_slope(slope_deg: float, expected: float):
    rise = np.tan(np.radians(slope_deg)) * 10
    plane = np.arange(5) * rise + np.zeros((5, 1))
    np.testing.assert_allclose(slope_degrees(plane, 10.0), expected, rtol=1e-5)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
    st.sampled_from(SlopeAlgorithm),
)
def test_slopes_stay_within_their_range_and_see_no_offset(
    height: int, width: int, seed: int, algorithm: SlopeAlgorithm
):
    z = np.random.default_rng(seed).uniform(-400, 8800, (height + 2, width + 2))
    slope = slope_degrees(z, 10.0, algorithm=algorithm)
    assert slope.shape == (height, width)
    assert ((slope == 0) | ((slope >= np.float32(0.02)) & (slope < 90))).all()
    np.testing.assert_allclose(slope_degrees(z + 100, 10.0, algorithm=algorithm), slope, atol=1e-3)
    turned = slope_degrees(np.rot90(z), 10.0, algorithm=algorithm)
    np.testing.assert_allclose(turned, np.rot90(slope), atol=1e-5)


def test_without_a_whole_neighbourhood_there_is_no_slope():
    with pytest.raises(ValueError, match="no pixel with neighbours"):
        slope_degrees(np.zeros((2, 5)), 10.0)


def test_the_dataset_says_what_it_was_made_from():
    grid = Grid("EPSG:32611", 400_080.0, 3_760_080.0, 10.0, 12, 24)
    cells = {
        DemCell(33, -118): CellState.SEA,
        DemCell(33, -119): CellState.PRESENT,
    }
    dataset = slope_dataset(np.ones(grid.shape, dtype=np.float32), grid, cells=cells)
    assert dataset["slope"].attrs["units"] == "degree"
    assert dataset.attrs["dem_cells"] == ["Copernicus_DSM_COG_10_N33_00_W119_00_DEM"]
    assert dataset.attrs["dem_cells_sea"] == ["Copernicus_DSM_COG_10_N33_00_W118_00_DEM"]
    assert dataset.rio.crs.to_epsg() == 32611
    assert dataset.rio.transform() == Affine(*grid.transform)
    assert dataset.rio.bounds() == grid.bounds


def test_windows_of_cells_hold_all_that_the_grid_needs():
    grid = bordered(AROUND_THE_CORNER)
    cells = cells_of(grid)
    assert len(cells) == 4
    chips = []
    for cell in cells:
        window = cell_window(cell, grid)
        assert window is not None
        longitudes, latitudes = lon_lat(window.read_grid)
        chip = window.chip((200 * latitudes + 10 * longitudes).astype(np.float32))
        whole = plane_chip(cell, 10, 200).elevation_m
        part = whole[window.row :, window.column :][: window.height, : window.width]
        # Half a pixel of the lattice off, because the lattice is finer than the cell.
        assert np.abs(chip.elevation_m - part).max() < 210 / 3600
        chips.append(
            DemChip(part, chip.left_deg, chip.top_deg, chip.pixel_width_deg, chip.pixel_height_deg)
        )
    longitudes, latitudes = lon_lat(grid)
    np.testing.assert_allclose(
        sample_elevation(chips, grid), 200 * latitudes + 10 * longitudes, atol=0.01
    )
