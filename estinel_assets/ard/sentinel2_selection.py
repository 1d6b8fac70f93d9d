"""Which Sentinel-2 days a tile's year is made from: the steps that `sentinel2_rules` describes."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.coverage import tile_coverage
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.sentinel2_rules import CLOUDY_CLASSES, S2Rules
from estinel_assets.ard.tiles import Tile
from estinel_assets.errors import PermanentError, SourceFault
from estinel_assets.solarday import solar_day
from estinel_assets.stac.fields import as_mapping, as_number, as_text
from estinel_assets.stac.geography import geometry_of
from estinel_assets.stac.source import item_datetime

_COVERAGE_DIGITS = 6
"""Noise of the intersection decides nothing."""
_CLOUDY = np.isin(np.arange(256), [*CLOUDY_CLASSES, *range(12, 256)])
"""For each value of the classification whether it is cloudy; undefined ones count as class 7."""


class Drop(StrEnum):
    """Why a day is not used."""

    HARD = "hard_drop"
    WEIGHTED = "weighted"
    BETTER_IN_MONTH = "better_in_month"
    ENOUGH_IN_MONTH = "enough_in_month"
    ENOUGH_IN_YEAR = "enough_in_year"
    BAD_PIXELS = "bad_pixels"


@dataclass(frozen=True, slots=True)
class S2Scene:
    """One item of Sentinel-2 L2A."""

    id: str
    datetime: dt.datetime
    """UTC."""
    footprint: BaseGeometry
    """In degrees (EPSG:4326); empty where the item has none."""
    cloud_cover_percent: float | None
    """`eo:cloud_cover`; None where the item does not say."""


@dataclass(frozen=True, slots=True)
class S2Day:
    """A solar day whose scenes cover the tile."""

    day: dt.date
    scenes: tuple[S2Scene, ...]
    """All of the wide area, in the order of time, then id."""
    tile_scenes: tuple[S2Scene, ...]
    """Those of them whose footprints meet the tile."""
    coverage: float
    """Share of the tile within their footprints, 0 to 1."""


@dataclass(frozen=True, slots=True)
class CloudScore:
    """How cloudy a day is."""

    day: dt.date
    cloud_fraction: float
    """Share of the wide area, 0 to 1."""
    local_fraction: float
    """Share of its middle, 0 to 1."""
    weighted: float
    """The score, 0 to 1; lower is better."""


@dataclass(frozen=True, slots=True)
class ClearSelection:
    """What stage 1 leaves."""

    kept: tuple[CloudScore, ...]
    """In the order of time."""
    dropped: Mapping[dt.date, Drop]
    """Every other day, and the step at which it went."""


@dataclass(frozen=True, slots=True)
class UsableSelection:
    """What stage 2 leaves."""

    kept: tuple[dt.date, ...]
    """In the order of time."""
    dropped: Mapping[dt.date, Drop]
    """Every other day."""


def s2_scene(item: Mapping[str, Any]) -> S2Scene:
    """Read a scene from a STAC item.

    Raises:
        PermanentError: `source_corrupt`: no id, or no datetime.
    """
    item_id, instant = as_text(item.get("id")), item_datetime(item)
    if item_id is None or instant is None:
        missing = "id" if item_id is None else "datetime"
        raise PermanentError(SourceFault.CORRUPT, f"the item {item_id!r} has no {missing}")
    return S2Scene(
        id=item_id,
        datetime=instant,
        footprint=geometry_of(item) or Polygon(),
        cloud_cover_percent=as_number(as_mapping(item.get("properties")).get("eo:cloud_cover")),
    )


def candidate_days(
    scenes: Iterable[S2Scene], tile: Tile, year: int, rules: S2Rules | None = None
) -> tuple[S2Day, ...]:
    """The days that are looked at: steps 1 and 2.

    Args:
        scenes: of the wide area, in any order; one version of each.
        tile: gives the place, and the longitude of the solar days.
        year: calendar year, in solar days.
        rules: the thresholds; None = the defaults.

    Returns:
        In the order of time.
    """
    rules = rules or S2Rules()
    by_day: dict[dt.date, list[S2Scene]] = defaultdict(list)
    for scene in sorted(scenes, key=lambda scene: (scene.datetime, scene.id)):
        cloud = scene.cloud_cover_percent
        day = solar_day(scene.datetime, tile.lon)
        if day.year == year and (cloud is None or cloud < rules.max_scene_cloud_percent):
            by_day[day].append(scene)
    days = []
    for day, found in sorted(by_day.items()):
        over_tile = tuple(scene for scene in found if tile_coverage([scene.footprint], tile) > 0)
        covered = tile_coverage((scene.footprint for scene in over_tile), tile)
        coverage = round(covered, _COVERAGE_DIGITS)
        if coverage >= rules.min_coverage:
            days.append(S2Day(day, tuple(found), over_tile, coverage))
    return tuple(days)


def cloudy_pixels(scl: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels of a classification count as cloudy."""
    cloudy: NDArray[np.bool_] = _CLOUDY[scl]
    return cloudy


