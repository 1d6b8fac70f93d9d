"""What stays of a place from day to day: heights, coast, ground, permanent ice.

A landscape is invented for a real place: its coast runs roughly as the real one does, the rest
comes from noise. Arrays are (row, column) on a north-up grid, reflectances (band, row, column)
with the bands red, green, blue, as shares of one.
"""

from dataclasses import dataclass, replace

import numpy as np

from estinel_assets.demo.noise import (
    Cells,
    FloatArray,
    Shape,
    blur,
    cells,
    mix,
    relief,
    smoothstep,
    spectral,
)

PIXEL_M = 10.0
"""Size of a pixel of the red, green and blue bands, in metres."""

Colour = tuple[float, float, float]

DEEP_WATER: Colour = (0.010, 0.020, 0.032)
FIRN: Colour = (0.88, 0.895, 0.915)
SHALLOW_WATER: Colour = (0.022, 0.044, 0.046)


@dataclass(frozen=True, slots=True)
class Landscape:
    """One place, without weather and season. All fields have the same rows and columns."""

    elevation: FloatArray
    """Metres above the sea; 0 on water, the freeboard on icebergs."""
    shore: FloatArray
    """Metres from the coast, roughly: positive on land, negative at sea."""
    ground: FloatArray
    """(3, rows, columns): reflectance of land without snow."""
    greenness: FloatArray
    """Share of vegetation, 0 to 1."""
    ice: FloatArray
    """Share of ice that never melts: ice sheet, glacier, iceberg."""
    firn: FloatArray
    """(3, rows, columns): reflectance of that ice."""
    water: FloatArray
    """(3, rows, columns): reflectance of open water, also under land."""
    snow_affinity: FloatArray
    """How readily snow lies, mean 0: hollows and heights above wind-swept crests."""
    floes: Cells
    """How the sea ice breaks."""
    brash: Cells
    """How it breaks further."""


def painted(shape: Shape, colour: Colour) -> FloatArray:
    """A field of one colour: (3, rows, columns)."""
    tall = np.asarray(colour, dtype=np.float32)[:, None, None]
    return np.ascontiguousarray(np.broadcast_to(tall, (3, *shape)))


def tinted(field: FloatArray, colour: Colour, share: FloatArray) -> FloatArray:
    """Lay a colour over a (3, rows, columns) field where `share` is 1."""
    tall = np.asarray(colour, dtype=np.float32)[:, None, None]
    return np.asarray(field + (tall - field) * share, dtype=np.float32)


def metres(shape: Shape) -> tuple[FloatArray, FloatArray]:
    """Metres east and north of the grid's centre, for each pixel."""
    east = (np.arange(shape[1], dtype=np.float32) - shape[1] / 2 + 0.5) * PIXEL_M
    north = (shape[0] / 2 - np.arange(shape[0], dtype=np.float32) - 0.5) * PIXEL_M
    return (
        np.asarray(np.broadcast_to(east[None, :], shape)),
        np.asarray(np.broadcast_to(north[:, None], shape)),
    )


def along(north: FloatArray, points: list[tuple[float, float]]) -> FloatArray:
    """Easting of a line at each northing, from (northing, easting) points, in metres."""
    ordered = sorted(points)
    return np.interp(
        north, [northing for northing, _ in ordered], [easting for _, easting in ordered]
    ).astype(np.float32)


