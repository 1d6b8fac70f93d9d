"""Raster files for tests, and rasterio's own nearest neighbour as the measure of readers."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import reproject

from estinel_assets.raster.grids import Grid


def write_geotiff(
    path: Path,
    pixels: np.ndarray,
    *,
    crs: str | None,
    transform: Affine | None,
    nodata: float | None = None,
    overviews: tuple[int, ...] = (),
    block: int = 64,
) -> Path:
    """Write (height, width) as a tiled, deflated GeoTIFF, with averaged overviews."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=pixels.shape[0],
            width=pixels.shape[1],
            count=1,
            dtype=pixels.dtype.name,
            crs=crs,
            transform=transform,
            nodata=nodata,
            tiled=True,
            blockxsize=block,
            blockysize=block,
            compress="deflate",
        ) as dataset:
            dataset.write(pixels, 1)
            if overviews:
                dataset.build_overviews(list(overviews), Resampling.average)
    return path


def reprojected(pixels: np.ndarray, crs: str, transform: Affine, grid: Grid) -> np.ndarray:
    """The whole raster warped onto the grid by rasterio, nearest neighbour, 0 outside."""
    result = np.zeros(grid.shape, pixels.dtype)
    reproject(
        pixels,
        result,
        src_crs=crs,
        src_transform=transform,
        dst_crs=grid.crs,
        dst_transform=Affine(*grid.transform),
        resampling=Resampling.nearest,
    )
    return result
