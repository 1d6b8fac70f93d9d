"""Deflate, as GeoTIFFs and PNGs need it.

In differences of neighbouring pixels there is little to find that repeats, and what Deflate wins
comes from its Huffman codes, so that libdeflate's lowest level is enough. ISA-L is faster, but was
seen to give another stream, as sound as the first, for the same pixels.
"""

from typing import Any, Final

import imagecodecs
from numpy.typing import NDArray

_LEVEL: Final = 1
"""Of libdeflate's twelve."""


def deflate(numbers: NDArray[Any]) -> bytes:
    """Compress an array's bytes as they stand in memory. Other threads run meanwhile.

    Args:
        numbers: in C order.

    Returns:
        A zlib stream; the same bytes give the same stream.
    """
    return bytes(imagecodecs.deflate_encode(numbers.tobytes(), level=_LEVEL, raw=False))
