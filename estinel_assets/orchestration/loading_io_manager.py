"""Loads what stands at contract paths as the value of assets that store their own outputs."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import dagster as dg

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.exchanged_partitions import of_input, step_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import StoreResource
from estinel_assets.storage.port import ObjectStore

Load = Callable[[ObjectStore, str], Any]
"""Loads the value of a partition.

Raises:
    BadInputError: there is none; the message says what to materialize.
    StoreError: it cannot be read.
"""


class LoadingIOManager(dg.IOManager):
    """Values of the partitions of one asset; it only loads."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        """Nothing is opened yet.

        Args:
            load: the value of a partition.
        """
        self._load = load

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002
        """Refuse: the step itself stores what it makes."""
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()} stores its own outputs; its step hands on none"
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """The value of a partition; where there may be several, a dict by sorted partition key.

        In a run its errors are Dagster failures; outside of one they are our own.

        Raises:
            BadInputError: no partition was named, or one was never made.
            StoreError: a value cannot be read.
        """
        exchange = of_input(context)
        with nullcontext() if step_of(context) is None else translated():
            keys = sorted(key for key in exchange.keys if key is not None)
            if not keys and not exchange.as_dict:
                raise BadInputError(
                    f"{context.asset_key.to_user_string()} has partitions; name one with "
                    "partition_key, or several with partition_key_range (which the asset value "
                    "loader takes)"
                )
            loaded = {key: self._load(key) for key in keys}
            return loaded if exchange.as_dict else loaded[keys[0]]


def loading_io_manager(load: Load) -> dg.IOManagerDefinition:
    """The IO manager of an asset, on the store of the settings.

    Args:
        load: the value of a partition.
    """

    @dg.io_manager(required_resource_keys={"store"})
    def manager(context: dg.InitResourceContext) -> LoadingIOManager:
        store: StoreResource = context.resources.store
        return LoadingIOManager(lambda key: load(store.open(), key))

    return manager
