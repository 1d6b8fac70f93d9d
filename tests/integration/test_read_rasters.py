"""Scenes as they are: real ones through every reader, what blocks cost, and GDAL's own troubles."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_rgb
from estinel_assets.raster.placement import affine_of_bounds
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterSource
from estinel_assets.raster.tiff import TiffImage, read_tiff
from estinel_assets.raster.tries import Tries
from tests.support.http import Misbehaviour, RangeServer
from tests.support.rasters import reprojected, write_geotiff
from tests.support.readers import Waits, every_reader, never, reader
from tests.support.real import real_data
from tests.support.tiff_bytes import Image, placed, tiff

CRS = "EPSG:32755"
LEFT, TOP = 600_000.0, 5_260_000.0
TRANSFORM = Affine(10, 0, LEFT, 0, -10, TOP)
HEAD = 8192
"""Bytes that the structure of a file may cost."""


def _item_source(item_path: Path, asset_key: str, href: str) -> RasterSource:
    """A source as its STAC item describes it: CRS, and the extent of the full-size product."""
    item = json.loads(item_path.read_text(encoding="utf-8"))
    asset = item["assets"][asset_key]
    size, _, left, _, negative, top = asset["proj:transform"][:6]
    height, width = asset["proj:shape"]
    bounds = (left, top + negative * height, left + size * width, top)
    return RasterSource(href, f"EPSG:{item['properties']['proj:epsg']}", bounds)


def ranges(server: RangeServer) -> list[tuple[int, int]]:
    """First byte and the one after the last of each request."""
    found = []
    for request in server.requests:
        if request.method == "HEAD":
            continue
        assert request.range is not None
        first, _, last = request.range.removeprefix("bytes=").partition("-")
        found.append((int(first), int(last) + 1))
    return sorted(found)


def fetched(server: RangeServer, path: Path) -> int:
    """Bytes of all answers, as they were asked for: the server counts what is on its way later."""
    size = path.stat().st_size
    return sum(min(end, size) - start for start, end in ranges(server))


# Real scenes


@every_reader
@pytest.mark.parametrize(("asset", "file"), [("red", "B04.tif"), ("scl", "SCL.tif")])
@pytest.mark.parametrize("grid_crs", ["EPSG:32629", "EPSG:32628"])
def test_a_real_cog_is_placed_by_its_item(kind, asset, file, grid_crs):
    folder = real_data("imagery/riotilerpds_29RKH")
    with rasterio.open(folder / file) as dataset:
        pixels, crs, own = dataset.read(1), dataset.crs.to_string(), dataset.transform
    (x,), (y,) = rasterio.warp.transform(crs, grid_crs, [280_000], [2_795_000])
    grid = Grid(grid_crs, round(x, -1), round(y, -1), 50.0, 400, 300)
    with RangeServer(folder) as server:
        source = _item_source(folder / "S2A_29RKH_20200219_0_L2A.json", asset, server.url(file))
        result = reader(kind).read(source, grid)
    expected = reprojected(pixels, crs, own, grid)
    exact = grid_crs == crs or kind == "gdal"
    assert (result == expected).mean() >= (1 if exact else 0.97)
    assert result.dtype == pixels.dtype
    assert len(np.unique(result)) > 2


def _real_files() -> list[str]:
    folder = "imagery/riotilerpds_29RKH"
    scenes = [f"{folder}/{band}.tif" for band in ("B04", "B08", "B11", "SCL", "AOT")]
    exe = ["2024-06-02_12-21-19_EPSG27700", "2024-08-01_12-21-19", "2024-08-16_12-21-11"]
    views = ["cloudy", "cloudy_q128", "mixed", "mixed_histeq"]
    jpeg2000 = ["TWL_20230818_0_L2A/B04", "TWM_20230818_0_L2A/B02"]
    return [
        *scenes,
        *(f"imagery/exe_{name}.tif" for name in exe),
        *(f"imagery/views/{name}.tif" for name in views),
        *(f"imagery/earthsearch_33T_20230818/S2A_33{name}.tif" for name in jpeg2000),
    ]


@pytest.mark.parametrize("file", _real_files())
def test_real_files_read_the_same_through_both_readers(file):
    path = real_data(file)
    with rasterio.open(path) as dataset:
        crs, bounds, size = dataset.crs.to_string(), dataset.bounds, dataset.res[0]
        source = RasterSource(str(path), crs, tuple(bounds))
    gdal, blocks = reader("gdal", sleep=never), reader("blocks", sleep=never)
    generator = np.random.default_rng(17)
    grids = []
    for _ in range(4 if "33T" in file else 25):  # JPEG 2000 takes its time
        resolution = size * generator.choice([0.5, 1.0, 1.0, 1.0, 2.0, 3.3, 9.0])
        width, height = generator.integers(1, 150, 2).tolist()
        left = generator.uniform(bounds.left - 20 * size, bounds.right)
        top = generator.uniform(bounds.bottom, bounds.top + 20 * size)
        if generator.random() < 0.5:
            left, top = round(left / size) * size, round(top / size) * size
        grids.append(Grid(crs, left, top, resolution, width, height))
    some = 0
    for grid, found in zip(grids, blocks.read_grids(source, grids), strict=True):
        expected = gdal.read(source, grid)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        some += bool(found.any())
    assert some > 5 or "33T" in file


@every_reader
def test_a_coarse_grid_takes_an_overview_and_fewer_bytes(kind):
    folder = real_data("imagery/riotilerpds_29RKH")
    item = folder / "S2A_29RKH_20200219_0_L2A.json"
    with rasterio.open(folder / "B04.tif", overview_level=1) as overview:
        pixels, transform = overview.read(1), overview.transform
    coarse = Grid("EPSG:32629", 200_000.0, 2_800_000.0, 400.0, 250, 250)
    fine = Grid("EPSG:32629", 200_000.0, 2_800_000.0, 100.0, 1000, 1000)
    with RangeServer(folder) as server:
        source = _item_source(item, "red", server.url("B04.tif"))
        result = reader(kind).read(source, coarse)
        coarse_bytes = fetched(server, folder / "B04.tif")
        server.forget()
        reader(kind).read(source, fine)
        assert coarse_bytes < fetched(server, folder / "B04.tif") / 4
    bounds = source.bounds
    assert bounds is not None
    of_item = affine_of_bounds(bounds, pixels.shape)
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32629", of_item, coarse))
    np.testing.assert_allclose(tuple(of_item)[:6], tuple(transform)[:6])


def test_two_real_neighbours_make_one_day_like_rasterios_own_mosaic():
    folder = real_data("imagery/earthsearch_33T_20230818")
    names = ["S2A_33TWL_20230818_0_L2A", "S2A_33TWM_20230818_0_L2A"]
    # Across their border near 5,100,000 m north; the files are JPEG 2000 without georeference.
    for grid in (
        Grid("EPSG:32633", 540_000.0, 5_106_000.0, 10.0, 900, 900),
        Grid("EPSG:32632", 1_005_000.0, 5_112_000.0, 30.0, 500, 400),
    ):
        scenes, expected = [], np.zeros((3, *grid.shape), np.uint16)
        opened = reader("blocks", sleep=never)
        with RangeServer(folder) as server:
            for name in names:
                bands, oracle = [], []
                for asset, file in (("red", "B04"), ("green", "B03"), ("blue", "B02")):
                    href = server.url(f"{name}/{file}.tif")
                    source = _item_source(folder / name / f"{name}.json", asset, href)
                    bands.append(opened.read(source, grid))
                    with rasterio.open(folder / name / f"{file}.tif") as dataset:
                        whole = dataset.read(1), dataset.crs.to_string(), dataset.transform
                    oracle.append(reprojected(*whole, grid))
                scenes.append(np.stack(bands))
                free = (expected == 0).any(axis=0) & (np.stack(oracle) != 0).all(axis=0)
                expected[:, free] = np.stack(oracle)[:, free]
        assert all((scene != 0).any() for scene in scenes)
        np.testing.assert_array_equal(mosaic_rgb(scenes), expected)


@every_reader
def test_a_truncated_jpeg_2000_is_corrupt_and_not_noise(kind):
    folder = real_data("imagery/earthsearch_33T_20230818/S2A_33TWL_20230818_0_L2A")
    grid = Grid("EPSG:32633", 500_000.0, 5_100_000.0, 120.0, 900, 900)
    with RangeServer(folder) as server:
        item = folder / "S2A_33TWL_20230818_0_L2A.json"
        source = _item_source(item, "red", server.url("B04.tif"))
        server.misbehave("B04.tif", Misbehaviour(file_ends_at=700_000))
        with pytest.raises(RetryableError, match=r"B04\.tif: .*truncated") as caught:
            reader(kind, sleep=Waits()).read(source, grid)
    assert caught.value.reason == SourceFault.CORRUPT


# What blocks cost


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Iterator[tuple[RangeServer, Path]]:
    """A COG of 64 blocks that compress somewhat, with overviews, on a server."""
    folder = tmp_path_factory.mktemp("scene")
    ramps = np.add.outer(np.arange(2048) // 3, np.arange(2048) // 5)
    pixels = (ramps + np.random.default_rng(5).integers(1, 64, ramps.shape)).astype(np.uint16)
    path = folder / "scene.tif"
    with rasterio.io.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=2048, width=2048, count=1, dtype="uint16", crs=CRS,
            transform=TRANSFORM,
        ) as file:  # fmt: skip
            file.write(pixels, 1)
        rasterio.shutil.copy(
            memory.name, path, driver="COG", COMPRESS="DEFLATE", PREDICTOR="YES", BLOCKSIZE="256"
        )
    with RangeServer(folder) as server:
        yield server, path


def structure(path: Path) -> tuple[TiffImage, ...]:
    content = path.read_bytes()
    return read_tiff(lambda offset, length: content[offset : offset + length]).images


def cost(image: TiffImage, rows: slice, columns: slice) -> int:
    """Bytes of some blocks."""
    return int(image.byte_counts[rows, columns].sum())


@pytest.mark.parametrize(
    ("grid", "level", "rows", "columns"),
    [
        (Grid(CRS, LEFT, TOP, 10.0, 256, 256), 0, slice(0, 1), slice(0, 1)),
        (Grid(CRS, LEFT + 2000, TOP - 5110, 10.0, 300, 2), 0, slice(1, 3), slice(0, 2)),
        (Grid(CRS, LEFT + 3000, TOP - 4000, 10.0, 618, 618), 0, slice(1, 4), slice(1, 4)),
        (Grid(CRS, LEFT, TOP, 10.0, 2048, 2048), 0, slice(0, 8), slice(0, 8)),
        (Grid(CRS, LEFT, TOP, 20.0, 200, 200), 1, slice(0, 1), slice(0, 1)),
        (Grid(CRS, LEFT, TOP, 60.0, 300, 300), 2, slice(0, 2), slice(0, 2)),
        (Grid(CRS, LEFT + 3000, TOP - 2000, 3.0, 618, 618), 0, slice(0, 2), slice(1, 2)),
    ],
    ids=["one", "corners", "site", "all", "half", "quarter", "finer"],
)
def test_no_more_bytes_than_the_blocks_and_the_head(scene, grid, level, rows, columns):
    server, path = scene
    needed = cost(structure(path)[level], rows, columns)
    server.forget()
    source = RasterSource(server.url("scene.tif"))
    opened = reader("blocks", sleep=never)
    opened.read(source, grid)
    assert needed < fetched(server, path) <= 1.1 * needed + HEAD
    server.forget()
    opened.read(source, grid)  # the head is known now
    assert needed <= fetched(server, path) <= 1.1 * needed
    # What two of a row need lies side by side.
    assert server.count() <= max(rows.stop - rows.start, needed // 2**24 + 1)
    asked = ranges(server)
    assert all(end <= start for (_, end), (start, _) in pairwise(asked))


@pytest.mark.parametrize("width", [1, 200, 620, 960])
def test_gaps_between_small_blocks_are_not_fetched(tmp_path, width):
    image = Image(np.ones((1024, 1024), np.uint8), (32, 32), 1, tags=placed(TRANSFORM, 32755))
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([image]))
    needed = 32 * 1024 * -(-width // 32)
    with RangeServer(tmp_path) as server:
        opened, source = reader("blocks", sleep=never), RasterSource(server.url("a.tif"))
        opened.read(source, Grid(CRS, LEFT - 500, TOP, 10.0, 10, 10))
        server.forget()
        assert opened.read(source, Grid(CRS, LEFT, TOP, 10.0, width, 1024)).all()
        assert needed <= fetched(server, path) <= 1.1 * needed


def test_sixteen_tiles_of_a_scene_cost_their_blocks_once(scene):
    server, path = scene
    tiles = [
        Grid(CRS, LEFT + 150 + 4_000 * column, TOP - 250 - 4_000 * row, 10.0, 400, 400)
        for row in range(4)
        for column in range(4)
    ]
    server.forget()
    opened = reader("blocks", sleep=never)
    together = opened.read_grids(RasterSource(server.url("scene.tif")), tiles)
    needed = cost(structure(path)[0], slice(0, 7), slice(0, 7))
    assert needed < fetched(server, path) <= 1.1 * needed + HEAD
    asked = ranges(server)
    assert all(end <= start for (_, end), (start, _) in pairwise(asked[1:]))
    with rasterio.open(path) as file:
        whole = file.read(1)
    for tile, found in zip(tiles, together, strict=True):
        np.testing.assert_array_equal(found, reprojected(whole, CRS, TRANSFORM, tile))


def test_grids_of_two_levels_cost_the_blocks_of_each_once(scene):
    server, path = scene
    fine = Grid(CRS, LEFT, TOP, 10.0, 300, 300)
    coarse = Grid(CRS, LEFT, TOP, 40.0, 512, 512)
    images = structure(path)
    needed = cost(images[0], slice(0, 2), slice(0, 2)) + cost(images[2], slice(0, 2), slice(0, 2))
    server.forget()
    opened = reader("blocks", sleep=never)
    opened.read_grids(RasterSource(server.url("scene.tif")), [fine, coarse, fine, coarse])
    assert needed < fetched(server, path) <= 1.1 * needed + HEAD


@pytest.mark.parametrize("grid_crs", ["EPSG:32754", "EPSG:32756"])
def test_a_warp_costs_the_blocks_below_it(scene, grid_crs):
    server, path = scene
    (x,), (y,) = rasterio.warp.transform(CRS, grid_crs, [LEFT + 7_680], [TOP - 7_680])
    grid = Grid(grid_crs, round(x), round(y), 10.0, 100, 100)
    server.forget()
    result = reader("blocks", sleep=never).read(RasterSource(server.url("scene.tif")), grid)
    needed = cost(structure(path)[0], slice(2, 5), slice(2, 5))
    assert result.all()
    assert fetched(server, path) <= needed + HEAD


def test_a_grid_beside_the_scene_costs_its_head_alone(scene):
    server, path = scene
    for crs in (CRS, "EPSG:32756"):
        server.forget()
        grid = Grid(crs, LEFT - 40_000, TOP, 10.0, 100, 100)
        source = RasterSource(server.url("scene.tif"))
        assert not reader("blocks", sleep=never).read(source, grid).any()
        assert fetched(server, path) == HEAD


def test_one_head_serves_many_threads_and_signatures(scene):
    server, path = scene
    opened = reader("blocks", sleep=never)
    corner = Grid(CRS, LEFT, TOP, 10.0, 10, 10)
    opened.read(RasterSource(server.url("scene.tif")), corner)
    server.forget()
    sources = [RasterSource(f"{server.url('scene.tif')}?sig={n}&se=2024") for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda source: opened.read(source, corner).tolist(), sources))
    assert all(one == found[0] for one in found)
    assert fetched(server, path) == 16 * cost(structure(path)[0], slice(0, 1), slice(0, 1))


# What is left to GDAL


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (tiff([Image(np.ones((20, 20), np.uint8), tags={258: (3, [4])})]), "4 bits"),
        (tiff([Image(np.ones((20, 20), np.uint8), tags={259: (3, [32773])})]), "compression"),
        (b"\x89PNG\r\n", "no TIFF"),
    ],
    ids=["bits", "compression", "format"],
)
def test_what_goes_to_gdal_is_said_once_a_source(tmp_path, caplog, content, why):
    caplog.set_level(logging.INFO, "estinel_assets.raster")
    opened = reader("blocks", sleep=never)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    source = RasterSource(str(path), CRS, (0.0, 0.0, 200.0, 200.0))
    for _ in range(3):
        opened_or_not(opened, source)
    said = [record for record in caplog.records if "GDAL" in record.getMessage()]
    assert len(said) == 1
    assert str(path) in said[0].getMessage() + repr(said[0].__dict__)
    assert why in said[0].getMessage() + repr(said[0].__dict__)


def opened_or_not(opened, source: RasterSource) -> None:
    """Read it; whether it can be is not what is asked."""
    try:
        opened.read(source, Grid(CRS, 0.0, 200.0, 10.0, 20, 20))
    except RetryableError as error:
        assert error.reason == SourceFault.CORRUPT  # noqa: PT017 - it need not be raised


def test_what_blocks_read_themselves_is_not_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "estinel_assets.raster")
    path = tmp_path / "a.tif"
    image = Image(np.ones((20, 20), np.uint8), tags=placed(TRANSFORM, 32755))
    path.write_bytes(tiff([image]))
    reader("blocks").read(RasterSource(str(path)), Grid(CRS, LEFT, TOP, 10.0, 20, 20))
    assert not caplog.records


# GDAL's own


def test_overviews_at_the_end_of_a_file_are_found_too(tmp_path):
    pixels = np.random.default_rng(5).integers(1, 60_000, (700, 700), dtype=np.uint16)
    path = write_geotiff(
        tmp_path / "a.tif", pixels, crs=CRS, transform=TRANSFORM, overviews=(2, 4, 8)
    )
    with rasterio.open(path, overview_level=1) as overview:
        coarse, coarse_transform = overview.read(1), overview.transform
    grid = Grid(CRS, 600_500.0, 5_259_000.0, 50.0, 60, 70)
    with RangeServer(tmp_path) as server:
        # One try and the server in this very process: a request under the interpreter's lock
        # could not be answered.
        for kind in ("gdal", "blocks"):
            opened = reader(kind, attempts=1, timeout_s=5.0)
            result = opened.read(RasterSource(server.url("a.tif")), grid)
            expected = reprojected(coarse, CRS, coarse_transform, grid)
            np.testing.assert_array_equal(result, expected)


def test_a_failure_that_took_all_the_time_is_a_timeout(tmp_path):
    # A body too long for the line: the server answers at once, also when asked what is wrong.
    pixels = np.random.default_rng(5).integers(1, 60_000, (300, 300), dtype=np.uint16)
    write_geotiff(tmp_path / "a.tif", pixels, crs=CRS, transform=TRANSFORM, block=128)
    moments = iter([0.0, 0.0, 31.0, 31.0])
    gdal = RasterioReader(timeout_s=30.0, tries=Tries(attempts=1, clock=lambda: next(moments)))
    with RangeServer(tmp_path) as server:
        server.misbehave("a.tif", Misbehaviour(body_stops_after=100, after=3))
        with pytest.raises(RetryableError) as caught:
            gdal.read(RasterSource(server.url("a.tif")), Grid(CRS, LEFT, TOP, 10.0, 300, 300))
    assert caught.value.reason == SourceFault.TIMEOUT