def open_water(shape: Shape, shore: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Reflectance of water: dark offshore, greener and brighter over shallows.

    Args:
        shape: (rows, columns).
        shore: metres from the coast, negative at sea.
        rng: where the randomness comes from.
    """
    plumes = spectral(shape, rng, exponent=1.8, longest=500)
    depth = smoothstep(0, 900, -shore + 180 * plumes)
    water = painted(shape, SHALLOW_WATER) * (1 - depth) + painted(shape, DEEP_WATER) * depth
    return np.asarray(water * (1 + 0.05 * plumes), dtype=np.float32)


def affinity(elevation: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Where snow stays: hollows more than crests, and patches that repeat each year."""
    shape = (elevation.shape[0], elevation.shape[1])
    hollow = blur(elevation, 6) - elevation
    hollow = hollow / (float(hollow.std()) or 1.0)
    drifts = spectral(shape, rng, exponent=1.35, longest=160, stretch=2.2, bearing_deg=105)
    return np.asarray(0.6 * hollow + 0.6 * drifts, dtype=np.float32)


def broken_ice(shape: Shape, rng: np.random.Generator) -> tuple[Cells, Cells]:
    """Two sizes of floes."""
    return (
        cells(shape, rng, spacing=64, ragged=0.16),
        cells(shape, rng, spacing=16, ragged=0.22),
    )


def no_ice(shape: Shape) -> tuple[Cells, Cells]:
    """Floes for a sea that never freezes."""
    nothing = np.zeros(shape, dtype=np.float32)
    return Cells(nothing, nothing), Cells(nothing, nothing)


def estuary(shape: Shape, rng: np.random.Generator) -> Landscape:
    """A drowned river between wooded hills and a city: the Derwent at Hobart."""
    east, north = metres(shape)
    ragged = 210 * spectral(shape, rng, exponent=1.7, longest=190)
    west_bank = along(
        north, [(5200, -900), (3300, -250), (1900, 700), (700, 1050), (0, 620),
                (-600, 900), (-2200, 1300), (-3300, 1250), (-5200, 1900)]
    )  # fmt: skip
    east_bank = along(
        north, [(5200, 500), (3300, 1050), (2200, 1950), (900, 2900), (-300, 3300),
                (-1500, 4100), (-5200, 4700)]
    )  # fmt: skip
    shore = np.maximum(west_bank - east, east - east_bank) + ragged
    inland = np.clip(blur(shore.astype(np.float32), 4), 0, None)
    hills = relief(shape, rng, longest=330, ridges=0.75, erosion=1.1, roughness=0.52)
    rise = smoothstep(200, 4200, inland)
    elevation = 0.02 * inland + rise * 330 + (12 + 120 * smoothstep(100, 2600, inland)) * hills
    elevation = np.where(shore > 0, np.maximum(elevation, 2), 0).astype(np.float32)

    patches = spectral(shape, rng, exponent=1.2, longest=220)
    grain = spectral(shape, rng, exponent=0.6, longest=12)
    forest = smoothstep(0.2, 0.8, (elevation - 150) / 160 + 0.45 * patches)
    ground = painted(shape, (0.112, 0.104, 0.068))
    ground = tinted(ground, (0.075, 0.088, 0.048), smoothstep(-0.6, 0.9, patches))
    canopy = painted(shape, (0.030, 0.041, 0.024)) * (1 + 0.16 * grain + 0.08 * patches)
    ground = ground * (1 + 0.10 * grain)
    ground = np.asarray(ground + (canopy - ground) * forest, dtype=np.float32)

    town, streets = _town(shape, rng, east, north)
    built = smoothstep(0.25, 0.6, 1 - elevation / 210 + 0.12 * patches - 0.35 * forest)
    park = smoothstep(0.9, 1.3, spectral(shape, rng, exponent=2.0, longest=150))
    built = built * (1 - park) * smoothstep(-40, 20, shore)
    ground = np.asarray(ground + (town - ground) * built * streets, dtype=np.float32)
    beach = smoothstep(60, 0, inland) * smoothstep(0.2, 0.9, patches)
    ground = tinted(ground, (0.27, 0.25, 0.20), beach * 0.8)

    floes, brash = no_ice(shape)
    landscape = Landscape(
        elevation=elevation,
        shore=np.asarray(shore, dtype=np.float32),
        ground=ground,
        greenness=np.asarray(np.clip(forest + (1 - built) * 0.55, 0, 1), dtype=np.float32),
        ice=np.zeros(shape, dtype=np.float32),
        firn=painted(shape, FIRN),
        water=open_water(shape, np.asarray(shore, dtype=np.float32), rng),
        snow_affinity=affinity(elevation, rng),
        floes=floes,
        brash=brash,
    )
    return _bridged(landscape, east, north, start=(880, 1500), end=(2330, 2080))


def _town(
    shape: Shape, rng: np.random.Generator, east: FloatArray, north: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Roofs, gardens and streets, and the share of each pixel that they take."""
    turn = np.radians(27)
    u = (east * np.cos(turn) + north * np.sin(turn)).astype(np.float32)
    v = (north * np.cos(turn) - east * np.sin(turn)).astype(np.float32)
    bend = 28 * spectral(shape, rng, exponent=2.2, longest=300)
    u, v = u + bend, v - bend
    lots = rng.random((4, 512, 512), dtype=np.float32)
    index = (np.floor(u / 31).astype(np.int32) % 512, np.floor(v / 23).astype(np.int32) % 512)
    roof, hue, size, garden = (layer[index] for layer in lots)
    centre = np.exp(-((east + 100) ** 2 + (north + 50) ** 2) / np.float32(1100.0**2))
    bright = (0.078 + 0.13 * roof**2 + 0.08 * centre * roof).astype(np.float32)
    town = np.stack([bright * (1.02 + 0.22 * (hue > 0.62)), bright * 0.98, bright * 0.92])
    trees = smoothstep(0.42, 0.6, garden - 0.5 * centre)
    town = tinted(np.asarray(town, dtype=np.float32), (0.052, 0.064, 0.036), trees)
    street = np.minimum(np.abs((u % 190) - 95), np.abs((v % 124) - 62)) < 7
    town = tinted(town, (0.092, 0.092, 0.092), street.astype(np.float32) * 0.85)
    share = np.asarray(0.55 + 0.45 * np.maximum(size, street), dtype=np.float32)
    return town, share


def _bridged(
    place: Landscape,
    east: FloatArray,
    north: FloatArray,
    *,
    start: tuple[float, float],
    end: tuple[float, float],
) -> Landscape:
    """Lay a road bridge over the water between two (east, north) points."""
    run = np.asarray(end, dtype=np.float32) - np.asarray(start, dtype=np.float32)
    length = float(np.hypot(*run))
    t = ((east - start[0]) * run[0] + (north - start[1]) * run[1]) / length**2
    off = np.abs((east - start[0]) * run[1] - (north - start[1]) * run[0]) / length
    deck = ((t > 0) & (t < 1) & (off < 12)).astype(np.float32)
    return replace(
        place,
        elevation=np.where(deck > 0, 6, place.elevation).astype(np.float32),
        shore=np.where(deck > 0, 30, place.shore).astype(np.float32),
        ground=tinted(place.ground, (0.20, 0.20, 0.19), deck),
        greenness=place.greenness * (1 - deck),
    )


def tussock_island(shape: Shape, rng: np.random.Generator) -> Landscape:
    """A long green plateau with steep sides in a stormy sea: Macquarie Island's north."""
    east, north = metres(shape)
    ragged = 130 * spectral(shape, rng, exponent=1.6, longest=120)
    middle = along(north, [(5200, 900), (1200, 350), (0, 60), (-1600, -350), (-5200, -1500)])
    half = along(
        north, [(5200, -3000), (1900, -500), (1500, 330), (900, 420), (450, 150), (0, 130),
                (-350, 300), (-900, 1050), (-2200, 1500), (-5200, 1850)]
    )  # fmt: skip
    shore = np.asarray(half - np.abs(east - middle) + ragged * smoothstep(0, 900, half + 250),
                       dtype=np.float32)  # fmt: skip
    stacks = spectral(shape, rng, exponent=1.2, longest=40)
    shore = np.where((shore < 0) & (shore > -450) & (stacks > 2.5), 12, shore)
    inland = np.clip(blur(shore.astype(np.float32), 6), 0, None)
    hills = relief(shape, rng, longest=220, ridges=0.6, erosion=1.0)
    plateau = smoothstep(60, 520, inland)
    elevation = plateau * (185 + 50 * hills) + np.clip(inland, 0, 200) * 0.06 + 5 * hills
    elevation = np.where(shore > 0, np.maximum(elevation, 1.5), 0).astype(np.float32)

    patches = spectral(shape, rng, exponent=1.3, longest=150)
    grain = spectral(shape, rng, exponent=0.7, longest=14)
    ground = painted(shape, (0.060, 0.077, 0.038)) * (1 + 0.13 * grain)
    ground = tinted(ground, (0.093, 0.104, 0.052), smoothstep(-0.2, 1.2, patches) * 0.9)
    bare = smoothstep(0.35, 1.1, patches * 0.5 + (elevation - 205) / 70 + 0.25 * grain)
    ground = tinted(np.asarray(ground, dtype=np.float32), (0.125, 0.108, 0.080), bare)
    rocks = smoothstep(45, 10, inland + 25 * grain)
    ground = tinted(ground, (0.088, 0.082, 0.074), rocks)
    lakes = smoothstep(1.75, 1.85, spectral(shape, rng, exponent=2.2, longest=60)) * plateau
    shore = np.where(lakes > 0.5, -240, shore).astype(np.float32)
    floes, brash = no_ice(shape)
    return Landscape(
        elevation=blur(elevation, 0.8) * (elevation > 0),
        shore=shore,
        ground=ground,
        greenness=np.asarray((1 - bare) * (1 - rocks), dtype=np.float32),
        ice=np.zeros(shape, dtype=np.float32),
        firn=painted(shape, FIRN),
        water=open_water(shape, shore, rng) * np.float32(0.9),
        snow_affinity=affinity(elevation, rng) + mix(
            np.float32(-0.6) * np.ones(shape, np.float32), np.ones(shape, np.float32), plateau
        ),
        floes=floes,
        brash=brash,
    )  # fmt: skip