def score_clouds(day: dt.date, scl: NDArray[np.uint8], rules: S2Rules | None = None) -> CloudScore:
    """How cloudy a day is.

    Args:
        day: the solar day.
        scl: (height, width), the classification on `cloud_grid`; 0 where nothing is known.
        rules: the thresholds; None = the defaults.

    Raises:
        ValueError: there is no pixel.
    """
    rules = rules or S2Rules()
    if scl.size == 0:
        raise ValueError(f"a classification of shape {scl.shape} has no pixels to count")
    cloudy = cloudy_pixels(scl)
    middle = tuple(
        slice(
            max(size // 2 - rules.local_pixels // 2, 0),
            max(size // 2 - rules.local_pixels // 2, 0) + min(rules.local_pixels, size),
        )
        for size in cloudy.shape
    )
    everywhere, here = float(cloudy.mean()), float(cloudy[middle].mean())
    weighted = everywhere
    if everywhere > rules.moderate_above:
        weighted = (1 - rules.local_weight) * everywhere + rules.local_weight * here
    return CloudScore(day, everywhere, here, weighted)


def select_clear(scores: Iterable[CloudScore], rules: S2Rules | None = None) -> ClearSelection:
    """Stage 1: steps 3 to 7.

    Args:
        scores: one a day, in any order.
        rules: the thresholds; None = the defaults.
    """
    rules = rules or S2Rules()
    ordered = sorted(scores, key=lambda score: score.day)
    clearest: dict[int, float] = {}
    for score in ordered:
        month = score.day.month
        clearest[month] = min(clearest.get(month, score.local_fraction), score.local_fraction)
    dropped: dict[dt.date, Drop] = {}
    for score in ordered:
        if score.cloud_fraction > rules.hard_drop_above:
            dropped[score.day] = Drop.HARD
        elif score.weighted > rules.max_weighted:
            dropped[score.day] = Drop.WEIGHTED
        elif clearest[score.day.month] < score.local_fraction - rules.better_by:
            dropped[score.day] = Drop.BETTER_IN_MONTH
    in_month: dict[int, int] = defaultdict(int)
    in_year = 0
    for score in sorted(ordered, key=lambda score: (score.weighted, score.day)):
        if score.day in dropped:
            continue
        if in_month[score.day.month] >= rules.max_per_month:
            dropped[score.day] = Drop.ENOUGH_IN_MONTH
            continue
        in_month[score.day.month] += 1
        if in_year >= rules.max_per_year:
            dropped[score.day] = Drop.ENOUGH_IN_YEAR
        in_year += 1
    return ClearSelection(
        kept=tuple(score for score in ordered if score.day not in dropped),
        dropped=dict(sorted(dropped.items())),
    )


def bad_fraction(scl: NDArray[np.uint8]) -> float:
    """Share of the tile that is cloudy, 0 to 1.

    Args:
        scl: (height, width), the classification on `quality_grid`.

    Raises:
        ValueError: there is no pixel.
    """
    if scl.size == 0:
        raise ValueError(f"a classification of shape {scl.shape} has no pixels to count")
    return float(cloudy_pixels(scl).mean())


def select_usable(bad: Mapping[dt.date, float], rules: S2Rules | None = None) -> UsableSelection:
    """Stage 2: step 8.

    Args:
        bad: for each day that stage 1 left, its `bad_fraction`.
        rules: the thresholds; None = the defaults.
    """
    rules = rules or S2Rules()
    days = sorted(bad)
    return UsableSelection(
        kept=tuple(day for day in days if bad[day] <= rules.max_bad),
        dropped={day: Drop.BAD_PIXELS for day in days if bad[day] > rules.max_bad},
    )


def reason_for(candidates: Collection[S2Day], kept: Collection[object]) -> ArdReason:
    """What the outcome says of what the stages left."""
    if kept:
        return ArdReason.NONE
    return ArdReason.NO_CLEAR_SCENES if candidates else ArdReason.NO_SCENES
