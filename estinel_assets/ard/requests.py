"""Requests: what somebody asks for, in any of its forms, becomes tiles and years.

A request is taken whole or not at all: whatever is wrong with it is found and told together. The
table of tiles has the last word on where a tile lies.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from estinel_assets.ard.asked import Asked, AskedArea, AskedTile, Years
from estinel_assets.ard.request_csv import canonical_csv, in_order, read_csv_request
from estinel_assets.ard.request_json import parse_json, read_ids, read_json_request
from estinel_assets.ard.request_polygons import (
    GEOJSON_TYPES,
    read_geojson,
    read_geopackage,
    read_geoparquet,
)
from estinel_assets.ard.tile_table import TileTable
from estinel_assets.ard.tiles import CELL_DEG, Tile, TileYear
from estinel_assets.errors import BadInputError, NotFoundError, public_url
from estinel_assets.storage.port import ObjectStore

__all__ = ["canonical_csv", "load_request", "read_request", "request_of_ids"]

_PARQUET = b"PAR1"
_SQLITE = b"SQLite format 3\0"
_IDS = re.compile(r"\s*(?:[0-9]{4}_)?[0-9]+X[0-9]+Y\b")
_LISTED_PROBLEMS: Final = 50
_PLACE_SLACK_DEG = 1e-6
"""So that a place on a cell's edge, in few digits, lies in it."""


def load_request(
    location: str,
    store: ObjectStore | None,
    table: TileTable,
    *,
    today: date,
    year: int | None = None,
) -> tuple[TileYear, ...]:
    """Fetch and read a request.

    Args:
        location: a local path, a path in the store, or the full address of such a path. A local
            file goes before one in the store.
        store: where else to look; None to look at local files only.
        table: of the tiles.
        today: the date, UTC; later years are refused.
        year: of everything that names none itself.

    Raises:
        BadInputError: there is no such request, or it is refused: see `read_request`.
        MissingDependencyError: see `read_request`.
        StoreError: a store refuses.
    """
    payload = _fetch(location, store)
    return read_request(payload, public_url(location), table, today=today, year=year)


def read_request(
    payload: bytes, name: str, table: TileTable, *, today: date, year: int | None = None
) -> tuple[TileYear, ...]:
    """Read a request, told apart by its content.

    It is a table of tiles in CSV, missing tiles by project and year, failed jobs or tile ids in
    JSON, tile ids one a line, or polygons in GeoJSON, GeoPackage or GeoParquet.

    Args:
        payload: the file.
        name: what to call the file in messages.
        table: of the tiles.
        today: the date, UTC; later years are refused.
        year: of everything that names none itself.

    Returns:
        What is asked for, ordered by year, then by tile, each once.

    Raises:
        BadInputError: it cannot be read, asks for nothing, or something in it is wrong; the
            message lists every problem with its remedy.
        MissingDependencyError: it is a GeoPackage, and pyogrio is not installed.
        StoreError: the store of the table refuses.
    """
    asked = _read(payload, name, Years.until(today, year))
    return _resolved(asked, name, table)


def request_of_ids(
    ids: Iterable[str], table: TileTable, *, today: date, year: int | None = None
) -> tuple[TileYear, ...]:
    """Read a request of tile ids, as a command line gives them.

    Args:
        ids: as `1035X727Y`, with `year`; or as `2023_1035X727Y`.
        table: of the tiles.
        today: the date, UTC; later years are refused.
        year: of everything that names none itself.

    Raises:
        BadInputError: see `read_request`.
        StoreError: the store of the table refuses.
    """
    return _resolved(read_ids(ids, Years.until(today, year)), "the request", table)


def _read(payload: bytes, name: str, years: Years) -> Asked:
    if payload.startswith(_PARQUET):
        return read_geoparquet(payload, name, years)
    if payload.startswith(_SQLITE):
        return read_geopackage(payload, name, years)
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{name}: byte {error.start} is not UTF-8: give CSV or JSON in UTF-8, GeoPackage or "
            "GeoParquet"
        ) from error
    if text.lstrip()[:1] in ("{", "["):
        document = parse_json(text, name)
        if isinstance(document, Mapping) and document.get("type") in GEOJSON_TYPES:
            return read_geojson(document, name, years)
        return read_json_request(document, name, years)
    if _IDS.match(text):
        return read_ids(text.replace(",", " ").split(), years)
    return read_csv_request(text, name, years)


