"""IO managers: they keep what an asset hands on, as one form each, and do nothing else.

Objects stand under `assets/{asset key}[/{partition}]`, never at a contract path. An asset that
sees several partitions of another always gets a dict of them, by partition key.
"""

from abc import abstractmethod
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, get_origin

import dagster as dg
import pandas as pd

from estinel_assets.errors import BadInputError, NotFoundError
from estinel_assets.orchestration.resources import StoreResource
from estinel_assets.outcomes.paths import encode_segment
from estinel_assets.storage.documents import dump_json, load_json
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import table_bytes, table_from_bytes


class ObjectIOManager(dg.ConfigurableIOManager):
    """What the forms share: paths, partitions, byte counts and checksums."""

    store: dg.ResourceDependency[StoreResource]

    @property
    @abstractmethod
    def ending(self) -> str:
        """File name ending, with the dot."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """The value as bytes, the same for equal values."""

    @abstractmethod
    def decode(self, payload: bytes) -> Any:
        """The value that `encode` made this of."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store an output; a dict of them where the run covers several partitions."""
        if obj is None:
            return
        store = self.store.open()
        written, digest = 0, sha256()
        parts = self._parts(context, obj)
        for path, value in parts.items():
            payload = self.encode(value)
            store.put(path, payload)
            written += len(payload)
            digest.update(payload)
        context.add_output_metadata(
            {
                "bytes": written,
                "sha256": digest.hexdigest(),
                "uri": dg.MetadataValue.path(
                    store.uri(next(iter(parts))) if len(parts) == 1 else store.url
                ),
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an upstream value.

        Raises:
            BadInputError: it was never made; the message names the asset and the partition.
        """
        store = self.store.open()
        if not context.has_asset_partitions:
            return self._load(store, context.asset_key, None)
        keys = list(context.asset_partition_keys)
        if len(keys) == 1 and not _wants_dict(context):
            return self._load(store, context.asset_key, keys[0])
        return {key: self._load(store, context.asset_key, key) for key in keys}

    def _parts(self, context: dg.OutputContext, obj: Any) -> dict[str, Any]:
        if not context.has_asset_partitions:
            return {self._path(context.asset_key, None): obj}
        keys = list(context.asset_partition_keys)
        if len(keys) == 1:
            return {self._path(context.asset_key, keys[0]): obj}
        if not isinstance(obj, Mapping) or set(obj) != set(keys):
            raise BadInputError(
                f"{context.asset_key.to_user_string()} covers {len(keys)} partitions and must "
                "return a dict with exactly one value for each partition key"
            )
        return {self._path(context.asset_key, key): obj[key] for key in keys}

    def _path(self, asset: dg.AssetKey, partition: str | None) -> str:
        segments = [encode_segment(part) for part in asset.path]
        if partition is not None:
            segments.append(encode_segment(partition))
        return "assets/" + "/".join(segments) + self.ending

    def _load(self, store: ObjectStore, asset: dg.AssetKey, partition: str | None) -> Any:
        try:
            return self.decode(store.get(self._path(asset, partition)).data)
        except NotFoundError:
            name = asset.to_user_string()
            at = f" for partition {partition}" if partition is not None else ""
            raise BadInputError(f"{name} was never made{at}; materialize it first") from None


def _wants_dict(context: dg.InputContext) -> bool:
    hint = context.dagster_type.typing_type
    return hint is dict or get_origin(hint) in {dict, Mapping}


class ParquetIOManager(ObjectIOManager):
    """DataFrames as Parquet; they come back on Arrow types."""

    @property
    def ending(self) -> str:
        """See `ObjectIOManager`."""
        return ".parquet"

    def encode(self, value: pd.DataFrame) -> bytes:
        """See `ObjectIOManager`."""
        return table_bytes(value)

    def decode(self, payload: bytes) -> pd.DataFrame:
        """See `ObjectIOManager`."""
        return pd.DataFrame(table_from_bytes(payload).to_pandas(types_mapper=pd.ArrowDtype))


class JsonIOManager(ObjectIOManager):
    """Small records as JSON."""

    @property
    def ending(self) -> str:
        """See `ObjectIOManager`."""
        return ".json"

    def encode(self, value: Any) -> bytes:
        """See `ObjectIOManager`."""
        return dump_json(value)

    def decode(self, payload: bytes) -> Any:
        """See `ObjectIOManager`."""
        return load_json(payload)
