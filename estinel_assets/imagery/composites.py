"""A solar day's scenes as two mosaics on the site's grid: scene classification and RGB."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estinel_assets.errors import PermanentError
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.solardays import SolarDay
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_classes, mosaic_rgb
from estinel_assets.raster.reader import RasterReader, RasterSource
from estinel_assets.stac.bands import RGB, SCL, Provider
from estinel_assets.stac.offsets import OffsetDecision, boa_offset, harmonise
from estinel_assets.stac.scenes import Scene, parse_scene
from estinel_assets.stac.signing import HrefSigner, read_signed
from estinel_assets.stac.source import StacItem


@dataclass(frozen=True, slots=True)
class SceneInput:
    """A scene with what is needed to use its pixels."""

    item: StacItem
    provider: Provider

    @property
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
class DayInput:
    """A solar day with everything that is needed to make its images."""

    solar_day: SolarDay
    scenes: tuple[SceneInput, ...]
    """The day's scenes, in its order."""


@dataclass(frozen=True, slots=True)
class SceneReader:
    """Reads bands of scenes onto a grid, with addresses signed at the moment of reading."""

    rasters: RasterReader
    signer: HrefSigner

    def read(self, source: SceneInput, band: str, grid: Grid) -> npt.NDArray[np.generic]:
        """One band of a scene on a grid; shape (height, width), 0 where it has nothing.

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


def read_classification(
    scenes: Sequence[SceneInput], grid: Grid, reader: SceneReader
) -> npt.NDArray[np.uint8]:
    """The scenes' SCL as one mosaic; the first class other than 0 wins.

    Returns:
        Classes, shape (height, width).
    """
    return mosaic_classes(
        reader.read(scene, SCL, grid).astype(np.uint8, copy=False) for scene in scenes
    )


def read_composite(
    scenes: Sequence[SceneInput], grid: Grid, reader: SceneReader
) -> npt.NDArray[np.uint16]:
    """The scenes' red, green and blue as one mosaic of reflectance times 10,000.

    Each pixel is of one scene, the first whose three bands are all other than 0. A scene is read
    only while pixels are missing.

    Returns:
        Shape (3, height, width), nodata 0.

    Raises:
        PermanentError: as `SceneReader.read`, or the scene's offset is unknown.
        RetryableError: as `SceneReader.read`.
    """
    # Decided for every scene before the first is read: whether a day can be made must not depend
    # on which pixels another scene happens to fill.
    decisions = [scene.offset for scene in scenes]

    def harmonised() -> Iterator[npt.NDArray[np.uint16]]:
        for scene, decision in zip(scenes, decisions, strict=True):
            bands = [reader.read(scene, band, grid) for band in RGB]
            numbers = np.stack(bands).astype(np.uint16, copy=False)
            yield harmonise(numbers, decision)

    return mosaic_rgb(harmonised())
