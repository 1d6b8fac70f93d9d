"""Pixels from the bytes of a TIFF's blocks.

A block is never decoded into more bytes than it may have: a few bytes that claim to be gigabytes
are an error. Nor is it decoded further than the last row that is needed, where that saves time. The
checksum of deflate stands behind the last row, so it is verified only where all rows are needed;
what is cut off or cannot be decoded is found in either case.
"""

from typing import Final, cast

import imagecodecs
import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

from estinel_assets.raster.reader import Pixels
from estinel_assets.raster.tiff import Compression, MalformedTiffError, Predictor, TiffImage

_PADDING: Final = 64
"""Bytes beyond those of its pixels that a block may have without compression."""
_WORTH_STOPPING: Final = 0.9
"""Share of the rows up to which stopping early, by ISA-L, is faster than libdeflate on all."""


def decode_block(
    image: TiffImage,
    body: bytes | memoryview,
    *,
    rows: slice | None = None,
    columns: int | None = None,
) -> Pixels:
    """The pixels of a block.

    Args:
        image: of the file.
        body: the block's bytes.
        rows: which are needed; None for all.
        columns: how many are needed, from the left; None for all.

    Returns:
        (rows, columns), in the machine's byte order.

    Raises:
        MalformedTiffError: it cannot be decoded, or has not as many bytes as its pixels.
    """
    first, last, _ = (rows or slice(None)).indices(image.block_height)
    row_bytes = image.block_width * image.dtype.itemsize
    raw = _unpacked(image, body, image.block_height * row_bytes, last * row_bytes)
    stored = np.frombuffer(raw, image.dtype, count=last * image.block_width)
    # Differences run from the left, so that columns can be left out on the right alone; the bytes
    # of floating-point numbers are spread over the whole row.
    whole_rows = image.predictor is Predictor.FLOATING_POINT
    needed = stored.reshape(last, image.block_width)[first:last, : None if whole_rows else columns]
    return _undone(image.predictor, needed)[:, :columns]


def _unpacked(
    image: TiffImage, body: bytes | memoryview, expected: int, needed: int
) -> bytes | bytearray | memoryview:
    """The decoded bytes, all that are expected or the first that are needed."""
    if image.compression is Compression.NONE:
        if not expected <= len(body) <= expected + _PADDING:
            raise MalformedTiffError(f"a block has {len(body)} bytes, and needs {expected}")
        return body
    deflated = image.compression in (Compression.DEFLATE, Compression.ADOBE_DEFLATE)
    try:
        if deflated and needed <= _WORTH_STOPPING * expected:
            raw: bytes | bytearray | memoryview = isal_zlib.decompressobj().decompress(body, needed)
            expected = needed
        else:
            raw = _whole(image.compression, body, expected)
    except (IsalError, RuntimeError, ValueError, MemoryError) as error:  # type: ignore[misc]
        raise MalformedTiffError(f"a block cannot be decoded ({type(error).__name__})") from None
    if len(raw) != expected:
        raise MalformedTiffError(f"a block has {len(raw)} bytes where {expected} are needed")
    return raw


def _whole(compression: Compression, body: bytes | memoryview, expected: int) -> bytes | bytearray:
    out = bytearray(expected)
    packed = cast(bytes, body)  # any buffer does; the stubs know fewer
    match compression:
        case Compression.ZSTD:
            decoded: bytes | bytearray = imagecodecs.zstd_decode(packed, out=out)
        case Compression.LZW:
            decoded = imagecodecs.lzw_decode(packed, out=out)
        case _:
            decoded = imagecodecs.deflate_decode(packed, raw=False, out=out)
    return decoded


def _undone(predictor: Predictor, stored: NDArray[np.generic]) -> Pixels:
    native = stored.dtype.newbyteorder("=")
    match predictor:
        case Predictor.NONE:
            return stored.astype(native, copy=False)
        case Predictor.HORIZONTAL:
            # Whole numbers wrap around, as they did when the differences were taken.
            summed: Pixels = imagecodecs.delta_decode(stored.astype(native, copy=False), axis=-1)
            return summed
        case Predictor.FLOATING_POINT:
            floats: Pixels = imagecodecs.floatpred_decode(np.ascontiguousarray(stored), axis=-1)
            return floats.astype(native, copy=False)
