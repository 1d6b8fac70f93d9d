"""What an engine maps over: groups of neighbouring tiles, each unit taken to one outcome."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from estinel_assets.ard.ard_zarr import StoredGroup, remove_group, write_group
from estinel_assets.ard.catalogues import region_of, shared_catalogue
from estinel_assets.ard.making import Ends, GroupInput, Seconds, TileEnd
from estinel_assets.ard.making_dem import make_dem
from estinel_assets.ard.making_outcomes import (
    OutcomeForm,
    is_settled,
    standing_arrays,
    tries_again,
)
from estinel_assets.ard.making_s1 import make_s1
from estinel_assets.ard.making_s2 import make_s2
from estinel_assets.ard.opening import (
    GROUPS_OF,
    WorkSettings,
    ard_run,
    open_ard_book,
    shared_store,
)
from estinel_assets.ard.plan import PlannedUnit
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import CELL_DEG, Source, Tile, TileYear
from estinel_assets.clock import utc_now
from estinel_assets.errors import RetryableError, StoreError, UnitError
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.raster.reader_opening import shared_reader
from estinel_assets.settings import ArdSettings, Settings
from estinel_assets.storage.port import ObjectStore

__all__ = ["GroupWork", "WorkSettings", "groups_of", "make_group"]

_MAKERS: Final[Mapping[Source, Callable[[GroupInput], Ends]]] = MappingProxyType(
    {Source.DEM: make_dem, Source.S1: make_s1, Source.S2: make_s2}
)

_LEAST_TOGETHER: Final = 4
"""Tiles below which a group would decode much of each scene that its neighbours decode, too."""

_Cell: TypeAlias = tuple[int, int]
"""Row and column of a tile in the grid of tiles."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GroupWork:
    """Units of one source and year that are made together."""

    source: Source
    units: tuple[PlannedUnit, ...]
    """Neighbours."""
    run_id: str
    settings: WorkSettings

    @property
    def tile_years(self) -> tuple[TileYear, ...]:
        """The tile-years of the units."""
        return tuple(planned.unit.tile_year for planned in self.units)


def groups_of(units: Iterable[PlannedUnit], settings: Settings, run_id: str) -> list[GroupWork]:
    """Put units together whose scenes are mostly the same.

    Args:
        units: what is to be made.
        settings: `ard.tiles_together` says how many tiles at most; fewer, but no fewer than four,
            where some of the `ard.workers` would have nothing to do.
        run_id: stands in the outcomes.

    Returns:
        Sorted by source, year and place, so that what follows one another shares scenes, too.

    Raises:
        BadInputError: the store of the settings cannot be used by workers.
    """
    travelling = WorkSettings.of(settings)
    years: defaultdict[tuple[Source, int], defaultdict[_Cell, list[PlannedUnit]]]
    years = defaultdict(lambda: defaultdict(list))
    for planned in units:
        one = planned.unit.tile_year
        years[planned.unit.source, one.year][_cell_of(one.tile)].append(planned)
    groups = []
    for (source, _), cells in sorted(years.items()):
        at_most = _tiles_together(sum(map(len, cells.values())), settings.ard)
        for block in _blocks(cells, at_most):
            # Where the grid of tiles jumps, two of them may share a cell.
            found = [planned for cell in block for planned in cells[cell]]
            for start in range(0, len(found), at_most):
                together = tuple(found[start : start + at_most])
                groups.append(GroupWork(source, together, run_id, travelling))
    return groups


def _tiles_together(tiles: int, ard: ArdSettings) -> int:
    """Tiles of a group at most, where there are so many of them."""
    for_all_workers = max(math.ceil(tiles / ard.workers), _LEAST_TOGETHER)
    return min(for_all_workers, ard.tiles_together)


def _cell_of(tile: Tile) -> _Cell:
    """The cell of the grid of tiles; its own numbers say nothing of that."""
    # A quarter of a cell more: centres lie on its lines or half-way between them.
    row, column = (math.floor(degrees / CELL_DEG + 0.25) for degrees in (tile.lat, tile.lon))
    return row, column


def _blocks(cells: Collection[_Cell], at_most: int) -> Iterator[list[_Cell]]:
    """Cells in blocks that are as square as they can be, patch by patch."""
    rows = math.isqrt(at_most)
    columns = at_most // rows
    for patch in _patches(cells):
        first_row, first_column = (min(place) for place in zip(*patch, strict=True))
        blocks: defaultdict[_Cell, list[_Cell]] = defaultdict(list)
        for row, column in patch:
            blocks[(row - first_row) // rows, (column - first_column) // columns].append(
                (row, column)
            )
        yield from (block for _, block in sorted(blocks.items()))


def _patches(cells: Collection[_Cell]) -> Iterator[list[_Cell]]:
    """Cells that touch one another, sorted, from one patch to the next."""
    left = set(cells)
    for start in sorted(cells):
        patch: list[_Cell] = []
        reached = [start]
        while reached:
            cell = reached.pop()
            if cell in left:
                left.remove(cell)
                patch.append(cell)
                row, column = cell
                reached += [(row + up, column + right) for up in (-1, 0, 1) for right in (-1, 0, 1)]
        if patch:
            yield sorted(patch)


