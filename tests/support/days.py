"""A solar day of made-up scenes whose pixels are arrays, for tests of what is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from estinel_assets.imagery.composites import DayInput
from estinel_assets.imagery.day_images import DayMaker
from estinel_assets.imagery.layout import DayPaths, day_paths
from estinel_assets.imagery.scene_reading import SceneInput, SceneReader
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.solardays import SolarDay, group_solar_days
from estinel_assets.imagery.windows import site_window
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterSource
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.signing import Unsigned
from estinel_assets.storage.port import ObjectStore
from tests.unit.stac.stac_items import made_item

SITE = Site("Hobart", 147.3257, -42.8826, radiusx=100, radiusy=80, purpose=("tasmania",))
WINDOW = site_window(SITE)
COLLECTION = "sentinel-2-c1-l2a"
DAY = date(2024, 5, 17)
PATHS: DayPaths = day_paths(COLLECTION, DAY, SITE.file_stem)


@dataclass
class ArrayReader:
    """A `RasterReader`: the same array for every file of a band; an error is raised instead."""

    bands: Mapping[str, npt.NDArray[Any] | Exception]
    """By the name of the file without ending: red, green, blue, scl."""
    read_bands: list[str] = field(default_factory=list)

    def read(self, source: RasterSource, grid: Grid) -> npt.NDArray[Any]:
        name = source.href.rsplit("/", 1)[1].removesuffix(".tif")
        self.read_bands.append(name)
        found = self.bands[name]
        if isinstance(found, Exception):
            raise found
        assert found.shape == grid.shape
        return found


def pixels(seed: int = 1, *, scl: int = 4) -> dict[str, npt.NDArray[Any] | Exception]:
    """Bands of a scene that fills the window, but for a corner without data."""
    random = np.random.default_rng(seed)
    shape = WINDOW.grid.shape
    made: dict[str, npt.NDArray[Any] | Exception] = {}
    for name in ("red", "green", "blue"):
        band = random.integers(1100, 9000, shape).astype(np.uint16)
        band[:3, :3] = 0
        made[name] = band
    classes = np.full(shape, scl, np.uint8)
    classes[:3, :3] = 0
    made["scl"] = classes
    return made


def day_input(*items: dict[str, Any]) -> DayInput:
    """A day of items, one scene unless given."""
    given = items or (made_item(),)
    inputs = [SceneInput(item, Provider.EARTH_SEARCH) for item in given]
    (day,) = group_solar_days(
        [one.scene for one in inputs], WINDOW, SITE.lon, Provider.EARTH_SEARCH
    ).values()
    by_id = {one.scene.id: one for one in inputs}
    return DayInput(day, tuple(by_id[scene.id] for scene in day.scenes))


def no_scenes() -> DayInput:
    """A day whose scenes were all withdrawn."""
    return DayInput(SolarDay(DAY, (), {}, "0" * 16), ())


def maker(store: ObjectStore, reader: ArrayReader, **options: Any) -> DayMaker:
    """Makes days of these arrays."""
    return DayMaker(store, SceneReader(reader, Unsigned()), COLLECTION, **options)
