"""The structure of a TIFF: its images, where their blocks are, and where it lies on the ground.

Read from bytes that somebody else fetches, and never more than a file may sensibly have: every
number in a file may be wrong, by accident or on purpose. No pixel is decoded here.

The layout is that of TIFF 6.0 (Adobe, 1992) and of BigTIFF; georeference is that of OGC GeoTIFF 1.1
(19-008r4), nodata GDAL's tag 42113.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

ReadRange = Callable[[int, int], bytes]
"""Bytes of the file from an offset on, so many of them or fewer at its end."""

MOST_IMAGES: Final = 64
"""Images of a file that are looked at."""
MOST_TAGS: Final = 1024
MOST_BLOCKS: Final = 4_000_000
"""Blocks of all images together: 1.7 million pixels along an edge, in blocks of 1,024."""
LARGEST_BLOCK: Final = 256 * 1024 * 1024
"""Bytes of one decoded block."""
LARGEST_SIZE: Final = 2**31 - 1
"""Pixels along an edge."""

_CLASSIC, _BIG = 42, 43
_REDUCED: Final = 1
_MASK: Final = 4
_DEGREES, _METRES = 2, 1


class MalformedTiffError(ValueError):
    """It is no TIFF, or a damaged one; the message says what is wrong."""


class UnsupportedTiffError(ValueError):
    """It may be a sound TIFF, of a kind that is not read here; the message names the kind."""


class Tag(IntEnum):
    """Tags that matter here."""

    SUBFILE_TYPE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_OFFSETS = 273
    SAMPLES_PER_PIXEL = 277
    PLANAR_CONFIGURATION = 284
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SAMPLE_FORMAT = 339
    PIXEL_SCALE = 33550
    TIEPOINTS = 33922
    TRANSFORMATION = 34264
    GEO_KEYS = 34735
    GDAL_NODATA = 42113


class GeoKey(IntEnum):
    """GeoTIFF's keys that matter here."""

    MODEL_TYPE = 1024
    RASTER_TYPE = 1025
    GEOGRAPHIC = 2048
    PROJECTED = 3072


class Compression(IntEnum):
    """Ways of compression that are read here, by their numbers in the file."""

    NONE = 1
    LZW = 5
    ADOBE_DEFLATE = 8
    DEFLATE = 32946
    ZSTD = 50000


class Predictor(IntEnum):
    """What was done to numbers before compression."""

    NONE = 1
    HORIZONTAL = 2
    FLOATING_POINT = 3


_FORMATS: Final = {1: "u", 2: "i", 3: "f"}
_TYPES: Final[Mapping[int, tuple[str, int]]] = {
    1: ("B", 1), 2: ("S", 1), 3: ("H", 2), 4: ("I", 4), 5: ("2I", 8), 6: ("b", 1),
    7: ("S", 1), 8: ("h", 2), 9: ("i", 4), 10: ("2i", 8), 11: ("f", 4), 12: ("d", 8),
    13: ("I", 4), 16: ("Q", 8), 17: ("q", 8), 18: ("Q", 8),
}  # fmt: skip
"""Code of `struct` (`S` for bytes) and size of each type of a tag."""


@dataclass(frozen=True, slots=True)
class TiffImage:
    """One image of a file: the full one, or a reduced copy of it."""

    width: int
    height: int
    block_width: int
    block_height: int
    offsets: NDArray[np.uint64]
    """(blocks down, blocks across): where each block begins; 0 for one that is not there."""
    byte_counts: NDArray[np.uint64]
    """(blocks down, blocks across): bytes of each; 0 for one that is not there."""
    dtype: np.dtype[np.generic]
    """As the file has it, with its byte order."""
    compression: Compression
    predictor: Predictor
    nodata: float | None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""
        return self.height, self.width

    @property
    def block_shape(self) -> tuple[int, int]:
        """(height, width) of a block, in pixels; those at the lower and right edge are padded."""
        return self.block_height, self.block_width


@dataclass(frozen=True, slots=True)
class Tiff:
    """What a file holds."""

    images: tuple[TiffImage, ...]
    """The full one first, then its reduced copies, from fine to coarse."""
    transform: Affine | None
    """Of the full one, from (column, row) of pixel corners; None where the file does not say."""
    crs: str | None
    """As `EPSG:32755`; None where the file does not say so, or not by a number."""


