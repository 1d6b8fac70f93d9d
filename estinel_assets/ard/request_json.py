"""Requests in JSON: missing tiles by project and year, failed jobs of a run, or tile ids."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from estinel_assets.ard.asked import Asked, AskedTile, Years, place_of, shown, tile_number
from estinel_assets.ard.tiles import parse_key, parse_tag
from estinel_assets.errors import BadInputError

_FORMS: Final = (
    'give {"project": {"2023": {"missing_tiles": ["1035X727Y"]}}}, a list of failed jobs with '
    "tile_info, a list of tile ids, or GeoJSON"
)


class _Twice(dict[str, object]):
    """A JSON object that names a key more than once."""

    key: str = ""


def parse_json(text: str, name: str) -> object:
    """Read JSON; an object that names a key twice is told apart by `read_json_request`.

    Args:
        text: the file.
        name: what to call the file in messages.

    Raises:
        BadInputError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except ValueError as error:
        raise BadInputError(f"{name} is not JSON ({error}): write it again") from error
    except RecursionError as error:
        raise BadInputError(f"{name} is nested too deeply for a request; {_FORMS}") from error


def read_json_request(document: object, name: str, years: Years) -> Asked:
    """Read a request that holds tiles.

    Args:
        document: as `parse_json` gives it.
        name: what to call the file in messages.
        years: which may be asked for.

    Raises:
        BadInputError: it is none of the forms.
    """
    if isinstance(document, Mapping):
        return _missing_tiles(document, years)
    if isinstance(document, list):
        if document and all(isinstance(entry, str) for entry in document):
            return read_ids(document, years)
        return _failed_jobs(document, years)
    raise BadInputError(f"{name} holds {shown(document)}, which is no request; {_FORMS}")


def read_ids(ids: Iterable[str], years: Years) -> Asked:
    """Read tile ids, as `1035X727Y`, or with a year, as `2023_1035X727Y`."""
    asked = Asked()
    for number, text in enumerate(ids, start=1):
        where = f"id {number}"
        with asked.at(where):
            asked.tiles.append(_identified(where, text, years))
    return asked


def _identified(where: str, text: str, years: Years) -> AskedTile:
    if "_" in text:
        year, (x_tile, y_tile) = parse_key(text.strip())
        return AskedTile(where, x_tile, y_tile, years.of(year))
    x_tile, y_tile = parse_tag(text.strip())
    return AskedTile(where, x_tile, y_tile, years.of(None))


def _missing_tiles(projects: Mapping[str, object], years: Years) -> Asked:
    asked = Asked()
    _check_keys(asked, "the request", projects)
    for project, by_year in projects.items():
        where = f"project {shown(project)}"
        if not isinstance(by_year, Mapping):
            asked.problems.append(f"{where} holds {shown(by_year)}, not its years; {_FORMS}")
            continue
        _check_keys(asked, where, by_year)
        for year, wanted in by_year.items():
            _missing_of_year(asked, f"{where}, year {shown(year)}", year, wanted, years)
    return asked


def _missing_of_year(asked: Asked, where: str, year: str, wanted: object, years: Years) -> None:
    with asked.at(where):
        # An empty key would pass for no year at all.
        number = years.of(year if year.strip() else shown(year))
        tags = wanted.get("missing_tiles", []) if isinstance(wanted, Mapping) else None
        if not isinstance(tags, list):
            raise BadInputError("has no list of missing_tiles: give one, as ['1035X727Y']")
        for tag in tags:
            with asked.at(where):
                if not isinstance(tag, str):
                    raise BadInputError(f"{shown(tag)} is not the name of a tile: write it as text")
                asked.tiles.append(AskedTile(where, *parse_tag(tag.strip()), number))
    if isinstance(wanted, Mapping):
        _check_keys(asked, where, wanted)


def _failed_jobs(jobs: list[object], years: Years) -> Asked:
    asked = Asked()
    for number, job in enumerate(jobs, start=1):
        where = f"job {number}"
        with asked.at(where):
            about = job.get("tile_info") if isinstance(job, Mapping) else None
            if not isinstance(about, Mapping):
                raise BadInputError(f"has no tile_info: {_FORMS}")
            tile = AskedTile(
                where=where,
                x_tile=tile_number("X_tile", about.get("X_tile")),
                y_tile=tile_number("Y_tile", about.get("Y_tile")),
                year=years.of(about.get("year")),
                place=place_of(about.get("lon"), about.get("lat")),
            )
            asked.tiles.append(tile)
    return asked


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; Python would silently keep the last of two values of one key."""
    whole = dict(pairs)
    if len(whole) == len(pairs):
        return whole
    marked = _Twice(whole)
    marked.key = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return marked


def _check_keys(asked: Asked, where: str, document: Mapping[str, object]) -> None:
    if isinstance(document, _Twice):
        asked.problems.append(
            f"{where}: {shown(document.key)} stands there more than once: join the two"
        )
