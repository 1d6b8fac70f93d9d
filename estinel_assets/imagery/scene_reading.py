"""Bands of scenes on a grid, read side by side, with addresses signed at the moment of reading."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from estinel_assets.errors import PermanentError
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.raster.blankness import promised_pixels, require_promised
from estinel_assets.raster.footprints import Extent
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterReader, RasterSource
from estinel_assets.stac.bands import SCL, Provider
from estinel_assets.stac.offsets import OffsetDecision, boa_offset
from estinel_assets.stac.scenes import Scene, nodata_percent, parse_scene
from estinel_assets.stac.signing import HrefSigner, read_signed
from estinel_assets.stac.source import StacItem

FILES_AT_ONCE: Final = 16
"""Files of one day that are read at the same time."""

Band = npt.NDArray[np.generic]
"""(height, width) of the grid; 0 where the scene has nothing."""


@dataclass(frozen=True)
class SceneInput:
    """A scene with what is needed to use its pixels."""

    item: StacItem
    provider: Provider

    @cached_property
    def scene(self) -> Scene:
        """The scene with its assets."""
        return parse_scene(self.item, self.provider)

    @property
    def offset(self) -> OffsetDecision:
        """What makes its numbers reflectance times 10,000.

        Raises:
            PermanentError: the item does not tell.
        """
        return boa_offset(self.item, self.provider)


@dataclass(frozen=True, slots=True)
class SceneReader:
    """Reads bands of scenes onto grids. Safe to use from many threads."""

    rasters: RasterReader
    signer: HrefSigner

    @contextmanager
    def on(self, grid: Grid) -> Iterator["GridReading"]:
        """Read onto a grid, several files at once.

        Leaving drops what was begun and not asked for, and waits for what is under way.
        """
        with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="files") as pool:
            reading = GridReading(self, grid, pool)
            try:
                yield reading
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                reading.drop()

    def read(self, source: SceneInput, band: str, grid: Grid) -> Band:
        """One band of a scene on a grid.

        Raises:
            PermanentError: the scene lists no such band, or its file does not exist.
            RetryableError: the source failed in another way.
        """
        scene = source.scene
        asset = scene.assets.get(band)
        if asset is None:
            raise PermanentError(
                ImageryReason.MISSING_BAND,
                f"scene {scene.id} lists no file for {band}, only for {sorted(scene.assets)}",
            )
        return read_signed(
            self.signer,
            asset.href,
            lambda href: self.rasters.read(RasterSource(href, asset.crs, asset.bounds), grid),
        )


class GridReading:
    """Bands of scenes on one grid; make it with `SceneReader.on`. For one thread."""

    def __init__(self, reader: SceneReader, grid: Grid, pool: ThreadPoolExecutor) -> None:
        self.grid = grid
        self._reader = reader
        self._pool = pool
        self._begun: dict[tuple[int, str], Future[Band]] = {}
        self._promised: dict[int, npt.NDArray[np.bool_]] = {}

    def drop(self) -> None:
        """Keep no pixels any longer."""
        self._begun.clear()

    def begin(self, scenes: Iterable[SceneInput], bands: Sequence[str]) -> None:
        """Begin to read what will be asked for."""
        for scene in scenes:
            for band in bands:
                key = (id(scene), band)
                if key not in self._begun:
                    run: Callable[..., Band] = copy_context().run
                    self._begun[key] = self._pool.submit(
                        run, self._reader.read, scene, band, self.grid
                    )

    def bands(self, scene: SceneInput, names: Sequence[str]) -> list[Band]:
        """Bands of a scene, in the order of their names.

        Raises:
            PermanentError: as `SceneReader.read`.
            RetryableError: as `SceneReader.read`.
        """
        self.begin((scene,), names)
        return [self._begun[id(scene), name].result() for name in names]

    def promised(self, scene: SceneInput) -> npt.NDArray[np.bool_]:
        """Where the scene's footprint promises pixels: (height, width)."""
        known = self._promised.get(id(scene))
        if known is None:
            known = promised_pixels(
                scene.item.get("geometry"),
                self.grid,
                _extent(scene.scene),
                nodata_percent(scene.item),
            )
            self._promised[id(scene)] = known
        return known

    def require(self, scene: SceneInput, valid: npt.NDArray[np.bool_], band: str) -> None:
        """Refuse a band that has fewer pixels than the footprint promises.

        Args:
            scene: the scene.
            valid: (height, width), where the band has pixels.
            band: its name, for the message.

        Raises:
            RetryableError: `source_blank`.
        """
        require_promised(valid, self.promised(scene), f"{band} of scene {scene.scene.id}")

    def needed(self, scenes: Sequence[SceneInput]) -> list[SceneInput]:
        """The scenes of a mosaic up to the one with which their footprints cover the grid."""
        needed = []
        missing = np.ones(self.grid.shape, dtype=np.bool_)
        for scene in scenes:
            needed.append(scene)
            missing &= ~self.promised(scene)
            if not missing.any():
                break
        return needed


def _extent(scene: Scene) -> Extent | None:
    """Where the scene's files lie, all of them alike; None where the item does not say."""
    for asset in scene.assets.values():
        if asset.crs is not None and asset.bounds is not None:
            return Extent(asset.crs, asset.bounds)
    return None


def classes_of(scene: SceneInput, reading: GridReading) -> npt.NDArray[np.uint8]:
    """The scene's classification.

    Raises:
        PermanentError: as `SceneReader.read`.
        RetryableError: as `SceneReader.read`, or it is blank.
    """
    (band,) = reading.bands(scene, (SCL,))
    classes = band.astype(np.uint8, copy=False)
    reading.require(scene, classes != 0, SCL)
    return classes
