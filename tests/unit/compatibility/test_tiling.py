"""Tiles made by TiTiler's readers, of real granules and of made ones."""

from pathlib import Path

import numpy as np
import pytest
import rio_tiler.errors
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from morecantile import tms
from pyproj import CRS

from estinel_assets.compatibility import tiling
from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import Opened, open_source
from estinel_assets.compatibility.record import TileTried
from estinel_assets.compatibility.source import Bounds, Source
from estinel_assets.compatibility.tiling import (
    MERCATOR_LATITUDE_DEG,
    MOST_NATIVE_TILES,
    TileIndex,
    common_bounds,
    overview_zoom,
    places_in,
    shown_place,
    try_tiles,
)
from estinel_assets.compatibility.variables import find_variable
from tests.support.granules import (
    file_source,
    grid,
    write_netcdf,
    write_raster,
    write_zarr,
)
from tests.support.raster_server import RasterServer
from tests.support.real import real_data

MERCATOR = tms.get("WebMercatorQuad")


def _tiles(source: Source, bounds: Bounds | None = None) -> list[TileTried]:
    with open_source(source) as opened:
        return list(try_tiles(opened, find_variable(opened).chosen(), bounds))


def _failed(opened: Opened, bounds: Bounds | None = None) -> tuple[list[TileTried], Exception]:
    tiles: list[TileTried] = []
    variable = find_variable(opened).chosen()
    with pytest.raises((CheckEndedError, rio_tiler.errors.RioTilerError)) as caught:
        tiles.extend(try_tiles(opened, variable, bounds))
    return tiles, caught.value


def _bounds_of(tile: TileTried) -> Bounds:
    found = MERCATOR.bounds(tile.x, tile.y, tile.z)
    return found.left, found.bottom, found.right, found.top


REAL = [
    # Sea is seen in 39,287 pixels of tile 0/0/0. The second file is sinusoidal: at 55 north,
    # in the middle of its bounds, it reaches from 168 east to 174.4 west.
    ("ok_latlon/GAMSSA_28km_20241011.nc", None, 39_287, (2, 2, 2)),
    ("ok_xy/MODSCAG_h07v03_Terra_20220415.nc", (-180.0, 50.0, -155.6, 60.0), 60, (8, 2, 83)),
]


@pytest.mark.parametrize(("granule", "bounds", "world_pixels", "native"), REAL)
def test_real_granules_have_tiles(
    granule: str, bounds: Bounds | None, world_pixels: int, native: tuple[int, int, int]
) -> None:
    tiles = _tiles(file_source(real_data(f"cmr/granules/{granule}")), bounds)
    assert [(tile.z, tile.x, tile.y) for tile in tiles] == [(0, 0, 0), native]
    assert {tile.through for tile in tiles} == {"titiler.xarray"}
    assert tiles[0].valid_pixels == world_pixels
    assert tiles[1].valid_pixels


@pytest.mark.parametrize(("granule", "bounds", "world_pixels", "native"), REAL)
def test_real_granules_have_tiles_over_http(
    granule: str, bounds: Bounds | None, world_pixels: int, native: tuple[int, int, int]
) -> None:
    folder = real_data("cmr/granules")
    with RasterServer(folder) as server:
        tiles = _tiles(Source(server.url(granule), "nc", "xarray"), bounds)
    assert tiles[0].valid_pixels == world_pixels
    assert (tiles[-1].z, tiles[-1].x, tiles[-1].y) == native


def test_a_sparse_real_variable_is_found_through_a_coarser_tile() -> None:
    """Of its 5,760,000 pixels 1,077 have a value, and tile 0/0/0 shows none of them."""
    path = real_data("cmr/granules/ok_xy/MODSCAG_h07v03_Terra_20220415.nc")
    with open_source(file_source(path)) as opened:
        tiles = list(try_tiles(opened, "albedo_clean_muZ", None))
    assert tiles[0].valid_pixels == 0
    assert [tile.valid_pixels for tile in tiles if tile.z == tiles[-1].z][:-1] == [0]
    assert tiles[-1].valid_pixels


@pytest.mark.parametrize("dims", [("lat", "lon"), ("y", "x"), ("Latitude", "Longitude")])
@pytest.mark.parametrize("before", [{}, {"time": 2}, {"time": 2, "level": 3}])
def test_the_first_layer_of_a_grid_is_tiled(
    tmp_path: Path, dims: tuple[str, str], before: dict[str, int]
) -> None:
    made = grid(dims=dims, before=before)
    # Only the first layer has values, so that another one would be blank.
    layered = made.where(sum((made[name] for name in before), start=xr.DataArray(0)) == 0)
    path = write_netcdf(tmp_path / "a.nc", layered)
    world, native = _tiles(file_source(path))
    assert (world.z, world.x, world.y) == (0, 0, 0)
    # 40 of 360 degrees, and of the height what Mercator makes of 30 to 60 degrees north.
    height = (np.arcsinh(np.tan(np.radians(60))) - np.arcsinh(np.tan(np.radians(30)))) / 2 / np.pi
    assert world.valid_pixels == pytest.approx(256 * 256 * height * 40 / 360, rel=0.1)
    # Of a tile's pixel at zoom 0 a quarter of a degree is 1/5.6.
    assert native.z == pytest.approx(np.log2(5.6), abs=1)
    assert native.valid_pixels


