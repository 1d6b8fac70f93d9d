"""Tiled TIFFs in memory: the head is GDAL's, the blocks are made here.

GDAL writes a file that has every tag and no pixel; its blocks are put behind it, and the two tags
that tell where they are point to them. So what a reader learns of CRS, nodata, names and colours is
what GDAL would have said, while differences and compression are done at several times its speed.
The places of the blocks stand before the first of them, so that one short read tells everything.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from estinel_assets.raster.deflate import deflate
from estinel_assets.raster.reader import Pixels
from estinel_assets.raster.tiff import Predictor, Tag

_LONG: Final = 4
_LARGEST: Final = 2**32
"""Bytes of a file whose places have 32 bits."""


def deflated_blocks(bands: Pixels, size: int, predictor: Predictor) -> Iterator[bytes]:
    """Cut a raster into square blocks, each compressed, row by row.

    Args:
        bands: (bands, height, width); in the file the bands of a pixel stand side by side.
        size: pixels along a block's edge; blocks at the lower and right edge are filled up.
        predictor: none, or that of whole numbers.
    """
    _, height, width = bands.shape
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield deflate(_block(bands[:, top : top + size, left : left + size], size, predictor))


def _block(part: Pixels, size: int, predictor: Predictor) -> Pixels:
    """The numbers of a block as they are compressed: (rows, columns, bands), little-endian."""
    count, height, width = part.shape
    block = np.zeros((size, size, count), dtype=part.dtype.newbyteorder("<"))
    for band, pixels in enumerate(part):
        inside = block[:height, :width, band]
        if predictor is Predictor.HORIZONTAL:
            # Padding has the difference 0: it repeats the last pixel, and takes next to no room.
            inside[:, 0] = pixels[:, 0]
            np.subtract(pixels[:, 1:], pixels[:, :-1], out=inside[:, 1:])
        else:
            inside[...] = pixels
    return block


def filled(head: bytes, blocks: Sequence[bytes]) -> bytes:
    """Put blocks behind a file that has none.

    Args:
        head: a little-endian TIFF of one image, with tags for its blocks' places.
        blocks: all of the image's blocks, row by row.

    Raises:
        ValueError: the file would be too large, or the head has no tags for places.
    """
    head += b"\0" * (len(head) % 2)  # numbers begin at even places
    counts = [len(block) for block in blocks]
    first = len(head) + 8 * len(blocks)
    offsets = places(first, counts)
    behind = struct.pack(f"<{2 * len(blocks)}I", *offsets, *counts)
    content = bytearray(head)
    for number, (tag, values) in enumerate(
        ((Tag.TILE_OFFSETS, offsets), (Tag.TILE_BYTE_COUNTS, counts))
    ):
        # A single value stands in the tag itself.
        value = values[0] if len(values) == 1 else len(head) + number * 4 * len(blocks)
        struct.pack_into("<HHII", content, _entry(head, tag), tag, _LONG, len(blocks), value)
    return b"".join((content, behind, *blocks))


def places(first: int, counts: Sequence[int]) -> list[int]:
    """Where pieces begin that stand one after the other.

    Args:
        first: where the first one begins, in bytes from the file's beginning.
        counts: bytes of each.

    Raises:
        ValueError: they end where a TIFF's places of 32 bits do not reach.
    """
    *offsets, end = accumulate(counts, initial=first)
    if end >= _LARGEST:
        raise ValueError(
            f"a GeoTIFF of {end} bytes is too large: take a smaller window or larger pixels"
        )
    return offsets


def _entry(head: bytes, tag: Tag) -> int:
    """Where a tag's entry begins in the first directory."""
    (directory,) = struct.unpack_from("<I", head, 4)
    (count,) = struct.unpack_from("<H", head, directory)
    for start in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", head, start)[0] == tag:
            return int(start)
    raise ValueError(f"a TIFF's head of {len(head)} bytes has no tag {int(tag)}")
