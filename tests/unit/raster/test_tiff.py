"""The structure of TIFFs: as rasterio sees it, and never more than a file may sensibly have."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from estinel_assets.raster.tiff import (
    Compression,
    MalformedTiffError,
    Predictor,
    Tiff,
    UnsupportedTiffError,
    read_tiff,
)
from tests.support import tiff_bytes as tb
from tests.support.examples import examples

TRANSFORM = Affine(10.0, 0.0, 499980.0, 0.0, -10.0, 5300040.0)


def made(
    *, size: tuple[int, int] = (300, 700), dtype: str = "uint16", count: int = 1, **options: Any
) -> bytes:
    """A GeoTIFF by GDAL."""
    height, width = size
    chosen: dict[str, Any] = {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
        "compress": "deflate",
        "crs": "EPSG:32755",
        "transform": TRANSFORM,
        **options,
    }
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (count, height, width)).astype(dtype)
    with MemoryFile() as memory:
        with memory.open(height=height, width=width, count=count, dtype=dtype, **chosen) as file:
            file.write(pixels)
        return bytes(memory.read())


def parsed(content: bytes) -> Tiff:
    """Read from bytes, as a range of them."""

    def read(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    return read_tiff(read)


def first_block(content: bytes) -> np.ndarray[Any, Any]:
    """The pixels of the upper left block, which shows that offset and size are right."""
    image = parsed(content).images[0]
    start, size = int(image.offsets[0, 0]), int(image.byte_counts[0, 0])
    raw = content[start : start + size]
    if image.compression in (Compression.ADOBE_DEFLATE, Compression.DEFLATE):
        raw = bytes(imagecodecs.deflate_decode(raw, raw=False))
    pixels = np.frombuffer(raw, image.dtype).reshape(image.block_shape)
    if image.predictor is Predictor.HORIZONTAL:
        pixels = np.cumsum(pixels, axis=1, dtype=image.dtype.newbyteorder("="))
    return pixels


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}], ids=repr)
def test_what_rasterio_says_of_a_file(dtype: str, options: dict[str, str]) -> None:
    content = made(dtype=dtype, nodata=7, **options)
    found = parsed(content)
    (image,) = found.images
    with rasterio.open(io.BytesIO(content)) as file:
        assert image.shape == file.shape
        assert image.block_shape == file.block_shapes[0]
        assert image.dtype.newbyteorder("=") == np.dtype(file.dtypes[0])
        assert image.nodata == file.nodata
        assert found.transform == file.transform
        assert found.crs == file.crs.to_string()
        assert image.offsets.shape == image.byte_counts.shape == (3, 6)
        np.testing.assert_array_equal(first_block(content), file.read(1)[:128, :128])


@pytest.mark.parametrize(
    ("options", "compression", "predictor"),
    [
        ({"compress": "none"}, Compression.NONE, Predictor.NONE),
        ({"compress": "lzw"}, Compression.LZW, Predictor.NONE),
        ({"compress": "zstd"}, Compression.ZSTD, Predictor.NONE),
        ({"predictor": 2}, Compression.ADOBE_DEFLATE, Predictor.HORIZONTAL),
        (
            {"predictor": 3, "dtype": "float32"},
            Compression.ADOBE_DEFLATE,
            Predictor.FLOATING_POINT,
        ),
    ],
)
def test_how_blocks_are_packed(
    options: dict[str, Any], compression: Compression, predictor: Predictor
) -> None:
    (image,) = parsed(made(**options)).images
    assert (image.compression, image.predictor) == (compression, predictor)


def test_a_predictor_of_differences_gives_the_pixels() -> None:
    content = made(predictor=2)
    with rasterio.open(io.BytesIO(content)) as file:
        np.testing.assert_array_equal(first_block(content), file.read(1)[:128, :128])


def test_overviews_come_from_fine_to_coarse(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(made(size=(1000, 1100), nodata=0))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([4, 2, 8])
    images = parsed(path.read_bytes()).images
    assert [one.shape for one in images] == [(1000, 1100), (500, 550), (250, 275), (125, 138)]
    assert {one.nodata for one in images} == {0}


def test_a_cog_is_known_from_its_first_bytes() -> None:
    content = made(
        driver="COG", size=(3000, 3000), BLOCKSIZE=512, blockxsize=None, blockysize=None, tiled=None
    )
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return content[offset : offset + length]

    found = read_tiff(read)
    assert [one.shape for one in found.images] == [
        (3000, 3000),
        (1500, 1500),
        (750, 750),
        (375, 375),
    ]
    assert max(offset + length for offset, length in asked) < 8192


def test_a_file_of_points_is_shifted_by_half_a_pixel_as_by_gdal() -> None:
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=64, width=64, count=1, dtype="uint8", tiled=True,
            blockxsize=64, blockysize=64, crs="EPSG:32755", transform=TRANSFORM,
        ) as file:  # fmt: skip
            file.update_tags(AREA_OR_POINT="Point")
        content = bytes(memory.read())
    with rasterio.open(io.BytesIO(content)) as file:
        assert parsed(content).transform == file.transform


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_without_georeference_it_says_nothing() -> None:
    found = parsed(made(crs=None, transform=None))
    assert (found.transform, found.crs) == (None, None)


def test_a_geographic_crs_is_known_too() -> None:
    assert parsed(made(crs="EPSG:4326")).crs == "EPSG:4326"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"tiled": False, "blockysize": 1, "blockxsize": None}, "strips"),
        ({"count": 3}, "more than one band"),
        ({"compress": "jpeg", "dtype": "uint8"}, "compression"),
        ({"compress": "lerc"}, "compression"),
        ({"predictor": 2, "dtype": "float32", "compress": "lzw"}, "predictor"),
    ],
)
def test_kinds_that_others_read_are_named(options: dict[str, Any], kind: str) -> None:
    with pytest.raises(UnsupportedTiffError, match=kind):
        parsed(made(**options))


def test_a_mask_inside_is_for_others() -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=64, width=64, count=1, dtype="uint8", tiled=True,
            blockxsize=64, blockysize=64, transform=TRANSFORM, crs="EPSG:32755",
        ) as file:  # fmt: skip
            file.write(np.ones((1, 64, 64), np.uint8))
            file.write_mask(np.eye(64, dtype=bool))
        content = bytes(memory.read())
    with pytest.raises(UnsupportedTiffError, match="mask"):
        parsed(content)


def _with_tag(
    content: bytes, tag: int, change: Callable[[int, int, int], tuple[int, int, int]]
) -> bytes:
    """A little-endian classic TIFF with another type, count and value of a tag."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    changed = bytearray(content)
    for number in range(count):
        place = start + 2 + 12 * number
        found, kind, length, value = struct.unpack_from("<HHII", content, place)
        if found == tag:
            struct.pack_into("<HHII", changed, place, found, *change(kind, length, value))
            return bytes(changed)
    raise AssertionError(f"there is no tag {tag}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ends before"),
        (b"PNG and so on, for sixteen bytes", "does not begin like a TIFF"),
        (b"II\x2a\x00\xff\xff\xff\xff" + b"\0" * 20, "ends before"),
        (b"II\x2a\x00\x08\x00\x00\x00\x00\x00" + b"\0" * 20, "0 entries"),
        (b"II\x2a\x00\x00\x00\x00\x00" + b"\0" * 20, "no image"),
        (b"II\x2a\x00\x08\x00\x00\x00\x01\x00" + b"\0" * 12 + b"\x08\0\0\0" + b"\0" * 9, "circle"),
    ],
)
def test_what_is_no_tiff(content: bytes, problem: str) -> None:
    with pytest.raises(MalformedTiffError, match=problem):
        parsed(content)


