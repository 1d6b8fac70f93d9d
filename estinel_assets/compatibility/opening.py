"""Opens a granule's file the way TiTiler-CMR does: xarray on h5netcdf or Zarr, or rasterio.

Bytes come by range requests through obstore for both, so that headers, retries, time limits and
errors are the same. Times stay numbers (`decode_times=False`): a calendar that cannot be decoded
is no reason not to make tiles.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import Backend
from estinel_assets.compatibility.remote_file import (
    GdalReader,
    RemoteFile,
    store_of,
)
from estinel_assets.compatibility.signatures import backend_of
from estinel_assets.compatibility.source import Source

if TYPE_CHECKING:
    import h5netcdf
    import xarray as xr
    import zarr
    from rasterio.io import DatasetReader
    from zarr.abc.store import Store

Login = Callable[[Source], Source | None]
"""Given a file that was refused, the same with credentials; None where there are none."""

ZARR_EXTENSION = "zarr"

_READERS: Mapping[Backend, tuple[str, ...]] = {
    "rasterio": ("rio-tiler", "rasterio", "obstore"),
    "xarray": ("titiler.xarray", "rio-tiler", "xarray", "h5netcdf", "h5py", "zarr", "obstore"),
}

_GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_NUM_THREADS": "1"}
"""Files beside the granule are not looked for."""


def reader_versions(backend: Backend) -> dict[str, str]:
    """Versions of the packages that read files of a backend, by the packages' names."""
    versions = {}
    for package in _READERS[backend]:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # an optional one, such as zarr
            continue
    if backend == "rasterio":
        import rasterio

        versions["gdal"] = str(rasterio.__gdal_version__)
    return versions


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a file and what lies directly in it."""

    path: str
    """From `/`."""
    dims: Mapping[str, tuple[str, ...]]
    """Dimensions of each variable, by the variable's name."""
    sizes: Mapping[str, int]
    """Of the dimensions that its variables have."""


class _Open:
    """What is to be closed, at the latest at the end of a with statement."""

    __slots__ = ()
    _stack: ExitStack

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(slots=True)
class OpenArrays(_Open):
    """A file that xarray has open. Close it, or use it as a context manager."""

    source: Source
    dataset: "xr.Dataset"
    """The group that was asked for; arrays are read when they are needed."""
    _file: RemoteFile | None
    _stack: ExitStack = field(default_factory=ExitStack)
    backend: Backend = "xarray"

    def groups(self) -> tuple[Group, ...]:
        """All groups, the root first, level by level as xarray's DataTree has them."""
        with self.reading():
            if self._file is None:
                return tuple(_zarr_groups(self.source))
            import h5netcdf

            with (
                self._file.reader() as reader,
                h5netcdf.File(reader, "r", phony_dims="access") as root,
            ):
                return tuple(_hdf5_groups(root))

    def check_alignment(self) -> None:
        """Open all groups as one tree.

        Raises:
            ValueError: a group is not aligned with its parents; xarray's message says which.
        """
        import xarray as xr

        with self.reading():
            if self._file is None:
                return
            with (
                self._file.reader() as reader,
                xr.open_datatree(reader, engine="h5netcdf", phony_dims="access", **_DECODING),  # type: ignore[arg-type]
            ):
                return

    @contextmanager
    def reading(self) -> Iterator[None]:
        """For whatever reads: raises a failed transfer as what it is, and keeps libraries quiet."""
        with _reading(self._file):
            yield


