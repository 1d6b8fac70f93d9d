"""Outcomes for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from estinel_assets.outcomes.reason import Reason
from estinel_assets.outcomes.record import Outcome

NOON = datetime(2024, 12, 4, 12, 0, tzinfo=UTC)


class CakeReason(Reason):
    """Reasons of a made-up product line."""

    NONE = "none", False, False, "Baked."
    TOO_FLAT = "too_flat", False, False, "It did not rise."
    OVEN_COLD = "oven_cold", True, True, "The oven was cold."
    INTERRUPTED = "interrupted", True, True, "Nobody took it out."
    INTERNAL_ERROR = "internal_error", True, True, "A bug."


def outcome(
    *key: str, reason: str = "none", minutes: float = 0, run_id: str = "run", **more: Any
) -> Outcome:
    """A record that finished some minutes after noon."""
    finished_at = NOON + timedelta(minutes=minutes)
    fields: dict[str, Any] = {
        "product": "cake",
        "key": key,
        "status": reason == "none",
        "reason": reason,
        "error": None if reason == "none" else f"it was {reason}",
        "attempts": 1,
        "started_at": finished_at - timedelta(seconds=3),
        "finished_at": finished_at,
        "duration_s": 3.0,
        "run_id": run_id,
        "code_version": "1",
        "inputs": "abc123",
        "detail": {"n": 1},
    }
    return Outcome(**{**fields, **more})
