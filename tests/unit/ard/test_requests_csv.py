"""Requests as tables of tiles in CSV: columns, blanks, quotes and what is refused."""

from datetime import date
from itertools import permutations

import pytest

from estinel_assets.ard.requests import read_request
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError
from tests.support.tile_tables import BAMENDA, table_of

TODAY = date(2026, 11, 21)
ROWS = made_tile_table([BAMENDA], rings=0)
TABLE = table_of(ROWS)
TILE = Tile(11, 7, 10.1389, 5.9722)
CELLS = {"Year": "2023", "X": "10.1389", "Y": "5.9722", "Y_tile": "7", "X_tile": "11"}


def read(text: str, year: int | None = None) -> tuple[TileYear, ...]:
    return read_request(text.encode(), "tiles.csv", TABLE, today=TODAY, year=year)


def test_columns_may_stand_in_any_order() -> None:
    for order in permutations(CELLS):
        text = ",".join(order) + "\n" + ",".join(CELLS[column] for column in order)
        assert read(text) == (TileYear(TILE, 2023),)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffYear,X,Y,Y_tile,X_tile\n2023,10.1389,5.9722,7,11\n",
        " Year , X,Y ,Y_tile,\tX_tile\n 2023 , 10.1389,5.9722 ,7,\t11\n",
        '"Year","X","Y","Y_tile","X_tile"\n"2023","10.1389","5.9722","7","11"\n',
        "Year,X,Y,Y_tile,X_tile\r\n\r\n2023,10.1389,5.9722,7,11\r\n,,,,\r\n",
        "Year,X,Y,Y_tile,X_tile\n2023.0,10.1389,5.9722,7.0,11.\n",
        "Year,X,Y,Y_tile,X_tile\n2023,10.1389,5.9722,7,11\n2023,,,7,11\n2023,10.14,5.97,+7,011\n",
        'id,Year,X,Y,Y_tile,X_tile,note\na,2023,10.1389,5.9722,7,11,"x, y"\n',
        "X_tile,Y_tile,Year\n11,7,2023",
    ],
)
def test_blanks_quotes_and_duplicates_do_not_matter(text: str) -> None:
    assert read(text) == (TileYear(TILE, 2023),)


def test_the_year_of_the_request_stands_in_for_a_missing_one() -> None:
    assert read("X_tile,Y_tile\n11,7\n", 2022) == (TileYear(TILE, 2022),)
    assert read("X_tile,Y_tile,Year\n11,7,\n", 2022) == (TileYear(TILE, 2022),)
    with pytest.raises(BadInputError, match="row 1: year 2023 is not 2022"):
        read("X_tile,Y_tile,Year\n11,7,2023\n", 2022)
    with pytest.raises(BadInputError, match="row 1: there is no year"):
        read("X_tile,Y_tile,Year\n11,7,\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Year,X,Y,Y_tile\n", "column X_tile is missing, there is 'Year', 'X', 'Y', 'Y_tile'"),
        ("X_tile,Y_tile\n1,2\n", "column Year is missing"),
        ("Year;X_tile;Y_tile\n", "begin with the line Year,X,Y,Y_tile,X_tile"),
        ("Year,Year,X_tile,Y_tile\n", "column Year stands there more than once"),
        ("Year,X_tile,Y_tile\n2023,11\n", "row 1: has 2 cells, the header 3"),
        ("Year,X_tile,Y_tile\n2023,11,7,8\n", "row 1: has 4 cells, the header 3"),
        ("Year,X_tile,Y_tile\n2023,11,\"7\n", "line 2 is not CSV"),
        ("Year,X_tile,Y_tile\n2023,1_1,7\n", "X_tile '1_1' is not a tile's number"),
        ("Year,X_tile,Y_tile\n2023,-11,7\n", "X_tile '-11' is not a tile's number"),
        ("Year,X_tile,Y_tile\n2023,11.5,7\n", "X_tile '11.5' is not a tile's number"),
        ("Year,X_tile,Y_tile\n2023,,7\n", "X_tile '' is not a tile's number"),
        ("Year,X_tile,Y_tile\n2023,\u0661\u0661,7\n", "is not a tile's number"),
        ("Year,X_tile,Y_tile\n20233,11,7\n", "year 20233 has not begun"),
        ("Year,X,Y,X_tile,Y_tile\n2023,1_0,5.9,11,7\n", "X (longitude) '1_0' is out of range"),
        ("Year,X,Y,X_tile,Y_tile\n2023,nan,5.9,11,7\n", "X (longitude) 'nan' is out of range"),
        ("Year,X,Y,X_tile,Y_tile\n2023,1e999,5.9,11,7\n", "is out of range"),
        ("Year,X,Y,X_tile,Y_tile\n2023,10.1,91,11,7\n", "Y (latitude) '91' is out of range"),
        ("Year,X_tile,Y_tile\n2023," + "9" * 5000 + ",7\n", "is not a tile's number"),
        ("Year,X_tile,Y_tile\n2023," + "9" * 200_000 + ",7\n", "is not CSV"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInputError) as refused:
        read(text)
    assert message in str(refused.value)
    assert str(refused.value).startswith("tiles.csv")
    assert len(str(refused.value)) < 400
