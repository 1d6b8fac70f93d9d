"""What metadata and names say of a file, in the words that archives use."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.formats import (
    BY_EXTENSION,
    BY_FORMAT,
    REFUSED_EXTENSIONS,
    REFUSED_FORMATS,
    VAGUE_EXTENSIONS,
    VAGUE_FORMATS,
    decide,
)
from estinel_assets.compatibility.record import Backend
from tests.support.published_counts import TABLE
from tests.support.real import real_data


def _decide(format_name: str | None, extension: str, granule: str | None = None) -> Backend | None:
    url = f"https://archive.invalid/a.{extension}" if extension else "https://archive.invalid/a"
    named = [name for name in (format_name,) if name is not None]
    return decide(named, [granule] if granule is not None else [], url).backend


@pytest.mark.parametrize(
    ("format_name", "extension", "backend"),
    [
        ("netCDF-4", "nc", "xarray"),
        ("NETCDF-4", "nc4", "xarray"),
        ("NetCDF4", "nc", "xarray"),
        ("netCDF-4 classic", "nc", "xarray"),
        ("netCDF", "nc", "xarray"),
        ("netCDF-3, netCDF-4", "nc", "xarray"),
        ("HDF-EOS5", "he5", "xarray"),
        ("HDF5", "HDF5", "xarray"),
        ("HDF5", "hdf", "xarray"),
        ("HDF5", "", "xarray"),
        ("HDF5", "199905", "xarray"),
        ("h5 (Hierarchical Data Format (version 5))", "h5", "xarray"),
        ("HDF", "hdf", "xarray"),
        ("HDF-EOS", "h5", "xarray"),
        ("Not provided", "H5", "xarray"),
        (None, "he5", "xarray"),
        (None, "hdf", "xarray"),
        (None, "zarr", "xarray"),
        ("ICARTT", "nc", "xarray"),
        ("GeoTIFF", "h5", "xarray"),
        ("GeoTIFF", "tif", "rasterio"),
        ("GeoTIFF", "", "rasterio"),
        ("COG", "TIF", "rasterio"),
        ("TIFF", "tiff", "rasterio"),
        ("Cloud Optimized GeoTIFF", "tif", "rasterio"),
        ("netCDF-4", "tif", "rasterio"),
        (None, "tif", "rasterio"),
        ("ASCII", "sb", None),
        ("netCDF-4", "zip", None),
        ("GeoTIFF", "gz", None),
        ("HDF", "Z", None),
        ("HDF4", "hdf", None),
        ("HDF-EOS2", "hdf", None),
        ("NETCDF-3", "nc", None),
        ("Not provided", "", None),
        (None, "csv", None),
        (None, "0_SSS_1deg", None),
        ("ZIP(netCDF 4)", "zip", None),
    ],
)
def test_decides(format_name: str | None, extension: str, backend: Backend | None) -> None:
    assert _decide(format_name, extension) == backend


@given(
    st.sampled_from([*BY_FORMAT, *REFUSED_FORMATS, *VAGUE_FORMATS, "ASCII"]),
    st.sampled_from([*BY_EXTENSION, *REFUSED_EXTENSIONS, *VAGUE_EXTENSIONS, "", "r1"]),
    st.sampled_from([str.upper, str.title, str.lower]),
    st.sampled_from(["", " ", "-", "_", "."]),
)
def test_case_and_punctuation_do_not_count(
    format_name: str, extension: str, case: "type[str]", mark: str
) -> None:
    written = mark.join(case(format_name))
    assert _decide(written, case(extension)) == _decide(format_name, extension)


def test_the_granule_speaks_where_the_collection_does_not() -> None:
    assert _decide("Not provided", "", "HDF5") == "xarray"
    assert _decide("HDF4", "hdf", "HDF5") is None


def test_the_first_format_is_kept_as_it_is_written() -> None:
    decided = decide([" ", "NetCDF4 "], ["HDF5"], "https://archive.invalid/a.NC")
    assert decided.format == "NetCDF4 "
    assert decided.extension == "NC"
    assert decided.supported() == "xarray"


@pytest.mark.parametrize(
    ("format_name", "extension", "message", "hint"),
    [
        ("HDF4", "hdf", "Format HDF4 is not supported", "netCDF-4 or GeoTIFF"),
        ("NETCDF-3", "nc", "Format NETCDF-3 is not supported", "nccopy"),
        (None, "zip", "Extension zip is not supported", "unpack"),
        ("GeoTIFF", "zip", "Extension zip is not supported (format GeoTIFF)", "unpack"),
        ("ASCII", "sb", "Format ASCII is not supported", None),
    ],
)
def test_says_what_is_not_supported_and_what_to_do(
    format_name: str | None, extension: str, message: str, hint: str | None
) -> None:
    url = f"https://archive.invalid/a.{extension}"
    with pytest.raises(CheckEndedError) as caught:
        decide([format_name] if format_name else [], [], url).supported()
    assert caught.value.reason == "unsupported_format"
    assert str(caught.value) == message
    assert (hint is None) == (caught.value.hint is None)
    assert hint is None or hint in str(caught.value.hint)


def test_everything_that_had_tiles_in_the_published_run_is_supported() -> None:
    table = pd.read_parquet(real_data(TABLE))
    for row in table[table["tiling_compatible"]].itertuples():
        formats = [row.format] if isinstance(row.format, str) else []
        decided = decide(formats, [], row.data_url)
        assert decided.backend == row.backend
        assert decided.extension == row.extension


def test_geotiffs_of_the_published_run_are_supported_now() -> None:
    table = pd.read_parquet(real_data(TABLE))
    rasters = table[(table["format"] == "GeoTIFF") & (table["extension"] == "tif")]
    assert len(rasters) == 34
    assert set(rasters["incompatible_reason"]) == {"unsupported_format"}
    assert {decide(["GeoTIFF"], [], url).backend for url in rasters["data_url"]} == {"rasterio"}
