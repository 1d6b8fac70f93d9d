"""The least that opening and tiling a file can cost: the stages of a check that read it, alone.

Every process of a pool imports this module, so that it imports nothing heavy itself.
"""

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estinel_assets.compatibility.source import Bounds, Source

if TYPE_CHECKING:
    from estinel_assets.compatibility.verdicts import Stage


@dataclass(frozen=True, slots=True)
class File:
    """What the stages need to know."""

    source: Source
    bounds: Bounds


def read(file: File) -> str:
    """Open a file, find a variable and make its tiles, as `check` does.

    Returns:
        The reason why it cannot be tiled; `none` where it can.
    """
    from estinel_assets.compatibility.opening import open_source
    from estinel_assets.compatibility.tiling import try_tiles
    from estinel_assets.compatibility.variables import find_variable
    from estinel_assets.compatibility.verdicts import ending_of

    stage: Stage = "open"
    try:
        with open_source(file.source) as opened:
            stage = "variables"
            variable = find_variable(opened).chosen()
            stage = "tile"
            for _ in try_tiles(opened, variable, file.bounds):
                pass
    except Exception as error:  # noqa: BLE001 - the readers raise whatever they like
        return str(ending_of(error, stage).reason)
    return "none"


def read_all(files: Sequence[File], workers: int) -> list[str]:
    """Read files in a pool of plain processes, forked from the server that checks use, too."""
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        return pool.map(read, files, chunksize=1)
