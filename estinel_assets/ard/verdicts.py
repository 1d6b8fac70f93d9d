"""Is what stands complete and sound? Pure verdicts on all tile-years at once."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from estinel_assets.ard.keys import in_tile_order, key_of
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.rules import RetryRule, is_final
from estinel_assets.outcomes.verdict import Verdict

SHOWN = 20


def tiles_complete(
    partitions: Collection[str],
    sources: Sequence[Source],
    rows: Mapping[Key, IndexRow],
    retry: RetryRule,
) -> Verdict:
    """No source of a tile-year was given up after a fault.

    What was never tried, and what will be tried again, is counted and fails nothing; nor does an
    honest no, such as a year without a clear scene.
    """
    wanted = [key_of(one, source) for one in in_tile_order(partitions) for source in sources]
    states = {key: _state(rows.get(key), retry) for key in wanted}
    counts = Counter(states.values())
    failing = [encode_key(key) for key, state in states.items() if state == "given_up"]
    return Verdict(
        passed=not failing,
        description=(
            f"{counts['complete']} of {len(wanted)} sources of tile-years are complete, "
            f"{len(failing)} were given up"
        ),
        numbers={
            "wanted": len(wanted),
            **{
                state: counts[state]
                for state in ("complete", "honest_no", "waiting", "never_tried", "given_up")
            },
        },
        failing=tuple(failing[:SHOWN]),
    )


def tiles_internal_errors(rows: Collection[IndexRow]) -> Verdict:
    """No source of a tile-year ended in a bug of ours."""
    failing = sorted(encode_key(row.key) for row in rows if row.reason == ArdReason.INTERNAL_ERROR)
    return Verdict(
        passed=not failing,
        description=f"{len(failing)} of {len(rows)} outcomes are internal errors",
        numbers={"outcomes": len(rows), "internal_errors": len(failing)},
        failing=tuple(failing[:SHOWN]),
    )


def newest_complete(
    partitions: Collection[str],
    sources: Collection[Source],
    rows: Mapping[Key, IndexRow],
    most: int,
) -> list[str]:
    """The tile-years in which something was completed last, the newest first.

    Args:
        partitions: those that somebody asked for.
        sources: which count.
        rows: how keys ended.
        most: how many are wanted.
    """
    ended: dict[str, datetime] = {}
    for one in in_tile_order(partitions):
        for source in sources:
            row = rows.get(key_of(one, source))
            if row is not None and row.status:
                ended[one] = max(row.finished_at, ended.get(one, row.finished_at))
    return sorted(ended, key=lambda one: (ended[one], one), reverse=True)[:most]


def _state(row: IndexRow | None, retry: RetryRule) -> str:
    if row is None:
        return "never_tried"
    if row.status:
        return "complete"
    if not parse_reason(ArdReason, row.reason).fault:
        return "honest_no"
    final = is_final(row, ArdReason, max_attempts=retry.max_attempts)
    return "given_up" if final else "waiting"
