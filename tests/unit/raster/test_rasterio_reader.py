"""The reader on local files, measured with rasterio's reprojection of the whole file."""

import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.placement import affine_of_bounds
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterSource
from tests.support.rasters import reprojected, write_geotiff

SHAPE = (170, 200)
# Name: source CRS, corner of its upper left pixel, CRSs of the grids.
PLACES = {
    "tasmania": ("EPSG:32755", (520_000.0, 5_260_000.0), ["EPSG:32755", "EPSG:32756"]),
    "antimeridian": ("EPSG:32760", (812_000.0, 5_200_000.0), ["EPSG:32760", "EPSG:32701"]),
    "antarctica": ("EPSG:32733", (470_000.0, 1_060_000.0), ["EPSG:3031", "EPSG:32733"]),
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
    # Aligned and not, and centres that fall on edges of source pixels.
    x = left + draw(st.integers(-30, 230)) * size + draw(st.sampled_from([0.0, 5.0, 3.7]))
    y = top - draw(st.integers(-30, 200)) * size + draw(st.sampled_from([0.0, 5.0, 3.7]))
    if grid_crs != crs:
        (x,), (y,) = rasterio.warp.transform(crs, grid_crs, [x], [y])
    return name, size, Grid(grid_crs, x, y, resolution, width, height)


@settings(max_examples=300, deadline=None)
@given(requests())
def test_every_grid_gets_what_rasterio_makes_of_the_whole_file(files, request_):
    name, size, grid = request_
    path, pixels, crs, transform = files[name, size]
    result = RasterioReader().read(RasterSource(str(path)), grid)
    assert result.dtype == pixels.dtype
    np.testing.assert_array_equal(result, reprojected(pixels, crs, transform, grid))


@pytest.mark.parametrize("grid_crs", ["EPSG:32755", "EPSG:32756"])
def test_a_large_window_is_the_same_in_every_pixel(tmp_path, grid_crs):
    pixels = np.random.default_rng(5).integers(1, 60_000, (1500, 1400), dtype=np.uint16)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform)
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", grid_crs, [599_000], [5_261_000])
    grid = Grid(grid_crs, round(x, -1), round(y, -1), 10.0, 1600, 1800)
    result = RasterioReader().read(RasterSource(str(path)), grid)
    assert (result != 0).mean() > 0.5
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32755", transform, grid))


def test_the_catalogue_overrides_the_files_own_place(files):
    path, pixels, _, _ = files["tasmania", 10.0]
    bounds = (400_000.0, 4_980_000.0, 424_000.0, 5_000_400.0)  # pixels of 120 m
    grid = Grid("EPSG:32633", 400_120.0, 4_999_000.0, 10.0, 500, 400)
    result = RasterioReader().read(RasterSource(str(path), "EPSG:32633", bounds), grid)
    transform = affine_of_bounds(bounds, SHAPE)
    assert (transform.a, transform.e) == (120.0, -120.0)
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32633", transform, grid))
    assert result.all()


def test_a_file_without_any_georeference_is_placed_by_the_catalogue(tmp_path):
    pixels = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    path = write_geotiff(tmp_path / "bare file.tif", pixels, crs=None, transform=None)
    source = RasterSource(path.as_uri(), "EPSG:32755", (0.0, 0.0, 40.0, 30.0))
    result = RasterioReader().read(source, Grid("EPSG:32755", -10.0, 30.0, 10.0, 6, 2))
    assert result.tolist() == [[0, 1, 2, 3, 4, 0], [0, 5, 6, 7, 8, 0]]


@pytest.mark.parametrize("grid_crs", ["EPSG:32755", "EPSG:32756"])
@pytest.mark.parametrize(
    ("resolution", "level"), [(10.0, None), (19.0, None), (20.0, 0), (60.0, 1), (100.0, 2)]
)
def test_coarse_grids_read_the_overview_that_is_not_coarser(tmp_path, grid_crs, resolution, level):
    pixels = np.random.default_rng(5).integers(1, 60_000, (1001, 1003), dtype=np.uint16)
    bounds = (600_000.0, 5_000_000.0, 610_030.0, 5_010_010.0)
    path = write_geotiff(
        tmp_path / "a.tif",
        pixels,
        crs="EPSG:32755",
        transform=affine_of_bounds(bounds, pixels.shape),
        overviews=(2, 4, 8),
    )
    if level is not None:
        with rasterio.open(path, overview_level=level) as overview:
            pixels = overview.read(1)
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", grid_crs, [602_000], [5_008_000])
    # A hair finer: the scale of the other zone must not decide which overview is meant.
    grid = Grid(grid_crs, round(x), round(y), resolution, 50, 40)
    if grid_crs == "EPSG:32756" and resolution == 20.0:
        grid = Grid(grid_crs, round(x), round(y), 20.5, 50, 40)
    result = RasterioReader().read(RasterSource(str(path)), grid)
    transform = affine_of_bounds(bounds, pixels.shape)
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32755", transform, grid))


