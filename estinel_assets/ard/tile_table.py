"""The table of tiles: which tiles there are, and where each of them lies.

It is Parquet, at a URI: `X, Y` (longitude and latitude of the tile's centre, in degrees) and
`X_tile, Y_tile` (its numbers). Numbers say nothing of places: in the table that is in use, one row
number stands at two latitudes, and columns have gaps. A row group is skipped where its statistics
say that nothing wanted is in it; what is read comes by byte range and in batches.
"""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.cells import CellSearch
from estinel_assets.ard.tiles import Tile
from estinel_assets.errors import BadInputError, NotFoundError, public_url
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.paths import LocalRoot, parse_root
from estinel_assets.storage.port import ObjectStore

COLUMNS: Final = ("X", "Y", "X_tile", "Y_tile")
_ROWS_A_BATCH = 128 * 1024
_MAX_NUMBER = 1 << 31
"""Numbers of tiles are smaller, so that two of them fit into one integer."""

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of the table as arrays of one shape, (n,)."""

    lon: _Floats
    lat: _Floats
    x_tile: _Integers
    y_tile: _Integers

    def tiles(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> list[Tile]:
        columns = (self.x_tile, self.y_tile, self.lon, self.lat)
        return [Tile(*row) for row in zip(*(v[chosen].tolist() for v in columns), strict=True)]


@dataclass(frozen=True, slots=True)
class _Span:
    """The smallest and the largest value of a column in a row group."""

    low: float
    high: float


class TileTable:
    """Looks tiles up. Safe to use from many threads: each lookup reads anew."""

    def __init__(self, store: ObjectStore, path: str) -> None:
        """Read a table in a store; nothing is asked yet.

        Args:
            store: where it is.
            path: of the Parquet file, relative to the store's root.
        """
        self._store = store
        self._path = path

    @property
    def uri(self) -> str:
        """Its full address."""
        return self._store.uri(self._path)

    def by_numbers(self, numbers: Collection[tuple[int, int]]) -> dict[tuple[int, int], Tile]:
        """Look tiles up by their numbers.

        Args:
            numbers: pairs (x_tile, y_tile), in any order.

        Returns:
            The tiles that are known, by their numbers; an unknown one is absent.

        Raises:
            BadInputError: there is no such table, it is not Parquet, lacks a column, or gives one
                tile two places.
            StoreError: the store refuses.
        """
        usable = [pair for pair in numbers if min(pair) >= 0 and max(pair) < _MAX_NUMBER]
        if not usable:
            return {}
        pairs = np.unique(np.array(usable, dtype=np.int64), axis=0)
        x_tile, y_tile = pairs[:, 0], pairs[:, 1]
        codes = np.sort(_codes(x_tile, y_tile))

        def may_hold(spans: dict[str, _Span]) -> bool:
            possible = np.ones(len(pairs), dtype=np.bool_)
            for column, wanted in (("X_tile", x_tile), ("Y_tile", y_tile)):
                if column in spans:
                    possible &= (wanted >= spans[column].low) & (wanted <= spans[column].high)
            return bool(possible.any())

        found: dict[tuple[int, int], Tile] = {}
        for rows in self._rows(may_hold):
            here = _codes(rows.x_tile, rows.y_tile)
            at = np.minimum(np.searchsorted(codes, here), len(codes) - 1)
            for tile in self._checked(rows, codes[at] == here):
                self._add(found, tile)
        return found

    def intersecting(self, geometries: Sequence[BaseGeometry]) -> list[tuple[Tile, ...]]:
        """Find the tiles whose cell shares some area with each geometry.

        A cell that only touches the geometry is not among them, so that the outline of a cell
        gives this cell. Where cells of the table overlap a little, it gives its neighbours too.

        Args:
            geometries: valid polygons and multipolygons, longitude and latitude in degrees
                (WGS 84), -180 to 180.

        Returns:
            For each geometry its tiles, sorted; none where no tile lies there.

        Raises:
            BadInputError: as `by_numbers`.
            StoreError: the store refuses.
        """
        search = CellSearch(geometries)

        def may_hold(spans: dict[str, _Span]) -> bool:
            if "X" not in spans or "Y" not in spans:
                return True
            lon, lat = spans["X"], spans["Y"]
            return search.may_reach(lon.low, lat.low, lon.high, lat.high)

        found: list[dict[tuple[int, int], Tile]] = [{} for _ in geometries]
        for rows in self._rows(may_hold):
            index, chosen = search.pairs(rows.lon, rows.lat)
            for at, tile in zip(index.tolist(), self._checked(rows, chosen), strict=True):
                self._add(found[at], tile)
        return [tuple(sorted(tiles.values())) for tiles in found]

    def _add(self, found: dict[tuple[int, int], Tile], tile: Tile) -> None:
        known = found.setdefault((tile.x_tile, tile.y_tile), tile)
        if known != tile:
            raise BadInputError(
                f"the table of tiles {self._shown} has {tile.tag} twice, at {known.lon}, "
                f"{known.lat} and at {tile.lon}, {tile.lat}: remove one of them"
            )

    def _checked(
        self, rows: _Rows, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]
    ) -> list[Tile]:
        try:
            return rows.tiles(chosen)
        except BadInputError as error:
            raise BadInputError(
                f"the table of tiles {self._shown} cannot be used: {error}"
            ) from error

    def _rows(self, may_hold: Callable[[dict[str, _Span]], bool]) -> Iterator[_Rows]:
        """The rows of the row groups that may hold something, batch by batch."""
        try:
            with _RangeFile(self._store, self._path) as raw:
                file = pq.ParquetFile(pa.PythonFile(raw, mode="r"), pre_buffer=True)
                self._check_columns(file.schema_arrow)
                groups = [
                    group
                    for group in range(file.metadata.num_row_groups)
                    if may_hold(_spans(file.metadata.row_group(group)))
                ]
                if not groups:
                    return
                for batch in file.iter_batches(_ROWS_A_BATCH, row_groups=groups, columns=COLUMNS):
                    yield self._arrays(batch)
        except NotFoundError as error:
            raise BadInputError(
                f"there is no table of tiles at {self._shown}: set the URI of one"
            ) from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise BadInputError(
                f"the table of tiles {self._shown} is not readable Parquet ({error}): "
                "fetch it again"
            ) from error

    def _check_columns(self, schema: pa.Schema) -> None:
        absent = [column for column in COLUMNS if column not in schema.names]
        if absent:
            raise BadInputError(
                f"the table of tiles {self._shown} has no column {', '.join(absent)}, it has "
                f"{', '.join(schema.names)}: name a table with X, Y (the centre, in degrees), "
                "X_tile and Y_tile"
            )
        for column in COLUMNS:
            kind = schema.field(column).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise BadInputError(
                    f"the table of tiles {self._shown}: column {column} is {kind}: "
                    "write it as numbers"
                )

    def _arrays(self, batch: pa.RecordBatch) -> _Rows:
        """Columns as arrays; numbers that are stored as another type are taken if none is lost."""
        for column in COLUMNS:
            if batch.column(column).null_count:
                raise BadInputError(
                    f"the table of tiles {self._shown} has empty cells in {column}: "
                    "give every tile its numbers and its centre"
                )
        lon, lat = (batch.column(name).cast(pa.float64()).to_numpy() for name in COLUMNS[:2])
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            raise BadInputError(
                f"the table of tiles {self._shown} has centres that are no numbers: "
                "give every tile its longitude and latitude"
            )
        x_tile, y_tile = (
            batch.column(name).cast(pa.int64()).to_numpy(zero_copy_only=False)
            for name in COLUMNS[2:]
        )
        return _Rows(lon, lat, x_tile, y_tile)

    @property
    def _shown(self) -> str:
        return public_url(self.uri)


def open_tile_table(uri: str, open_at: Callable[[str], ObjectStore] = open_store) -> TileTable:
    """Open the table of tiles at a URI; a local one must be there.

    Args:
        uri: `s3://bucket/folder/tiles.parquet`, `file:///folder/tiles.parquet` or a plain path.
        open_at: opens the store of a folder's URL, with the settings for S3 that it needs.

    Raises:
        BadInputError: it is no such URI, or there is no such local file.
        StoreError: the store refuses.
    """
    folder, _, name = uri.rpartition("/")
    if "://" not in uri or uri.startswith("file://"):
        return _local_table(uri, open_at)
    if not name or folder.endswith((":/", "://")):
        raise BadInputError(
            f"{public_url(uri)} names no table of tiles: write s3://bucket/folder/tiles.parquet"
        )
    return TileTable(open_at(folder), name)


def _local_table(uri: str, open_at: Callable[[str], ObjectStore]) -> TileTable:
    root = parse_root(uri)
    if not isinstance(root, LocalRoot) or not root.folder.is_file():
        raise BadInputError(
            f"there is no table of tiles at {public_url(uri)}: set the URI of one, "
            "as s3://bucket/folder/tiles.parquet or a path"
        )
    return TileTable(open_at(LocalRoot(root.folder.parent).url), root.folder.name)


class _RangeFile(io.RawIOBase):
    """An object of a store as a file that is read by range."""

    def __init__(self, store: ObjectStore, path: str) -> None:
        super().__init__()
        self._store = store
        self._path = path
        self._size = store.head(path).size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        length = left if size < 0 else min(size, left)
        body = self._store.get_range(self._path, self._at, length) if length else b""
        self._at += len(body)
        return body


def _spans(group: pq.RowGroupMetaData) -> dict[str, _Span]:
    """The spans of those columns that have statistics."""
    spans = {}
    for index in range(group.num_columns):
        column = group.column(index)
        statistics = column.statistics if column.path_in_schema in COLUMNS else None
        if statistics is not None and statistics.has_min_max:
            spans[column.path_in_schema] = _Span(statistics.min, statistics.max)
    return spans


def _codes(x_tile: _Integers, y_tile: _Integers) -> _Integers:
    """Both numbers in one integer."""
    return (y_tile << 31) | x_tile
