"""Small groups of arrays of a tile-year, as the pipeline writes them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from estinel_assets.ard.ard_zarr import GROUPS, write_group
from estinel_assets.ard.dem_cells import CellState, DemCell
from estinel_assets.ard.scratch import ScratchFile
from estinel_assets.ard.sentinel1_composite import compose_s1, s1_dataset
from estinel_assets.ard.sentinel1_selection import S1Rules, select_s1
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS
from estinel_assets.ard.sentinel2_composite import (
    Composites,
    S2Step,
    clouds_dataset,
    s2_dataset,
)
from estinel_assets.ard.sentinel2_rules import S2Rules
from estinel_assets.ard.sentinel2_selection import Drop, score_clouds
from estinel_assets.ard.slope import slope_dataset
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.offsets import OffsetDecision
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore

TILE_YEAR = TileYear(Tile(1035, 727, 15.0, -20.0), 2023)
PATH = TILE_YEAR.store_path
ROOT: dict[str, Any] = {"tile": TILE_YEAR.tile.tag, "year": TILE_YEAR.year}
GRID = Grid("EPSG:32733", 499_920.0, 7_789_080.0, 10.0, 36, 24)
DAYS = [dt.date(2023, 1, 5), dt.date(2023, 2, 9), dt.date(2023, 12, 31)]
CLOUDY_DAY = dt.date(2023, 6, 1)


def coarser(resolution: float, grid: Grid = GRID) -> Grid:
    """The same place with larger pixels."""
    factor = resolution / grid.resolution
    width, height = round(grid.width / factor), round(grid.height / factor)
    return replace(grid, resolution=resolution, width=width, height=height)


def product(group: str, seed: int = 0) -> xr.Dataset:
    """A small dataset as the group keeps it; Sentinel-1 lacks a quarter."""
    rng = np.random.default_rng(seed)
    match group:
        case "dem":
            slope = rng.uniform(0, 60, GRID.shape).astype(np.float32)
            return slope_dataset(slope, GRID, cells={DemCell(-21, 15): CellState.PRESENT})
        case "s1":
            return backscatter(rng, without="Q3")
        case "s2_10":
            return reflectance(S2_10_BANDS, coarser(10), rng)
        case "s2_20":
            return reflectance(S2_20_BANDS, coarser(20), rng)
    wide_grid, quality = replace(GRID, resolution=640.0, width=9, height=8), coarser(120)
    looked_at = [*DAYS, CLOUDY_DAY]
    wide = {day: rng.integers(0, 12, wide_grid.shape).astype(np.uint8) for day in looked_at}
    used = {day: rng.integers(0, 12, quality.shape).astype(np.uint8) for day in DAYS}
    scores = {day: score_clouds(day, scl) for day, scl in wide.items()}
    dropped = {CLOUDY_DAY: Drop.HARD}
    return clouds_dataset(wide, wide_grid, used, quality, scores, dropped, S2Rules())


def backscatter(rng: np.random.Generator, *, without: str = "") -> xr.Dataset:
    """Four quarters, brighter ones beyond what can be stored; one may lack."""
    grid = coarser(40)
    quarters = {
        name: rng.uniform(0.001, 1.2, (2, *grid.shape)).astype(np.float32)
        for name in ("Q1", "Q2", "Q3", "Q4")
        if name != without
    }
    selection = select_s1([], TILE_YEAR.tile, TILE_YEAR.year)
    return s1_dataset(compose_s1(quarters, grid.shape), selection, grid, S1Rules())


def reflectance(bands: tuple[str, ...], grid: Grid, rng: np.random.Generator) -> xr.Dataset:
    """Three days; a corner of the first one is without data."""
    pixels = rng.integers(1, 12_000, (len(DAYS), len(bands), *grid.shape)).astype(np.uint16)
    pixels[0, :, :5, :5] = 0
    clear = np.full((8, 9), 4, dtype=np.uint8)
    steps = [
        S2Step(score_clouds(day, clear), 0.0, 1.0, {f"S2_{day}": OffsetDecision(-1000, "known")})
        for day in DAYS
    ]
    return s2_dataset(composed(pixels, bands, grid), steps, S2Rules())


def composed(pixels: NDArray[np.uint16], bands: Sequence[str], grid: Grid) -> Composites:
    """Days (day, band, height, width) as the making of a tile leaves them."""
    composites = Composites(len(pixels), bands, grid, ScratchFile())
    for day in pixels:
        composites.add(day)
    return composites


def decoded(dataset: xr.Dataset) -> xr.Dataset:
    """With all arrays in memory, so that they can be compared and changed."""
    return dataset.as_numpy()


def store_of(**changed: xr.Dataset) -> ObjectStore:
    """A store in memory in which all groups of `TILE_YEAR` stand."""
    store = open_store("memory://")
    for path, body in _objects().items():
        store.put(path, body)
    for group, dataset in changed.items():
        write_group(store, PATH, group, dataset, root=ROOT)
    return store


@cache
def _objects() -> dict[str, bytes]:
    store = open_store("memory://")
    for group in GROUPS:
        write_group(store, PATH, group, product(group), root=ROOT)
    return {found.path: store.get(found.path).data for found in store.list()}
