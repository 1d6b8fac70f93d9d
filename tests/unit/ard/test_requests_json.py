"""Requests in JSON: missing tiles by project and year, and failed jobs."""

import json
from datetime import date

import pytest

from estinel_assets.ard.requests import read_request
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError
from tests.support.tile_tables import BAMENDA, table_of

TODAY = date(2026, 11, 21)
TABLE = table_of(made_tile_table([BAMENDA], rings=0))
TILE = Tile(11, 7, 10.1389, 5.9722)
JOB = {"year": 2023, "lon": 10.1389, "lat": 5.9722, "X_tile": 11, "Y_tile": 7}


def read(document: object, year: int | None = None) -> tuple[TileYear, ...]:
    text = document if isinstance(document, str) else json.dumps(document)
    return read_request(text.encode(), "request.json", TABLE, today=TODAY, year=year)


def refused(document: object) -> str:
    with pytest.raises(BadInputError) as error:
        read(document)
    assert str(error.value).startswith("request.json")
    return str(error.value)


def test_missing_tiles_are_taken_and_all_tiles_are_not() -> None:
    found = read(
        {
            "one": {
                "2022": {"all_tiles": ["nonsense", 5], "missing_tiles": [" 11X7Y\n", "11X7Y"]},
                "2021": {"all_tiles": ["11X7Y"], "missing_tiles": []},
                "2020": {"all_tiles": ["11X7Y"]},
            },
            "two": {"2022": {"missing_tiles": ["11X7Y"]}, "2023": {"missing_tiles": ["11X7Y"]}},
        }
    )
    assert found == (TileYear(TILE, 2022), TileYear(TILE, 2023))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "it asks for no tile"),
        ({"p": {}}, "it asks for no tile"),
        ({"p": {"2023": {"missing_tiles": []}}}, "it asks for no tile"),
        ({"p": []}, "project 'p' holds [], not its years"),
        ({"p": {"2023": []}}, "project 'p', year '2023': has no list of missing_tiles"),
        ({"p": {"2023": {"missing_tiles": "11X7Y"}}}, "has no list of missing_tiles"),
        ({"p": {"2023": {"missing_tiles": [7]}}}, "7 is not the name of a tile"),
        ({"p": {"2023": {"missing_tiles": ["11X7"]}}}, "'11X7' is not the name of a tile"),
        ({"p": {"": {"missing_tiles": ["11X7Y"]}}}, "is not a year"),
        ({"p": {"soon": {"missing_tiles": ["11X7Y"]}}}, "year 'soon' is not a year"),
        ({"p": {"1999": {"missing_tiles": ["11X7Y"]}}}, "year 1999 is before Sentinel-2"),
        ({"p": {"2023": {"missing_tiles": ["7X11Y"]}}}, "though 11X7Y is"),
        ([{"tile_info": {**JOB, "year": None}}], "job 1: there is no year"),
        ([{"tile_info": {**JOB, "year": True}}], "job 1: year True is not a year"),
        ([{"tile_info": {**JOB, "X_tile": None}}], "X_tile None is not a tile's number"),
        ([{"tile_info": {**JOB, "lon": 10**400}}], "X (longitude)"),
        ([{"tile_info": {**JOB, "lon": "x"}}], "X (longitude) 'x' is out of range"),
        ([{"tile_info": {**JOB, "lat": None}}], "Y (latitude) None is out of range"),
        ([{"job_id": 1}], "job 1: has no tile_info"),
        (["11X7Y", 7], "job 1: has no tile_info"),
        ('{"p": {"2023": {"missing_tiles": [NaN]}}}', "nan is not the name of a tile"),
        ('[{"tile_info": {"year": 2023, "X_tile": 1e400, "Y_tile": 7}}]', "X_tile inf is not"),
        ('[{"tile_info": {"year": 2023, "X_tile": ' + "9" * 5000 + "}}]", "is not JSON"),
        ('{"p": {', "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_refused(document: object, message: str) -> None:
    text = refused(document)
    assert message in text
    assert len(text) < 600


def test_a_key_that_stands_twice_is_not_lost() -> None:
    one = '{"missing_tiles": ["11X7Y"]}'
    for text, where in (
        (f'{{"p": {{"2022": {one}}}, "p": {{"2023": {one}}}}}', "the request: 'p'"),
        (f'{{"p": {{"2022": {one}, "2022": {one}}}}}', "project 'p': '2022'"),
        ('{"p": {"2022": {"missing_tiles": ["11X7Y"], "missing_tiles": []}}}', "'missing_tiles'"),
    ):
        assert f"{where} stands there more than once" in refused(text)


def test_failed_jobs_of_one_tile_are_one_request() -> None:
    jobs = [{"task_type": source, "tile_info": JOB} for source in ("DEM", "S1", "S2")]
    assert read(jobs) == (TileYear(TILE, 2023),)
    bare = {"tile_info": {"year": "2023", "X_tile": "11", "Y_tile": 7.0}}
    assert read([*jobs, bare]) == (TileYear(TILE, 2023),)
    assert read([{"tile_info": {"X_tile": 11, "Y_tile": 7}}], 2021) == (TileYear(TILE, 2021),)


def test_the_place_of_a_failed_job_is_compared() -> None:
    assert "11X7Y lies at longitude" in refused([{"tile_info": {**JOB, "lon": 12.5}}])
