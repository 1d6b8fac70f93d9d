"""The choice of a variable, and what is said where there is none."""

from pathlib import Path

import numpy as np
import pytest
import titiler.xarray.io
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import open_source
from estinel_assets.compatibility.source import Source
from estinel_assets.compatibility.variables import (
    KNOWN_VARIABLES,
    X_NAMES,
    Y_NAMES,
    Found,
    choose_variable,
    find_variable,
    xy_dims,
)
from tests.support.granules import (
    file_source,
    grid,
    write_hdf5,
    write_misaligned,
    write_netcdf,
    write_raster,
)
from tests.support.rasters import write_geotiff
from tests.support.real import real_data


def _found(source: Source) -> Found:
    with open_source(source) as opened:
        return find_variable(opened)


def _ending(found: Found) -> CheckEndedError:
    with pytest.raises(CheckEndedError) as caught:
        found.chosen()
    return caught.value


def test_names_of_x_and_y_are_those_of_titiler() -> None:
    assert list(X_NAMES) == titiler.xarray.io.X_DIM_NAMES
    assert list(Y_NAMES) == titiler.xarray.io.Y_DIM_NAMES


def test_known_variables_are_sorted_and_each_there_once() -> None:
    assert list(KNOWN_VARIABLES) == sorted(set(KNOWN_VARIABLES))


@given(st.permutations(["x", "y", "lat", "lon", "Longitude", "LAT", "time"]), st.integers(0, 7))
def test_x_and_y_are_found_where_titiler_finds_them(names: list[str], count: int) -> None:
    dims = names[:count]
    array = xr.DataArray(np.zeros([1] * count), dims=dims)
    try:
        titiler.xarray.io._arrange_dims(array)
    except ValueError:
        assert xy_dims(dims) is None
    else:
        assert xy_dims(dims) is not None


@pytest.mark.parametrize(
    ("dims", "chosen"),
    [
        ({}, None),
        ({"lat_bnds": ("lat", "nv")}, "lat_bnds"),
        ({"crs": (), "z": ("time", "lat", "lon")}, "z"),
        ({"z": ("lat", "lon"), "sst": ("lat", "lon")}, "sst"),
        ({"z": ("lat", "lon"), "sst": ("nj", "ni")}, "z"),
        ({"z": ("a",), "sst": ("nj", "ni")}, "sst"),
        ({"a": ("lat", "lon"), "b": ("lat", "lon")}, "a"),
    ],
)
def test_chooses_what_can_be_tiled(dims: dict[str, tuple[str, ...]], chosen: str | None) -> None:
    assert choose_variable(dims) == chosen


@pytest.mark.parametrize(
    ("granule", "variable"),
    [
        ("ok_latlon/GAMSSA_28km_20241011.nc", "analysed_sst"),
        ("ok_xy/MODSCAG_h07v03_Terra_20220415.nc", "snow_fraction"),
    ],
)
def test_real_grids_have_a_variable(granule: str, variable: str) -> None:
    found = _found(file_source(real_data(f"cmr/granules/{granule}")))
    assert found.chosen() == variable
    assert variable in found.names
    assert found.groups is None


def test_real_swath_has_no_x_and_y() -> None:
    found = _found(file_source(real_data("cmr/granules/no_xy/ascat_metopa_l2_SS.nc")))
    assert found.variable == "wind_speed"
    assert len(found.names) == 10
    ending = _ending(found)
    assert ending.reason == "no_xy_dimensions"
    assert "('NUMROWS', 'NUMCELLS')" in str(ending)
    assert ending.hint is not None
    assert "swath" in ending.hint


@pytest.mark.parametrize(
    ("granule", "groups"),
    [
        ("S6A_P4_2_HR_RED.nc", ["/", "/data_01", "/data_01/ku"]),
        ("SC_SPL3FTP_004.nc4", ["/", "/Freeze_Thaw_Retrieval_Data_Global"]),
    ],
)
def test_real_groups_are_listed(granule: str, groups: list[str]) -> None:
    found = _found(file_source(real_data(f"cmr/granules/group_structure/{granule}")))
    assert found.groups == groups
    assert found.names == []
    ending = _ending(found)
    assert ending.reason == "group_structure"
    assert str(groups) in str(ending)
    assert ending.hint is not None
    assert "no group" in ending.hint


def test_says_which_group_to_open(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", xr.Dataset({"t": ("time", np.zeros(2))}), group="a")
    write_netcdf(path, grid(names=("flag", "sst")), group="b/c")
    ending = _ending(_found(file_source(path)))
    assert ending.hint == "open group /b/c: its variable sst has lon and lat"


def test_misaligned_groups_are_told_apart(tmp_path: Path) -> None:
    found = _found(file_source(write_misaligned(tmp_path / "a.nc")))
    ending = _ending(found)
    assert ending.reason == "group_not_aligned_with_parents"
    assert "'/a/b'" in str(ending)
    assert "\n" not in str(ending)
    assert found.groups == ["/", "/a", "/a/b"]


def test_groups_with_equal_coordinates_are_aligned(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid(), group="a")
    write_netcdf(path, grid(), group="a/b")
    assert _ending(_found(file_source(path))).reason == "group_structure"
    write_netcdf(path, grid(bounds=(0, 0, 9, 9)), group="a/c")
    assert _ending(_found(file_source(path))).reason == "group_not_aligned_with_parents"


def test_a_file_without_anything_has_no_variables(tmp_path: Path) -> None:
    found = _found(file_source(write_netcdf(tmp_path / "a.nc", xr.Dataset())))
    assert _ending(found).reason == "cant_extract_variables"


def test_coordinates_are_no_variables(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid(names=()))
    assert _ending(_found(file_source(path))).reason == "cant_extract_variables"


@pytest.mark.parametrize(
    ("dims", "hint"),
    [
        (("YDim", "XDim"), "rename dimensions YDim and XDim to y and x"),
        (("nlat", "nlon"), "rename dimensions nlat and nlon to y and x"),
        (("obs", "level"), None),
    ],
)
def test_says_how_dimensions_would_be_found(
    tmp_path: Path, dims: tuple[str, str], hint: str | None
) -> None:
    path = write_netcdf(tmp_path / "a.nc", xr.Dataset({"sst": (dims, np.zeros((3, 4)))}))
    ending = _ending(_found(file_source(path)))
    assert ending.reason == "no_xy_dimensions"
    assert ending.hint == hint


def test_unnamed_dimensions_are_no_x_and_y(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", {"sst": np.zeros((3, 4))})
    ending = _ending(_found(file_source(path)))
    assert ending.reason == "no_xy_dimensions"
    assert ending.hint is not None
    assert "name" in ending.hint


def test_bands_without_a_description_are_numbered(tmp_path: Path) -> None:
    found = _found(file_source(write_raster(tmp_path / "a.tif"), "rasterio"))
    assert found.names == ["b1"]
    assert found.chosen() is None


def test_bands_have_their_descriptions(tmp_path: Path) -> None:
    import rasterio

    path = write_geotiff(tmp_path / "a.tif", np.ones((64, 64), "uint8"), crs=None, transform=None)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path, "r+") as file:
        file.set_band_description(1, "red")
    assert _found(file_source(path, "rasterio")).names == ["red"]
