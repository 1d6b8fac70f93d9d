"""The Sentinel-1 arrays of a group of tiles: quarterly medians of the chosen days."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from estinel_assets.ard.catalogues import Catalogue
from estinel_assets.ard.coverage import tile_coverage
from estinel_assets.ard.group_reading import FileRead, reading_files
from estinel_assets.ard.making import Ends, Failures, GroupInput, TileEnd
from estinel_assets.ard.opening import s1_rules
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.sentinel1_composite import (
    POLARIZATIONS,
    S1Composite,
    compose_s1,
    mosaic_day,
    quarter_median,
    s1_dataset,
)
from estinel_assets.ard.sentinel1_selection import (
    S1Day,
    S1Quarter,
    S1Rules,
    S1Scene,
    S1Selection,
    s1_scene,
    select_s1,
)
from estinel_assets.ard.tiles import Tile, TileYear, tile_grid
from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.solarday import query_window_utc
from estinel_assets.stac.scenes import SceneAsset
from estinel_assets.stac.source import StacItem

_DIGITS: Final = 4
_Assets: TypeAlias = Mapping[str, Mapping[str, SceneAsset]]
"""By scene id, then polarization."""
_Reads: TypeAlias = Mapping[tuple[str, str], FileRead]
"""By scene id and polarization."""


def make_s1(group: GroupInput) -> Ends:
    """Make the backscatter of each tile.

    Raises:
        UnitError: the search failed.
    """
    rules = s1_rules(group.ard)
    tile_years = group.tile_years
    grids = {one: tile_grid(one.tile, rules.resolution_m) for one in tile_years}
    with group.seconds.of("search"):
        items = group.catalogue.find(list(grids.values()), *span_of(tile_years))
    failures = Failures()
    selections: dict[TileYear, S1Selection] = {}
    with group.seconds.of("select"):
        assets = _usable(items, group.catalogue)
        scenes = [s1_scene(item) for item in items if item["id"] in assets]
        for one in tile_years:
            with failures.of(one):
                over = list(_over(scenes, one.tile))
                selections[one] = select_s1(over, one.tile, one.year, rules)
    ends: Ends = {}
    with (
        group.seconds.of("read"),
        reading_files(group.rasters, group.catalogue.signer) as reading,
    ):
        wanted: dict[tuple[str, str], list[Grid]] = {}
        for one, selection in selections.items():
            for scene in _chosen(selection):
                for polarization in POLARIZATIONS:
                    wanted.setdefault((scene.id, polarization), []).append(grids[one])
        reads = {
            (scene_id, polarization): reading.begin(assets[scene_id][polarization], on)
            for (scene_id, polarization), on in wanted.items()
        }
        for one in failures.spared(tile_years):
            with failures.of(one):
                ends[one] = _end(selections[one], grids[one], rules, reads)
    return ends | failures


def span_of(tile_years: Sequence[TileYear]) -> tuple[Any, Any]:
    """The instants between which every scene of the tiles' solar year lies."""
    spans = [
        query_window_utc(date(one.year, 1, 1), date(one.year, 12, 31), one.tile.lon)
        for one in tile_years
    ]
    return min(start for start, _ in spans), max(end for _, end in spans)


def _usable(items: Iterable[StacItem], catalogue: Catalogue) -> _Assets:
    """The scenes with both polarizations; over polar seas others are sent and received."""
    listed = {item["id"]: catalogue.assets(item) for item in items}
    return {name: assets for name, assets in listed.items() if set(POLARIZATIONS) <= set(assets)}


def _over(scenes: Iterable[S1Scene], tile: Tile) -> Iterator[S1Scene]:
    """Those over a tile: what else a search for its group gives must not decide anything."""
    return (scene for scene in scenes if tile_coverage([scene.footprint], tile) > 0)


def _chosen(selection: S1Selection) -> Iterator[S1Scene]:
    return (scene for quarter in selection.quarters for day in quarter.days for scene in day.scenes)


def _end(selection: S1Selection, grid: Grid, rules: S1Rules, reads: _Reads) -> TileEnd:
    detail: dict[str, Any] = {
        "orbit": selection.orbit,
        "qualifying_days": dict(selection.qualifying_days),
        "scenes_listed": dict(selection.scenes_listed),
    }
    if len(selection.gaps) == len(selection.quarters):
        return TileEnd(ArdReason.NO_SCENES, detail={**detail, "gaps": list(selection.gaps)})
    medians = {
        quarter.name: quarter_median([_day(day, quarter, grid, reads) for day in quarter.days])
        for quarter in selection.quarters
        if quarter.days
    }
    composite = compose_s1(medians, grid.shape)
    detail |= {"gaps": list(composite.gaps), "quarters": _said_of(selection, composite)}
    if composite.reason is ArdReason.NO_SCENES:
        return TileEnd(composite.reason, detail=detail)
    return TileEnd(composite.reason, {"s1": s1_dataset(composite, selection, grid, rules)}, detail)


def _day(day: S1Day, quarter: S1Quarter, grid: Grid, reads: _Reads) -> NDArray[np.float32]:
    """The backscatter of a day.

    Raises:
        RetryableError: `source_blank`: footprints cover the tile, and there is not one value.
    """
    values = mosaic_day(
        np.stack([reads[scene.id, name].on(grid) for name in POLARIZATIONS]).astype(
            np.float32, copy=False
        )
        for scene in day.scenes
    )
    if quarter.qualified and not np.isfinite(values).any():
        raise RetryableError(
            SourceFault.BLANK,
            f"the scenes {', '.join(scene.id for scene in day.scenes)} have no value in the "
            f"tile, of which their footprints cover {day.coverage:.0%}: try again later, and "
            "tell their provider if that does not help",
        )
    return values


def _said_of(selection: S1Selection, composite: S1Composite) -> dict[str, Any]:
    return {
        quarter.name: {
            "days": [day.day.isoformat() for day in quarter.days],
            "scenes": [scene.id for day in quarter.days for scene in day.scenes],
            "valid_fraction": round(composite.valid_fraction[quarter.name], _DIGITS),
        }
        for quarter in selection.quarters
    }
