"""What every reader of rasters promises of grids in another CRS than the source's.

The measure is the exact transformation, by pyproj: a pixel of the grid is that pixel of the source
in which its centre lies, or a neighbour where the centre is so close to an edge that the reader's
tolerance reaches over it.
"""

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_classes, mosaic_rgb
from estinel_assets.raster.reader import RasterSource
from tests.support.examples import examples
from tests.support.rasters import reprojected, write_geotiff
from tests.support.readers import WARP_TOLERANCE, every_reader, reader

SHAPE = (170, 200)
# Name: source CRS, corner of its upper left pixel, CRSs of the grids. Pixels of 10 m or
# of half a second.
PLACES = {
    "tasmania": ("EPSG:32755", (520_000.0, 5_260_000.0), ["EPSG:32756", "EPSG:32754"]),
    "border of zones": ("EPSG:32755", (755_000.0, 5_260_000.0), ["EPSG:32756"]),
    "antimeridian": ("EPSG:32760", (812_000.0, 5_200_000.0), ["EPSG:32701", "EPSG:3832"]),
    "equator": ("EPSG:32633", (500_000.0, 800.0), ["EPSG:32733", "EPSG:32634"]),
    "antarctica": ("EPSG:32733", (470_000.0, 1_060_000.0), ["EPSG:3031"]),
    "south pole": ("EPSG:32701", (499_000.0, 1_001_000.0), ["EPSG:3031"]),
    "over the pole": ("EPSG:3031", (-900.0, 800.0), ["EPSG:32761"]),
    "elevations": ("EPSG:4326", (147.3, -42.9), ["EPSG:32755", "EPSG:32756"]),
    "elevations at the antimeridian": ("EPSG:4326", (179.95, -42.9), ["EPSG:32760", "EPSG:32701"]),
    "svalbard": ("EPSG:32633", (430_000.0, 8_800_000.0), ["EPSG:3413", "EPSG:32635"]),
}


def candidates(
    pixels: np.ndarray, crs: str, transform: Affine, grid: Grid, tolerance: float
) -> list[np.ndarray]:
    """What each pixel of a grid may be: one array for each way in which the tolerance may fall."""
    transformer = Transformer.from_crs(grid.crs, crs, always_xy=True)
    left, top, size = grid.left, grid.top, grid.resolution
    x, y = np.meshgrid(
        left + (np.arange(grid.width) + 0.5) * size, top - (np.arange(grid.height) + 0.5) * size
    )
    columns, rows = ~transform @ transformer.transform(x, y)
    possible = []
    for down in (-tolerance, 0.0, tolerance):
        for right in (-tolerance, 0.0, tolerance):
            row, column = np.floor(rows + down), np.floor(columns + right)
            inside = (row >= 0) & (row < pixels.shape[0]) & (column >= 0)
            inside &= column < pixels.shape[1]
            found = np.zeros(grid.shape, pixels.dtype)
            found[inside] = pixels[row[inside].astype(int), column[inside].astype(int)]
            possible.append(found)
    return possible


def distinct(shape: tuple[int, int]) -> np.ndarray:
    """Pixels of which no two near ones are alike."""
    return (np.arange(shape[0] * shape[1]) % 65_521 + 1).astype(np.uint16).reshape(shape)


def _size(crs: str) -> float:
    """Of a pixel, in units of the CRS."""
    return 0.5 / 3600 if crs == "EPSG:4326" else 10.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    made = {}
    for name, (crs, (left, top), _) in PLACES.items():
        size = _size(crs)
        transform = Affine(size, 0, left, 0, -size, top)
        path = folder / f"{name}.tif"
        write_geotiff(path, distinct(SHAPE), crs=crs, transform=transform)
        made[name] = (path, crs, transform)
    return made


@st.composite
def requests(draw):
    """A place, and a grid that overlaps its file or just misses it."""
    name = draw(st.sampled_from(sorted(PLACES)))
    crs, (left, top), grid_crss = PLACES[name]
    grid_crs = draw(st.sampled_from(grid_crss))
    resolution = draw(st.sampled_from([3.0, 10.0, 12.5, 20.0, 60.0]))
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    size = _size(crs)
    x = left + draw(st.integers(-30, 230)) * size + draw(st.sampled_from([0.0, 0.5, 0.37])) * size
    y = top - draw(st.integers(-30, 200)) * size + draw(st.sampled_from([0.0, 0.5, 0.37])) * size
    (x,), (y,) = rasterio.warp.transform(crs, grid_crs, [x], [y])
    return name, Grid(grid_crs, x, y, resolution, width, height)


