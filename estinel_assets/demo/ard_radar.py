"""The Sentinel-1 frames of the made tiles: terrain-corrected backscatter, VV and VH.

A frame is some 250 km by 200 km; pixels are stored where the tiles are. Sentinel-1 resolves some
20 m, and its products have pixels of 10 m: two by two of them are the same here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
from shapely import box, contains_xy
from shapely.affinity import rotate
from shapely.geometry import Polygon

from estinel_assets.ard.tiles import utm_crs
from estinel_assets.demo.ard_files import Level, Patch, sparse_tiff
from estinel_assets.demo.ard_land import Land
from estinel_assets.demo.ard_places import (
    Group,
    Window,
    canvas_of,
    in_degrees,
    transformer,
    window_on,
)
from estinel_assets.demo.ard_scenes import dryness
from estinel_assets.demo.noise import FloatArray
from estinel_assets.demo.scenes import generator
from estinel_assets.raster.grids import Grid

NODATA: Final = -32768.0
BLOCK_PX: Final = 512
_FACTORS: Final = (1, 2, 4, 8, 16)
_LOOKS: Final = 6.0
_REPEAT_DAYS: Final = 12
OrbitState: TypeAlias = Literal["ascending", "descending"]
_ORBITS: Final[tuple[OrbitState, ...]] = ("descending", "ascending")

_BACKSCATTER: Final = {
    "vv": {"forest": 0.21, "grass": 0.085, "bare": 0.14, "shallow": 0.012, "deep": 0.02},
    "vh": {"forest": 0.052, "grass": 0.015, "bare": 0.022, "shallow": 0.0016, "deep": 0.0022},
}
"""Of each cover: gamma nought, linear."""
_WET_GAIN: Final = 0.45
"""By how much wet grass returns more than dry grass."""

_WINDOWS: Final = (((1, 15), (3, 15)), ((4, 15), (6, 15)), ((7, 15), (9, 15)), ((10, 15), (12, 15)))
_FIRST_DAY: Final = {"descending": 7, "ascending": 3}
_MOST: Final = {"descending": 3, "ascending": 1}
"""Of a quarter's passes, how many are listed."""
_SOLAR_HOUR: Final = {"descending": 5.9, "ascending": 17.9}
_HEADING_DEG: Final = {"descending": 12.0, "ascending": -12.0}
"""Turn of a frame from upright, counter-clockwise."""
_FRAME_M: Final = (250_000.0, 170_000.0)
"""Width across the track, and length along it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One item to be."""

    group: Group
    moment: datetime
    """UTC, in the middle of the frame."""
    orbit_state: OrbitState
    relative_orbit: int
    number: int
    """Of the frame in its pass, from 0 in the north."""
    grid: Grid
    """Of its files."""
    footprint: Polygon
    """In degrees."""


def frames_of(group: Group, year: int) -> list[Frame]:
    """The frames of a group's year, in the order of time.

    The island has two frames a pass, whose border lies between its tiles; the northern ones are
    not there from July to September.
    """
    frames = []
    for orbit in _ORBITS:
        for moment in _moments(group, year, orbit):
            for number, (grid, footprint, _) in enumerate(_cuts(group, orbit)):
                northern = group.name == "island" and number == 0
                if northern and 7 <= moment.month <= 9:
                    continue
                relative = group.s1_orbit if orbit == "descending" else (group.s1_orbit + 44) % 175
                frames.append(
                    Frame(
                        group, moment + timedelta(seconds=25 * number), orbit, relative,
                        number, grid, footprint,
                    )
                )  # fmt: skip
    return sorted(frames, key=lambda frame: frame.moment)


def frame_files(frame: Frame, land: Land, seed: int) -> dict[str, bytes]:
    """The files of a frame, by asset key."""
    files = {}
    for polarization in ("vh", "vv"):
        rng = generator(
            seed, "ard", frame.group.name, frame.moment.date().isoformat(), polarization
        )
        seen = _backscatter(land, frame, polarization, rng)
        files[polarization] = sparse_tiff(
            frame.grid,
            _levels(frame, seen),
            "float32",
            nodata=NODATA,
            block_px=BLOCK_PX,
        )
    return files


def _moments(group: Group, year: int, orbit: str) -> Iterator[datetime]:
    hour = _SOLAR_HOUR[orbit] - group.lon / 15
    first = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=_FIRST_DAY[orbit], hours=hour)
    moments = [first + timedelta(days=_REPEAT_DAYS * n) for n in range(366 // _REPEAT_DAYS)]
    for begin, end in _WINDOWS:
        inside = [m for m in moments if date(year, *begin) <= m.date() <= date(year, *end)]
        yield from inside[: _MOST[orbit]]


@lru_cache(maxsize=8)
def _cuts(group: Group, orbit: str) -> tuple[tuple[Grid, Polygon, Polygon], ...]:
    """Of each frame of a pass, from north to south: grid, and footprint in degrees and metres."""
    crs = utm_crs(group.lon, group.lat)
    x, y = transformer("EPSG:4326", crs).transform(group.lon, group.lat)
    across, along = _FRAME_M
    if group.name == "island":
        # Turned around the middle, so that the border runs between the tiles.
        spans = [(0.0, along), (-along, 0.0)]
    else:
        spans = [(-0.45 * along, 0.55 * along)]
    cuts = []
    for low, high in spans:
        upright = box(x - 0.4 * across, y + low, x + 0.6 * across, y + high)
        seen = rotate(upright, _HEADING_DEG[orbit], origin=(x, y))
        coarse = Grid.covering(crs, seen.bounds, 10.0 * _FACTORS[-1])
        grid = Grid(
            crs, coarse.left, coarse.top, 10.0,
            coarse.width * _FACTORS[-1], coarse.height * _FACTORS[-1],
        )  # fmt: skip
        cuts.append((grid, in_degrees(seen, crs), seen))
    return tuple(cuts)


def _backscatter(
    land: Land, frame: Frame, polarization: str, rng: np.random.Generator
) -> FloatArray:
    """Backscatter on the canvas."""
    values = _BACKSCATTER[polarization]
    wet = 1 + _WET_GAIN * (1 - dryness(frame.moment))
    mean = np.zeros(land.elevation.shape, dtype=np.float32)
    for cover, share in land.covers.items():
        gain = wet if cover == "grass" else 1.0
        mean += share * np.float32(values[cover] * gain)
    facing = np.gradient(land.elevation, land.grid.resolution)[1]
    if frame.orbit_state == "descending":
        facing = -facing
    speckle = rng.standard_gamma(_LOOKS, mean.shape, dtype=np.float32) / np.float32(_LOOKS)
    seen = mean * (1 + np.float32(0.35) * np.tanh(2 * facing)) * land.texture * speckle
    return _rounded(np.maximum(seen, np.float32(1e-4)))


def _rounded(values: FloatArray) -> FloatArray:
    """The values with three bits behind the leading one: the rest would be noise on the disk."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << 19)) & np.uint32(0xFFF00000)).view(np.float32)


@lru_cache(maxsize=16)
def _window(group: Group, orbit: str, number: int) -> Window | None:
    """What a frame shows of the canvas, in pixels of 20 m."""
    grid, _, outline = _cuts(group, orbit)[number]
    window = window_on(canvas_of(group), _at_20_m(grid))
    if window is None:
        return None
    height, width = window.inside.shape
    x = grid.left + (window.column + np.arange(width) + 0.5) * 20
    y = grid.top - (window.row + np.arange(height) + 0.5) * 20
    seen = contains_xy(outline, *np.meshgrid(x, y))
    return replace(window, inside=window.inside & seen)


def _at_20_m(grid: Grid) -> Grid:
    return Grid(grid.crs, grid.left, grid.top, 20.0, grid.width // 2, grid.height // 2)


def _levels(frame: Frame, backscatter: FloatArray) -> list[Level]:
    """The images of a file: of 10 m, 20 m, and means of the valid pixels for the coarser ones."""
    window = _window(frame.group, frame.orbit_state, frame.number)
    if window is None or not window.inside.any():
        return [Level(factor, ()) for factor in _FACTORS]
    # Begin and end with the pixels of the coarsest image.
    whole = _FACTORS[-1] // 2
    row, column = window.row // whole * whole, window.column // whole * whole
    above, before = window.row - row, window.column - column
    height, width = window.inside.shape
    pixels = np.full(
        (-(-(above + height) // whole) * whole, -(-(before + width) // whole) * whole),
        NODATA,
        dtype=np.float32,
    )
    pixels[above : above + height, before : before + width] = window.gather(backscatter, NODATA)
    levels = [
        Level(1, (Patch(2 * row, 2 * column, pixels.repeat(2, axis=0).repeat(2, axis=1)),)),
        Level(2, (Patch(row, column, pixels),)),
    ]
    for factor in _FACTORS[2:]:
        step = factor // 2
        levels.append(Level(factor, (Patch(row // step, column // step, _means(pixels, step)),)))
    return levels


def _means(pixels: FloatArray, step: int) -> FloatArray:
    rows, columns = pixels.shape
    parts = pixels.reshape(rows // step, step, columns // step, step)
    valid = parts != NODATA
    counts = valid.sum(axis=(1, 3))
    sums = np.where(valid, parts, np.float32(0)).sum(axis=(1, 3))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.float32(NODATA))
    return _rounded(np.asarray(means, dtype=np.float32))
