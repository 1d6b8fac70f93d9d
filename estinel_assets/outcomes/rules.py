"""The rules by which outcomes are read: final, due, and which attempt comes next."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.reason import Reason, parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import OutcomeSettings


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often, and with which pauses, a unit that failed is tried again."""

    max_attempts: int
    """Attempts at an unchanged input before a retryable failure is final."""
    backoff_s: float
    """Pause after the first attempt, in seconds; doubled after each further one."""
    backoff_max_s: float
    """Longest pause, in seconds."""

    @classmethod
    def from_settings(cls, at: OutcomeSettings) -> Self:
        """The rule of the settings."""
        return cls(at.max_attempts, at.backoff_s, at.backoff_max_s)

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after so many attempts."""
        # Beyond sixty doublings every pause is the longest one.
        seconds = self.backoff_s * 2 ** min(attempts - 1, 60)
        return timedelta(seconds=min(seconds, self.backoff_max_s))


def is_final(row: IndexRow, reasons: type[Reason], *, max_attempts: int) -> bool:
    """Whether nothing more is to be done for a unit, as long as its input stays the same.

    Args:
        row: its outcome.
        reasons: the product line's reasons.
        max_attempts: attempts after which a retryable failure is given up.

    Returns:
        True on success, on a reason that is not retryable, or when the attempts are used up.
    """
    if row.status:
        return True
    return not _is_retryable(reasons, row.reason) or row.attempts >= max_attempts


def is_due(row: IndexRow, now: datetime, retry: RetryRule) -> bool:
    """Whether the pause after a unit's last attempt is over."""
    return row.finished_at + retry.pause(row.attempts) <= now


def next_attempt(row: IndexRow | Outcome | None, inputs: str) -> int:
    """The number of the attempt that would come now, from 1.

    Args:
        row: the unit's outcome so far, if any.
        inputs: the fingerprint of the input now; a changed one starts the attempts anew.
    """
    if row is None or row.status or row.inputs != inputs:
        return 1
    return row.attempts + 1


# Planning a site asks for hundreds of outcomes, of a handful of reasons.
@lru_cache(maxsize=256)
def _is_retryable(reasons: type[Reason], word: str) -> bool:
    return parse_reason(reasons, word).retryable
