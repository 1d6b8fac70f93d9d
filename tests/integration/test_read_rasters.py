"""Real scenes read over HTTP ranges and S3, and everything that a server can do wrong."""

import json
import logging
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import numpy as np
import pytest
import rasterio
from affine import Affine
from moto.server import ThreadedMotoServer

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_rgb
from estinel_assets.raster.placement import affine_of_bounds
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterSource
from tests.support.http import Misbehaviour, RangeServer
from tests.support.rasters import reprojected, write_geotiff
from tests.support.real import real_data

GRID = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 300, 300)
SECRET = "sig=SECRET"


class Waits:
    """Counts waits and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def _item_source(item_path: Path, asset_key: str, href: str) -> RasterSource:
    """A source as its STAC item describes it: CRS, and the extent of the full-size product."""
    item = json.loads(item_path.read_text(encoding="utf-8"))
    asset = item["assets"][asset_key]
    size, _, left, _, negative, top = asset["proj:transform"][:6]
    height, width = asset["proj:shape"]
    bounds = (left, top + negative * height, left + size * width, top)
    return RasterSource(href, f"EPSG:{item['properties']['proj:epsg']}", bounds)


@pytest.fixture
def scene(tmp_path) -> Iterator[tuple[RangeServer, np.ndarray]]:
    """A made scene of 16 blocks on a server, as `scene.tif`."""
    pixels = np.random.default_rng(5).integers(1, 60_000, (300, 300), dtype=np.uint16)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    write_geotiff(tmp_path / "scene.tif", pixels, crs="EPSG:32755", transform=transform, block=128)
    with RangeServer(tmp_path) as server:
        yield server, pixels


def _signed(server: RangeServer) -> RasterSource:
    return RasterSource(f"{server.url('scene.tif')}?{SECRET}")


# Real scenes


@pytest.mark.parametrize(("asset", "file"), [("red", "B04.tif"), ("scl", "SCL.tif")])
@pytest.mark.parametrize("grid_crs", ["EPSG:32629", "EPSG:32628"])
def test_a_real_cog_is_placed_by_its_item(asset, file, grid_crs):
    folder = real_data("imagery/riotilerpds_29RKH")
    with rasterio.open(folder / file) as dataset:
        pixels, crs, own = dataset.read(1), dataset.crs.to_string(), dataset.transform
    (x,), (y,) = rasterio.warp.transform(crs, grid_crs, [280_000], [2_795_000])
    grid = Grid(grid_crs, round(x, -1), round(y, -1), 50.0, 400, 300)
    with RangeServer(folder) as server:
        source = _item_source(folder / "S2A_29RKH_20200219_0_L2A.json", asset, server.url(file))
        result = RasterioReader().read(source, grid)
    np.testing.assert_array_equal(result, reprojected(pixels, crs, own, grid))
    assert result.dtype == pixels.dtype
    assert len(np.unique(result)) > 2


def test_a_coarse_grid_takes_an_overview_and_fewer_bytes():
    folder = real_data("imagery/riotilerpds_29RKH")
    item = folder / "S2A_29RKH_20200219_0_L2A.json"
    with rasterio.open(folder / "B04.tif", overview_level=1) as overview:
        pixels, transform = overview.read(1), overview.transform
    coarse = Grid("EPSG:32629", 200_000.0, 2_800_000.0, 400.0, 250, 250)
    fine = Grid("EPSG:32629", 200_000.0, 2_800_000.0, 100.0, 1000, 1000)
    with RangeServer(folder) as server:
        source = _item_source(item, "red", server.url("B04.tif"))
        result = RasterioReader().read(source, coarse)
        coarse_bytes = server.bytes_sent
        server.forget()
        RasterioReader().read(source, fine)
        assert coarse_bytes < server.bytes_sent / 4
    bounds = source.bounds
    assert bounds is not None
    placed = affine_of_bounds(bounds, pixels.shape)
    np.testing.assert_array_equal(result, reprojected(pixels, "EPSG:32629", placed, coarse))
    np.testing.assert_allclose(tuple(placed)[:6], tuple(transform)[:6])


def test_overviews_at_the_end_of_a_file_are_found_too(tmp_path):
    pixels = np.random.default_rng(5).integers(1, 60_000, (700, 700), dtype=np.uint16)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = write_geotiff(
        tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform, overviews=(2, 4, 8)
    )
    with rasterio.open(path, overview_level=1) as overview:
        coarse, coarse_transform = overview.read(1), overview.transform
    grid = Grid("EPSG:32755", 600_500.0, 5_259_000.0, 50.0, 60, 70)
    with RangeServer(tmp_path) as server:
        # One try and the server in this very process: a request under the interpreter's lock
        # could not be answered.
        reader = RasterioReader(attempts=1, timeout_s=5.0)
        result = reader.read(RasterSource(server.url("a.tif")), grid)
    expected = reprojected(coarse, "EPSG:32755", coarse_transform, grid)
    np.testing.assert_array_equal(result, expected)


def test_two_real_neighbours_make_one_day_like_rasterios_own_mosaic():
    folder = real_data("imagery/earthsearch_33T_20230818")
    names = ["S2A_33TWL_20230818_0_L2A", "S2A_33TWM_20230818_0_L2A"]
    # Across their border near 5,100,000 m north; the files are JPEG 2000 without georeference.
    for grid in (
        Grid("EPSG:32633", 540_000.0, 5_106_000.0, 10.0, 900, 900),
        Grid("EPSG:32632", 1_005_000.0, 5_112_000.0, 30.0, 500, 400),
    ):
        scenes, expected = [], np.zeros((3, *grid.shape), np.uint16)
        with RangeServer(folder) as server:
            for name in names:
                bands, oracle = [], []
                for asset, file in (("red", "B04"), ("green", "B03"), ("blue", "B02")):
                    href = server.url(f"{name}/{file}.tif")
                    source = _item_source(folder / name / f"{name}.json", asset, href)
                    bands.append(RasterioReader().read(source, grid))
                    with rasterio.open(folder / name / f"{file}.tif") as dataset:
                        whole = dataset.read(1), dataset.crs.to_string(), dataset.transform
                    oracle.append(reprojected(*whole, grid))
                scenes.append(np.stack(bands))
                free = (expected == 0).any(axis=0) & (np.stack(oracle) != 0).all(axis=0)
                expected[:, free] = np.stack(oracle)[:, free]
        assert all((scene != 0).any() for scene in scenes)
        np.testing.assert_array_equal(mosaic_rgb(scenes), expected)


def test_a_truncated_jpeg_2000_is_corrupt_and_not_noise():
    folder = real_data("imagery/earthsearch_33T_20230818/S2A_33TWL_20230818_0_L2A")
    grid = Grid("EPSG:32633", 500_000.0, 5_100_000.0, 120.0, 900, 900)
    with RangeServer(folder) as server:
        item = folder / "S2A_33TWL_20230818_0_L2A.json"
        source = _item_source(item, "red", server.url("B04.tif"))
        server.misbehave("B04.tif", Misbehaviour(file_ends_at=700_000))
        with pytest.raises(RetryableError, match=r"B04\.tif: .*truncated") as caught:
            RasterioReader(sleep=Waits()).read(source, grid)
    assert caught.value.reason == SourceFault.CORRUPT


# What a server can do wrong


def test_nothing_is_asked_for_that_is_not_there(scene):
    server, pixels = scene
    result = RasterioReader().read(_signed(server), GRID)
    np.testing.assert_array_equal(result, pixels)
    assert {request.path for request in server.requests} == {"scene.tif"}
    assert {request.query for request in server.requests} == {SECRET}
    assert server.count() <= 5


FAULTS = {
    "404": (Misbehaviour(status=404), SourceFault.NOT_FOUND, 1),
    "410": (Misbehaviour(status=410), SourceFault.NOT_FOUND, 1),
    "401": (Misbehaviour(status=401), SourceFault.FORBIDDEN, 1),
    "403": (Misbehaviour(status=403), SourceFault.FORBIDDEN, 1),
    "429": (Misbehaviour(status=429), SourceFault.UNAVAILABLE, 3),
    "500": (Misbehaviour(status=500), SourceFault.UNAVAILABLE, 3),
    "503": (Misbehaviour(status=503), SourceFault.UNAVAILABLE, 3),
    "reset": (Misbehaviour(reset=True), SourceFault.UNAVAILABLE, 3),
    "slow": (Misbehaviour(delay_s=20), SourceFault.TIMEOUT, 3),
    "empty": (Misbehaviour(file_ends_at=0), SourceFault.CORRUPT, 2),
    "no header": (Misbehaviour(file_ends_at=100), SourceFault.CORRUPT, 2),
    "truncated": (Misbehaviour(file_ends_at=90_000), SourceFault.CORRUPT, 2),
    # From the first byte range on, or from the second: opening the file goes well.
    "403 at the header": (Misbehaviour(status=403, after=2), SourceFault.FORBIDDEN, 1),
    "404 in the middle": (Misbehaviour(status=404, after=3), SourceFault.NOT_FOUND, 1),
    "403 in the middle": (Misbehaviour(status=403, after=3), SourceFault.FORBIDDEN, 1),
    "503 in the middle": (Misbehaviour(status=503, after=3), SourceFault.UNAVAILABLE, 3),
    "reset in the middle": (Misbehaviour(reset=True, after=3), SourceFault.UNAVAILABLE, 3),
    "slow in the middle": (Misbehaviour(delay_s=20, after=3), SourceFault.TIMEOUT, 3),
}


@pytest.mark.parametrize("case", FAULTS)
def test_every_fault_has_its_name_and_its_tries_and_tells_no_secret(scene, case, caplog):
    misbehaviour, fault, tries = FAULTS[case]
    server, _ = scene
    server.misbehave("scene.tif", misbehaviour)
    caplog.set_level(logging.DEBUG)
    waits = Waits()
    # Only what is meant to be slow may meet a short limit, however busy the machine is.
    timeout_s = 0.3 if fault is SourceFault.TIMEOUT else 20.0
    reader = RasterioReader(timeout_s=timeout_s, attempts=3, sleep=waits)
    with pytest.raises((RetryableError, PermanentError)) as caught:
        reader.read(_signed(server), GRID)
    error = caught.value
    assert error.reason == fault
    assert isinstance(error, PermanentError) == (fault is SourceFault.NOT_FOUND)
    assert len(waits.seconds) == tries - 1
    assert str(error).startswith(f"{server.url('scene.tif')}: ")
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    assert "SECRET" not in shown


@pytest.mark.parametrize(
    "misbehaviour",
    [
        Misbehaviour(status=503, times=2),
        Misbehaviour(status=503, after=3, times=2),
        Misbehaviour(reset=True, times=2),
        Misbehaviour(reset=True, after=3, times=2),
        Misbehaviour(delay_s=20, times=2),
        Misbehaviour(body_stops_after=100, after=2, times=1),
        Misbehaviour(body_stops_after=100, after=3, times=1),
        Misbehaviour(file_ends_at=90_000, times=4),
    ],
    ids=str,
)
def test_a_passing_fault_leaves_no_trace_in_the_pixels(scene, misbehaviour):
    server, pixels = scene
    server.misbehave("scene.tif", misbehaviour)
    timeout_s = 1.0 if misbehaviour.delay_s else 20.0
    reader = RasterioReader(timeout_s=timeout_s, attempts=6, sleep=Waits())
    np.testing.assert_array_equal(reader.read(_signed(server), GRID), pixels)


def test_a_refusal_is_forgotten_when_the_source_is_well_again(scene):
    server, pixels = scene
    reader = RasterioReader(attempts=1)
    for status in (404, 403, 503):
        server.misbehave("scene.tif", Misbehaviour(status=status))
        with pytest.raises((RetryableError, PermanentError)):
            reader.read(_signed(server), GRID)
        server.behave("scene.tif")
        np.testing.assert_array_equal(reader.read(_signed(server), GRID), pixels)


def test_a_replaced_file_is_read_anew(scene, tmp_path):
    server, pixels = scene
    reader = RasterioReader()
    np.testing.assert_array_equal(reader.read(_signed(server), GRID), pixels)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    write_geotiff(tmp_path / "scene.tif", pixels[::-1], crs="EPSG:32755", transform=transform)
    np.testing.assert_array_equal(reader.read(_signed(server), GRID), pixels[::-1])


def test_waits_double_up_to_a_bound_and_end_at_the_deadline(scene):
    server, _ = scene
    server.misbehave("scene.tif", Misbehaviour(status=503))
    options = {"attempts": 6, "backoff_s": 1.0, "backoff_max_s": 5.0, "jitter": lambda: 0.5}
    waits = Waits()
    with pytest.raises(RetryableError):
        RasterioReader(sleep=waits, **options).read(_signed(server), GRID)
    assert waits.seconds == [0.5, 1.0, 2.0, 2.5, 2.5]

    waits = Waits()
    with pytest.raises(RetryableError):
        RasterioReader(
            sleep=waits, clock=lambda: sum(waits.seconds), deadline_s=4.0, **options
        ).read(_signed(server), GRID)
    assert waits.seconds == [0.5, 1.0, 2.0]


def test_a_failure_that_took_all_the_time_is_a_timeout(scene):
    # A body too long for the line: the server answers at once, also when asked what is wrong.
    server, _ = scene
    server.misbehave("scene.tif", Misbehaviour(body_stops_after=100, after=3))
    moments = iter([0.0, 0.0, 31.0, 31.0])
    reader = RasterioReader(timeout_s=30.0, attempts=1, clock=lambda: next(moments))
    with pytest.raises(RetryableError) as caught:
        reader.read(_signed(server), GRID)
    assert caught.value.reason == SourceFault.TIMEOUT


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.tif", "http://no-such-host.invalid/a.tif"])
def test_a_server_that_is_not_there_is_unavailable(url):
    with pytest.raises(RetryableError, match="cannot be reached") as caught:
        RasterioReader(attempts=1).read(RasterSource(f"{url}?{SECRET}"), GRID)
    assert caught.value.reason == SourceFault.UNAVAILABLE
    assert "SECRET" not in str(caught.value)


def test_good_and_bad_files_do_not_disturb_one_another_among_threads(tmp_path):
    generator = np.random.default_rng(5)
    expected: dict[str, object] = {}
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    for index in range(8):
        pixels = generator.integers(1, 60_000, (300, 300), dtype=np.uint16)
        path = tmp_path / f"{index}.tif"
        write_geotiff(path, pixels, crs="EPSG:32755", transform=transform, block=128)
        expected[path.name] = pixels.tolist()
    wrong = {"1.tif": 403, "3.tif": 404, "5.tif": 503}
    expected["1.tif"] = SourceFault.FORBIDDEN
    expected["3.tif"] = SourceFault.NOT_FOUND
    expected["5.tif"] = SourceFault.UNAVAILABLE
    reader = RasterioReader(attempts=2, sleep=Waits())
    start = threading.Barrier(8)

    def run(name: str) -> object:
        start.wait()
        try:
            return reader.read(RasterSource(server.url(name)), GRID).tolist()
        except (RetryableError, PermanentError) as error:
            return error.reason

    with RangeServer(tmp_path) as server, ThreadPoolExecutor(8) as pool:
        for name, status in wrong.items():
            server.misbehave(name, Misbehaviour(status=status, after=2 if status == 503 else 0))
        names = sorted(expected) * 4
        assert list(pool.map(run, names)) == [expected[name] for name in names]


# S3


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, boto3.Session]]:
    """The address of an S3 server, and a session whose credentials it takes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.Session(
        aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-west-2"
    )
    yield f"{host}:{port}", session
    server.stop()