@every_reader
@examples(60)
@given(requests())
def test_every_pixel_is_that_in_which_its_centre_lies(files, kind, request_):
    name, grid = request_
    path, crs, transform = files[name]
    result = reader(kind).read(RasterSource(str(path)), grid)
    assert result.dtype == np.uint16
    possible = candidates(distinct(SHAPE), crs, transform, grid, WARP_TOLERANCE[kind])
    wrong = np.logical_and.reduce([result != one for one in possible])
    assert not wrong.any(), f"{wrong.sum()} pixels, the first at {np.argwhere(wrong)[0]}"


@every_reader
@pytest.mark.parametrize(
    ("crs", "corner", "grid_crs", "size"),
    [
        ("EPSG:32755", (600_000, 5_260_000), "EPSG:32756", 10.0),
        ("EPSG:32755", (760_000, 5_260_000), "EPSG:32756", 10.0),
        ("EPSG:32760", (805_000, 5_200_000), "EPSG:32701", 10.0),
        ("EPSG:32701", (494_000, 1_005_000), "EPSG:3031", 10.0),
        ("EPSG:32633", (430_000, 8_800_000), "EPSG:3413", 10.0),
    ],
)
def test_a_large_window_is_right_in_every_pixel(tmp_path, kind, crs, corner, grid_crs, size):
    left, top = corner
    pixels = distinct((500, 440))
    transform = Affine(size, 0, left, 0, -size, top)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs=crs, transform=transform, block=128)
    middle = [left + 2_200], [top - 2_500]
    (x,), (y,) = rasterio.warp.transform(crs, grid_crs, *middle)
    grid = Grid(grid_crs, round(x, -1) - 2_700, round(y, -1) + 3_000, 10.0, 540, 600)
    result = reader(kind).read(RasterSource(str(path)), grid)
    assert (result != 0).mean() > 0.5
    possible = candidates(pixels, crs, transform, grid, WARP_TOLERANCE[kind])
    assert not np.logical_and.reduce([result != one for one in possible]).any()
    # GDAL is up to an eighth of a pixel off, on each axis, so that it differs now and then.
    same = result == reprojected(pixels, crs, transform, grid)
    assert same.mean() > 0.97


@every_reader
@pytest.mark.parametrize(("resolution", "level"), [(10.0, None), (20.5, 0), (60.0, 1), (100.0, 2)])
def test_coarse_grids_read_the_overview_that_is_not_coarser(tmp_path, kind, resolution, level):
    transform = Affine(10, 0, 600_000, 0, -10, 5_010_010)
    path = write_geotiff(
        tmp_path / "a.tif",
        np.random.default_rng(5).integers(1, 60_000, (1001, 1003), dtype=np.uint16),
        crs="EPSG:32755",
        transform=transform,
        overviews=(2, 4, 8),
    )
    options = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **options) as overview:
        pixels, own = overview.read(1), overview.transform
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", "EPSG:32756", [602_000], [5_008_000])
    grid = Grid("EPSG:32756", round(x), round(y), resolution, 50, 40)
    result = reader(kind).read(RasterSource(str(path)), grid)
    possible = candidates(pixels, "EPSG:32755", own, grid, WARP_TOLERANCE[kind])
    assert not np.logical_and.reduce([result != one for one in possible]).any()
    assert result.any()


@every_reader
def test_nodata_and_blocks_that_are_not_there_stay_empty_in_a_warp(tmp_path, kind):
    pixels = np.full((200, 200), 7, np.uint16)
    pixels[40:60] = 65535
    pixels[64:128, 64:128] = 65535
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=200, width=200, count=1, dtype="uint16", tiled=True,
        blockxsize=64, blockysize=64, crs="EPSG:32755", transform=transform, nodata=65535,
        SPARSE_OK=True, compress="deflate",
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", "EPSG:32756", [600_000], [5_260_000])
    grid = Grid("EPSG:32756", round(x), round(y), 10.0, 220, 220)
    result = reader(kind).read(RasterSource(str(path)), grid)
    filled = np.where(pixels == 65535, 0, pixels).astype(np.uint16)
    possible = candidates(filled, "EPSG:32755", transform, grid, WARP_TOLERANCE[kind])
    assert not np.logical_and.reduce([result != one for one in possible]).any()
    assert set(np.unique(result)) == {0, 7}


@every_reader
@pytest.mark.parametrize(
    ("grid_crs", "left", "top"),
    [
        ("EPSG:32601", 500_000.0, 5_000_000.0),
        ("EPSG:3413", 0.0, 0.0),
        ("EPSG:3031", 2e7, 2e7),
        ("EPSG:32755", 1e9, 1e9),
        ("EPSG:32754", 9e8, -9e8),
        ("EPSG:32655", -3e6, 2e7),
    ],
)
def test_a_grid_far_away_or_nowhere_on_earth_is_empty(files, kind, grid_crs, left, top):
    grid = Grid(grid_crs, left, top, 10.0, 40, 30)
    result = reader(kind).read(RasterSource(str(files["tasmania"][0])), grid)
    assert (result.shape, result.dtype, result.any()) == ((30, 40), np.uint16, False)


