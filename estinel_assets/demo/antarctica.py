"""Landscapes of the far south: ice sheet, rock, and a sea that freezes. See `landscape`."""

import numpy as np

from estinel_assets.demo.landscape import (
    FIRN,
    Landscape,
    affinity,
    along,
    broken_ice,
    metres,
    open_water,
    painted,
    tinted,
)
from estinel_assets.demo.noise import (
    FloatArray,
    Shape,
    blur,
    cells,
    mix,
    relief,
    smoothstep,
    spectral,
)

BLUE_ICE = (0.52, 0.66, 0.76)


def oasis(shape: Shape, rng: np.random.Generator) -> Landscape:
    """Low rocky peninsulas and islands before an ice dome: the Windmill Islands at Casey."""
    east, north = metres(shape)
    coast = along(
        north, [(5200, -300), (2600, 500), (1500, -900), (500, -1700), (-700, -1300),
                (-1400, 900), (-2400, 1100), (-3000, -800), (-4200, -600), (-5200, 600)]
    )  # fmt: skip
    ragged = spectral(shape, rng, exponent=1.6, longest=170)
    shore = (east - coast) + 330 * ragged
    islets = relief(shape, rng, longest=90, ridges=0.0)
    shore = np.where(
        (shore < -250) & (islets > 1.55) & (shore > -3200), 260 * (islets - 1.55), shore
    )
    shore = np.asarray(shore, dtype=np.float32)
    inland = np.clip(blur(shore, 3), 0, None)
    dome = smoothstep(900, 1700, east - 0.25 * north + 260 * ragged - 500)
    dome = np.asarray(dome * smoothstep(0, 350, blur(shore, 14)), dtype=np.float32)
    knolls = relief(shape, rng, longest=110, ridges=0.45, erosion=0.7)
    rocky = 6 + np.clip(inland, 0, 900) * 0.022 + 13 * knolls
    swell = spectral(shape, rng, exponent=2.2, longest=300, shortest=45)
    icy = 45 + 0.055 * np.clip(east - 700, 0, None) + 6 * swell
    elevation = mix(np.maximum(rocky, 1).astype(np.float32), icy.astype(np.float32), dome)
    elevation = mix(elevation, blur(elevation, 5), smoothstep(0.05, 0.5, dome))
    elevation = np.where(shore > 0, elevation, 0).astype(np.float32)
    return _polar(shape, rng, elevation, shore, dome, rock=(0.150, 0.122, 0.098), bergs=0.0)


def nunatak_coast(shape: Shape, rng: np.random.Generator) -> Landscape:
    """A small rock by ice cliffs, islands offshore, fast ice: Mawson."""
    east, north = metres(shape)
    coast = along(
        east, [(-5200, -700), (-3000, -350), (-1500, 250), (-600, -100), (300, 600),
               (900, -250), (2500, -650), (5200, -250)]
    )  # fmt: skip
    ragged = spectral(shape, rng, exponent=1.6, longest=210)
    shore = (coast - north) + 170 * ragged
    harbour = np.hypot(east - 250, north - 250) / 650
    skerries = relief(shape, rng, longest=75, ridges=0.1)
    shore = np.where(
        (shore < -180) & (skerries > 1.7) & (shore > -3600), 240 * (skerries - 1.7), shore
    )
    shore = np.asarray(shore, dtype=np.float32)
    inland = np.clip(blur(shore, 22), 0, None)
    outcrop = smoothstep(1.05, 0.75, np.asarray(harbour + 0.22 * ragged, dtype=np.float32))
    ridge = relief(shape, rng, longest=200, ridges=0.25, erosion=0.5)
    peaks = smoothstep(1.75, 2.5, ridge) * smoothstep(900, 1900, inland)
    island = (shore > 0) & (coast - north < -120)
    rock = np.maximum(np.maximum(outcrop, peaks), island.astype(np.float32))
    ice = np.asarray(1 - np.clip(rock, 0, 1), dtype=np.float32)
    swell = spectral(shape, rng, exponent=2.6, longest=380, shortest=70)
    sheet = 28 + 0.095 * inland + 6 * swell
    stone = 7 + np.clip(inland, 0, 500) * 0.03 + 9 * ridge + 150 * peaks
    elevation = mix(np.maximum(stone, 1).astype(np.float32), sheet.astype(np.float32), ice)
    elevation = np.maximum(elevation, sheet * (peaks > 0.02) + 90 * peaks)
    elevation = np.where(shore > 0, elevation, 0).astype(np.float32)
    return _polar(shape, rng, elevation, shore, ice, rock=(0.118, 0.096, 0.082), bergs=0.10)


