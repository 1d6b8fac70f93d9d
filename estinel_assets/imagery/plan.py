"""Which solar days a run has to make, and how far the site is done.

Pure: what is stored, what the source offers and the time come in as arguments.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import RetryRule, is_due, is_final, next_attempt


class Cause(StrEnum):
    """Why a day is planned."""

    NEW = "new"
    """It has no outcome."""
    CHANGED = "changed"
    """Its scenes, window, bands or harmonisation are others than those of its outcome."""
    INTERRUPTED = "interrupted"
    """A worker stopped while it replaced the day's images."""
    DUE = "due"
    """It failed, attempts are left, and the pause since the last one is over."""
    REPROCESSED = "reprocessed"
    """Somebody asked for it."""
    REMADE = "remade"
    """Somebody asked for some of its products."""


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """One day to make."""

    day: date
    cause: Cause
    attempt: int
    fingerprint: str
    """Of the scenes, window, bands and harmonisation that go in."""


@dataclass(frozen=True, slots=True)
class SiteState:
    """What is known of a site's days."""

    fingerprints: Mapping[date, str]
    """Of every day that the source offers now. One may be made when it is asked for, so that only
    those that count are."""
    outcomes: Mapping[date, IndexRow]
    adopted_until: date | None
    """Days up to it that have no outcome were made by another system; None where none were."""

    def adopts(self, day: date) -> bool:
        """Whether another system made the day."""
        return self.adopted_until is not None and day <= self.adopted_until

    def known_days(self) -> list[date]:
        """Every day that the source offers or that has an outcome, oldest first."""
        return sorted({*self.fingerprints, *self.outcomes})

    def is_changed(self, day: date) -> bool:
        """Whether the source offers something else than the day's outcome was made of."""
        offered, outcome = self.fingerprints.get(day), self.outcomes.get(day)
        return offered is not None and outcome is not None and offered != outcome.inputs


def plan_days(
    state: SiteState, *, first_day: date, now: datetime, retry: RetryRule
) -> tuple[PlannedDay, ...]:
    """Plan a site.

    Args:
        state: what is known of it.
        first_day: the first day that the search covered whole; what is known of earlier days may
            be a part, so that only days that are known to be unfinished are taken from there.
        now: the time, aware.
        retry: when a failed day is tried again.

    Returns:
        The days to make, oldest first.
    """
    return tuple(_planned(state, first_day, now, retry))


def _planned(
    state: SiteState, first_day: date, now: datetime, retry: RetryRule
) -> Iterator[PlannedDay]:
    # Of a day that the source never offered, or whose table was lost, nothing could be made.
    for day in sorted(state.fingerprints):
        if not is_open(state, day, first_day=first_day, max_attempts=retry.max_attempts):
            continue
        outcome = state.outcomes.get(day)
        cause = _cause(state, day, outcome, now, retry)
        if cause is not None:
            offered = state.fingerprints[day]
            yield PlannedDay(day, cause, next_attempt(outcome, offered), offered)


def _cause(
    state: SiteState, day: date, outcome: IndexRow | None, now: datetime, retry: RetryRule
) -> Cause | None:
    """Why an open day is planned; None while it has to wait."""
    if outcome is None:
        return Cause.NEW
    if state.is_changed(day):
        return Cause.CHANGED
    if outcome.reason == ImageryReason.INTERRUPTED:
        return Cause.INTERRUPTED
    return Cause.DUE if is_due(outcome, now, retry) else None


def is_open(state: SiteState, day: date, *, first_day: date, max_attempts: int) -> bool:
    """Whether something is left to be done for a day, now or after a pause.

    Args:
        state: what is known of the site.
        day: the day.
        first_day: the first day that the search covered whole. An earlier day may be known by a
            part of its scenes, so that neither its newness nor a change of it counts; only a
            failure that is to be tried again does.
        max_attempts: attempts after which a retryable failure is given up.
    """
    outcome = state.outcomes.get(day)
    if outcome is None:
        return day >= first_day and not state.adopts(day)
    if not is_final(outcome, ImageryReason, max_attempts=max_attempts):
        return True
    return day >= first_day and state.is_changed(day)


def last_finished_day(
    state: SiteState, *, start: date, first_day: date, max_attempts: int
) -> date | None:
    """The last day such that it and every earlier known day are final; None where none is.

    Args:
        state: what is known of the site.
        start: days before it do not count.
        first_day: as for `plan_days`. A day that is never planned must not hold the marker up.
        max_attempts: attempts after which a retryable failure is given up.
    """
    last = None
    for day in state.known_days():
        if day < start:
            continue
        if is_open(state, day, first_day=first_day, max_attempts=max_attempts):
            break
        if day in state.outcomes or state.adopts(day):
            last = day
    return last


def given_up(state: SiteState, *, max_attempts: int) -> list[date]:
    """The days whose attempts are used up, oldest first."""
    return [
        day
        for day, outcome in sorted(state.outcomes.items())
        if not outcome.status
        and _is_retryable(outcome)
        and is_final(outcome, ImageryReason, max_attempts=max_attempts)
    ]


def _is_retryable(outcome: IndexRow) -> bool:
    return any(reason.retryable for reason in ImageryReason if reason == outcome.reason)


def outcomes_by_day(rows: Iterable[IndexRow]) -> dict[date, IndexRow]:
    """The days' outcomes of a site's index, leaving out its search."""
    found = {}
    for row in rows:
        try:
            found[date.fromisoformat(row.key[-1])] = row
        except ValueError:  # not a day: the site's search
            continue
    return found
