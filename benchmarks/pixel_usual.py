"""The usual way to make and upload the outputs: numpy, rasterio and boto3.

The files hold the same pixels and the same metadata as ours, packed at the fastest level. The views
are written as most would who know numpy: quantiles, ranks and searching on the pixels themselves.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import numpy as np
from affine import Affine
from botocore.config import Config
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from benchmarks.pixel_cases import Unit
from benchmarks.pixel_ways import (
    DESCRIPTIONS,
    UPLOADS_AT_ONCE,
    Images,
    Target,
    file_name,
    tags,
)
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import SCL_COLOURS

_SHRINK = 8
_DAYS_AT_ONCE = 4
"""More make it slower."""


class UsualOutputs:
    """Makes and uploads. Days run in threads, and so do uploads, through one client."""

    def __init__(self) -> None:
        self._days = ThreadPoolExecutor(_DAYS_AT_ONCE)
        self._uploads = ThreadPoolExecutor(UPLOADS_AT_ONCE)
        self._client: Any = None

    def deliver(self, units: Sequence[Unit], read: Sequence[Images], target: Target) -> None:
        """Make and upload what is made of every unit."""
        client = self._s3(target)

        def day(unit: Unit, images: Images) -> None:
            sent = [
                self._uploads.submit(
                    client.put_object,
                    Bucket=target.bucket,
                    Key=f"{target.prefix}/{name}",
                    Body=body,
                    ContentType=kind,
                )
                for name, body, kind in _files(unit, images)
            ]
            for one in sent:
                one.result()

        list(self._days.map(day, units, read))

    def _s3(self, target: Target) -> Any:
        if self._client is None:
            self._client = boto3.client(
                "s3",
                endpoint_url=target.endpoint_url,
                region_name=target.region,
                config=Config(
                    max_pool_connections=UPLOADS_AT_ONCE, s3={"addressing_style": "path"}
                ),
            )
        return self._client


def _files(unit: Unit, images: Images) -> Iterator[tuple[str, bytes, str]]:
    yield file_name(unit, "scl.tif"), _scl_tiff(images.scl, unit.grid), "image/tiff"
    yield file_name(unit, "rgb.tif"), _rgb_tiff(images.rgb, unit), "image/tiff"
    alpha = (images.rgb != 0).all(axis=0)
    for name, view in _views(images.rgb, alpha):
        yield file_name(unit, f"{name}.png"), _png(view, alpha), "image/png"
        small = _thumbnail(view, alpha)
        yield file_name(unit, f"{name}_small.png"), _png(*small), "image/png"


def _views(
    rgb: NDArray[np.uint16], alpha: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    valid = rgb[:, alpha]
    pooled = valid.ravel()
    breaks = np.unique(np.quantile(pooled, np.linspace(0, 1, 128)))
    bins = np.maximum(np.searchsorted(breaks, valid, side="left") - 1, 0)
    yield "q128", _placed(_linear(breaks[bins]), alpha)
    _, places, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    share = (np.cumsum(counts) / pooled.size)[places].reshape(valid.shape)
    yield "histeq", _placed(_linear(share), alpha)
    yield "stretch", _placed(_linear(valid.astype(np.float64)), alpha)


def _linear(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    low = levels.min(axis=1, keepdims=True)
    span = levels.max(axis=1, keepdims=True) - low
    return np.asarray((levels - low) * (255 / span), dtype=np.uint8)


def _placed(values: NDArray[np.uint8], alpha: NDArray[np.bool_]) -> NDArray[np.uint8]:
    result = np.zeros((3, *alpha.shape), dtype=np.uint8)
    result[:, alpha] = values
    return result


def _thumbnail(
    view: NDArray[np.uint8], alpha: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    height, width = (edge // _SHRINK for edge in alpha.shape)
    parts = (height, _SHRINK, width, _SHRINK)
    weights = alpha.reshape(parts).sum(axis=(1, 3))
    sums = (view * alpha).reshape(3, *parts).sum(axis=(2, 4))
    means = np.floor(sums / np.maximum(weights, 1) + 0.5)
    return means.astype(np.uint8), weights > 0


def _png(view: NDArray[np.uint8], alpha: NDArray[np.bool_]) -> bytes:
    channels = view if alpha.all() else np.concatenate([view, alpha[np.newaxis] * np.uint8(255)])
    with MemoryFile() as memory:
        with memory.open(
            driver="PNG",
            count=len(channels),
            height=alpha.shape[0],
            width=alpha.shape[1],
            dtype="uint8",
            zlevel=1,
        ) as file:
            file.write(channels)
        return bytes(memory.read())


def _rgb_tiff(rgb: NDArray[np.uint16], unit: Unit) -> bytes:
    with MemoryFile() as memory:
        with memory.open(**_profile(rgb, unit.grid), predictor=2, photometric="rgb") as file:
            file.write(rgb)
            for index, description in enumerate(DESCRIPTIONS, start=1):
                file.set_band_description(index, description)
            file.update_tags(**tags(unit))
        return bytes(memory.read())


def _scl_tiff(scl: NDArray[np.uint8], grid: Grid) -> bytes:
    colours = {int(value): colour for value, colour in SCL_COLOURS.items()}
    with MemoryFile() as memory:
        with memory.open(**_profile(scl[np.newaxis], grid), photometric="palette") as file:
            file.write_colormap(1, colours)
            file.set_band_description(1, "SCL")
            file.write(scl, 1)
        return bytes(memory.read())


def _profile(bands: NDArray[Any], grid: Grid) -> dict[str, Any]:
    block = 256 if max(grid.shape) <= 512 else 512
    return {
        "driver": "GTiff",
        "count": len(bands),
        "height": grid.height,
        "width": grid.width,
        "dtype": bands.dtype.name,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
        "nodata": 0,
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "compress": "deflate",
        "zlevel": 1,
    }
