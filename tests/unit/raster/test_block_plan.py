"""Which blocks are fetched."""

import numpy as np
import pytest

from estinel_assets.raster.block_plan import plan_blocks
from estinel_assets.raster.placement import PixelWindow
from estinel_assets.raster.tiff import Compression, MalformedTiffError, Predictor, TiffImage


def image(offsets: np.ndarray, *, block: int, length: int) -> TiffImage:
    """An image of square blocks of bytes, each packed into as many bytes."""
    down, across = offsets.shape
    return TiffImage(
        width=across * block,
        height=down * block,
        block_width=block,
        block_height=block,
        offsets=offsets.astype(np.uint64),
        byte_counts=np.full(offsets.shape, length, np.uint64),
        dtype=np.dtype("u1"),
        compression=Compression.DEFLATE,
        predictor=Predictor.NONE,
        nodata=None,
    )


def test_blocks_may_share_their_bytes():
    shared = image(np.full((4, 4), 1_000), block=256, length=60_000)

    plan = plan_blocks(shared, [PixelWindow(0, 0, 1_024, 1_024)], file_size=61_000)

    (run,) = plan.runs
    assert (run.offset, run.length) == (1_000, 60_000)
    assert len(plan.needs[1_000, 60_000]) == 16


def test_blocks_that_lie_over_one_another_are_no_blocks():
    # Each is too large to be fetched with another one: a small file must not be a large read.
    length = 20_000_000
    crowded = image(1_000 + np.arange(16).reshape(4, 4), block=4_096, length=length)

    with pytest.raises(MalformedTiffError, match="lie over one another"):
        plan_blocks(crowded, [PixelWindow(0, 0, 16_384, 16_384)], file_size=length + 2_000)
