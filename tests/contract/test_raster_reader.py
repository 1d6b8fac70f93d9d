"""What every reader of rasters promises: where pixels come from.

The measure is rasterio's reprojection of the whole file.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.placement import affine_of_bounds
from estinel_assets.raster.reader import RasterSource
from tests.support.examples import examples
from tests.support.rasters import reprojected, write_geotiff
from tests.support.readers import every_reader, never, reader
from tests.support.tiff_bytes import Image, placed, tiff

CRS = "EPSG:32755"
LEFT, TOP = 520_000.0, 5_260_000.0
SHAPE = (170, 200)
SIZES = {10.0: np.uint16, 20.0: np.uint8}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of 10 m and 20 m, without holes and without overviews."""
    folder = tmp_path_factory.mktemp("rasters")
    generator = np.random.default_rng(3)
    made = {}
    for size, dtype in SIZES.items():
        pixels = generator.integers(1, np.iinfo(dtype).max, SHAPE, dtype=dtype)
        transform = Affine(size, 0, LEFT, 0, -size, TOP)
        path = folder / f"{size:.0f}.tif"
        write_geotiff(path, pixels, crs=CRS, transform=transform)
        made[size] = (path, pixels, transform)
    return made


@st.composite
def grids(draw, size):
    """A grid that overlaps a file of that pixel size or just misses it."""
    resolution = draw(st.sampled_from([5.0, 10.0, 12.5, 20.0, 60.0, 100.0]))
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    # Aligned and not, and centres that fall on edges of source pixels.
    offsets = st.sampled_from([0.0, 5.0, 3.7, 0.001])
    x = LEFT + draw(st.integers(-30, 230)) * size + draw(offsets)
    y = TOP - draw(st.integers(-30, 200)) * size + draw(offsets)
    return Grid(CRS, x, y, resolution, width, height)


@every_reader
@examples(100)
@given(st.data())
def test_every_grid_gets_what_rasterio_makes_of_the_whole_file(files, kind, data):
    size = data.draw(st.sampled_from(sorted(SIZES)))
    grid = data.draw(grids(size))
    path, pixels, transform = files[size]
    result = reader(kind).read(RasterSource(str(path)), grid)
    assert result.dtype == pixels.dtype
    np.testing.assert_array_equal(result, reprojected(pixels, CRS, transform, grid))


@every_reader
@examples(30)
@given(st.data())
def test_several_grids_at_once_get_what_each_gets_alone(files, kind, data):
    size = data.draw(st.sampled_from(sorted(SIZES)))
    several = data.draw(st.lists(grids(size), max_size=5))
    source = RasterSource(str(files[size][0]))
    opened = reader(kind)
    together = opened.read_grids(source, several)
    assert len(together) == len(several)
    for grid, result in zip(several, together, strict=True):
        alone = opened.read(source, grid)
        assert result.dtype == alone.dtype
        np.testing.assert_array_equal(result, alone)


@every_reader
def test_grids_of_several_pixel_sizes_and_crss_are_read_at_once(tmp_path, kind):
    pixels = np.random.default_rng(5).integers(1, 60_000, (1000, 1000), dtype=np.uint16)
    transform = Affine(10, 0, 600_000, 0, -10, 5_010_000)
    path = write_geotiff(
        tmp_path / "a.tif", pixels, crs=CRS, transform=transform, overviews=(2, 4, 8)
    )
    (x,), (y,) = rasterio.warp.transform(CRS, "EPSG:32756", [603_000], [5_008_000])
    several = [
        Grid(CRS, 602_000.0, 5_008_000.0, 10.0, 80, 90),
        Grid(CRS, 602_004.0, 5_008_400.0, 60.0, 80, 90),
        Grid(CRS, 700_000.0, 5_008_000.0, 10.0, 8, 9),
        Grid("EPSG:32756", round(x), round(y), 10.0, 70, 60),
        Grid("EPSG:32756", round(x), round(y), 100.0, 30, 20),
    ]
    opened = reader(kind)
    together = opened.read_grids(RasterSource(str(path)), several)
    for grid, result in zip(several, together, strict=True):
        np.testing.assert_array_equal(result, opened.read(RasterSource(str(path)), grid))
    assert [bool(result.any()) for result in together] == [True, True, False, True, True]
    assert opened.read_grids(RasterSource(str(path)), []) == []


