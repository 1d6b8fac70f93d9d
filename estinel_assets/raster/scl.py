"""The scene classification of Sentinel-2 Level-2A (band SCL).

Classes and colours: ESA, Sentinel-2 Level-2A Algorithm Theoretical Basis Document.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class SclClass(IntEnum):
    """What a pixel shows."""

    NO_DATA = 0
    SATURATED_OR_DEFECTIVE = 1
    DARK_AREA = 2
    """Topographic shadow since baseline 04.00, dark features before."""
    CLOUD_SHADOW = 3
    VEGETATION = 4
    NOT_VEGETATED = 5
    WATER = 6
    UNCLASSIFIED = 7
    """Values above 11, which the definition does not know, count as this one."""
    CLOUD_MEDIUM_PROBABILITY = 8
    CLOUD_HIGH_PROBABILITY = 9
    THIN_CIRRUS = 10
    SNOW_OR_ICE = 11


CLOUDY = frozenset(
    {
        SclClass.SATURATED_OR_DEFECTIVE,
        SclClass.CLOUD_SHADOW,
        SclClass.CLOUD_MEDIUM_PROBABILITY,
        SclClass.CLOUD_HIGH_PROBABILITY,
        SclClass.THIN_CIRRUS,
    }
)
"""Classes in which the ground is not seen properly."""

SCL_COLOURS: dict[SclClass, tuple[int, int, int]] = {
    SclClass.NO_DATA: (0x00, 0x00, 0x00),
    SclClass.SATURATED_OR_DEFECTIVE: (0xFF, 0x00, 0x00),
    SclClass.DARK_AREA: (0x2F, 0x2F, 0x2F),
    SclClass.CLOUD_SHADOW: (0x64, 0x32, 0x00),
    SclClass.VEGETATION: (0x00, 0xA0, 0x00),
    SclClass.NOT_VEGETATED: (0xFF, 0xE6, 0x5A),
    SclClass.WATER: (0x00, 0x00, 0xFF),
    SclClass.UNCLASSIFIED: (0x80, 0x80, 0x80),
    SclClass.CLOUD_MEDIUM_PROBABILITY: (0xC0, 0xC0, 0xC0),
    SclClass.CLOUD_HIGH_PROBABILITY: (0xFF, 0xFF, 0xFF),
    SclClass.THIN_CIRRUS: (0x64, 0xC8, 0xFF),
    SclClass.SNOW_OR_ICE: (0xFF, 0x96, 0xFF),
}
"""(red, green, blue) of each class, as the agency draws them."""


@dataclass(frozen=True, slots=True)
class SclFractions:
    """How much of a window is seen, and how well."""

    valid_fraction: float
    """Share of the window that is not `NO_DATA`, in [0, 1]."""
    cloud_fraction: float | None
    """Share of the valid pixels that are `CLOUDY`; None where nothing is valid."""
    clear_fraction: float | None
    """1 - cloud_fraction; None where nothing is valid."""


def scl_fractions(scl: NDArray[np.uint8]) -> SclFractions:
    """Count the classes of a window.

    Args:
        scl: (height, width), at least one pixel.

    Raises:
        ValueError: there is no pixel.
    """
    if scl.size == 0:
        raise ValueError(f"a classification of shape {scl.shape} has no pixels to count")
    counts = np.bincount(scl.ravel(), minlength=256)
    valid = int(scl.size - counts[SclClass.NO_DATA])
    if valid == 0:
        return SclFractions(valid_fraction=0.0, cloud_fraction=None, clear_fraction=None)
    cloud = int(counts[sorted(CLOUDY)].sum()) / valid
    return SclFractions(
        valid_fraction=valid / scl.size, cloud_fraction=cloud, clear_fraction=1 - cloud
    )
