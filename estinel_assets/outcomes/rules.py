"""The rules by which outcomes are read: final, and which attempt comes next."""

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.reason import Reason, parse_reason


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
    return not parse_reason(reasons, row.reason).retryable or row.attempts >= max_attempts


def next_attempt(row: IndexRow | None, inputs: str) -> int:
    """The number of the attempt that would come now, from 1.

    Args:
        row: the unit's outcome so far, if any.
        inputs: the fingerprint of the input now; a changed one starts the attempts anew.
    """
    if row is None or row.status or row.inputs != inputs:
        return 1
    return row.attempts + 1
