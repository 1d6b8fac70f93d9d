"""A small world for ARD: a handful of coarse scenes of each mission around two tiles.

Files are a few kilobytes: what an item says of their extent decides how large a pixel is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from estinel_assets.ard.sentinel2_bands import S2_ASSET_KEYS, SCL_BAND
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.settings import (
    ArdSettings,
    RasterSettings,
    Settings,
    StoreSettings,
    TransportSettings,
)
from estinel_assets.stac.bands import Provider
from tests.support.http import RangeServer
from tests.support.rasters import write_geotiff
from tests.support.stac_api import running_stac_api, stac_collection, stac_item

YEAR = 2023
WEST = Tile(10, 20, 9.25, 5.5)
EAST = Tile(11, 20, 9.25 + 1 / 18, 5.5)
SEA = Tile(500, 20, 20.5, 5.5)
"""Far from all scenes, where the elevation model has no cell."""

CRS = "EPSG:32632"
BBOX = (8.55, 4.75, 9.95, 6.25)
"""Of every scene's footprint: well within its files, and well around the wide area."""
SCENE_SIZE = 220
S2_TRANSFORM = Affine(1000.0, 0.0, 430_000.0, 0.0, -1000.0, 720_000.0)
S1_TRANSFORM = S2_TRANSFORM

S2, S1, DEM = "sentinel-2-c1-l2a", "sentinel-1-rtc", "cop-dem-glo-30"
_KEYS = S2_ASSET_KEYS[Provider.EARTH_SEARCH]
_RANDOM_SEED = 7

CLEAR, CLOUDY = 4, 9
"""Classes of the scene classification."""


@dataclass(frozen=True)
class ArdScenes:
    """The world, served."""

    server: RangeServer
    api: str
    pixels: Mapping[str, np.ndarray]
    """By path of the file."""

    def settings(self, folder: Path, **ard: Any) -> Settings:
        """Settings whose store is in a folder."""
        urls = dict.fromkeys(("dem_url", "s1_url", "s2_url"), self.api)
        return Settings(
            store=StoreSettings(url=folder.as_uri()),
            transport=TransportSettings(attempts=2, backoff_s=0.01, timeout_s=10.0),
            raster=RasterSettings(),
            ard=ArdSettings(**{**urls, "retries": 0, **ard}),
        )

    def scene(self, item_id: str, band: str) -> np.ndarray:
        """The pixels of a file."""
        return self.pixels[f"{item_id}/{band}.tif"]


def tile_years(*tiles: Tile, year: int = YEAR) -> list[TileYear]:
    """Tiles in a year."""
    return [TileYear(tile, year) for tile in tiles]


