"""What is the reader on rasterio's own: warps that are GDAL's to the pixel, and its settings.

What every reader promises stands in tests/contract/test_raster_reader*.py.
"""

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterSource
from tests.support.examples import examples
from tests.support.rasters import reprojected, write_geotiff

SHAPE = (170, 200)
# Name: source CRS, corner of its upper left pixel, CRSs of the grids.
PLACES = {
    "tasmania": ("EPSG:32755", (520_000.0, 5_260_000.0), ["EPSG:32756"]),
    "antimeridian": ("EPSG:32760", (812_000.0, 5_200_000.0), ["EPSG:32701"]),
    "antarctica": ("EPSG:32733", (470_000.0, 1_060_000.0), ["EPSG:3031"]),
    "south_pole": ("EPSG:32701", (499_000.0, 1_001_000.0), ["EPSG:3031"]),
    "svalbard": ("EPSG:32633", (430_000.0, 8_800_000.0), ["EPSG:3413", "EPSG:32635"]),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files a place: 10 m uint16 and 20 m uint8, without holes and without overviews."""
    folder = tmp_path_factory.mktemp("rasters")
    generator = np.random.default_rng(3)
    made = {}
    for name, (crs, (left, top), _) in PLACES.items():
        for dtype, size in ((np.uint16, 10.0), (np.uint8, 20.0)):
            pixels = generator.integers(1, np.iinfo(dtype).max, SHAPE, dtype=dtype)
            transform = Affine(size, 0, left, 0, -size, top)
            path = folder / f"{name}_{size:.0f}.tif"
            write_geotiff(path, pixels, crs=crs, transform=transform)
            made[name, size] = (path, pixels, crs, transform)
    return made


@st.composite
def requests(draw):
    """A place, a pixel size of its file, and a grid that overlaps the file or just misses it."""
    name = draw(st.sampled_from(sorted(PLACES)))
    size = draw(st.sampled_from([10.0, 20.0]))
    crs, (left, top), grid_crss = PLACES[name]
    grid_crs = draw(st.sampled_from(grid_crss))
    resolution = draw(st.sampled_from([5.0, 10.0, 12.5, 20.0, 60.0, 100.0]))
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    x = left + draw(st.integers(-30, 230)) * size + draw(st.sampled_from([0.0, 5.0, 3.7]))
    y = top - draw(st.integers(-30, 200)) * size + draw(st.sampled_from([0.0, 5.0, 3.7]))
    (x,), (y,) = rasterio.warp.transform(crs, grid_crs, [x], [y])
    return name, size, Grid(grid_crs, x, y, resolution, width, height)


@examples(150)
@given(requests())
def test_a_warp_is_what_rasterio_makes_of_the_whole_file(files, request_):
    name, size, grid = request_
    path, pixels, crs, transform = files[name, size]
    result = RasterioReader().read(RasterSource(str(path)), grid)
    assert result.dtype == pixels.dtype
    np.testing.assert_array_equal(result, reprojected(pixels, crs, transform, grid))


def test_a_large_window_is_the_same_in_every_pixel(tmp_path):
    pixels = np.random.default_rng(5).integers(1, 60_000, (1500, 1400), dtype=np.uint16)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform)
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", "EPSG:32756", [599_000], [5_261_000])
    grid = Grid("EPSG:32756", round(x, -1), round(y, -1), 10.0, 1600, 1800)
    result = RasterioReader().read(RasterSource(str(path)), grid)
    assert (result != 0).mean() > 0.5
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32755", transform, grid))


@pytest.mark.parametrize(
    ("dtype", "nodata"), [(np.uint16, 65535), (np.float32, float("nan")), (np.uint8, 0)]
)
def test_declared_nodata_is_0_before_the_warp(tmp_path, dtype, nodata):
    pixels = np.full((50, 50), 7, dtype)
    pixels[10:20] = nodata
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = write_geotiff(
        tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform, nodata=nodata
    )
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", "EPSG:32756", [600_000], [5_260_000])
    grid = Grid("EPSG:32756", round(x), round(y), 10.0, 60, 60)
    result = RasterioReader().read(RasterSource(str(path)), grid)
    filled = np.where(np.arange(50)[:, None] // 10 == 1, 0, pixels).astype(dtype)
    np.testing.assert_array_equal(result, reprojected(filled, "EPSG:32755", transform, grid))
    assert set(np.unique(result)) == {0, 7}
