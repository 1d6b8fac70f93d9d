"""Cloud-optimised GeoTIFFs, as bytes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from estinel_assets.raster.grids import Grid

BLOCK_PX = 256


def cog_bytes(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], grid: Grid) -> bytes:
    """Encode one band: tiles of 256, deflate, predictor 2, overviews, nodata 0.

    Real scenes are 10980 x 10980 with tiles of 1024; the form is the same.

    Args:
        pixels: (rows, columns). Classes (uint8) get overviews by nearest neighbour, bands
            (uint16) by average.
        grid: where the pixels lie; its shape must be that of the pixels.
    """
    classes = pixels.dtype == np.uint8
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            width=grid.width,
            height=grid.height,
            count=1,
            dtype=pixels.dtype.name,
            crs=grid.crs,
            transform=Affine(*grid.transform),
            nodata=0,
            blocksize=BLOCK_PX,
            compress="deflate",
            level=6,
            predictor="standard",
            overview_resampling="nearest" if classes else "average",
            num_threads=1,
        ) as raster:
            raster.write(pixels, 1)
        return bytes(memory.getbuffer())


def cut_short(cog: bytes) -> bytes:
    """Lose the end of a file, as a broken upload does.

    Header and overviews stand at the front and stay whole, so that the file opens; the last
    rows of full-resolution tiles are gone.
    """
    return cog[: len(cog) * 11 // 20]


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in place so that a reader sees the former or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)
