"""PNG of pictures with 8 bits a channel, by the filter that suits them and a fast Deflate.

The PNG specification (third edition, W3C 2025) leaves the choice of filter to the encoder. Each row
is written as its difference to the row above (filter type 2, "Up"): one subtraction of whole
arrays, where trying all filters takes longer than all the rest.
"""

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from estinel_assets.raster.deflate import deflate

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_UP: Final = 2
_COLOUR_TYPES: Final = {3: 2, 4: 6}
"""By the number of channels: RGB, and RGB with alpha."""
_LARGEST: Final = 2**31 - 1


def pack_png(channels: NDArray[np.uint8]) -> bytes:
    """Encode a picture.

    Args:
        channels: (height, width, 3) for RGB, or (height, width, 4) with alpha.

    Returns:
        The file; the same picture gives the same bytes.

    Raises:
        ValueError: the shape is not that of a picture.
    """
    height, width, count = channels.shape
    if count not in _COLOUR_TYPES or not (0 < height <= _LARGEST and 0 < width <= _LARGEST):
        raise ValueError(f"an array of shape {channels.shape} is no picture in RGB or RGBA")
    rows = np.ascontiguousarray(channels).reshape(height, width * count)
    filtered = np.empty((height, 1 + rows.shape[1]), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[count], 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", deflate(filtered)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return b"".join(
        (
            struct.pack(">I", len(content)),
            kind,
            content,
            struct.pack(">I", zlib_ng.crc32(content, zlib_ng.crc32(kind))),
        )
    )
