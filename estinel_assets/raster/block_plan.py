"""Which blocks of an image some windows need, and with which requests they are fetched."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from estinel_assets.raster.coalesce import Run, coalesce
from estinel_assets.raster.placement import PixelWindow
from estinel_assets.raster.tiff import MalformedTiffError, TiffImage

_MOST_BLOCKS: Final = 100_000
"""Blocks that windows may need together; more means that blocks are absurdly small."""
_MOST_DECODED: Final = 2 * 1024 * 1024 * 1024
"""Bytes of blocks that one read may decode: eight whole bands of Sentinel-2 at 10 m."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is needed of a block."""

    top: int
    """Row of the image at which the block begins."""
    left: int
    """Column likewise."""
    first_row: int
    """Of the block, the first one that is needed."""
    last_row: int
    """The one behind the last that is needed."""
    last_column: int
    """Likewise."""


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The blocks that are fetched."""

    runs: tuple[Run, ...]
    needs: dict[tuple[int, int], list[Need]]
    """By offset and length; a file may let several blocks share their bytes."""
    decoding_bytes: int
    """That decoding a block takes, at most."""


def plan_blocks(image: TiffImage, windows: Sequence[PixelWindow], file_size: int) -> BlockPlan:
    """Plan the blocks for some windows; each block is fetched once, whoever needs it.

    A block that is not in the file has no data, so nothing is fetched for it.

    Args:
        image: of the file.
        windows: inside the image.
        file_size: bytes.

    Raises:
        MalformedTiffError: a block lies beyond the file's end, or is too large for its pixels;
            or blocks lie over one another, or are too many.
    """
    needed: dict[tuple[int, int], Need] = {}
    for window in windows:
        for need in _touched(image, window):
            place = (need.top, need.left)
            known = needed.get(place)
            needed[place] = need if known is None else _both(known, need)
        if len(needed) > _MOST_BLOCKS:
            raise MalformedTiffError(f"one read would need over {_MOST_BLOCKS} of its blocks")
    by_range: defaultdict[tuple[int, int], list[Need]] = defaultdict(list)
    row_bytes = image.block_width * image.dtype.itemsize
    if sum(need.last_row for need in needed.values()) * row_bytes > _MOST_DECODED:
        raise MalformedTiffError(f"one read would decode over {_MOST_DECODED} bytes of it")
    block_bytes = image.block_height * image.block_width * image.dtype.itemsize
    for need in needed.values():
        row, column = need.top // image.block_height, need.left // image.block_width
        offset, length = int(image.offsets[row, column]), int(image.byte_counts[row, column])
        if not offset or not length:
            continue
        if offset + length > file_size:
            raise MalformedTiffError(f"it ends before byte {offset + length}")
        if length > 2 * block_bytes + 65_536:
            raise MalformedTiffError(f"a block of {block_bytes} bytes is said to take {length}")
        by_range[offset, length].append(need)
    runs = tuple(coalesce(by_range))
    fetched = sum(run.length for run in runs)
    if fetched > file_size:
        raise MalformedTiffError("its blocks lie over one another")
    return BlockPlan(runs, dict(by_range), 2 * block_bytes)


def _touched(image: TiffImage, window: PixelWindow) -> list[Need]:
    """The blocks that a window touches, row by row."""
    bottom, right = window.row + window.height, window.column + window.width
    down = range(window.row // image.block_height, -(-bottom // image.block_height))
    across = range(window.column // image.block_width, -(-right // image.block_width))
    if len(down) * len(across) > _MOST_BLOCKS:
        raise MalformedTiffError(f"one read would need over {_MOST_BLOCKS} of its blocks")
    needs = []
    for row in down:
        top = row * image.block_height
        rows = max(window.row - top, 0), min(bottom - top, image.block_height)
        for column in across:
            left = column * image.block_width
            needs.append(Need(top, left, *rows, min(right - left, image.block_width)))
    return needs


def _both(one: Need, other: Need) -> Need:
    return Need(
        one.top,
        one.left,
        min(one.first_row, other.first_row),
        max(one.last_row, other.last_row),
        max(one.last_column, other.last_column),
    )
