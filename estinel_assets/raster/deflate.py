"""Deflate, as GeoTIFFs and PNGs need it.

In differences of neighbouring pixels nothing repeats but runs of one value (nodata, saturation,
classes), and the rest of what Deflate wins comes from its Huffman codes. So only runs are looked
for, which zlib-ng does twice as fast as libdeflate's lowest level, and real scenes take no more
room for it.
"""

from typing import Any, Final

from numpy.typing import NDArray
from zlib_ng import zlib_ng

_LEVEL: Final = 1
"""Says how matches are sought; of no effect on runs."""
_MOST_MEMORY: Final = 9
"""The largest blocks, each with Huffman codes of its own."""


def deflate(numbers: NDArray[Any]) -> bytes:
    """Compress an array's bytes as they stand in memory. Other threads run meanwhile.

    Args:
        numbers: in C order.

    Returns:
        A zlib stream; the same bytes give the same stream.
    """
    packer = zlib_ng.compressobj(
        _LEVEL, zlib_ng.DEFLATED, zlib_ng.MAX_WBITS, _MOST_MEMORY, zlib_ng.Z_RLE
    )
    return packer.compress(numbers) + packer.flush()
