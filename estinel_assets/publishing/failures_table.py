"""The table of publications that failed, by day and reason."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC

import pandas as pd
import pyarrow as pa

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.publishing.reasons import PublishingReason

SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("reason", pa.string()),
        ("retryable", pa.bool_()),
        ("fault", pa.bool_()),
        ("count", pa.int64()),
    ]
)
"""`day`: UTC, of `finished_at`; `retryable` and `fault`: as the reason's own table has them."""


def failures_frame(rows: Iterable[IndexRow]) -> pd.DataFrame:
    """Publications that do not stand, a row a day and reason, by both.

    Args:
        rows: the outcomes as they stand; one that failed and went well later counts no more.
    """
    counts = Counter(
        (row.finished_at.astimezone(UTC).date(), row.reason) for row in rows if not row.status
    )
    flags = {word: parse_reason(PublishingReason, word) for _, word in counts}
    made = [
        {
            "day": day,
            "reason": word,
            "retryable": flags[word].retryable,
            "fault": flags[word].fault,
            "count": count,
        }
        for (day, word), count in sorted(counts.items())
    ]
    table = pa.Table.from_pylist(made, schema=SCHEMA)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def by_status(rows: Iterable[IndexRow]) -> Mapping[str, int]:
    """How many publications stand and how many do not: `true` and `false`."""
    counts = Counter("true" if row.status else "false" for row in rows)
    return {word: counts[word] for word in ("true", "false")}


def by_reason(rows: Iterable[IndexRow]) -> Mapping[str, int]:
    """How many publications do not stand, by reason."""
    return dict(sorted(Counter(row.reason for row in rows if not row.status).items()))
