"""Clouds over a group of tiles on one date: over whole scenes, and in detail over the tiles.

The clouds of the wide plane are those of the tiles' land too, with details of their own, so that
what a scene's overviews show and what its pixels show belong together.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estinel_assets.demo.ard_land import Land
from estinel_assets.demo.ard_places import CANVAS_M, SUMMIT, Group, transformer, wide_plane_of
from estinel_assets.demo.clouds import shadow_shift
from estinel_assets.demo.landscape import PIXEL_M
from estinel_assets.demo.noise import FloatArray, smoothstep, spectral
from estinel_assets.demo.radiometry import (
    BARE,
    CLOUD_HIGH,
    CLOUD_MEDIUM,
    SHADOW,
    UNCLASSIFIED,
    VEGETATION,
    WATER,
)
from estinel_assets.demo.sun import Sun
from estinel_assets.raster.grids import Grid

CLOUD_HEIGHT_M: Final = 1500.0
OVERCAST: Final = 0.5
"""Where the cover is above this, a closed sheet hangs over the tiles."""
_CAP_M: Final = 4600.0
"""Reach of the cloud that stands on the summit."""


@dataclass(frozen=True, slots=True)
class Sky:
    """Clouds of one date."""

    wide_opacity: FloatArray
    """On the wide plane: share of the light from below that is lost, 0 to 1."""
    opacity: FloatArray
    """On the canvas."""
    shadow: FloatArray
    """On the canvas: share of the direct sunlight that clouds take, 0 to 1."""
    brightness: FloatArray
    """On the canvas: reflectance of the clouds themselves."""


def sky_over(group: Group, land: Land, cover: float, sun: Sun, rng: np.random.Generator) -> Sky:
    """Make the clouds of one date.

    Args:
        group: the tiles; the summit has its cloud on every date.
        land: their land.
        cover: share of the wide plane under cloud, 0 to 1.
        sun: throws the shadows.
        rng: where the randomness comes from.
    """
    plane = wide_plane_of(group)
    wide = spectral(plane.shape, rng, exponent=2.0, longest=190, shortest=7)
    edge = float(np.quantile(wide[::3, ::3], 1 - cover)) if cover > 0 else 9.0
    if cover > OVERCAST:
        return _overcast(wide - np.float32(edge), land.grid)
    detail = np.float32(0.3) * spectral(land.grid.shape, rng, exponent=1.8, longest=55)
    cap = _cap(group, land.grid)
    thickness = np.maximum(_drawn_out(wide, plane, land.grid) + detail - edge, cap + 0.8 * detail)
    south, east = _shadow_shift(sun)
    opacity = _opacity(thickness)
    return Sky(
        wide_opacity=_opacity(np.maximum(wide - np.float32(edge), _cap(group, plane))),
        opacity=opacity,
        shadow=_moved(opacity, south, east),
        brightness=np.asarray(0.62 + 0.3 * smoothstep(0, 1.6, thickness), dtype=np.float32),
    )


def _overcast(wide: FloatArray, canvas: Grid) -> Sky:
    """A closed, even sheet over the canvas, and the gaps elsewhere."""
    closed = np.ones(canvas.shape, dtype=np.float32)
    return Sky(
        wide_opacity=_opacity(wide),
        opacity=closed,
        shadow=closed,
        brightness=np.full(canvas.shape, 0.78, dtype=np.float32),
    )


def classes_of(land: Land, sky: Sky) -> NDArray[np.uint8]:
    """The scene classification of the canvas."""
    water = land.water > 0.5
    classes = np.full(water.shape, BARE, dtype=np.uint8)
    classes[(land.covers["forest"] + land.covers["grass"]) > 0.5] = VEGETATION
    classes[water] = WATER
    classes[(sky.shadow > 0.4) & ~water] = SHADOW
    return _clouded(classes, sky.opacity)


def wide_classes(group: Group, sky: Sky) -> NDArray[np.uint8]:
    """The scene classification of the wide plane, without the land that is made in detail."""
    ground = WATER if group.name == "island" else VEGETATION
    return _clouded(np.full(sky.wide_opacity.shape, ground, np.uint8), sky.wide_opacity)


def _clouded(classes: NDArray[np.uint8], opacity: FloatArray) -> NDArray[np.uint8]:
    for limit, cloud in ((0.12, UNCLASSIFIED), (0.25, CLOUD_MEDIUM), (0.62, CLOUD_HIGH)):
        classes[opacity > limit] = cloud
    return classes


def _opacity(thickness: FloatArray) -> FloatArray:
    return np.asarray(smoothstep(-0.1, 0.6, thickness) * np.float32(0.99), dtype=np.float32)


def _shadow_shift(sun: Sun) -> tuple[int, int]:
    """Where shadows fall: (south, east) of their clouds, in pixels of the canvas."""
    south, east = shadow_shift(CLOUD_HEIGHT_M, sun)
    return round(south * PIXEL_M / CANVAS_M), round(east * PIXEL_M / CANVAS_M)


def _moved(field: FloatArray, south: int, east: int) -> FloatArray:
    """The field, moved by whole pixels; its edges are drawn out."""
    rows = (np.arange(field.shape[0]) - south).clip(0, field.shape[0] - 1)
    columns = (np.arange(field.shape[1]) - east).clip(0, field.shape[1] - 1)
    return np.asarray(field[rows][:, columns], dtype=np.float32)


def _cap(group: Group, grid: Grid) -> FloatArray:
    """The thickness of the summit's cloud; far below 0 where there is none."""
    if group.name != "island":
        return np.full(grid.shape, -9, dtype=np.float32)
    east, north = transformer("EPSG:4326", grid.crs).transform(*SUMMIT)
    x = grid.left + (np.arange(grid.width) + 0.5) * grid.resolution - east
    y = grid.top - (np.arange(grid.height) + 0.5) * grid.resolution - north
    away = np.hypot(x[None, :], y[:, None]) / _CAP_M
    return np.asarray(1.1 * (1 - away**2), dtype=np.float32)


def _drawn_out(field: FloatArray, plane: Grid, canvas: Grid) -> FloatArray:
    """A field of a coarse plane on the canvas, which has the same CRS; linear between pixels."""
    y = plane.top - canvas.top + (np.arange(canvas.height) + 0.5) * canvas.resolution
    x = canvas.left - plane.left + (np.arange(canvas.width) + 0.5) * canvas.resolution
    part = _between(field, y / plane.resolution - 0.5)
    return np.ascontiguousarray(_between(part.T, x / plane.resolution - 0.5).T)


def _between(field: FloatArray, at: NDArray[np.floating]) -> FloatArray:
    """Rows of a field at places between them."""
    first = np.floor(at).astype(np.intp)
    share = (at - first).astype(np.float32)[:, None]
    return np.asarray(field[first] * (1 - share) + field[first + 1] * share, dtype=np.float32)
