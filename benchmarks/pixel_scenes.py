"""Full-size scenes to read from, made once: natural texture, in two UTM zones.

Four scenes of red, green, blue (10 m) and a scene classification (20 m), as cloud-optimised
GeoTIFFs like those of Sentinel-2 L2A. Two lie in zone 55 and two in zone 56, and one site at their
border needs a part of each: the first two end at the edge of their swath, the first and the third
at their lower edge.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from estinel_assets.demo.noise import spectral
from estinel_assets.raster.grids import Grid

RGB = ("red", "green", "blue")
SCL = "scl"
BANDS = (*RGB, SCL)
RESOLUTION = {**dict.fromkeys(RGB, 10), SCL: 20}
"""Metres."""

_BORDER_LON, _BORDER_LAT = 150.0, -42.0
_MADE_BY = 3
"""Raised whenever what is made changes, so that a folder of former scenes is not used."""
_PARTS = 6
"""Along each edge the same part is laid side by side: deflate never looks back as far as that."""
_LEVELS = {"red": 900.0, "green": 1100.0, "blue": 700.0}
_RELIEF, _GRAIN = 260.0, 95.0
"""Standard deviations of what is smooth and of what is not: a block of 1024 by 1024 pixels then
packs into some 1.4 MB, as real ones over land do."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large everything is, in pixels of 10 m."""

    scene: int
    """Along an edge; a multiple of 12."""
    block: int
    """Along an edge."""
    site: int
    tile: int
    days: int
    """Site-days of a batch."""


FULL = Size(scene=10980, block=1024, site=600, tile=618, days=20)
QUICK = Size(scene=2196, block=256, site=120, tile=130, days=3)


@dataclass(frozen=True, slots=True)
class MadeScene:
    """One scene."""

    name: str
    epsg: int
    left: int
    """Metres."""
    top: int
    """Metres."""
    pixels: int
    """Along an edge, at 10 m."""
    swath_m: int | None
    """x of the swath's edge at the height of the border site; nothing lies east of it."""

    @property
    def crs(self) -> str:
        """As `EPSG:32755`."""
        return f"EPSG:{self.epsg}"

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top), in metres."""
        extent = self.pixels * 10
        return self.left, self.top - extent, self.left + extent, self.top

    def shape(self, band: str) -> tuple[int, int]:
        """(height, width) of a band's file."""
        edge = self.pixels * 10 // RESOLUTION[band]
        return edge, edge

    def transform(self, band: str) -> Affine:
        """Of a band's file."""
        step = RESOLUTION[band]
        return Affine(step, 0, self.left, 0, -step, self.top)

    def path(self, folder: Path, band: str) -> Path:
        """Where a band's file is."""
        return folder / self.name / f"{band}.tif"


@dataclass(frozen=True, slots=True)
class Places:
    """The scenes, and where sites and tiles lie in them."""

    scenes: tuple[MadeScene, ...]
    """In the order of their preference."""
    border: Grid
    """A site that needs all four."""
    inland: Grid
    """A site inside the first one, across an edge between blocks."""
    at_60_m: Grid
    at_100_m: Grid
    tiles: tuple[Grid, ...]
    """Sixteen neighbours inside the first one."""


def places(size: Size) -> Places:
    """Where everything lies."""
    extent = size.scene * 10
    scenes = []
    for zone, west_share in ((55, 0.82), (56, 0.11)):
        x, y = _snapped(zone)
        left = _multiple(x - west_share * extent, 60)
        swath = x + size.site if zone == 55 else None
        for part, top in (("north", y + extent), ("south", y + _multiple(0.08 * extent, 60))):
            scenes.append(MadeScene(f"{zone}{part}", 32700 + zone, left, top, size.scene, swath))
    x, y = _snapped(55)
    half = size.site // 2 * 10
    first = scenes[0]
    tile, block = size.tile * 10, size.block * 10
    return Places(
        scenes=tuple(scenes),
        border=Grid(first.crs, x - half, y + half, 10, size.site, size.site),
        inland=Grid(
            first.crs,
            first.left + 3 * block + block // 80 * 10,
            first.top - 4 * block + size.site * 4 // 10 * 10,
            10,
            size.site,
            size.site,
        ),
        at_60_m=_coarse(first, 60, size.site),
        at_100_m=_coarse(first, 100, size.site),
        tiles=tuple(
            Grid(
                first.crs,
                first.left + 3 * block + column * tile,
                first.top - 3 * block - row * tile,
                10,
                size.tile,
                size.tile,
            )
            for row in range(4)
            for column in range(4)
        ),
    )


