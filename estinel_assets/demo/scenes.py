"""From passes to scenes: which pieces are published, where they lie and what they show.

A real tile is 109.8 km wide. A scene here is a cut-out of its tile around the place, on the
tile's own pixel grid.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from estinel_assets.demo.clouds import clouds_over
from estinel_assets.demo.landscape import PIXEL_M, Landscape
from estinel_assets.demo.noise import BoolArray
from estinel_assets.demo.radiometry import digital_numbers, reflectance_seen, scene_classes
from estinel_assets.demo.schedule import HALVES_OVERLAP_M, Act, Pass, Place
from estinel_assets.demo.sun import Sun, sun_at
from estinel_assets.demo.surface import surface_on
from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid

TILE_OVERLAP_M = 1000.0
"""How far the northern tile's cut-out reaches into the southern one."""
FAR_M = 1e6
"""Beyond every place; half planes are drawn this large."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One item to be: a piece of a pass over a place, in one version."""

    place: Place
    flight: Pass
    grid: Grid
    """The 10 m grid of its files."""
    tile: Literal["whole", "north", "south"]
    half: Literal["north", "south"] | None
    version: int
    """0 for the first processing, 1 for the second."""
    act: Act
    """When it is published."""
    truncated: bool
    """Its red band is cut short."""
    repaired: bool = False
    """Its red band was cut short before."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A pass as it would be seen over the whole cut-out, without swath edges."""

    bands: npt.NDArray[np.uint16]
    """(3, rows, columns): red, green, blue digital numbers."""
    classes: npt.NDArray[np.uint8]
    """(rows / 2, columns / 2): scene classes."""


def generator(seed: int, *words: str) -> np.random.Generator:
    """A random generator that depends on the seed and the words, and on nothing else."""
    digest = hashlib.sha256("\n".join(words).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype="<u4").tolist()])


