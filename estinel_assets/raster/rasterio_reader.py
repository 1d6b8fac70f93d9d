"""Reading files onto grids with rasterio.

Three settings of GDAL matter here beyond speed. `CPL_VSIL_CURL_NON_CACHED` makes it forget a
remote file when it is closed: it would remember failures too, and answer a second try from that
memory. `GDAL_NUM_THREADS=1` keeps decoding in the calling thread: errors of its JPEG 2000 worker
threads never reach the caller, and a truncated file would read as noise without any error.
`GDAL_HTTP_MAX_RETRY=0` leaves retries to `tries`, which can wait, count and stop in time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np
import rasterio
from affine import Affine
from botocore.exceptions import BotoCoreError
from rasterio._err import CPLE_BaseError  # no public module names it
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import CRSError, RasterioError, RasterioIOError
from rasterio.session import AWSSession
from rasterio.warp import reproject
from rasterio.windows import Window

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.byte_budget import ByteBudget
from estinel_assets.raster.failures import (
    accept_missing_georeference,
    fault_of_exception,
    fault_of_source,
    redact_logs,
    source_error,
    unreadable,
    unrelated,
)
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.placement import (
    PixelWindow,
    UnrelatedCrsError,
    affine_of_bounds,
    footprint_window,
    is_upright,
    nearest_indices,
    overview_level,
    source_pixels_per_grid_pixel,
    window_of,
)
from estinel_assets.raster.reader import Pixels, RasterSource
from estinel_assets.raster.tries import Tries
from estinel_assets.storage.port import ObjectStore

if TYPE_CHECKING:
    import boto3

LARGEST_WINDOW = 1024 * 1024 * 1024
"""Bytes of a window, or of a block, that is read: more is a mistake, or a trap."""

_MOST_BANDS = 4096
"""rasterio lists them all, again and again; a file of a few bytes may claim to have 65,535."""
_LEAST_RATIO = 1.5
"""Source pixels along a grid pixel below which no overview can be meant: they halve at least."""
_NO_OVERVIEW = "Cannot open overview level"
"""How GDAL says so; it has no error number of its own."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """An open file and where it lies."""

    href: str = field(repr=False)
    dataset: rasterio.DatasetReader
    crs: CRS
    transform: Affine
    arrays: ByteBudget = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.dataset.height), int(self.dataset.width)

    @contextmanager
    def pixels(self, window: PixelWindow) -> Iterator[Pixels]:
        """The window's pixels, 0 where the file declares that it has none, once there is memory."""
        item_bytes = int(np.dtype(self.dataset.dtypes[0]).itemsize)
        size = window.width * window.height * item_bytes
        block = math.prod(self.dataset.block_shapes[0]) * item_bytes
        if max(size, block) > LARGEST_WINDOW:
            words = (
                f"one read would need {window.width} by {window.height} pixels of it: give it "
                "overviews, or read a smaller window"
            )
            raise source_error(self.href, SourceFault.CORRUPT, words)
        with self.arrays.holding(size + block):
            yield self._read(window)

    def _read(self, window: PixelWindow) -> Pixels:
        at = Window(window.column, window.row, window.width, window.height)
        pixels: Pixels = self.dataset.read(1, window=at)
        nodata = self.dataset.nodata
        if nodata is not None and nodata != 0:
            pixels[np.isnan(pixels) if np.isnan(nodata) else pixels == nodata] = 0
        flags = self.dataset.mask_flag_enums[0]
        if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
            pixels[self.dataset.read_masks(1, window=at) == 0] = 0
        return pixels


