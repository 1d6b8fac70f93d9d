"""What only the reader of blocks promises: it gives up at the first block that is damaged."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.block_reader import BlockReader
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.ranges import Answer, LocalFile, RangeFiles
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterSource
from estinel_assets.raster.tries import Tries
from tests.support.tiff_bytes import Image, placed, tiff

GRID = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 480, 480)
PLACE = placed(Affine(10, 0, GRID.left, 0, -10, GRID.top), 32755)


@dataclass
class CountedFile:
    """A local file that counts what is asked of it."""

    file: LocalFile
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, offset: int, length: int) -> Answer:
        with self.lock:
            self.asked += 1
        return self.file.read(offset, length)


class CountedFiles(RangeFiles):
    """Opens a counted file, the same each time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.opened = CountedFile(LocalFile(path))

    def open(self, href: str) -> CountedFile:  # noqa: ARG002
        return self.opened


def test_after_a_damaged_block_the_others_are_not_asked_for(tmp_path):
    # 900 blocks of noise, so far apart that each is a request.
    noise = {(row, column): b"no deflate" for row in range(30) for column in range(30)}
    image = Image(np.ones((480, 480), np.uint8), block=(16, 16), bodies=noise, tags=PLACE)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([image], padding=400))
    files = CountedFiles(path)
    opened = BlockReader(files, RasterioReader(), tries=Tries(attempts=1), requests_at_once=4)

    with pytest.raises(RetryableError) as caught:
        opened.read(RasterSource("a.tif"), GRID)

    assert caught.value.reason == SourceFault.CORRUPT
    assert files.opened.asked < 400
