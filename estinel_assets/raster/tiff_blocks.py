"""Pixels of a window from the blocks of a TIFF that it touches, and from nothing else.

Whoever calls fetches the bytes: all ranges at once, so that they can be asked for together. A block
is decoded by libdeflate and the other codecs of imagecodecs, and never into more bytes than it may
have: a few bytes that claim to be gigabytes are an error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from estinel_assets.raster.placement import PixelWindow
from estinel_assets.raster.reader import Pixels
from estinel_assets.raster.tiff import Compression, MalformedTiffError, Predictor, TiffImage

ReadRanges = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]
"""The bytes of ranges, each an offset and a length, in their order."""

_PADDING = 64
"""Bytes beyond those of its pixels that a block may have without compression."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block that a window touches."""

    row: int
    """Of blocks, from 0."""
    column: int
    offset: int
    """Of its bytes in the file."""
    length: int
    """Bytes; 0 for a block that is not there, whose pixels have no data."""


def blocks_of(image: TiffImage, window: PixelWindow) -> Iterator[Block]:
    """The blocks that a window touches, row by row.

    Args:
        image: of the file.
        window: inside the image.

    Raises:
        ValueError: the window reaches beyond the image.
    """
    bottom, right = window.row + window.height, window.column + window.width
    if window.row < 0 or window.column < 0 or bottom > image.height or right > image.width:
        raise ValueError(f"{window} reaches beyond an image of {image.shape}")
    for row in range(window.row // image.block_height, -(-bottom // image.block_height)):
        for column in range(window.column // image.block_width, -(-right // image.block_width)):
            offset = int(image.offsets[row, column])
            length = int(image.byte_counts[row, column])
            yield Block(row, column, offset, length if offset else 0)


def read_window(image: TiffImage, window: PixelWindow, read: ReadRanges) -> Pixels:
    """The pixels of a window.

    Args:
        image: of the file.
        window: inside the image.
        read: fetches bytes; called once.

    Returns:
        (window.height, window.width), in the machine's byte order; where a block is not there,
        the image's nodata value, or 0 where it has none.

    Raises:
        MalformedTiffError: a block cannot be decoded.
        ValueError: the window reaches beyond the image.
    """
    touched = list(blocks_of(image, window))
    there = [block for block in touched if block.length]
    bodies = dict(zip(there, read([(one.offset, one.length) for one in there]), strict=True))
    native = image.dtype.newbyteorder("=")
    fill = 0 if image.nodata is None or np.isnan(image.nodata) else image.nodata
    pixels = np.full((window.height, window.width), fill, dtype=native)
    for block in touched:
        body = bodies.get(block)
        if body is not None:
            _place(image, window, block, body, pixels)
    return pixels


def _place(
    image: TiffImage, window: PixelWindow, block: Block, body: bytes, pixels: Pixels
) -> None:
    """Decode a block, and copy what the window has of it."""
    top, left = block.row * image.block_height, block.column * image.block_width
    first_row = max(window.row - top, 0)
    last_row = min(window.row + window.height - top, image.block_height)
    first_column = max(window.column - left, 0)
    last_column = min(window.column + window.width - left, image.block_width)
    decoded = decode_block(image, body, rows=last_row)
    row, column = top + first_row - window.row, left + first_column - window.column
    part = decoded[first_row:last_row, first_column:last_column]
    pixels[row : row + part.shape[0], column : column + part.shape[1]] = part


def decode_block(image: TiffImage, body: bytes, *, rows: int | None = None) -> Pixels:
    """The pixels of a block.

    Args:
        image: of the file.
        body: the block's bytes.
        rows: how many are needed, from the top; None for all.

    Returns:
        (rows, image.block_width), in the machine's byte order.

    Raises:
        MalformedTiffError: it cannot be decoded, or has not as many bytes as its pixels.
    """
    wanted = image.block_height if rows is None else rows
    expected = image.block_height * image.block_width * image.dtype.itemsize
    raw = _unpacked(image.compression, body, expected)
    if len(raw) != expected:
        raise MalformedTiffError(f"a block has {len(raw)} bytes, and its pixels have {expected}")
    stored = np.frombuffer(raw, image.dtype).reshape(image.block_shape)[:wanted]
    return _undone(image.predictor, stored)


def _unpacked(compression: Compression, body: bytes, expected: int) -> bytes | bytearray:
    if compression is Compression.NONE:
        if not expected <= len(body) <= expected + _PADDING:
            raise MalformedTiffError(f"a block has {len(body)} bytes, and needs {expected}")
        return body[:expected]
    out = bytearray(expected)
    try:
        match compression:
            case Compression.DEFLATE | Compression.ADOBE_DEFLATE:
                decoded = imagecodecs.deflate_decode(body, raw=False, out=out)
            case Compression.ZSTD:
                decoded = imagecodecs.zstd_decode(body, out=out)
            case Compression.LZW:
                decoded = imagecodecs.lzw_decode(body, out=out)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise MalformedTiffError(f"a block cannot be decoded ({type(error).__name__})") from None
    return decoded


def _undone(predictor: Predictor, stored: NDArray[np.generic]) -> Pixels:
    native = stored.dtype.newbyteorder("=")
    match predictor:
        case Predictor.NONE:
            return stored.astype(native, copy=False)
        case Predictor.HORIZONTAL:
            # Whole numbers wrap around, as they did when the differences were taken.
            summed: Pixels = imagecodecs.delta_decode(stored.astype(native), axis=-1)
            return summed
        case Predictor.FLOATING_POINT:
            floats: Pixels = imagecodecs.floatpred_decode(np.ascontiguousarray(stored), axis=-1)
            return floats.astype(native, copy=False)
