"""The Zarr v3 store of a tile-year: one group for each product, each written whole.

::

    ard/{year}/{tag}.zarr/zarr.json              the root: which tile, which year
    ard/{year}/{tag}.zarr/{group}/zarr.json      a group, written last of all its objects
    ard/{year}/{tag}.zarr/{group}/…              its arrays

Any Zarr library opens the store, or a group of it. A group's `zarr.json` carries the number, bytes
and checksum of the group's other objects (`stored_objects`, `stored_bytes`, `stored_sha256`).

* A group without its `zarr.json` does not exist: whatever else lies in its folder is left from an
  interrupted write, is seen by nobody, and is overwritten or removed by the next one.
* A group that lost an object, or has one too many, is refused when it is read. Zarr alone would
  take the lost chunk for one that is full of nodata.
* Writing the same values again changes nothing, and two workers that do it at the same time write
  the same bytes. Other values first take the `zarr.json` away, so that no reader meets a mixture.

Whether a product is complete is said by its outcome alone; a group that can be read is only what
the outcome speaks of.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from pyproj import CRS
from zarr.storage import MemoryStore

from estinel_assets.ard.encoded_steps import COMPRESSOR, EncodedSteps
from estinel_assets.ard.scratch import Kept
from estinel_assets.compute.threads import Threads
from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.orchestration.zarr_groups import Entry, GroupStore
from estinel_assets.raster.grids import Grid
from estinel_assets.storage.documents import JSON_TYPE, dump_json, read_json
from estinel_assets.storage.port import ObjectStore

GROUPS: Final = ("dem", "s1", "s2_10", "s2_20", "clouds")
"""The groups of a store."""

_HEADER: Final = "zarr.json"
_OBJECTS, _BYTES, _SHA256 = "stored_objects", "stored_bytes", "stored_sha256"
_WRITES_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group that stands."""

    group: str
    """One of `GROUPS`."""
    n_objects: int
    """Without its `zarr.json`."""
    n_bytes: int
    """Of these objects."""
    sha256: str
    """Of their names, sizes and checksums, hexadecimal: the same for equal objects."""


def write_group(
    store: ObjectStore,
    path: str,
    group: str,
    dataset: xr.Dataset,
    *,
    root: Mapping[str, Any],
) -> StoredGroup:
    """Write a group whole, in the place of what stood there.

    Args:
        store: the object store.
        path: of the tile-year, as `ard/2023/1035X727Y.zarr`.
        group: one of `GROUPS`.
        dataset: its arrays; what a reader gets back unscaled. Each becomes one object, or one a
            step if it is made of `EncodedSteps`.
        root: attributes of the store's root, the same for all groups.

    Raises:
        BadInputError: there is no such group, or the dataset cannot be stored as Zarr.
        StoreError: the store refuses; then the group does not exist, or is the former one.
    """
    folder = _folder(path, group)
    zarr_json, objects = _encoded(dataset, store.uri(folder))
    header = json.loads(zarr_json)
    described = _described(group, objects)
    header["attributes"] |= {
        _OBJECTS: described.n_objects,
        _BYTES: described.n_bytes,
        _SHA256: described.sha256,
    }
    standing = _read_header(store, folder)
    listed = _listed(store, folder)
    if standing == header and _fits(described, listed):
        return described
    if standing is not None:
        store.delete(f"{folder}/{_HEADER}")
    _put_header(store, path, {"attributes": dict(root), "zarr_format": 3, "node_type": "group"})

    def put(key: str) -> None:
        body = objects[key]
        store.put(f"{folder}/{key}", body.read() if isinstance(body, Kept) else body)

    with closing(Threads(_WRITES_AT_ONCE).map(put, objects)) as written:
        for completed in written:
            completed.result()
    left_over = [f"{folder}/{key}" for key in sorted(listed) if key not in objects]
    if left_over:
        store.delete_many(left_over)
    _put_header(store, folder, header)
    return described


def read_group(store: ObjectStore, path: str, group: str, *, scaled: bool = False) -> xr.Dataset:
    """Open a group; chunks are read when their values are used.

    Args:
        store: the object store.
        path: of the tile-year.
        group: one of `GROUPS`.
        scaled: whether values come in their units, as floats with NaN for nodata; else as stored.

    Raises:
        NotFoundError: there is no finished group.
        StoreError: the group has lost an object, or the store refuses.
    """
    folder, _, entries = _standing(store, path, group)
    dataset: xr.Dataset = xr.open_zarr(
        GroupStore(store, folder, entries, read_only=True),
        chunks=None,
        consolidated=False,
        decode_coords="all",
        mask_and_scale=scaled,
        zarr_format=3,
    )
    for name in (_OBJECTS, _BYTES, _SHA256):
        dataset.attrs.pop(name)
    return dataset