def test_native_tiles_lie_in_the_granules_bounds(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid((-180, -80, 180, 80), (800, 1800)))
    granule = (100.0, -40.0, 101.0, -39.0)
    west, south, east, north = _bounds_of(_tiles(file_source(path), granule)[-1])
    assert west <= 100.5 <= east
    assert south <= -39.5 <= north


def test_bounds_elsewhere_are_not_believed(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid())
    tiles = _tiles(file_source(path), (100.0, -40.0, 101.0, -39.0))
    assert tiles[-1].valid_pixels


def test_longitudes_to_360_are_no_trouble(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid((0, -90, 360, 90), (180, 360)))
    tiles = _tiles(file_source(path))
    assert tiles[0].valid_pixels == 256 * 256


def test_a_blank_grid_is_told_so(tmp_path: Path) -> None:
    made = grid(shape=(600, 800))
    path = write_netcdf(tmp_path / "a.nc", made.where(made["lat"] > 100))
    with open_source(file_source(path)) as opened:
        tiles, error = _failed(opened)
    assert isinstance(error, CheckEndedError)
    assert error.reason == "blank_tile"
    assert all(tile.valid_pixels == 0 for tile in tiles)
    assert len({(tile.x, tile.y) for tile in tiles if tile.z == tiles[-1].z}) == MOST_NATIVE_TILES


def test_a_blank_grid_in_the_one_tile_of_the_world_is_told_so(tmp_path: Path) -> None:
    made = grid((-180, -90, 180, 90), (18, 36))
    path = write_netcdf(tmp_path / "a.nc", made.where(made["lat"] > 100))
    with open_source(file_source(path)) as opened:
        _, error = _failed(opened)
    assert "no valid pixel in 1 tile inside" in str(error)


def test_one_pixel_suffices(tmp_path: Path) -> None:
    made = grid(shape=(600, 800))
    path = write_netcdf(
        tmp_path / "a.nc", made.where((abs(made["lat"] - 33) < 2) & (abs(made["lon"] + 13) < 2))
    )
    assert _tiles(file_source(path))[-1].valid_pixels


def test_a_grid_beyond_the_reach_of_tiles_is_told_so(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid((-180, 86, 180, 90), (40, 360)))
    with open_source(file_source(path)) as opened:
        tiles, error = _failed(opened)
    assert isinstance(error, rio_tiler.errors.TileOutsideBounds)
    assert [tile.valid_pixels for tile in tiles] == [None]


def test_a_polar_grid_has_tiles(tmp_path: Path) -> None:
    made = grid((-3e6, -3e6, 3e6, 3e6), (240, 240), dims=("y", "x"))
    made["sst"].attrs["grid_mapping"] = "polar"
    made["polar"] = ((), 0, CRS.from_epsg(3413).to_cf())
    tiles = _tiles(file_source(write_netcdf(tmp_path / "a.nc", made)))
    assert tiles[-1].valid_pixels


def test_a_grid_across_the_antimeridian_has_tiles(tmp_path: Path) -> None:
    made = grid((-1e6, -1e6, 1e6, 1e6), (200, 200), dims=("y", "x"))
    made["sst"].attrs["grid_mapping"] = "crs"
    local = CRS.from_proj4("+proj=laea +lat_0=-17 +lon_0=179 +datum=WGS84")
    made["crs"] = ((), 0, local.to_cf())
    tiles = _tiles(file_source(write_netcdf(tmp_path / "a.nc", made)), (169, -26, -171, -8))
    assert tiles[-1].valid_pixels
    # Ten kilometres are between zoom 3 (19.6 km a pixel) and zoom 4 (9.8 km).
    assert tiles[-1].z == 4


def test_zarr_is_tiled(tmp_path: Path) -> None:
    write_zarr(tmp_path / "a.zarr", grid())
    assert _tiles(file_source(tmp_path / "a.zarr"))[-1].valid_pixels


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32631"])
def test_rasters_are_tiled(tmp_path: Path, crs: str) -> None:
    bounds = (0.0, 40.0, 3.0, 42.0) if crs == "EPSG:4326" else (4e5, 4.4e6, 5e5, 4.5e6)
    path = write_raster(tmp_path / "a.tif", bounds, (800, 1000), crs=crs)
    tiles = _tiles(file_source(path, "rasterio"))
    assert {tile.through for tile in tiles} == {"rio-tiler"}
    assert tiles[-1].valid_pixels
    assert tiles[-1].z > 5


