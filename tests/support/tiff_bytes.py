"""TIFFs written byte by byte: kinds that GDAL reads and does not write, and lies of every sort.

A file is a list of directories; each has one image, whose blocks are packed by zlib or not at all::

    content = tiff([Image(pixels, block=(16, 48))], order=">", big=True, directories_last=True)

Every tag may be replaced (`tags`), so that a file can say what is not so.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine

NO_COMPRESSION, ADOBE_DEFLATE = 1, 8
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PREDICTOR = (
    256,
    257,
    258,
    259,
    262,
    277,
    317,
)
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTE_COUNTS = 322, 323, 324, 325
SUBFILE_TYPE, SAMPLE_FORMAT, NODATA = 254, 339, 42113
PIXEL_SCALE, TIEPOINTS, TRANSFORMATION, GEO_KEYS, CITATION = 33550, 33922, 34264, 34735, 34737

ASCII, SHORT, LONG, DOUBLE, LONG8 = 2, 3, 4, 12, 16
_CODES = {1: "B", ASCII: "B", SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}

Tag = tuple[int, Sequence[Any]]
"""Type and values."""


@dataclass(frozen=True)
class Image:
    """One image of a file."""

    pixels: np.ndarray
    """(height, width)."""
    block: tuple[int, int] = (64, 64)
    """(height, width) of a block."""
    compression: int = ADOBE_DEFLATE
    predictor: int = 1
    kind: int = 0
    """Subfile type: 1 for a reduced copy, 4 for a mask."""
    bodies: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    """Bytes of a block (row, column) in place of its own; empty for a block that is not there."""
    tags: Mapping[int, Tag | None] = field(default_factory=dict)
    """Tags in place of the image's own; None takes one away."""