@every_reader
def test_a_grid_over_half_the_earth_has_the_file_in_its_place(files, kind):
    path, crs, transform = files["tasmania"]
    grid = Grid("EPSG:32756", -3_000_000.0, 9_000_000.0, 10_000.0, 600, 600)
    result = reader(kind).read(RasterSource(str(path)), grid)
    possible = candidates(distinct(SHAPE), crs, transform, grid, WARP_TOLERANCE[kind])
    assert not np.logical_and.reduce([result != one for one in possible]).any()


@every_reader
@pytest.mark.parametrize(
    "grid",
    [
        Grid("EPSG:3031", -2_000_000.0, 2_000_000.0, 25_000.0, 160, 160),
        Grid("EPSG:3413", -2_000_000.0, 2_000_000.0, 25_000.0, 160, 160),
        Grid("EPSG:3031", 1_000_000.0, 4_000_000.0, 25_000.0, 100, 100),
        Grid("EPSG:32633", -1_000_000.0, 8_000_000.0, 20_000.0, 150, 150),
    ],
    ids=["south pole", "north pole", "antarctica", "europe"],
)
def test_the_whole_earth_is_seen_from_everywhere(tmp_path, kind, grid):
    # At the poles meridians run together, and the file's left edge is its right one.
    pixels = distinct((360, 720))
    transform = Affine(0.5, 0, -180, 0, -0.5, 90)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs="EPSG:4326", transform=transform)
    result = reader(kind).read(RasterSource(str(path)), grid)
    possible = candidates(pixels, "EPSG:4326", transform, grid, WARP_TOLERANCE[kind])
    wrong = np.logical_and.reduce([result != one for one in possible])
    # GDAL leaves a seam open where the edges meet.
    assert wrong.mean() <= (0.02 if kind == "gdal" else 0)
    assert (result != 0).mean() > 0.98


# Mosaics


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Four scenes of three bands and a classification, two in each of two zones; with borders."""
    folder = tmp_path_factory.mktemp("scenes")
    generator = np.random.default_rng(11)
    made = []
    for number, (crs, left) in enumerate(
        [
            ("EPSG:32755", 754_000),
            ("EPSG:32755", 756_000),
            ("EPSG:32756", 256_000),
            ("EPSG:32756", 258_500),
        ]
    ):
        (x,), (y,) = rasterio.warp.transform("EPSG:32755", crs, [756_000], [5_260_000])
        top = 10 * round(y / 10) + 10 * number
        transform = Affine(10, 0, left if crs == "EPSG:32755" else 10 * round(x / 10), 0, -10, top)
        border = np.add.outer(np.arange(300), np.arange(280)) < 120 + 90 * number
        files = []
        for band in range(4):
            kind = np.uint8 if band == 3 else np.uint16
            pixels = generator.integers(1, 250, (300, 280)).astype(kind)
            pixels[border] = 0
            path = folder / f"{number}_{band}.tif"
            write_geotiff(path, pixels, crs=crs, transform=transform, nodata=0, block=128)
            files.append((path, pixels, crs, transform))
        made.append(files)
    return made


@every_reader
@pytest.mark.parametrize("grid_crs", ["EPSG:32755", "EPSG:32756"])
def test_four_scenes_of_two_zones_make_one_day(scenes, kind, grid_crs):
    (x,), (y,) = rasterio.warp.transform("EPSG:32755", grid_crs, [755_500], [5_260_300])
    grid = Grid(grid_crs, 10 * round(x / 10), 10 * round(y / 10), 10.0, 330, 310)
    opened = reader(kind)
    bands, oracle = [], []
    for files in scenes:
        bands.append([opened.read(RasterSource(str(path)), grid) for path, *_ in files])
        oracle.append([reprojected(*rest, grid) for _, *rest in files])
    composite = mosaic_rgb(np.stack(one[:3]) for one in bands)
    classes = mosaic_classes(one[3] for one in bands)
    expected = mosaic_rgb(np.stack(one[:3]) for one in oracle)
    expected_classes = mosaic_classes(one[3] for one in oracle)
    same_crs = [files[0][2] == grid_crs for files in scenes]
    for is_same, own, other in zip(same_crs, bands, oracle, strict=True):
        agreement = np.mean(np.stack(own) == np.stack(other))
        assert agreement == 1 if is_same else agreement > 0.9
    assert (composite == expected).mean() > 0.9
    assert (classes == expected_classes).mean() > 0.9
    # Where the scenes of the grid's own zone come first, nothing may differ at all.
    ordered = sorted(range(4), key=lambda number: not same_crs[number])[:2]
    np.testing.assert_array_equal(
        mosaic_rgb(np.stack(bands[number][:3]) for number in ordered),
        mosaic_rgb(np.stack(oracle[number][:3]) for number in ordered),
    )
    assert (composite != 0).all(axis=0).mean() > 0.5
