"""Pixels of blocks: the same as rasterio's, whole and in part."""

import io
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.windows import Window

from estinel_assets.raster.tiff import MalformedTiffError, TiffImage, read_tiff
from estinel_assets.raster.tiff_blocks import decode_block
from tests.support.examples import examples

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


def block_of(content: bytes, row: int = 0, column: int = 0) -> bytes:
    image = image_of(content)
    start, length = int(image.offsets[row, column]), int(image.byte_counts[row, column])
    return content[start : start + length]


def rasterio_reads(content: bytes, row: int, column: int) -> Any:
    """The pixels of a block that lie in the image."""
    with rasterio.open(io.BytesIO(content)) as file:
        return file.read(1, window=Window(column * BLOCK, row * BLOCK, BLOCK, BLOCK))


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
    for row, column in np.ndindex(image_of(content).offsets.shape):
        decoded = decode_block(image_of(content), block_of(content, row, column))
        expected = rasterio_reads(content, row, column)
        assert decoded.dtype == np.dtype(dtype)
        assert decoded.shape == (BLOCK, BLOCK)
        np.testing.assert_array_equal(decoded[: expected.shape[0], : expected.shape[1]], expected)


PARTED = [made(compress=name, predictor=2) for name in ("none", "deflate", "lzw", "zstd")]
PARTED.append(made("float32", compress="deflate", predictor=3))


@examples(80)
@given(
    st.sampled_from(PARTED),
    st.integers(0, BLOCK - 1),
    st.integers(1, BLOCK),
    st.integers(1, BLOCK),
)
def test_a_part_is_that_part_of_the_whole(
    content: bytes, first: int, count: int, columns: int
) -> None:
    image, body = image_of(content), block_of(content, 1, 1)
    rows = slice(first, min(first + count, BLOCK))
    np.testing.assert_array_equal(
        decode_block(image, body, rows=rows, columns=columns),
        decode_block(image, body)[rows, :columns],
    )


def test_what_comes_after_the_last_row_is_not_looked_at() -> None:
    content = made(predictor=2)
    image, body = image_of(content), block_of(content)
    whole = decode_block(image, body)
    for cut in (body[: len(body) * 3 // 4], body[:-300] + bytes(300)):
        np.testing.assert_array_equal(decode_block(image, cut, rows=slice(0, 40)), whole[:40])
        with pytest.raises(MalformedTiffError, match="a block"):
            decode_block(image, cut)


@pytest.mark.parametrize("compress", ["none", "deflate", "lzw", "zstd"])
def test_a_block_of_another_size_is_an_error(compress: str) -> None:
    content = made(compress=compress)
    image, body = image_of(content), block_of(content)
    for spoilt in (body[: len(body) // 2], b"", b"\0" * 40):
        for rows in (slice(None), slice(0, BLOCK * 3 // 4)):
            with pytest.raises(MalformedTiffError, match="a block"):
                decode_block(image, spoilt, rows=rows)


def test_a_bomb_is_never_more_than_its_block() -> None:
    import zlib

    bomb = zlib.compress(bytes(300_000_000), 9)
    with pytest.raises(MalformedTiffError, match="a block"):
        decode_block(image_of(PARTED[1]), bomb)
    assert decode_block(image_of(PARTED[1]), bomb, rows=slice(0, 9)).shape == (9, BLOCK)


@examples(150, deadline=1000)
@given(
    st.sampled_from(["deflate", "lzw", "zstd"]),
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_flipped_bytes_are_pixels_or_an_error(compress: str, places: list[tuple[int, int]]) -> None:
    content = FLIPPED[compress]
    image = image_of(content)
    body = bytearray(block_of(content))
    for place, byte in places:
        body[place % len(body)] = byte
    for rows in (BLOCK, BLOCK // 2):
        try:
            decoded = decode_block(image, bytes(body), rows=slice(0, rows))
        except MalformedTiffError:
            continue
        assert decoded.shape == (rows, BLOCK)


FLIPPED = {name: made(compress=name, predictor=2) for name in ("deflate", "lzw", "zstd")}
