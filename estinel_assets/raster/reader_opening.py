"""Opens the reader that the settings name."""

from functools import lru_cache
from typing import TYPE_CHECKING

from estinel_assets.raster.block_reader import BlockReader
from estinel_assets.raster.byte_budget import ByteBudget
from estinel_assets.raster.ranges import RangeFiles
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.raster.reader import RasterReader
from estinel_assets.raster.tries import Tries
from estinel_assets.settings import RasterSettings, TransportSettings

if TYPE_CHECKING:
    import boto3

_MIB = 1024 * 1024


def open_reader(
    raster: RasterSettings,
    transport: TransportSettings,
    *,
    aws_session: "boto3.Session | None" = None,
) -> RasterReader:
    """Open a reader; nothing is asked yet.

    Args:
        raster: which reader, and how `s3://` is read.
        transport: how often a request is tried, and how long it may take.
        aws_session: gives the credentials for `s3://`; None = those boto3 finds by itself.
    """
    tries = Tries(
        attempts=transport.attempts,
        backoff_s=transport.backoff_s,
        backoff_max_s=transport.backoff_max_s,
        deadline_s=transport.deadline_s,
    )
    arrays = ByteBudget(raster.memory_mib * _MIB // 2)
    gdal = RasterioReader(
        arrays=arrays,
        timeout_s=transport.timeout_s,
        tries=tries,
        aws_session=None if raster.s3_access == "anonymous" else aws_session,
        gdal_options=gdal_options(raster),
    )
    if raster.reader == "gdal":
        return gdal
    files = RangeFiles(
        timeout_s=transport.timeout_s,
        s3_access=raster.s3_access,
        s3_region=raster.s3_region,
        s3_endpoint_url=raster.s3_endpoint_url,
        aws_session=aws_session,
    )
    return BlockReader(
        files,
        gdal,
        tries=tries,
        requests_at_once=raster.requests_at_once,
        arrays=arrays,
        blocks=ByteBudget(raster.memory_mib * _MIB // 2),
    )


@lru_cache(maxsize=4)
def shared_reader(raster: RasterSettings, transport: TransportSettings) -> RasterReader:
    """The reader of these settings, one for the whole process.

    It keeps connections, structures of files and the way from one grid to another, which the next
    site needs again.
    """
    return open_reader(raster, transport)


def gdal_options(raster: RasterSettings) -> dict[str, str]:
    """GDAL's options that say the same about S3."""
    options = {}
    if raster.s3_access == "anonymous":
        options["AWS_NO_SIGN_REQUEST"] = "YES"
    if raster.s3_access == "requester-pays":
        options["AWS_REQUEST_PAYER"] = "requester"
    if raster.s3_region is not None:
        options["AWS_REGION"] = raster.s3_region
    if raster.s3_endpoint_url is not None:
        scheme, _, host = raster.s3_endpoint_url.partition("://")
        options["AWS_S3_ENDPOINT"] = host.rstrip("/")
        options["AWS_HTTPS"] = "NO" if scheme == "http" else "YES"
        options["AWS_VIRTUAL_HOSTING"] = "FALSE"
    return options
