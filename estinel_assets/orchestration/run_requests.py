"""When to ask for a run: how often it was tried already, and with which pauses. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import takewhile

from estinel_assets.outcomes.rules import RetryRule

ORPHAN_AGE = timedelta(minutes=10)
"""A run that nobody ends and that holds nothing counts as dead after this time.

Dagster notices when a run's process dies, but not when the whole host or a run of the command line
does: it calls them started for ever.
"""


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run that was started for some content before."""

    finished_at: datetime | None
    """When it ended, UTC; None while it is queued or goes on."""
    success: bool = False
    content: str = ""
    """What it was started for."""


def digest(content: object) -> str:
    """A short name for content, by its `repr`."""
    return sha256(repr(content).encode()).hexdigest()[:16]


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


def needs_run(content: str, runs: Sequence[EarlierRun], now: datetime, retry: RetryRule) -> bool:
    """Whether to ask for a run now that brings something into step with its content.

    Content may come back (a table of sites is changed, and changed back), and is then worth
    another run although one has succeeded with it before.

    Args:
        content: what it should be in step with now.
        runs: the runs before, for any content, the newest first.
        now: the time, aware.
        retry: how often and with which pauses a run that failed is asked for again.

    Returns:
        False where the last run did it, while a run goes on, during a pause, or when all attempts
        are used up.
    """
    if any(run.finished_at is None for run in runs):
        return False
    if runs and runs[0].content == content and runs[0].success:
        return False
    failed = list(takewhile(lambda run: run.content == content and not run.success, runs))
    return attempt_to_request(failed, now, retry) is not None


def is_orphan(started_at: datetime, now: datetime, *, held: bool) -> bool:
    """Whether a run that is said to go on has in truth lost its process.

    Args:
        started_at: when it started, aware.
        now: the time, aware.
        held: whether somebody holds what it works on.
    """
    return not held and now - started_at >= ORPHAN_AGE


def turn_of(names: Iterable[str], cursor: str, most: int) -> list[str]:
    """What a tick looks at.

    Args:
        names: all there are.
        cursor: the last one that was looked at; empty before the first tick. It is never reset:
            Dagster takes an empty cursor for none, and keeps the former one.
        most: how many a tick looks at.

    Returns:
        The names after the cursor, in order; from the first one where none is left after it.
    """
    ordered = sorted(names)
    left = [name for name in ordered if name > cursor] or ordered
    return left[:most]