@every_reader
def test_results_are_the_callers_own(files, kind):
    path, pixels, _ = files[10.0]
    grid = Grid(CRS, LEFT, TOP, 10.0, 200, 170)
    opened = reader(kind)
    for result in opened.read_grids(RasterSource(str(path)), [grid, grid]):
        result[:] = 0
    np.testing.assert_array_equal(opened.read(RasterSource(str(path)), grid), pixels)


@every_reader
def test_the_catalogue_overrides_the_files_own_place(files, kind):
    path, pixels, _ = files[10.0]
    bounds = (400_000.0, 4_980_000.0, 424_000.0, 5_000_400.0)  # pixels of 120 m
    grid = Grid("EPSG:32633", 400_120.0, 4_999_000.0, 10.0, 500, 400)
    result = reader(kind).read(RasterSource(str(path), "EPSG:32633", bounds), grid)
    transform = affine_of_bounds(bounds, SHAPE)
    assert (transform.a, transform.e) == (120.0, -120.0)
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32633", transform, grid))
    assert result.all()


@every_reader
def test_the_catalogue_may_override_the_crs_alone(files, kind):
    path, pixels, _ = files[10.0]
    grid = Grid("EPSG:32633", LEFT, TOP, 10.0, 200, 170)
    result = reader(kind).read(RasterSource(str(path), "EPSG:32633"), grid)
    np.testing.assert_array_equal(result, pixels)


@every_reader
def test_one_file_may_be_placed_in_several_ways(files, kind):
    path, pixels, _ = files[10.0]
    opened = reader(kind)
    grid = Grid(CRS, 0.0, 1700.0, 10.0, 200, 170)
    for left in (0.0, 500.0, -500.0):
        bounds = (left, 0.0, left + 2000.0, 1700.0)
        transform = affine_of_bounds(bounds, SHAPE)
        result = opened.read(RasterSource(str(path), CRS, bounds), grid)
        np.testing.assert_array_equal(result, reprojected(pixels, CRS, transform, grid))
    assert not opened.read(RasterSource(str(path)), grid).any()


@every_reader
def test_a_file_without_any_georeference_is_placed_by_the_catalogue(tmp_path, kind):
    pixels = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    path = write_geotiff(tmp_path / "bare file.tif", pixels, crs=None, transform=None)
    source = RasterSource(path.as_uri(), CRS, (0.0, 0.0, 40.0, 30.0))
    result = reader(kind).read(source, Grid(CRS, -10.0, 30.0, 10.0, 6, 2))
    assert result.tolist() == [[0, 1, 2, 3, 4, 0], [0, 5, 6, 7, 8, 0]]


@every_reader
@pytest.mark.parametrize(
    ("resolution", "level"),
    [(10.0, None), (19.0, None), (20.0, 0), (39.9, 0), (60.0, 1), (100.0, 2), (500.0, 2)],
)
def test_coarse_grids_read_the_overview_that_is_not_coarser(tmp_path, kind, resolution, level):
    pixels = np.random.default_rng(5).integers(1, 60_000, (1001, 1003), dtype=np.uint16)
    bounds = (600_000.0, 5_000_000.0, 610_030.0, 5_010_010.0)
    path = write_geotiff(
        tmp_path / "a.tif",
        pixels,
        crs=CRS,
        transform=affine_of_bounds(bounds, pixels.shape),
        overviews=(2, 4, 8),
    )
    if level is not None:
        with rasterio.open(path, overview_level=level) as overview:
            pixels = overview.read(1)
    grid = Grid(CRS, 602_000.0, 5_008_000.0, resolution, 50, 40)
    result = reader(kind).read(RasterSource(str(path)), grid)
    transform = affine_of_bounds(bounds, pixels.shape)
    np.testing.assert_array_equal(result, reprojected(pixels, CRS, transform, grid))


