"""How this package reads and delivers, for the comparison."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from benchmarks.pixel_cases import Unit, href
from benchmarks.pixel_scenes import BANDS, SCL, MadeScene
from benchmarks.pixel_ways import (
    DESCRIPTIONS,
    READS_AT_ONCE,
    UPLOADS_AT_ONCE,
    Images,
    Target,
    file_name,
    tags,
)
from estinel_assets.raster.encode import encode_geotiff, encode_png
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_classes, mosaic_rgb
from estinel_assets.raster.reader import Pixels, RasterReader, RasterSource
from estinel_assets.raster.reader_opening import open_reader
from estinel_assets.raster.scl import SCL_COLOURS
from estinel_assets.raster.thumbnails import thumbnail
from estinel_assets.raster.views import render_views
from estinel_assets.settings import Settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore

_DAYS_AT_ONCE = 8
_File = tuple[int, MadeScene, str]
"""Day, scene and band."""


class Ours:
    """Reads scene by scene: what several units need of a file is read together."""

    def __init__(self, *, again: bool) -> None:
        """Args: again: the files were met before, so that their headers are known."""
        settings = Settings()
        self._rasters: RasterReader = open_reader(settings.raster, settings.transport)
        self._reads = ThreadPoolExecutor(READS_AT_ONCE)
        self._days = ThreadPoolExecutor(_DAYS_AT_ONCE)
        self._uploads = ThreadPoolExecutor(UPLOADS_AT_ONCE)
        self._again = again
        self._stores: dict[str, ObjectStore] = {}

    def reading(self, units: Sequence[Unit], address: str) -> Callable[[], list[Images]]:
        """See `Way`."""
        if self._again:
            self._meet(units, address)
        return lambda: self._read(units, address)

    def delivering(self, units: Sequence[Unit], address: str, target: Target) -> Callable[[], None]:
        """See `Way`."""
        if self._again:
            self._meet(units, address)
        store = self._store(target)

        def day(unit: Unit) -> None:
            (images,) = self._read([unit], address)
            self._deliver(unit, images, store, target)

        def deliver() -> None:
            list(self._days.map(day, units))

        return deliver

    def _meet(self, units: Sequence[Unit], address: str) -> None:
        """Read one pixel of every file, far from what is measured."""
        for unit in units:
            for scene in unit.scenes:
                corner = Grid(scene.crs, scene.left, scene.top, 20, 1, 1)
                for band in BANDS:
                    self._rasters.read(_source(address, unit, scene, band), corner)

    def _read(self, units: Sequence[Unit], address: str) -> list[Images]:
        wanted: dict[_File, list[Unit]] = {}
        for unit in units:
            for scene in unit.scenes:
                for band in BANDS:
                    wanted.setdefault((unit.day, scene, band), []).append(unit)
        under_way: list[tuple[list[Unit], str, Future[list[Pixels]]]] = [
            (
                together,
                band,
                self._reads.submit(
                    self._rasters.read_grids,
                    _source(address, together[0], scene, band),
                    [unit.grid for unit in together],
                ),
            )
            for (_, scene, band), together in wanted.items()
        ]
        layers: dict[tuple[Unit, str], list[Pixels]] = {}
        for together, band, future in under_way:
            for unit, pixels in zip(together, future.result(), strict=True):
                layers.setdefault((unit, band), []).append(pixels)
        return [_mosaic([layers[unit, band] for band in BANDS]) for unit in units]

    def _deliver(self, unit: Unit, images: Images, store: ObjectStore, target: Target) -> None:
        sent = [
            self._uploads.submit(store.put, f"{target.prefix}/{name}", body, content_type=kind)
            for name, body, kind in _files(unit, images)
        ]
        for one in sent:
            one.result()

    def _store(self, target: Target) -> ObjectStore:
        if target.bucket not in self._stores:
            self._stores[target.bucket] = open_store(
                f"s3://{target.bucket}", endpoint_url=target.endpoint_url, region=target.region
            )
        return self._stores[target.bucket]


def _source(address: str, unit: Unit, scene: MadeScene, band: str) -> RasterSource:
    return RasterSource(href(address, unit, scene, band), scene.crs, scene.bounds)


def _mosaic(layers: Sequence[Sequence[Pixels]]) -> Images:
    """Of (bands, scenes)."""
    *colours, classes = layers
    if len(classes) == 1:
        return Images(np.stack([band[0] for band in colours]), classes[0])
    scenes = (np.stack(bands) for bands in zip(*colours, strict=True))
    return Images(mosaic_rgb(scenes), mosaic_classes(classes))


def _files(unit: Unit, images: Images) -> list[tuple[str, bytes, str]]:
    """Name, bytes and type of everything that is delivered."""
    scl = encode_geotiff(
        images.scl,
        unit.grid,
        nodata=0,
        descriptions=(SCL.upper(),),
        colormap={int(value): colour for value, colour in SCL_COLOURS.items()},
    )
    rgb = encode_geotiff(
        images.rgb,
        unit.grid,
        nodata=0,
        descriptions=DESCRIPTIONS,
        tags=tags(unit),
        photometric="rgb",
    )
    made = [
        (file_name(unit, "scl.tif"), scl, "image/tiff"),
        (file_name(unit, "rgb.tif"), rgb, "image/tiff"),
    ]
    for name, view in render_views(images.rgb).items():
        small = thumbnail(view)
        made += [
            (file_name(unit, f"{name}.png"), encode_png(view.rgb, view.alpha), "image/png"),
            (file_name(unit, f"{name}_small.png"), encode_png(small.rgb, small.alpha), "image/png"),
        ]
    return made
