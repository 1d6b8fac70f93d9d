"""What is to be made: of the tile-years and sources that are asked for, those not yet ended. Pure.

A unit is made where it has no outcome, where its last attempt failed in a way that may pass, or
where what it is made from, its collection or its rules, has changed since. Whether its arrays still
stand is not known here: `availability.with_damaged` looks.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, Literal

from estinel_assets.ard.opening import s1_rules, s2_rules
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source, TileYear
from estinel_assets.outcomes.index import Index, IndexRow
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.rules import RetryRule, is_due, is_final, next_attempt
from estinel_assets.settings import ArdSettings, Settings
from estinel_assets.stac.offsets import HARMONISATION_VERSION

_FINGERPRINT_LENGTH: Final = 16
State = Literal["make", "complete", "ended", "failed", "waiting"]
STATES: Final[tuple[State, ...]] = ("make", "complete", "ended", "failed", "waiting")


class Cause(StrEnum):
    """Why a unit is made."""

    NEW = "new"
    CHANGED = "changed"
    """Its collection, provider or rules are others than those of its outcome."""
    RETRY = "retry"
    OVERWRITE = "overwrite"
    """Somebody asked for it, whatever stands."""
    DAMAGED = "damaged"
    """Its outcome says that its arrays stand, and they do not, or not whole."""


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """A tile-year and a source: what has one outcome."""

    tile_year: TileYear
    source: Source

    @property
    def key(self) -> tuple[str, str, str]:
        """Of its outcome."""
        return self.tile_year.outcome_key(self.source)


@dataclass(frozen=True, slots=True)
class PlannedUnit:
    """A unit that is to be made."""

    unit: Unit
    attempt: int
    """Which attempt it will be, from 1."""
    cause: Cause


@dataclass(frozen=True, slots=True)
class ArdPlan:
    """How everything that was asked for stands, and what is to be made of it."""

    make: tuple[PlannedUnit, ...] = ()
    complete: tuple[Unit, ...] = ()
    """Their arrays stand."""
    ended: tuple[Unit, ...] = ()
    """There is an honest reason why they lack arrays, or a part of them."""
    failed: tuple[Unit, ...] = ()
    """They failed for good."""
    waiting: tuple[Unit, ...] = ()
    """They failed, and the pause before the next attempt is not over."""

    @property
    def tile_years(self) -> tuple[TileYear, ...]:
        """Those of which something is to be made, sorted."""
        return tuple(sorted({planned.unit.tile_year for planned in self.make}))

    def units(self, state: State = "make") -> tuple[Unit, ...]:
        """The units in a state."""
        if state == "make":
            return tuple(planned.unit for planned in self.make)
        found: tuple[Unit, ...] = getattr(self, state)
        return found

    def counts(self) -> dict[str, int]:
        """Number of units by state."""
        return {state: len(self.units(state)) for state in STATES}

    def making_again(self, damaged: Collection[Unit]) -> "ArdPlan":
        """The plan in which these of its complete units are made, too.

        Args:
            damaged: units whose arrays do not stand as their outcomes say.
        """
        lost = [unit for unit in self.complete if unit in damaged]
        return replace(
            self,
            make=(*self.make, *(PlannedUnit(unit, 1, Cause.DAMAGED) for unit in lost)),
            complete=tuple(unit for unit in self.complete if unit not in damaged),
        )

    def by_source(self, state: State = "make") -> dict[Source, int]:
        """Number of units in a state by source; a source without any is left out."""
        return dict(Counter(unit.source for unit in self.units(state)))


def plan_ard(
    asked: Iterable[TileYear],
    sources: Collection[Source],
    rows: Index,
    settings: Settings,
    *,
    overwrite: bool = False,
    retry: RetryRule,
    now: datetime,
) -> ArdPlan:
    """Say what is to be made.

    Args:
        asked: tile-years; one that comes again counts once.
        sources: of each of them.
        rows: all outcomes, as `OutcomeBook.standing` gives them.
        settings: say which collections and rules apply now.
        overwrite: make everything, whatever stands; attempts start anew.
        retry: how often and with which pauses a failure is tried again.
        now: the time, aware.

    Returns:
        Each unit in one of the states, sorted.

    Raises:
        BadInputError: the rules in the settings cannot be used.
    """
    make: list[PlannedUnit] = []
    rules = {source: _rules(source, settings.ard) for source in sources}
    others: dict[State, list[Unit]] = {state: [] for state in STATES}
    for tile_year in sorted(set(asked)):
        for source in sorted(set(sources)):
            unit = Unit(tile_year, source)
            row = rows.get(unit.key)
            inputs = _hashed(tile_year, rules[source])
            if overwrite:
                make.append(PlannedUnit(unit, 1, Cause.OVERWRITE))
                continue
            state = _state(row, inputs, retry, now)
            if state == "make":
                make.append(PlannedUnit(unit, next_attempt(row, inputs), _cause(row, inputs)))
            else:
                others[state].append(unit)
    return ArdPlan(tuple(make), *(tuple(others[state]) for state in STATES if state != "make"))


def fingerprint(tile_year: TileYear, source: Source, at: ArdSettings) -> str:
    """A hash over everything, scenes apart, that decides what the arrays look like.

    The address of the catalogue is none of it: a mirror has the same scenes.

    Args:
        tile_year: the tile and year.
        source: the source.
        at: say which collection and rules apply.

    Raises:
        BadInputError: the rules cannot be used.
    """
    return _hashed(tile_year, _rules(source, at))


def _rules(source: Source, at: ArdSettings) -> str:
    """What decides the arrays of a source for all tiles, as JSON."""
    match source:
        case Source.DEM:
            content: list[object] = [at.dem_collection]
        case Source.S1:
            content = [at.s1_collection, asdict(s1_rules(at))]
        case Source.S2:
            rules = asdict(s2_rules(at))
            content = [at.s2_provider, at.s2_collection, rules, HARMONISATION_VERSION]
    return json.dumps([source.value, *content], separators=(",", ":"), sort_keys=True)


def _hashed(tile_year: TileYear, rules: str) -> str:
    tile = tile_year.tile
    place = f"[{tile.lon:.9f},{tile.lat:.9f},{tile_year.year}]"
    return sha256(f"{place}{rules}".encode()).hexdigest()[:_FINGERPRINT_LENGTH]


def _state(row: IndexRow | None, inputs: str, retry: RetryRule, now: datetime) -> State:
    if row is None or row.inputs != inputs:
        return "make"
    if row.status:
        return "complete"
    if not is_final(row, ArdReason, max_attempts=retry.max_attempts):
        return "make" if is_due(row, now, retry) else "waiting"
    return "failed" if parse_reason(ArdReason, row.reason).fault else "ended"


def _cause(row: IndexRow | None, inputs: str) -> Cause:
    if row is None:
        return Cause.NEW
    return Cause.RETRY if row.inputs == inputs else Cause.CHANGED
