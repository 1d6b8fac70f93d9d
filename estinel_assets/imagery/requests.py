"""When a site asks for a run: what there is to do, and how often it was tried already. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from estinel_assets.imagery.plan import PlannedDay
from estinel_assets.outcomes.rules import RetryRule

BOOTSTRAP = "bootstrap"
"""Content of a site's first run, which needs no search to be known as necessary."""


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run that was started for a site's content before."""

    finished_at: datetime | None
    """When it ended, UTC; None while it is queued or goes on."""


def content_of(plan: Iterable[PlannedDay]) -> str | None:
    """Names what a plan would do: equal for equal days, inputs and attempts; None for an empty one.

    Args:
        plan: a site's.
    """
    rows = [(day.day.isoformat(), day.fingerprint, day.attempt) for day in plan]
    return sha256(repr(sorted(rows)).encode()).hexdigest()[:16] if rows else None


def attempt_to_request(
    earlier: Sequence[EarlierRun], now: datetime, retry: RetryRule
) -> int | None:
    """Which attempt at a content is to be asked for now.

    A run that crashed leaves the same content behind. It is asked for again, with another run key,
    as often and with the same pauses as a unit that failed.

    Args:
        earlier: every run that was started for this content.
        now: the time, aware.
        retry: how often and with which pauses.

    Returns:
        The attempt, from 1; None while a run goes on, during a pause, or when all are used up.
    """
    ended = [run.finished_at for run in earlier if run.finished_at is not None]
    if len(ended) < len(earlier) or len(ended) >= retry.max_attempts:
        return None
    if ended and max(ended) + retry.pause(len(ended)) > now:
        return None
    return len(ended) + 1
