"""Loads outcomes as the value of assets whose unit of work is the partition.

Such an asset hands on nothing through an IO manager: a finished key logs its own materialization,
and its outcome is all there is of it. So this one only loads.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import dagster as dg

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.exchanged_partitions import of_input, step_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.io_managers import ALLOW_MISSING
from estinel_assets.orchestration.resources import SettingsResource, StoreResource, open_book
from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.outcomes.record import Outcome

SHOWN = 10


class OutcomeIOManager(dg.IOManager):
    """The outcomes of one product line whose keys are its partitions."""

    def __init__(
        self, spec: ProductOutcomes, open_book: Callable[[], OutcomeBook], *, prefix: str = ""
    ) -> None:
        """Load from a product line's outcomes; nothing is opened yet.

        Args:
            spec: the product line.
            open_book: opens its outcomes.
            prefix: what a key has before the name of its partition.
        """
        self._spec = spec
        self._open_book = open_book
        self._prefix = prefix

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002
        """Refuse: the step itself stores outcomes."""
        raise dg.DagsterInvariantViolationError(
            f"{self._spec.product} stores its own outcomes; its steps hand on no output"
        )

    def load_input(self, context: dg.InputContext) -> Outcome | dict[str, Outcome]:
        """The outcome of a partition; where there may be several, a dict by sorted partition key.

        In a run its errors are Dagster failures; outside of one they are our own.

        Raises:
            BadInputError: no partition was named, or one has no outcome. The metadata
                `allow_missing_partitions` at the input leaves those out of the dict instead.
            StoreError: a record cannot be read.
        """
        exchange = of_input(context)
        with nullcontext() if step_of(context) is None else translated():
            keys = sorted(key for key in exchange.keys if key is not None)
            if not exchange.as_dict and not keys:
                raise BadInputError(
                    f"{context.asset_key.to_user_string()} has partitions; name one with "
                    "partition_key, or several with partition_key_range (which the asset value "
                    "loader takes)"
                )
            found = self._outcomes(keys)
            absent = [key for key in keys if key not in found]
            if absent and not (exchange.as_dict and context.definition_metadata.get(ALLOW_MISSING)):
                more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
                raise BadInputError(
                    f"{self._spec.product} has no outcome of {', '.join(absent[:SHOWN])}{more}; "
                    f"materialize {'it' if len(absent) == 1 else 'them'} first"
                )
            return found if exchange.as_dict else found[keys[0]]

    def _outcomes(self, keys: Sequence[str]) -> dict[str, Outcome]:
        """Those that there are, by key, in the order of the keys."""
        ledger = self._open_book().ledger
        found: dict[str, Outcome] = {}
        if len(keys) > 1:  # one listing for all
            wanted = {(self._prefix + key,) for key in keys}
            entries = [entry for entry in ledger.entries() if entry.key in wanted]
            found = {
                outcome.key[0].removeprefix(self._prefix): outcome
                for outcome in ledger.read(entries)
            }
        # Also those that a run has replaced since the listing.
        each = ((key, found.get(key) or ledger.get((self._prefix + key,))) for key in keys)
        return {key: outcome for key, outcome in each if outcome is not None}


def outcome_io_manager(spec: ProductOutcomes, *, prefix: str = "") -> dg.IOManagerDefinition:
    """The IO manager of a product line, on the store of the settings.

    Args:
        spec: the product line.
        prefix: what a key has before the name of its partition.
    """

    @dg.io_manager(required_resource_keys={"settings", "store"})
    def manager(context: dg.InitResourceContext) -> OutcomeIOManager:
        settings: SettingsResource = context.resources.settings
        store: StoreResource = context.resources.store
        return OutcomeIOManager(spec, lambda: open_book(spec, settings, store), prefix=prefix)

    return manager
