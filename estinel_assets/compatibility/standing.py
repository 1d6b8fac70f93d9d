"""How the collections stand: how many are checked, and how they ended. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import NO_REASON


def counts(words: Iterable[str]) -> dict[str, int]:
    """Count reasons, the most frequent first, equally frequent ones by their word.

    Args:
        words: a reason for each collection, `none` where it can be tiled.
    """
    counted = Counter(words)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the whole product line."""

    total: int
    """Collections that are known, or have a result."""
    done: int
    """Collections with a result."""
    left: int
    """Collections that are known and have none."""
    compatible: int
    """Collections that can be tiled."""
    unlisted: int
    """Collections with a result that are not known (any more)."""
    by_reason: dict[str, int]
    """Results by reason, the most frequent first; `none` is compatible."""


def standing(rows: Mapping[Key, IndexRow], known: Collection[str] | None = None) -> Standing:
    """Sum up.

    Args:
        rows: the results, as `OutcomeBook.standing` gives them.
        known: concept ids of the collections that CMR lists; None where nobody asked CMR, so that
            the results are all there is.
    """
    by_reason = counts(row.reason for row in rows.values())
    checked = {key[0] for key in rows}
    listed = checked if known is None else set(known)
    return Standing(
        total=len(listed | checked),
        done=len(checked),
        left=len(listed - checked),
        compatible=by_reason.get(NO_REASON, 0),
        unlisted=len(checked - listed),
        by_reason=by_reason,
    )
