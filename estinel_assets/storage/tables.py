"""Tables as Parquet: the same bytes for the same table, zstd inside."""

import io
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage.port import ObjectMeta, ObjectStore

PARQUET_TYPE = "application/vnd.apache.parquet"

_COMPRESSION_LEVEL = 3
_ROWS_A_GROUP = 128 * 1024


def table_bytes(table: pa.Table | pd.DataFrame) -> bytes:
    """Encode a table.

    The bytes depend on the rows, the schema and its metadata, not on how a table is cut into
    chunks or in which order its metadata came; another version of pyarrow may write others.

    Args:
        table: an Arrow table, or a pandas DataFrame whose index is dropped.

    Raises:
        BadInputError: a column holds what Arrow has no type for.
    """
    whole = _arrow(table).combine_chunks()
    metadata = whole.schema.metadata or {}
    whole = whole.replace_schema_metadata(dict(sorted(metadata.items())) or None)
    packed = io.BytesIO()
    pq.write_table(
        whole,
        packed,
        version="2.6",
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        row_group_size=_ROWS_A_GROUP,
    )
    return packed.getvalue()


def table_from_bytes(
    body: bytes, *, columns: Sequence[str] | None = None, what: str = "the table"
) -> pa.Table:
    """Decode a table.

    Args:
        body: Parquet.
        columns: which columns to read; all by default.
        what: names the table in messages.

    Raises:
        StoreError: it is not Parquet.
        BadInputError: it has no such column.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        wanted = None if columns is None else list(columns)
        absent = sorted(set(wanted or ()) - set(file.schema_arrow.names))
        if absent:
            raise BadInputError(
                f"{what} has no column {', '.join(absent)}; "
                f"it has {', '.join(file.schema_arrow.names)}"
            )
        return file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{what} is not Parquet ({error}); restore or remove it") from None


def write_table(store: ObjectStore, path: str, table: pa.Table | pd.DataFrame) -> ObjectMeta:
    """Store a table; see `table_bytes`.

    Raises:
        BadInputError: a column holds what Arrow has no type for.
        StoreError: the store refuses.
    """
    return store.put(path, table_bytes(table), content_type=PARQUET_TYPE)


def read_table(store: ObjectStore, path: str, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Load a table as Arrow.

    Raises:
        NotFoundError: there is none.
        StoreError: it is not Parquet, or the store refuses.
        BadInputError: it has no such column.
    """
    return table_from_bytes(store.get(path).data, columns=columns, what=store.uri(path))


def read_frame(
    store: ObjectStore, path: str, *, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Load a table as a pandas DataFrame on Arrow; raises as `read_table` does."""
    frame = read_table(store, path, columns=columns).to_pandas(types_mapper=pd.ArrowDtype)
    return pd.DataFrame(frame)


def _arrow(table: pa.Table | pd.DataFrame) -> pa.Table:
    if not isinstance(table, pd.DataFrame):
        return table
    try:
        return pa.Table.from_pandas(table, preserve_index=False)
    except pa.ArrowException as error:
        raise BadInputError(
            f"the table cannot be stored: {'; '.join(map(str, error.args))}"
        ) from None
