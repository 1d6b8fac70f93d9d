"""The usual way: odc-stac, tile by tile, what is read composed and written by xarray.

It is given the selection: which scenes each tile is made from, and all coordinates, so that only
reading and writing differ. It composes with our functions, and writes the same groups with the
chunks and the compressor of ours. odc-stac reads with a pool of threads and GDAL's settings for the
cloud, see `pixel_peers`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from zarr.codecs import BloscCodec

from benchmarks.ard_worker import Order
from benchmarks.ard_world import DEM, KEYS, S1_BANDS, S2
from benchmarks.pixel_peers import GDAL
from benchmarks.pixel_ways import READS_AT_ONCE
from estinel_assets.ard.sentinel1_composite import compose_s1, mosaic_day, quarter_median
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS, SCL_BAND
from estinel_assets.ard.sentinel2_composite import cirrus_mask
from estinel_assets.ard.sentinel2_rules import S2Rules, cloud_grid, quality_grid
from estinel_assets.ard.sentinel2_selection import cloudy_pixels
from estinel_assets.ard.slope import bordered, slope_degrees
from estinel_assets.ard.tiles import Tile, TileYear, tile_grid
from estinel_assets.raster.grids import Grid

GROUPS = ("dem", "s1", "s2_10", "s2_20", "clouds")
_OFFSET = 1000
"""Taken from the digital numbers of every scene here."""
_Templates = Mapping[str, xr.Dataset]
"""What ours made of a tile, by group: coordinates and attributes are taken from it."""


def make(order: Order, asked: Sequence[TileYear], begin: Callable[[], None]) -> dict[str, Any]:
    """Make the tiles, one after the other.

    Args:
        order: what is asked for.
        asked: the tile-years.
        begin: called when the measuring begins.
    """
    odc.stac.configure_rio(cloud_defaults=True, **GDAL)
    found = json.loads(Path(order.catalogue).read_text(encoding="utf-8"))
    items = [pystac.Item.from_dict(item) for item in found]
    templates = {one: _templates(Path(order.given) / one.store_path) for one in asked}
    begin()
    for one in asked:
        peer = _Peer(one.tile, items, templates[one])
        target = Path(order.store) / one.store_path
        for source in (peer.dem, peer.s1, peer.s2):
            for group, dataset in source().items():
                _write(dataset, target, group)
    return {"tiles": len(asked)}


def _templates(store: Path) -> dict[str, xr.Dataset]:
    """Without pixels, but with everything else in memory."""
    found = {}
    for group in GROUPS:
        if not (store / group).is_dir():
            continue
        dataset = xr.open_zarr(store, group=group, chunks=None, consolidated=False,
                               decode_coords="all", mask_and_scale=False)  # fmt: skip
        for coordinate in dataset.coords.values():
            coordinate.load()
        found[group] = dataset
    return found


class _Peer:
    """Makes one tile."""

    def __init__(self, tile: Tile, items: Sequence[pystac.Item], templates: _Templates) -> None:
        self._tile = tile
        self._items = {item.id: item for item in items}
        self._of_day = {
            f"{item.datetime:%Y-%m-%d}": item for item in items if item.collection_id == S2
        }
        self._templates = templates

    def dem(self) -> dict[str, xr.Dataset]:
        grid = bordered(tile_grid(self._tile))
        cells = [item for item in self._items.values() if item.collection_id == DEM]
        elevation = _load(cells, ["data"], grid, resampling="bilinear")["data"].values[0]
        slope = slope_degrees(elevation, grid.resolution)
        return {"dem": _filled(self._templates["dem"], {"slope": slope})}

    def s1(self) -> dict[str, xr.Dataset]:
        grid = tile_grid(self._tile, 40.0)
        template = self._templates["s1"]
        chosen = {
            str(name): str(scenes).split()
            for name, scenes in zip(
                template["quarter"].values, template["scene_ids"].values, strict=True
            )
        }
        used = [self._items[one] for scenes in chosen.values() for one in scenes]
        cube = _load(used, S1_BANDS, grid)
        # A scene a day, and all of them in the order of time.
        days = iter(np.stack([cube[band].values for band in S1_BANDS], axis=1))
        quarters = {
            name: quarter_median([mosaic_day([next(days)]) for _ in scenes])
            for name, scenes in chosen.items()
        }
        composite = compose_s1(quarters, grid.shape)
        return {"s1": _filled(template, {"backscatter": composite.backscatter})}

    def s2(self) -> dict[str, xr.Dataset]:
        made = {}
        for group, bands, step in (("s2_10", S2_10_BANDS, 10.0), ("s2_20", S2_20_BANDS, 20.0)):
            template = self._templates[group]
            chosen = [self._items[str(one)] for one in template["scene_ids"].values]
            keys = [KEYS[band] for band in bands]
            cube = _load(chosen, keys, tile_grid(self._tile, step), nodata=0)
            numbers = np.stack([cube[key].values for key in keys], axis=1)
            made[group] = _filled(template, {"reflectance": _reflectance(numbers)})
        return {**made, "clouds": self._clouds()}

    def _clouds(self) -> xr.Dataset:
        rules, key = S2Rules(), KEYS[SCL_BAND]
        template = self._templates["clouds"]
        wide, near = (
            [self._of_day[str(day)[:10]] for day in template[name].values]
            for name in ("date", "time")
        )
        around = _load(wide, [key], cloud_grid(self._tile, rules), nodata=0)[key].values
        scl = _load(near, [key], quality_grid(self._tile, rules), nodata=0)[key].values
        return _filled(template, {
            "cloudy": cloudy_pixels(around).astype(np.uint8),
            "scl": scl,
            "cirrus": cirrus_mask(scl),
        })  # fmt: skip


def _load(items: Sequence[pystac.Item], bands: Sequence[str], grid: Grid, **how: Any) -> xr.Dataset:
    geobox = GeoBox(grid.shape, Affine(*grid.transform), grid.crs)
    loaded: xr.Dataset = odc.stac.load(
        items, bands=bands, geobox=geobox, groupby="solar_day", pool=READS_AT_ONCE,
        **{"resampling": "nearest", **how},
    )  # fmt: skip
    return loaded


def _reflectance(numbers: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(time, band, height, width): digital numbers as reflectance times 10,000."""
    valid = (numbers != 0).all(axis=1, keepdims=True)
    brighter = np.maximum(numbers, _OFFSET + 1) - np.uint16(_OFFSET)
    return np.where(valid, brighter, 0).astype(np.uint16)


def _filled(template: xr.Dataset, values: Mapping[str, NDArray[Any]]) -> xr.Dataset:
    """The template with pixels."""
    variables = {
        name: xr.Variable(template[name].dims, pixels, template[name].attrs)
        for name, pixels in values.items()
    }
    return xr.Dataset(variables, coords=template.coords, attrs=template.attrs)


def _write(dataset: xr.Dataset, store: Path, group: str) -> None:
    plain = dataset.drop_encoding()
    encoding: dict[str, Any] = {}
    for name, variable in plain.data_vars.items():
        encoding[str(name)] = {
            "compressors": (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),),
            "chunks": tuple(
                1 if name == "reflectance" and dimension == "time" else size
                for dimension, size in zip(variable.dims, variable.shape, strict=True)
            ),
        }
    plain.to_zarr(store, group=group, mode="w", zarr_format=3, consolidated=False,
                  encoding=encoding)  # fmt: skip