@pytest.mark.parametrize(
    ("tag", "value", "problem"),
    [
        (256, 0, "pixels large"),
        (256, 2**31, "pixels large"),
        (322, 0, "blocks are"),
        (322, 2_000_000, "too large"),
        (257, 2_000_000_000, "blocks"),
        (324, 2**31, "ends before"),
    ],
)
def test_numbers_that_no_file_has(tag: int, value: int, problem: str) -> None:
    spoilt = _with_tag(
        made(), tag, lambda kind, length, _: (4 if length == 1 else kind, length, value)
    )
    with pytest.raises(MalformedTiffError, match=problem):
        parsed(spoilt)


def test_a_tag_that_claims_to_be_endless_is_not_read() -> None:
    spoilt = _with_tag(made(), 324, lambda kind, _, value: (kind, 2**31, value))
    with pytest.raises(MalformedTiffError, match="has 2147483648 values"):
        parsed(spoilt)


def test_copies_share_the_number_of_blocks_that_a_file_may_have() -> None:
    # Fifty copies whose places are the same bytes: what is read of them would be 50 times as much.
    side = 1_400
    own = {
        tb.WIDTH: (tb.LONG, [side * 16]),
        tb.HEIGHT: (tb.LONG, [side * 16]),
        tb.TILE_WIDTH: (tb.SHORT, [16]),
        tb.TILE_HEIGHT: (tb.SHORT, [16]),
    }
    images = [tb.Image(np.ones((1, 1), np.uint8), kind=min(n, 1), tags=own) for n in range(50)]
    content = tb.tiff(images)
    places = len(content)
    for tag in (tb.TILE_OFFSETS, tb.TILE_BYTE_COUNTS):
        claimed = struct.pack("<HHII", tag, tb.LONG, side * side, places)
        content = re.sub(
            struct.pack("<HHI", tag, tb.LONG, 1) + b".{4}", claimed, content, flags=re.S
        )
    content += bytes(4 * side * side)

    with pytest.raises(MalformedTiffError, match="it has over 4000000 blocks"):
        parsed(content)


SOUND = made(size=(260, 260), nodata=0)
BIG = made(size=(260, 260), nodata=0, BIGTIFF="YES", predictor=2)


@examples(400, deadline=1000)
@given(
    sound=st.sampled_from([SOUND, BIG]),
    places=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=12),
    cut=st.none() | st.integers(0, 700),
)
def test_whatever_its_head_says_there_is_a_structure_or_an_error(
    sound: bytes, places: list[tuple[int, int]], cut: int | None
) -> None:
    spoilt = bytearray(sound)
    for place, byte in places:
        spoilt[place] = byte
    try:
        found = parsed(bytes(spoilt)[:cut])
    except (MalformedTiffError, UnsupportedTiffError):
        return
    for image in found.images:
        assert image.offsets.shape == image.byte_counts.shape
        assert image.offsets.size * image.block_width * image.block_height >= (
            image.width * image.height
        )


HEADS = [
    b"II\x2a\0\x08\0\0\0",
    b"MM\0\x2a\0\0\0\x08",
    b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
]


@examples(200, deadline=1000)
@given(st.binary(max_size=400), st.sampled_from(HEADS))
def test_noise_behind_a_head_is_an_error(noise: bytes, head: bytes) -> None:
    with pytest.raises((MalformedTiffError, UnsupportedTiffError)):
        parsed(head + noise)
