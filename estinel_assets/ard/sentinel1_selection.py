"""Which Sentinel-1 scenes a tile's year is made from.

1. Scenes are grouped by solar day, with the longitude of the tile. A day's coverage is the share
   of the tile within the footprints of its scenes together, so that two frames of one pass count
   as one.
2. The year has four windows: 15 January to 15 March, 15 April to 15 June, 15 July to 15 September,
   15 October to 15 December, both days included.
3. Orbit. A day qualifies where its coverage is at least 0.95; of each window at most 3 days count.
   `auto` takes the direction, ascending or descending, with more such days in the year; where they
   are equal, the one with more scenes in the year; else ascending. `ascending` and `descending`
   take that direction, `both` takes every scene.
4. Days. Each window takes its 3 days of best coverage, the later first where equal, that qualify.
   Where none qualifies it takes the best day alone, if that covers anything.
5. A window without a day is a gap, and is named.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.coverage import tile_coverage
from estinel_assets.ard.tiles import Tile
from estinel_assets.errors import BadInputError, PermanentError, SourceFault
from estinel_assets.solarday import solar_day
from estinel_assets.stac.fields import as_mapping, as_number, as_text
from estinel_assets.stac.geography import geometry_of
from estinel_assets.stac.source import item_datetime

ASCENDING: Final = "ascending"
DESCENDING: Final = "descending"

_MonthDay = tuple[int, int]
WINDOWS: Final[Mapping[str, tuple[_MonthDay, _MonthDay]]] = {
    "Q1": ((1, 15), (3, 15)),
    "Q2": ((4, 15), (6, 15)),
    "Q3": ((7, 15), (9, 15)),
    "Q4": ((10, 15), (12, 15)),
}
"""First and last (month, day) of each quarter's window, both included."""

_COVERAGE_DIGITS: Final = 6
"""Coverages that differ by less are equal: what is left is noise of the intersection."""


