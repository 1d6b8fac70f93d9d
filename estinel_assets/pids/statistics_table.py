"""The table of what became of messages, by day and reason."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date

import pandas as pd
import pyarrow as pa

from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.reasons import PidReason

SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("reason", pa.string()),
        ("retryable", pa.bool_()),
        ("fault", pa.bool_()),
        ("messages", pa.int64()),
        ("retried", pa.int64()),
        ("patched", pa.int64()),
        ("retracted", pa.int64()),
        ("created", pa.int64()),
        ("updated", pa.int64()),
        ("unchanged", pa.int64()),
        ("superseded", pa.int64()),
        ("replicas", pa.int64()),
        ("warnings", pa.int64()),
        ("duration_s", pa.float64()),
    ]
)
"""`day`: UTC, of `finished_at`; `retryable` and `fault`: as the reason's own table has them;
`messages`, of which so many were `retried` from what was kept, were `patched` (a JSON Patch) or
`retracted` (announced a retraction); `created`, `updated`, `unchanged` and `superseded`: handles
(the last were left alone, because a newer message had registered them); `replicas` and `warnings`:
how many in all; `duration_s`: work in seconds, many messages at once."""

HANDLES = ("created", "updated", "unchanged", "superseded")


@dataclass(slots=True)
class _Sums:
    """What a row counts."""

    messages: int = 0
    retried: int = 0
    patched: int = 0
    retracted: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    replicas: int = 0
    warnings: int = 0
    duration_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        detail = outcome.detail
        self.messages += 1
        self.retried += detail.get("retries", 0) > 0
        self.patched += bool(detail.get("patched"))
        self.retracted += bool(detail.get("retracted"))
        self.created += detail.get("created", 0)
        self.updated += detail.get("updated", 0)
        self.unchanged += detail.get("unchanged", 0)
        self.superseded += detail.get("superseded", 0)
        self.replicas += detail.get("replicas", 0)
        self.warnings += detail.get("warnings_count", 0)
        self.duration_s += outcome.duration_s


def statistics_frame(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A row for each day and reason, by both.

    Args:
        outcomes: as they stand, read once and not held; a message that failed and went well later
            counts on the later day only.
    """
    sums: dict[tuple[date, str], _Sums] = {}
    for outcome in outcomes:
        row = outcome.finished_at.astimezone(UTC).date(), outcome.reason
        sums.setdefault(row, _Sums()).add(outcome)
    made = []
    for (day, word), counted in sorted(sums.items()):
        reason = parse_reason(PidReason, word)
        flags = {"retryable": reason.retryable, "fault": reason.fault}
        made.append({"day": day, "reason": word, **flags, **asdict(counted)})
    table = pa.Table.from_pylist(made, schema=SCHEMA)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame
