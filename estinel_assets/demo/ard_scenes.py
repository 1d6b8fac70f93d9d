"""The Sentinel-2 scenes of the made tiles: ten bands and the classification, one year."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estinel_assets.demo.ard_files import Level, Patch, level_shape, sparse_tiff
from estinel_assets.demo.ard_land import BANDS, BANDS_10, Land, reflectance_of
from estinel_assets.demo.ard_places import (
    Group,
    Window,
    canvas_of,
    square_grid,
    wide_plane_of,
    window_on,
)
from estinel_assets.demo.ard_sky import Sky, classes_of, sky_over, wide_classes
from estinel_assets.demo.noise import FloatArray
from estinel_assets.demo.radiometry import DN_OFFSET, DN_PER_REFLECTANCE
from estinel_assets.demo.scenes import generator
from estinel_assets.demo.sun import Sun, sun_at
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.tiff import Predictor

BAND_BLOCK_PX: Final = 1024
CLASS_BLOCK_PX: Final = 512
CLASS_FACTORS: Final = (1, 2, 4, 8, 16)
"""Of the classification's images; the last two, of 160 m and 320 m, show the whole scene."""
_WHOLE_FROM: Final = 8
_STEPS_DN: Final = {"blue": 10, "green": 10, "red": 10}
_STEP_DN: Final = 50
"""Of the numbers that are stored; the last bits would be noise that fills the disk."""
_SKY_SHARE: Final = 0.16
_MOST_LIGHT: Final = 1.5
_CLOUD_SHARE: Final = {"swir16": 0.6, "swir22": 0.5}
"""How bright clouds are in a band, relative to the visible ones."""
_GAPS_DAYS: Final = (15, 10, 15, 10)
"""Between the dates: ten or fifteen days of a five-day repeat."""
_COVERS: Final = (
    *(0.04, 0.72, 0.0, 0.14, 0.86, 0.02, 0.08, 0.78, 0.62, 0.05, 0.24, 0.9, 0.0, 0.66, 0.1),
    *(0.0, 0.75, 0.03, 0.82, 0.18, 0.01, 0.8, 0.0, 0.07, 0.7, 0.02, 0.12, 0.64, 0.03, 0.05),
)
"""Share of cloud on each date."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One date over a group."""

    group: Group
    moment: datetime
    """UTC."""
    cover: float
    """Share of cloud that is wanted, 0 to 1."""
    platform: str
    """`a` or `b`."""

    @property
    def sun(self) -> Sun:
        """Where it stands over the group."""
        return sun_at(self.moment, self.group.lon, self.group.lat)


@dataclass(frozen=True, slots=True)
class MadeScene:
    """One item to be."""

    sight: Sight
    square: tuple[str, int, int]
    grid: Grid
    """Of its 10 m bands."""
    files: dict[str, bytes]
    """By asset key."""
    classes: NDArray[np.uint8]
    """Of the whole scene, at 160 m."""


def sights_of(group: Group, year: int) -> list[Sight]:
    """The dates of a group's year."""
    # The satellite passes at 10:30 mean local solar time.
    first = datetime(year, 1, 1, 10, 28, 14, tzinfo=UTC)
    moment = first + timedelta(days=group.s2_first_day - 1, hours=-group.lon / 15)
    sights: list[Sight] = []
    while moment.year == year:
        number = len(sights)
        platform = "ab"[(moment - first).days // 5 % 2]
        sights.append(Sight(group, moment, _COVERS[number % len(_COVERS)], platform))
        moment += timedelta(days=_GAPS_DAYS[number % len(_GAPS_DAYS)])
    return sights


def scenes_of(sight: Sight, land: Land, seed: int) -> Iterator[MadeScene]:
    """The scenes of one date, a square after the other."""
    sky = sky_of(sight, land, seed)
    bands = numbers_of(sight, land, sky, BANDS)
    fine, wide = classes_of(land, sky), wide_classes(sight.group, sky)
    for square in sight.group.squares:
        grid = square_grid(square)
        files = {band: _band_file(sight.group, square, band, bands[band]) for band in BANDS}
        files["scl"], classes = _class_file(sight.group, square, fine, wide)
        yield MadeScene(sight, square, grid, files, classes)


def sky_of(sight: Sight, land: Land, seed: int) -> Sky:
    """The clouds of one date."""
    rng = generator(seed, "ard", sight.group.name, sight.moment.isoformat())
    return sky_over(sight.group, land, sight.cover, sight.sun, rng)


def numbers_of(
    sight: Sight, land: Land, sky: Sky, bands: Iterable[str]
) -> dict[str, NDArray[np.uint16]]:
    """The digital numbers of one date on the canvas, by band."""
    lit, dry = _lit(land, sky, sight.sun), dryness(sight.moment)
    return {band: _numbers(reflectance_of(land, band, dry), sky, lit, band) for band in bands}


def dryness(moment: datetime) -> float:
    """How dry the savanna is: 1 in January and February, 0 from June on."""
    day = moment.timetuple().tm_yday
    return min(1.0, max(0.0, 0.45 + 0.7 * math.cos(2 * math.pi * (day - 25) / 365)))


def _numbers(ground: FloatArray, sky: Sky, lit: FloatArray, band: str) -> NDArray[np.uint16]:
    """A band's digital numbers on the canvas."""
    share = _CLOUD_SHARE.get(band, 1.0)
    below = ground * lit
    seen = below + (sky.brightness * np.float32(share) - below) * sky.opacity
    step = _STEPS_DN.get(band, _STEP_DN)
    steps = np.rint(seen * np.float32(DN_PER_REFLECTANCE / step))
    return np.asarray(steps, dtype=np.uint16) * np.uint16(step) + np.uint16(DN_OFFSET)


def _lit(land: Land, sky: Sky, sun: Sun) -> FloatArray:
    """Light on the ground relative to flat ground in full sun: Lambert's cosine law, and the sky's.

    Clouds take most of the direct light.
    """
    down_south, down_east = np.gradient(land.elevation, land.grid.resolution)
    east, north, up = sun.vector
    facing = (-down_east * east + down_south * north + up) / np.sqrt(
        1 + down_east**2 + down_south**2
    )
    direct = np.clip(facing / up, 0, _MOST_LIGHT) * (1 - 0.85 * sky.shadow)
    return np.asarray(direct * (1 - _SKY_SHARE) + _SKY_SHARE, dtype=np.float32)


def _coarser(grid: Grid, factor: int) -> Grid:
    """An image of a grid's file; GDAL's overviews cover the same ground, rounded up."""
    height, width = level_shape(grid, factor)
    return Grid(grid.crs, grid.left, grid.top, grid.resolution * grid.width / width, width, height)


@lru_cache(maxsize=64)
def _window(
    group: Group, square: tuple[str, int, int], factor: int, *, wide: bool = False
) -> Window | None:
    """What an image of a scene, of 20 m times a factor, shows of the canvas or the wide plane."""
    image = _coarser(_at(square_grid(square), 20.0), factor)
    if wide:
        return window_on(wide_plane_of(group), image, whole=True)
    return window_on(canvas_of(group), image)


def _at(grid: Grid, resolution: float) -> Grid:
    """The same ground in other pixels."""
    width, height = (
        round(pixels * grid.resolution / resolution) for pixels in (grid.width, grid.height)
    )
    return Grid(grid.crs, grid.left, grid.top, resolution, width, height)


def _band_file(
    group: Group, square: tuple[str, int, int], band: str, numbers: NDArray[np.uint16]
) -> bytes:
    window = _window(group, square, 1)
    grid = _at(square_grid(square), 10.0 if band in BANDS_10 else 20.0)
    patches: tuple[Patch, ...] = ()
    # Pixels that come two by two repeat; others differ little from their neighbours.
    predictor = Predictor.NONE if band in BANDS_10 else Predictor.HORIZONTAL
    if window is not None:
        pixels, scale = window.gather(numbers), 1
        if band in BANDS_10:
            pixels, scale = pixels.repeat(2, axis=0).repeat(2, axis=1), 2
        patches = (Patch(scale * window.row, scale * window.column, pixels),)
    return sparse_tiff(
        grid,
        [Level(1, patches)],
        "uint16",
        nodata=0,
        block_px=BAND_BLOCK_PX,
        predictor=predictor,
    )


def _class_file(
    group: Group,
    square: tuple[str, int, int],
    fine: NDArray[np.uint8],
    wide: NDArray[np.uint8],
) -> tuple[bytes, NDArray[np.uint8]]:
    """The classification's file, and its image of 160 m."""
    grid = _at(square_grid(square), 20.0)
    levels, shown = [], fine
    for factor in CLASS_FACTORS:
        window = _window(group, square, factor)
        patches: tuple[Patch, ...] = ()
        if factor >= _WHOLE_FROM:
            everywhere = _window(group, square, factor, wide=True)
            if everywhere is not None:
                pixels = everywhere.gather(wide)
                if window is not None:
                    _put(pixels, window, fine)
                patches = (Patch(0, 0, pixels),)
                shown = pixels if factor == _WHOLE_FROM else shown
        elif window is not None:
            patches = (Patch(window.row, window.column, window.gather(fine)),)
        levels.append(Level(factor, patches))
    return sparse_tiff(grid, levels, "uint8", nodata=0, block_px=CLASS_BLOCK_PX), shown


def _put(pixels: NDArray[Any], window: Window, fine: NDArray[Any]) -> None:
    """Lay the canvas over what lies around it."""
    height, width = window.inside.shape
    part = pixels[window.row : window.row + height, window.column : window.column + width]
    part[window.inside] = window.gather(fine)[window.inside]
