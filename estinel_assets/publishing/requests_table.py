"""The table of what waits in the inbox, a row a job folder."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from estinel_assets.publishing.inbox import Waiting

SCHEMA = pa.schema(
    [
        ("publication", pa.string()),
        ("folder", pa.string()),
        ("files", pa.int64()),
        ("bytes", pa.int64()),
        ("changed_at", pa.timestamp("us", tz="UTC")),
        ("why", pa.string()),
    ]
)
"""`changed_at`: when something in the folder changed last; `why`: `new`, `changed` or `due`."""


def requests_frame(waiting: Iterable[Waiting]) -> pd.DataFrame:
    """The table, in the order of what is given."""
    rows = [
        {
            "publication": one.publication,
            "folder": str(one.folder),
            "files": one.listing.files,
            "bytes": one.listing.bytes,
            "changed_at": one.listing.changed_at,
            "why": one.why,
        }
        for one in waiting
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame
