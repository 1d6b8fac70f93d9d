"""The land of the made tiles: heights, covers, and what they reflect in ten bands.

Invented for real places: forest along the valleys of a savanna, and an island of rain forest with
its lagoon.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from estinel_assets.demo.ard_places import SUMMIT, Group, canvas_of, transformer
from estinel_assets.demo.noise import FloatArray, Shape, blur, relief, smoothstep, spectral
from estinel_assets.demo.scenes import generator
from estinel_assets.raster.grids import Grid

BANDS_10: Final = ("blue", "green", "red", "nir")
BANDS_20: Final = ("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")
BANDS: Final = (*BANDS_10, *BANDS_20)

_SPECTRA: Final = {
    "forest": (0.022, 0.038, 0.022, 0.300, 0.065, 0.220, 0.280, 0.310, 0.130, 0.055),
    "grass": (0.040, 0.075, 0.055, 0.300, 0.110, 0.220, 0.270, 0.320, 0.220, 0.120),
    "straw": (0.070, 0.105, 0.140, 0.240, 0.170, 0.200, 0.220, 0.260, 0.330, 0.220),
    "bare": (0.090, 0.130, 0.190, 0.290, 0.220, 0.250, 0.270, 0.300, 0.400, 0.320),
    "shallow": (0.085, 0.095, 0.040, 0.012, 0.020, 0.014, 0.012, 0.010, 0.006, 0.004),
    "deep": (0.038, 0.026, 0.010, 0.005, 0.007, 0.005, 0.004, 0.004, 0.003, 0.002),
}
"""Reflectance of each cover in `BANDS`."""


@dataclass(frozen=True, slots=True)
class Land:
    """A group's land, on its canvas. Arrays are (rows, columns)."""

    grid: Grid
    elevation: FloatArray
    """Metres; 0 at sea."""
    covers: dict[str, FloatArray]
    """Share of `forest`, `grass`, `bare`, `shallow` and `deep`; their sum is 1."""
    texture: FloatArray
    """What is uneven within a cover, around 1."""

    @property
    def water(self) -> FloatArray:
        """Share of water."""
        return self.covers["shallow"] + self.covers["deep"]


def land_of(group: Group, seed: int) -> Land:
    """Make a group's land."""
    grid = canvas_of(group)
    rng = generator(seed, "ard", group.name, "land")
    shape = grid.shape
    elevation, covers = (_island if group.name == "island" else _savanna)(grid, rng)
    grain = spectral(shape, rng, exponent=1.5, longest=16)
    patches = spectral(shape, rng, exponent=1.4, longest=60)
    rough = np.float32(0.06) * covers["forest"] + np.float32(0.03)
    texture = 1 + rough * grain + np.float32(0.04) * patches
    calm = 1 - np.float32(0.6) * covers["shallow"] - covers["deep"]
    return Land(
        grid, elevation, covers, np.asarray(1 + (texture - 1) * calm, dtype=np.float32).clip(0.6)
    )


def reflectance_of(land: Land, band: str, dryness: float) -> FloatArray:
    """Reflectance of the lit ground in a band, as shares of one.

    Args:
        land: the land.
        band: one of `BANDS`.
        dryness: 0 for green grass, 1 for straw.
    """
    index = BANDS.index(band)
    grass, straw = _SPECTRA["grass"][index], _SPECTRA["straw"][index]
    colours = {name: spectrum[index] for name, spectrum in _SPECTRA.items()}
    colours["grass"] = grass + (straw - grass) * dryness
    total = np.zeros_like(land.elevation)
    for name, share in land.covers.items():
        total += share * np.float32(colours[name])
    return np.asarray(total * land.texture, dtype=np.float32)


def _savanna(grid: Grid, rng: np.random.Generator) -> tuple[FloatArray, dict[str, FloatArray]]:
    """A rolling plateau: forest in the valleys, grass between, and a village."""
    shape = grid.shape
    hills = relief(shape, rng, longest=310, ridges=0.35, erosion=0.9)
    elevation = np.asarray(720 + 95 * hills, dtype=np.float32)
    hollow = blur(elevation, 22) - elevation
    wet = spectral(shape, rng, exponent=1.7, longest=210)
    damp = np.asarray(hollow / 22, dtype=np.float32) + np.float32(0.55) * wet
    forest = smoothstep(-0.05, 0.75, np.asarray(damp, dtype=np.float32))
    fields = smoothstep(1.15, 1.3, spectral(shape, rng, exponent=1.5, longest=35))
    bare = np.asarray(0.75 * fields * (1 - forest), dtype=np.float32)
    nothing = np.zeros(shape, dtype=np.float32)
    return elevation, {
        "forest": forest,
        "grass": np.asarray(1 - forest - bare, dtype=np.float32),
        "bare": bare,
        "shallow": nothing,
        "deep": nothing,
    }


def _island(grid: Grid, rng: np.random.Generator) -> tuple[FloatArray, dict[str, FloatArray]]:
    """A steep dome under rain forest, mangroves at its foot, a lagoon and the open sea."""
    shape = grid.shape
    inland = _inland(grid, rng)
    ridges = relief(shape, rng, longest=165, ridges=0.6, erosion=1.0, octaves=5)
    # The coast is ragged, the mountain behind it is not.
    behind = blur(inland, 14)
    height = np.clip(inland, 0, 300) * 0.02 + 640 * smoothstep(150, 9500, behind)
    height = height + (8 + 70 * smoothstep(200, 3000, behind)) * (ridges + 0.6)
    elevation = np.where(inland > 0, np.maximum(height, 1), 0).astype(np.float32)
    land = smoothstep(-10, 10, inland)
    clearing = smoothstep(0.7, 1.1, spectral(shape, rng, exponent=1.5, longest=45))
    clearing = clearing * smoothstep(180, 60, elevation) * land
    grass = np.asarray(0.7 * clearing, dtype=np.float32)
    bare = np.asarray(0.25 * clearing, dtype=np.float32)
    reef = 240 * spectral(shape, rng, exponent=1.5, longest=80)
    shallow = smoothstep(-2600, -1900, inland + reef) * (1 - land)
    return elevation, {
        "forest": np.asarray(land - grass - bare, dtype=np.float32),
        "grass": grass,
        "bare": bare,
        "shallow": np.asarray(shallow, dtype=np.float32),
        "deep": np.asarray((1 - land) - shallow, dtype=np.float32),
    }


def _inland(grid: Grid, rng: np.random.Generator) -> FloatArray:
    """Metres from the coast: positive on land. The northern coast lies across the northern tile."""
    east, north = transformer("EPSG:4326", grid.crs).transform(*SUMMIT)
    x = (grid.left + (np.arange(grid.width) + 0.5) * grid.resolution - east).astype(np.float32)
    y = (grid.top - (np.arange(grid.height) + 0.5) * grid.resolution - north).astype(np.float32)
    shape: Shape = grid.shape
    bays = 900 * spectral(shape, rng, exponent=1.9, longest=210)
    coves = 160 * spectral(shape, rng, exponent=1.4, longest=35)
    away = np.hypot(x[None, :] - 1500, y[:, None] + 600)
    return np.asarray(13_600 - away + bays + coves, dtype=np.float32)