@dataclass(slots=True)
class OpenRaster(_Open):
    """A file that rasterio has open. Close it, or use it as a context manager."""

    source: Source
    dataset: "DatasetReader"
    _file: RemoteFile
    _stack: ExitStack
    backend: Backend = "rasterio"

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As `OpenArrays.reading`, and with options for GDAL."""
        import rasterio

        with _reading(self._file), rasterio.Env(**_GDAL_OPTIONS):
            yield


Opened = OpenArrays | OpenRaster


def open_source(
    source: Source, login: Login | None = None, *, group: str | None = None
) -> OpenArrays | OpenRaster:
    """Open a file.

    Args:
        source: where it is. Its backend is what its metadata says; its first bytes overrule that.
        login: asked for credentials where the server refuses the file, and not before.
        group: path of the group to open, of a file of arrays; None for the root.

    Returns:
        The open file; its `source` has the credentials that were needed and the backend that
        reads it.

    Raises:
        CheckEndedError: nothing reads such a file, or addresses of that scheme.
        Exception: whatever the libraries raise; see `verdicts`.
    """
    try:
        return _open(source, group)
    except Exception as error:
        known = login(source) if login is not None and _is_refusal(error) else None
        if known is None:
            raise
    return _open(known, group)


@contextmanager
def open_dataset(source: Source, group: str | None = None) -> "Iterator[xr.Dataset]":
    """A file of arrays, or one of its groups, as an xarray dataset.

    Raises:
        TypeError: it is a raster.
        Exception: as `open_source`.
    """
    with open_source(source, group=group) as opened:
        if not isinstance(opened, OpenArrays):
            raise TypeError(f"a {opened.dataset.driver} file has no arrays: open it as a raster")
        yield opened.dataset


def groups_of(source: Source) -> list[str]:
    """Paths of all groups of a file of arrays, from `/`, level by level.

    Raises:
        Exception: as `open_source`.
    """
    with open_source(source) as opened:
        return [group.path for group in opened.groups()] if isinstance(opened, OpenArrays) else []


def _is_refusal(error: Exception) -> bool:
    """Whether credentials may help: a login page has no ranges, and so counts as well."""
    from obstore.exceptions import NotSupportedError, PermissionDeniedError, UnauthenticatedError

    if isinstance(error, CheckEndedError):
        return error.reason == CompatibilityReason.FORBIDDEN
    return isinstance(error, PermissionDeniedError | UnauthenticatedError | NotSupportedError)


_DECODING = {"decode_times": False, "decode_coords": "all"}
"""As titiler.xarray decodes; `all` finds the variable that holds the CRS."""


def _open(source: Source, group: str | None) -> OpenArrays | OpenRaster:
    if source.extension.lower() == ZARR_EXTENSION:
        return _open_zarr(source, group)
    file = RemoteFile(source)
    said = f"its name or metadata say {source.extension or 'no extension'}"
    backend = backend_of(file.head, said)
    source = replace(source, backend=backend)
    if backend == "rasterio":
        return _open_raster(source, file)
    return _open_hdf5(source, file, group)


def _open_hdf5(source: Source, file: RemoteFile, group: str | None) -> OpenArrays:
    import xarray as xr

    with ExitStack() as stack, _reading(file):
        reader = stack.enter_context(file.reader())
        dataset = stack.enter_context(
            xr.open_dataset(
                reader,
                engine="h5netcdf",
                group=group,
                phony_dims="access",
                **_DECODING,  # type: ignore[arg-type]
            )
        )
        return OpenArrays(source, dataset, file, stack.pop_all())


def _open_zarr(source: Source, group: str | None) -> OpenArrays:
    import xarray as xr

    with ExitStack() as stack, _reading(None):
        dataset = stack.enter_context(
            xr.open_dataset(
                _zarr_store(source),  # type: ignore[arg-type] # a store of Zarr's is accepted
                engine="zarr",
                group=group,
                **_DECODING,  # type: ignore[arg-type]
            )
        )
        return OpenArrays(replace(source, backend="xarray"), dataset, None, stack.pop_all())


def _zarr_store(source: Source) -> "Store":
    from zarr.storage import ObjectStore

    return ObjectStore(store_of(replace(source, url=source.url.rstrip("/"))), read_only=True)


def _open_raster(source: Source, file: RemoteFile) -> OpenRaster:
    import rasterio

    def reader(path: str, mode: str = "r") -> GdalReader:  # noqa: ARG001 - what rasterio calls
        return GdalReader(file)

    name = PurePosixPath(urlsplit(source.url).path).name
    with ExitStack() as stack, _reading(file), rasterio.Env(**_GDAL_OPTIONS):
        dataset = stack.enter_context(rasterio.open(name, driver="GTiff", opener=reader))
        return OpenRaster(source, dataset, file, stack.pop_all())


_LIBRARIES = (
    r"(affine|h5netcdf|h5py|numpy|pyproj|rasterio|rio_tiler|rioxarray|titiler|xarray|zarr)\b"
)


@contextmanager
def _reading(file: RemoteFile | None) -> Iterator[None]:
    """Raise a failed transfer, whatever a library made of it, and keep libraries quiet.

    What a library warns of, such as a file without overviews or with two fill values, is between
    it and the archive; a check asks whether there is a tile.
    """
    with warnings.catch_warnings(), _transfers(file):
        warnings.filterwarnings("ignore", module=_LIBRARIES)
        yield


@contextmanager
def _transfers(file: RemoteFile | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if file is not None and file.failure is not None and error is not file.failure:
            raise file.failure from error
        raise
    if file is not None and file.failure is not None:
        raise file.failure


def _hdf5_groups(root: "h5netcdf.File") -> Iterator[Group]:
    level: list[h5netcdf.Group] = [root]
    while level:
        for group in level:
            dims = {name: tuple(array.dimensions) for name, array in group.variables.items()}
            sizes = {
                dim: size
                for array in group.variables.values()
                for dim, size in zip(array.dimensions, array.shape, strict=False)
            }
            yield Group(group.name, dims, sizes)
        level = [child for group in level for child in group.groups.values()]


def _zarr_groups(source: Source) -> Iterator[Group]:
    import zarr

    root = zarr.open_group(_zarr_store(source), mode="r")
    level: list[tuple[str, zarr.Group]] = [("/", root)]
    while level:
        deeper = []
        for path, group in level:
            dims: dict[str, tuple[str, ...]] = {}
            sizes: dict[str, int] = {}
            for name, array in group.arrays():
                dims[name] = _zarr_dims(array)
                sizes.update(zip(dims[name], array.shape, strict=False))
            yield Group(path, dims, sizes)
            deeper += [(f"{path.rstrip('/')}/{name}", child) for name, child in group.groups()]
        level = deeper


def _zarr_dims(array: "zarr.Array[zarr.core.metadata.ArrayV3Metadata]") -> tuple[str, ...]:
    """Names of the dimensions: Zarr 3 has a field for them, xarray wrote Zarr 2 an attribute."""
    names = getattr(array.metadata, "dimension_names", None)
    if names is None:
        names = array.attrs.get("_ARRAY_DIMENSIONS", ())
    return tuple(str(name) for name in names)  # type: ignore[union-attr]
