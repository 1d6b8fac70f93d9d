"""Arrays as assets: xarray Datasets as Zarr v3. Needs the extra `arrays`."""

from typing import Any
from uuid import uuid4

import xarray as xr

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.io_managers import AssetIOManager, Kept
from estinel_assets.orchestration.zarr_groups import (
    GroupStore,
    group_folder,
    open_group,
    publish,
    remove_group,
)
from estinel_assets.storage.port import ObjectStore


class ZarrIOManager(AssetIOManager):
    """xarray Datasets as Zarr v3.

    They load lazily: chunks are read when their values are used. `grid_mapping` stays in place, so
    that rioxarray reads the CRS.
    """

    @property
    def ending(self) -> str:
        """See `AssetIOManager.ending`."""
        return ".zarr.json"

    def save(self, store: ObjectStore, path: str, value: xr.Dataset) -> Kept:
        """See `AssetIOManager.save`."""
        if not isinstance(value, xr.Dataset):
            raise BadInputError(
                f"{path} is kept as Zarr and takes an xarray Dataset, "
                f"not a {type(value).__name__}; a DataArray becomes one with to_dataset(name=…)"
            )
        version = uuid4().hex
        written = GroupStore(store, group_folder(path, version), {}, read_only=False)
        try:
            _text_of_any_length(value).to_zarr(
                written, mode="w-", zarr_format=3, consolidated=False
            )
        except (TypeError, ValueError) as error:
            raise BadInputError(
                f"the dataset for {path} cannot be stored as Zarr: {error}; "
                "change its values, attributes or encoding"
            ) from error
        published = publish(store, path, written, version)
        return Kept(published.n_bytes, published.sha256, store.uri(published.group))

    def load(self, store: ObjectStore, path: str, hint: object) -> xr.Dataset:  # noqa: ARG002
        """See `AssetIOManager.load`."""
        # Not consolidated: Zarr v3 does not specify it, and the manifest saves the listing.
        dataset: xr.Dataset = xr.open_zarr(
            open_group(store, path),
            chunks=None,
            consolidated=False,
            decode_coords="all",
            zarr_format=3,
        )
        return dataset

    def remove(self, store: ObjectStore, path: str) -> None:
        """See `AssetIOManager.remove`."""
        remove_group(store, path)


def _text_of_any_length(dataset: xr.Dataset) -> xr.Dataset:
    """Text of fixed length has no specification in Zarr v3, text of any length has."""
    texts: dict[Any, Any] = {
        name: variable.astype(object)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind == "U"
    }
    return dataset.assign(texts) if texts else dataset
