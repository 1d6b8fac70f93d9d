"""Where a stored GeoTIFF lies, from its first bytes: pixels are neither fetched nor decoded."""

from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from estinel_assets.errors import BadInputError
from estinel_assets.raster.failures import accept_missing_georeference
from estinel_assets.raster.grids import Grid
from estinel_assets.storage.port import ObjectStore

HEADER_BYTES = 65_536
"""What is read at first. Our GeoTIFFs have their directory in front, within a few kilobytes."""


def stored_grid(store: ObjectStore, path: str) -> Grid:
    """The grid of a stored GeoTIFF.

    Args:
        store: where it is.
        path: its path.

    Raises:
        NotFoundError: there is no such object.
        BadInputError: it is no GeoTIFF, or does not lie on a `Grid`.
        StoreError: the store refuses.
    """
    what = store.uri(path)
    grid = _grid(store.get_range(path, 0, HEADER_BYTES), what)
    if grid is None:
        # Another program may have written it, with its directory at the end.
        grid = _grid(store.get(path).data, what)
    if grid is None:
        raise BadInputError(f"{what} is no readable GeoTIFF: make the raster again")
    return grid


def _grid(content: bytes, what: str) -> Grid | None:
    """The grid that a file's bytes, or its first ones, tell of; None where they tell of none."""
    accept_missing_georeference()
    try:
        with MemoryFile(content) as memory, memory.open(driver="GTiff") as dataset:
            crs, transform, (height, width) = dataset.crs, dataset.transform, dataset.shape
    except RasterioError:
        return None
    square = transform.a == -transform.e and transform.b == transform.d == 0 and transform.a > 0
    if not crs or not square:
        raise BadInputError(
            f"{what} with CRS {crs} and transform {tuple(transform)[:6]} does not lie on a "
            "north-up grid of square pixels: make the raster again"
        )
    return Grid(
        crs=crs.to_string(),
        left=transform.c,
        top=transform.f,
        resolution=transform.a,
        width=width,
        height=height,
    )
