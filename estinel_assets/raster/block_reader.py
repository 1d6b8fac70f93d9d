"""Reading files onto grids by the blocks that are needed, and nothing else.

A file's structure is read once and kept (`header_cache`). From it follow the overview that is
coarse enough and the blocks that the grids touch; their bytes are asked for side by side,
neighbours in one request (`coalesce`), decoded as they come (`tiff_blocks`), and put where they
belong (`targets`). What is not read here goes to another reader: other formats than TIFF, strips,
several bands, masks inside, unusual compressions, rotated or upside-down rasters, a CRS that is not
one of EPSG's.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from estinel_assets.errors import SourceFault, UnitError, public_url
from estinel_assets.logs import get_logger
from estinel_assets.raster.block_plan import BlockPlan, plan_blocks
from estinel_assets.raster.byte_budget import ByteBudget
from estinel_assets.raster.coalesce import Run
from estinel_assets.raster.failures import source_error, unrelated
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.header_cache import Head, HeaderCache, header_key, read_head
from estinel_assets.raster.index_maps import IndexMaps, WindowTooLargeError
from estinel_assets.raster.placement import (
    UnrelatedCrsError,
    affine_of_bounds,
    is_upright,
    overview_level,
    source_pixels_per_grid_pixel,
)
from estinel_assets.raster.ranges import NotByRangesError, RangeError, RangeFile, RangeFiles
from estinel_assets.raster.reader import Pixels, RasterReader, RasterSource
from estinel_assets.raster.targets import MappedTarget, SlicedTarget, Target
from estinel_assets.raster.tiff import (
    MalformedTiffError,
    Tiff,
    TiffImage,
    UnsupportedTiffError,
)
from estinel_assets.raster.tiff_blocks import decode_block
from estinel_assets.raster.tries import Tries
from estinel_assets.storage.port import ObjectStore

HEAD_BYTES: Final = 8192
"""What is read of a file at first: enough for the structure of a scene with its overviews."""
_MOST_PIECES: Final = 64
"""Requests for the structure of one file."""
_MOST_HEAD_BYTES: Final = 128 * 1024 * 1024
_RUNS_BEGUN: Final = 256
"""Runs of a read that wait for their turn at most: a damaged file may have many thousands."""
_LEAST_RATIO: Final = 1.5
"""Source pixels along a grid pixel below which no overview can be meant: they halve at least."""
_FOREIGN_KEPT: Final = 10_000
"""Files of which it is remembered that the other reader reads them."""
_HALF_OF_MEMORY: Final = 256 * 1024 * 1024
"""Bytes."""
_LATER: Final = "try again later, and tell its provider if that does not help"
_TIFF_BEGINS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

log = get_logger(__name__)


class _ChangedError(Exception):
    """The file is no longer the one whose structure is known."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file whose structure is known, and where it lies."""

    file: RangeFile
    head: Head
    tiff: Tiff
    crs: str
    transforms: tuple[Affine, ...]
    """Of each image."""


