"""Results on stdout: one JSON document, or a table.

On a terminal tables are Rich's and fold long values. Elsewhere they are plain aligned columns,
never cut and without colour. Values of ours never reach a terminal raw: a site's name or an error
message could carry control sequences.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import typer

from estinel_assets.cli.exit_codes import ExitCode

_SHORT: Final = 24
"""Columns up to this width are kept whole on a terminal if possible."""
_FRAME: Final = 3
"""What the frame takes of the width for each column."""


@dataclass(frozen=True, slots=True)
class Table:
    """A result as rows."""

    columns: Sequence[str]
    """Their headings."""
    rows: Iterable[Sequence[object]]
    """Values as they are; numbers stand on the right."""
    caption: str = ""
    """A line below, on terminals only."""


def cell_text(value: object) -> str:
    """A value as one printable line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, float):
        return f"{value:g}"
    return printable(str(value))


def printable(text: str) -> str:
    """A text on one line, with every control or invisible character escaped."""
    return "".join(
        character
        if character.isprintable() or unicodedata.category(character) == "Zs"
        else " "
        if character in "\n\t"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def write_json(document: object) -> None:
    """Print a JSON document. ASCII only, so that it survives any locale.

    Args:
        document: dicts with text keys, lists, text, finite numbers, booleans and None.
    """
    write_text(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def write_table(table: Table) -> None:
    """Print a table: Rich's on a terminal, plain columns elsewhere."""
    if sys.stdout.isatty():
        _write_rich(table)
    else:
        write_text("".join(f"{line}\n" for line in plain_lines(table)))


def plain_lines(table: Table) -> list[str]:
    """A table as aligned lines, the first with the headings; no line ends in blanks."""
    from rich.cells import cell_len

    rows = list(table.rows)
    texts = [list(table.columns), *([cell_text(value) for value in row] for row in rows)]
    widths = [max(cell_len(text) for text in column) for column in zip(*texts, strict=True)]
    numeric = _numeric_columns(rows, len(table.columns))
    lines = []
    for row in texts:
        cells = []
        for text, width, right in zip(row, widths, numeric, strict=True):
            blanks = " " * (width - cell_len(text))
            cells.append(blanks + text if right else text + blanks)
        lines.append("  ".join(cells).rstrip())
    return lines


def _write_rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable

    rows = list(table.rows)
    numeric = _numeric_columns(rows, len(table.columns))
    texts = [[cell_text(value) for value in row] for row in rows]
    # Markup and emoji off: `[red]` or `:smile:` in a name is a name.
    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
    whole = _whole_columns([list(table.columns), *texts], console.width)
    drawn = RichTable(header_style="bold")
    for name, right, keep in zip(table.columns, numeric, whole, strict=True):
        justify: Literal["left", "right"] = "right" if right else "left"
        drawn.add_column(name, justify=justify, overflow="fold", no_wrap=keep)
    for line in texts:
        drawn.add_row(*line)
    with console.capture() as captured:
        console.print(drawn)
        if table.caption:
            console.print(table.caption)
    write_text(captured.get())


def _whole_columns(texts: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Which columns need not fold: the short ones, where all of them fit."""
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    whole = [length <= _SHORT for length in widths]
    needed = sum(
        _FRAME + (length if keep else _SHORT) for length, keep in zip(widths, whole, strict=True)
    )
    return whole if needed < width else [False] * len(widths)


def _numeric_columns(rows: Sequence[Sequence[object]], count: int) -> list[bool]:
    def is_number(value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    return [
        any(is_number(row[column]) for row in rows)
        and all(row[column] is None or is_number(row[column]) for row in rows)
        for column in range(count)
    ]


def write_text(text: str) -> None:
    """Print a text as it is, escaping what the encoding of stdout lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise reader_gone() from None


def reader_gone() -> typer.Exit:
    """How a command ends, quietly, when the reader of its output (`| head`) has seen enough."""
    # What is buffered still must not fail again when the interpreter closes stdout.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return typer.Exit(ExitCode.ABORTED)
