"""Everything that is made of one solar day: classification, composite, views, thumbnails, item."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from estinel_assets.imagery.composites import DayInput, read_classification, read_composite
from estinel_assets.imagery.day_item import day_item, day_record, image_tags
from estinel_assets.imagery.day_writing import (
    NewObject,
    classification_object,
    composite_object,
    picture_objects,
    write_together,
)
from estinel_assets.imagery.layout import DayPaths, day_paths
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.scene_reading import GridReading, SceneReader
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.raster.encode import read_geotiff
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import scl_fractions
from estinel_assets.stac.bands import RGB, SCL
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
        with self.reader.on(grid) as reading:
            self._begin(reading, day, products)
            if Product.SCL in products:
                scl = read_classification(day.scenes, reading)
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
                rgb = read_composite(day.scenes, reading)
            else:
                rgb = self._stored(paths.rgb, np.uint16)
        if not rgb.any():
            return DayEnd(ImageryReason.NO_VALID_PIXELS)

        before_writing()
        pixels = _DayPixels(scl, rgb, image_tags(site, day, fractions))
        write_together(self.store, pixels.objects(paths, grid, products))
        if Product.RGB in products:
            # Last, so that whoever finds the item finds what it names.
            item = day_item(site, window, day, fractions, paths)
            self.store.put(paths.item, dump_json(item), content_type="application/geo+json")
        detail = {**day_record(site, day, fractions), "collection": self.collection}
        return DayEnd(ImageryReason.NONE, self._uris(paths), detail)

    def _begin(self, reading: GridReading, day: DayInput, products: frozenset[Product]) -> None:
        """Begin with the files that will be asked for.

        Whether a day is too cloudy is known from its SCL alone, and so is whether it has pixels
        where footprints do not promise any.
        """
        needed = reading.needed(day.scenes)
        if Product.SCL in products:
            reading.begin(needed, (SCL,))
        if Product.RGB in products and self.max_cloud_fraction is None:
            promising = [scene for scene in needed if reading.promised(scene).any()]
            reading.begin(promising, RGB)

    def _stored(self, path: str, dtype: type[T]) -> npt.NDArray[T]:
        return read_geotiff(self.store.get(path).data).array.astype(dtype, copy=False)

    def _uris(self, paths: DayPaths) -> tuple[str, ...]:
        every = (paths.scl, paths.rgb, *paths.views.values(), *paths.thumbnails.values())
        return tuple(self.store.uri(path) for path in (*every, paths.item))


@dataclass(frozen=True, slots=True)
class _DayPixels:
    """What a day's images are made of."""

    scl: npt.NDArray[np.uint8]
    rgb: npt.NDArray[np.uint16]
    tags: dict[str, str]
    """The composite's."""

    def objects(
        self, paths: DayPaths, grid: Grid, products: frozenset[Product]
    ) -> Iterator[NewObject]:
        """The images, those first that take longest: they are on their way while views are made."""
        if Product.RGB in products:
            yield composite_object(paths.rgb, grid, self.rgb, self.tags)
        if Product.SCL in products:
            yield classification_object(paths.scl, grid, self.scl)
        if Product.VIEWS in products:
            yield from picture_objects(paths, self.rgb)
