"""Memory of reads: a year of a tile, and many days at once, stay within bounds."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from tests.support.raster_server import RasterServer
from tests.support.rasters import write_geotiff
from tests.support.real import ROOT

pytestmark = pytest.mark.soak

DATES = 73
MOST_MIB = 1536
READ = """
import sys
from concurrent.futures import ThreadPoolExecutor
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterSource
from estinel_assets.raster.reader_opening import open_reader
from estinel_assets.settings import RasterSettings, TransportSettings

hrefs, size, workers = sys.argv[1].split(), int(sys.argv[2]), int(sys.argv[3])
reader = open_reader(RasterSettings(), TransportSettings())
grid = Grid("EPSG:32755", 600_000 + 7_005, 5_260_000 - 7_005, 10.0, size, size)
with ThreadPoolExecutor(workers) as pool:
    kept = list(pool.map(lambda href: reader.read(RasterSource(href), grid), hrefs))
assert all(pixels.all() for pixels in kept)
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A file of four blocks of 1,024 pixels under many names: every read takes all four."""
    folder = tmp_path_factory.mktemp("scenes")
    random = np.random.default_rng(1)
    pixels = (np.cumsum(random.normal(0, 30, (2048, 2048)), axis=1) + 9_000).clip(1, 60_000)
    file = write_geotiff(
        folder / "0.tif",
        pixels.astype(np.uint16),
        crs="EPSG:32755",
        transform=Affine(10, 0, 600_000, 0, -10, 5_260_000),
        block=1024,
    )
    for number in range(1, 10 * DATES):
        os.link(file, folder / f"{number}.tif")
    with RasterServer(folder) as server:
        yield server


def peak_mib(scenes: RasterServer, files: int, size: int, workers: int) -> int:
    """Peak of a process that reads these and keeps what it has read."""
    hrefs = " ".join(scenes.url(f"{number}.tif") for number in range(files))
    done = subprocess.run(
        [sys.executable, "-c", READ, hrefs, str(size), str(workers)],
        capture_output=True,
        text=True,
        cwd=Path(ROOT),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_year_of_a_tile_in_ten_bands(scenes):
    peak = peak_mib(scenes, 10 * DATES, 618, 32)
    print(f"a year of a tile: {peak} MiB")
    assert peak < MOST_MIB


def test_twenty_site_days_at_once(scenes):
    peak = peak_mib(scenes, 80, 600, 80)
    print(f"twenty site-days: {peak} MiB")
    assert peak < MOST_MIB
