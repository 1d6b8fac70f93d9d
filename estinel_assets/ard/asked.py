"""What a request asks for, before the table of tiles is looked at, and what is wrong with it."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.tiles import FIRST_YEAR
from estinel_assets.errors import BadInputError

_WHOLE = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class AskedTile:
    """A tile in a year."""

    where: str
    """Where it stands in the request, for messages."""
    x_tile: int
    y_tile: int
    year: int
    place: tuple[float, float] | None = None
    """(longitude, latitude) in degrees, where the request says them too."""


@dataclass(frozen=True, slots=True)
class AskedArea:
    """All tiles of an area in a year."""

    where: str
    """Where it stands in the request, for messages."""
    geometry: BaseGeometry
    """A valid polygon or multipolygon, longitude and latitude in degrees (WGS 84)."""
    year: int


@dataclass(frozen=True, slots=True)
class Years:
    """Which years may be asked for."""

    last: int
    """The newest one that has begun."""
    given: int | None = None
    """The year of everything that names none itself."""

    @classmethod
    def until(cls, today: date, given: int | None) -> "Years":
        """The years up to this one.

        Args:
            today: the date, UTC.
            given: the year of everything that names none itself.

        Raises:
            BadInputError: the given year is out of range.
        """
        years = cls(today.year)
        return years if given is None else cls(today.year, years.of(given))

    def of(self, own: object) -> int:
        """The year of an entry.

        Args:
            own: what the entry says, None or empty where it says nothing.

        Raises:
            BadInputError: it is no year, out of range, not the given one, or there is none.
        """
        if own is None or (isinstance(own, str) and not own.strip()):
            if self.given is None:
                raise BadInputError("there is no year: give one for the request")
            return self.given
        year = whole_number(own)
        if year is None:
            raise BadInputError(f"year {shown(own)} is not a year: write it as 2023")
        if year < FIRST_YEAR:
            raise BadInputError(
                f"year {year} is before Sentinel-2: give one from {FIRST_YEAR} to {self.last}"
            )
        if year > self.last:
            raise BadInputError(
                f"year {year} has not begun: give one from {FIRST_YEAR} to {self.last}"
            )
        if self.given is not None and year != self.given:
            raise BadInputError(
                f"year {year} is not {self.given}, the year of the request: leave out one of them"
            )
        return year


@dataclass(slots=True)
class Asked:
    """Everything that a request asks for, and all problems that were found so far."""

    tiles: list[AskedTile] = field(default_factory=list)
    areas: list[AskedArea] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One line each: where, what and the remedy."""

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Note what is wrong with an entry instead of raising it.

        Args:
            where: where the entry stands in the request.
        """
        try:
            yield
        except BadInputError as error:
            self.problems.append(f"{where}: {error}")


def whole_number(value: object) -> int | None:
    """A whole number, also one that is written as text or with nothing behind its point."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else None
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value.strip())
        return None if found is None else int(found[1])
    return None


def tile_number(column: str, value: object) -> int:
    """A tile's number.

    Raises:
        BadInputError: it is no whole number of 0 or more.
    """
    number = whole_number(value)
    if number is None or number < 0:
        raise BadInputError(
            f"{column} {shown(value)} is not a tile's number: give a whole number, 0 or more"
        )
    return number


def place_of(lon: object, lat: object) -> tuple[float, float] | None:
    """The longitude and latitude beside a tile's numbers, None where there are none.

    Raises:
        BadInputError: they are no degrees, or one of them is missing.
    """
    if _absent(lon) and _absent(lat):
        return None
    return _degrees("X (longitude)", lon, 180.0), _degrees("Y (latitude)", lat, 90.0)


def shown(value: object) -> str:
    """A value as a message may show it: on one line and not too long."""
    text = repr(value[: _SHOWN_CHARACTERS + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _degrees(what: str, value: object, most: float) -> float:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) <= most else math.nan
    # Python would read 1_000, which no table means.
    elif isinstance(value, str) and "_" not in value:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    if not abs(number) <= most:
        raise BadInputError(
            f"{what} {shown(value)} is out of range: give degrees from {-most:g} to {most:g}"
        )
    return number