@pytest.mark.parametrize(
    ("dtype", "nodata"), [(np.uint16, 65535), (np.float32, float("nan")), (np.uint8, 0)]
)
@pytest.mark.parametrize("grid_crs", ["EPSG:32755", "EPSG:32756"])
def test_declared_nodata_counts_as_not_covered(tmp_path, dtype, nodata, grid_crs):
    pixels = np.full((50, 50), 7, dtype)
    pixels[10:20] = nodata
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = write_geotiff(
        tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform, nodata=nodata
    )
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", grid_crs, [600_000], [5_260_000])
    grid = Grid(grid_crs, round(x), round(y), 10.0, 60, 60)
    result = RasterioReader().read(RasterSource(str(path)), grid)
    filled = np.where(np.arange(50)[:, None] // 10 == 1, 0, pixels).astype(dtype)
    np.testing.assert_array_equal(result, reprojected(filled, "EPSG:32755", transform, grid))
    assert set(np.unique(result)) == {0, 7}


def test_a_rotated_file_is_warped(tmp_path):
    pixels = np.random.default_rng(5).integers(1, 250, (60, 60), dtype=np.uint8)
    transform = Affine.translation(600_000, 5_260_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform)
    grid = Grid("EPSG:32755", 600_000.0, 5_260_200.0, 10.0, 80, 60)
    result = RasterioReader().read(RasterSource(str(path)), grid)
    assert result.any()
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32755", transform, grid))


def test_many_threads_read_what_one_reads(files):
    reader = RasterioReader()
    jobs = []
    for (name, _), (path, *_rest) in sorted(files.items()) * 4:
        crs, (left, top), grid_crss = PLACES[name]
        (x,), (y,) = rasterio.warp.transform(crs, grid_crss[0], [left], [top])
        jobs.append((RasterSource(str(path)), Grid(grid_crss[0], x, y, 10.0, 60, 50)))
        jobs.append((RasterSource(str(path) + ".absent"), jobs[-1][1]))

    def run(job):
        try:
            return reader.read(*job).tolist()
        except PermanentError as error:
            return error.reason

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, jobs)) == alone


def _failure(source: RasterSource, **options) -> RetryableError | PermanentError:
    grid = Grid("EPSG:32755", 520_000.0, 5_260_000.0, 10.0, 50, 50)

    def never(seconds: float) -> None:
        raise AssertionError(f"local files are not worth a wait of {seconds} s")

    with pytest.raises((RetryableError, PermanentError)) as caught:
        RasterioReader(sleep=never, **options).read(source, grid)
    assert caught.value.__context__ is None
    assert len(traceback.format_exception(caught.value)) < 10
    return caught.value


def test_an_absent_file_is_not_found(tmp_path):
    for href in (str(tmp_path / "a.tif"), (tmp_path / "a.tif").as_uri()):
        error = _failure(RasterSource(href))
        assert type(error) is PermanentError
        assert error.reason == SourceFault.NOT_FOUND
        assert str(error).startswith(f"{href}: there is no such file")


@pytest.mark.parametrize("kept", [0, 3, 200, 0.5, 0.98])
def test_a_damaged_file_is_corrupt(files, tmp_path, kept):
    content = files["tasmania", 10.0][0].read_bytes()
    length = kept if isinstance(kept, int) else int(len(content) * kept)
    path = tmp_path / "a.tif"
    path.write_bytes(content[:length])
    whole = Grid("EPSG:32755", 520_000.0, 5_260_000.0, 10.0, 200, 170)
    with pytest.raises(RetryableError, match="truncated or damaged") as caught:
        RasterioReader().read(RasterSource(str(path)), whole)
    assert caught.value.reason == SourceFault.CORRUPT


def test_what_is_no_raster_is_corrupt(tmp_path):
    page = tmp_path / "a.tif"
    page.write_text("<html>sign in</html>")
    assert _failure(RasterSource(str(page))).reason == SourceFault.CORRUPT


@pytest.mark.parametrize(
    ("crs", "bounds", "words"),
    [
        (None, (0.0, 0.0, 40.0, 30.0), "its CRS is not known (given: none)"),
        ("EPSG:999999", (0.0, 0.0, 40.0, 30.0), "its CRS is not known (given: 'EPSG:999999')"),
        ("EPSG:32755", (0.0, 0.0, 0.0, 30.0), "its extent (0.0, 0.0, 0.0, 30.0) is empty"),
    ],
)
def test_a_file_that_lies_nowhere_is_corrupt(tmp_path, crs, bounds, words):
    pixels = np.ones((3, 4), np.uint8)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs=None, transform=None)
    error = _failure(RasterSource(str(path), crs, bounds))
    assert error.reason == SourceFault.CORRUPT
    assert words in str(error)


def test_other_schemes_are_refused_without_a_try():
    error = _failure(RasterSource("ftp://host/a.tif?sig=SECRET"))
    assert type(error) is PermanentError
    assert str(error).startswith("ftp://host/a.tif: addresses with ftp:// cannot be read")


def test_a_source_never_shows_its_signature():
    source = RasterSource("https://user:pass@host/a.tif?sig=SECRET", "EPSG:32755")
    shown = f"{source} {source!r} {[source]}"
    assert "SECRET" not in shown
    assert "pass" not in shown
    assert "https://host/a.tif" in shown
