"""A tile-year as the files that older tree-cover models read: hickle, HDF5 with gzip.

::

    {year}/raw/{X}/{Y}/raw/misc/dem_{tag}.hkl             float32 (h, w)          slope, degrees
    {year}/raw/{X}/{Y}/raw/s1/{tag}.hkl                   uint16 (12, h, w, 2)    VV, VH, · 65,535
    {year}/raw/{X}/{Y}/raw/s2_10/{tag}.hkl                uint16 (t, h, w, 4)     · 65,535
    {year}/raw/{X}/{Y}/raw/s2_20/{tag}.hkl                uint16 (t, h, w, 6)     · 65,535
    {year}/raw/{X}/{Y}/raw/misc/s2_dates_{tag}.hkl        int64 (t)               days of the year
    {year}/raw/{X}/{Y}/raw/clouds/clouds_{tag}.hkl        float32 (d, h, w)       NaN = cloudy
    {year}/raw/{X}/{Y}/raw/misc/s1_dates_{tag}.hkl        int64 (12)              days of the year
    {year}/raw/{X}/{Y}/raw/clouds/cloudmask_{tag}.hkl     uint8 (t, h, w)         1 = cirrus
    {year}/raw/{X}/{Y}/raw/clouds/clean_steps_{tag}.hkl   int64 (n)               days of the year

Readers take a tile-year for complete when the first six exist; they are written last, each whole,
and only where all three sources have their arrays. Old archives also call one complete whose
arrays are empty, or too short because a quarter failed. Such arrays are never written here: a tile
without clear days is refused, and one with a gap in Sentinel-1, which would be twelve steps of
which some are 0, is written only if that is allowed.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from estinel_assets.ard.ard_zarr import GROUPS, groups_in, read_group
from estinel_assets.ard.sentinel2_composite import SCALE
from estinel_assets.ard.tiles import TileYear
from estinel_assets.errors import BadInputError, MissingDependencyError
from estinel_assets.storage.port import ObjectStore

FULL: Final = 65_535
"""What 1 is in a file of reflectance or backscatter."""
COMPLETE: Final = ("dem", "s1", "s2_10", "s2_20", "s2_dates", "clouds")
"""The files by which readers know a tile-year that is complete."""

_HDF5 = "application/x-hdf5"
_PLACES: Final[Mapping[str, str]] = {
    "s1_dates": "misc/s1_dates_{tag}.hkl",
    "cloudmask": "clouds/cloudmask_{tag}.hkl",
    "clean_steps": "clouds/clean_steps_{tag}.hkl",
    "dem": "misc/dem_{tag}.hkl",
    "s1": "s1/{tag}.hkl",
    "s2_10": "s2_10/{tag}.hkl",
    "s2_20": "s2_20/{tag}.hkl",
    "s2_dates": "misc/s2_dates_{tag}.hkl",
    "clouds": "clouds/clouds_{tag}.hkl",
}
"""In the order in which they are written."""


def old_paths(tile_year: TileYear, folder: str = "") -> dict[str, str]:
    """Where the files of a tile-year stand.

    Args:
        tile_year: the tile-year.
        folder: of all of them; empty for the root.

    Returns:
        For each file its path, in the order in which they are written.
    """
    tile = tile_year.tile
    above = f"{tile_year.year}/raw/{tile.x_tile}/{tile.y_tile}/raw"
    prefix = f"{folder}/{above}" if folder else above
    return {key: f"{prefix}/{place.format(tag=tile.tag)}" for key, place in _PLACES.items()}


def export_tile_year(
    store: ObjectStore,
    tile_year: TileYear,
    target: ObjectStore,
    folder: str = "",
    *,
    gaps_allowed: bool = False,
) -> tuple[str, ...]:
    """Write a tile-year in the old layout, over what stands there.

    Args:
        store: where its groups stand.
        tile_year: the tile-year.
        target: where to write.
        folder: of the target; empty for its root.
        gaps_allowed: whether quarters of Sentinel-1 may be without data, as zeros.

    Returns:
        The paths that were written.

    Raises:
        BadInputError: a group does not stand, or Sentinel-1 has a gap; nothing is written.
        MissingDependencyError: hickle is not installed.
        StoreError: a store refuses, or a group is damaged.
    """
    packed = _packer()
    _check(store, tile_year, gaps_allowed=gaps_allowed)
    paths = old_paths(tile_year, folder)
    for key, array in old_arrays(store, tile_year):
        target.put(paths[key], packed(array), content_type=_HDF5)
    return tuple(paths.values())


def old_arrays(store: ObjectStore, tile_year: TileYear) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of the old files, one at a time, in the order of `old_paths`.

    Args:
        store: where its groups stand.
        tile_year: the tile-year.

    Raises:
        NotFoundError: a group does not stand.
        StoreError: the store refuses, or a group is damaged.
    """
    path = tile_year.store_path
    s1, clouds = read_group(store, path, "s1"), read_group(store, path, "clouds")
    s2_10 = read_group(store, path, "s2_10")
    clean = clouds["clean"].values == 1
    yield "s1_dates", s1["day_of_year"].values.astype(np.int64)
    yield "cloudmask", clouds["cirrus"].values.astype(np.uint8)
    yield "clean_steps", clouds["date_day_of_year"].values[clean].astype(np.int64)
    yield "dem", read_group(store, path, "dem")["slope"].values.astype(np.float32)
    yield "s1", np.ascontiguousarray(s1["backscatter"].values.transpose(0, 2, 3, 1))
    yield "s2_10", _stretched(s2_10)
    yield "s2_20", _stretched(read_group(store, path, "s2_20"))
    yield "s2_dates", s2_10["day_of_year"].values.astype(np.int64)
    cloudy = clouds["cloudy"].values == 1
    yield "clouds", np.where(cloudy, np.float32(np.nan), np.float32(0))


