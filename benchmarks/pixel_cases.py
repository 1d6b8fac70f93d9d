"""What is read in each case, and how many bytes that needs at least."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from benchmarks.pixel_scenes import BANDS, MadeScene, Size, places
from estinel_assets.raster.grids import Grid

OURS, OURS_AGAIN = "ours", "ours-again"
READERS = (OURS, OURS_AGAIN, "odc-pool", "odc-dask", "stackstac", "rasterio")
REGION = "odc-region"
DELIVERERS = (OURS, OURS_AGAIN, "odc-pool", "rasterio")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is read together: a site-day, or a tile."""

    day: int
    """Of the batch, from 0."""
    scenes: tuple[MadeScene, ...]
    """In the order of their preference."""
    grid: Grid


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the results."""

    name: str
    title: str
    units: tuple[Unit, ...]
    ways: tuple[str, ...]
    exact: bool
    """All scenes have the grid's CRS and its pixel size, so that every way must give the same."""
    delivers: bool = False
    """Outputs are made and uploaded, too."""
    long: bool = False
    """So that it is repeated less often."""


def cases(size: Size) -> dict[str, Case]:
    """All cases, by their names."""
    at = places(size)
    first = at.scenes[:1]
    batch = tuple(Unit(day, first, at.inland) for day in range(size.days))
    tiles = tuple(Unit(0, first, grid) for grid in at.tiles)
    edge, tile = size.site, size.tile
    every = (
        Case("day", f"one site-day, {edge} by {edge} pixels, one scene", batch[:1], READERS,
             exact=True),
        Case("zones", "one site-day, four scenes in two zones", (Unit(0, at.scenes, at.border),),
             READERS, exact=False),
        Case("at60", f"one site-day at 60 m, {edge} by {edge} pixels",
             (Unit(0, first, at.at_60_m),), READERS, exact=False),
        Case("at100", f"one site-day at 100 m, {edge} by {edge} pixels",
             (Unit(0, first, at.at_100_m),), READERS, exact=False),
        Case("batch", f"{size.days} site-days", batch, READERS, exact=True, long=True),
        Case("tiles", f"{len(tiles)} adjacent tiles of {tile} by {tile} pixels, one scene", tiles,
             (*READERS, REGION), exact=True, long=True),
        Case("outputs", f"{size.days} site-days, from scenes to uploaded files", batch, DELIVERERS,
             exact=True, delivers=True, long=True),
    )  # fmt: skip
    return {case.name: case for case in every}


def href(address: str, unit: Unit, scene: MadeScene, band: str) -> str:
    """Where a band of a scene is served; `address` is one that nobody used before."""
    return f"{address}/{unit.day:02}/{scene.name}/{band}.tif"


@dataclass(frozen=True, slots=True)
class Needed:
    """The least that a case must fetch."""

    files: int
    blocks: int
    block_bytes: int
    header_bytes: int

    @property
    def all_bytes(self) -> int:
        """Of blocks and headers."""
        return self.block_bytes + self.header_bytes


def needed(case: Case, folder: Path) -> Needed:
    """What a case must fetch, from the files' own tables of blocks, as GDAL reads them.

    Every block with a pixel that is nearest to one of the grid, once a file, and once the bytes
    before a file's first block. The resolution is the coarsest that is not coarser than the grid.
    """
    files: dict[tuple[int, Path], tuple[int, dict[int, int]]] = {}
    for unit in case.units:
        for scene in unit.scenes:
            for band in BANDS:
                path = scene.path(folder, band)
                header, blocks = _blocks(path, scene.crs, unit.grid)
                files.setdefault((unit.day, path), (header, {}))[1].update(blocks)
    return Needed(
        files=len(files),
        blocks=sum(len(blocks) for _, blocks in files.values()),
        block_bytes=sum(sum(blocks.values()) for _, blocks in files.values()),
        header_bytes=sum(header for header, _ in files.values()),
    )


@cache
def _blocks(path: Path, crs: str, grid: Grid) -> tuple[int, dict[int, int]]:
    """Bytes of the header; offset and length of every block that the grid needs."""
    with rasterio.open(path) as file:
        ratio = grid.resolution / file.transform.a
        levels = [factor for factor in file.overviews(1) if factor <= ratio]
    found = {}
    with _opened(path, len(levels) - 1 if levels else None) as file:
        block = file.block_shapes[0]
        for row, column in _touched(file.transform, file.shape, block, crs, grid):
            offset, length = _entry(file, row, column)
            found[offset] = length
    return _header_bytes(path), found


@cache
def _header_bytes(path: Path) -> int:
    """What stands before the first block of any resolution."""
    with rasterio.open(path) as file:
        levels = (None, *range(len(file.overviews(1))))
    return min(_first_offset(path, level) for level in levels)


def _opened(path: Path, level: int | None) -> rasterio.DatasetReader:
    return rasterio.open(path) if level is None else rasterio.open(path, overview_level=level)


def _first_offset(path: Path, level: int | None) -> int:
    with _opened(path, level) as file:
        rows = -(-file.height // file.block_shapes[0][0])
        columns = -(-file.width // file.block_shapes[0][1])
        return min(_entry(file, row, column)[0] for row in range(rows) for column in range(columns))


def _entry(file: rasterio.DatasetReader, row: int, column: int) -> tuple[int, int]:
    offset = file.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1)
    length = file.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=1)
    # A block without any valid pixel may be left out of a file.
    return (int(offset), int(length)) if offset else (1 << 62, 0)


def _touched(
    transform: rasterio.Affine,
    shape: tuple[int, int],
    block: tuple[int, int],
    crs: str,
    grid: Grid,
) -> Iterator[tuple[int, int]]:
    x = grid.left + (np.arange(grid.width) + 0.5) * grid.resolution
    y = grid.top - (np.arange(grid.height) + 0.5) * grid.resolution
    xs, ys = np.meshgrid(x, y)
    if crs != grid.crs:
        xs, ys = Transformer.from_crs(grid.crs, crs, always_xy=True).transform(xs, ys)
    columns, rows = _indices(~transform, xs, ys)
    inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
    pairs = np.stack([rows[inside] // block[0], columns[inside] // block[1]])
    for row, column in np.unique(pairs, axis=1).T:
        yield int(row), int(column)


def _indices(
    to_pixels: rasterio.Affine, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    columns, rows = to_pixels @ (xs, ys)
    return np.floor(columns).astype(np.intp), np.floor(rows).astype(np.intp)
