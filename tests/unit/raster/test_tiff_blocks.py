"""Windows from blocks: the same pixels as rasterio's, from the blocks that are needed alone."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.windows import Window

from estinel_assets.raster.placement import PixelWindow
from estinel_assets.raster.tiff import MalformedTiffError, TiffImage, read_tiff
from estinel_assets.raster.tiff_blocks import blocks_of, decode_block, read_window

HEIGHT, WIDTH, BLOCK = 300, 420, 128
TRANSFORM = Affine(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)


def made(dtype: str = "uint16", **options: Any) -> bytes:
    """A GeoTIFF by GDAL with noise, as far as its type goes."""
    rng = np.random.default_rng(3)
    if dtype.startswith("float"):
        pixels = rng.normal(size=(1, HEIGHT, WIDTH)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        pixels = rng.integers(info.min, info.max, (1, HEIGHT, WIDTH), dtype, endpoint=True)
    chosen: dict[str, Any] = {"compress": "deflate", **options}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=HEIGHT, width=WIDTH, count=1, dtype=dtype, tiled=True,
            blockxsize=BLOCK, blockysize=BLOCK, crs="EPSG:32755",
            transform=TRANSFORM, **chosen,
        ) as file:  # fmt: skip
            file.write(pixels)
        return bytes(memory.read())


def image_of(content: bytes) -> TiffImage:
    return read_tiff(lambda offset, length: content[offset : offset + length]).images[0]


class Ranges:
    """The bytes of a file, and what of them was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.asked += ranges
        return [self.content[offset : offset + length] for offset, length in ranges]


def rasterio_reads(content: bytes, window: PixelWindow) -> Any:
    with rasterio.open(io.BytesIO(content)) as file:
        return file.read(1, window=Window(window.column, window.row, window.width, window.height))


FORMS = [
    {"compress": "none"},
    {"compress": "deflate", "predictor": 2},
    {"compress": "lzw", "predictor": 2},
    {"compress": "zstd"},
    {"compress": "deflate", "predictor": 2, "ENDIANNESS": "BIG"},
    {"compress": "deflate", "BIGTIFF": "YES"},
]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("options", FORMS, ids=lambda one: "-".join(map(str, one.values())))
def test_all_pixels_are_rasterios(dtype: str, options: dict[str, Any]) -> None:
    if dtype.startswith("float") and options.get("predictor") == 2:
        options = {**options, "predictor": 3}
    content = made(dtype, **options)
    window = PixelWindow(0, 0, WIDTH, HEIGHT)
    read = read_window(image_of(content), window, Ranges(content))
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, rasterio_reads(content, window))


CONTENT = made(predictor=2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.data())
def test_any_window_is_rasterios_from_the_blocks_that_it_touches(
    column: int, row: int, data: st.DataObject
) -> None:
    window = PixelWindow(
        column,
        row,
        data.draw(st.integers(1, WIDTH - column)),
        data.draw(st.integers(1, HEIGHT - row)),
    )
    image, ranges = image_of(CONTENT), Ranges(CONTENT)
    np.testing.assert_array_equal(
        read_window(image, window, ranges), rasterio_reads(CONTENT, window)
    )
    across = (column + window.width - 1) // BLOCK - column // BLOCK + 1
    down = (row + window.height - 1) // BLOCK - row // BLOCK + 1
    assert len(ranges.asked) == len(set(ranges.asked)) == across * down


@pytest.mark.parametrize(("nodata", "filled"), [(None, 0), (7, 7)])
def test_blocks_that_are_not_there_have_no_data(nodata: int | None, filled: int) -> None:
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=HEIGHT, width=WIDTH, count=1, dtype="uint16", tiled=True,
            blockxsize=BLOCK, blockysize=BLOCK, crs="EPSG:32755", nodata=nodata, SPARSE_OK=True,
            transform=TRANSFORM, compress="deflate",
        ) as file:  # fmt: skip
            file.write(
                np.full((1, BLOCK, BLOCK), 9, "uint16"), window=Window(BLOCK, 0, BLOCK, BLOCK)
            )
        content = bytes(memory.read())
    window, ranges = PixelWindow(0, 0, WIDTH, HEIGHT), Ranges(content)
    read = read_window(image_of(content), window, ranges)
    assert len(ranges.asked) == 1
    assert (read[0, 0], read[0, BLOCK]) == (filled, 9)
    np.testing.assert_array_equal(read, rasterio_reads(content, window))


def test_a_window_beyond_the_image_is_refused() -> None:
    image = image_of(CONTENT)
    for window in (PixelWindow(-1, 0, 2, 2), PixelWindow(0, HEIGHT - 1, 1, 2)):
        with pytest.raises(ValueError, match="reaches beyond"):
            list(blocks_of(image, window))


@pytest.mark.parametrize("compress", ["none", "deflate", "lzw", "zstd"])
def test_a_block_of_another_size_is_an_error(compress: str) -> None:
    content = made(compress=compress)
    image = image_of(content)
    block = next(blocks_of(image, PixelWindow(0, 0, 1, 1)))
    body = content[block.offset : block.offset + block.length]
    for spoilt in (body[: len(body) // 2], b"", b"\0" * 40):
        with pytest.raises(MalformedTiffError, match="a block"):
            decode_block(image, spoilt)


def test_a_bomb_is_never_more_than_its_block() -> None:
    import zlib

    bomb = zlib.compress(bytes(300_000_000), 9)
    with pytest.raises(MalformedTiffError, match="a block"):
        decode_block(image_of(CONTENT), bomb)


@settings(max_examples=150, deadline=1000)
@given(
    st.sampled_from(["deflate", "lzw", "zstd"]),
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_flipped_bytes_are_pixels_or_an_error(compress: str, places: list[tuple[int, int]]) -> None:
    content = FLIPPED[compress]
    image = image_of(content)
    block = next(blocks_of(image, PixelWindow(0, 0, 1, 1)))
    body = bytearray(content[block.offset : block.offset + block.length])
    for place, byte in places:
        body[place % len(body)] = byte
    try:
        decoded = decode_block(image, bytes(body))
    except MalformedTiffError:
        return
    assert decoded.shape == image.block_shape


FLIPPED = {name: made(compress=name, predictor=2) for name in ("deflate", "lzw", "zstd")}
