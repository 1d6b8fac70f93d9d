"""Are the results sound? Pure verdicts on all of them at once."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from estinel_assets.compatibility.reasons import NETWORK_REASONS, CompatibilityReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.verdict import Verdict

MOST_INTERNAL_ERRORS = 0.01
"""A larger share of `internal_error` fails."""
MOST_CHANGE = 0.05
"""A reason whose share of all results grows by more from one table to the next fails."""
SHOWN = 20


def internal_errors(rows: Collection[IndexRow]) -> Verdict:
    """At most one result in a hundred is a bug of ours."""
    failing = sorted(row.key[0] for row in rows if row.reason == CompatibilityReason.INTERNAL_ERROR)
    share = len(failing) / len(rows) if rows else 0.0
    return Verdict(
        passed=share <= MOST_INTERNAL_ERRORS,
        description=f"{len(failing)} of {len(rows)} results are internal errors",
        numbers={"results": len(rows), "internal_errors": len(failing), "share": round(share, 4)},
        failing=tuple(failing[:SHOWN]),
    )


def results_age(rows: Collection[IndexRow], now: datetime, stale_days: float) -> Verdict:
    """No result is older than `compatibility.stale_days`."""
    limit = now - timedelta(days=stale_days)
    stale = sorted((row.finished_at, row.key[0]) for row in rows if row.finished_at < limit)
    oldest = min((row.finished_at for row in rows), default=now)
    return Verdict(
        passed=not stale,
        description=f"{len(stale)} of {len(rows)} results are older than {stale_days:g} days",
        numbers={
            "results": len(rows),
            "stale_results": len(stale),
            "oldest_days": round((now - oldest).total_seconds() / 86400, 2),
        },
        failing=tuple(concept_id for _, concept_id in stale[:SHOWN]),
    )


def distribution_change(
    former: Mapping[str, int] | None, latest: Mapping[str, int] | None
) -> Verdict:
    """No reason takes over between two tables: an outage looks like this, and so does a bug.

    Args:
        former: results by reason in the table before the latest; None where there is none.
        latest: those in the latest table.
    """
    if not former or not latest:
        return Verdict(passed=True, description="there are no two tables to compare")
    grown = {
        reason: round(_share(latest, reason) - _share(former, reason), 4)
        for reason in sorted({*former, *latest})
    }
    failing = [reason for reason, change in grown.items() if change > MOST_CHANGE]
    failing = [reason for reason in failing if reason != CompatibilityReason.NONE]
    network = sum(change for reason, change in grown.items() if reason in NETWORK_REASONS)
    named = ", ".join(f"{reason} by {grown[reason]:.1%}" for reason in failing)
    return Verdict(
        passed=not failing,
        description=f"grown: {named}" if failing else "no reason's share grew much",
        numbers={
            "former_results": sum(former.values()),
            "latest_results": sum(latest.values()),
            "network_change": round(network, 4),
        },
        failing=tuple(failing),
    )


def _share(counts: Mapping[str, int], reason: str) -> float:
    total = sum(counts.values())
    return counts.get(reason, 0) / total if total else 0.0
