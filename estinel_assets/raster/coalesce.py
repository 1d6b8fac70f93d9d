"""Neighbouring ranges of a file as one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LARGEST_GAP: Final = 16_384
"""Bytes between two ranges up to which one request is cheaper than two."""
_GAP_SHARE: Final = 0.05
"""Of the bytes wanted of a run: what is fetched beyond them never exceeds this share."""
_LARGEST_RUN: Final = 16 * 1024 * 1024
"""Bytes of one request; several of them come faster side by side."""


@dataclass(frozen=True, slots=True)
class Run:
    """Some ranges that are fetched together."""

    offset: int
    """In the file."""
    length: int
    """Bytes."""
    parts: tuple[tuple[int, int], ...]
    """The ranges that it holds, each offset and length, ascending."""


def coalesce(ranges: Iterable[tuple[int, int]]) -> list[Run]:
    """Join ranges whose gaps are small.

    Args:
        ranges: offset and length of each, in any order; they may overlap.

    Returns:
        Runs that together hold every range, by offset.
    """
    runs: list[Run] = []
    parts: list[tuple[int, int]] = []
    start = end = wanted = 0
    for offset, length in sorted(set(ranges)):
        gap = offset - end
        joined = max(end, offset + length) - start
        further = max(offset + length - max(offset, end), 0)
        beside = joined - wanted - further
        wasteful = gap > _LARGEST_GAP or beside > _GAP_SHARE * (wanted + further)
        if parts and (wasteful or joined > _LARGEST_RUN):
            runs.append(Run(start, end - start, tuple(parts)))
            parts = []
        if not parts:
            start, end, wanted, further = offset, offset, 0, length
        parts.append((offset, length))
        wanted += further
        end = max(end, offset + length)
    if parts:
        runs.append(Run(start, end - start, tuple(parts)))
    return runs