def test_rasters_are_tiled_over_http(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", shape=(800, 1000))
    with RasterServer(tmp_path) as server:
        tiles = _tiles(Source(server.url("a.tif"), "tif", "rasterio"))
    assert tiles == _tiles(file_source(tmp_path / "a.tif", "rasterio"))


def test_a_raster_of_nodata_is_blank(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels=np.zeros((120, 160), "uint8"))
    with open_source(file_source(path, "rasterio")) as opened:
        _, error = _failed(opened)
    assert isinstance(error, CheckEndedError)
    assert error.reason == "blank_tile"


def test_not_a_number_is_no_value(tmp_path: Path) -> None:
    pixels = np.full((120, 160), np.nan, "float32")
    path = write_raster(tmp_path / "a.tif", pixels=pixels, nodata=None)
    with open_source(file_source(path, "rasterio")) as opened:
        _, error = _failed(opened)
    assert isinstance(error, CheckEndedError)
    assert error.reason == "blank_tile"


def test_a_raster_without_a_place_says_so(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs=None)
    with open_source(file_source(path, "rasterio")) as opened:
        _, error = _failed(opened)
    assert isinstance(error, rio_tiler.errors.MissingCRS)


def test_many_bands_are_tiled_three_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rasterio
    from affine import Affine
    from rio_tiler.io import Reader

    shapes = []
    made = Reader.tile

    def tile(self: Reader, *args: int, **options: object) -> object:
        image = made(self, *args, **options)
        shapes.append(image.array.shape)
        return image

    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        count=7,
        width=64,
        height=64,
        dtype="uint8",
        crs="EPSG:4326",
        transform=Affine(0.1, 0, 5, 0, -0.1, 45),
    ) as file:
        file.write(np.ones((7, 64, 64), "uint8"))
    monkeypatch.setattr(Reader, "tile", tile)
    assert _tiles(file_source(tmp_path / "a.tif", "rasterio"))[-1].valid_pixels
    assert set(shapes) == {(3, 256, 256)}


def test_the_file_stays_open_for_others(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid())
    with open_source(file_source(path)) as opened:
        list(try_tiles(opened, "sst", None))
        assert float(opened.dataset["sst"][3, 4]) == pytest.approx(3.004)


_longitudes = st.floats(-180, 180)
_latitudes = st.floats(-MERCATOR_LATITUDE_DEG, MERCATOR_LATITUDE_DEG)
_boxes = st.builds(
    lambda a, b, c, d: (min(a, b), min(c, d), max(a, b), max(c, d)),
    _longitudes,
    _longitudes,
    _latitudes,
    _latitudes,
)
_any_bounds = st.builds(
    lambda a, b, c, d: (a, min(c, d), b, max(c, d)),
    _longitudes,
    _longitudes,
    _latitudes,
    _latitudes,
)


def _holds(bounds: Bounds, longitude: float, latitude: float) -> bool:
    west, south, east, north = bounds
    across = west <= longitude <= east if west <= east else not east < longitude < west
    return across and south <= latitude <= north


@given(_any_bounds, _any_bounds)
def test_common_bounds_lie_in_both(one: Bounds, other: Bounds) -> None:
    common = common_bounds(one, other)
    if common is None:
        for place in places_in(one) if one[0] <= one[2] else ():
            assert not _holds(other, *place)
        return
    assert common[0] <= common[2]
    for longitude, latitude in ((common[0], common[1]), (common[2], common[3])):
        assert _holds(one, longitude, latitude)
        assert _holds(other, longitude, latitude)


@given(_boxes)
def test_an_overview_tile_is_as_large_as_the_box(box: Bounds) -> None:
    zoom = overview_zoom(box)
    tile = MERCATOR.xy_bounds(0, 0, zoom)
    west, south = MERCATOR.xy(box[0], box[1])
    east, north = MERCATOR.xy(box[2], box[3])
    size = max(east - west, north - south)
    assert size <= (tile.right - tile.left) * (1 + 1e-6)
    assert zoom == tiling.MOST_ZOOM or size > (tile.right - tile.left) / 2 * (1 - 1e-6)


@given(
    st.integers(0, 12),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_a_pixel_of_a_tile_is_found_where_it_lies(
    z: int, across: float, down: float, row: int, column: int
) -> None:
    tile = TileIndex(z, int(across * 2**z), int(down * 2**z))
    valid = np.zeros((256, 256), bool)
    valid[row, column] = True
    longitude, latitude = shown_place(tile, valid, (-180, -90, 180, 90))
    found = MERCATOR.tile(longitude, latitude, z + 8)
    assert (found.x, found.y) == (tile.x * 256 + column, tile.y * 256 + row)
