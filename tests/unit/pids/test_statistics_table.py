"""The table of messages and handles by day and reason."""

from datetime import date, timedelta, timezone
from typing import Any

import pandas as pd

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.statistics_table import SCHEMA, statistics_frame
from tests.support.outcomes import NOON, outcome

DAY = timedelta(days=1) / timedelta(minutes=1)


def message(offset: int, reason: str = "none", *, days: int = 0, **detail: Any) -> Outcome:
    return outcome(
        *("CMIP6", "0", str(offset)),
        reason=reason,
        minutes=days * DAY,
        product="pids",
        detail=detail,
    )


def test_a_row_for_each_day_and_reason() -> None:
    frame = statistics_frame(
        [
            message(1, created=3, replicas=2, warnings=["a", "b"], warnings_count=2),
            message(2, created=1, updated=2, unchanged=4, superseded=1, patched=True),
            message(3, retracted=True, retries=2, updated=3),
            message(4, "invalid_message"),
            message(5, "handle_unavailable", created=1),
            message(6, days=1, unchanged=3),
        ]
    )

    assert frame.columns.tolist() == SCHEMA.names
    assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
    first, second = date(2024, 12, 4), date(2024, 12, 5)
    known = frame[["day", "reason", "messages", "created", "updated"]]
    assert known.to_numpy().tolist() == [
        [first, "handle_unavailable", 1, 1, 0],
        [first, "invalid_message", 1, 0, 0],
        [first, "none", 3, 4, 5],
        [second, "none", 1, 0, 0],
    ]
    good = frame.iloc[2].to_dict()
    counted = ("unchanged", "superseded", "patched", "retracted", "retried", "replicas", "warnings")
    assert [good[name] for name in counted] == [4, 1, 1, 1, 1, 2, 2]
    assert good["duration_s"] == 9.0
    flags = frame[["retryable", "fault"]].to_numpy().tolist()
    assert flags == [[True, True], [False, True], [False, False], [False, False]]


def test_days_are_those_of_utc() -> None:
    east = (NOON + timedelta(hours=11)).astimezone(timezone(timedelta(hours=5)))
    made = message(1).model_copy(update={"finished_at": east})

    assert east.date() == date(2024, 12, 5)
    assert statistics_frame([made])["day"].tolist() == [date(2024, 12, 4)]


def test_without_outcomes_the_table_has_its_columns() -> None:
    frame = statistics_frame([])

    assert frame.empty
    assert frame.columns.tolist() == SCHEMA.names
