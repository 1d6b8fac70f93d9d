"""Opening files, local and over HTTP, whole and broken."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import obstore.exceptions
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility import remote_file
from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import (
    OpenArrays,
    OpenRaster,
    groups_of,
    open_dataset,
    open_source,
    reader_versions,
)
from estinel_assets.compatibility.remote_file import RemoteFile
from estinel_assets.compatibility.source import Source
from tests.support.granules import (
    file_source,
    grid,
    write_hdf5,
    write_misaligned,
    write_netcdf,
    write_raster,
    write_zarr,
)
from tests.support.http import Misbehaviour, RangeServer
from tests.support.real import real_data
from tests.support.s3 import S3Access, s3_server


def test_reads_a_netcdf_file_as_xarray_itself(tmp_path: Path) -> None:
    made = grid(before={"time": 2})
    path = write_netcdf(tmp_path / "a.nc", made)
    with open_dataset(file_source(path)) as opened:
        xr.testing.assert_equal(opened.load(), made)


def test_reads_over_http_by_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", 1 << 14)
    made = grid(shape=(400, 400), names=("sst", "wind_speed", "mask"))
    write_netcdf(tmp_path / "a b%.nc", made)
    with RangeServer(tmp_path) as server:
        with open_dataset(Source(server.url("a b%.nc"), "nc", "xarray")) as opened:
            found = opened["mask"][:4].load()
        size = (tmp_path / "a b%.nc").stat().st_size
        assert server.bytes_sent < size / 2
        assert {request.method for request in server.requests} == {"GET"}
        assert all(request.range is not None for request in server.requests)
    xr.testing.assert_equal(found, made["mask"][:4])


def test_a_group_is_opened_by_its_path(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.nc", grid(names=("a",)), group="/data/grid")
    with open_dataset(file_source(path), group="/data/grid") as opened:
        assert list(opened) == ["a"]


def test_lists_groups_level_by_level_like_a_datatree(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    for group in ("b/x", "a/y/z", "c"):
        write_netcdf(path, grid(), group=group)
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert groups_of(file_source(path)) == list(tree.groups)
    depths = [path.count("/") for path in groups_of(file_source(path))[1:]]
    assert depths == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_opens_zarr_stores(tmp_path: Path, zarr_format: int) -> None:
    made = grid()
    write_zarr(tmp_path / "a.zarr", made, zarr_format)
    local = file_source(tmp_path / "a.zarr")
    with open_dataset(local) as opened:
        xr.testing.assert_equal(opened.load(), made)
    assert groups_of(local) == ["/"]
    with RangeServer(tmp_path) as server:
        source = Source(server.url("a.zarr") + "/", "zarr", "xarray")
        with open_dataset(source) as opened:
            xr.testing.assert_equal(opened.load(), made)


def test_opens_a_raster_whose_metadata_say_netcdf(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.nc")
    with open_source(file_source(path, "xarray")) as opened:
        assert isinstance(opened, OpenRaster)
        assert opened.source.backend == opened.backend == "rasterio"
        assert opened.dataset.read(1).all()
        dataset = opened.dataset
    assert dataset.closed


def test_opens_arrays_whose_metadata_say_geotiff(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "a.tif", grid())
    with open_source(file_source(path, "rasterio")) as opened:
        assert isinstance(opened, OpenArrays)
        assert opened.source.backend == "xarray"


def test_says_why_an_hdf5_file_with_a_user_block_is_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=1024) as file:
        file["a"] = np.zeros(3)
    with pytest.raises(CheckEndedError, match="user block") as caught:
        open_source(file_source(tmp_path / "a.h5"))
    assert caught.value.reason == "unsupported_format"


@pytest.mark.parametrize(
    ("head", "reason", "says"),
    [
        (b"CDF\x01\x00\x00\x00\x00", "unsupported_format", "netCDF-3"),
        (b"\x0e\x03\x13\x01\x00\xc8\x00\x00", "unsupported_format", "HDF4"),
        (b"PK\x03\x04", "unsupported_format", "ZIP"),
        (b"\x1f\x8b\x08", "unsupported_format", "gzip"),
        (b"\x00" * 257 + b"ustar\x0000", "unsupported_format", "tar"),
        (b"year,month\n", "unsupported_format", r"b'year,mon'"),
        (b"\n <!DOCTYPE HTML><p>Log in</p>", "forbidden", "web page"),
    ],
)
def test_says_what_a_file_is_that_nothing_reads(
    tmp_path: Path, head: bytes, reason: str, says: str
) -> None:
    (tmp_path / "a.hdf").write_bytes(head)
    with pytest.raises(CheckEndedError) as caught:
        open_source(file_source(tmp_path / "a.hdf"))
    assert caught.value.reason == reason
    assert says in str(caught.value)


def test_an_empty_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.nc").touch()
    with pytest.raises(obstore.exceptions.GenericError):
        open_source(file_source(tmp_path / "a.nc"))


def test_real_netcdf3_is_not_supported_and_told_what_to_do() -> None:
    path = real_data("cmr/granules/netcdf3/bcsd_obs_1999.nc")
    with pytest.raises(CheckEndedError, match="netCDF-3") as caught:
        open_source(file_source(path))
    assert caught.value.reason == "unsupported_format"
    assert caught.value.hint is not None
    assert "netCDF-4" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://archive.invalid/a.nc", "ftp://"),
        ("https://[::1/a.nc", "cannot be read"),
        ("https://", "empty host"),
        ("http://archive.invalid:99999/a.nc?sig=hush", "port"),
        ("a.nc", "cannot be read"),
    ],
)
def test_addresses_that_nothing_reads_say_so(url: str, says: str) -> None:
    with pytest.raises(CheckEndedError, match=says) as caught:
        open_source(Source(url, "nc", "xarray"))
    assert "hush" not in str(caught.value)
    assert caught.value.reason == "failed_to_extract_url"


@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        (Misbehaviour(status=401), obstore.exceptions.UnauthenticatedError),
        (Misbehaviour(status=403), obstore.exceptions.PermissionDeniedError),
        (Misbehaviour(status=404), FileNotFoundError),
        (Misbehaviour(status=200), obstore.exceptions.NotSupportedError),
        (Misbehaviour(status=500), obstore.exceptions.GenericError),
    ],
)
def test_servers_that_refuse(tmp_path: Path, spoiled: Misbehaviour, error: type[Exception]) -> None:
    write_netcdf(tmp_path / "a.nc", grid())
    with RangeServer(tmp_path) as server:
        server.misbehave("a.nc", spoiled)
        with pytest.raises(error):
            open_source(Source(server.url("a.nc"), "nc", "xarray"))


@pytest.mark.parametrize("backend", ["xarray", "rasterio"])
def test_a_transfer_that_fails_in_the_middle_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """Whatever HDF5 and GDAL make of it; GDAL would abort the process on an error in a read."""
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", 1 << 15)
    noise = np.random.default_rng(1).integers(1, 255, (600, 600)).astype("uint8")
    if backend == "xarray":
        path = write_netcdf(tmp_path / "a.nc", xr.Dataset({"sst": (("y", "x"), noise)}))
    else:
        path = write_raster(tmp_path / "a.tif", shape=noise.shape, pixels=noise)
    with RangeServer(tmp_path) as server:
        source = Source(server.url(path.name), path.suffix[1:], "xarray")
        with open_source(source) as opened:
            server.misbehave(path.name, Misbehaviour(status=403))
            with pytest.raises(obstore.exceptions.PermissionDeniedError):
                _read(opened)


def _read(opened: OpenArrays | OpenRaster) -> None:
    with opened.reading():
        if isinstance(opened, OpenRaster):
            opened.dataset.read(1)
        else:
            opened.dataset["sst"].load()


def test_login_is_asked_only_where_the_server_refuses(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "open.nc", grid())
    write_netcdf(tmp_path / "closed.nc", grid())
    asked = []

    def login(source: Source) -> Source | None:
        asked.append(source.url)
        server.behave("closed.nc")
        return replace(source, headers={"Cookie": "let=in"})

    with RangeServer(tmp_path) as server:
        server.misbehave("closed.nc", Misbehaviour(status=403))
        open_source(Source(server.url("open.nc"), "nc", "xarray"), login).close()
        assert not asked
        with open_source(Source(server.url("closed.nc"), "nc", "xarray"), login) as opened:
            assert opened.source.headers == {"Cookie": "let=in"}
        assert asked == [server.url("closed.nc")]


def test_without_credentials_the_refusal_stands(tmp_path: Path) -> None:
    with RangeServer(tmp_path) as server:
        server.misbehave("a.nc", Misbehaviour(status=401))
        with pytest.raises(obstore.exceptions.UnauthenticatedError):
            open_source(Source(server.url("a.nc"), "nc", "xarray"), lambda _: None)


def test_headers_reach_the_server_and_no_message(tmp_path: Path) -> None:
    source = Source("https://a.invalid/a.nc", "nc", "xarray", {"Authorization": "Bearer hush"})
    assert "hush" not in repr(source)


def test_checks_alignment_as_xarray_does(tmp_path: Path) -> None:
    with open_source(file_source(write_misaligned(tmp_path / "a.nc"))) as opened:
        assert isinstance(opened, OpenArrays)
        with pytest.raises(ValueError, match=r"'/a/b' is not aligned with its parents"):
            opened.check_alignment()


def test_a_raster_has_no_arrays(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif")
    with pytest.raises(TypeError, match="GTiff"), open_dataset(file_source(path, "rasterio")):
        pass
    assert groups_of(file_source(path, "rasterio")) == []


def test_unnamed_dimensions_of_hdf5_are_no_trouble(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", {"a": np.zeros((3, 4)), "g/b": np.zeros(5)})
    with open_dataset(file_source(path)) as opened:
        assert opened["a"].shape == (3, 4)
    assert groups_of(file_source(path)) == ["/", "/g"]


@given(
    content=st.binary(min_size=1, max_size=400),
    block=st.integers(1, 64),
    spans=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=8),
)
def test_any_range_comes_as_from_the_file_itself(
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    block: int,
    spans: list[tuple[int, int]],
) -> None:
    path = tmp_path_factory.mktemp("ranges") / "a.bin"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_file, "BLOCK_BYTES", block)
        patch.setattr(remote_file, "_KEPT_BLOCKS", 3)
        file = RemoteFile(file_source(path))
        assert file.size == len(content)
        with file.reader() as reader:
            for start, length in spans:
                reader.seek(start)
                assert reader.read(length) == content[start : start + length]
                assert reader.tell() == start + len(content[start : start + length])


def test_names_the_versions_of_the_readers() -> None:
    assert reader_versions("rasterio")["rasterio"] == rasterio.__version__
    assert reader_versions("rasterio")["gdal"] == rasterio.__gdal_version__
    assert reader_versions("xarray")["xarray"] == xr.__version__
    assert {"titiler.xarray", "h5netcdf", "h5py"} <= set(reader_versions("xarray"))


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


def _s3_source(access: S3Access, key: str, extension: str) -> Source:
    return Source(
        access.url(key),
        extension,
        "xarray",
        s3={
            "endpoint": access.endpoint_url,
            "region": access.region,
            "access_key_id": access.access_key_id,
            "secret_access_key": access.secret_access_key,
        },
    )


def test_reads_from_s3(tmp_path: Path, bucket: S3Access) -> None:
    made = grid()
    path = write_netcdf(tmp_path / "a.nc", made)
    store = write_zarr(tmp_path / "a.zarr", made)
    client = bucket.client()
    client.upload_file(path, bucket.bucket, "deep/a b.nc")
    for part in (part for part in store.rglob("*") if part.is_file()):
        client.upload_file(part, bucket.bucket, f"deep/{part.relative_to(tmp_path)}")
    for source in (
        _s3_source(bucket, "deep/a b.nc", "nc"),
        _s3_source(bucket, "deep/a.zarr/", "zarr"),
    ):
        with open_dataset(source) as opened:
            xr.testing.assert_equal(opened.load(), made)
