"""The port through which pixels are read.

A reader places files onto grids. How it fetches and decodes is the adapter's affair: `block_reader`
asks for the ranges of bytes that are needed, `rasterio_reader` leaves all to GDAL.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from estinel_assets.errors import public_url
from estinel_assets.raster.grids import Grid
from estinel_assets.storage.port import ObjectStore

Pixels = NDArray[Any]
"""An array in whatever type the source stores."""


@dataclass(frozen=True, slots=True)
class RasterSource:
    """A file of which the first band is read, and where its catalogue says that it lies."""

    href: str
    """`http(s)://`, `s3://`, `file://` or a path. It may be signed, so it is never shown whole."""
    crs: str | None = None
    """As `EPSG:32755`. None = the file's own."""
    bounds: tuple[float, float, float, float] | None = None
    """(left, bottom, right, top) of the file's outer edges, in units of its CRS. None = the
    file's own. The pixel size is always this extent divided by the file's shape: catalogues
    describe the full-size product even where the file holds a coarser copy."""

    def __repr__(self) -> str:
        return f"RasterSource({public_url(self.href)!r}, crs={self.crs!r}, bounds={self.bounds!r})"


class RasterReader(Protocol):
    """Reads files onto grids. Safe to use from many threads: several files are read at once so."""

    def read(self, source: RasterSource, grid: Grid) -> Pixels:
        """Read the source's first band onto the grid, nearest neighbour.

        Args:
            source: the file; where it gives CRS or bounds, they override the file's own.
            grid: where the result lies, in any CRS.

        Returns:
            (grid.height, grid.width) in the source's type; 0 where the source does not cover,
            which includes pixels that the file itself declares to be without data.

        Raises:
            PermanentError: there is no such file (`SourceFault.NOT_FOUND`).
            RetryableError: anything else that is wrong with the source, with a `SourceFault`.
        """
        ...

    def read_grids(self, source: RasterSource, grids: Sequence[Grid]) -> list[Pixels]:
        """Read the source's first band onto several grids, such as neighbouring sites or tiles.

        What two of them need is fetched and decoded once.

        Args:
            source: as for `read`.
            grids: where the results lie, each in any CRS.

        Returns:
            For each grid, in their order, what `read` returns.

        Raises:
            PermanentError: as `read`.
            RetryableError: as `read`.
        """
        ...

    def remembering(self, store: ObjectStore, path: str) -> AbstractContextManager[None]:
        """Know what was learnt of files in earlier runs, and keep what is learnt within.

        Args:
            store: where it is kept.
            path: of the object that keeps it. It is a cache: it may be missing, and be deleted.
        """
        ...
