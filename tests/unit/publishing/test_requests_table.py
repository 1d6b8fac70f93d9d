"""The table of what waits."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from estinel_assets.publishing.inbox import Listing, Waiting
from estinel_assets.publishing.requests_table import SCHEMA, requests_frame

AT = datetime(2024, 12, 4, 12, 0, 0, 250000, tzinfo=UTC)


def test_a_row_a_folder_in_the_order_given() -> None:
    listing = Listing("f", AT, 3, 3_000_000_000)
    frame = requests_frame(
        [
            Waiting("b", Path("/in/b"), listing, "new"),
            Waiting("a", Path("/in/a"), listing, "due"),
        ]
    )

    assert [tuple(row.values()) for row in frame.to_dict("records")] == [
        ("b", "/in/b", 3, 3_000_000_000, AT, "new"),
        ("a", "/in/a", 3, 3_000_000_000, AT, "due"),
    ]


def test_an_empty_table_has_the_same_columns() -> None:
    frame = requests_frame([])

    assert len(frame) == 0
    assert frame.columns.tolist() == SCHEMA.names
    assert frame.dtypes.tolist() == [pd.ArrowDtype(kind) for kind in SCHEMA.types]
