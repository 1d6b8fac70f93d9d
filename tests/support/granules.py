"""Small granules: netCDF-4, HDF5, GeoTIFF and Zarr files with known pixels."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from affine import Affine
from zarr.errors import ZarrUserWarning

from estinel_assets.compatibility.record import Backend
from estinel_assets.compatibility.source import Bounds, Source
from tests.support.rasters import write_geotiff


def file_source(path: Path, backend: Backend = "xarray", **more: Any) -> Source:
    """A local file as a granule."""
    return Source(path.as_uri(), path.suffix.removeprefix("."), backend, **more)


def grid(
    bounds: Bounds = (-20.0, 30.0, 20.0, 60.0),
    shape: tuple[int, int] = (120, 160),
    *,
    names: Sequence[str] = ("sst",),
    dims: tuple[str, str] = ("lat", "lon"),
    before: Mapping[str, int] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Variables on a grid, rows from north to south, each pixel row + column / 1000.

    Args:
        bounds: west, south, east, north of the pixels' outer edges.
        shape: rows and columns.
        names: of the variables.
        dims: names of the rows' and the columns' dimension, which have coordinates.
        before: sizes of further dimensions, which stand in front; the n-th layer is 100 n higher.
        attributes: of each variable.
    """
    west, south, east, north = bounds
    rows, columns = shape
    y = north - (np.arange(rows) + 0.5) * (north - south) / rows
    x = west + (np.arange(columns) + 0.5) * (east - west) / columns
    pixels = np.arange(rows)[:, None] + np.arange(columns)[None, :] / 1000
    further = dict(before or {})
    layers = np.arange(int(np.prod(list(further.values())))).reshape([*further.values(), 1, 1])
    array = (layers * 100.0 + pixels).astype("float32").reshape([*further.values(), *shape])
    coordinates = {dims[0]: y, dims[1]: x}
    coordinates |= {name: np.arange(float(size)) for name, size in further.items()}
    return xr.Dataset(
        {name: ((*further, *dims), array.copy(), dict(attributes or {})) for name in names},
        coords=coordinates,
    )


def write_netcdf(path: Path, dataset: xr.Dataset, group: str | None = None) -> Path:
    """A netCDF-4 file; a further group of one that is there."""
    dataset.to_netcdf(path, engine="h5netcdf", mode="a" if path.exists() else "w", group=group)
    return path


def write_hdf5(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """An HDF5 file without names of dimensions; `a/b` is array b in group a."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return path


def write_misaligned(path: Path) -> Path:
    """A netCDF-4 file with a dimension `time` of 3 in group `/a`, and one of 4 in `/a/b`."""
    with h5netcdf.File(path, "w") as file:
        outer = file.create_group("a")
        outer.dimensions = {"time": 3}
        outer.create_variable("u", ("time",), data=np.zeros(3))
        inner = outer.create_group("b")
        inner.dimensions = {"time": 4}
        inner.create_variable("v", ("time",), data=np.zeros(4))
    return path


def write_raster(
    path: Path,
    bounds: Bounds = (-20.0, 30.0, 20.0, 60.0),
    shape: tuple[int, int] = (120, 160),
    *,
    crs: str | None = "EPSG:4326",
    nodata: float | None = 0.0,
    pixels: np.ndarray | None = None,
) -> Path:
    """A GeoTIFF of one band, whose pixels are 1 throughout unless others are given."""
    west, south, east, north = bounds
    transform = Affine((east - west) / shape[1], 0, west, 0, (south - north) / shape[0], north)
    return write_geotiff(
        path,
        np.ones(shape, "uint8") if pixels is None else pixels,
        crs=crs,
        transform=transform if crs is not None else None,
        nodata=nodata,
        overviews=(2,),
    )


def write_zarr(path: Path, dataset: xr.Dataset, zarr_format: int = 3) -> Path:
    """A Zarr store with consolidated metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # Zarr 3 leaves consolidation open
        dataset.to_zarr(path, zarr_format=zarr_format, consolidated=True)
    return path