class RasterioReader:
    """`RasterReader` on rasterio and GDAL.

    Sidecar files are not looked for: every one that is absent would cost a request.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 30.0,
        tries: Tries | None = None,
        aws_session: "boto3.Session | None" = None,
        gdal_options: Mapping[str, str] | None = None,
        arrays: ByteBudget | None = None,
    ) -> None:
        """Make a reader; nothing is opened yet.

        Args:
            timeout_s: longest wait for one answer of a server.
            tries: how often a read is tried, and its clock; None = the usual ones.
            aws_session: gives the credentials for `s3://`; None = those boto3 finds by itself.
            gdal_options: further configuration options, such as `AWS_S3_ENDPOINT`.
            arrays: bytes of the windows of all reads under way; None = 256 MiB.
        """
        self._timeout_s = timeout_s
        self._tries = tries or Tries()
        self._aws_session = aws_session
        self._arrays = arrays or ByteBudget(256 * 1024 * 1024)
        # GDAL takes whole seconds or fractions; it ignores a timeout of 0.
        wait = f"{timeout_s:g}"
        self._options = {
            "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "GDAL_HTTP_CONNECTTIMEOUT": wait,
            "GDAL_HTTP_MAX_RETRY": "0",
            "GDAL_HTTP_TIMEOUT": wait,
            "GDAL_NUM_THREADS": "1",
            **(gdal_options or {}),
        }
        redact_logs()

    def read(self, source: RasterSource, grid: Grid) -> Pixels:
        """See `RasterReader.read`. Reads an overview where the grid is coarse enough for it."""
        path = _openable(source.href)
        return self._tries.run(lambda: self._try(path, source, grid), remote="://" in path)

    def read_grids(self, source: RasterSource, grids: Sequence[Grid]) -> list[Pixels]:
        """See `RasterReader.read_grids`. GDAL has no way to share blocks: one after the other."""
        return [self.read(source, grid) for grid in grids]

    def remembering(self, store: ObjectStore, path: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """See `RasterReader.remembering`. GDAL keeps nothing of a file that is closed."""
        return nullcontext()

    def _try(
        self, path: str, source: RasterSource, grid: Grid
    ) -> Pixels | RetryableError | PermanentError:
        """One try; see `Tries.run` for why it returns its error."""
        began = self._tries.clock()
        try:
            with rasterio.Env(session=self._session(path), **self._options):
                if "AWS_REGION" in self._options:  # goes before the session's
                    rasterio.env.setenv(AWS_REGION=self._options["AWS_REGION"])
                return _read_onto(path, source, grid, self._arrays)
        except (RetryableError, PermanentError) as error:
            return error
        except UnrelatedCrsError as error:
            return unrelated(source.href, error)
        except (RasterioError, CPLE_BaseError) as error:
            fault = fault_of_exception(error)
        except BotoCoreError:  # of credentials: a profile that is not there, a login that is over
            fault = SourceFault.FORBIDDEN
        except UnicodeDecodeError:  # rasterio takes texts within a file for UTF-8
            fault = SourceFault.CORRUPT
        if fault is None and "://" in path and self._tries.clock() - began >= self._timeout_s:
            # Requests end when the time is up, but GDAL then only says that it could not read.
            fault = SourceFault.TIMEOUT
        if fault is None:
            fault = fault_of_source(path, self._timeout_s) or SourceFault.CORRUPT
        return source_error(source.href, fault)

    def _session(self, path: str) -> AWSSession | None:
        if self._aws_session is None or not path.startswith("s3://"):
            return None
        return AWSSession(self._aws_session)


def _openable(href: str) -> str:
    """What rasterio shall open: the address, or a plain path for local files."""
    try:
        href.encode()
        parts = urlsplit(href) if "://" in href else None
        possible = parts is None or parts.port != 0  # which checks it, too
    except ValueError:
        possible = False
    if not possible:
        raise source_error(href, SourceFault.NOT_FOUND)
    if parts is not None and parts.scheme in {"http", "https", "s3"}:
        return href
    if parts is not None and parts.scheme != "file":
        raise unreadable(href, parts.scheme)
    path = href if parts is None else unquote(parts.path)
    if "\0" in path:
        raise source_error(href, SourceFault.NOT_FOUND)
    return path


def _read_onto(path: str, source: RasterSource, grid: Grid, arrays: ByteBudget) -> Pixels:
    with _open(path, source, arrays) as full:
        ratio = source_pixels_per_grid_pixel(full.transform, full.crs.to_wkt(), grid)
        width = full.shape[1]
        factors = _least_factors(path, width) if ratio > _LEAST_RATIO else []
        level = overview_level(factors, ratio)
        if level is None:
            return _place(full, grid)
    # Its width tells how coarse it is; nearly always the first one is right.
    for finer in range(level, -1, -1):
        with _open(path, source, arrays, overview_level=finer) as overview:
            if overview_level([width / overview.shape[1]], ratio) is not None:
                return _place(overview, grid)
    with _open(path, source, arrays) as full:
        return _place(full, grid)


def _least_factors(path: str, width: int) -> list[float]:
    """The least decimation that each overview may have, ascending; empty if the file has none.

    The first overview is opened to learn of them all. Asking the full file would be shorter, but
    rasterio holds the interpreter's lock while that request runs, and GDAL hides its failure. What
    GDAL says of the others is rounded to whole numbers: after 2 and 3 follows 1, or 2.
    """
    try:
        with rasterio.open(path, overview_level=0) as first:
            factor = width / first.width
            return [factor, *(factor * (further - 0.5) for further in first.overviews(1))]
    except RasterioIOError as error:
        if _NO_OVERVIEW not in str(error):
            raise
        return []


@contextmanager
def _open(
    path: str, source: RasterSource, arrays: ByteBudget, *, overview_level: int | None = None
) -> Iterator[_Placed]:
    accept_missing_georeference()
    options = {} if overview_level is None else {"overview_level": overview_level}
    with rasterio.open(path, **options) as dataset:
        if dataset.count > _MOST_BANDS:
            words = f"it has {dataset.count} bands, so it may be damaged: nobody has so many"
            raise source_error(source.href, SourceFault.CORRUPT, words)
        try:
            crs = dataset.crs if source.crs is None else CRS.from_user_input(source.crs)
        except CRSError:
            crs = None
        if not crs:
            said = "none" if source.crs is None else repr(source.crs)
            words = f"its CRS is not known (given: {said}): the file or its catalogue must say it"
            raise source_error(source.href, SourceFault.CORRUPT, words)
        transform = dataset.transform
        if source.bounds is not None:
            transform = affine_of_bounds(source.bounds, (dataset.height, dataset.width))
        if not all(map(math.isfinite, transform)) or transform.is_degenerate:
            words = f"its extent {source.bounds} is empty: the file or its catalogue is wrong"
            raise source_error(source.href, SourceFault.CORRUPT, words)
        yield _Placed(source.href, dataset, crs, transform, arrays)


def _place(placed: _Placed, grid: Grid) -> Pixels:
    if placed.crs == CRS.from_user_input(grid.crs) and is_upright(placed.transform):
        return _slice(placed, grid)
    return _warp(placed, grid)


def _slice(placed: _Placed, grid: Grid) -> Pixels:
    """In a shared CRS the nearest pixel is found for rows and columns on their own."""
    rows, columns = nearest_indices(placed.transform, placed.shape, grid)
    result: Pixels = np.zeros(grid.shape, dtype=placed.dataset.dtypes[0])
    window = window_of(rows, columns)
    if window is None:
        return result
    with placed.pixels(window) as pixels:
        covered = np.ix_(np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0))
        wanted = np.ix_(rows[rows >= 0] - window.row, columns[columns >= 0] - window.column)
        result[covered] = pixels[wanted]
    return result


def _warp(placed: _Placed, grid: Grid) -> Pixels:
    result: Pixels = np.zeros(grid.shape, dtype=placed.dataset.dtypes[0])
    window = footprint_window(placed.transform, placed.shape, placed.crs.to_wkt(), grid)
    if window is None:
        return result
    with placed.pixels(window) as pixels:
        reproject(
            pixels,
            result,
            src_transform=placed.transform @ Affine.translation(window.column, window.row),
            src_crs=placed.crs,
            dst_transform=Affine(*grid.transform),
            dst_crs=CRS.from_user_input(grid.crs),
            resampling=Resampling.nearest,
        )
    return result
