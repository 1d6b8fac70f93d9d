"""From keys of outcomes to a plan: what a run over chosen sources of tile-years is to do."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice

from estinel_assets.ard.keys import Waiting, read_key
from estinel_assets.ard.plan import ArdPlan, State, Unit, plan_ard
from estinel_assets.ard.tile_table import TileTable
from estinel_assets.ard.tiles import Source, TileYear, parse_tag
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import Index
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings

SHOWN = 10
LOOKED_UP_AT_ONCE = 500


def tile_years_of(keys: Iterable[Key], table: TileTable) -> dict[Source, list[TileYear]]:
    """The tile-years that keys mean, by source.

    Args:
        keys: of outcomes.
        table: of the tiles.

    Raises:
        BadInputError: a key is none of ard, or names a tile that the table has not; all are told.
        StoreError: the store of the table refuses.
    """
    read, problems = [], []
    for key in keys:
        try:
            read.append(read_key(key))
        except BadInputError as error:
            problems.append(str(error))
    tiles = table.by_numbers({numbers for _, numbers, _ in read}) if read else {}
    absent = sorted({numbers for _, numbers, _ in read if numbers not in tiles})
    problems += [f"the table of tiles has no tile {x}X{y}Y" for x, y in absent]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise BadInputError("; ".join(problems[:SHOWN]) + more)
    found: dict[Source, list[TileYear]] = {}
    for year, numbers, source in read:
        found.setdefault(source, []).append(TileYear(tiles[numbers], year))
    return found


def of_known_tiles(
    waits: Iterable[Waiting], table: TileTable, unknown: set[str]
) -> Iterator[Waiting]:
    """What waits, without tiles that the table has not: nobody could make them.

    Args:
        waits: in any order, which stays.
        table: of the tiles; asked for a few hundred at a time.
        unknown: gets the names of the tiles that were left out.

    Raises:
        BadInputError: the table of tiles cannot be used.
        StoreError: the store of the table refuses.
    """
    left = iter(waits)
    while some := list(islice(left, LOOKED_UP_AT_ONCE)):
        tiles = table.by_numbers({parse_tag(one.key[1]) for one in some})
        for one in some:
            if parse_tag(one.key[1]) in tiles:
                yield one
            else:
                unknown.add(one.key[1])


def plan_keys(
    asked: dict[Source, list[TileYear]],
    rows: Index,
    settings: Settings,
    *,
    now: datetime,
    overwrite: bool = False,
) -> ArdPlan:
    """Plan what somebody asks for by name: at once, whatever the pauses, and given up or not.

    Args:
        asked: the tile-years of each source.
        rows: how keys ended so far.
        settings: all of them.
        now: UTC, aware.
        overwrite: make also what is complete.
    """
    rule = RetryRule(settings.outcomes.max_attempts, 0.0, 0.0)
    plans = []
    for source, tile_years in sorted(asked.items()):
        plan = plan_ard(
            tile_years, {source}, rows, settings, overwrite=overwrite, retry=rule, now=now
        )
        given_up = plan_ard(
            [unit.tile_year for unit in plan.failed],
            {source},
            rows,
            settings,
            overwrite=True,
            retry=rule,
            now=now,
        )
        plans += [replace(plan, failed=()), given_up]
    return merged(plans)


def merged(plans: Collection[ArdPlan]) -> ArdPlan:
    """One plan of several, over units that differ."""
    return ArdPlan(
        make=tuple(one for plan in plans for one in plan.make),
        complete=_units(plans, "complete"),
        ended=_units(plans, "ended"),
        failed=_units(plans, "failed"),
        waiting=_units(plans, "waiting"),
    )


def _units(plans: Iterable[ArdPlan], state: State) -> tuple[Unit, ...]:
    return tuple(unit for plan in plans for unit in plan.units(state))