def _resolved(asked: Asked, name: str, table: TileTable) -> tuple[TileYear, ...]:
    """Look everything up.

    Raises:
        BadInputError: something is wrong with the request, and all of it is told.
    """
    problems = list(asked.problems)
    if not (asked.tiles or asked.areas or problems):
        problems.append("it asks for no tile: give at least one tile or polygon")
    found = {
        *_tiles(asked.tiles, table, problems),
        *_areas(asked.areas, table, problems),
    }
    if problems:
        raise BadInputError(_message(name, problems))
    return in_order(found)


def _message(name: str, problems: list[str]) -> str:
    count = len(problems)
    lines = [
        f"{name}: {count} problem{'s' if count > 1 else ''}, nothing was started",
        *(f"  {problem}" for problem in problems[:_LISTED_PROBLEMS]),
    ]
    if count > _LISTED_PROBLEMS:
        lines.append(f"  and {count - _LISTED_PROBLEMS} more")
    return "\n".join(lines)


def _tiles(wanted: list[AskedTile], table: TileTable, problems: list[str]) -> list[TileYear]:
    known = table.by_numbers({(asked.x_tile, asked.y_tile) for asked in wanted})
    taken, doubtful = [], []
    for asked in wanted:
        tile = known.get((asked.x_tile, asked.y_tile))
        if tile is None or not _lies_in(asked.place, tile):
            doubtful.append(asked)
        else:
            taken.append(TileYear(tile, asked.year))
    swapped = table.by_numbers({(asked.y_tile, asked.x_tile) for asked in doubtful})
    problems += [
        f"{asked.where}: "
        + _tile_problem(
            asked,
            known.get((asked.x_tile, asked.y_tile)),
            swapped.get((asked.y_tile, asked.x_tile)),
        )
        for asked in doubtful
    ]
    return taken


def _tile_problem(asked: AskedTile, tile: Tile | None, swapped: Tile | None) -> str:
    """What is wrong with a tile that is unknown, or lies elsewhere than the request says."""
    tag = f"{asked.x_tile}X{asked.y_tile}Y"
    if asked.place is not None:
        lon, lat = asked.place
        if swapped is not None and _lies_in(asked.place, swapped):
            return (
                f"X_tile and Y_tile look swapped: at X {lon:g}, Y {lat:g} lies {swapped.tag}, "
                f"not {tag}; exchange the two columns"
            )
        if tile is not None and _lies_in((lat, lon), tile):
            return (
                f"X and Y look swapped: {tag} lies at longitude {tile.lon:g}, latitude "
                f"{tile.lat:g}; exchange the two columns"
            )
        if tile is not None:
            return (
                f"{tag} lies at longitude {tile.lon:g}, latitude {tile.lat:g}, not at "
                f"X {lon:g}, Y {lat:g}: correct its numbers or its place"
            )
    known = ""
    if swapped is not None and asked.place is None:
        known = f", though {swapped.tag} is: exchange the two numbers if they are swapped"
    return f"{tag} is not in the table of tiles{known or ': correct it or leave it out'}"


def _lies_in(place: tuple[float, float] | None, tile: Tile) -> bool:
    if place is None:
        return True
    apart_lon = abs((place[0] - tile.lon + 180.0) % 360.0 - 180.0)
    return max(apart_lon, abs(place[1] - tile.lat)) <= CELL_DEG / 2 + _PLACE_SLACK_DEG


def _areas(wanted: list[AskedArea], table: TileTable, problems: list[str]) -> list[TileYear]:
    if not wanted:
        return []
    taken = []
    for asked, tiles in zip(
        wanted, table.intersecting([asked.geometry for asked in wanted]), strict=True
    ):
        if not tiles:
            west, south, east, north = asked.geometry.bounds
            problems.append(
                f"{asked.where}: no tile lies between longitude {west:g} and {east:g}, latitude "
                f"{south:g} and {north:g}: check that longitude comes first, or leave it out"
            )
        taken += [TileYear(tile, asked.year) for tile in tiles]
    return taken


def _fetch(location: str, store: ObjectStore | None) -> bytes:
    shown = public_url(location)
    path = Path(unquote(location.removeprefix("file://"))) if "://" in location else Path(location)
    try:
        if ("://" not in location or location.startswith("file://")) and path.is_file():
            return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"the request {shown} cannot be read ({error}): check the path and its permissions"
        ) from error
    if store is None:
        raise BadInputError(f"there is no request {shown}: check the path")
    try:
        return store.get(location.removeprefix(store.uri("x").removesuffix("x"))).data
    except (NotFoundError, BadInputError) as error:
        raise BadInputError(
            f"there is no request {shown}, neither here nor in the store "
            f"{public_url(store.url)}: give a local path, or a path in the store"
        ) from error