class OrbitChoice(StrEnum):
    """Which passes are used."""

    AUTO = "auto"
    ASCENDING = "ascending"
    DESCENDING = "descending"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class S1Rules:
    """The thresholds, with the defaults of the models that read the arrays."""

    orbit: OrbitChoice = OrbitChoice.AUTO
    days_per_quarter: int = 3
    """At most so many days make a quarter's median."""
    min_coverage: float = 0.95
    """A day qualifies from this share of the tile on, in (0, 1]."""
    resolution_m: float = 40.0
    """Pixel size, in metres."""

    def __post_init__(self) -> None:
        problems = []
        if self.days_per_quarter < 1:
            problems.append(f"days_per_quarter is {self.days_per_quarter}; take 1 or more")
        if not 0 < self.min_coverage <= 1:
            problems.append(f"min_coverage is {self.min_coverage}; take a share above 0, up to 1")
        if not self.resolution_m > 0:
            problems.append(f"resolution_m is {self.resolution_m}; take metres above 0")
        if problems:
            raise BadInputError(f"the rules of Sentinel-1 cannot be used: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class S1Scene:
    """One item of Sentinel-1."""

    id: str
    datetime: dt.datetime
    """UTC."""
    orbit_state: str | None
    """`ascending` or `descending`; None where the item does not say."""
    relative_orbit: int | None
    footprint: BaseGeometry
    """In degrees (EPSG:4326); empty where the item has none."""


@dataclass(frozen=True, slots=True)
class S1Day:
    """A solar day with scenes."""

    day: dt.date
    scenes: tuple[S1Scene, ...]
    """In the order of time, then id."""
    coverage: float
    """Share of the tile within their footprints, 0 to 1."""


@dataclass(frozen=True, slots=True)
class S1Quarter:
    """What a quarter is made from."""

    name: str
    """`Q1` to `Q4`."""
    first_day: dt.date
    last_day: dt.date
    """Included."""
    candidate_days: int
    """Days with scenes, of the chosen orbit."""
    days: tuple[S1Day, ...]
    """The chosen ones, in the order of time; none is a gap."""
    qualified: bool
    """Whether they have the coverage asked for; false for a best day alone, and for a gap."""


@dataclass(frozen=True, slots=True)
class S1Selection:
    """What a tile's year is made from."""

    orbit: str
    """`ascending`, `descending` or `both`."""
    qualifying_days: Mapping[str, int]
    """For each direction, how many days of its windows qualify and count."""
    scenes_listed: Mapping[str, int]
    """For each direction, how many scenes the year has."""
    quarters: tuple[S1Quarter, ...]
    """Four."""

    @property
    def gaps(self) -> tuple[str, ...]:
        """The quarters without a day."""
        return tuple(quarter.name for quarter in self.quarters if not quarter.days)


def s1_scene(item: Mapping[str, Any]) -> S1Scene:
    """Read a scene from a STAC item.

    Raises:
        PermanentError: `source_corrupt`: no id, or no datetime.
    """
    properties = as_mapping(item.get("properties"))
    item_id, instant = as_text(item.get("id")), item_datetime(item)
    if item_id is None or instant is None:
        missing = "id" if item_id is None else "datetime"
        raise PermanentError(SourceFault.CORRUPT, f"the item {item_id!r} has no {missing}")
    orbit = (as_text(properties.get("sat:orbit_state")) or "").lower()
    relative = as_number(properties.get("sat:relative_orbit"))
    return S1Scene(
        id=item_id,
        datetime=instant,
        orbit_state=orbit if orbit in (ASCENDING, DESCENDING) else None,
        relative_orbit=None if relative is None else int(relative),
        footprint=geometry_of(item) or Polygon(),
    )


def select_s1(
    scenes: Iterable[S1Scene], tile: Tile, year: int, rules: S1Rules | None = None
) -> S1Selection:
    """Choose orbit, days and scenes.

    Args:
        scenes: of the year, in any order; those of other years are left out.
        tile: gives the place, and the longitude of the solar days.
        year: calendar year, in solar days.
        rules: the thresholds; None = the defaults.
    """
    rules = rules or S1Rules()
    by_day: dict[dt.date, list[S1Scene]] = defaultdict(list)
    for scene in sorted(scenes, key=lambda scene: (scene.datetime, scene.id)):
        day = solar_day(scene.datetime, tile.lon)
        if day.year == year:
            by_day[day].append(scene)
    directions = {
        direction: _days(by_day, tile, direction) for direction in (ASCENDING, DESCENDING)
    }
    qualifying = {
        direction: _qualifying(days, year, rules) for direction, days in directions.items()
    }
    listed = {
        direction: sum(len(day.scenes) for day in days) for direction, days in directions.items()
    }
    orbit = rules.orbit.value
    if rules.orbit is OrbitChoice.AUTO:
        # The first of equals wins, so that ascending does.
        orbit = max((ASCENDING, DESCENDING), key=lambda named: (qualifying[named], listed[named]))
    days = directions[orbit] if orbit in directions else _days(by_day, tile, None)
    return S1Selection(
        orbit=orbit,
        qualifying_days=qualifying,
        scenes_listed=listed,
        quarters=tuple(_quarter(name, year, days, rules) for name in WINDOWS),
    )


def window(name: str, year: int) -> tuple[dt.date, dt.date]:
    """First and last day of a quarter's window, both included."""
    first, last = WINDOWS[name]
    return dt.date(year, *first), dt.date(year, *last)


def _days(
    by_day: Mapping[dt.date, Sequence[S1Scene]], tile: Tile, direction: str | None
) -> tuple[S1Day, ...]:
    """The days with scenes of a direction, or of any."""
    days = []
    for day, scenes in by_day.items():
        used = tuple(scene for scene in scenes if direction in (None, scene.orbit_state))
        if used:
            covered = tile_coverage((scene.footprint for scene in used), tile)
            days.append(S1Day(day, used, round(covered, _COVERAGE_DIGITS)))
    return tuple(days)


def _within(days: Iterable[S1Day], name: str, year: int) -> list[S1Day]:
    first, last = window(name, year)
    return [day for day in days if first <= day.day <= last]


def _qualifying(days: Sequence[S1Day], year: int, rules: S1Rules) -> int:
    return sum(
        min(
            sum(day.coverage >= rules.min_coverage for day in _within(days, name, year)),
            rules.days_per_quarter,
        )
        for name in WINDOWS
    )


def _quarter(name: str, year: int, days: Sequence[S1Day], rules: S1Rules) -> S1Quarter:
    first, last = window(name, year)
    candidates = _within(days, name, year)
    best = sorted(candidates, key=lambda day: (day.coverage, day.day), reverse=True)
    chosen = [day for day in best if day.coverage >= rules.min_coverage]
    qualified = bool(chosen)
    if not qualified:
        chosen = [day for day in best[:1] if day.coverage > 0]
    chosen = chosen[: rules.days_per_quarter]
    return S1Quarter(
        name=name,
        first_day=first,
        last_day=last,
        candidate_days=len(candidates),
        days=tuple(sorted(chosen, key=lambda day: day.day)),
        qualified=qualified,
    )