class BlockReader:
    """A `RasterReader` on range requests. Safe to use from many threads."""

    def __init__(
        self,
        files: RangeFiles,
        other: RasterReader,
        *,
        headers: HeaderCache | None = None,
        tries: Tries | None = None,
        requests_at_once: int = 32,
        arrays: ByteBudget | None = None,
        blocks: ByteBudget | None = None,
    ) -> None:
        """Make a reader; nothing is opened yet.

        Args:
            files: opens files.
            other: reads what is not read here.
            headers: the structures that are known; None = one of its own.
            tries: how often a read is tried, and its clock; None = the usual ones.
            requests_at_once: ranges of all files in flight, beside the first one of each read.
            arrays: of the pixels of all reads under way, until they are handed over; None = 256
                MiB. Who holds bytes of it may wait for those of `blocks`, never the other way.
            blocks: of what is fetched and decoded for them; None = 256 MiB.
        """
        self._files = files
        self._other = other
        self._headers = headers or HeaderCache()
        self._tries = tries or Tries()
        self._arrays = arrays or ByteBudget(_HALF_OF_MEMORY)
        self._blocks = blocks or ByteBudget(_HALF_OF_MEMORY)
        self._maps = IndexMaps()
        self._pool = ThreadPoolExecutor(requests_at_once, thread_name_prefix="ranges")
        self._foreign: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, source: RasterSource, grid: Grid) -> Pixels:
        """See `RasterReader.read`."""
        return self.read_grids(source, (grid,))[0]

    def read_grids(self, source: RasterSource, grids: Sequence[Grid]) -> list[Pixels]:
        """See `RasterReader.read_grids`."""
        key = header_key(source.href)
        if key not in self._foreign:
            remote = "://" in source.href and not source.href.startswith("file:")
            try:
                return self._tries.run(lambda: self._try(key, source, grids), remote=remote)
            except (UnsupportedTiffError, NotByRangesError) as error:
                why = str(error)
            self._note_foreign(key, source, why)
        return self._other.read_grids(source, grids)

    def remembering(self, store: ObjectStore, path: str) -> AbstractContextManager[None]:
        """See `RasterReader.remembering`: the structures of files."""
        return self._headers.kept_in(store, path)

    def _note_foreign(self, key: str, source: RasterSource, why: str) -> None:
        with self._lock:
            if key in self._foreign:
                return
            self._foreign[key] = None
            while len(self._foreign) > _FOREIGN_KEPT:
                self._foreign.popitem(last=False)
        log.info("read through GDAL", source=public_url(source.href), why=why)

    def _try(
        self, key: str, source: RasterSource, grids: Sequence[Grid]
    ) -> list[Pixels] | UnitError:
        """One try; see `Tries.run` for why it returns its error.

        Raises:
            UnsupportedTiffError: it is for the other reader to read.
            NotByRangesError: likewise.
        """
        fault, words = SourceFault.CORRUPT, f"it was replaced while it was read: {_LATER}"
        try:
            return self._read_known(key, source, grids)
        except UnitError as error:
            return error
        except UnrelatedCrsError as error:
            return unrelated(source.href, error)
        except RangeError as error:
            fault, words = error.fault, ""
        except MalformedTiffError as error:
            words = f"{error}, so it may be truncated or damaged: {_LATER}"
            self._headers.forget(key)
        except _ChangedError:
            self._headers.forget(key)
        return source_error(source.href, fault, words)

    def _read_known(self, key: str, source: RasterSource, grids: Sequence[Grid]) -> list[Pixels]:
        file = self._files.open(source.href)
        known = self._headers.get(key)
        if known is not None:
            try:
                return self._read(_placed(source, file, *known), grids)
            except (_ChangedError, MalformedTiffError):
                # Perhaps another file stands there by now, so nothing is known.
                self._headers.forget(key)
        head, tiff = _open(file)
        self._headers.put(key, head, tiff)
        return self._read(_placed(source, file, head, tiff), grids)

    def _read(self, opened: _Opened, grids: Sequence[Grid]) -> list[Pixels]:
        levels = [_level(opened, grid) for grid in grids]
        targets = [
            self._target(opened, level, grid) for level, grid in zip(levels, grids, strict=True)
        ]
        for level in sorted(set(levels)):
            wanted = [one for one, at in zip(targets, levels, strict=True) if at == level]
            self._fill(opened, opened.tiff.images[level], wanted)
        return [target.finished() for target in targets]

    def _target(self, opened: _Opened, level: int, grid: Grid) -> Target:
        image, transform = opened.tiff.images[level], opened.transforms[level]
        dtype = image.dtype.newbyteorder("=")
        if _same_crs(opened.crs, grid.crs):
            return SlicedTarget(transform, image.shape, grid, dtype)
        try:
            index_map = self._maps.between(opened.crs, transform, image.shape, grid)
        except WindowTooLargeError as error:
            raise MalformedTiffError(str(error)) from None
        return MappedTarget(index_map, grid, dtype)

    def _fill(self, opened: _Opened, image: TiffImage, targets: Sequence[Target]) -> None:
        """Fetch and decode the blocks that the targets need, and put them there."""
        windows = [target.window for target in targets if target.window is not None]
        plan = plan_blocks(image, windows, opened.head.size)
        if not plan.runs:
            return

        def do(run: Run) -> None:
            with self._blocks.holding(run.length + plan.decoding_bytes):
                _do_run(opened, image, plan, run, targets)

        with self._arrays.holding(sum(target.size for target in targets)):
            for start in range(0, len(plan.runs), _RUNS_BEGUN):
                self._do_runs(plan.runs[start : start + _RUNS_BEGUN], do)

    def _do_runs(self, runs: Sequence[Run], do: Callable[[Run], None]) -> None:
        """Do runs side by side, the first one here; after a failure those not begun are left."""
        first, *others = runs
        futures = [self._pool.submit(do, run) for run in others]
        try:
            do(first)
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
            wait(futures)
        for future in futures:
            if not future.cancelled():
                future.result()