def check_group(
    store: ObjectStore, path: str, group: str, *, checksums: bool = False
) -> StoredGroup:
    """Look whether a group stands: its objects are listed anew.

    Args:
        store: the object store.
        path: of the tile-year.
        group: one of `GROUPS`.
        checksums: whether every object is read and its checksum made anew.

    Raises:
        NotFoundError: there is no finished group.
        StoreError: an object is lost, foreign or changed, or the store refuses.
    """
    folder, described, entries = _standing(store, path, group)
    if checksums:
        objects = {key: store.get(f"{folder}/{key}").data for key in entries if key != _HEADER}
        if _described(group, objects) != described:
            raise _damaged(store, folder, "its objects are not the ones that were written")
    return described


def groups_in(store: ObjectStore, path: str) -> tuple[str, ...]:
    """The finished groups of a tile-year, in the order of `GROUPS`."""
    folders = set(store.list_folders(path))
    return tuple(
        group
        for group in GROUPS
        if group in folders and _read_header(store, _folder(path, group)) is not None
    )


def remove_group(store: ObjectStore, path: str, group: str) -> None:
    """Remove a group and what an interrupted write has left of one; nothing there is no error."""
    folder = _folder(path, group)
    store.delete(f"{folder}/{_HEADER}")
    left_over = [f"{folder}/{key}" for key in sorted(_listed(store, folder))]
    if left_over:
        store.delete_many(left_over)


def grid_coordinates(grid: Grid, suffix: str = "") -> dict[str, xr.Variable]:
    """Coordinates by the CF conventions, whose CRS rioxarray and GDAL read.

    Args:
        grid: in metres.
        suffix: of the names of `x` and `y`, for a second grid of a group, in the same CRS.

    Returns:
        `x` and `y`, the pixels' centres in metres, and `spatial_ref`, the grid mapping, which
        variables on the grid name in their encoding (`grid_mapping`).
    """
    crs = CRS.from_user_input(grid.crs)
    # No GeoTransform: it would be one for all grids of the group; the centres say the same.
    mapping = {**crs.to_cf(), "spatial_ref": crs.to_wkt()}
    x = grid.left + (np.arange(grid.width) + 0.5) * grid.resolution
    y = grid.top - (np.arange(grid.height) + 0.5) * grid.resolution
    coordinates = {
        f"{axis.lower()}{suffix}": xr.Variable(
            (f"{axis.lower()}{suffix}",),
            centres,
            attrs={
                "standard_name": f"projection_{axis.lower()}_coordinate",
                "long_name": f"{axis.lower()} of the pixels' centres",
                "units": "m",
                "axis": axis,
            },
        )
        for axis, centres in (("X", x), ("Y", y))
    }
    return {**coordinates, "spatial_ref": xr.Variable((), np.int64(0), attrs=mapping)}


def coordinates_along(
    dimension: str, rows: Mapping[str, tuple[Sequence[str] | ArrayLike, str]]
) -> dict[str, xr.Variable]:
    """Coordinates that say something of every step.

    Args:
        dimension: the steps' dimension.
        rows: by name, one text or number a step, and what it means.
    """
    coordinates = {}
    for name, (values, meaning) in rows.items():
        array = np.asarray(values)
        attributes = {"long_name": meaning}
        if array.dtype.kind == "U":
            array = array.astype(object)  # Zarr v3 has text of any length only
        else:
            attributes["units"] = "1"
        coordinates[name] = xr.Variable((dimension,), array, attributes)
    return coordinates


def _folder(path: str, group: str) -> str:
    if group not in GROUPS:
        raise BadInputError(f"no group is called {group!r}; choose one of: {', '.join(GROUPS)}")
    return f"{path}/{group}"


def _encoded(dataset: xr.Dataset, uri: str) -> tuple[bytes, dict[str, bytes | Kept]]:
    """A dataset as a Zarr group: its `zarr.json`, and its other objects by key."""
    held: dict[str, Any] = {}
    mappings = {
        name: variable.encoding["grid_mapping"]
        for name, variable in dataset.data_vars.items()
        if "grid_mapping" in variable.encoding
    }
    encodings = {name: _encoding(dataset, name) for name in dataset.variables}
    plain = dataset.drop_encoding()
    plain = plain.assign(
        {name: plain[name].assign_attrs(grid_mapping=mapping) for name, mapping in mappings.items()}
    )
    made = {
        name: variable.variable.data
        for name, variable in plain.data_vars.items()
        if isinstance(variable.variable.data, EncodedSteps)
    }
    plain = plain.assign({name: _empty(plain[name], steps) for name, steps in made.items()})
    try:
        plain.to_zarr(
            MemoryStore(held),
            mode="w-",
            zarr_format=3,
            consolidated=False,
            encoding=encodings,
        )
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"the dataset for {uri} cannot be stored as Zarr: {error}; "
            "change its values or attributes"
        ) from error
    objects: dict[str, bytes | Kept] = {key: found.to_bytes() for key, found in held.items()}
    for name, steps in made.items():
        objects |= {f"{name}/{key}": chunk for key, chunk in steps.objects().items()}
    header = held[_HEADER].to_bytes()
    del objects[_HEADER]
    return header, dict(sorted(objects.items()))


