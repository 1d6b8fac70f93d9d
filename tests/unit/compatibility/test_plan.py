"""Which collections are checked: never checked ones, and failures that are due."""

from datetime import UTC, datetime, timedelta

from estinel_assets.compatibility.plan import due, unchecked
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import RetryRule

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RETRY = RetryRule(max_attempts=3, backoff_s=3600, backoff_max_s=86400)
REASON = CompatibilityReason


def row(concept_id, reason, *, hours_ago=48.0, attempts=1):
    at = NOW - timedelta(hours=hours_ago)
    return IndexRow(
        key=(concept_id,),
        status=reason == REASON.NONE,
        reason=reason,
        attempts=attempts,
        inputs="",
        started_at=at,
        finished_at=at,
        run_id="r",
        path="p",
        etag="e",
    )


def rows(*some):
    return {one.key: one for one in some}


def test_unchecked_keeps_the_order():
    known = ["C3-X", "C1-X", "C2-X"]

    assert unchecked(known, rows(row("C1-X", REASON.TIMEOUT))) == ["C3-X", "C2-X"]
    assert unchecked([], {}) == []


def test_only_retryable_failures_are_due():
    standing = rows(*(row(f"C{n}-X", reason) for n, reason in enumerate(REASON)))

    again = {standing[(concept_id,)].reason for concept_id in due(standing, NOW, RETRY)}

    assert again == {
        REASON.TIMEOUT,
        REASON.FORBIDDEN,
        REASON.CANT_OPEN_FILE,
        REASON.INTERNAL_ERROR,
    }


def test_pauses_double_and_attempts_end():
    standing = rows(
        row("C1-X", REASON.TIMEOUT, hours_ago=0.9),
        row("C2-X", REASON.TIMEOUT, hours_ago=1.1),
        row("C3-X", REASON.TIMEOUT, hours_ago=1.1, attempts=2),
        row("C4-X", REASON.TIMEOUT, hours_ago=2.1, attempts=2),
        row("C5-X", REASON.TIMEOUT, hours_ago=999, attempts=3),
    )

    assert due(standing, NOW, RETRY) == ["C4-X", "C2-X"]
