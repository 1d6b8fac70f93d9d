"""Does publishing work? Pure verdicts on all publications at once."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.verdict import Verdict
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.unclosed import Unclosed

MOST_FAULTS = 0.1
"""A larger share of faults fails."""
RECENT = timedelta(days=30)
"""Outcomes that are older say nothing of how publishing works now."""
LONGEST_OPEN = timedelta(hours=1)
"""A journal that is open for longer, and that nobody works on, fails."""
SHOWN = 20


def publication_failure_rate(rows: Iterable[IndexRow], now: datetime) -> Verdict:
    """At most one publication in ten of the last 30 days ended with a fault."""
    recent = [row for row in rows if now - row.finished_at <= RECENT]
    faults = sorted(
        (row for row in recent if parse_reason(PublishingReason, row.reason).fault),
        key=lambda row: (row.finished_at, row.key),
        reverse=True,
    )
    share = len(faults) / len(recent) if recent else 0.0
    most = Counter(row.reason for row in faults).most_common(1)
    why = f", most of them {most[0][0]}" if most else ""
    return Verdict(
        passed=share <= MOST_FAULTS,
        description=f"{len(faults)} of {len(recent)} publications of the last {RECENT.days} days "
        f"ended with a fault{why}",
        numbers={"publications": len(recent), "faults": len(faults), "share": round(share, 4)},
        failing=tuple(row.key[0] for row in faults[:SHOWN]),
    )


def open_journals(journals: Iterable[Unclosed], now: datetime) -> Verdict:
    """No journal is open for over an hour without somebody working on its publication."""
    known = list(journals)
    forgotten = sorted(
        (one.since, one.publication)
        for one in known
        if not one.held and now - one.since > LONGEST_OPEN
    )
    names = tuple(dict.fromkeys(name for _, name in forgotten))
    oldest = min((since for since, _ in forgotten), default=now)
    named = f": {', '.join(names[:SHOWN])}; see `estinel publish recover`" if names else ""
    return Verdict(
        passed=not forgotten,
        description=f"{len(forgotten)} journals are open for over an hour{named}",
        numbers={
            "open_journals": len(known),
            "journals_in_use": sum(one.held for one in known),
            "forgotten_journals": len(forgotten),
            "oldest_hours": round((now - oldest).total_seconds() / 3600, 2),
        },
        failing=names[:SHOWN],
    )
