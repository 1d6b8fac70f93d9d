"""Loads outcomes as the value of assets whose unit of work is the partition.

Such an asset hands on nothing through an IO manager: a finished key logs its own materialization,
and its outcome is all there is of it. So this one only loads.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.outcomes.record import Outcome


class OutcomeIOManager(dg.IOManager):
    """The outcomes of one product line, by partition."""

    def __init__(self, spec: ProductOutcomes, open_book: Callable[[], OutcomeBook]) -> None:
        """Load from a product line's outcomes; nothing is opened yet."""
        self._spec = spec
        self._open_book = open_book

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002
        """Refuse: the step itself stores outcomes."""
        raise dg.DagsterInvariantViolationError(
            f"{self._spec.product} stores its own outcomes; its steps hand on no output"
        )

    def load_input(self, context: dg.InputContext) -> Outcome | dict[str, Outcome]:
        """The outcome of a partition; of several, a dict by partition.

        Raises:
            BadInputError: a partition has no outcome.
        """
        with translated():
            ledger = self._open_book().ledger
            found = {key: ledger.get((key,)) for key in context.asset_partition_keys}
        absent = sorted(key for key, outcome in found.items() if outcome is None)
        if absent:
            raise BadInputError(
                f"{self._spec.product} has no outcome of {', '.join(absent[:10])}; "
                "materialize it first"
            )
        whole = {key: outcome for key, outcome in found.items() if outcome is not None}
        return next(iter(whole.values())) if len(whole) == 1 else whole


def outcome_io_manager(spec: ProductOutcomes) -> dg.IOManagerDefinition:
    """The IO manager of a product line, on the store of the settings."""

    @dg.io_manager(required_resource_keys={"settings", "store"})
    def manager(context: dg.InitResourceContext) -> OutcomeIOManager:
        settings: SettingsResource = context.resources.settings
        store: StoreResource = context.resources.store
        return OutcomeIOManager(
            spec,
            lambda: OutcomeBook.from_settings(store.open(), spec, settings.load().outcomes),
        )

    return manager
