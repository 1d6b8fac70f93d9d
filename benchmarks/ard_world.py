"""A year of scenes around neighbouring tiles, made once: their files, and items that list them.

Sentinel-2 lies in one tile of the military grid, 10,980 by 10,980 pixels of 10 m in blocks of
1,024; of every band those blocks are in the file that the tiles need, and of the classification
the overviews, too. Sentinel-1 is a frame of 16,000 by 16,000 pixels of 10 m with the overview of
40 m in blocks of 512, and the elevation model a whole cell. A few looks of the ground are made; the
days of the year take turns with them, each from addresses of its own.

`CHEAP` has the same catalogue with a few days and pixels of 1 km, so that tiles cost what they cost
without pixels.
"""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import array_bounds
from shapely.geometry import box, mapping

from estinel_assets.ard.dem_cells import DemCell
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_ASSET_KEYS, SCL_BAND
from estinel_assets.ard.tiles import CELL_DEG, Tile, TileYear, tile_grid
from estinel_assets.demo.ard_files import Level, Patch, level_shape, sparse_tiff
from estinel_assets.demo.noise import spectral
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.tiff import Predictor
from estinel_assets.stac.bands import Provider

YEAR = 2023
S2, S1, DEM = "sentinel-2-c1-l2a", "sentinel-1-rtc", "cop-dem-glo-30"
KEYS = S2_ASSET_KEYS[Provider.EARTH_SEARCH]
"""For each band of Sentinel-2 the key of its asset."""
CRS = "EPSG:32633"
S1_BANDS = ("vv", "vh")
S1_NODATA = -32768.0

_MADE_BY = 2
"""Raised whenever what is made changes, so that a folder of former scenes is not used."""
_MIDDLE = (283, 836)
"""Of all tiles: the eighteenth of a degree east and north at which four of them meet."""
_S2_LEFT, _S2_TOP = 499_980.0, 5_200_020.0
"""Of the tile 33TWM of the military grid."""
_S1_LEFT, _S1_TOP = 474_000.0, 5_226_000.0
_COARSE_M = 1000.0
_PART = 1024
"""Texture is made for so many pixels along an edge, and laid side by side."""
_RELIEF, _GRAIN = 260.0, 95.0
"""Standard deviations of what is smooth and of what is not: a block of 1024 by 1024 pixels then
packs into some 1.4 MB, as real ones over land do."""
_OVERVIEWS = (1, 2, 4, 8, 16, 32)
_SCL_LEVELS = (8, 16, 32)
"""That are read at 160 m and at 640 m; one more for luck."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything."""

    name: str
    side: int
    """Tiles along an edge; even."""
    looks: int
    """Different Sentinel-2 scenes; Sentinel-1 has as many."""
    every_days: int
    """Between two dates of Sentinel-2. Of three dates one is too cloudy to be looked at."""
    s1_every_days: int
    coarse: bool = False
    """Pixels of 1 km in place of real ones."""


FULL = Size("full", side=4, looks=4, every_days=5, s1_every_days=12)
QUICK = Size("quick", side=2, looks=1, every_days=60, s1_every_days=30)
CHEAP = Size("cheap", side=16, looks=1, every_days=180, s1_every_days=91, coarse=True)


def tiles(side: int) -> list[Tile]:
    """Neighbours in a square around the middle of all scenes."""
    first_x, first_y = (middle - side // 2 for middle in _MIDDLE)
    return [
        Tile(first_x + column, first_y + row,
             (first_x + column + 0.5) * CELL_DEG, (first_y + row + 0.5) * CELL_DEG)
        for row in range(side)
        for column in range(side)
    ]  # fmt: skip


def tile_years(side: int) -> list[TileYear]:
    """The same in the year of the scenes."""
    return [TileYear(tile, YEAR) for tile in tiles(side)]


def make_world(folder: Path, size: Size) -> Path:
    """Make the files, unless they are there.

    Args:
        folder: where worlds of any size are kept.
        size: of this one.

    Returns:
        The folder of its files.
    """
    inside = folder / size.name
    wanted = {"made_by": _MADE_BY, **asdict(size)}
    mark = inside / "made.json"
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == wanted:
        return inside
    mark.unlink(missing_ok=True)
    jobs: list[tuple[Path, Size, str, int]] = []
    for look in range(size.looks):
        jobs += [(inside / f"s2-{look}" / f"{band}.tif", size, band, look) for band in KEYS]
        jobs += [(inside / f"s1-{look}" / f"{band}.tif", size, band, look) for band in S1_BANDS]
    jobs += [(inside / cell.name / "data.tif", size, "dem", 0) for cell in _cells(size)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_make, *zip(*jobs, strict=True)))
    mark.write_text(json.dumps(wanted), encoding="utf-8")
    return inside


