"""What the ground and the sea look like on one day, below the clouds."""

import math
from dataclasses import dataclass

import numpy as np

from estinel_assets.demo.landscape import PIXEL_M, Landscape, painted, tinted
from estinel_assets.demo.noise import BoolArray, FloatArray, mix, smoothstep, spectral
from estinel_assets.demo.sun import Sun

SNOW = (0.90, 0.905, 0.915)
OLD_SNOW = (0.80, 0.82, 0.845)
THIN_ICE = (0.20, 0.245, 0.275)
GREY_ICE = (0.44, 0.49, 0.525)
FOAM = (0.42, 0.45, 0.46)
STRAW = (0.150, 0.128, 0.078)
DIFFUSE_SHARE = (0.19, 0.22, 0.27)
"""Share of the light that comes from the sky, by band: why shadows are blue."""
MAX_LIGHT = 1.5
"""Brightest that a slope facing a low sun may be, relative to flat ground."""


@dataclass(frozen=True, slots=True)
class Season:
    """The state of a place on one day."""

    snow: float = 0.0
    """Share of the land under seasonal snow, 0 to 1; hollows and heights first."""
    snow_line_m: float = -1e4
    """No seasonal snow below this height."""
    dryness: float = 0.0
    """0 for green grass, 1 for straw."""
    fast_ice_m: float = 0.0
    """How far fast ice reaches from the coast, in metres."""
    pack_ice: float = 0.0
    """Share of the open sea under floes, 0 to 1."""
    drift_px: tuple[int, int] = (0, 0)
    """How far the floes have drifted: (south, east), in pixels."""
    swell: float = 0.0
    """0 for a calm sea, 1 for breakers along the coast."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Reflectance and cover on one day, without clouds."""

    reflectance: FloatArray
    """(3, rows, columns), red, green, blue, lit as flat ground in full sun would be."""
    light: FloatArray
    """Direct sunlight on each pixel relative to flat ground: 0 in shadow, above 1 facing it."""
    water: BoolArray
    """Open water."""
    snow: BoolArray
    """Snow or ice."""
    vegetation: BoolArray
    """Plants."""


def surface_on(place: Landscape, season: Season, sun: Sun, rng: np.random.Generator) -> Surface:
    """Cover a landscape with the season's snow and ice, and light it.

    Args:
        place: what stays.
        season: what changes.
        sun: must stand above the horizon.
        rng: waves and such.
    """
    land = smoothstep(-6, 6, place.shore)
    ground = tinted(place.ground, STRAW, place.greenness * (place.ground[0] > 0.05)
                    * np.float32(0.75 * season.dryness))  # fmt: skip
    snow = _snow_share(place, season)
    ground = tinted(ground, SNOW, snow * (1 - 0.65 * smoothstep(0.75, 1.0, place.greenness)))
    ground = mix(ground, place.firn, place.ice)
    sea, frozen = _sea(place, season, rng)
    reflectance = mix(sea, ground, land)
    dry = land > 0.5
    return Surface(
        reflectance=reflectance,
        light=np.where(dry, sunlight(place.elevation, sun), 1).astype(np.float32)
        * cast_shadow(place.elevation, sun),
        water=~dry & (frozen < 0.5),
        snow=np.where(dry, np.maximum(snow, place.ice) > 0.45, frozen >= 0.5),
        vegetation=dry & (place.greenness > 0.5),
    )


def _snow_share(place: Landscape, season: Season) -> FloatArray:
    if season.snow <= 0:
        return np.zeros_like(place.shore)
    height = np.clip((place.elevation - np.float32(season.snow_line_m)) / 120, -3, 1.2)
    readiness = place.snow_affinity + np.where(season.snow_line_m > -1e3, height * 1.2, 0)
    # The affinity has mean 0 and a spread of about 1, so this sweeps nearly all of it.
    threshold = 1.9 - 3.8 * season.snow
    return smoothstep(threshold - 0.28, threshold + 0.28, readiness.astype(np.float32))


