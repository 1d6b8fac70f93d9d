"""Requests as a table of tiles in CSV: `Year, X, Y, Y_tile, X_tile`, in any order."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Final

from estinel_assets.ard.asked import Asked, AskedTile, Years, place_of, tile_number
from estinel_assets.ard.tiles import TileYear
from estinel_assets.errors import BadInputError

CSV_COLUMNS: Final = ("Year", "X", "Y", "Y_tile", "X_tile")
"""In the order in which they are written."""


def read_csv_request(text: str, name: str, years: Years) -> Asked:
    """Read a table of tiles.

    `X_tile` and `Y_tile` are needed, `Year` too where no year is given for all; `X` and `Y`, the
    tile's longitude and latitude, are compared with the table of tiles where they are there.
    Other columns are not read.

    Args:
        text: the file.
        name: what to call the file in messages.
        years: which may be asked for.

    Raises:
        BadInputError: it is not CSV, or lacks a column.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise BadInputError(
            f"{name}: line {reader.line_num} is not CSV ({error}): check its quotes"
        ) from error
    header = [column.strip() for column in lines[0]] if lines else []
    _check_header(header, name, years)
    asked = Asked()
    for number, line in enumerate(lines[1:], start=1):
        where = f"row {number}"
        with asked.at(where):
            if len(line) != len(header):
                raise BadInputError(
                    f"has {len(line)} cells, the header {len(header)}: give every column one"
                )
            asked.tiles.append(_tile(where, dict(zip(header, line, strict=True)), years))
    return asked


def canonical_csv(tile_years: Iterable[TileYear]) -> str:
    """Write the table that every command reads.

    Args:
        tile_years: what is asked for, in any order.

    Returns:
        `Year,X,Y,Y_tile,X_tile`, ordered by year, X_tile and Y_tile, each line once; X and Y are
        the tile's longitude and latitude in degrees, in as many digits as bring them back.
    """
    lines = [",".join(CSV_COLUMNS)]
    for asked in in_order(tile_years):
        tile = asked.tile
        lines.append(f"{asked.year},{tile.lon!r},{tile.lat!r},{tile.y_tile},{tile.x_tile}")
    return "\n".join(lines) + "\n"


def in_order(tile_years: Iterable[TileYear]) -> tuple[TileYear, ...]:
    """By year, then by tile, each once."""
    return tuple(sorted(set(tile_years), key=lambda asked: (asked.year, asked.tile)))


def _check_header(header: list[str], name: str, years: Years) -> None:
    needed = ["X_tile", "Y_tile"] if years.given is not None else ["X_tile", "Y_tile", "Year"]
    missing = [column for column in needed if column not in header]
    if missing:
        there = ", ".join(repr(column[:40]) for column in header[:20]) or "nothing"
        raise BadInputError(
            f"{name}: column {', '.join(missing)} is missing, there is {there}: "
            f"begin with the line {','.join(CSV_COLUMNS)}"
        )
    twice = [column for column in CSV_COLUMNS if header.count(column) > 1]
    if twice:
        raise BadInputError(
            f"{name}: column {', '.join(twice)} stands there more than once: remove one"
        )


def _tile(where: str, cells: Mapping[str, str], years: Years) -> AskedTile:
    return AskedTile(
        where=where,
        x_tile=tile_number("X_tile", cells["X_tile"]),
        y_tile=tile_number("Y_tile", cells["Y_tile"]),
        year=years.of(cells.get("Year")),
        place=place_of(cells.get("X"), cells.get("Y")),
    )