def _coarse(scene: MadeScene, resolution: int, site: int) -> Grid:
    """In the middle of what a scene has."""
    edge = site * resolution
    extent = scene.pixels * 10
    left = _multiple(scene.left + 0.4 * extent - edge / 2, resolution)
    top = _multiple(scene.top - 0.5 * extent + edge / 2, resolution)
    return Grid(scene.crs, left, top, resolution, site, site)


def _snapped(zone: int) -> tuple[int, int]:
    to_zone = Transformer.from_crs("EPSG:4326", f"EPSG:{32700 + zone}", always_xy=True)
    x, y = to_zone.transform(_BORDER_LON, _BORDER_LAT)
    return _multiple(x, 60), _multiple(y, 60)


def _multiple(value: float, step: int) -> int:
    return round(value / step) * step


def make_scenes(folder: Path, size: Size) -> Path:
    """Make the scenes, unless they are there.

    Args:
        folder: where scenes of any size are kept.
        size: of the scenes.

    Returns:
        The folder of these.
    """
    wanted = {"made_by": _MADE_BY, **asdict(size), "places": _BORDER_LON}
    inside = folder / f"{size.scene}"
    mark = inside / "made.json"
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == wanted:
        return inside
    mark.unlink(missing_ok=True)
    every = [
        (scene, band, scene.path(inside, band), size.block, seed)
        for seed, (scene, band) in enumerate(
            (scene, band) for scene in places(size).scenes for band in BANDS
        )
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_make, *zip(*every, strict=True)))
    mark.write_text(json.dumps(wanted), encoding="utf-8")
    return inside


def _make(scene: MadeScene, band: str, path: Path, block: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    height, width = scene.shape(band)
    pixels = _classes(rng, height) if band == SCL else _reflectance(rng, height, _LEVELS[band])
    if scene.swath_m is not None:
        _cut(pixels, scene, RESOLUTION[band])
    with (
        rasterio.Env(GDAL_CACHEMAX=256),
        MemoryFile() as memory,
        memory.open(
            driver="GTiff",
            width=width,
            height=height,
            count=1,
            dtype=pixels.dtype.name,
            crs=scene.crs,
            transform=scene.transform(band),
            nodata=0,
            tiled=True,
            blockxsize=block,
            blockysize=block,
        ) as plain,
    ):
        plain.write(pixels, 1)
        copy_raster(
            plain,
            path,
            driver="COG",
            compress="DEFLATE",
            level=6,
            predictor="NO" if band == SCL else "STANDARD",
            blocksize=block,
            overview_resampling="NEAREST" if band == SCL else "AVERAGE",
            num_threads=1,
        )


def _reflectance(rng: np.random.Generator, edge: int, level: float) -> NDArray[np.uint16]:
    """Ground that is rough on all scales, with what no neighbour tells."""
    part = edge // _PARTS
    relief = spectral((part, part), rng, exponent=1.4, longest=part / 2)
    ground = level + _RELIEF * relief + _GRAIN * rng.standard_normal((part, part), np.float32)
    numbers = np.clip(ground, 1, 10000).astype(np.uint16)
    whole = np.tile(numbers, (_PARTS, _PARTS))
    slope = np.linspace(0, 400, edge).astype(np.uint16)  # so that no two parts are equal
    whole += slope
    whole += slope[::-1, np.newaxis]
    return whole


def _classes(rng: np.random.Generator, edge: int) -> NDArray[np.uint8]:
    part = edge // _PARTS
    relief = spectral((part, part), rng, exponent=1.6, longest=part / 2)
    bounds = np.quantile(relief, (0.06, 0.12, 0.5, 0.7, 0.8, 0.88))
    named = np.array([6, 2, 4, 5, 7, 8, 9], dtype=np.uint8)
    return np.tile(named[np.searchsorted(bounds, relief)], (_PARTS, _PARTS))


def _cut(pixels: NDArray[np.uint16] | NDArray[np.uint8], scene: MadeScene, step: int) -> None:
    """Leave nothing east of the edge of the swath, which leans to the east going north."""
    if scene.swath_m is None:
        return
    middle = _snapped(55)[1]
    # On whole steps of 20 m, so that all bands end at the same place.
    for row in range(len(pixels)):
        y = scene.top - (row * step // 20) * 20
        first = (scene.swath_m + (y - middle) // 5 - scene.left) // 20 * 20 // step
        pixels[row, max(first, 0) :] = 0


def lonlat_bounds(
    bounds: tuple[float, float, float, float], crs: str
) -> tuple[float, float, float, float]:
    """(west, south, east, north) of bounds in another CRS, in degrees."""
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    west, south, east, north = to_lonlat.transform_bounds(*bounds)
    return west, south, east, north
