"""Everything that is made of one solar day: classification, composite, views, thumbnails, item."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from estinel_assets.imagery.composites import (
    DayInput,
    SceneReader,
    read_classification,
    read_composite,
)
from estinel_assets.imagery.day_item import day_item, day_record, image_tags
from estinel_assets.imagery.layout import DayPaths, day_paths
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.raster.encode import encode_geotiff, encode_png, read_geotiff, thumbnail
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import SCL_COLOURS, SclFractions, scl_fractions
from estinel_assets.raster.views import View, render_views
from estinel_assets.storage.documents import dump_json
from estinel_assets.storage.port import ObjectStore

T = TypeVar("T", np.uint8, np.uint16)


class Product(StrEnum):
    """What can be made of a day, each by itself."""

    SCL = "scene_classification"
    RGB = "rgb_composites"
    VIEWS = "views"


ALL_PRODUCTS = frozenset(Product)


@dataclass(frozen=True, slots=True)
class DayEnd:
    """How the making of a day's images ended, as far as it did not fail."""

    reason: ImageryReason
    outputs: tuple[str, ...] = ()
    """URIs of what stands."""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayMaker:
    """Makes the images of days. Safe to use from many threads."""

    store: ObjectStore
    reader: SceneReader
    collection: str
    max_cloud_fraction: float | None = None
    """A cloudier day is not made; None makes every day."""

    def make(
        self,
        site: Site,
        window: SiteWindow,
        day: DayInput,
        *,
        before_writing: Callable[[], None],
        products: frozenset[Product] = ALL_PRODUCTS,
    ) -> DayEnd:
        """Make a day's images and store them.

        Args:
            site: the site.
            window: its window.
            day: the scenes to use.
            before_writing: called once, before the first object is written.
            products: what to make; what is left out is read from the store.

        Raises:
            PermanentError: a scene cannot be used.
            RetryableError: a source failed.
            StoreError: the store refused.
        """
        if not day.scenes:
            return DayEnd(ImageryReason.WITHDRAWN)
        grid = window.grid
        paths = day_paths(self.collection, day.solar_day.day, site.file_stem)
        if Product.SCL in products:
            scl = read_classification(day.scenes, grid, self.reader)
        else:
            scl = self._stored(paths.scl, np.uint8)[0]
        fractions = scl_fractions(scl)
        if fractions.cloud_fraction is None:
            return DayEnd(ImageryReason.NO_VALID_PIXELS)
        if self.max_cloud_fraction is not None and (
            fractions.cloud_fraction > self.max_cloud_fraction
        ):
            return DayEnd(ImageryReason.TOO_CLOUDY, detail=day_record(site, day, fractions))
        if Product.RGB in products:
            rgb = read_composite(day.scenes, grid, self.reader)
        else:
            rgb = self._stored(paths.rgb, np.uint16)
        if not rgb.any():
            return DayEnd(ImageryReason.NO_VALID_PIXELS)

        before_writing()
        if Product.SCL in products:
            self._write_classification(paths, grid, scl)
        if Product.VIEWS in products:
            self._write_views(paths, rgb)
        if Product.RGB in products:
            self._write_composite(paths, window, rgb, site, day, fractions)
        detail = {**day_record(site, day, fractions), "collection": self.collection}
        return DayEnd(ImageryReason.NONE, self._uris(paths), detail)

    def _stored(self, path: str, dtype: type[T]) -> npt.NDArray[T]:
        return read_geotiff(self.store.get(path).data).array.astype(dtype, copy=False)

    def _write_classification(
        self, paths: DayPaths, grid: Grid, scl: npt.NDArray[np.uint8]
    ) -> None:
        payload = encode_geotiff(
            scl,
            grid,
            nodata=0,
            descriptions=("SCL",),
            colormap={int(value): colour for value, colour in SCL_COLOURS.items()},
        )
        self.store.put(paths.scl, payload, content_type="image/tiff")

    def _write_composite(
        self,
        paths: DayPaths,
        window: SiteWindow,
        rgb: npt.NDArray[np.uint16],
        site: Site,
        day: DayInput,
        fractions: SclFractions,
    ) -> None:
        payload = encode_geotiff(
            rgb,
            window.grid,
            nodata=0,
            descriptions=("red", "green", "blue"),
            tags=image_tags(site, day, fractions),
            photometric="rgb",
        )
        self.store.put(paths.rgb, payload, content_type="image/tiff")
        item = day_item(site, window, day, fractions, paths)
        self.store.put(paths.item, dump_json(item), content_type="application/geo+json")

    def _write_views(self, paths: DayPaths, rgb: npt.NDArray[np.uint16]) -> None:
        for name, view in render_views(rgb).items():
            self._write_png(paths.views[name], view)
            self._write_png(paths.thumbnails[name], thumbnail(view))

    def _write_png(self, path: str, view: View) -> None:
        self.store.put(path, encode_png(view.rgb, view.alpha), content_type="image/png")

    def _uris(self, paths: DayPaths) -> tuple[str, ...]:
        every = (paths.scl, paths.rgb, *paths.views.values(), *paths.thumbnails.values())
        return tuple(self.store.uri(path) for path in (*every, paths.item))
