"""TIFFs that lie: each says one thing, or several, that is not so."""

import zlib

import imagecodecs
import numpy as np
from affine import Affine

from tests.support import tiff_bytes as tb
from tests.support.tiff_bytes import Image, placed, tiff

LEFT, TOP = 600_000.0, 5_260_000.0
TRANSFORM = Affine(10, 0, LEFT, 0, -10, TOP)
PLACE = placed(TRANSFORM, 32755)
PIXELS = np.random.default_rng(3).integers(1, 3_000, (128, 192), dtype=np.uint16)


def lying(*, bodies: dict[tuple[int, int], bytes] | None = None, **tags: tb.Tag | None) -> Image:
    """An image one or several of whose tags, by their names in `tiff_bytes`, are not so."""
    own = {getattr(tb, name): value for name, value in tags.items()}
    return Image(PIXELS, bodies=bodies or {}, tags={**PLACE, **own})


LONG, SHORT, LONG8, DOUBLE = tb.LONG, tb.SHORT, tb.LONG8, tb.DOUBLE
LIES = {
    "no width": lying(WIDTH=(LONG, [0])),
    "width of 2^31": lying(WIDTH=(LONG, [2**31])),
    "width of 2^32 - 1": lying(WIDTH=(LONG, [2**32 - 1])),
    "both of 2^31 - 1": lying(WIDTH=(LONG, [2**31 - 1]), HEIGHT=(LONG, [2**31 - 1])),
    "wide width": lying(WIDTH=(LONG, [1_000_000])),
    "blocks of nothing": lying(TILE_WIDTH=(LONG, [0])),
    "blocks of 2^31": lying(TILE_WIDTH=(LONG, [2**31]), TILE_HEIGHT=(LONG, [2**31])),
    "blocks of 60,000": lying(TILE_WIDTH=(SHORT, [60_000]), TILE_HEIGHT=(SHORT, [60_000])),
    "blocks of one pixel": lying(TILE_WIDTH=(SHORT, [1]), TILE_HEIGHT=(SHORT, [1])),
    "no blocks": lying(TILE_OFFSETS=None, TILE_BYTE_COUNTS=None),
    "too few blocks": lying(TILE_OFFSETS=(LONG, [400] * 3)),
    "blocks before the file": lying(TILE_OFFSETS=(LONG, [1] * 6)),
    "blocks behind the file": lying(TILE_OFFSETS=(LONG, [2**32 - 100] * 6)),
    "blocks of all bytes": lying(TILE_BYTE_COUNTS=(LONG, [2**32 - 1] * 6)),
    "one bit a pixel": lying(BITS=(SHORT, [1])),
    "65,535 bits a pixel": lying(BITS=(SHORT, [65_535])),
    "bits of nothing": lying(BITS=(SHORT, [0])),
    "65,535 bands": lying(SAMPLES=(SHORT, [65_535])),
    "no bands": lying(SAMPLES=(SHORT, [0])),
    "an unknown compression": lying(COMPRESSION=(SHORT, [4242])),
    "fax": lying(COMPRESSION=(SHORT, [4])),
    "jpeg": lying(COMPRESSION=(SHORT, [7])),
    "lerc": lying(COMPRESSION=(SHORT, [34887])),
    "zstd": lying(COMPRESSION=(SHORT, [50000])),
    "an unknown predictor": lying(PREDICTOR=(SHORT, [9])),
    "the predictor of floats": lying(PREDICTOR=(SHORT, [3])),
    "complex numbers": lying(SAMPLE_FORMAT=(SHORT, [6])),
    "a CRS of noise": lying(GEO_KEYS=(SHORT, [1, 1, 0, 60_000, 3, 3, 3])),
    "a CRS named in another alphabet": lying(
        GEO_KEYS=(SHORT, [1, 1, 0, 3, 1024, 0, 1, 1, 1026, 34737, 3, 0, 3072, 0, 1, 32767]),
        CITATION=(tb.ASCII, b"\xff\xfe\x99|\0"),
    ),
    "an unknown CRS": lying(GEO_KEYS=placed(TRANSFORM, 31999)[tb.GEO_KEYS]),
    "pixels of nothing": lying(PIXEL_SCALE=(DOUBLE, [0.0, 0.0, 0.0])),
    "pixels without a number": lying(PIXEL_SCALE=(DOUBLE, [float("nan")] * 3)),
    "endless pixels": lying(PIXEL_SCALE=(DOUBLE, [float("inf")] * 3)),
    "tiny pixels": lying(PIXEL_SCALE=(DOUBLE, [1e-300, 1e-300, 0.0])),
    "pixels hardly there": lying(PIXEL_SCALE=(DOUBLE, [6e-308, 6e-308, 0.0])),
    "rows hardly there": lying(PIXEL_SCALE=(DOUBLE, [10.0, 7e-304, 0.0])),
    "pixels of 1e308": lying(PIXEL_SCALE=(DOUBLE, [1e308, 1e308, 0.0])),
    "a place without a number": lying(TIEPOINTS=(DOUBLE, [0, 0, 0, float("nan"), 0, 0])),
    "a place far away": lying(TIEPOINTS=(DOUBLE, [0, 0, 0, 1e300, -1e300, 0])),
    "nodata of noise": lying(NODATA=(tb.ASCII, b"nix\0")),
    "nodata without an end": lying(NODATA=(tb.ASCII, b"1e999")),
    "nodata of great length": lying(NODATA=(tb.ASCII, b"1" * 5000)),
    "nodata that no uint16 is": lying(NODATA=(tb.ASCII, b"-1e300\0")),
    "a block of nothing": lying(bodies={(0, 0): zlib.compress(b"")}),
    "a block of noise": lying(bodies={(0, 0): bytes(range(256))}),
    "a block in half": lying(bodies={(0, 0): zlib.compress(bytes(64 * 64))}),
    "a block too long": lying(bodies={(0, 0): zlib.compress(bytes(64 * 64 * 2 + 1))}),
}

