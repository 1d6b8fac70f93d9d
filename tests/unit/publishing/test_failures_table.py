"""The table of failures by day and reason."""

from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.outcomes.index import IndexRow
from estinel_assets.publishing.failures_table import SCHEMA, by_reason, by_status, failures_frame
from estinel_assets.publishing.reasons import PublishingReason

REASON = PublishingReason
EASTERN = timezone(timedelta(hours=11))


def row(name: str, reason: str, at: datetime) -> IndexRow:
    return IndexRow((name,), reason == REASON.NONE, reason, 1, "", at, at, "r", "p", "e")


def test_failures_are_counted_by_day_and_reason() -> None:
    late, early = datetime(2024, 12, 4, 23, 59, tzinfo=UTC), datetime(2024, 12, 5, tzinfo=UTC)
    rows = [
        row("a", REASON.STAC_FAILED, late),
        row("b", REASON.NOT_ENABLED, early),
        row("c", REASON.NONE, early),
        # A day is UTC's, wherever the time was written.
        row("d", REASON.STAC_FAILED, datetime(2024, 12, 5, 10, 0, tzinfo=EASTERN)),
        row("e", REASON.STAC_FAILED, early),
        row("f", REASON.NO_MATCH, late),
    ]

    frame = failures_frame(rows)

    assert [tuple(one.values()) for one in frame.to_dict("records")] == [
        (date(2024, 12, 4), "no_match", False, True, 1),
        (date(2024, 12, 4), "stac_failed", True, True, 2),
        (date(2024, 12, 5), "not_enabled", False, False, 1),
        (date(2024, 12, 5), "stac_failed", True, True, 1),
    ]
    assert by_status(rows) == {"true": 1, "false": 5}
    assert by_reason(rows) == {"no_match": 1, "not_enabled": 1, "stac_failed": 3}


def test_without_failures_the_table_is_empty_and_has_its_columns() -> None:
    frame = failures_frame([row("a", REASON.NONE, datetime(2024, 12, 4, tzinfo=UTC))])

    assert len(frame) == 0
    assert frame.columns.tolist() == SCHEMA.names
    assert frame.dtypes.tolist() == [pd.ArrowDtype(kind) for kind in SCHEMA.types]
    assert by_status([]) == {"true": 0, "false": 0}
    assert by_reason([]) == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(list(REASON)), st.datetimes(timezones=st.just(UTC))), max_size=30
    )
)
def test_every_failure_is_counted_once(some: list[tuple[PublishingReason, datetime]]) -> None:
    rows = [row(str(number), reason, at) for number, (reason, at) in enumerate(some)]

    frame = failures_frame(rows)

    assert frame["count"].sum() == by_status(rows)["false"] == sum(by_reason(rows).values())
    assert not frame.duplicated(["day", "reason"]).any()
