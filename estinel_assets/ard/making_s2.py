"""The Sentinel-2 arrays of a group of tiles: clear days chosen in two stages, then composed.

Of every day that may do, only the classification is read, on coarse grids; of the days that are
left all bands are. A file is read once for all tiles of the group, and the files of the next days
are on their way while a day is composed.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from estinel_assets.ard.group_reading import GroupReading, reading_files
from estinel_assets.ard.making import Ends, Failures, GroupInput, TileEnd
from estinel_assets.ard.making_s1 import span_of
from estinel_assets.ard.making_s2_scenes import (
    Reads,
    S2Input,
    TileScenes,
    Want,
    begin_reads,
    classes_on,
)
from estinel_assets.ard.opening import s2_rules
from estinel_assets.ard.scratch import ScratchFile
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS, SCL_BAND
from estinel_assets.ard.sentinel2_composite import (
    Composites,
    S2Step,
    clouds_dataset,
    compose_day,
    s2_dataset,
)
from estinel_assets.ard.sentinel2_rules import S2Rules, cloud_grid, quality_grid
from estinel_assets.ard.sentinel2_selection import (
    CloudScore,
    Drop,
    S2Day,
    bad_fraction,
    candidate_days,
    reason_for,
    s2_scene,
    score_clouds,
    select_clear,
    select_usable,
)
from estinel_assets.ard.tiles import TileYear, tile_grid
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.scenes import parse_scene
from estinel_assets.stac.versions import keep_newest

DAYS_AHEAD: Final = 2
"""Days whose files are on their way while a day is composed."""

Inputs: TypeAlias = Mapping[str, S2Input]
"""By scene id."""
_Classes: TypeAlias = dict[date, NDArray[np.uint8]]


@dataclass(slots=True)
class _Tile:
    """A tile-year on its way to its arrays."""

    tile_year: TileYear
    rules: S2Rules
    grid_10: Grid
    grid_20: Grid
    wide: Grid
    quality: Grid
    candidates: Mapping[date, S2Day] = field(default_factory=dict)
    wide_scl: _Classes = field(default_factory=dict)
    quality_scl: _Classes = field(default_factory=dict)
    """Of the days that stage 1 left."""
    scores: dict[date, CloudScore] = field(default_factory=dict)
    bad: dict[date, float] = field(default_factory=dict)
    clear: tuple[date, ...] = ()
    used: tuple[date, ...] = ()
    dropped: dict[date, Drop] = field(default_factory=dict)
    fine: Composites | None = None
    """In the bands of 10 m."""
    coarse: Composites | None = None
    """In those of 20 m."""
    steps: list[S2Step] = field(default_factory=list)

    @classmethod
    def of(cls, tile_year: TileYear, rules: S2Rules) -> "_Tile":
        tile = tile_year.tile
        return cls(
            tile_year,
            rules,
            grid_10=tile_grid(tile, 10.0),
            grid_20=tile_grid(tile, 20.0),
            wide=cloud_grid(tile, rules),
            quality=quality_grid(tile, rules),
        )

    def make_room(self, scratch: ScratchFile) -> None:
        """For the days that are used, if there are any."""
        if self.used:
            days = len(self.used)
            self.fine = Composites(days, S2_10_BANDS, self.grid_10, scratch)
            self.coarse = Composites(days, S2_20_BANDS, self.grid_20, scratch)


def make_s2(group: GroupInput) -> Ends:
    """Make the reflectance and the clouds of each tile.

    Raises:
        UnitError: the search failed.
    """
    rules = s2_rules(group.ard)
    tiles = [_Tile.of(tile_year, rules) for tile_year in group.tile_years]
    failures = Failures()
    ends: Ends = {}
    with group.seconds.of("search"):
        inputs = _newest(group, [tile.wide for tile in tiles])
    with reading_files(group.rasters, group.catalogue.signer) as reading:
        with group.seconds.of("select"):
            _choose(tiles, inputs, reading, failures)
        with group.seconds.of("read"):
            scratch = ScratchFile()
            for tile in _spared(tiles, failures):
                tile.make_room(scratch)
            _compose(tiles, inputs, reading, failures)
    with group.seconds.of("arrays"):
        for tile in _spared(tiles, failures):
            with failures.of(tile.tile_year):
                ends[tile.tile_year] = _end(tile, inputs)
    return ends | failures


def _newest(group: GroupInput, grids: Sequence[Grid]) -> Inputs:
    """One version of every scene around the tiles, in the order of time."""
    items = group.catalogue.find(grids, *span_of(group.tile_years))
    by_id = {item["id"]: item for item in items}
    kept, _ = keep_newest(parse_scene(item, group.catalogue.provider) for item in items)
    return {scene.id: S2Input(by_id[scene.id], group.catalogue) for scene in kept}


def _choose(
    tiles: Sequence[_Tile], inputs: Inputs, reading: GroupReading, failures: Failures
) -> None:
    """Both stages of the selection."""
    scenes = [s2_scene(source.item) for source in inputs.values()]
    for tile in tiles:
        with failures.of(tile.tile_year):
            one = tile.tile_year
            days = candidate_days(scenes, one.tile, one.year, tile.rules)
            tile.candidates = {day.day: day for day in days}
    reads = begin_reads(reading, _wide_wants(tiles, inputs), failures)
    for tile in _spared(tiles, failures):
        with failures.of(tile.tile_year):
            _score(tile, inputs, reads)
    reads = begin_reads(reading, _quality_wants(_spared(tiles, failures), inputs), failures)
    for tile in _spared(tiles, failures):
        with failures.of(tile.tile_year):
            _judge(tile, inputs, reads)


def _wide_wants(tiles: Sequence[_Tile], inputs: Inputs) -> Iterator[Want]:
    for tile in tiles:
        for day in tile.candidates.values():
            for scene in day.scenes:
                yield Want(tile.tile_year, inputs[scene.id], SCL_BAND, tile.wide)


def _quality_wants(tiles: Iterator[_Tile], inputs: Inputs) -> Iterator[Want]:
    for tile in tiles:
        for day in tile.clear:
            for scene in tile.candidates[day].tile_scenes:
                yield Want(tile.tile_year, inputs[scene.id], SCL_BAND, tile.quality)


def _score(tile: _Tile, inputs: Inputs, reads: Reads) -> None:
    """Stage 1."""
    for day, candidate in tile.candidates.items():
        scenes = [inputs[scene.id] for scene in candidate.scenes]
        tile.wide_scl[day] = classes_on(tile.wide, scenes, reads)
        tile.scores[day] = score_clouds(day, tile.wide_scl[day], tile.rules)
    selection = select_clear(tile.scores.values(), tile.rules)
    tile.clear = tuple(score.day for score in selection.kept)
    tile.dropped.update(selection.dropped)


def _judge(tile: _Tile, inputs: Inputs, reads: Reads) -> None:
    """Stage 2."""
    for day in tile.clear:
        scenes = [inputs[scene.id] for scene in tile.candidates[day].tile_scenes]
        tile.quality_scl[day] = classes_on(tile.quality, scenes, reads)
        tile.bad[day] = bad_fraction(tile.quality_scl[day])
    selection = select_usable(tile.bad, tile.rules)
    tile.used = selection.kept
    tile.dropped.update(selection.dropped)


@dataclass(frozen=True, slots=True)
class _DayReads:
    """A day whose files are on their way."""

    day: date
    scenes: Mapping[TileYear, TileScenes]
    reads: Reads


def _compose(
    tiles: Sequence[_Tile], inputs: Inputs, reading: GroupReading, failures: Failures
) -> None:
    """Compose the chosen days into the tiles' arrays, day by day."""
    days_used = sorted({day for tile in _spared(tiles, failures) for day in tile.used})
    under_way: deque[_DayReads] = deque()
    for day in days_used:
        under_way.append(_begin_day(day, tiles, inputs, reading, failures))
        if len(under_way) > DAYS_AHEAD:
            _compose_day(under_way.popleft(), tiles, reading, failures)
    while under_way:
        _compose_day(under_way.popleft(), tiles, reading, failures)