def _empty(variable: xr.DataArray, steps: EncodedSteps) -> xr.Variable:
    """A variable full of nodata in no memory, of which Zarr writes no chunk."""
    zeros = np.broadcast_to(np.zeros((), steps.dtype), steps.shape)
    return xr.Variable(variable.dims, zeros, variable.attrs)


def _encoding(dataset: xr.Dataset, name: Hashable) -> dict[str, Any]:
    variable = dataset.variables[name]
    encoding: dict[str, Any] = {}
    if variable.dtype.kind == "f" and "_FillValue" not in variable.attrs:
        encoding["_FillValue"] = None  # xarray would add NaN, which CF forbids for coordinates
    if name in dataset.data_vars and variable.size:
        made = isinstance(variable.data, EncodedSteps)
        encoding["compressors"] = (COMPRESSOR,)
        encoding["chunks"] = variable.data.chunk_shape if made else variable.shape
    return encoding


def _described(group: str, objects: Mapping[str, bytes | Kept]) -> StoredGroup:
    rows: list[list[Any]] = []
    for key, body in sorted(objects.items()):
        if isinstance(body, Kept):
            rows.append([key, body.size, body.sha256])
        else:
            rows.append([key, len(body), sha256(body).hexdigest()])
    return StoredGroup(
        group=group,
        n_objects=len(rows),
        n_bytes=sum(size for _, size, _ in rows),
        sha256=sha256(json.dumps(rows).encode()).hexdigest(),
    )


def _standing(
    store: ObjectStore, path: str, group: str
) -> tuple[str, StoredGroup, dict[str, Entry]]:
    """A finished group's folder, what its header says of it, and its objects."""
    folder = _folder(path, group)
    header = _read_header(store, folder)
    if header is None:
        raise _absent(store, path, group)
    try:
        said = header["attributes"]
        described = StoredGroup(group, said[_OBJECTS], said[_BYTES], said[_SHA256])
    except (KeyError, TypeError):
        raise _damaged(store, folder, "its zarr.json is not one of ours") from None
    sizes = _sizes(store, folder)
    if _HEADER not in sizes:  # somebody has just begun to replace it
        raise _absent(store, path, group)
    listed = _without_header(sizes)
    if not _fits(described, listed):
        raise _damaged(
            store,
            folder,
            f"{len(listed)} objects of {sum(listed.values())} bytes stand where "
            f"{described.n_objects} of {described.n_bytes} were written",
        )
    return folder, described, {key: Entry(n_bytes, "") for key, n_bytes in sizes.items()}


def _sizes(store: ObjectStore, folder: str) -> dict[str, int]:
    """Size of every object of a group, by key."""
    return {found.path.removeprefix(f"{folder}/"): found.size for found in store.list(folder)}


def _without_header(sizes: Mapping[str, int]) -> dict[str, int]:
    return {key: size for key, size in sizes.items() if key != _HEADER}


def _listed(store: ObjectStore, folder: str) -> dict[str, int]:
    """Size of every object of a group, by key; its header aside."""
    return _without_header(_sizes(store, folder))


def _fits(described: StoredGroup, listed: Mapping[str, int]) -> bool:
    return (len(listed), sum(listed.values())) == (described.n_objects, described.n_bytes)


def _read_header(store: ObjectStore, folder: str) -> Any:
    try:
        return read_json(store, f"{folder}/{_HEADER}")
    except NotFoundError:
        return None


def _put_header(store: ObjectStore, folder: str, header: Mapping[str, Any]) -> None:
    body = dump_json(header, what=store.uri(folder))
    store.put(f"{folder}/{_HEADER}", body, content_type=JSON_TYPE)


def _absent(store: ObjectStore, path: str, group: str) -> NotFoundError:
    return NotFoundError(
        f"{store.uri(path)} has no finished group {group!r}; make the tile-year first"
    )


def _damaged(store: ObjectStore, folder: str, why: str) -> StoreError:
    return StoreError(f"{store.uri(folder)} is damaged: {why}; make the tile-year again")
