"""The port through which pixels are read.

A reader places one file onto one grid. How it fetches and decodes is the adapter's affair;
`rasterio_reader` holds the one on rasterio.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from estinel_assets.errors import public_url
from estinel_assets.raster.grids import Grid

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
    """Reads files onto grids. Safe to use from many threads."""

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
