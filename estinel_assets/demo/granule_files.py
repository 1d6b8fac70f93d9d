"""Small files as archives have them: some that can be tiled, and some for each reason why not.

All are made by a program, and show smooth made-up fields.
"""

from pathlib import Path

import h5py
import numpy as np
import rasterio
from affine import Affine

Field = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""A field, (row, column)."""


def field(rows: int, columns: int) -> Field:
    """A smooth field between 0 and 1."""
    y = np.sin(np.linspace(0, np.pi, rows, dtype=np.float32))[:, None]
    x = np.cos(np.linspace(0, 4 * np.pi, columns, dtype=np.float32))[None, :]
    return np.asarray((y * x + 1) / 2, np.float32)


def write_grid(
    path: Path,
    *,
    name: str = "sst",
    rows: int = 180,
    columns: int = 360,
    bounds: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0),
    values: Field | None = None,
    group: str = "/",
) -> None:
    """A NetCDF-4 file with one variable on latitude and longitude.

    Args:
        path: of the file.
        name: of the variable.
        rows: latitudes, north first.
        columns: longitudes.
        bounds: west, south, east, north in degrees.
        values: of the variable; else a smooth field.
        group: that holds it all.
    """
    west, south, east, north = bounds
    height, width = (north - south) / rows, (east - west) / columns
    with h5py.File(path, "w") as file:
        place = file.require_group(group)
        axes = {
            "lat": north - height * (np.arange(rows) + 0.5),
            "lon": west + width * (np.arange(columns) + 0.5),
        }
        for axis, positions in axes.items():
            scale = place.create_dataset(axis, data=positions)
            scale.make_scale(axis)
            scale.attrs["units"] = {"lat": "degrees_north", "lon": "degrees_east"}[axis]
        shown = field(rows, columns) if values is None else values
        variable = place.create_dataset(name, data=shown, compression="gzip", compression_opts=1)
        variable.attrs["_FillValue"] = np.float32(np.nan)
        variable.dims[0].attach_scale(place["lat"])
        variable.dims[1].attach_scale(place["lon"])


def write_blank_grid(path: Path) -> None:
    """A grid that holds no value."""
    write_grid(path, values=np.full((180, 360), np.nan, np.float32))


def write_swath(path: Path) -> None:
    """A variable along a satellite's track, which has no x and y."""
    with h5py.File(path, "w") as file:
        for axis, size in (("NUMROWS", 120), ("NUMCELLS", 42)):
            file.create_dataset(axis, data=np.arange(size)).make_scale(axis)
        wind = file.create_dataset("wind_speed", data=field(120, 42))
        wind.dims[0].attach_scale(file["NUMROWS"])
        wind.dims[1].attach_scale(file["NUMCELLS"])


def write_without_variables(path: Path) -> None:
    """A NetCDF-4 file with nothing in it but an attribute."""
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "nothing"


def write_giant(path: Path, side: int = 15_000) -> None:
    """A grid whose file is small and whose values take `4 * side * side` bytes in memory.

    More than 1,000,000,000 bytes rio-tiler refuses to read at all.
    """
    with h5py.File(path, "w") as file:
        for axis, low, high in (("lat", 90.0, -90.0), ("lon", -180.0, 180.0)):
            file.create_dataset(axis, data=np.linspace(low, high, side)).make_scale(axis)
        variable = file.create_dataset(
            "sst", (side, side), np.float32, chunks=(2000, 2000), fillvalue=1.0
        )
        variable.dims[0].attach_scale(file["lat"])
        variable.dims[1].attach_scale(file["lon"])


def write_netcdf3(path: Path) -> None:
    """The first bytes of a NetCDF-3 file, and no more: a dataset without anything (CDF-1)."""
    path.write_bytes(b"CDF\x01" + bytes(28))


def write_geotiff(
    path: Path, bounds: tuple[float, float, float, float] = (147.0, -43.2, 147.6, -42.6)
) -> None:
    """A Cloud Optimized GeoTIFF in degrees."""
    west, south, east, north = bounds
    transform = Affine((east - west) / 256, 0, west, 0, (south - north) / 256, north)
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=256,
        width=256,
        count=1,
        dtype="float32",
        crs="EPSG:4326",
        transform=transform,
        nodata=-9999.0,
        compress="deflate",
    ) as raster:
        raster.write(field(256, 256), 1)


def write_text(path: Path) -> None:
    """A table as text."""
    path.write_text("latitude,longitude,ph\n-42.88,147.33,8.1\n", encoding="ascii")