def _begin_day(
    day: date,
    tiles: Sequence[_Tile],
    inputs: Inputs,
    reading: GroupReading,
    failures: Failures,
) -> _DayReads:
    scenes: dict[TileYear, TileScenes] = {}
    wants: list[Want] = []
    for tile in _spared(tiles, failures):
        if day in tile.used:
            with failures.of(tile.tile_year):
                of_tile = [inputs[scene.id] for scene in tile.candidates[day].tile_scenes]
                found = TileScenes.of(of_tile, tile.grid_20)
                scenes[tile.tile_year] = found
                wants += found.wants(tile.tile_year, tile.grid_10, tile.grid_20)
    return _DayReads(day, scenes, begin_reads(reading, wants, failures))


def _compose_day(
    under_way: _DayReads, tiles: Sequence[_Tile], reading: GroupReading, failures: Failures
) -> None:
    for tile in _spared(tiles, failures):
        found = under_way.scenes.get(tile.tile_year)
        if found is None or tile.fine is None or tile.coarse is None:
            continue
        with failures.of(tile.tile_year):
            day = under_way.day
            for composites in (tile.fine, tile.coarse):
                layers = found.layers(
                    composites.bands, composites.grid, tile.grid_20, under_way.reads, reading
                )
                composites.add(compose_day(layers))
            offsets = {scene.id: scene.offset for scene in found.scenes}
            coverage = tile.candidates[day].coverage
            tile.steps.append(S2Step(tile.scores[day], tile.bad[day], coverage, offsets))


def _spared(tiles: Sequence[_Tile], failures: Failures) -> Iterator[_Tile]:
    """Those that have not failed by the time they come up."""
    return (tile for tile in tiles if tile.tile_year not in failures)


def _end(tile: _Tile, inputs: Inputs) -> TileEnd:
    reason = reason_for(list(tile.candidates.values()), tile.used)
    offsets = {name: offset for step in tile.steps for name, offset in step.offsets.items()}
    detail: dict[str, Any] = {
        "scenes_listed": len(inputs),
        "days_considered": len(tile.candidates),
        "days_clear": len(tile.clear),
        "days_used": len(tile.used),
        "dropped": dict(sorted(Counter(map(str, tile.dropped.values())).items())),
        "dates": [day.isoformat() for day in tile.used],
        "scene_ids": {step.score.day.isoformat(): list(step.offsets) for step in tile.steps},
        "offsets_dn": {name: offset.offset_dn for name, offset in offsets.items()},
    }
    if tile.fine is None or tile.coarse is None:
        return TileEnd(reason, detail=detail)
    clouds = clouds_dataset(
        tile.wide_scl,
        tile.wide,
        {day: tile.quality_scl[day] for day in tile.used},
        tile.quality,
        tile.scores,
        tile.dropped,
        tile.rules,
    )
    groups = {
        "s2_10": s2_dataset(tile.fine, tile.steps, tile.rules),
        "s2_20": s2_dataset(tile.coarse, tile.steps, tile.rules),
        "clouds": clouds,
    }
    return TileEnd(reason, groups, detail)
