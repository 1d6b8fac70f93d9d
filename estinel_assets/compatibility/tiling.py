"""Makes real tiles with TiTiler's own readers.

Two are wanted of WebMercatorQuad, 256 by 256 pixels: 0/0/0, which shows the whole world and says
little about a region, and one at native zoom inside the granule's bounds, which must hold a valid
pixel. Of dimensions beside x and y the first index is taken.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from math import asinh, floor, isfinite, log2, pi, radians, tan
from typing import TYPE_CHECKING, Any

import numpy as np

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import Opened, OpenRaster
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import TileTried
from estinel_assets.compatibility.source import Bounds
from estinel_assets.compatibility.variables import xy_dims

if TYPE_CHECKING:
    import xarray as xr
    from rasterio.crs import CRS
    from rio_tiler.io import Reader, XarrayReader
    from rio_tiler.models import ImageData

Valid = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
"""Which pixels have a value, (row, column)."""
Place = tuple[float, float]
"""Longitude and latitude, degrees."""

MOST_NATIVE_TILES = 4
"""A granule may have no valid pixel in one place and many in another."""
MOST_ZOOM = 22
"""Finer than any sensor; a file that seems to be finer does not say its resolution."""
MOST_BANDS = 3
MERCATOR_LATITUDE_DEG = 85.05112877980659
"""Where tiles of WebMercatorQuad end."""
MERCATOR_BOUNDS: Bounds = (-180.0, -MERCATOR_LATITUDE_DEG, 180.0, MERCATOR_LATITUDE_DEG)
_FRACTIONS = ((0.5, 0.5), (0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25))
"""Of width and height: the centre, then half-way to the corners."""


@dataclass(frozen=True, slots=True)
class TileIndex:
    """A tile of WebMercatorQuad."""

    z: int
    x: int
    y: int


if TYPE_CHECKING:
    _SpatialReader = Reader | XarrayReader

WORLD = TileIndex(0, 0, 0)


def try_tiles(
    opened: Opened, variable: str | None, bounds: Bounds | None
) -> Generator[TileTried, None, None]:
    """Make tiles until both are there.

    Args:
        opened: the file.
        variable: the one to tile; None for a raster.
        bounds: the granule's, as its metadata say; None where they do not.

    Yields:
        Each tile that was asked for, also one that failed, with its valid pixels.

    Raises:
        CheckEndedError: `blank_tile`, or a reason why no tile can be made.
        Exception: whatever the libraries raise; see `verdicts`.
    """
    tiler = _tiler_of(opened, variable)
    try:
        world = yield from tiler.tried(WORLD)
        yield from _try_native(tiler, tiler.area(bounds), world)
    finally:
        tiler.close()


def _try_native(tiler: "_Tiler", area: "_Area", world: Valid) -> Generator[TileTried, None, None]:
    """Tiles at native zoom until one has a valid pixel.

    Where the middle of the granule has none, a coarser tile shows where else to look.
    """
    places = deque(area.places)
    if area.box is not None and world.any():
        places.insert(1, shown_place(WORLD, world, area.box))
    blank: list[TileIndex] = []
    while places and len(blank) < MOST_NATIVE_TILES:
        tile = tiler.tile_at(places.popleft(), area.zoom)
        if tile is None or tile in blank:
            continue
        valid = world if tile == WORLD else (yield from tiler.tried(tile))
        if valid.any():
            return
        blank.append(tile)
        if len(blank) == 1 and area.box is not None and area.overview is not None:
            shown = yield from tiler.tried(area.overview)
            if shown.any():
                places.appendleft(shown_place(area.overview, shown, area.box))
    if not blank:
        raise CheckEndedError(
            CompatibilityReason.TILE_GENERATION_FAILED,
            "the granule's bounds touch no tile of WebMercatorQuad",
            f"its tiles end at {MERCATOR_LATITUDE_DEG:.2f} degrees north and south",
        )
    tiles = "1 tile" if len(blank) == 1 else f"{len(blank)} tiles"
    raise CheckEndedError(
        CompatibilityReason.BLANK_TILE,
        f"no valid pixel in {tiles} inside the granule's bounds: "
        + ", ".join(f"{tile.z}/{tile.x}/{tile.y}" for tile in blank),
        "the granule or the variable may be empty: try another one",
    )


def places_in(bounds: Bounds) -> list[Place]:
    """Places inside bounds (west < east): the centre, then those half-way to the corners."""
    west, south, east, north = bounds
    return [
        (west + across * (east - west), south + up * (north - south)) for across, up in _FRACTIONS
    ]


def shown_place(tile: TileIndex, valid: Valid, box: Bounds) -> Place:
    """Of a tile's valid pixels the one nearest to the middle of a box, brought into the box.

    Args:
        tile: shows the box, or a part of it.
        valid: which of its pixels have a value, (row, column); one at least.
        box: west < east.
    """
    rows, columns = np.nonzero(valid)
    tiles = 2**tile.z
    across = (tile.x + (columns + 0.5) / valid.shape[1]) / tiles
    down = (tile.y + (rows + 0.5) / valid.shape[0]) / tiles
    longitudes = across * 360 - 180
    latitudes = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * down))))
    west, south, east, north = box
    nearest = np.argmin(np.hypot(longitudes - (west + east) / 2, latitudes - (south + north) / 2))
    return (
        float(np.clip(longitudes[nearest], west, east)),
        float(np.clip(latitudes[nearest], south, north)),
    )


def overview_zoom(box: Bounds) -> int:
    """The finest zoom at which a box (west < east) is no larger than a tile."""
    west, south, east, north = box
    width = (east - west) / 360
    height = (_mercator(north) - _mercator(south)) / (2 * pi)
    return max(0, floor(-log2(max(width, height, 2.0**-MOST_ZOOM))))


def _mercator(latitude_deg: float) -> float:
    return asinh(tan(radians(latitude_deg)))


def common_bounds(one: Bounds, other: Bounds) -> Bounds | None:
    """Where two bounds overlap; None where they do not.

    Bounds across the antimeridian (west > east) count as their two parts; of several overlaps the
    widest is returned.
    """
    overlaps = [
        (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
        for a in _parts(one)
        for b in _parts(other)
    ]
    found = [box for box in overlaps if box[0] <= box[2] and box[1] <= box[3]]
    return max(found, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=None)


def _parts(bounds: Bounds) -> list[Bounds]:
    west, south, east, north = bounds
    if west <= east:
        return [bounds]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


@dataclass(frozen=True, slots=True)
class _Tiler:
    """A reader of TiTiler's on a file that is open."""

    reader: "_SpatialReader"
    through: str
    """Name of the package that it comes from."""
    options: dict[str, Any]
    """Given to each request for a tile."""
    _opened: Opened
    _close: Callable[[], None]

    def tried(self, tile: TileIndex) -> Generator[TileTried, None, Valid]:
        """Make one tile and tell of it, also where it fails.

        Returns:
            The pixels that have a value in any band, (row, column).
        """
        try:
            with self._opened.reading():
                image = self.reader.tile(tile.x, tile.y, tile.z, **self.options)
        except Exception:
            yield self._told(tile, None)
            raise
        valid = _valid_pixels(image)
        yield self._told(tile, int(valid.sum()))
        return valid

    def area(self, bounds: Bounds | None) -> "_Area":
        """Where to look, at which zoom."""
        with self._opened.reading():
            own: Bounds = tuple(  # type: ignore[assignment] # four of them
                map(float, self.reader.get_geographic_bounds(_geographic(self.reader)))
            )
            box = common_bounds(own, MERCATOR_BOUNDS)
            if box is not None and bounds is not None:
                box = common_bounds(bounds, box) or box
            zoom = _native_zoom(self.reader)
            grid = list(_places_of_grid(self.reader))
            coarse = 0 if box is None else overview_zoom(box)
            return _Area(
                zoom=zoom,
                box=box,
                places=[*(places_in(box) if box is not None else ()), *grid],
                overview=self.tile_at(places_in(box)[0], coarse)
                if box is not None and 0 < coarse < zoom
                else None,
            )

    def tile_at(self, place: Place, zoom: int) -> TileIndex | None:
        """The tile that has a place in it; None where the file does not reach it."""
        with self._opened.reading():
            found = self.reader.tms.tile(*place, zoom)
            exists = self.reader.tile_exists(found.x, found.y, zoom)
        return TileIndex(zoom, found.x, found.y) if exists else None

    def close(self) -> None:
        """Let go of the file, which stays open."""
        self._close()

    def _told(self, tile: TileIndex, valid_pixels: int | None) -> TileTried:
        return TileTried(
            z=tile.z, x=tile.x, y=tile.y, through=self.through, valid_pixels=valid_pixels
        )


