"""Clouds of one day and the shadows that they throw."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from estinel_assets.demo.landscape import PIXEL_M
from estinel_assets.demo.noise import FloatArray, Shape, blur, smoothstep, spectral, standardised
from estinel_assets.demo.sun import Sun

CloudKind = Literal["cumulus", "stratus", "cirrus"]


@dataclass(frozen=True, slots=True)
class Weather:
    """What hangs over a place on one day."""

    cover: float = 0.0
    """Share of the sky under cloud, 0 to 1."""
    kind: CloudKind = "cumulus"
    """Small heaps, a torn sheet, or thin streaks."""
    height_m: float = 1200.0
    """Height above the ground; decides how far shadows fall from their clouds."""
    haze: float = 0.0
    """Reflectance that thin air-light adds to blue; half of it to red."""


@dataclass(frozen=True, slots=True)
class Clouds:
    """Clouds over a grid. All fields are (rows, columns) but for the colour."""

    opacity: FloatArray
    """Share of the light from below that is lost, 0 to 1."""
    reflectance: FloatArray
    """Of the cloud itself, the same in the three bands."""
    shadow: FloatArray
    """Share of the direct sunlight that clouds take from the ground."""


def clouds_over(shape: Shape, weather: Weather, sun: Sun, rng: np.random.Generator) -> Clouds:
    """Make the clouds of one day.

    Args:
        shape: (rows, columns) of 10 m pixels.
        weather: how many and which.
        sun: its direction places the shadows and lights the clouds.
        rng: where the randomness comes from.
    """
    if weather.cover <= 0:
        clear = np.zeros(shape, dtype=np.float32)
        return Clouds(opacity=clear, reflectance=clear, shadow=clear)
    thickness, soft, densest = _thickness(shape, weather, rng)
    # The threshold is the quantile that leaves the wanted share of the sky covered.
    edge = float(np.quantile(thickness[::4, ::4], 1 - weather.cover))
    opacity = smoothstep(edge - soft * 0.35, edge + soft, thickness) * np.float32(densest)
    if weather.cover >= 1:
        opacity = np.ones(shape, dtype=np.float32)
    heaped = weather.kind == "cumulus"
    lit = _lit_side(thickness if heaped else blur(thickness, 3), sun)
    depth = smoothstep(edge, edge + (2.2 if weather.cover < 1 else 5.5), thickness)
    relief = np.float32(0.08 if heaped else 0.04)
    reflectance = np.clip(0.66 + 0.28 * depth + relief * lit, 0.25, 1.15).astype(np.float32)
    return Clouds(
        opacity=opacity,
        reflectance=reflectance,
        shadow=np.roll(
            opacity * np.float32(0.4 if weather.kind == "cirrus" else 1),
            shadow_shift(weather.height_m, sun),
            axis=(0, 1),
        ),
    )


def shadow_shift(height_m: float, sun: Sun) -> tuple[int, int]:
    """Where a cloud's shadow falls: (south, east) of the cloud, in whole pixels."""
    reach = height_m / math.tan(math.radians(sun.elevation_deg)) / PIXEL_M
    azimuth = math.radians(sun.azimuth_deg)
    return round(reach * math.cos(azimuth)), round(-reach * math.sin(azimuth))


def _thickness(
    shape: Shape, weather: Weather, rng: np.random.Generator
) -> tuple[FloatArray, float, float]:
    """Noise to cut clouds from, the softness of their edges, and their greatest opacity."""
    if weather.kind == "cirrus":
        streaks = spectral(
            shape, rng, exponent=1.5, longest=420, shortest=5, stretch=6, bearing_deg=115
        )
        return streaks + 0.8 * spectral(shape, rng, exponent=2.2, longest=500), 2.4, 0.5
    if weather.kind == "stratus":
        sheet = spectral(shape, rng, exponent=1.9, longest=520)
        rolls = spectral(shape, rng, exponent=1.4, longest=60, stretch=2.5, bearing_deg=60)
        return np.asarray(sheet + 0.22 * rolls, dtype=np.float32), 0.75, 0.98
    heaps = spectral(shape, rng, exponent=1.75, longest=95)
    fields = spectral(shape, rng, exponent=2.0, longest=600)
    return np.asarray(heaps + 0.9 * fields, dtype=np.float32), 0.55, 0.99


def _lit_side(thickness: FloatArray, sun: Sun) -> FloatArray:
    """Brightness of the cloud tops by the way they face, mean 0, spread 1."""
    down_south, down_east = np.gradient(thickness)
    azimuth = math.radians(sun.azimuth_deg)
    facing = np.asarray(
        -down_east * math.sin(azimuth) + down_south * math.cos(azimuth), dtype=np.float32
    )
    return np.asarray(np.clip(standardised(facing), -2.5, 2.5), dtype=np.float32)
