"""Tile-years as partitions, their outcomes' keys, and which of them wait for work. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source, parse_key, parse_tag
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.rules import RetryRule, is_due, is_final

KEY_PARTS = 3
"""Year, tile and source."""
MOST_CHARACTERS = 500
"""Of a text that is shown on a partition."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A source of a tile-year that is to be made."""

    key: Key
    row: IndexRow | None
    """How it ended last; None where it was never made."""


def key_of(partition: str, source: Source) -> Key:
    """The key of an outcome.

    Args:
        partition: as `2023_1035X727Y`.
        source: what the arrays are made from.

    Raises:
        BadInputError: it is no tile and year.
    """
    parse_key(partition)
    year, tag = partition.split("_")
    return year, tag, source.value


def partition_of(key: Key) -> str:
    """The partition of an outcome's key, as `2023_1035X727Y`."""
    return f"{key[0]}_{key[1]}"


def read_key(key: Key) -> tuple[int, tuple[int, int], Source]:
    """Year, tile numbers and source of an outcome's key.

    Raises:
        BadInputError: it is no key of this product line.
    """
    sources = {source.value: source for source in Source}
    if len(key) != KEY_PARTS or key[2] not in sources or not key[0].isdecimal():
        raise BadInputError(
            f"{encode_key(key)} is no key of ard; give year, tile and source, such as "
            "2023/1035X727Y/s2"
        )
    return int(key[0]), parse_tag(key[1]), sources[key[2]]


def is_tile_year(partition: str) -> bool:
    """Whether a partition's name is that of a tile and year."""
    try:
        parse_key(partition)
    except BadInputError:
        return False
    return True


def in_tile_order(partitions: Iterable[str]) -> list[str]:
    """Partitions by year, then by tile, so that neighbours stand together; others are left out."""
    return sorted(filter(is_tile_year, partitions), key=parse_key)


def waiting(
    partitions: Iterable[str],
    sources: Collection[Source],
    rows: Mapping[Key, IndexRow],
    now: datetime,
    retry: RetryRule,
) -> Iterator[Waiting]:
    """What is to be made: the never made, and failures that are due for another try.

    What was made by other rules than those of the settings now does not wait: it is made again
    when somebody asks for it.

    Args:
        partitions: the tile-years that somebody asked for.
        sources: what is made of each.
        rows: how keys ended so far.
        now: UTC, aware.
        retry: how often and with which pauses a failure is tried again.

    Yields:
        By year, then by tile, then by source.
    """
    for partition in in_tile_order(partitions):
        for source in sorted(sources):
            key = key_of(partition, source)
            row = rows.get(key)
            if row is None or _may_go_again(row, now, retry):
                yield Waiting(key, row)


def shown(outcome: Outcome) -> dict[str, str | int | float | bool]:
    """What the UI shows of an outcome: short values of its detail as they are, lists counted."""
    found: dict[str, str | int | float | bool] = {
        "status": outcome.status,
        "reason": outcome.reason,
        "attempts": outcome.attempts,
        "duration_s": outcome.duration_s,
    }
    if outcome.error:
        found["error"] = outcome.error[:MOST_CHARACTERS]
    if outcome.outputs:
        found["outputs"] = ", ".join(outcome.outputs)
    for name, value in outcome.detail.items():
        if name not in found:
            found.update(_shown_detail(name, value))
    return found


def _shown_detail(name: str, value: Any) -> dict[str, str | int | float | bool]:
    if isinstance(value, bool | int | float):
        return {name: value}
    if isinstance(value, str) and value:
        return {name: value[:MOST_CHARACTERS]}
    if name == "gaps" and isinstance(value, list) and value:
        return {name: ", ".join(map(str, value))}
    if isinstance(value, list):
        return {f"{name}_count": len(value)}
    return {}


def _may_go_again(row: IndexRow, now: datetime, retry: RetryRule) -> bool:
    final = is_final(row, ArdReason, max_attempts=retry.max_attempts)
    return not final and is_due(row, now, retry)