def _tiler_of(opened: Opened, variable: str | None) -> _Tiler:
    """The reader that TiTiler-CMR uses for such a file."""
    with opened.reading():
        if isinstance(opened, OpenRaster):
            from rio_tiler.errors import MissingCRS
            from rio_tiler.io import Reader
            from rio_tiler.utils import non_alpha_indexes

            if opened.dataset.crs is None and not opened.dataset.gcps[0]:
                raise MissingCRS("the file has no CRS")
            raster = Reader(None, dataset=opened.dataset)
            bands = non_alpha_indexes(raster.dataset)[:MOST_BANDS]
            return _Tiler(raster, "rio-tiler", {"indexes": bands}, opened, raster.close)
        from titiler.xarray.io import Reader as ArrayReader

        if variable is None:
            raise ValueError("a file of arrays needs a variable")
        layer = _one_layer(opened.dataset, variable)
        arrays = ArrayReader(opened.source.url, variable=variable, opener=lambda *_, **__: layer)
        return _Tiler(arrays, "titiler.xarray", {}, opened, layer.close)


def _one_layer(dataset: "xr.Dataset", variable: str) -> "xr.Dataset":
    """The variable with x and y alone, without coordinates that a tile does not need."""
    array = dataset[variable]
    pair = xy_dims(tuple(map(str, array.dims))) or ()
    array = array.isel({dim: 0 for dim in array.dims if dim not in pair})
    wide = [name for name, coordinate in array.coords.items() if coordinate.ndim > 1]
    return array.drop_vars(wide).to_dataset(name=variable)