def _do_run(
    opened: _Opened, image: TiffImage, plan: BlockPlan, run: Run, targets: Sequence[Target]
) -> None:
    """Fetch one run, decode its blocks, and put them where they are needed."""
    answer = opened.file.read(run.offset, run.length)
    if answer.size != opened.head.size or answer.etag != opened.head.etag:
        raise _ChangedError
    if len(answer.content) != run.length:
        raise MalformedTiffError(f"it ends before byte {run.offset + run.length}")
    content = memoryview(answer.content)
    for offset, length in run.parts:
        for need in plan.needs[offset, length]:
            start = offset - run.offset
            part = decode_block(
                image,
                content[start : start + length],
                rows=slice(need.first_row, need.last_row),
                columns=need.last_column,
            )
            if image.nodata is not None and image.nodata != 0:
                part = _without(part, image.nodata)
            for target in targets:
                target.put(need.top + need.first_row, need.left, part)


def _without(part: Pixels, nodata: float) -> Pixels:
    """The pixels, 0 where the file declares that it has none."""
    return np.where(
        np.isnan(part) if np.isnan(nodata) else part == nodata, part.dtype.type(0), part
    )


def _open(file: RangeFile) -> tuple[Head, Tiff]:
    """Read a file's structure.

    Raises:
        UnsupportedTiffError: it is no TIFF, or of a kind that is not read here.
        MalformedTiffError: it is damaged.
        RangeError: it cannot be read.
        NotByRangesError: likewise.
    """
    first = file.read(0, HEAD_BYTES)
    beginning = bytes(first.content)
    if first.size is None or not beginning:
        raise MalformedTiffError("it is empty")
    if not beginning.startswith(_TIFF_BEGINS):
        raise UnsupportedTiffError("it is no TIFF")
    pieces = [(0, beginning)]
    fetched = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal fetched
        for start, piece in reversed(pieces):
            if start <= offset and offset + length <= start + len(piece):
                return piece[offset - start : offset - start + length]
        fetched += max(length, HEAD_BYTES)
        if first.size is not None and offset >= first.size:
            raise MalformedTiffError(f"it ends before byte {offset + length}")
        if len(pieces) >= _MOST_PIECES or fetched > _MOST_HEAD_BYTES:
            raise MalformedTiffError("its structure is scattered over the file")
        answer = file.read(offset, max(length, HEAD_BYTES))
        if answer.size is not None and (answer.size, answer.etag) != (first.size, first.etag):
            raise _ChangedError
        piece = bytes(answer.content)
        pieces.append((offset, piece))
        return piece[:length]

    return read_head(read, first.size, first.etag)


def _placed(source: RasterSource, file: RangeFile, head: Head, tiff: Tiff) -> _Opened:
    """Where the file lies, by its catalogue or by itself."""
    crs = source.crs or tiff.crs
    if crs is None:
        raise UnsupportedTiffError("its CRS is not one of EPSG's")
    if not _is_crs(crs):
        words = f"its CRS is not known (given: {crs!r}): the file or its catalogue must say it"
        raise source_error(source.href, SourceFault.CORRUPT, words)
    if source.bounds is None and tiff.transform is None:
        raise UnsupportedTiffError("it does not say where it lies")
    transforms = []
    full = tiff.images[0]
    for image in tiff.images:
        if source.bounds is not None:
            transforms.append(affine_of_bounds(source.bounds, image.shape))
        elif tiff.transform is not None:
            across, down = full.width / image.width, full.height / image.height
            transforms.append(tiff.transform @ Affine.scale(across, down))
    if not all(map(math.isfinite, transforms[0])) or transforms[0].is_degenerate:
        words = f"its extent {source.bounds} is empty: the file or its catalogue is wrong"
        raise source_error(source.href, SourceFault.CORRUPT, words)
    if not is_upright(transforms[0]) or transforms[0].a < 0 or transforms[0].e > 0:
        raise UnsupportedTiffError("it is not north-up")
    return _Opened(file, head, tiff, crs, tuple(transforms))


def _level(opened: _Opened, grid: Grid) -> int:
    """Index of the image to read: the coarsest that is not coarser than the grid."""
    images = opened.tiff.images
    if len(images) == 1:
        return 0
    ratio = _ratio(opened.transforms[0], opened.crs, grid)
    if not ratio > _LEAST_RATIO:
        return 0
    factors = [images[0].width / image.width for image in images[1:]]
    level = overview_level(factors, ratio)
    return 0 if level is None else level + 1


@lru_cache(maxsize=1024)
def _ratio(transform: Affine, crs: str, grid: Grid) -> float:
    return source_pixels_per_grid_pixel(transform, crs, grid)


@lru_cache(maxsize=256)
def _is_crs(crs: str) -> bool:
    try:
        CRS.from_user_input(crs)
    except CRSError:
        return False
    return True


@lru_cache(maxsize=1024)
def _same_crs(one: str, other: str) -> bool:
    return one == other or bool(CRS.from_user_input(one) == CRS.from_user_input(other))
