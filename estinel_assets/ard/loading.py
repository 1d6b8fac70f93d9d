"""What a tile-year's assets load as: xarray datasets, and the address of the tree cover."""

from typing import TYPE_CHECKING

from estinel_assets.ard.keys import key_of
from estinel_assets.ard.tiles import Source, Tile, TileYear, parse_key
from estinel_assets.errors import BadInputError, NotFoundError
from estinel_assets.storage.port import ObjectStore

if TYPE_CHECKING:
    import xarray as xr


def load_dem(store: ObjectStore, partition: str) -> "xr.Dataset":
    """The slope of a tile-year, in degrees."""
    return _groups(store, partition, Source.DEM)["dem"]


def load_s1(store: ObjectStore, partition: str) -> "xr.Dataset":
    """The Sentinel-1 backscatter of a tile-year, as stored."""
    return _groups(store, partition, Source.S1)["s1"]


def load_s2(store: ObjectStore, partition: str) -> "xr.DataTree":
    """The Sentinel-2 arrays of a tile-year, as stored: a tree of `s2_10`, `s2_20` and `clouds`."""
    import xarray as xr

    return xr.DataTree.from_dict(_groups(store, partition, Source.S2), name=partition)


def load_tree_cover(store: ObjectStore, partition: str) -> str:
    """The address of a tile-year's tree cover, a COG.

    Raises:
        BadInputError: it was never made.
        StoreError: the store refuses.
    """
    from estinel_assets.ard.tree_cover_item import TreeCoverPaths

    year, (x_tile, y_tile) = parse_key(partition)
    # Where the tile lies is no part of its paths.
    path = TreeCoverPaths.of(TileYear(Tile(x_tile, y_tile, 0.0, 0.0), year)).cog
    try:
        store.head(path)
    except NotFoundError:
        raise _never_made("tree_cover", partition) from None
    return store.uri(path)


def _groups(store: ObjectStore, partition: str, source: Source) -> "dict[str, xr.Dataset]":
    """The groups of a source, as they are stored; chunks are read when their values are used.

    Raises:
        BadInputError: one was never made.
        StoreError: one cannot be read.
    """
    from estinel_assets.ard.ard_zarr import read_group
    from estinel_assets.ard.opening import GROUPS_OF

    year, tag, _ = key_of(partition, source)
    path = f"ard/{year}/{tag}.zarr"
    try:
        return {group: read_group(store, path, group) for group in GROUPS_OF[source]}
    except NotFoundError:
        raise _never_made(source.value, partition) from None


def _never_made(what: str, partition: str) -> BadInputError:
    return BadInputError(f"{what} of {partition} was never made; materialize it first")
