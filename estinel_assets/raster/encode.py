"""Rasters and pictures as bytes, and back. The same input gives the same bytes.

GeoTIFFs are tiled and deflated; PNGs have 8 bits a channel.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from estinel_assets.errors import BadInputError
from estinel_assets.raster.failures import accept_missing_georeference
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.png import pack_png
from estinel_assets.raster.reader import Pixels
from estinel_assets.raster.tiff import Predictor
from estinel_assets.raster.tiff_writer import deflated_blocks, filled

_SMALL_RASTER = 512
"""Pixels along the longer side up to which tiles of 256 pay."""


class StoredRaster(NamedTuple):
    """What a GeoTIFF held."""

    array: Pixels
    """(bands, height, width), also for one band."""
    grid: Grid
    """Where it lies."""
    tags: dict[str, str]
    """Its own metadata, without what the format adds."""


def encode_geotiff(
    array: Pixels,
    grid: Grid,
    *,
    nodata: float | None,
    descriptions: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    photometric: Literal["minisblack", "rgb"] = "minisblack",
    colormap: Mapping[int, tuple[int, int, int]] | None = None,
) -> bytes:
    """Encode a raster as GeoTIFF.

    Args:
        array: (bands, height, width), or (height, width) for one band.
        grid: where it lies; CRS and transform are stored exactly.
        nodata: the value that means no data; None = no such value.
        descriptions: the bands' names, one each, or none.
        tags: metadata to store; written in the order of their keys.
        photometric: `rgb` lets viewers show three bands as colours.
        colormap: (red, green, blue) of values of one uint8 band; others are black.

    Raises:
        ValueError: array and grid, or array and descriptions, do not belong together, or the file
            would have 4 GiB.
    """
    bands = array[np.newaxis] if array.ndim == 2 else array
    if bands.ndim != 3 or bands.shape[1:] != grid.shape:
        raise ValueError(f"an array of shape {array.shape} does not fit a grid of {grid.shape}")
    if descriptions and len(descriptions) != len(bands):
        raise ValueError(f"{len(descriptions)} descriptions for {len(bands)} bands: give one each")
    if colormap is not None and (len(bands) != 1 or bands.dtype != np.uint8):
        raise ValueError(f"a colour map needs one band of uint8, not {array.shape} {bands.dtype}")
    size = 256 if max(grid.shape) <= _SMALL_RASTER else 512
    # Differences between neighbours compress well for measurements, badly for classes.
    measured = (bands.dtype.kind, bands.dtype.itemsize) == ("u", 2)
    predictor = Predictor.HORIZONTAL if measured else Predictor.NONE
    profile = {
        "count": len(bands),
        "dtype": bands.dtype.name,
        "nodata": nodata,
        "blockxsize": size,
        "blockysize": size,
        "predictor": int(predictor),
        "photometric": "palette" if colormap is not None else photometric,
    }
    head = _head(grid, profile, descriptions, dict(sorted((tags or {}).items())), colormap)
    return filled(head, list(deflated_blocks(bands, size, predictor)))


def _head(
    grid: Grid,
    profile: Mapping[str, object],
    descriptions: Sequence[str],
    tags: Mapping[str, str],
    colormap: Mapping[int, tuple[int, int, int]] | None,
) -> bytes:
    """A GeoTIFF without any block, written by GDAL."""
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=grid.width,
            height=grid.height,
            crs=CRS.from_user_input(grid.crs),
            transform=Affine(*grid.transform),
            tiled=True,
            compress="deflate",
            interleave="pixel",
            endianness="little",
            bigtiff="no",
            sparse_ok=True,
            **profile,
        ) as dataset:
            if colormap is not None:
                dataset.write_colormap(1, {**colormap})
            for index, description in enumerate(descriptions, start=1):
                dataset.set_band_description(index, description)
            dataset.update_tags(**tags)
        return bytes(memory.read())


def read_geotiff(content: bytes) -> StoredRaster:
    """Read a GeoTIFF that `encode_geotiff` made.

    Raises:
        BadInputError: the bytes are no GeoTIFF, are damaged, or do not lie on a `Grid`.
    """
    if not content.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        raise BadInputError(f"{len(content)} bytes are not a GeoTIFF: make the raster again")
    accept_missing_georeference()
    failed = False
    try:
        with MemoryFile(content) as memory, memory.open(driver="GTiff") as dataset:
            tags = {k: v for k, v in dataset.tags().items() if k != "AREA_OR_POINT"}
            crs, transform, array = dataset.crs, dataset.transform, dataset.read()
    except RasterioError:
        failed = True
    if failed:
        raise BadInputError("a GeoTIFF is truncated or damaged: make the raster again")
    square = transform.a == -transform.e and transform.b == transform.d == 0 and transform.a > 0
    if not crs or not square:
        raise BadInputError(
            f"a GeoTIFF with CRS {crs} and transform {tuple(transform)[:6]} does not lie on a "
            "north-up grid of square pixels: make the raster again"
        )
    height, width = array.shape[1:]
    grid = Grid(
        crs=crs.to_string(),
        left=transform.c,
        top=transform.f,
        resolution=transform.a,
        width=width,
        height=height,
    )
    return StoredRaster(array, grid, tags)


def encode_png(rgb: NDArray[np.uint8], alpha: NDArray[np.bool_]) -> bytes:
    """Encode a picture as PNG: RGB where every pixel is opaque, else RGBA.

    Args:
        rgb: (3, height, width).
        alpha: (height, width), False where transparent; colours there are not kept.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if rgb.shape != (3, *alpha.shape):
        raise ValueError(f"colours of shape {rgb.shape} do not fit an alpha of {alpha.shape}")
    channels = [*rgb] if alpha.all() else [*(rgb * alpha), alpha * np.uint8(255)]
    return pack_png(np.stack(channels, axis=-1))