@every_reader
@pytest.mark.parametrize(
    ("resolution", "level"), [(19.0, None), (20.0, 0), (30.0, 1), (33.0, 1), (60.0, 1), (70.0, 2)]
)
def test_overviews_need_not_halve(tmp_path, kind, resolution, level):
    pixels = np.random.default_rng(5).integers(1, 60_000, (840, 840), dtype=np.uint16)
    bounds = (600_000.0, 5_000_000.0, 608_400.0, 5_008_400.0)
    transform = affine_of_bounds(bounds, pixels.shape)
    path = write_geotiff(
        tmp_path / "a.tif", pixels, crs=CRS, transform=transform, overviews=(2, 3, 7)
    )
    if level is not None:
        with rasterio.open(path, overview_level=level) as overview:
            pixels = overview.read(1)
    grid = Grid(CRS, 602_000.0, 5_007_000.0, resolution, 50, 40)
    result = reader(kind).read(RasterSource(str(path)), grid)
    transform = affine_of_bounds(bounds, pixels.shape)
    np.testing.assert_array_equal(result, reprojected(pixels, CRS, transform, grid))


@every_reader
def test_a_file_without_overviews_is_thinned_for_a_coarse_grid(files, kind):
    path, pixels, transform = files[10.0]
    grid = Grid(CRS, LEFT, TOP, 100.0, 20, 17)
    result = reader(kind).read(RasterSource(str(path)), grid)
    np.testing.assert_array_equal(result, reprojected(pixels, CRS, transform, grid))
    np.testing.assert_array_equal(result, pixels[5::10, 5::10])


@every_reader
@pytest.mark.parametrize(
    "transform",
    [
        Affine.translation(600_000, 5_260_000) @ Affine.rotation(30) @ Affine.scale(10, -10),
        Affine(10, 0, 600_000, 0, 10, 5_259_400),
        Affine(-10, 0, 600_600, 0, -10, 5_260_000),
        Affine(10, 0, 600_000, 0, -20, 5_260_000),
        Affine(0, 10, 600_000, -10, 0, 5_260_000),
    ],
    ids=["rotated", "south up", "east left", "oblong", "transposed"],
)
def test_pixels_may_lie_in_any_way(tmp_path, kind, transform):
    pixels = np.random.default_rng(5).integers(1, 250, (60, 60), dtype=np.uint8)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs=CRS, transform=transform)
    for resolution, left in ((10.0, 600_000.0), (10.0, 600_003.7), (7.0, 599_900.0)):
        grid = Grid(CRS, left, 5_260_201.3, resolution, 80, 60)
        result = reader(kind).read(RasterSource(str(path)), grid)
        assert result.any()
        np.testing.assert_array_equal(result, reprojected(pixels, CRS, transform, grid))


@every_reader
@pytest.mark.parametrize("as_matrix", [False, True])
@pytest.mark.parametrize("by_point", [False, True])
def test_the_place_may_be_said_in_every_way(tmp_path, kind, as_matrix, by_point):
    pixels = np.random.default_rng(5).integers(1, 250, (60, 70), dtype=np.uint8)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    tags = placed(transform, 32755, as_matrix=as_matrix, by_point=by_point)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([Image(pixels, tags=tags)]))
    for shift in (-4.0, 0.0, 4.0):  # less than half a pixel, so that the nearest stays the same
        grid = Grid(CRS, 600_000.0 + shift, 5_260_000.0 + shift, 10.0, 70, 60)
        np.testing.assert_array_equal(reader(kind).read(RasterSource(str(path)), grid), pixels)


@every_reader
def test_many_threads_read_what_one_reads(files, kind):
    opened = reader(kind, sleep=never)
    jobs = []
    for size, (path, *_) in sorted(files.items()) * 8:
        grid = Grid(CRS, LEFT + 100 * len(jobs), TOP, size, 60, 50)
        jobs += [(RasterSource(str(path)), grid), (RasterSource(f"{path}.absent"), grid)]

    def run(job):
        try:
            return opened.read(*job).tolist()
        except PermanentError as error:
            return error.reason

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, jobs)) == alone


def _failure(kind, source: RasterSource) -> RetryableError | PermanentError:
    grid = Grid(CRS, LEFT, TOP, 10.0, 50, 50)
    opened = reader(kind, sleep=never)
    with pytest.raises((RetryableError, PermanentError)) as one:
        opened.read(source, grid)
    with pytest.raises((RetryableError, PermanentError)) as several:
        opened.read_grids(source, [grid, grid])
    assert (several.value.reason, str(several.value)) == (one.value.reason, str(one.value))
    assert one.value.__context__ is None
    return one.value


