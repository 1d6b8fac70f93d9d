"""Requests: forms told apart, everything wrong told together, and the canonical table."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.ard.requests import (
    canonical_csv,
    load_request,
    read_request,
    request_of_ids,
)
from estinel_assets.ard.tile_table import TileTable, open_tile_table
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError
from estinel_assets.storage import open_store
from tests.support.real import real_data
from tests.support.tile_tables import BAMENDA, MANAUS, table_of

TODAY = date(2026, 11, 21)
ROWS = made_tile_table([BAMENDA, MANAUS], rings=2)
EVERY = [Tile(row["X_tile"], row["Y_tile"], row["X"], row["Y"]) for row in ROWS.to_pylist()]
TABLE = table_of(ROWS)
A, B = EVERY[0], EVERY[-1]
asked_for = st.lists(
    st.builds(TileYear, st.sampled_from(EVERY), st.integers(2015, 2026)), min_size=1
)


def read(text: str, year: int | None = None, table: TileTable = TABLE) -> tuple[TileYear, ...]:
    return read_request(text.encode(), "request", table, today=TODAY, year=year)


def problems(text: str, year: int | None = None, table: TileTable = TABLE) -> list[str]:
    with pytest.raises(BadInputError) as refused:
        read(text, year, table)
    return str(refused.value).splitlines()


def csv_of(*rows: Sequence[object]) -> str:
    return "Year,X,Y,Y_tile,X_tile\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def row_of(tile: Tile, year: int = 2023) -> tuple[object, ...]:
    return year, tile.lon, tile.lat, tile.y_tile, tile.x_tile


# --- the canonical table


@given(asked_for)
def test_the_canonical_table_reads_back_as_itself(wanted: list[TileYear]) -> None:
    text = canonical_csv(wanted)
    found = read(text)
    assert set(found) == set(wanted)
    assert len(found) == len(set(wanted))
    assert list(found) == sorted(found, key=lambda a: (a.year, a.tile.x_tile, a.tile.y_tile))
    assert canonical_csv(found) == text
    assert canonical_csv(reversed(wanted)) == text


def test_the_canonical_table_to_the_letter() -> None:
    later = TileYear(Tile(9, 1, -52.5278, -13.1389), 2023)
    asked = [later, TileYear(Tile(1035, 727, 10.0, 1 / 3), 2022), TileYear(later.tile, 2022), later]
    assert canonical_csv(asked) == (
        "Year,X,Y,Y_tile,X_tile\n"
        "2022,-52.5278,-13.1389,1,9\n"
        "2022,10.0,0.3333333333333333,727,1035\n"
        "2023,-52.5278,-13.1389,1,9\n"
    )
    assert canonical_csv([]) == "Year,X,Y,Y_tile,X_tile\n"


@given(asked_for)
def test_all_forms_of_tiles_say_the_same(wanted: list[TileYear]) -> None:
    expected = read(canonical_csv(wanted))
    by_year: dict[str, dict[str, list[str]]] = {}
    for asked in wanted:
        of_year = by_year.setdefault(str(asked.year), {"all_tiles": [], "missing_tiles": []})
        of_year["missing_tiles"].append(asked.tile.tag)
    assert read(json.dumps({"a-project": by_year})) == expected
    jobs = [
        {
            "status": "failed",
            "tile_info": {
                "year": asked.year,
                "lon": asked.tile.lon,
                "lat": asked.tile.lat,
                "X_tile": asked.tile.x_tile,
                "Y_tile": asked.tile.y_tile,
            },
        }
        for asked in wanted
    ]
    assert read(json.dumps(jobs)) == expected
    keys = [asked.key for asked in wanted]
    assert read(json.dumps(keys)) == expected
    assert read("\n".join(keys)) == expected
    assert request_of_ids(keys, TABLE, today=TODAY) == expected


# --- ids


def test_ids_take_the_year_of_the_request() -> None:
    expected = tuple(sorted(TileYear(tile, 2024) for tile in (A, B)))
    ids = [A.tag, B.tag, A.tag]
    assert request_of_ids(ids, TABLE, today=TODAY, year=2024) == expected
    assert read(f"\ufeff{A.tag}, {B.tag}\r\n", 2024) == expected
    assert read(json.dumps(ids), 2024) == expected


@pytest.mark.parametrize(
    ("ids", "year", "message"),
    [
        ([A.tag], None, "id 1: there is no year: give one for the request"),
        ([f"2014_{A.tag}"], None, "id 1: year 2014 is before Sentinel-2: give one from 2015"),
        ([f"2027_{A.tag}"], None, "id 1: year 2027 has not begun: give one from 2015 to 2026"),
        ([f"2022_{A.tag}"], 2023, "id 1: year 2022 is not 2023, the year of the request"),
        ([A.tag, "1x2y"], 2023, "id 2: '1x2y' is not the name of a tile: write it as 1035X727Y"),
        (["2023_"], None, "id 1: '2023_' is not a tile and year: write it as 2023_1035X727Y"),
        ([], 2023, "it asks for no tile: give at least one tile or polygon"),
    ],
)
def test_ids_that_cannot_be_used(ids: list[str], year: int | None, message: str) -> None:
    with pytest.raises(BadInputError) as refused:
        request_of_ids(ids, TABLE, today=TODAY, year=year)
    assert message in str(refused.value)


@pytest.mark.parametrize("year", [2014, 2027, -1])
def test_the_year_of_the_request_must_be_possible(year: int) -> None:
    with pytest.raises(BadInputError, match=f"year {year}"):
        request_of_ids([A.tag], TABLE, today=TODAY, year=year)


def test_the_running_year_may_be_asked_for() -> None:
    (asked,) = request_of_ids([A.tag], TABLE, today=date(2026, 1, 1), year=2026)
    assert asked.year == 2026


# --- what is wrong, told together


def test_every_problem_is_told_at_once_and_nothing_is_taken() -> None:
    lines = problems(
        csv_of(
            row_of(A),
            row_of(A, 2030),
            (2023, 0, 0, 0, 999),
            ("soon", A.lon, A.lat, A.y_tile, A.x_tile),
            (2023, A.lon, A.lat, A.y_tile, "eleven"),
            (2023, 181, A.lat, A.y_tile, A.x_tile),
            (2023, A.lon, "", A.y_tile, A.x_tile),
        )
    )
    assert lines[0] == "request: 6 problems, nothing was started"
    assert [line.strip().split(": ")[0] for line in lines[1:]] == [
        "row 2", "row 4", "row 5", "row 6", "row 7", "row 3",
    ]  # fmt: skip
    text = "\n".join(lines)
    for part in (
        "year 2030 has not begun",
        "999X0Y is not in the table of tiles: correct it or leave it out",
        "year 'soon' is not a year: write it as 2023",
        "X_tile 'eleven' is not a tile's number",
        "X (longitude) '181' is out of range",
        "Y (latitude) '' is out of range",
    ):
        assert part in text


def test_many_problems_are_cut() -> None:
    lines = problems(csv_of(*((2023, 0, 0, 0, 1000 + n) for n in range(1234))))
    assert len(lines) == 52
    assert lines[0] == "request: 1234 problems, nothing was started"
    assert lines[-1] == "  and 1184 more"


def test_swapped_tile_numbers_are_told_by_the_place() -> None:
    # Both 11X7Y and 7X11Y are tiles, as in the table in use.
    far, near = Tile(11, 7, 30.0, 10.0), Tile(7, 11, -60.0, -3.0)
    rows = {"X": [30.0, -60.0], "Y": [10.0, -3.0], "X_tile": [11, 7], "Y_tile": [7, 11]}
    table = table_of(pa.table(rows))
    assert len(read(csv_of(row_of(far), row_of(near)), None, table)) == 2
    _, one, two = problems(csv_of((2023, 30, 10, 11, 7), (2023, -60, -3, 7, 11)), None, table)
    assert one == (
        "  row 1: X_tile and Y_tile look swapped: at X 30, Y 10 lies 11X7Y, not 7X11Y; "
        "exchange the two columns"
    )
    assert two.startswith("  row 2: X_tile and Y_tile look swapped: at X -60, Y -3 lies 7X11Y")


def test_swapped_numbers_of_which_only_one_is_a_tile() -> None:
    tile = next(tile for tile in EVERY if (tile.y_tile, tile.x_tile) not in numbers())
    (_, line) = problems(csv_of((2023, tile.lon, tile.lat, tile.x_tile, tile.y_tile)))
    assert "X_tile and Y_tile look swapped" in line
    (_, line) = problems(f"2023_{tile.y_tile}X{tile.x_tile}Y")
    assert line.endswith(
        f"is not in the table of tiles, though {tile.tag} is: "
        "exchange the two numbers if they are swapped"
    )


def numbers() -> set[tuple[int, int]]:
    return {(tile.x_tile, tile.y_tile) for tile in EVERY}


def test_a_place_that_disagrees() -> None:
    (_, line) = problems(csv_of((2023, 50.0, 50.0, A.y_tile, A.x_tile)))
    assert line == (
        f"  row 1: {A.tag} lies at longitude {A.lon:g}, latitude {A.lat:g}, not at X 50, Y 50: "
        "correct its numbers or its place"
    )
    (_, line) = problems(csv_of((2023, A.lat, A.lon, A.y_tile, A.x_tile)))
    assert "X and Y look swapped" in line
    # A place anywhere in the cell agrees, be it rounded or a corner.
    for dx, dy in ((0.02, -0.02), (-1 / 36, -1 / 36), (1 / 36, 1 / 36)):
        assert len(read(csv_of((2023, A.lon + dx, A.lat + dy, A.y_tile, A.x_tile)))) == 1
    assert problems(csv_of((2023, A.lon + 0.03, A.lat, A.y_tile, A.x_tile)))


def test_a_place_across_180_degrees_agrees() -> None:
    table = table_of(pa.table({"X": [179.99], "Y": [-16.5], "X_tile": [5], "Y_tile": [9]}))
    assert len(read(csv_of((2023, -179.99, -16.5, 9, 5)), None, table)) == 1


# --- where it comes from


@pytest.mark.parametrize(
    "payload",
    [b"", b" \n", b"\xff\xfeY\x00e\x00", b"\x00" * 100, b"{", b"[", b"{}", b"[]", b"null", b"5",
     b'"text"', b"PAR1", b"SQLite format 3\0", b"PAR1" + b"\0" * 200, b"[1, 2]", b"[[]]",
     b'{"a": 1}', b'{"a": {"2023": 1}}', b'{"a": {"b": {"missing_tiles": []}}}', b"<xml/>",
     b"Year;X;Y;Y_tile;X_tile\n2023;1;2;3;4\n", b"[" * 200_000, b"{" * 5000, b'"' * 1000,
     b"Year,X,Y,Y_tile,X_tile\n", b"Year,X,Y,Y_tile,X_tile\n\"2023", b'[{"tile_info": []}]'],
)  # fmt: skip
def test_what_is_no_request_is_refused(payload: bytes) -> None:
    with pytest.raises(BadInputError) as refused:
        read_request(payload, "the-name", TABLE, today=TODAY, year=2023)
    assert "the-name" in str(refused.value)
    assert len(str(refused.value)) < 500


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    try:
        found = read_request(payload, "request", TABLE, today=TODAY, year=2023)
    except BadInputError:
        return
    assert {asked.tile for asked in found} <= set(EVERY)
    assert found


def test_a_request_is_fetched_from_a_folder_or_a_store(tmp_path: Path) -> None:
    expected = (TileYear(A, 2023),)
    text = canonical_csv(expected).encode()
    local = tmp_path / "a request.csv"
    local.write_bytes(text)
    store = open_store("memory://")
    store.put("inbox/r.csv", text)
    for location in (str(local), f"file://{tmp_path}/a%20request.csv", "inbox/r.csv"):
        assert load_request(location, store, TABLE, today=TODAY) == expected
    assert load_request(store.uri("inbox/r.csv"), store, TABLE, today=TODAY) == expected


@pytest.mark.parametrize(
    "location", ["absent.csv", "s3://bucket/absent.csv?key=secret", "", "a\0b"]
)
def test_a_request_that_is_not_there(location: str) -> None:
    for store in (None, open_store("memory://")):
        with pytest.raises(BadInputError, match="request") as refused:
            load_request(location, store, TABLE, today=TODAY)
        assert "secret" not in str(refused.value)


# --- the real table


def test_a_real_request_and_its_swapped_form() -> None:
    table = open_tile_table(str(real_data("ard/tiledb.parquet")))
    text = '{"uuid": {"2023": {"all_tiles": ["0X0Y"], "missing_tiles": ["1035X727Y"]}}}'
    (asked,) = read(text, None, table)
    assert asked == TileYear(Tile(1035, 727, -52.5278, -13.1389), 2023)
    assert canonical_csv([asked]) == csv_of((2023, -52.5278, -13.1389, 727, 1035))
    # Both are tiles; only the place can tell.
    (_, line) = problems(csv_of((2023, -52.5278, -13.1389, 1035, 727)), None, table)
    assert "X_tile and Y_tile look swapped: at X -52.5278, Y -13.1389 lies 1035X727Y" in line