def read_tiff(read: ReadRange) -> Tiff:
    """Read a file's structure.

    Args:
        read: fetches bytes; asked for few pieces, most of them near the beginning.

    Raises:
        MalformedTiffError: it is no TIFF, or its structure is damaged.
        UnsupportedTiffError: its layout is not one that is read here.
    """
    file = _File(read)
    full: _Directory | None = None
    reduced: list[_Directory] = []
    for directory in file.directories():
        kind = directory.number(Tag.SUBFILE_TYPE, 0)
        if kind & _MASK:
            raise UnsupportedTiffError("it has a mask inside")
        if full is None:
            full = directory
        elif kind & _REDUCED:
            reduced.append(directory)
    if full is None:
        raise MalformedTiffError("it has no image")
    images: list[TiffImage] = []
    room = MOST_BLOCKS
    for one in (full, *reduced):
        images.append(_image(one, full, room))
        room -= images[-1].offsets.size
    for image in images[1:]:
        if image.width > images[0].width or image.height > images[0].height:
            raise MalformedTiffError("a reduced copy is larger than the full image")
        if image.dtype != images[0].dtype:
            raise UnsupportedTiffError("its reduced copies have another type of number")
    copies = sorted(images[1:], key=lambda image: -image.width)
    return Tiff((images[0], *copies), _transform(full), _crs(full))


class _File:
    """The bytes of a file, as numbers."""

    def __init__(self, read: ReadRange) -> None:
        self._read = read
        head = self.bytes_at(0, 16, least=8)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None:
            raise MalformedTiffError("it does not begin like a TIFF")
        self.order = order
        version = struct.unpack_from(f"{order}H", head, 2)[0]
        if version == _CLASSIC:
            self.big = False
            self._first = struct.unpack_from(f"{order}I", head, 4)[0]
        elif version == _BIG and len(head) == 16:
            self.big = True
            self._first = struct.unpack_from(f"{order}Q", head, 8)[0]
        else:
            raise MalformedTiffError("it does not begin like a TIFF")

    def bytes_at(self, offset: int, length: int, *, least: int | None = None) -> bytes:
        """Bytes of the file.

        Raises:
            MalformedTiffError: it is shorter.
        """
        found = self._read(offset, length)
        if len(found) < (length if least is None else least):
            raise MalformedTiffError(f"it ends before byte {offset + length}")
        return found

    def directories(self) -> "list[_Directory]":
        """All directories, in the order in which they are chained."""
        count_code, entry_size, next_code = ("Q", 20, "Q") if self.big else ("H", 12, "I")
        count_size, next_size = struct.calcsize(f"<{count_code}"), struct.calcsize(f"<{next_code}")
        found: list[_Directory] = []
        seen: set[int] = set()
        offset = self._first
        while offset:
            if offset in seen or len(seen) >= MOST_IMAGES:
                raise MalformedTiffError("its directories go round in a circle, or are too many")
            seen.add(offset)
            (count,) = struct.unpack(f"{self.order}{count_code}", self.bytes_at(offset, count_size))
            if not 0 < count <= MOST_TAGS:
                raise MalformedTiffError(f"a directory has {count} entries")
            body = self.bytes_at(offset + count_size, count * entry_size + next_size)
            found.append(_Directory(self, body, count))
            (offset,) = struct.unpack_from(f"{self.order}{next_code}", body, count * entry_size)
        return found