def placed(
    transform: Affine | None, epsg: int | None, *, as_matrix: bool = False, by_point: bool = False
) -> dict[int, Tag | None]:
    """The tags that say where an image lies.

    Args:
        transform: from (column, row) of pixel corners.
        epsg: of a projected CRS.
        as_matrix: say it with a matrix, not with a point and a scale.
        by_point: coordinates are those of the pixels' centres.
    """
    tags: dict[int, Tag | None] = {}
    keys: list[int] = []
    if transform is not None:
        at = transform @ Affine.translation(0.5, 0.5) if by_point else transform
        if as_matrix:
            rows = [[at.a, at.b, 0, at.c], [at.d, at.e, 0, at.f], [0, 0, 0, 0], [0, 0, 0, 1]]
            tags[TRANSFORMATION] = (DOUBLE, [float(value) for row in rows for value in row])
        else:
            tags[PIXEL_SCALE] = (DOUBLE, [at.a, -at.e, 0.0])
            tags[TIEPOINTS] = (DOUBLE, [0.0, 0.0, 0.0, at.c, at.f, 0.0])
        keys += [1025, 0, 1, 2 if by_point else 1]
    if epsg is not None:
        keys = [1024, 0, 1, 1, *keys, 3072, 0, 1, epsg]
    if keys:
        tags[GEO_KEYS] = (SHORT, [1, 1, 0, len(keys) // 4, *keys])
    return tags


def tiff(
    images: Sequence[Image],
    *,
    order: str = "<",
    big: bool = False,
    directories_last: bool = False,
    padding: int = 0,
    next_offsets: Mapping[int, int] | None = None,
) -> bytes:
    """A TIFF, or BigTIFF.

    Args:
        images: in the order of their directories.
        order: of bytes, `<` or `>`.
        big: write a BigTIFF.
        directories_last: write the blocks first.
        padding: bytes of 0xAA before each block.
        next_offsets: where the directory after one (by its number) is said to be; 0 = nowhere.
    """
    writer = _Writer(order, big=big)
    pairs = [(image, _bodies(image, order)) for image in images]
    start = 16 if big else 8
    # Offsets have their size whatever they are: a first round tells how long directories are.
    ahead = sum(len(writer.directory(_tags(*pair, 0, padding), 0)) for pair in pairs)
    blocks_at = start if directories_last else start + ahead
    length = sum(padding + len(body) for _, own in pairs for body in own.values() if body)
    first = at = start + length if directories_last else start
    directories, blocks = b"", b""
    for number, (image, own) in enumerate(pairs):
        tags = _tags(image, own, blocks_at + len(blocks), padding)
        size = len(writer.directory(tags, 0))
        following = at + size if number + 1 < len(images) else 0
        following = (next_offsets or {}).get(number, following)
        directories += writer.directory(tags, at, following)
        at += size
        blocks += b"".join(b"\xaa" * padding + body for body in own.values() if body)
    head = writer.head(first)
    return head + blocks + directories if directories_last else head + directories + blocks


class _Writer:
    def __init__(self, order: str, *, big: bool) -> None:
        self.order, self.big = order, big
        self.word = "Q" if big else "I"
        self.inline = struct.calcsize(f"<{self.word}")

    def head(self, first: int) -> bytes:
        name = b"II" if self.order == "<" else b"MM"
        if self.big:
            return name + struct.pack(f"{self.order}HHHQ", 43, 8, 0, first)
        return name + struct.pack(f"{self.order}HI", 42, first)

    def directory(self, tags: Mapping[int, Tag], at: int, following: int = 0) -> bytes:
        """A directory with its values behind it."""
        entry = f"{self.order}HH{self.word}"
        count = struct.pack(f"{self.order}{'Q' if self.big else 'H'}", len(tags))
        size = len(count) + len(tags) * (struct.calcsize(entry) + self.inline) + self.inline
        entries, values = b"", b""
        for tag in sorted(tags):
            kind, numbers = tags[tag]
            raw = struct.pack(f"{self.order}{len(numbers)}{_CODES[kind]}", *numbers)
            if len(raw) > self.inline:
                where = struct.pack(f"{self.order}{self.word}", at + size + len(values))
                values += raw + b"\0" * (-len(raw) % 8)
            else:
                where = raw.ljust(self.inline, b"\0")
            entries += struct.pack(entry, tag, kind, len(numbers)) + where
        return count + entries + struct.pack(f"{self.order}{self.word}", following) + values


def _tags(
    image: Image, bodies: Mapping[tuple[int, int], bytes], at: int, padding: int
) -> dict[int, Tag]:
    dtype = image.pixels.dtype
    offsets = []
    for body in bodies.values():
        offsets.append(at + padding if body else 0)
        at += padding + len(body) if body else 0
    own: dict[int, Tag | None] = {
        SUBFILE_TYPE: (LONG, [image.kind]),
        WIDTH: (LONG, [image.pixels.shape[1]]),
        HEIGHT: (LONG, [image.pixels.shape[0]]),
        BITS: (SHORT, [dtype.itemsize * 8]),
        COMPRESSION: (SHORT, [image.compression]),
        PHOTOMETRIC: (SHORT, [1]),
        SAMPLES: (SHORT, [1]),
        PREDICTOR: (SHORT, [image.predictor]),
        TILE_WIDTH: (SHORT, [image.block[1]]),
        TILE_HEIGHT: (SHORT, [image.block[0]]),
        TILE_OFFSETS: (LONG, offsets),
        TILE_BYTE_COUNTS: (LONG, [len(body) for body in bodies.values()]),
        SAMPLE_FORMAT: (SHORT, [{"u": 1, "i": 2, "f": 3}[dtype.kind]]),
        **image.tags,
    }
    return {tag: value for tag, value in own.items() if value is not None}


def _bodies(image: Image, order: str) -> dict[tuple[int, int], bytes]:
    height, width = image.block
    bodies = {}
    for row in range(-(-image.pixels.shape[0] // height)):
        for column in range(-(-image.pixels.shape[1] // width)):
            part = image.pixels[
                row * height : (row + 1) * height, column * width : (column + 1) * width
            ]
            block = np.zeros(image.block, image.pixels.dtype)
            block[: part.shape[0], : part.shape[1]] = part
            if image.predictor == 2:
                block[:, 1:] -= block[:, :-1].copy()
            raw = block.astype(block.dtype.newbyteorder(order)).tobytes()
            packed = zlib.compress(raw, 1) if image.compression == ADOBE_DEFLATE else raw
            bodies[row, column] = image.bodies.get((row, column), packed)
    return bodies