def pack_ice(shape: Shape, rng: np.random.Generator) -> Landscape:
    """A volcanic islet and tabular bergs in drifting pack ice: Scott Island."""
    east, north = metres(shape)
    wobble = spectral(shape, rng, exponent=1.4, longest=30)
    islet = 260 - np.hypot((east - 40) * 1.5, north + 60) + 45 * wobble
    stack = 70 - np.hypot(east - 330, north - 420) + 14 * wobble
    shore = np.maximum(islet, stack).astype(np.float32)
    elevation = np.where(shore > 0, 12 + 0.19 * np.clip(shore, 0, None) + 2 * wobble, 0)
    elevation = blur(np.maximum(elevation, 0).astype(np.float32), 1.2) * (shore > 0)
    ice = smoothstep(0.4, 1.1, wobble + (elevation - 45) / 25) * (shore > 0)
    return _polar(
        shape, rng, elevation, shore, np.asarray(ice, dtype=np.float32),
        rock=(0.070, 0.062, 0.056), bergs=0.22,
    )  # fmt: skip


def _polar(
    shape: Shape,
    rng: np.random.Generator,
    elevation: FloatArray,
    shore: FloatArray,
    ice: FloatArray,
    *,
    rock: tuple[float, float, float],
    bergs: float,
) -> Landscape:
    """Colour rock and ice, add icebergs, and break the sea ice."""
    grain = spectral(shape, rng, exponent=0.8, longest=16)
    patches = spectral(shape, rng, exponent=1.4, longest=140)
    ground = painted(shape, rock) * (1 + 0.16 * grain + 0.12 * patches)
    # Dykes: dark bands across the rock.
    bands = spectral(shape, rng, exponent=1.2, longest=60, stretch=9, bearing_deg=15)
    ground = np.asarray(ground * (1 - 0.3 * smoothstep(1.3, 1.8, bands)), dtype=np.float32)
    berg = np.zeros(shape, dtype=np.float32)
    if bergs > 0:
        tables = cells(shape, rng, spacing=96, ragged=0.06)
        size = np.float32(0.50)
        table = (tables.tone > 1 - bergs) & (tables.gap > size) & (shore < -400)
        berg = blur(table.astype(np.float32), 0.7)
        berg = np.asarray(berg * (shore < -200), dtype=np.float32)
    elevation = np.where(berg > 0.5, 22 + 0.06 * grain, elevation).astype(np.float32)
    floes, brash = broken_ice(shape, rng)
    return Landscape(
        elevation=elevation,
        shore=np.where(berg > 0.5, 15, shore).astype(np.float32),
        ground=np.clip(ground, 0.01, 1),
        greenness=np.zeros(shape, dtype=np.float32),
        ice=np.maximum(ice, (berg > 0.5).astype(np.float32)),
        firn=_firn(shape, shore, rng),
        water=open_water(shape, shore, rng),
        snow_affinity=affinity(elevation, rng),
        floes=floes,
        brash=brash,
    )


def _firn(shape: Shape, shore: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(3, rows, columns): firn with wind-scoured blue patches and sastrugi."""
    scour = spectral(shape, rng, exponent=2.0, longest=260, stretch=2.5, bearing_deg=130)
    blue = smoothstep(0.5, 1.9, scour + smoothstep(700, 0, shore) * np.float32(0.6))
    sastrugi = spectral(shape, rng, exponent=1.0, longest=24, stretch=6, bearing_deg=130)
    firn = painted(shape, FIRN) * (1 + 0.012 * sastrugi)
    return tinted(np.asarray(firn, dtype=np.float32), BLUE_ICE, blue * np.float32(0.75))