class _Directory:
    """The tags of one image."""

    def __init__(self, file: _File, body: bytes, count: int) -> None:
        self._file = file
        code, size, inline = ("HHQ", 20, 8) if file.big else ("HHI", 12, 4)
        head = struct.Struct(file.order + code)
        self._entries: dict[int, tuple[int, int, bytes]] = {}
        for number in range(count):
            start = number * size
            tag, kind, length = head.unpack_from(body, start)
            value = body[start + size - inline : start + size]
            self._entries.setdefault(tag, (kind, length, value))

    def __contains__(self, tag: Tag) -> bool:
        return tag in self._entries

    def number(self, tag: Tag, default: int | None = None) -> int:
        """A whole number.

        Raises:
            MalformedTiffError: it is not there, or is none.
        """
        if tag not in self._entries and default is not None:
            return default
        values = self.numbers(tag, most=1024)
        if values.size == 0 or not np.issubdtype(values.dtype, np.integer):
            raise MalformedTiffError(f"its tag {int(tag)} is no number")
        return int(values[0])

    def numbers(self, tag: Tag, *, most: int) -> NDArray[np.generic]:
        """All numbers of a tag.

        Raises:
            MalformedTiffError: they are not there, are none, or are too many.
        """
        kind, _length, raw = self._raw(tag, most)
        code, size = _TYPES[kind]
        if code == "S" or len(code) > 1:
            raise MalformedTiffError(f"its tag {int(tag)} is no number")
        return np.frombuffer(raw, dtype=f"{self._file.order}{_numpy_code(code, size)}")

    def text(self, tag: Tag, *, most: int) -> str:
        """A text."""
        _, _, raw = self._raw(tag, most)
        return raw.split(b"\0", 1)[0].decode("latin-1").strip()

    def _raw(self, tag: Tag, most: int) -> tuple[int, int, bytes]:
        entry = self._entries.get(tag)
        if entry is None:
            raise MalformedTiffError(f"its tag {int(tag)} is missing")
        kind, length, value = entry
        if kind not in _TYPES or not 0 < length <= most:
            raise MalformedTiffError(f"its tag {int(tag)} has {length} values of type {kind}")
        size = _TYPES[kind][1] * length
        if size <= len(value):
            return kind, length, value[:size]
        code = "Q" if self._file.big else "I"
        (offset,) = struct.unpack(f"{self._file.order}{code}", value)
        return kind, length, self._file.bytes_at(offset, size)


def _numpy_code(code: str, size: int) -> str:
    if code in "fd":
        return f"f{size}"
    return f"{'i' if code.islower() else 'u'}{size}"