MUST_FAIL = [
    "no width", "both of 2^31 - 1", "blocks of nothing", "blocks of 2^31", "no blocks",
    "too few blocks", "blocks before the file", "blocks behind the file", "blocks of all bytes",
    "an unknown compression", "jpeg", "lerc", "zstd", "pixels of nothing",
    "pixels without a number", "endless pixels", "a block of nothing", "a block of noise",
    "a block in half",
]  # fmt: skip
"""Those of which no reader can make a pixel."""


def giants() -> dict[str, bytes]:
    """Small files that claim a lot: what reads them must need neither their time nor their memory.

    One window of those whose pixels are tiny is all of the image.
    """
    tiny = {**placed(Affine(1e-3, 0, LEFT, 0, -1e-3, TOP), 32755), tb.WIDTH: (LONG, [500_000])}
    tiny[tb.HEIGHT] = (LONG, [500_000])
    one = np.zeros((1, 1), np.uint8)
    sparse = {
        tb.TILE_WIDTH: (SHORT, [8_000]),
        tb.TILE_HEIGHT: (SHORT, [8_000]),
        tb.TILE_OFFSETS: (LONG, [0] * 3969),
        tb.TILE_BYTE_COUNTS: (LONG, [0] * 3969),
    }
    # All blocks are one, at the end of the file.
    body = zlib.compress(bytes(8_000 * 8_000), 9)
    shared = {**tiny, **sparse, tb.TILE_BYTE_COUNTS: (LONG, [len(body)] * 3969)}
    at = len(tiff([Image(one, tags=shared, bodies={(0, 0): body})])) - len(body)
    shared[tb.TILE_OFFSETS] = (LONG, [at] * 3969)
    strips = {
        **dict.fromkeys((tb.TILE_WIDTH, tb.TILE_HEIGHT, tb.TILE_OFFSETS, tb.TILE_BYTE_COUNTS)),
        273: (LONG, [8]),
        278: (LONG, [500_000]),
        279: (LONG, [100]),
    }
    zeros = zlib.compress(bytes(75_000_000), 9)
    packed = {
        "deflate": (8, zeros),
        "zstd": (50000, imagecodecs.zstd_encode(bytes(300_000_000))),
        "lzw": (5, imagecodecs.lzw_encode(bytes(30_000_000))),
    }
    made = {
        f"a bomb of {name}": tiff(
            [Image(PIXELS, compression=number, tags=PLACE, bodies={(0, 0): body})]
        )
        for name, (number, body) in packed.items()
    }
    full = {tb.WIDTH: (LONG, [8_000]), tb.HEIGHT: (LONG, [8_000])}
    full |= {tb.TILE_WIDTH: (SHORT, [8_000]), tb.TILE_HEIGHT: (SHORT, [8_000])}
    return {
        **made,
        "a bomb in a large block": tiff(
            [Image(one, tags={**PLACE, **full}, bodies={(0, 0): zeros})]
        ),
        "holes": tiff([Image(one, tags={**tiny, **sparse})]),
        "blocks that are one": tiff([Image(one, tags=shared, bodies={(0, 0): body})]),
        "a strip of everything": tiff([Image(one, tags={**tiny, **strips})]),
    }