def utm_crs(longitude_deg: float, latitude_deg: float) -> str:
    """The WGS 84 / UTM zone of a place, as `EPSG:32755`."""
    zone = min(60, int((longitude_deg + 180) // 6) + 1)
    return f"EPSG:{32700 + zone if latitude_deg < 0 else 32600 + zone}"


def centre_of(place: Place) -> tuple[float, float]:
    """(easting, northing) of a place in its UTM zone, in metres."""
    crs = utm_crs(place.longitude_deg, place.latitude_deg)
    to_utm = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    easting, northing = to_utm.transform(place.longitude_deg, place.latitude_deg)
    return float(easting), float(northing)


def canvas_of(place: Place) -> Grid:
    """The 10 m grid around a place, aligned to 20 m as the classes need."""
    easting, northing = centre_of(place)
    rows, columns = place.shape
    return Grid(
        crs=utm_crs(place.longitude_deg, place.latitude_deg),
        left=round((easting - columns * PIXEL_M / 2) / 20) * 20.0,
        top=round((northing + rows * PIXEL_M / 2) / 20) * 20.0,
        resolution=PIXEL_M,
        width=columns,
        height=rows,
    )


def scenes_of(place: Place, act: Act) -> Iterator[Scene]:
    """All scenes of a place that are published in an act."""
    canvas = canvas_of(place)
    for flight in place.passes:
        for tile, grid in _tiles(place, canvas):
            for half in ("north", "south") if flight.halves else (None,):
                first = Scene(
                    place, flight, grid, tile, half, version=0,
                    act=2 if flight.late == tile else flight.act, truncated=flight.truncated,
                )  # fmt: skip
                versions = [first]
                if flight.reprocessed is not None:
                    versions.append(replace(first, version=1, act=flight.reprocessed))
                if flight.truncated:
                    versions.append(replace(first, act=2, truncated=False, repaired=True))
                yield from (scene for scene in versions if scene.act == act)


def _tiles(place: Place, canvas: Grid) -> list[tuple[Literal["whole", "north", "south"], Grid]]:
    border = place.border_northing_m
    if border is None:
        return [("whole", canvas)]
    northern = int((canvas.top - border + TILE_OVERLAP_M) // 20) * 2
    above = int((canvas.top - border) // 20) * 2
    south_top = canvas.top - above * PIXEL_M
    return [
        ("north", replace(canvas, height=northern)),
        ("south", replace(canvas, top=south_top, height=canvas.height - above)),
    ]


def sun_over(scene: Scene) -> Sun:
    """The sun's direction at a scene."""
    place = scene.place
    return sun_at(scene.flight.moment, place.longitude_deg, place.latitude_deg)


def picture_of(place: Place, flight: Pass, land: Landscape, seed: int) -> Picture:
    """Draw one pass over a whole cut-out."""
    moment = flight.moment.isoformat()
    sun = sun_at(flight.moment, place.longitude_deg, place.latitude_deg)
    surface = surface_on(
        land, flight.season, sun, generator(seed, place.location, moment, "surface")
    )
    sky = generator(seed, place.location, moment, "clouds")
    clouds = clouds_over(place.shape, flight.weather, sun, sky)
    everything = np.ones(place.shape, dtype=np.bool_)
    return Picture(
        bands=digital_numbers(
            reflectance_seen(surface, clouds, flight.weather),
            everything,
            generator(seed, place.location, moment, "sensor"),
        ),
        classes=scene_classes(surface, clouds, everything, cirrus=flight.weather.kind == "cirrus"),
    )


def cut(scene: Scene, picture: Picture) -> Picture:
    """Cut a scene out of its pass and blank what the satellite did not see."""
    canvas = canvas_of(scene.place)
    top = round((canvas.top - scene.grid.top) / PIXEL_M)
    left = round((scene.grid.left - canvas.left) / PIXEL_M)
    rows = slice(top, top + scene.grid.height)
    columns = slice(left, left + scene.grid.width)
    bands = picture.bands[:, rows, columns].copy()
    if scene.version:
        # A newer processor corrects the atmosphere a little differently.
        bands = (bands * np.float32(1.004)).astype(np.uint16)
    halved = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
    classes = picture.classes[halved].copy()
    seen = seen_at_20m(scene)
    classes[~seen] = 0
    bands[:, ~seen.repeat(2, axis=0).repeat(2, axis=1)] = 0
    return Picture(bands=bands, classes=classes)


def seen_at_20m(scene: Scene) -> BoolArray:
    """Which 20 m pixels of a scene the satellite saw: (rows / 2, columns / 2)."""
    grid = scene.grid
    centre_east, centre_north = centre_of(scene.place)
    east = grid.left + 20 * (np.arange(grid.width // 2) + 0.5) - centre_east
    north = grid.top - 20 * (np.arange(grid.height // 2) + 0.5) - centre_north
    across, along = _track_axes(
        scene, np.asarray(east[None, :], np.float64), np.asarray(north[:, None], np.float64)
    )
    seen = np.ones(across.shape, dtype=np.bool_)
    swath = scene.flight.swath
    if swath is not None:
        seen &= across < swath.offset_m if swath.side == "west" else across > swath.offset_m
    if scene.half is not None:
        reach = HALVES_OVERLAP_M / 2
        seen &= along > -reach if scene.half == "north" else along < reach
    return np.asarray(seen)


def _track_axes(
    scene: Scene, east: npt.NDArray[np.float64], north: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Metres right of the track through the place, and along it to the north."""
    bearing = math.radians(scene.place.track_bearing_deg)
    across = east * math.cos(bearing) - north * math.sin(bearing)
    along = east * math.sin(bearing) + north * math.cos(bearing)
    return across, along


def footprint_utm(scene: Scene) -> Polygon:
    """The published footprint in the scene's CRS; contains every valid pixel.

    Raises:
        BadInputError: the swath misses the cut-out.
    """
    seen: BaseGeometry = box(*scene.grid.bounds)
    swath = scene.flight.swath
    if swath is not None:
        margin = swath.footprint_margin_m
        near = swath.offset_m + (margin if swath.side == "west" else -margin)
        far = -FAR_M if swath.side == "west" else FAR_M
        seen = seen.intersection(_band(scene, (min(near, far), max(near, far)), (-FAR_M, FAR_M)))
    if scene.half is not None:
        reach = HALVES_OVERLAP_M / 2 + 30
        span = (-reach, FAR_M) if scene.half == "north" else (-FAR_M, reach)
        seen = seen.intersection(_band(scene, (-FAR_M, FAR_M), span))
    if not isinstance(seen, Polygon) or seen.is_empty:
        raise BadInputError(
            f"the pass of {scene.flight.moment:%Y-%m-%d} does not see {scene.place.location}; "
            "move its swath"
        )
    return seen


def _band(scene: Scene, across: tuple[float, float], along: tuple[float, float]) -> Polygon:
    """A rectangle in track coordinates, drawn in the scene's CRS."""
    bearing = math.radians(scene.place.track_bearing_deg)
    easting, northing = centre_of(scene.place)
    corners = [(across[0], along[0]), (across[1], along[0]), (across[1], along[1]),
               (across[0], along[1])]  # fmt: skip
    return Polygon(
        (
            easting + right * math.cos(bearing) + ahead * math.sin(bearing),
            northing - right * math.sin(bearing) + ahead * math.cos(bearing),
        )
        for right, ahead in corners
    )
