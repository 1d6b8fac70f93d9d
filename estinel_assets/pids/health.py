"""Does registering keep up, and does it work? Pure verdicts on a group and on all outcomes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from heapq import nlargest

from estinel_assets.outcomes.ledger import Entry
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.verdict import Verdict
from estinel_assets.pids.kafka_lag import PartitionLag
from estinel_assets.pids.reasons import PidReason

MOST_BEHIND = 10_000
"""A group that is behind by more messages, over all partitions, fails."""
MOST_FAULTS = 0.1
"""A larger share of faults fails."""
RECENT = timedelta(hours=24)
"""Outcomes that are older say nothing of how registering works now."""
SHOWN = 20


def consumer_lag(lags: Sequence[PartitionLag], problem: str | None = None) -> Verdict:
    """At most 10,000 messages wait, and none was removed from Kafka before it was registered.

    Args:
        lags: where the group stands in each partition.
        problem: why that is not known; None where it is.
    """
    if problem is not None:
        return Verdict(passed=False, description=f"nobody can say what waits: {problem}")
    behind = sum(lag.behind for lag in lags)
    expired = sum(lag.expired for lag in lags)
    gone = f", and {expired} were removed from Kafka before they were registered" if expired else ""
    worst = sorted(lags, key=lambda lag: (-lag.expired, -lag.behind, lag.at))
    passed = behind <= MOST_BEHIND and not expired
    return Verdict(
        passed=passed,
        description=f"{behind} messages wait{gone}",
        numbers={
            "partitions": len(lags),
            "behind": behind,
            "most_behind": max((lag.behind for lag in lags), default=0),
            "expired": expired,
        },
        failing=()
        if passed
        else tuple(
            f"{lag.at.topic}/{lag.at.partition}" for lag in worst if lag.behind or lag.expired
        )[:SHOWN],
    )


def message_fault_rate(entries: Iterable[Entry], now: datetime) -> Verdict:
    """At most one message in ten of the last 24 hours ended with a fault.

    Args:
        entries: all outcomes as they stand, read once and not held.
        now: the time, aware.
    """
    counts: Counter[str] = Counter()

    def recent_faults() -> Iterable[Entry]:
        for entry in entries:
            if entry.modified_at is None or now - entry.modified_at > RECENT:
                continue
            counts[entry.reason] += 1
            if parse_reason(PidReason, entry.reason).fault:
                yield entry

    newest = nlargest(SHOWN, recent_faults(), key=lambda one: (one.modified_at, one.key))
    faults = Counter({w: n for w, n in counts.items() if parse_reason(PidReason, w).fault})
    messages, failed = counts.total(), faults.total()
    share = failed / messages if messages else 0.0
    why = f", most of them {faults.most_common(1)[0][0]}" if faults else ""
    return Verdict(
        passed=share <= MOST_FAULTS,
        description=f"{failed} of {messages} messages of the last "
        f"{RECENT / timedelta(hours=1):g} hours ended with a fault{why}",
        numbers={"messages": messages, "faults": failed, "share": round(share, 4)},
        failing=tuple(encode_key(entry.key) for entry in newest),
    )