def test_s3_is_read_with_the_credentials_of_a_session(s3, tmp_path):
    address, session = s3
    pixels = np.random.default_rng(5).integers(1, 60_000, (300, 300), dtype=np.uint16)
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    path = write_geotiff(tmp_path / "a.tif", pixels, crs="EPSG:32755", transform=transform)
    client = session.client("s3", endpoint_url=f"http://{address}")
    location = {"LocationConstraint": "us-west-2"}
    client.create_bucket(Bucket="scenes", CreateBucketConfiguration=location)
    client.upload_file(str(path), "scenes", "2024/a.tif")
    client.put_object(Bucket="scenes", Key="half.tif", Body=path.read_bytes()[:90_000])
    client.close()
    reader = RasterioReader(
        attempts=2,
        sleep=Waits(),
        aws_session=session,
        gdal_options={
            "AWS_S3_ENDPOINT": address,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        },
    )
    result = reader.read(RasterSource("s3://scenes/2024/a.tif"), GRID)
    np.testing.assert_array_equal(result, pixels)
    for href, fault in (
        ("s3://scenes/absent.tif", SourceFault.NOT_FOUND),
        ("s3://no-such-bucket/a.tif", SourceFault.NOT_FOUND),
        ("s3://scenes/half.tif", SourceFault.CORRUPT),
    ):
        with pytest.raises((RetryableError, PermanentError), match=href) as caught:
            reader.read(RasterSource(href), GRID)
        assert caught.value.reason == fault