def _stretched(dataset: xr.Dataset) -> NDArray[np.uint16]:
    """Reflectance as (time, y, x, band), 0 to 1 as 0 to 65,535; steps are read one by one."""
    array = dataset["reflectance"]
    steps, bands, height, width = array.shape
    # A table instead of arithmetic: there are 65,536 values only.
    stored = np.arange(FULL + 1) / SCALE
    table = np.rint(np.clip(stored, 0, 1) * FULL).astype(np.uint16)
    result = np.empty((steps, height, width, bands), dtype=np.uint16)
    for number in range(steps):
        result[number] = table[array[number].values].transpose(1, 2, 0)
    return result


def _check(store: ObjectStore, tile_year: TileYear, *, gaps_allowed: bool) -> None:
    standing = groups_in(store, tile_year.store_path)
    if missing := [group for group in GROUPS if group not in standing]:
        raise BadInputError(
            f"{tile_year.key} cannot be exported: {', '.join(missing)} do not stand; "
            "make the tile-year, or see in its outcomes why they do not"
        )
    gaps = list(read_group(store, tile_year.store_path, "s1").attrs["gaps"])
    if gaps and not gaps_allowed:
        raise BadInputError(
            f"{tile_year.key} cannot be exported: Sentinel-1 has nothing for {', '.join(gaps)}, "
            "which older models would take for dark ground; allow gaps if that is meant"
        )


def _packer() -> Callable[[NDArray[Any]], bytes]:
    """What makes a file out of an array."""
    try:
        hickle, h5py = import_module("hickle"), import_module("h5py")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the old layout needs the package {error.name}, which is not installed: install the "
            "extra `ttc`, as in `pip install 'estinel-assets[ttc]'`"
        ) from error

    def packed(array: NDArray[Any]) -> bytes:
        body = io.BytesIO()
        with h5py.File(body, "w") as file:
            hickle.dump(array, file, mode="w", compression="gzip")
        return body.getvalue()

    return packed
