"""A solar day's scenes as two mosaics on the site's grid: scene classification and RGB."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estinel_assets.imagery.scene_reading import GridReading, SceneInput, classes_of
from estinel_assets.imagery.solardays import SolarDay
from estinel_assets.raster.mosaic import mosaic_classes, mosaic_rgb
from estinel_assets.stac.bands import RGB
from estinel_assets.stac.offsets import OffsetDecision, harmonise


@dataclass(frozen=True, slots=True)
class DayInput:
    """A solar day with everything that is needed to make its images."""

    solar_day: SolarDay
    scenes: tuple[SceneInput, ...]
    """The day's scenes, in its order."""


def read_classification(
    scenes: Sequence[SceneInput], reading: GridReading
) -> npt.NDArray[np.uint8]:
    """The scenes' SCL as one mosaic; the first class other than 0 wins.

    Returns:
        Classes, shape (height, width).

    Raises:
        PermanentError: as `SceneReader.read`.
        RetryableError: as `SceneReader.read`, or a file is blank.
    """
    return mosaic_classes(classes_of(scene, reading) for scene in scenes)


def read_composite(scenes: Sequence[SceneInput], reading: GridReading) -> npt.NDArray[np.uint16]:
    """The scenes' red, green and blue as one mosaic of reflectance times 10,000.

    Each pixel is of one scene, the first whose three bands are all other than 0. A scene is read
    only while pixels are missing.

    Returns:
        Shape (3, height, width), nodata 0.

    Raises:
        PermanentError: as `SceneReader.read`, or the scene's offset is unknown.
        RetryableError: as `SceneReader.read`, or a file is blank.
    """
    # Decided for every scene before the first is read: whether a day can be made must not depend
    # on which pixels another scene happens to fill.
    decisions = [scene.offset for scene in scenes]

    def harmonised() -> Iterator[npt.NDArray[np.uint16]]:
        for scene, decision in zip(scenes, decisions, strict=True):
            numbers = np.stack(reading.bands(scene, RGB)).astype(np.uint16, copy=False)
            _require_pixels(scene, decision, numbers, reading)
            yield harmonise(numbers, decision)

    return mosaic_rgb(harmonised())


def _require_pixels(
    scene: SceneInput,
    decision: OffsetDecision,
    numbers: npt.NDArray[np.uint16],
    reading: GridReading,
) -> None:
    if decision.zero_is_nodata:
        for name, band in zip(RGB, numbers, strict=True):
            reading.require(scene, band != 0, name)
    else:
        # Dark pixels of one band may have become 0; of all three together they hardly do.
        reading.require(scene, (numbers != 0).any(axis=0), "red, green and blue")
