"""How others read, tuned as those would who know them well.

All peers stand on GDAL, and get the same settings: no listing of folders, no sidecar files,
neighbouring ranges merged, a first read large enough to hold every directory, and pools of threads
that live on where the peer allows it, so that connections do. The HEAD before the first GET stays:
without it GDAL asks for whole files and breaks off, which costs more.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import odc.stac
import pystac
import rasterio
import stackstac
from affine import Affine
from dask.base import compute
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window, from_bounds
from shapely.geometry import box, mapping

from benchmarks.pixel_cases import Unit, href
from benchmarks.pixel_scenes import BANDS, RGB, SCL, MadeScene, lonlat_bounds
from benchmarks.pixel_usual import UsualOutputs
from benchmarks.pixel_ways import READS_AT_ONCE, Images, Target
from estinel_assets.raster.grids import Grid

GDAL: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "VSI_CACHE": "TRUE",
}
_EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
]
_BEGAN = datetime(2024, 6, 1, 0, 10, tzinfo=UTC)


def stac_items(units: Sequence[Unit], address: str) -> list[pystac.Item]:
    """The scenes of units as items that say everything of their files, each scene once a day."""
    made: dict[tuple[int, str], pystac.Item] = {}
    for unit in units:
        for number, scene in enumerate(unit.scenes):
            if (unit.day, scene.name) not in made:
                at = _BEGAN + timedelta(days=unit.day, seconds=number)
                made[unit.day, scene.name] = _item(unit, scene, address, at)
    return list(made.values())


def _item(unit: Unit, scene: MadeScene, address: str, at: datetime) -> pystac.Item:
    west_south_east_north = lonlat_bounds(scene.bounds, scene.crs)
    item = pystac.Item(
        f"{scene.name}-{unit.day:02}",
        mapping(box(*west_south_east_north)),
        list(west_south_east_north),
        at,
        {"proj:epsg": scene.epsg, "proj:code": scene.crs},
        stac_extensions=_EXTENSIONS,
    )
    for band in BANDS:
        fields = {
            "proj:shape": list(scene.shape(band)),
            "proj:transform": list(scene.transform(band))[:6],
            "raster:bands": [{"nodata": 0, "data_type": "uint8" if band == SCL else "uint16"}],
        }
        item.add_asset(
            band,
            pystac.Asset(href(address, unit, scene, band), media_type=pystac.MediaType.COG,
                         roles=["data"], extra_fields=fields),
        )  # fmt: skip
    return item


def _geobox(grid: Grid) -> GeoBox:
    return GeoBox(grid.shape, Affine(*grid.transform), grid.crs)


def _together(units: Sequence[Unit]) -> list[list[Unit]]:
    """Units of one grid, which one call can load as days of it."""
    found: dict[Grid, list[Unit]] = {}
    for unit in units:
        found.setdefault(unit.grid, []).append(unit)
    return list(found.values())


class OdcStac:
    """odc-stac: all days of a grid in one call; with its pool of threads, or with dask's.

    Its pool begins anew with each call, and so do its connections. Where there are several grids,
    threads that stay make the calls side by side, each without a pool: that is faster.
    """

    def __init__(self, *, dask_threads: bool = False, region: bool = False) -> None:
        """Make ready.

        Args:
            dask_threads: dask reads, all grids at once; else the pool does.
            region: the smallest grid around all is loaded, and cut.
        """
        odc.stac.configure_rio(cloud_defaults=True, **GDAL)
        self._calls = ThreadPoolExecutor(READS_AT_ONCE)
        self._dask = dask_threads
        self._region = region
        self.outputs = UsualOutputs()

    def reading(self, units: Sequence[Unit], address: str) -> Callable[[], list[Images]]:
        """See `Way`."""
        items = stac_items(units, address)
        if self._region:
            return lambda: self._cut(units, items)
        return lambda: self._read(units, items)

    def delivering(self, units: Sequence[Unit], address: str, target: Target) -> Callable[[], None]:
        """See `Way`."""
        items = stac_items(units, address)
        return lambda: self.outputs.deliver(units, self._read(units, items), target)

    def _read(self, units: Sequence[Unit], items: Sequence[pystac.Item]) -> list[Images]:
        groups = _together(units)
        if self._dask:
            lazy = [self._load(group[0].grid, items) for group in groups]
            loaded = compute(*lazy, scheduler="threads", num_workers=READS_AT_ONCE)
        else:
            pool = READS_AT_ONCE if len(groups) == 1 else None
            loaded = self._calls.map(lambda group: self._load(group[0].grid, items, pool), groups)
        found: dict[Unit, Images] = {}
        for group, cube in zip(groups, loaded, strict=True):
            for number, unit in enumerate(group):
                day = cube.isel(time=number)
                found[unit] = Images(np.stack([day[band].values for band in RGB]), day[SCL].values)
        return [found[unit] for unit in units]

    def _cut(self, units: Sequence[Unit], items: Sequence[pystac.Item]) -> list[Images]:
        grids = [unit.grid for unit in units]
        edges = np.array([grid.bounds for grid in grids])
        bounds = (edges[:, 0].min(), edges[:, 1].min(), edges[:, 2].max(), edges[:, 3].max())
        whole = Grid.covering(grids[0].crs, bounds, grids[0].resolution)
        day = self._load(whole, items, READS_AT_ONCE).isel(time=0)
        rgb, scl = np.stack([day[band].values for band in RGB]), day[SCL].values
        found = []
        for grid in grids:
            row = round((whole.top - grid.top) / grid.resolution)
            column = round((grid.left - whole.left) / grid.resolution)
            part = slice(row, row + grid.height), slice(column, column + grid.width)
            found.append(Images(rgb[:, *part], scl[part]))
        return found

    def _load(self, grid: Grid, items: Sequence[pystac.Item], pool: int | None = None) -> Any:
        how: dict[str, Any] = {"pool": pool}
        if self._dask:
            how = {"chunks": {"x": grid.width, "y": grid.height}}
        return odc.stac.load(
            items,
            bands=BANDS,
            geobox=_geobox(grid),
            groupby="solar_day",
            resampling="nearest",
            nodata=0,
            **how,
        )


class StackStac:
    """stackstac on dask's threads: all grids and days at once."""

    def __init__(self) -> None:
        always = {name: GDAL[name] for name in GDAL if name != "VSI_CACHE"}
        self._environment = stackstac.DEFAULT_GDAL_ENV.updated(always=always)

    def reading(self, units: Sequence[Unit], address: str) -> Callable[[], list[Images]]:
        """See `Way`."""
        items = [item.to_dict() for item in stac_items(units, address)]
        return lambda: self._read(units, items)

    def delivering(self, units: Sequence[Unit], address: str, target: Target) -> Callable[[], None]:
        """See `Way`.

        Raises:
            NotImplementedError: it is measured for reading only.
        """
        raise NotImplementedError(f"{len(units)} units to {target.bucket} from {address}")

    def _read(self, units: Sequence[Unit], items: Sequence[dict[str, Any]]) -> list[Images]:
        groups = _together(units)
        lazy = [self._stack(group[0].grid, items) for group in groups]
        loaded = compute(*lazy, scheduler="threads", num_workers=READS_AT_ONCE)
        found: dict[Unit, Images] = {}
        for group, (rgb, scl) in zip(groups, loaded, strict=True):
            for number, unit in enumerate(group):
                several = len(unit.scenes)
                part = slice(number * several, (number + 1) * several)
                found[unit] = Images(_first(rgb.values[part]), _first(scl.values[part])[0])
        return [found[unit] for unit in units]

    def _stack(self, grid: Grid, items: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
        def stack(assets: Sequence[str], dtype: type[np.unsignedinteger[Any]]) -> Any:
            return stackstac.stack(
                items,
                assets=list(assets),
                epsg=int(grid.crs.split(":")[1]),
                resolution=grid.resolution,
                bounds=grid.bounds,
                snap_bounds=False,
                chunksize=max(grid.shape),
                dtype=np.dtype(dtype),
                fill_value=dtype(0),
                rescale=False,
                resampling=Resampling.nearest,
                sortby_date="asc",
                xy_coords=False,
                properties=False,
                band_coords=False,
                gdal_env=self._environment,
            )

        return stack(RGB, np.uint16), stack([SCL], np.uint8)


def _first(layers: NDArray[Any]) -> NDArray[Any]:
    """Of (scenes, bands, height, width) the first that is not 0."""
    result: NDArray[Any] = layers[0]
    for layer in layers[1:]:
        result = np.where(result == 0, layer, result)
    return result


class Rasterio:
    """rasterio: a window of each file, in a pool of threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(READS_AT_ONCE)
        self.outputs = UsualOutputs()

    def reading(self, units: Sequence[Unit], address: str) -> Callable[[], list[Images]]:
        """See `Way`."""
        return lambda: self._read(units, address)

    def delivering(self, units: Sequence[Unit], address: str, target: Target) -> Callable[[], None]:
        """See `Way`."""
        return lambda: self.outputs.deliver(units, self._read(units, address), target)

    def _read(self, units: Sequence[Unit], address: str) -> list[Images]:
        under_way = [
            [
                [
                    self._pool.submit(_window, href(address, unit, scene, band), scene, unit.grid)
                    for band in BANDS
                ]
                for scene in unit.scenes
            ]
            for unit in units
        ]
        found = []
        for unit in under_way:
            layers = [[one.result() for one in scene] for scene in unit]
            rgb = _first(np.stack([np.stack(bands[:3]) for bands in layers]))
            scl = _first(np.stack([bands[3] for bands in layers])[:, np.newaxis])[0]
            found.append(Images(rgb, scl))
        return found


def _window(url: str, scene: MadeScene, grid: Grid) -> NDArray[Any]:
    with rasterio.Env(**GDAL):
        with rasterio.open(url) as file:
            ratio = grid.resolution / file.transform.a
            fitting = [factor for factor in file.overviews(1) if factor <= ratio]
            if not fitting:
                return _placed(file, scene, grid)
        # Named, and not left to GDAL, which takes seconds for a window of an overview.
        with rasterio.open(url, overview_level=len(fitting) - 1) as file:
            return _placed(file, scene, grid)


def _placed(file: rasterio.DatasetReader, scene: MadeScene, grid: Grid) -> NDArray[Any]:
    """A slice where the grid lies inside the file and shares its CRS."""
    if scene.crs != grid.crs:
        return _warped(file, grid)
    window = from_bounds(*grid.bounds, transform=file.transform)
    rows = _nearest(window.row_off, window.height, grid.height)
    columns = _nearest(window.col_off, window.width, grid.width)
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    if top < 0 or left < 0 or bottom > file.height or right > file.width:
        return _warped(file, grid)
    pixels: NDArray[Any] = file.read(1, window=Window(left, top, right - left, bottom - top))
    if pixels.shape == grid.shape:
        return pixels
    return pixels[np.ix_(rows - top, columns - left)]


def _nearest(first: float, length: float, count: int) -> NDArray[np.intp]:
    """Index of the source pixel under the centre of each of `count` pixels."""
    return np.floor(first + (np.arange(count) + 0.5) * length / count + 1e-6).astype(np.intp)


def _warped(file: rasterio.DatasetReader, grid: Grid) -> NDArray[Any]:
    """Read what surely holds all that is needed, and warp it in memory."""
    result = np.zeros(grid.shape, dtype=file.dtypes[0])
    bounds = transform_bounds(grid.crs, file.crs, *grid.bounds, densify_pts=21)
    wanted = from_bounds(*bounds, transform=file.transform)
    top, left = int(wanted.row_off) - 2, int(wanted.col_off) - 2
    bottom = min(int(wanted.row_off + wanted.height) + 3, file.height)
    right = min(int(wanted.col_off + wanted.width) + 3, file.width)
    top, left = max(top, 0), max(left, 0)
    if top >= bottom or left >= right:
        return result
    window = Window(left, top, right - left, bottom - top)
    reproject(
        file.read(1, window=window),
        result,
        src_transform=file.window_transform(window),
        src_crs=file.crs,
        src_nodata=0,
        dst_transform=Affine(*grid.transform),
        dst_crs=grid.crs,
        dst_nodata=0,
        resampling=Resampling.nearest,
    )
    return result
