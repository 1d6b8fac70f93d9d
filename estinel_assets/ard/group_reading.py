"""Files of scenes, each read once for all tiles of a group, several at the same time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import Pixels, RasterReader, RasterSource
from estinel_assets.stac.scenes import SceneAsset
from estinel_assets.stac.signing import HrefSigner, read_signed

FILES_AT_ONCE: Final = 16
"""Files of one group that are read at the same time."""


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file that is being read, or was. Its pixels are kept as long as this is."""

    _grids: tuple[Grid, ...]
    _pixels: Future[list[Pixels]]

    def on(self, grid: Grid) -> Pixels:
        """The pixels on one of the grids it was begun with.

        Returns:
            (height, width) in the file's type; 0 where it has nothing.

        Raises:
            PermanentError: there is no such file.
            RetryableError: the source failed in another way.
        """
        return self._pixels.result()[self._grids.index(grid)]


@dataclass(frozen=True, slots=True)
class GroupReading:
    """Reads files onto the grids of a group; open it with `reading_files`."""

    _rasters: RasterReader
    _signer: HrefSigner
    _pool: ThreadPoolExecutor

    def begin(self, asset: SceneAsset, grids: Sequence[Grid]) -> FileRead:
        """Begin to read a file.

        Args:
            asset: the file.
            grids: where its pixels are needed.
        """
        run: Callable[..., list[Pixels]] = copy_context().run
        wanted = tuple(grids)
        return FileRead(wanted, self._pool.submit(run, self._read, asset, wanted))

    def _read(self, asset: SceneAsset, grids: tuple[Grid, ...]) -> list[Pixels]:
        return read_signed(
            self._signer,
            asset.href,
            lambda href: self._rasters.read_grids(
                RasterSource(href, asset.crs, asset.bounds), grids
            ),
        )


@contextmanager
def reading_files(rasters: RasterReader, signer: HrefSigner) -> Iterator[GroupReading]:
    """Read files side by side.

    Leaving drops what was begun and not asked for, and waits for what is under way.
    """
    with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="files") as pool:
        try:
            yield GroupReading(rasters, signer, pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