def _valid_pixels(image: "ImageData") -> Valid:
    pixels = image.array
    valid = ~np.ma.getmaskarray(pixels)
    if np.issubdtype(pixels.dtype, np.inexact):
        valid &= np.isfinite(pixels.data)
    return np.asarray(valid.any(axis=0))


@dataclass(frozen=True, slots=True)
class _Area:
    """Where a granule lies."""

    zoom: int
    """Native: a pixel of a tile is about as large as one of the file."""
    box: Bounds | None
    """Of the file and the granule's metadata together; None where tiles do not reach."""
    places: list[Place]
    """Where to look, the likeliest first."""
    overview: TileIndex | None
    """A coarser tile that shows the box, or most of it; None where 0/0/0 does."""


def _native_zoom(reader: "_SpatialReader") -> int:
    """The reader's own finest zoom, or that of the pixel in the middle of the file if finer.

    A reader warps the whole extent to find it, and gets far too coarse a zoom where the extent
    crosses the antimeridian.
    """
    from rasterio.warp import transform

    x, y = _grid_place(reader, 0.5, 0.5)
    width = abs((float(reader.bounds[2]) - float(reader.bounds[0])) / (reader.width or 1))
    xs, ys = transform(reader.crs, reader.tms.rasterio_crs, [x, x + width], [y, y])
    resolution = float(np.hypot(xs[1] - xs[0], ys[1] - ys[0]))
    zoom = int(reader.maxzoom)
    if isfinite(resolution) and resolution > 0:
        zoom = max(zoom, int(reader.tms.zoom_for_res(resolution)))
    return min(zoom, MOST_ZOOM)


def _geographic(reader: "_SpatialReader") -> "CRS":
    return reader.tms.rasterio_geographic_crs


def _grid_place(reader: "_SpatialReader", across: float, up: float) -> tuple[float, float]:
    left, bottom, right, top = map(float, reader.bounds)
    return left + across * (right - left), bottom + up * (top - bottom)


def _places_of_grid(reader: "_SpatialReader") -> Iterator[Place]:
    """Places within the file's own grid, for a CRS whose corners have no longitude."""
    from rasterio.warp import transform

    for across, up in _FRACTIONS:
        x, y = _grid_place(reader, across, up)
        longitudes, latitudes = transform(reader.crs, _geographic(reader), [x], [y])
        place = float(longitudes[0]), float(latitudes[0])
        if all(map(isfinite, place)) and abs(place[1]) <= MERCATOR_LATITUDE_DEG:
            yield place
