"""What the commands of `estinel ard` share: which tiles are meant, and settings of one call."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.session import Session, needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.ard.tile_table import TileTable
    from estinel_assets.ard.tiles import Source, TileYear
    from estinel_assets.settings import Settings
    from estinel_assets.storage.port import ObjectStore

_TILE = re.compile(r"(?:[0-9]{4}_)?[0-9]+X[0-9]+Y")

InputArgument = Annotated[
    list[str],
    typer.Argument(
        help="Tiles as CSV or JSON, polygons as GeoJSON, GeoPackage or GeoParquet, or tile ids "
        "such as 1035X727Y and 2023_1035X727Y.",
        metavar="INPUT...",
    ),
]
YearOption = Annotated[
    int | None,
    typer.Option("--year", help="Year of everything that names none itself.", metavar="YEAR"),
]
SourcesOption = Annotated[
    str | None,
    typer.Option(
        "--sources", help="Of dem, s1 and s2, with commas; else as in settings.", metavar="LIST"
    ),
]
MemoryOption = Annotated[
    int | None,
    typer.Option("--mem", min=256, help="Memory of a worker in MiB; else as in settings."),
]


class Engine(StrEnum):
    """What tiles are fanned out over."""

    THREADS = "threads"
    PROCESSES = "processes"
    DASK = "dask"
    LITHOPS = "lithops"


def open_table(session: Session) -> "TileTable":
    """The table of tiles of the settings.

    Raises:
        BadInputError: none is named, or there is none.
    """
    with needs_extra("ard"):
        from estinel_assets.ard.opening import tile_table_of

    return tile_table_of(session.settings, session.open_store())


def asked_tile_years(
    session: Session, inputs: Sequence[str], year: int | None
) -> "tuple[TileYear, ...]":
    """What the arguments ask for, each tile-year once, by year and tile.

    Args:
        session: of the command.
        inputs: files, paths in the store and tile ids, in any mixture.
        year: of everything that names none itself.

    Raises:
        BadInputError: something cannot be used; all problems of the first such input are listed.
    """
    with needs_extra("ard"):
        from estinel_assets.ard.requests import load_request, request_of_ids

    table, today = open_table(session), utc_now().date()
    found: set[TileYear] = set()
    ids = [one for one in inputs if _TILE.fullmatch(one)]
    if ids:
        found.update(request_of_ids(ids, table, today=today, year=year))
    for location in inputs:
        if location not in ids:
            store = session.open_store()
            found.update(load_request(location, store, table, today=today, year=year))
    return tuple(sorted(found, key=lambda one: (one.year, one.tile)))


def sources_of(settings: "Settings", given: str | None) -> "list[Source]":
    """The sources that are meant.

    Args:
        settings: say which, unless some are given.
        given: with commas between them.

    Raises:
        BadInputError: one of them is none.
    """
    from estinel_assets.ard.tiles import Source

    words = settings.ard.sources if given is None else _words(given)
    known = {source.value: source for source in Source}
    strange = [word for word in words if word not in known]
    if strange or not words:
        raise BadInputError(
            f"--sources {given!r}: {', '.join(strange) or 'nothing'} is no source; give some of "
            f"{', '.join(known)}"
        )
    return sorted({known[word] for word in words})


def with_options(
    settings: "Settings", *, store_url: str | None = None, **options: object
) -> "Settings":
    """Settings of which some are said otherwise by options; those that are None are not.

    Args:
        settings: as they are.
        store_url: in place of the store's.
        options: in place of those of `ard`, by name.

    Raises:
        BadInputError: one of them is out of range.
    """
    from pydantic import ValidationError

    from estinel_assets.settings import ArdSettings

    given = {name: value for name, value in options.items() if value is not None}
    changed: dict[str, Any] = {}
    try:
        if given:
            changed["ard"] = ArdSettings(**{**settings.ard.model_dump(), **given})
        if store_url is not None:
            changed["store"] = settings.store.model_copy(update={"url": store_url})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise BadInputError(f"options cannot be used: {problems}") from None
    return settings.model_copy(update=changed)


def open_store_of(settings: "Settings") -> "ObjectStore":
    """The store that settings name.

    Raises:
        BadInputError: its URL or its credentials cannot be used.
        StoreError: its folder cannot be made.
    """
    from estinel_assets.storage import open_store

    at = settings.store
    return open_store(at.url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile)


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts in a few words, those of nothing left out."""
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number)


def by_source(units: "Iterable[tuple[Source, str]]") -> dict[str, dict[str, int]]:
    """How many are in each state, by source."""
    found: dict[str, dict[str, int]] = {}
    for source, state in units:
        states = found.setdefault(source.value, {})
        states[state] = states.get(state, 0) + 1
    return found


def _words(given: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in given.split(",") if word.strip())
