"""The readers of rasters, for tests that hold for each of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from estinel_assets.raster.block_reader import BlockReader
from estinel_assets.raster.ranges import RangeFiles, S3Access
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterReader
from estinel_assets.raster.reader_opening import gdal_options
from estinel_assets.raster.tries import Tries
from estinel_assets.settings import RasterSettings

if TYPE_CHECKING:
    import boto3

KINDS = ("gdal", "blocks")

WARP_TOLERANCE: Mapping[str, float] = {"gdal": 0.13, "blocks": 0.02}
"""Pixels: how far from its exact position a pixel of a warp may be looked up. GDAL's own
approximation is at most an eighth of a pixel off."""

every_reader = pytest.mark.parametrize("kind", KINDS)
"""Marks a test of what every reader promises."""


class Waits:
    """Counts waits and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def never(seconds: float) -> None:
    """Stands for a wait where there must be none."""
    raise AssertionError(f"this is not worth a wait of {seconds} s")


def reader(
    kind: str,
    *,
    timeout_s: float = 30.0,
    s3_access: S3Access = "signed",
    s3_endpoint_url: str | None = None,
    s3_region: str | None = None,
    aws_session: "boto3.Session | None" = None,
    **tries: Any,
) -> RasterReader:
    """A reader of a kind, with nothing in its caches.

    Args:
        kind: one of `KINDS`.
        timeout_s: longest wait for one answer of a server.
        s3_access: how `s3://` is read.
        s3_endpoint_url: of an S3 server.
        s3_region: of its buckets.
        aws_session: gives the credentials.
        tries: fields of `Tries`.
    """
    chosen = Tries(**tries)
    settings = RasterSettings(
        s3_access=s3_access, s3_endpoint_url=s3_endpoint_url, s3_region=s3_region
    )
    gdal = RasterioReader(
        timeout_s=timeout_s,
        tries=chosen,
        aws_session=None if s3_access == "anonymous" else aws_session,
        gdal_options=gdal_options(settings),
    )
    if kind == "gdal":
        return gdal
    files = RangeFiles(
        timeout_s=timeout_s,
        s3_access=s3_access,
        s3_region=s3_region,
        s3_endpoint_url=s3_endpoint_url,
        aws_session=aws_session,
    )
    return BlockReader(files, gdal, tries=chosen)
