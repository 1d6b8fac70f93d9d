"""What all ways of reading and delivering share, so that they do the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.pixel_cases import Unit
from benchmarks.pixel_scenes import RGB

READS_AT_ONCE = 16
UPLOADS_AT_ONCE = 16
DESCRIPTIONS = RGB


@dataclass(frozen=True, slots=True)
class Images:
    """What is read of a unit."""

    rgb: NDArray[np.uint16]
    """(3, height, width); each pixel of the first scene that has it, else 0."""
    scl: NDArray[np.uint8]
    """(height, width); likewise."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where outputs go: a bucket of a server that speaks as much S3 as an upload needs."""

    endpoint_url: str
    bucket: str
    prefix: str
    region: str = "us-east-1"


class Way(Protocol):
    """Reads and delivers. What is known before the work begins is prepared before it."""

    def reading(self, units: Sequence[Unit], address: str) -> Callable[[], list[Images]]:
        """What is measured: read the units from files below an address nobody used before."""
        ...

    def delivering(self, units: Sequence[Unit], address: str, target: Target) -> Callable[[], None]:
        """What is measured: read, and upload two GeoTIFFs, three views and their thumbnails."""
        ...


def file_name(unit: Unit, name: str) -> str:
    """Of an output, below the target's prefix."""
    return f"{unit.day:02}/{name}"


def tags(unit: Unit) -> dict[str, str]:
    """What a composite says of itself."""
    return {"DAY": f"{unit.day:02}", "SCENES": ",".join(scene.name for scene in unit.scenes)}
