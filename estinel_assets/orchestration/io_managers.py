"""IO managers: they keep what an asset hands on, as one form each, and do nothing else.

Objects stand below `assets/`, never at a contract path::

    assets/{asset key…}{ending}
    assets/{asset key…}/partition={partition key}{ending}

Segments are percent-encoded as in outcomes' paths, so that no key leaves its folder, and
`partition=` keeps the partition `b` of an asset `a` apart from an asset `a/b`. An asset that may
see several partitions of another always exchanges a dict of them (`exchanged_partitions`).

`ZarrIOManager` stands in a module of its own, because its libraries are in the extra `arrays`.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from hashlib import sha256
from typing import Any, get_args, get_origin

import dagster as dg
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, TypeAdapter, ValidationError

from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.orchestration.exchanged_partitions import Exchange, of_input, of_output, step_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import StoreResource
from estinel_assets.outcomes.paths import encode_segment
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import PARQUET_TYPE, table_bytes, table_from_bytes

ROOT = "assets"
"""Folder of the store that holds everything that IO managers keep."""

ALLOW_MISSING = "allow_missing_partitions"
"""Metadata of an input that goes without the partitions that were never made."""

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """What was stored of one value."""

    n_bytes: int
    sha256: str
    """Hexadecimal; the same for equal values."""
    uri: str


def asset_path(asset: dg.AssetKey, partition: str | None, ending: str) -> str:
    """Where in the store a value of an asset stands.

    Raises:
        BadInputError: a part of the asset key, or the partition key, needs over 200 bytes.
    """
    segments = [ROOT, *(encode_segment(part) for part in asset.path)]
    if partition is not None:
        segments.append(f"partition={encode_segment(partition)}")
    return "/".join(segments) + ending


class AssetIOManager(dg.ConfigurableIOManager):
    """What the forms share: paths, partitions, metadata, and what to say of what is absent.

    In a run its errors are Dagster failures; outside of one, such as with `load_asset_value`, they
    are our own.
    """

    store: dg.ResourceDependency[StoreResource]

    @property
    @abstractmethod
    def ending(self) -> str:
        """Ending of the path, with the dot."""

    @abstractmethod
    def save(self, store: ObjectStore, path: str, value: Any) -> Kept:
        """Store a value atomically: readers see the former or the new one, whole.

        Raises:
            BadInputError: this form cannot hold the value.
            StoreError: the store refuses.
        """

    @abstractmethod
    def load(self, store: ObjectStore, path: str, hint: object) -> Any:
        """Load what `save` stored.

        Args:
            store: where from.
            path: as given to `save`.
            hint: the Python type that the reader asks for; None or `Any` where it does not say.

        Raises:
            NotFoundError: there is nothing.
            StoreError: what stands there is not of this form.
        """

    def remove(self, store: ObjectStore, path: str) -> None:
        """Remove what `save` stored; nothing there is no error."""
        store.delete(path)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store an output, or one value for each partition of it.

        None means that there is no value: nothing is stored, and a former value is removed, since
        readers would take it for this run's.
        """
        with _reported(context):
            _check_is_asset(context)
            store = self.store.open()
            exchange = of_output(context)
            values = _by_partition(context.asset_key, exchange, obj)
            for partition, value in values.items():
                path = asset_path(context.asset_key, partition, self.ending)
                if value is None:
                    self.remove(store, path)
                    continue
                kept = self.save(store, path, value)
                _add_metadata(context, partition if exchange.as_dict else None, kept)

    def load_input(self, context: dg.InputContext) -> Any:
        """Load an upstream value, or a dict of them by partition key.

        Raises:
            BadInputError: one was never made; the message names the asset and the partitions.
                `metadata={"allow_missing_partitions": True}` at the input leaves them out of the
                dict instead.
        """
        with _reported(context):
            _check_is_asset(context)
            exchange = of_input(context)
            _check_partition_is_named(context, exchange.keys)
            hint = context.dagster_type.typing_type
            store = self.store.open()
            loaded, missing = {}, []
            for partition in exchange.keys:
                path = asset_path(context.asset_key, partition, self.ending)
                try:
                    wanted = _value_hint(hint) if exchange.as_dict else hint
                    loaded[partition] = self.load(store, path, wanted)
                except NotFoundError:
                    missing.append(partition)
            go_without = exchange.as_dict and context.definition_metadata.get(ALLOW_MISSING)
            if missing and not go_without:
                raise _never_made(context.asset_key, missing, as_dict=exchange.as_dict)
            return loaded if exchange.as_dict else loaded[exchange.keys[0]]


class ParquetIOManager(AssetIOManager):
    """Tables as Parquet; they load as pandas DataFrames on Arrow types."""

    @property
    def ending(self) -> str:
        """See `AssetIOManager.ending`."""
        return ".parquet"

    def save(self, store: ObjectStore, path: str, value: pd.DataFrame | pa.Table) -> Kept:
        """See `AssetIOManager.save`. A named index is refused, because Parquet would lose it."""
        if isinstance(value, pd.DataFrame):
            named = [str(name) for name in value.index.names if name is not None]
            if named:
                raise BadInputError(
                    f"the table for {path} has the index {', '.join(named)}, which would be lost; "
                    "make it a column with reset_index()"
                )
        elif not isinstance(value, pa.Table):
            raise BadInputError(
                f"{path} is kept as Parquet and takes a DataFrame or an Arrow table, "
                f"not a {type(value).__name__}; return a table or choose another IO manager"
            )
        return put_bytes(store, path, table_bytes(value), PARQUET_TYPE)

    def load(self, store: ObjectStore, path: str, hint: object) -> pd.DataFrame | pa.Table:
        """See `AssetIOManager.load`; a reader that asks for `pyarrow.Table` gets one."""
        table = table_from_bytes(store.get(path).data, what=store.uri(path))
        if hint is pa.Table:
            return table
        return pd.DataFrame(table.to_pandas(types_mapper=pd.ArrowDtype))