class _Maker:
    def __init__(self, folder: Path, server: RangeServer) -> None:
        self.folder, self.server = folder, server
        self.random = np.random.default_rng(_RANDOM_SEED)
        self.pixels: dict[str, np.ndarray] = {}
        self.items: list[dict[str, Any]] = []

    def file(self, path: str, pixels: np.ndarray, crs: str, transform: Affine, **asset: Any) -> Any:
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        write_geotiff(target, pixels, crs=crs, transform=transform)
        self.pixels[path] = pixels
        return {
            "href": self.server.url(path),
            "proj:code": crs,
            "proj:shape": list(pixels.shape),
            "proj:transform": list(transform)[:6],
            **asset,
        }

    def s2(
        self,
        day: date,
        *,
        scl: int = CLEAR,
        cloud: float = 10.0,
        baseline: str = "05.10",
        blank: str | None = None,
    ) -> str:
        name = f"S2A_T32NMM_{day:%Y%m%d}_{baseline.replace('.', '')}"
        assets = {}
        for band, key in _KEYS.items():
            if band == SCL_BAND:
                pixels = np.full((SCENE_SIZE, SCENE_SIZE), scl, dtype=np.uint8)
                said = {}
            else:
                pixels = self.random.integers(1500, 6000, (SCENE_SIZE, SCENE_SIZE), dtype=np.uint16)
                if band == blank:
                    pixels[:] = 0
                said = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
            assets[key] = self.file(f"{name}/{band}.tif", pixels, CRS, S2_TRANSFORM, **said)
        self.items.append(
            stac_item(
                name,
                collection=S2,
                bbox=BBOX,
                datetime=f"{day}T10:00:00Z",
                assets=assets,
                **{
                    "eo:cloud_cover": cloud,
                    "platform": "sentinel-2a",
                    "s2:processing_baseline": baseline,
                    "s2:datatake_id": f"GS2A_{day:%Y%m%d}T100000_N{baseline}",
                    "s2:datastrip_id": f"S2A_DS_S{day:%Y%m%d}T100000_N{baseline}",
                    "grid:code": "MGRS-32NMM",
                },
            )
        )
        return name

    def s1(self, day: date, *, bands: Sequence[str] = ("VV", "VH"), power: float = 0.9) -> str:
        name = f"S1A_{day:%Y%m%d}_rtc"
        assets = {}
        for band in bands:
            pixels = self.random.uniform(power / 100, power, (SCENE_SIZE, SCENE_SIZE)).astype(
                np.float32
            )
            pixels[:, ::7] = 0.0
            assets[band.lower()] = self.file(f"{name}/{band}.tif", pixels, CRS, S1_TRANSFORM)
        self.items.append(
            stac_item(
                name,
                collection=S1,
                bbox=BBOX,
                datetime=f"{day}T05:00:00Z",
                assets=assets,
                **{"sat:orbit_state": "descending", "sat:relative_orbit": 15},
            )
        )
        return name

    def dem(self, south: int, west: int) -> str:
        name = f"Copernicus_DSM_COG_10_N{south:02d}_00_E{west:03d}_00_DEM"
        # A tenth of the real resolution, over the real extent: half an arc second off whole ones.
        size = 360
        row, column = np.mgrid[:size, :size]
        pixels = (900 + 300 * np.sin(row / 5) * np.cos(column / 7)).astype(np.float32)
        shift = 0.5 / 3600
        transform = Affine(1 / size, 0.0, west - shift, 0.0, -1 / size, south + 1 + shift)
        assets = {"data": self.file(f"{name}/elevation.tif", pixels, "EPSG:4326", transform)}
        self.items.append(
            stac_item(
                name,
                collection=DEM,
                bbox=(west, south, west + 1, south + 1),
                datetime="2021-04-22T00:00:00Z",
                assets=assets,
            )
        )
        return name


def _fill(world: _Maker) -> None:
    world.s2(date(YEAR, 1, 10), baseline="04.00")
    world.s2(date(YEAR, 1, 10))  # the same piece of a pass, processed again
    world.s2(date(YEAR, 2, 9))
    world.s2(date(YEAR, 3, 11), scl=CLOUDY)
    world.s2(date(YEAR, 4, 20), cloud=80.0)
    # All that 2022 has is cloudy.
    world.s2(date(YEAR - 1, 6, 1), scl=CLOUDY)
    # 2021 has one day of each, of which a band, or all, is blank.
    world.s2(date(YEAR - 2, 6, 1), blank="B05")
    world.s1(date(YEAR - 2, 2, 1), power=0.0)
    for month, day in ((2, 1), (2, 13), (5, 1), (8, 1), (11, 1)):
        world.s1(date(YEAR, month, day))
    for month in (2, 5, 8):
        world.s1(date(YEAR - 1, month, 1))
    # What was not sent and received as all the others is not used.
    world.s1(date(YEAR - 1, 11, 1), bands=("VV",))
    world.dem(5, 9)


@contextmanager
def serving_ard_scenes(folder: Path) -> Iterator[ArdScenes]:
    """Make the world below a folder and serve it."""
    files = folder / "files"
    files.mkdir()
    with RangeServer(files) as server:
        world = _Maker(files, server)
        _fill(world)
        collections = [stac_collection(one) for one in (S2, S1, DEM)]
        with running_stac_api(folder, collections, world.items) as api:
            yield ArdScenes(server, api, world.pixels)
