"""Sparse tiled GeoTIFFs: the extent of a whole scene, and pixels only where tiles need them.

A Sentinel-2 band has 120 million pixels and six tiles need some millions of them. Blocks that hold
none are left out of the file, as GDAL's SPARSE_OK leaves them out. The layout is that of TIFF 6.0
and OGC GeoTIFF 1.1: all directories first, then the blocks, those of the coarsest overview first.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estinel_assets.raster.deflate import deflate
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.tiff import Compression, GeoKey, Predictor, Tag
from estinel_assets.raster.tiff_writer import places

Pixels = NDArray[Any]

_ASCII, _SHORT, _LONG, _DOUBLE = 2, 3, 4, 12
_CODES: Final = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}
_FORMATS: Final = {"u": 1, "i": 2, "f": 3}
_REDUCED: Final = 1
_BY_AREA: Final = 1


@dataclass(frozen=True, slots=True)
class Patch:
    """Pixels, and where in an image they lie."""

    row: int
    column: int
    pixels: Pixels
    """(rows, columns); must lie inside the image."""


@dataclass(frozen=True, slots=True)
class Level:
    """One image of a file."""

    factor: int
    """1 for the full image, 2 for one of half its size."""
    patches: tuple[Patch, ...]


@dataclass(frozen=True, slots=True)
class _Image:
    width: int
    height: int
    blocks: Mapping[int, bytes]
    """By number, row by row; the others are left out."""
    count: int


def level_shape(grid: Grid, factor: int) -> tuple[int, int]:
    """(rows, columns) of an overview."""
    return -(-grid.height // factor), -(-grid.width // factor)


def sparse_tiff(
    grid: Grid,
    levels: Sequence[Level],
    dtype: str,
    *,
    nodata: float | None,
    block_px: int,
    predictor: Predictor = Predictor.NONE,
) -> bytes:
    """Encode one band.

    Args:
        grid: where the full image lies, in metres or degrees.
        levels: from the full image, factor 1, to the coarsest.
        dtype: as numpy names it.
        nodata: what the file says; None = it says nothing.
        block_px: pixels along a block's edge.
        predictor: none, or that of whole numbers, which serves where neighbours differ.

    Raises:
        ValueError: the file would have 4 GiB.
    """
    kind = np.dtype(dtype)
    images = [_image(grid, level, kind, nodata or 0, block_px, predictor) for level in levels]
    base = _tags(grid, kind, nodata, block_px) | {Tag.PREDICTOR: (_SHORT, [predictor])}
    directories: list[dict[int, tuple[int, Any]]] = []
    for number, image in enumerate(images):
        unplaced = [0] * image.count
        directories.append(
            {
                **(base if number == 0 else {k: v for k, v in base.items() if k < Tag.PIXEL_SCALE}),
                Tag.SUBFILE_TYPE: (_LONG, [_REDUCED if number else 0]),
                Tag.WIDTH: (_LONG, [image.width]),
                Tag.HEIGHT: (_LONG, [image.height]),
                Tag.TILE_OFFSETS: (_LONG, unplaced),
                Tag.TILE_BYTE_COUNTS: (_LONG, unplaced),
            }
        )
    # How long the directories are does not depend on what they say.
    first = len(_head(directories))
    stored = [(number, block) for number in reversed(range(len(images)))
              for block in sorted(images[number].blocks)]  # fmt: skip
    lengths = [len(images[number].blocks[block]) for number, block in stored]
    for number, image in enumerate(images):
        counts = [len(image.blocks.get(block, b"")) for block in range(image.count)]
        directories[number][Tag.TILE_OFFSETS] = (_LONG, [0] * image.count)
        directories[number][Tag.TILE_BYTE_COUNTS] = (_LONG, counts)
    for (number, block), offset in zip(stored, places(first, lengths), strict=True):
        directories[number][Tag.TILE_OFFSETS][1][block] = offset
    return b"".join((_head(directories), *(images[n].blocks[block] for n, block in stored)))


def _image(
    grid: Grid,
    level: Level,
    kind: np.dtype[Any],
    fill: float,
    size: int,
    predictor: Predictor,
) -> _Image:
    height, width = level_shape(grid, level.factor)
    across = -(-width // size)
    touched: dict[int, Pixels] = {}
    for patch in level.patches:
        rows, columns = patch.pixels.shape
        for down in range(patch.row // size, -(-(patch.row + rows) // size)):
            for right in range(patch.column // size, -(-(patch.column + columns) // size)):
                block = touched.setdefault(
                    down * across + right, np.full((size, size), fill, dtype=kind)
                )
                _paste(block, down * size, right * size, patch)
    return _Image(
        width,
        height,
        {number: _packed(block, predictor) for number, block in touched.items()},
        across * -(-height // size),
    )


def _paste(block: Pixels, top: int, left: int, patch: Patch) -> None:
    rows, columns = patch.pixels.shape
    size = block.shape[0]
    first, last = max(top, patch.row), min(top + size, patch.row + rows)
    start, stop = max(left, patch.column), min(left + size, patch.column + columns)
    block[first - top : last - top, start - left : stop - left] = patch.pixels[
        first - patch.row : last - patch.row, start - patch.column : stop - patch.column
    ]


def _packed(block: Pixels, predictor: Predictor) -> bytes:
    if predictor is Predictor.HORIZONTAL:
        block[:, 1:] = block[:, 1:] - block[:, :-1]
    return deflate(block)


def _tags(
    grid: Grid, kind: np.dtype[Any], nodata: float | None, size: int
) -> dict[int, tuple[int, Any]]:
    """What all images of a file say, and behind `PIXEL_SCALE` what only the first says."""
    code = int(grid.crs.split(":")[1])
    degrees = code == 4326
    model, key = (2, GeoKey.GEOGRAPHIC) if degrees else (1, GeoKey.PROJECTED)
    keys = [1, 1, 0, 3, GeoKey.MODEL_TYPE, 0, 1, model]
    keys += [GeoKey.RASTER_TYPE, 0, 1, _BY_AREA, key, 0, 1, code]
    tags: dict[int, tuple[int, Any]] = {
        Tag.BITS_PER_SAMPLE: (_SHORT, [8 * kind.itemsize]),
        Tag.COMPRESSION: (_SHORT, [Compression.ADOBE_DEFLATE]),
        Tag.PHOTOMETRIC: (_SHORT, [1]),
        Tag.SAMPLES_PER_PIXEL: (_SHORT, [1]),
        Tag.PLANAR_CONFIGURATION: (_SHORT, [1]),
        Tag.TILE_WIDTH: (_SHORT, [size]),
        Tag.TILE_HEIGHT: (_SHORT, [size]),
        Tag.SAMPLE_FORMAT: (_SHORT, [_FORMATS[kind.kind]]),
        Tag.PIXEL_SCALE: (_DOUBLE, [grid.resolution, grid.resolution, 0.0]),
        Tag.TIEPOINTS: (_DOUBLE, [0.0, 0.0, 0.0, grid.left, grid.top, 0.0]),
        Tag.GEO_KEYS: (_SHORT, keys),
    }
    if nodata is not None:
        tags[Tag.GDAL_NODATA] = (_ASCII, f"{nodata:g}".encode() + b"\0")
    return tags


def _head(directories: Sequence[Mapping[int, tuple[int, Any]]]) -> bytes:
    """The header and all directories, each followed by the values that do not fit into it."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number, tags in enumerate(directories):
        start = len(content)
        behind = start + 2 + 12 * len(tags) + 4
        entries, values = bytearray(), bytearray()
        for tag, (kind, value) in sorted(tags.items()):
            packed = (
                value if kind == _ASCII else struct.pack(f"<{len(value)}{_CODES[kind]}", *value)
            )
            entries += struct.pack("<HHI", tag, kind, len(value))
            if len(packed) <= 4:
                entries += packed.ljust(4, b"\0")
            else:
                entries += struct.pack("<I", behind + len(values))
                values += packed + b"\0" * (len(packed) % 2)
        following = behind + len(values) if number + 1 < len(directories) else 0
        content += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + values
    return bytes(content)
