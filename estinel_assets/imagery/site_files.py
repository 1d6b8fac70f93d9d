"""The cells of a table of sites, from CSV or Parquet, before anything is made of them."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from estinel_assets.errors import BadInputError

Cell: TypeAlias = str | float | None
"""Text without blanks around it, a number, or None where missing."""

NEEDED_COLUMNS: Final = ("location", "lon", "lat")
READ_COLUMNS: Final = (
    *NEEDED_COLUMNS,
    "resolution",
    "radiusx",
    "radiusy",
    "purpose",
    "SITE_ID",
)
_PARQUET_MAGIC = b"PAR1"
_MISSING = frozenset({"", "NA"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    number: int
    """Counted from 1, below the header; blank lines do not count."""
    cells: Mapping[str, Cell]
    """By column; a column of `READ_COLUMNS` that the table lacks is absent."""
    surplus_cells: int = 0
    """How many more cells the row has than the header."""


def read_rows(payload: bytes, name: str) -> list[Row]:
    """Read the columns that matter.

    Args:
        payload: a CSV file in UTF-8 or a Parquet file, told apart by their content.
        name: what to call the table in messages.

    Raises:
        BadInputError: it cannot be read, has no rows, or lacks a column.
    """
    if payload.startswith(_PARQUET_MAGIC):
        rows = _parquet_rows(payload, name)
    else:
        rows = _csv_rows(payload, name)
    if not rows:
        raise BadInputError(f"{name}: the table has no rows: give at least one site")
    return rows


def _csv_rows(payload: bytes, name: str) -> list[Row]:
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{name}: byte {error.start} is not UTF-8: save the table as CSV in UTF-8 or Parquet"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise BadInputError(
            f"{name}: line {reader.line_num} is not CSV ({error}): check its quotes"
        ) from error
    if not lines:
        raise BadInputError(f"{name}: the table is empty: give a header and at least one site")
    header = [column.strip() for column in lines[0]]
    _check_columns(header, name)
    return [
        Row(
            number=number,
            cells={
                column: _text(value)
                for column, value in zip(header, line, strict=False)
                if column in READ_COLUMNS
            },
            surplus_cells=max(0, len(line) - len(header)),
        )
        for number, line in enumerate(lines[1:], start=1)
    ]


def _parquet_rows(payload: bytes, name: str) -> list[Row]:
    try:
        file = pq.ParquetFile(io.BytesIO(payload))
        _check_columns(file.schema_arrow.names, name)
        wanted = [column for column in READ_COLUMNS if column in file.schema_arrow.names]
        records = file.read(columns=wanted).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(
            f"{name}: is not a readable Parquet file ({error}): write it again"
        ) from error
    return [
        Row(number, {column: _cell(value) for column, value in record.items()})
        for number, record in enumerate(records, start=1)
    ]


def _check_columns(header: Iterable[str], name: str) -> None:
    columns = list(header)
    missing = [column for column in NEEDED_COLUMNS if column not in columns]
    if missing:
        shown = ", ".join(repr(column[:40]) for column in columns[:20])
        raise BadInputError(
            f"{name}: column {', '.join(missing)} is missing, there is {shown}: "
            "name the columns in the first row, with commas between"
        )
    twice = sorted({column for column in READ_COLUMNS if columns.count(column) > 1})
    if twice:
        raise BadInputError(
            f"{name}: column {', '.join(twice)} stands there more than once: remove one"
        )


def _text(value: str) -> str | None:
    stripped = value.strip()
    return None if stripped in _MISSING else stripped


def _cell(value: object) -> Cell:
    """A Parquet value; whatever is neither text nor a number becomes text that is no number."""
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return ",".join(str(word) for word in value) or None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        number = float(value)
        # pandas writes a missing number as NaN.
        return None if math.isnan(number) else number
    return repr(value)
