"""The demo's granules are what they are said to be, as other libraries read them."""

from pathlib import Path

import h5netcdf
import numpy as np
import pytest
import rasterio
import xarray as xr

from estinel_assets.demo import granule_files as files


def test_a_grid_lies_where_it_should(tmp_path: Path) -> None:
    files.write_grid(tmp_path / "a.nc", rows=6, columns=8, bounds=(10.0, -3.0, 14.0, 3.0))

    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as grid:
        assert grid["sst"].dims == ("lat", "lon")
        assert grid["lat"].to_numpy() == pytest.approx([2.5, 1.5, 0.5, -0.5, -1.5, -2.5])
        assert grid["lon"].to_numpy() == pytest.approx(np.arange(10.25, 14, 0.5))
        assert grid["sst"].to_numpy() == pytest.approx(files.field(6, 8))


def test_a_grid_in_a_group_leaves_the_root_empty(tmp_path: Path) -> None:
    files.write_grid(tmp_path / "a.nc", group="/science/ocean", name="chlor_a", rows=4, columns=4)

    with h5netcdf.File(tmp_path / "a.nc") as file:
        assert list(file.variables) == []
        assert "chlor_a" in file["science/ocean"].variables


def test_a_blank_grid_has_no_value(tmp_path: Path) -> None:
    files.write_blank_grid(tmp_path / "a.nc")

    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as grid:
        assert bool(grid["sst"].isnull().all())


def test_a_swath_has_neither_x_nor_y(tmp_path: Path) -> None:
    files.write_swath(tmp_path / "a.nc")

    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as swath:
        assert swath["wind_speed"].dims == ("NUMROWS", "NUMCELLS")


def test_a_file_without_variables_opens(tmp_path: Path) -> None:
    files.write_without_variables(tmp_path / "a.nc")

    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as empty:
        assert list(empty.variables) == []
        assert empty.attrs["title"] == "nothing"


def test_a_giant_is_small_on_disk(tmp_path: Path) -> None:
    files.write_giant(tmp_path / "a.nc", side=4000)

    assert (tmp_path / "a.nc").stat().st_size < 200_000
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as giant:
        assert giant["sst"].nbytes == 4 * 4000 * 4000
        assert float(giant["sst"][0, 0]) == 1.0


def test_a_geotiff_is_cloud_optimized_and_lies_where_it_should(tmp_path: Path) -> None:
    bounds = (147.0, -43.2, 147.6, -42.6)
    files.write_geotiff(tmp_path / "a.tif", bounds)

    with rasterio.open(tmp_path / "a.tif") as raster:
        assert tuple(raster.bounds) == pytest.approx(bounds)
        assert raster.crs.to_epsg() == 4326
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.read(1) == pytest.approx(files.field(256, 256))


def test_others_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    files.write_netcdf3(tmp_path / "a.nc")
    files.write_text(tmp_path / "a.csv")

    assert (tmp_path / "a.nc").read_bytes().startswith(b"CDF\x01")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "latitude,longitude,ph"