class JsonIOManager(AssetIOManager):
    """Small records as JSON; models and dataclasses load as such where the reader asks for them."""

    @property
    def ending(self) -> str:
        """See `AssetIOManager.ending`."""
        return ".json"

    def save(self, store: ObjectStore, path: str, value: Any) -> Kept:
        """See `AssetIOManager.save`."""
        if _is_record(type(value)):
            value = TypeAdapter(type(value)).dump_python(value, mode="json")
        return put_bytes(store, path, dump_json(value, what=store.uri(path)), JSON_TYPE)

    def load(self, store: ObjectStore, path: str, hint: object) -> Any:
        """See `AssetIOManager.load`."""
        value = load_json(store.get(path).data, what=store.uri(path))
        if not isinstance(hint, type) or not _is_record(hint):
            return value
        try:
            return TypeAdapter(hint).validate_python(value)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise StoreError(
                f"{store.uri(path)} is no {hint.__name__} ({problems}); materialize its asset again"
            ) from None


def put_bytes(store: ObjectStore, path: str, payload: bytes, content_type: str) -> Kept:
    """Store one object and say what was stored.

    Raises:
        StoreError: the store refuses.
    """
    store.put(path, payload, content_type=content_type)
    return Kept(len(payload), sha256(payload).hexdigest(), store.uri(path))


@contextmanager
def _reported(context: dg.InputContext | dg.OutputContext) -> Iterator[None]:
    if step_of(context) is None:
        yield
        return
    with translated():
        yield


def _check_is_asset(context: dg.InputContext | dg.OutputContext) -> None:
    if not context.has_asset_key:
        raise BadInputError(
            f"{context.name} is no asset; only assets are kept in the object store. "
            "Use Dagster's fs_io_manager between ops"
        )


def _check_partition_is_named(context: dg.InputContext, keys: tuple[str | None, ...]) -> None:
    """A partitioned asset of which no partition was asked for; only possible outside of a run."""
    if keys != (None,):
        return
    try:
        partitions = context.asset_partitions_def
    except dg.DagsterInvariantViolationError:
        return
    raise BadInputError(
        f"{context.asset_key.to_user_string()} has partitions "
        f"({getattr(partitions, 'name', None) or type(partitions).__name__}); "
        "name one with partition_key, or several with partition_key_range (which the asset value "
        "loader takes)"
    )


def _by_partition(asset: dg.AssetKey, exchange: Exchange, value: Any) -> Mapping[str | None, Any]:
    keys = exchange.keys
    if not exchange.as_dict:
        return {keys[0]: value}
    name = asset.to_user_string()
    if not isinstance(value, Mapping):
        raise BadInputError(
            f"{name} may cover several partitions in a run and returned a {type(value).__name__}; "
            "return a dict with one value for each partition key"
        )
    absent = [str(key) for key in keys if key not in value]
    strange = [str(key) for key in value if key not in set(keys)]
    if absent or strange:
        problems = [
            f"{word} {_listed(found)}"
            for word, found in (("lacks", absent), ("has the unknown", strange))
            if found
        ]
        raise BadInputError(
            f"{name} must return one value for each of the {len(keys)} partitions of its run; "
            f"its dict {' and '.join(problems)}. None stands for no value"
        )
    return value


def _add_metadata(context: dg.OutputContext, partition: str | None, kept: Kept) -> None:
    metadata = {
        "stored_bytes": dg.MetadataValue.int(kept.n_bytes),
        "stored_sha256": dg.MetadataValue.text(kept.sha256),
        "stored_uri": dg.MetadataValue.path(kept.uri),
    }
    step = step_of(context)
    if partition is None or step is None:
        context.add_output_metadata(metadata)
    else:
        step.add_asset_metadata(metadata, context.asset_key, partition)


def _never_made(asset: dg.AssetKey, missing: list[str | None], *, as_dict: bool) -> BadInputError:
    name = asset.to_user_string()
    if missing == [None]:
        return BadInputError(f"{name} was never made, or holds no value; materialize it first")
    named = _listed([str(key) for key in missing])
    word = "partition" if len(missing) == 1 else "partitions"
    go_without = (
        f', or go without: AssetIn(metadata={{"{ALLOW_MISSING}": True}})' if as_dict else ""
    )
    return BadInputError(
        f"{name} was never made, or holds no value, for {word} {named}; "
        f"materialize {'it' if len(missing) == 1 else 'them'} first{go_without}"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _is_record(kind: type) -> bool:
    return issubclass(kind, BaseModel) or is_dataclass(kind)


def _value_hint(hint: object) -> object:
    """`T` of `dict[str, T]`; None where the reader does not say."""
    arguments = get_args(hint)
    is_mapping = get_origin(hint) in {dict, Mapping}
    return arguments[1] if is_mapping and len(arguments) == 2 else None