def _make(path: Path, size: Size, band: str, look: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = [look, *band.encode()]
    if band == "dem":
        _write_cell(path, size)
    elif band in S1_BANDS:
        path.write_bytes(_s1_file(size, np.random.default_rng(seed)))
    elif band == SCL_BAND:
        path.write_bytes(_scl_file(size, np.random.default_rng(seed)))
    else:
        path.write_bytes(_band_file(size, band, np.random.default_rng(seed)))


def _s2_grid(size: Size, band: str) -> Grid:
    if size.coarse:
        return Grid(CRS, 354_000.0, 5_346_000.0, _COARSE_M, 400, 400)
    step = 10 if band in S2_10_BANDS else 20
    return Grid(CRS, _S2_LEFT, _S2_TOP, float(step), 109_800 // step, 109_800 // step)


def _s1_grid(size: Size) -> Grid:
    if size.coarse:
        return Grid(CRS, 354_000.0, 5_346_000.0, _COARSE_M, 400, 400)
    return Grid(CRS, _S1_LEFT, _S1_TOP, 10.0, 16_000, 16_000)


def _needed(size: Size, grid: Grid, factor: int, block: int) -> tuple[slice, slice]:
    """Rows and columns of an overview, in whole blocks, that the tiles need."""
    height, width = level_shape(grid, factor)
    if size.coarse:
        return slice(0, height), slice(0, width)
    step = grid.resolution * factor
    bounds = np.array([tile_grid(tile).bounds for tile in tiles(size.side)])
    edges = (
        (grid.top - bounds[:, 3].max()) / step,
        (grid.top - bounds[:, 1].min()) / step,
        (bounds[:, 0].min() - grid.left) / step,
        (bounds[:, 2].max() - grid.left) / step,
    )
    first_row, last_row, first_column, last_column = (int(edge // block) for edge in edges)
    return (
        slice(first_row * block, min((last_row + 1) * block, height)),
        slice(first_column * block, min((last_column + 1) * block, width)),
    )


def _patch(part: tuple[slice, slice], pixels: NDArray[Any]) -> Patch:
    return Patch(part[0].start, part[1].start, pixels)


def _laid(texture: NDArray[Any], part: tuple[slice, slice]) -> NDArray[Any]:
    """Texture side by side over a part of an image."""
    rows, columns = (np.arange(one.start, one.stop) % _PART for one in part)
    laid: NDArray[Any] = texture[np.ix_(rows, columns)]
    return laid


def _band_file(size: Size, band: str, rng: np.random.Generator) -> bytes:
    grid = _s2_grid(size, band)
    relief = spectral((_PART, _PART), rng, exponent=1.4, longest=_PART / 2)
    ground = 2000 + _RELIEF * relief + _GRAIN * rng.standard_normal((_PART, _PART), np.float32)
    texture = np.clip(ground, 1100, 9000).astype(np.uint16)
    part = _needed(size, grid, 1, 1024)
    pixels = _laid(texture, part)
    # So that no two parts are equal.
    pixels += (np.arange(part[0].start, part[0].stop, dtype=np.uint16) // 32)[:, np.newaxis]
    levels = [Level(1, (_patch(part, pixels),))]
    if not size.coarse:
        levels += [Level(factor, ()) for factor in _OVERVIEWS[1:5]]
    return sparse_tiff(
        grid, levels, "uint16", nodata=0, block_px=1024, predictor=Predictor.HORIZONTAL
    )


def _scl_file(size: Size, rng: np.random.Generator) -> bytes:
    grid = _s2_grid(size, SCL_BAND)
    relief = spectral((_PART, _PART), rng, exponent=1.0, longest=64)
    bounds = np.quantile(relief, (0.02, 0.03, 0.06, 0.55, 0.8))
    classes = np.array([3, 10, 9, 4, 5, 6], dtype=np.uint8)[np.searchsorted(bounds, relief)]
    if size.coarse:
        classes[:] = 4  # a cloud of 1 km would be one of several tiles
    whole = _laid(classes, (slice(0, grid.height), slice(0, grid.width)))
    levels = []
    for factor in (1,) if size.coarse else _OVERVIEWS:
        height, width = level_shape(grid, factor)
        full = size.coarse or factor in _SCL_LEVELS
        pixels = np.ascontiguousarray(whole[::factor, ::factor][:height, :width])
        levels.append(Level(factor, (Patch(0, 0, pixels),) if full else ()))
    return sparse_tiff(grid, levels, "uint8", nodata=0, block_px=1024)


def _s1_file(size: Size, rng: np.random.Generator) -> bytes:
    grid = _s1_grid(size)
    relief = spectral((_PART, _PART), rng, exponent=1.4, longest=_PART / 2)
    speckle = rng.gamma(4.0, 0.25, (_PART, _PART))
    texture = (0.1 * np.exp(0.4 * relief) * speckle).astype(np.float32)
    factors = (1,) if size.coarse else (1, 2, 4, 8)
    levels = []
    for factor in factors:
        part = _needed(size, grid, factor, 512)
        full = size.coarse or factor == 4
        levels.append(Level(factor, (_patch(part, _laid(texture, part)),) if full else ()))
    return sparse_tiff(grid, levels, "float32", nodata=S1_NODATA, block_px=512)


def _cells(size: Size) -> list[DemCell]:
    if size.coarse:
        return [DemCell(south, west) for south in (45, 46) for west in (15, 16)]
    return [DemCell(46, 15)]


def _cell_transform(cell: DemCell, size: Size) -> tuple[Affine, int]:
    rows = 360 if size.coarse else 3600
    shift = 0.5 / 3600
    return Affine(1 / rows, 0, cell.west - shift, 0, -1 / rows, cell.south + 1 + shift), rows


def _write_cell(path: Path, size: Size) -> None:
    cell = next(cell for cell in _cells(size) if cell.name == path.parent.name)
    transform, rows = _cell_transform(cell, size)
    down, across = np.mgrid[:rows, :rows] * (3600 / rows)
    heights = 900 + 300 * np.sin(down / 50) * np.cos(across / 70)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=rows, width=rows, dtype="float32",
        crs="EPSG:4326", transform=transform, tiled=True, blockxsize=512, blockysize=512,
        compress="deflate", predictor=3,
    ) as file:  # fmt: skip
        file.write(heights.astype(np.float32), 1)


def items(size: Size, address: str) -> list[dict[str, Any]]:
    """The year's items, with files below an address.

    Args:
        size: of the world.
        address: what nobody has read from before.
    """
    return [*_s2_items(size, address), *_s1_items(size, address), *_dem_items(size, address)]


def collections() -> list[dict[str, Any]]:
    """The three collections."""
    extent = {
        "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
        "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
    }
    return [
        {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": name,
         "license": "CC-BY-4.0", "extent": extent, "links": []}
        for name in (S2, S1, DEM)
    ]  # fmt: skip


def _dates(every: int) -> Iterator[date]:
    day = date(YEAR, 1, 20)
    while day.year == YEAR:
        yield day
        day += timedelta(days=every)


def _s2_items(size: Size, address: str) -> Iterator[dict[str, Any]]:
    for number, day in enumerate(_dates(size.every_days)):
        name = f"S2A_33TWM_{day:%Y%m%d}_0_L2A"
        at = datetime(day.year, day.month, day.day, 10, 0, tzinfo=UTC)
        assets = {
            key: {
                **_file(f"{address}/{day}/s2-{number % size.looks}/{band}.tif",
                        _s2_grid(size, band)),
                "raster:bands": [
                    {"nodata": 0, "data_type": "uint8"} if band == SCL_BAND
                    else {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}
                ],
            }
            for band, key in KEYS.items()
        }  # fmt: skip
        yield _item(S2, name, at, _s2_grid(size, SCL_BAND), assets, {
            "eo:cloud_cover": 80.0 if number % 3 == 2 else 10.0,
            "platform": "sentinel-2a",
            "s2:processing_baseline": "05.10",
            "s2:datatake_id": f"GS2A_{day:%Y%m%d}T100000_N05.10",
            "s2:datastrip_id": f"S2A_DS_S{day:%Y%m%d}T100000_N05.10",
            "grid:code": "MGRS-33TWM",
        })  # fmt: skip


def _s1_items(size: Size, address: str) -> Iterator[dict[str, Any]]:
    for number, day in enumerate(_dates(size.s1_every_days)):
        at = datetime(day.year, day.month, day.day, 5, 0, tzinfo=UTC)
        assets = {
            band: {
                **_file(f"{address}/{day}/s1-{number % size.looks}/{band}.tif", _s1_grid(size)),
                "raster:bands": [{"nodata": S1_NODATA, "data_type": "float32"}],
            }
            for band in S1_BANDS
        }
        yield _item(S1, f"S1A_{day:%Y%m%d}_rtc", at, _s1_grid(size), assets, {
            "sat:orbit_state": "descending", "sat:relative_orbit": 22,
        })  # fmt: skip


def _dem_items(size: Size, address: str) -> Iterator[dict[str, Any]]:
    for cell in _cells(size):
        transform, rows = _cell_transform(cell, size)
        west, south, east, north = array_bounds(rows, rows, transform)
        yield {
            **_feature(DEM, cell.name, (west, south, east, north)),
            "properties": {"datetime": "2021-04-22T00:00:00Z", "proj:epsg": 4326},
            "assets": {
                "data": {
                    "href": f"{address}/dem/{cell.name}/data.tif",
                    "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                    "roles": ["data"],
                    "proj:shape": [rows, rows],
                    "proj:transform": list(transform)[:6],
                    "raster:bands": [{"data_type": "float32"}],
                }
            },
        }


def _file(href: str, grid: Grid) -> dict[str, Any]:
    return {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "proj:code": grid.crs,
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform),
    }


def _item(
    collection: str, name: str, at: datetime, grid: Grid, assets: Mapping[str, Any],
    properties: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    bounds = to_degrees.transform_bounds(*grid.bounds, densify_pts=21)
    return {
        **_feature(collection, name, bounds),
        "properties": {
            "datetime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "proj:epsg": int(grid.crs.split(":")[1]),
            "proj:code": grid.crs,
            **properties,
        },
        "assets": dict(assets),
    }


def _feature(
    collection: str, name: str, bounds: tuple[float, float, float, float]
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": name,
        "collection": collection,
        "geometry": mapping(box(*bounds)),
        "bbox": list(bounds),
        "links": [],
    }