def _sea(
    place: Landscape, season: Season, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Reflectance of the sea, frozen or not, and the share of ice in each pixel."""
    shape = (place.shore.shape[0], place.shore.shape[1])
    waves = spectral(shape, rng, exponent=0.9, longest=26, stretch=3.0, bearing_deg=100)
    gusts = spectral(shape, rng, exponent=1.9, longest=400)
    sea = place.water + np.float32(0.0016 + 0.003 * season.swell) * waves
    sea = sea + np.float32(0.003) * gusts
    if season.swell > 0:
        edge = smoothstep(-18 - 55 * season.swell, 0, place.shore + 14 * waves)
        lace = smoothstep(0.1, 1.3, waves + 0.6 * gusts)
        sea = tinted(sea, FOAM, edge * lace * np.float32(season.swell))
        caps = smoothstep(3.2, 4.2, spectral(shape, rng, exponent=0.4, longest=10))
        sea = tinted(sea, FOAM, caps * np.float32(0.35 * season.swell))
    sea = np.clip(sea, 0.002, 1).astype(np.float32)
    if season.pack_ice <= 0 and season.fast_ice_m <= 0:
        return sea, np.zeros(shape, dtype=np.float32)
    ice, colour = _pack(place, season, gusts)
    fast = smoothstep(0, 60, place.shore + np.float32(season.fast_ice_m) + 160 * gusts)
    fast = fast * smoothstep(0.0, 0.03, place.floes.gap + (place.shore > -season.fast_ice_m * 0.8))
    scoured = smoothstep(0.6, 1.8, gusts + 0.3 * waves)
    sheet = tinted(painted(shape, SNOW), (0.60, 0.69, 0.75), scoured * np.float32(0.8))
    sheet = sheet * (1 + 0.006 * waves + 0.012 * gusts)
    sea = mix(mix(sea, colour, ice), np.asarray(sheet, dtype=np.float32), fast)
    return sea, np.maximum(ice, fast)


def _pack(place: Landscape, season: Season, gusts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share and reflectance of drifting floes of two sizes, with thin ice between."""
    shift = season.drift_px
    gap, tone = (
        np.roll(field, shift, axis=(0, 1)) for field in (place.floes.gap, place.floes.tone)
    )
    small_gap, small_tone = (
        np.roll(field, shift, axis=(0, 1)) for field in (place.brash.gap, place.brash.tone)
    )
    dense = np.float32(season.pack_ice) + 0.12 * gusts
    big = smoothstep(0.0, 0.05, gap - 0.12 * (1.25 - dense)) * (tone < dense * 0.85)
    small = smoothstep(0.0, 0.16, small_gap - 0.15) * (small_tone < dense * 0.8)
    small = np.asarray(small * (1 - big), dtype=np.float32)
    shape = (gap.shape[0], gap.shape[1])
    young = smoothstep(0.75, 1.05, dense) * np.float32(0.9)
    colour = painted(shape, THIN_ICE)
    chips = tinted(painted(shape, GREY_ICE), OLD_SNOW, small_tone)
    colour = mix(colour, chips, small)
    rim = smoothstep(0.30, 0.05, gap)
    plates = tinted(painted(shape, SNOW), OLD_SNOW, np.clip(tone * 1.6 - 0.4, 0, 1))
    plates = tinted(plates, GREY_ICE, (np.modf(tone * 37)[0] > 0.86) * np.float32(0.8))
    plates = tinted(plates, (0.70, 0.755, 0.79), rim * np.float32(0.4))
    ridges = smoothstep(0.10, 0.0, small_gap) * np.float32(0.05)
    colour = mix(colour, plates * (1 - ridges), np.asarray(big, dtype=np.float32))
    return np.maximum(np.maximum(big, small), young).astype(np.float32), colour


def sunlight(elevation: FloatArray, sun: Sun) -> FloatArray:
    """Direct light on a slope relative to flat ground: Lambert's cosine law.

    Args:
        elevation: metres, pixels of `PIXEL_M`.
        sun: above the horizon.

    Returns:
        cos(incidence) / sin(sun's elevation), between 0 and `MAX_LIGHT`.
    """
    down_south, down_east = np.gradient(elevation, PIXEL_M)
    east, north, up = sun.vector
    # The surface normal is (-dz/dx, -dz/dy, 1); rows run south, so dz/dy = -down_south.
    facing = (-down_east * east + down_south * north + up) / np.sqrt(
        1 + down_east**2 + down_south**2
    )
    return np.asarray(np.clip(facing / up, 0, MAX_LIGHT), dtype=np.float32)


def cast_shadow(elevation: FloatArray, sun: Sun) -> FloatArray:
    """1 where the sun reaches the ground, 0 where higher ground stands before it.

    Looks from each pixel towards the sun, pixel by pixel, as far as the relief can reach.
    """
    slope = math.tan(math.radians(sun.elevation_deg)) * PIXEL_M
    reach = min(90, int(float(elevation.max() - elevation.min()) / slope))
    azimuth = math.radians(sun.azimuth_deg)
    rows, columns = elevation.shape
    around = np.pad(elevation, reach + 1, mode="edge")
    horizon = np.full(elevation.shape, -1e9, dtype=np.float32)
    for step in range(1, reach + 1, 1 if reach < 25 else 2):
        top = reach + 1 - round(step * math.cos(azimuth))
        left = reach + 1 + round(step * math.sin(azimuth))
        higher = around[top : top + rows, left : left + columns] - np.float32(step * slope)
        np.maximum(horizon, higher, out=horizon)
    return 1 - smoothstep(0, 3, horizon - elevation)
