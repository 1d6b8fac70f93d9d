"""Which solar days a run has to make. Pure: everything comes in as an argument."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import is_final, next_attempt


class Cause(StrEnum):
    """Why a day is planned."""

    NEW = "new"
    CHANGED = "changed"
    INTERRUPTED = "interrupted"
    DUE = "due"
    REMADE = "remade"


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """One day to make."""

    day: date
    cause: Cause
    attempt: int
    fingerprint: str
    """Of the scenes, window, bands and harmonisation that go in."""


def plan_days(
    fingerprints: Mapping[date, str],
    outcomes: Mapping[date, IndexRow],
    *,
    max_attempts: int,
) -> tuple[PlannedDay, ...]:
    """Plan a site.

    Args:
        fingerprints: of every day that the source offers now, by solar day.
        outcomes: what is known of the site's days.
        max_attempts: attempts after which a retryable failure is given up.

    Returns:
        The days to make, oldest first.
    """
    planned = (
        _planned(day, fingerprint, outcomes.get(day), max_attempts)
        for day, fingerprint in sorted(fingerprints.items())
    )
    return tuple(day for day in planned if day is not None)


def _planned(
    day: date, fingerprint: str, outcome: IndexRow | None, max_attempts: int
) -> PlannedDay | None:
    cause = _cause(fingerprint, outcome, max_attempts)
    if cause is None:
        return None
    return PlannedDay(day, cause, next_attempt(outcome, fingerprint), fingerprint)


def _cause(fingerprint: str, outcome: IndexRow | None, max_attempts: int) -> Cause | None:
    if outcome is None:
        return Cause.NEW
    if outcome.inputs != fingerprint:
        return Cause.CHANGED
    if is_final(outcome, ImageryReason, max_attempts=max_attempts):
        return None
    return Cause.INTERRUPTED if outcome.reason == ImageryReason.INTERRUPTED else Cause.DUE


def outcomes_by_day(rows: Iterable[IndexRow]) -> dict[date, IndexRow]:
    """The days' outcomes of a site's index, leaving out its search."""
    found = {}
    for row in rows:
        try:
            found[date.fromisoformat(row.key[-1])] = row
        except ValueError:  # not a day: the site's search
            continue
    return found
