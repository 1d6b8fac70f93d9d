"""Which collections are to be checked: those never checked, and those due for another try. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule, is_due, is_final


def unchecked(known: Iterable[str], rows: Mapping[Key, IndexRow]) -> list[str]:
    """The collections without a result, in their order.

    Args:
        known: concept ids.
        rows: the results.
    """
    return [concept_id for concept_id in known if (concept_id,) not in rows]


def due(rows: Mapping[Key, IndexRow], now: datetime, retry: RetryRule) -> list[str]:
    """The collections whose failure is worth another try now, those that waited longest first.

    Args:
        rows: the results.
        now: the time, aware.
        retry: how often and with which pauses.
    """
    waiting = [
        row
        for row in rows.values()
        if not is_final(row, CompatibilityReason, max_attempts=retry.max_attempts)
        and is_due(row, now, retry)
    ]
    return [row.key[0] for row in sorted(waiting, key=lambda row: (row.finished_at, row.key))]