def make_group(work: GroupWork) -> tuple[Outcome, ...]:
    """Make the arrays of a group and record the outcome of each unit, in any worker.

    A unit that this run has ended already, and not in a way that may pass, is left alone: trying
    a group again makes what failed.

    Returns:
        The outcomes, as they stand, in the order of the units.

    Raises:
        RetryableError: a unit failed in a way that may pass. Its outcome stands all the same.
        StoreError: the store refuses even the outcomes.
    """
    store = shared_store(work.settings.store)
    ledger = open_ard_book(work.settings, store).objects
    outcomes = _Making(work, store, ledger, ard_run(work.run_id, utc_now)).outcomes()
    again = [outcome for outcome in outcomes if tries_again(outcome)]
    if again:
        raise RetryableError(
            again[0].reason,
            f"{len(again)} of {len(outcomes)} tiles failed; {'/'.join(again[0].key)}: "
            f"{again[0].error}",
        )
    return outcomes


@dataclass(frozen=True, slots=True)
class _Making:
    """One attempt at a group."""

    work: GroupWork
    store: ObjectStore
    ledger: ObjectLedger
    run: Run

    def outcomes(self) -> tuple[Outcome, ...]:
        ended: dict[PlannedUnit, Outcome] = {}
        for planned in self.work.units:
            former = self.ledger.get(planned.unit.key)
            if former is not None and is_settled(former, self.work.run_id):
                ended[planned] = former
        left = [planned for planned in self.work.units if planned not in ended]
        if left:
            started_at = self.run.clock()
            seconds = Seconds(time.monotonic)
            ends = self._ends([planned.unit.tile_year for planned in left], seconds)
            said = {
                "region": region_of(self.work.source, self.work.settings),
                "tiles_together": len(left),
                "seconds": seconds.shares(len(left)),
            }
            for planned in left:
                end = ends.pop(planned.unit.tile_year)
                form = OutcomeForm(planned, self.run, started_at, self.work.settings.ard)
                ended[planned] = _Recording(form, self.store, self.ledger, said).record(end)
        return tuple(ended[planned] for planned in self.work.units)

    def _ends(self, tile_years: list[TileYear], seconds: Seconds) -> Ends:
        settings = self.work.settings
        group = GroupInput(
            tile_years=tuple(tile_years),
            catalogue=shared_catalogue(self.work.source, settings),
            rasters=shared_reader(settings.raster, settings.transport),
            store=self.store,
            ard=settings.ard,
            seconds=seconds,
        )
        try:
            return _MAKERS[self.work.source](group)
        except (UnitError, StoreError) as error:
            return dict.fromkeys(tile_years, error)
        except MemoryError:
            raise
        except Exception as error:
            log.exception("internal error", tiles=[one.key for one in tile_years])
            return dict.fromkeys(tile_years, error)


@dataclass(frozen=True, slots=True)
class _Recording:
    """Takes one unit from its arrays to its outcome."""

    form: OutcomeForm
    store: ObjectStore
    ledger: ObjectLedger
    said: Mapping[str, Any]
    """Of the group, for the outcome's detail."""

    def record(self, end: TileEnd | Exception) -> Outcome:
        """Write the arrays, then the outcome.

        Returns:
            The outcome as it was recorded; another worker's, if that was faster with this unit.
        """
        planned = self.form.planned
        unit = planned.unit
        former = self.ledger.get(unit.key)
        if former is not None and is_settled(former, self.form.run.run_id):
            return former
        standing = standing_arrays(former)
        if isinstance(end, Exception):
            outcome = self.form.failed(end, standing, self.said)
        else:
            outcome = self._written(end, standing)
        self.ledger.put_one(outcome)
        log.info(
            "tile ended",
            tile=unit.tile_year.key,
            source=unit.source.value,
            reason=outcome.reason,
            cause=planned.cause.value,
            attempt=planned.attempt,
        )
        return outcome

    def _written(self, end: TileEnd, standing: Mapping[str, Any] | None) -> Outcome:
        """Put the arrays in the place of what stood there; how that ended."""
        if standing is not None:
            # From here on a crash leaves neither the old arrays nor the new ones for sure.
            self.ledger.put_one(self.form.ended(ArdReason.INTERRUPTED, detail=self.said))
        seconds = Seconds(time.monotonic)
        try:
            with seconds.of("write"):
                stored = self._write(end)
        except (UnitError, StoreError) as error:
            return self.form.failed(error, None, self.said)
        except MemoryError:
            raise
        except Exception as error:
            log.exception("internal error", tile=self.form.planned.unit.tile_year.key)
            return self.form.failed(error, None, self.said)
        detail = {
            **self.said,
            "seconds": {**self.said["seconds"], **seconds.shares(1)},
            "groups": {
                one.group: {"objects": one.n_objects, "bytes": one.n_bytes, "sha256": one.sha256}
                for one in stored
            },
            **end.detail,
        }
        path = self.form.planned.unit.tile_year.store_path
        outputs = tuple(self.store.uri(f"{path}/{one.group}") for one in stored)
        return self.form.ended(end.reason, outputs=outputs, detail=detail)

    def _write(self, end: TileEnd) -> list[StoredGroup]:
        unit = self.form.planned.unit
        path, root = unit.tile_year.store_path, _root_attributes(unit.tile_year)
        stored = []
        for group in GROUPS_OF[unit.source]:
            if group in end.groups:
                stored.append(write_group(self.store, path, group, end.groups[group], root=root))
            else:
                remove_group(self.store, path, group)
        return stored


def _root_attributes(tile_year: TileYear) -> dict[str, Any]:
    """Of the store's root, the same for all groups."""
    tile = tile_year.tile
    return {
        "tile": tile.tag,
        "year": tile_year.year,
        "centre_lon": tile.lon,
        "centre_lat": tile.lat,
        "Conventions": "CF-1.8",
    }
