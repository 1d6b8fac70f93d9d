"""The table of sites: read from CSV or Parquet, checked whole, refused whole.

Columns: `location, lon, lat, resolution, radiusx, radiusy, purpose`. The first three are needed;
an absent or empty resolution is 10 m, an absent or empty radius 3000 m; purpose is a list with
commas. An empty cell and `NA` both mean missing. `SITE_ID`, where present, must be what the name
gives; other columns are not read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from estinel_assets.errors import BadInputError, NotFoundError, public_url
from estinel_assets.imagery.site import (
    DEFAULT_RADIUS_M,
    DEFAULT_RESOLUTION_M,
    NUMBER_COLUMNS,
    Site,
    file_stem,
    name_key,
    name_problem,
)
from estinel_assets.imagery.site_files import Cell, Row, read_rows
from estinel_assets.imagery.site_id import site_id
from estinel_assets.imagery.windows import WindowRule, window_problem
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

__all__ = ["Site", "file_stem", "load_sites", "read_sites"]

DEFAULT_MAX_WINDOW_PIXELS: Final = 25_000_000
_SHIPPED = "sites.csv"
_DEFAULTS: Final = {
    "resolution": DEFAULT_RESOLUTION_M,
    "radiusx": DEFAULT_RADIUS_M,
    "radiusy": DEFAULT_RADIUS_M,
}
_LISTED_PROBLEMS = 100
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class _Problem:
    row: int
    location: Cell
    column: str
    value: Cell
    remedy: str

    def __str__(self) -> str:
        return (
            f"row {self.row} ({_shown(self.location)}): "
            f"{self.column} {_shown(self.value)} {self.remedy}"
        )


@dataclass(slots=True)
class _Names:
    """The names of the rows so far, by everything that two sites must not share."""

    rows: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def clash(self, row: int, location: str) -> str | None:
        """What an earlier row shares with this name, and the remedy; None where nothing is."""
        found = None
        for what, key in (
            ("a name", location),
            ("a name but for case, blanks or accents", name_key(location)),
            # Some file systems do not tell case apart.
            ("the file name", file_stem(location).casefold()),
            ("the SITE_ID", site_id(location)),
        ):
            earlier_row, earlier = self.rows.setdefault((what, key), (row, location))
            if earlier_row != row and found is None:
                found = (
                    f"shares {what} with row {earlier_row} ({_shown(earlier)}): "
                    "rename or remove one of them"
                )
        return found


def load_sites(
    location: str | None,
    store: ObjectStore | None,
    *,
    max_window_pixels: int = DEFAULT_MAX_WINDOW_PIXELS,
    rule: WindowRule = "estinel",
) -> tuple[Site, ...]:
    """Fetch and read a table of sites.

    Args:
        location: None for the table that is shipped; a local path; a path in the store; or the
            full address of such a path. A local file goes before one in the store.
        store: where else to look; None to look at local files only.
        max_window_pixels: a site with a larger window is refused.
        rule: how windows are made.

    Raises:
        BadInputError: there is no such table, or it is refused: see `read_sites`.
    """
    if location is None:
        payload = resources.files("estinel_assets.imagery").joinpath(_SHIPPED).read_bytes()
        name = f"the shipped {_SHIPPED}"
    else:
        payload, name = _fetch(location, store), public_url(location)
    return read_sites(payload, name, max_window_pixels=max_window_pixels, rule=rule)


def sites_of(settings: Settings, store: ObjectStore | None) -> tuple[Site, ...]:
    """The sites that the settings name.

    Args:
        settings: all settings.
        store: where else to look for the table.

    Raises:
        BadInputError: see `load_sites`.
    """
    at = settings.imagery
    return load_sites(at.sites, store, max_window_pixels=at.max_window_pixels, rule=at.window_rule)


def known_site(sites: Iterable[Site], wanted: str) -> Site:
    """A site by its SITE_ID or its name.

    Raises:
        BadInputError: there is none; the message names those there are.
    """
    known = list(sites)
    for site in known:
        if wanted in {site.site_id, site.location}:
            return site
    names = ", ".join(sorted(site.location for site in known))
    raise BadInputError(f"no site is called {wanted!r}; the table has: {names}")


def read_sites(
    payload: bytes,
    name: str,
    *,
    max_window_pixels: int = DEFAULT_MAX_WINDOW_PIXELS,
    rule: WindowRule = "estinel",
) -> tuple[Site, ...]:
    """Read a table of sites, in its order.

    Args:
        payload: a CSV file in UTF-8 or a Parquet file, told apart by their content.
        name: what to call the table in messages.
        max_window_pixels: a site with a larger window is refused.
        rule: how windows are made.

    Raises:
        BadInputError: the table cannot be read, has no rows or lacks a column; or rows are bad,
            and the message lists every one of them with its column, value and remedy.
    """
    sites: list[Site] = []
    problems: list[_Problem] = []
    names = _Names()
    for row in read_rows(payload, name):
        found = list(_row_problems(row, names))
        if not found:
            site = _site(row)
            too_large = window_problem(site, max_window_pixels, rule)
            if too_large is None:
                sites.append(site)
                continue
            found = [_problem(row, "resolution", too_large, site.resolution)]
        problems += found
    if problems:
        raise BadInputError(_message(name, problems))
    return tuple(sites)


def _message(name: str, problems: list[_Problem]) -> str:
    bad_rows = len({problem.row for problem in problems})
    plural = "s" if bad_rows > 1 else ""
    counting = "row 1 is the first below the header"
    lines = [
        f"{name}: {bad_rows} bad row{plural}, no site was taken ({counting})",
        *(f"  {problem}" for problem in problems[:_LISTED_PROBLEMS]),
    ]
    if len(problems) > _LISTED_PROBLEMS:
        lines.append(f"  and {len(problems) - _LISTED_PROBLEMS} more")
    return "\n".join(lines)


def _row_problems(row: Row, names: _Names) -> Iterator[_Problem]:
    if row.surplus_cells:
        yield _problem(
            row, "the row", f"has {row.surplus_cells} cells too many: quote text with commas"
        )
    yield from _name_problems(row, names)
    for column in NUMBER_COLUMNS:
        value = row.cells.get(column)
        if value is None and column in _DEFAULTS:
            continue
        remedy = _number_problem(column, value)
        if remedy is not None:
            yield _problem(row, column, remedy, value)
    purpose = row.cells.get("purpose")
    if purpose is not None and not isinstance(purpose, str):
        yield _problem(row, "purpose", "is not text: give words with commas between", purpose)
    elif purpose is not None and purpose and name_problem(purpose) is not None:
        yield _problem(row, "purpose", str(name_problem(purpose)), purpose)


def _name_problems(row: Row, names: _Names) -> Iterator[_Problem]:
    location = row.cells.get("location")
    if location is None:
        yield _problem(row, "location", "is missing: give the site a name")
        return
    if not isinstance(location, str):
        yield _problem(row, "location", "is not text: give the site a name", location)
        return
    unusable = name_problem(location)
    if unusable is not None:
        yield _problem(row, "location", unusable, location)
        return
    clash = names.clash(row.number, location)
    if clash is not None:
        yield _problem(row, "location", clash, location)
    given = row.cells.get("SITE_ID")
    if given is not None and given != site_id(location):
        remedy = f"is not {site_id(location)}, what the name gives: correct one of them"
        yield _problem(row, "SITE_ID", remedy, given)


def _number_problem(column: str, value: Cell) -> str | None:
    low, high = NUMBER_COLUMNS[column].low, NUMBER_COLUMNS[column].high
    if value is None:
        return f"is missing: give {NUMBER_COLUMNS[column].unit} from {low:g} to {high:g}"
    number = _number(value)
    if number is None:
        return "is not a number: use digits and a decimal point"
    return NUMBER_COLUMNS[column].problem(number)


def _number(value: Cell) -> float | None:
    """The value as a number; None where it is not one."""
    if isinstance(value, float):
        return value
    # Python would read 1_000, which no table means.
    if isinstance(value, str) and "_" not in value:
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _site(row: Row) -> Site:
    """The site of a row without problems."""
    numbers = {
        column: _DEFAULTS[column] if value is None else _number(value)
        for column in NUMBER_COLUMNS
        for value in (row.cells.get(column),)
    }
    words = str(row.cells.get("purpose") or "").split(",")
    return Site(
        location=str(row.cells["location"]),
        purpose=tuple(dict.fromkeys(word.strip() for word in words if word.strip())),
        **{column: number for column, number in numbers.items() if number is not None},
    )


def _problem(row: Row, column: str, remedy: str, value: Cell = None) -> _Problem:
    return _Problem(row.number, row.cells.get("location"), column, value, remedy)


def _shown(value: Cell) -> str:
    """A value as a message may show it: on one line and not too long."""
    if value is None:
        return "(none)"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _fetch(location: str, store: ObjectStore | None) -> bytes:
    if location.startswith("file://"):
        path = Path(unquote(location.removeprefix("file://")))
    elif "://" in location:
        return _fetch_from_store(location, store)
    else:
        path = Path(location)
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"the table of sites {public_url(location)} cannot be read ({error.strerror}): "
            "check the path and its permissions"
        ) from error
    return _fetch_from_store(location, store)


def _fetch_from_store(location: str, store: ObjectStore | None) -> bytes:
    """Read a path in the store, or the full address of one."""
    shown = public_url(location)
    if store is None:
        raise BadInputError(f"there is no table of sites {shown}: check the path")
    root = store.uri("x").removesuffix("x")
    try:
        return store.get(location.removeprefix(root)).data
    except (NotFoundError, BadInputError) as error:
        raise BadInputError(
            f"there is no table of sites {shown}, neither here nor in the store "
            f"{public_url(store.url)}: give a local path, or a path in the store"
        ) from error