def _image(directory: _Directory, full: _Directory, most_blocks: int) -> TiffImage:
    width, height = directory.number(Tag.WIDTH), directory.number(Tag.HEIGHT)
    if not (0 < width <= LARGEST_SIZE and 0 < height <= LARGEST_SIZE):
        raise MalformedTiffError(f"it is {width} by {height} pixels large")
    if Tag.TILE_WIDTH not in directory:
        raise UnsupportedTiffError("it is made of strips")
    if directory.number(Tag.SAMPLES_PER_PIXEL, 1) != 1:
        raise UnsupportedTiffError("it has more than one band")
    dtype = _dtype(directory)
    block_width = directory.number(Tag.TILE_WIDTH)
    block_height = directory.number(Tag.TILE_HEIGHT)
    if not (block_width > 0 and block_height > 0):
        raise MalformedTiffError(f"its blocks are {block_width} by {block_height} pixels large")
    if block_width * block_height * dtype.itemsize > LARGEST_BLOCK:
        raise MalformedTiffError(
            f"its blocks of {block_width} by {block_height} pixels are too large"
        )
    shape = (-(-height // block_height), -(-width // block_width))
    blocks = shape[0] * shape[1]
    if blocks > most_blocks:
        raise MalformedTiffError(f"it has over {MOST_BLOCKS} blocks")
    compression = _compression(directory)
    return TiffImage(
        width=width,
        height=height,
        block_width=block_width,
        block_height=block_height,
        offsets=_per_block(directory, Tag.TILE_OFFSETS, shape),
        byte_counts=_per_block(directory, Tag.TILE_BYTE_COUNTS, shape),
        dtype=dtype,
        compression=compression,
        predictor=_predictor(directory, dtype, compression),
        nodata=_nodata(directory if Tag.GDAL_NODATA in directory else full),
    )


def _dtype(directory: _Directory) -> np.dtype[np.generic]:
    bits = directory.number(Tag.BITS_PER_SAMPLE, 1)
    kind = _FORMATS.get(directory.number(Tag.SAMPLE_FORMAT, 1))
    sizes = {"u": (8, 16, 32, 64), "i": (8, 16, 32, 64), "f": (32, 64)}
    if kind is None or bits not in sizes[kind]:
        raise UnsupportedTiffError(f"its numbers have {bits} bits and an unusual format")
    return np.dtype(f"{directory._file.order}{kind}{bits // 8}")  # noqa: SLF001 - one module


def _per_block(directory: _Directory, tag: Tag, shape: tuple[int, int]) -> NDArray[np.uint64]:
    blocks = shape[0] * shape[1]
    values = directory.numbers(tag, most=MOST_BLOCKS)
    if values.size != blocks or not np.issubdtype(values.dtype, np.unsignedinteger):
        raise MalformedTiffError(f"its tag {int(tag)} has {values.size} values for {blocks} blocks")
    return values.astype(np.uint64).reshape(shape)


def _compression(directory: _Directory) -> Compression:
    number = directory.number(Tag.COMPRESSION, 1)
    try:
        return Compression(number)
    except ValueError:
        raise UnsupportedTiffError(f"its compression is number {number}") from None


def _predictor(
    directory: _Directory, dtype: np.dtype[np.generic], compression: Compression
) -> Predictor:
    if compression is Compression.NONE:
        return Predictor.NONE  # to predict is a part of compressing: the tag means nothing here
    number = directory.number(Tag.PREDICTOR, 1)
    try:
        predictor = Predictor(number)
    except ValueError:
        raise UnsupportedTiffError(f"its predictor is number {number}") from None
    if (predictor is Predictor.FLOATING_POINT) and dtype.kind != "f":
        raise MalformedTiffError("its predictor is for floating-point numbers, and it has none")
    if predictor is Predictor.HORIZONTAL and dtype.kind == "f":
        raise UnsupportedTiffError("its predictor treats floating-point numbers as whole ones")
    return predictor


def _nodata(directory: _Directory) -> float | None:
    if Tag.GDAL_NODATA not in directory:
        return None
    text = directory.text(Tag.GDAL_NODATA, most=256)
    try:
        return float(text)
    except ValueError:
        raise UnsupportedTiffError(f"its nodata value {text[:40]!r} is no number") from None


def _transform(directory: _Directory) -> Affine | None:
    if Tag.TRANSFORMATION in directory:
        matrix = directory.numbers(Tag.TRANSFORMATION, most=16).astype(float).tolist()
        if len(matrix) != 16:
            raise MalformedTiffError("its transformation is no matrix")
        made = Affine(matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
    elif Tag.PIXEL_SCALE in directory and Tag.TIEPOINTS in directory:
        scale = directory.numbers(Tag.PIXEL_SCALE, most=16).astype(float).tolist()
        tie = directory.numbers(Tag.TIEPOINTS, most=6 * 4096).astype(float).tolist()
        if len(scale) < 2 or len(tie) < 6:
            raise MalformedTiffError("its georeference is cut short")
        if len(tie) > 6:
            raise UnsupportedTiffError("it is georeferenced by more than one point")
        column, row, _, x, y, _ = tie[:6]
        made = Affine(scale[0], 0.0, x - column * scale[0], 0.0, -scale[1], y + row * scale[1])
    else:
        return None
    if not all(np.isfinite(made[:6])):
        raise MalformedTiffError("its georeference is not finite")
    # Coordinates may be those of pixel centres.
    by_point = _geo_keys(directory).get(GeoKey.RASTER_TYPE) == 2
    return made @ Affine.translation(-0.5, -0.5) if by_point else made


def _crs(directory: _Directory) -> str | None:
    keys = _geo_keys(directory)
    model = keys.get(GeoKey.MODEL_TYPE)
    code = keys.get(GeoKey.PROJECTED if model == _METRES else GeoKey.GEOGRAPHIC)
    # 32767 stands for one that the file describes by itself.
    known = model in (_METRES, _DEGREES) and code is not None and 0 < code < 32767
    return f"EPSG:{code}" if known else None


def _geo_keys(directory: _Directory) -> dict[int, int]:
    """The keys whose value is a short number."""
    if Tag.GEO_KEYS not in directory:
        return {}
    numbers = directory.numbers(Tag.GEO_KEYS, most=4 * 1024).astype(int)
    if numbers.size < 4:
        raise MalformedTiffError("its keys are cut short")
    keys = numbers[4 : 4 + 4 * (numbers.size // 4 - 1)].reshape(-1, 4)
    return {int(key): int(value) for key, place, _, value in keys.tolist() if place == 0}