@every_reader
def test_an_absent_file_is_not_found(tmp_path, kind):
    for href in (str(tmp_path / "a.tif"), (tmp_path / "a.tif").as_uri()):
        error = _failure(kind, RasterSource(href))
        assert type(error) is PermanentError
        assert error.reason == SourceFault.NOT_FOUND
        assert str(error).startswith(f"{href}: there is no such file")


@every_reader
def test_a_folder_is_no_file(tmp_path, kind):
    error = _failure(kind, RasterSource(str(tmp_path)))
    assert error.reason in {SourceFault.NOT_FOUND, SourceFault.CORRUPT, SourceFault.UNAVAILABLE}


@every_reader
@pytest.mark.parametrize("kept", [0, 3, 200, 0.5, 0.98])
def test_a_damaged_file_is_corrupt(files, tmp_path, kind, kept):
    content = files[10.0][0].read_bytes()
    length = kept if isinstance(kept, int) else int(len(content) * kept)
    path = tmp_path / "a.tif"
    path.write_bytes(content[:length])
    whole = Grid(CRS, LEFT, TOP, 10.0, 200, 170)
    with pytest.raises(RetryableError, match="truncated or damaged") as caught:
        reader(kind, sleep=never).read(RasterSource(str(path)), whole)
    assert caught.value.reason == SourceFault.CORRUPT


@every_reader
def test_what_is_no_raster_is_corrupt(tmp_path, kind):
    page = tmp_path / "a.tif"
    page.write_text("<html>sign in</html>")
    assert _failure(kind, RasterSource(str(page))).reason == SourceFault.CORRUPT


@every_reader
@pytest.mark.parametrize(
    ("crs", "bounds", "words"),
    [
        (None, (0.0, 0.0, 40.0, 30.0), "its CRS is not known (given: none)"),
        ("EPSG:999999", (0.0, 0.0, 40.0, 30.0), "its CRS is not known (given: 'EPSG:999999')"),
        (CRS, (0.0, 0.0, 0.0, 30.0), "its extent (0.0, 0.0, 0.0, 30.0) is empty"),
        (CRS, (0.0, float("nan"), 40.0, 30.0), "its extent (0.0, nan, 40.0, 30.0) is empty"),
        (CRS, (0.0, 0.0, float("inf"), 30.0), "its extent (0.0, 0.0, inf, 30.0) is empty"),
    ],
)
def test_a_file_that_lies_nowhere_is_corrupt(tmp_path, kind, crs, bounds, words):
    pixels = np.ones((3, 4), np.uint8)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs=None, transform=None)
    error = _failure(kind, RasterSource(str(path), crs, bounds))
    assert error.reason == SourceFault.CORRUPT
    assert words in str(error)


@every_reader
@pytest.mark.parametrize("crs", ["IAU_2015:30100", 'LOCAL_CS["a field"]'])
def test_a_crs_that_is_nowhere_on_the_ground_is_corrupt(files, kind, crs):
    path, *_ = files[10.0]
    error = _failure(kind, RasterSource(str(path), crs, (0.0, 0.0, 2000.0, 1700.0)))
    assert error.reason == SourceFault.CORRUPT
    assert "CRS" in str(error)


@every_reader
def test_other_schemes_are_refused_without_a_try(kind):
    error = _failure(kind, RasterSource("ftp://host/a.tif?sig=SECRET"))
    assert type(error) is PermanentError
    assert str(error).startswith("ftp://host/a.tif: addresses with ftp:// cannot be read")


@every_reader
@pytest.mark.parametrize(
    "href",
    [
        "http://[host/a.tif?sig=SECRET",
        "http://host:99999/a.tif?sig=SECRET",
        "http://host:port/a.tif?sig=SECRET",
        "/folder/a\0.tif",
        "file:///folder/a%00.tif",
        "/folder/\ud800.tif",
    ],
)
def test_nothing_is_at_an_address_that_is_none(kind, href):
    error = _failure(kind, RasterSource(href))
    assert error.reason == SourceFault.NOT_FOUND
    assert "SECRET" not in str(error)


def test_a_source_never_shows_its_signature():
    source = RasterSource("https://user:pass@host/a.tif?sig=SECRET", CRS)
    shown = f"{source} {source!r} {[source]}"
    assert "SECRET" not in shown
    assert "pass" not in shown
    assert "https://host/a.tif" in shown
