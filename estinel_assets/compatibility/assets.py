"""Compatibility's assets: the collections, a result for each, and the table of all.

No `from __future__ import annotations`: Dagster reads annotations.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

import dagster as dg
import pandas as pd

from estinel_assets.compatibility.collections_table import collections_frame, fetch_collections
from estinel_assets.compatibility.opening_checks import CODE_VERSION, open_book, open_checks
from estinel_assets.compatibility.reasons import COMPATIBILITY, CompatibilityReason
from estinel_assets.compatibility.results_table import table_of
from estinel_assets.compatibility.runner import Asked
from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.by_reason import by_reason_asset, raise_on_faults
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.partition_events import log_ended
from estinel_assets.orchestration.partitions import COLLECTIONS, add_partitions, sync_partitions
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.chart import markdown_bars
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome

GROUP = "compatibility"
OWNERS = ["team:compatibility"]
RESOURCES = {"settings", "store"}

NASA_CMR = dg.AssetSpec(
    "nasa_cmr",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json"},
    code_version=CODE_VERSION,
    description="NASA's Common Metadata Repository: collections and granules.",
)


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[NASA_CMR],
)
def cmr_collections(context: dg.AssetExecutionContext, settings: SettingsResource) -> pd.DataFrame:
    """Every collection with granules, as CMR lists them now; keeps the partitions in step.

    An empty answer is an error here: it changes neither the table nor the partitions.
    """
    with translated():
        frame = collections_frame(fetch_collections(settings.load()))
        added, deleted = sync_partitions(
            context.instance, COLLECTIONS, frame["concept_id"].tolist()
        )
    context.add_output_metadata(
        {"collections": len(frame), "partitions_added": added, "partitions_deleted": deleted}
    )
    return frame


@dg.asset(
    group_name=GROUP,
    kinds={"json"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="compatibility_outcomes",
    partitions_def=COLLECTIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[cmr_collections],
    required_resource_keys=RESOURCES,
    output_required=False,
)
def compatibility_results(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Outcome]]:
    """Whether a collection can be tiled, and if not, why: many collections a run.

    Each result is stored, and shown on its partition, as soon as it is known. The step hands on
    nothing else, and fails at the end where a check ended with a fault: then the partitions of
    faults are red, and all others are green, also those of an honest no.
    """
    went = check_keys(context, [(key,) for key in context.partition_keys])
    raise_on_faults(COMPATIBILITY, "checks", {key: why for (key,), why in went.items()})
    yield from ()


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[dg.AssetDep(compatibility_results, partition_mapping=dg.AllPartitionMapping())],
)
def compatibility_table(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """All results as one table, a row a collection; runs on its own."""
    with translated():
        ledger = open_book(settings.load(), store.open()).ledger
        outcomes = list(ledger.read(ledger.entries()))
        frame: pd.DataFrame = table_of(outcomes, with_details=True).to_pandas()
    counts = Counter(outcome.reason for outcome in outcomes)
    context.add_output_metadata(
        {
            "collections": len(frame),
            "compatible": sum(outcome.status for outcome in outcomes),
            "counts": dg.MetadataValue.json(dict(sorted(counts.items()))),
            "chart": dg.MetadataValue.md(markdown_bars(counts)),
        }
    )
    return frame


def check_keys(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    keys: Sequence[Key],
    *,
    anew: bool = False,
) -> dict[Key, str]:
    """Check collections, show each on its partition, and say how each one ended.

    Needs the resources in `RESOURCES`.

    Args:
        context: of the step.
        keys: of outcomes.
        anew: start their attempts at one again.

    Raises:
        Failure: the run stopped, or some were not checked; the others stand.
    """
    settings, store = context.resources.settings.load(), context.resources.store.open()
    went: dict[Key, str] = {}
    with translated():
        asked = [_concept_id(key) for key in keys]
        unknown = _not_partitions(context.instance, asked)
        checks = open_checks(settings, store, context.run.run_id, anew=anew)
        with closing(checks.outcomes(map(Asked, asked))) as outcomes:
            for outcome in outcomes:
                went[outcome.key] = outcome.reason
                concept_id = outcome.key[0]
                if concept_id in unknown:
                    add_partitions(context.instance, COLLECTIONS, [concept_id])
                fault = parse_reason(CompatibilityReason, outcome.reason).fault
                asset = compatibility_results.key
                log_ended(context, asset, concept_id, shown(outcome), fault=fault)
    return went


def _concept_id(key: Key) -> str:
    """The collection of a key.

    Raises:
        BadInputError: it is no key of a collection.
    """
    if len(key) != 1:
        raise BadInputError(
            f"{encode_key(key)} is no key of compatibility; give a collection's concept id, such "
            "as C1996881146-POCLOUD"
        )
    return key[0]


def _not_partitions(instance: dg.DagsterInstance, concept_ids: Sequence[str]) -> set[str]:
    """Collections without a partition; they get one when it is known that they exist."""
    return set(concept_ids) - set(instance.get_dynamic_partitions(str(COLLECTIONS.name)))


def shown(outcome: Outcome) -> dict[str, str | int | float | bool]:
    """What the UI shows of a result."""
    details = ("hint", "variable", "format", "extension", "data_url", "concept_id")
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "attempts": outcome.attempts,
        "duration_s": outcome.duration_s,
        **({"error": outcome.error} if outcome.error else {}),
        **{name: outcome.detail[name] for name in details if outcome.detail.get(name)},
    }


def reprocess(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, keys: Sequence[Key]
) -> dict[Key, str]:
    """Check collections again because somebody asked for it."""
    return check_keys(context, keys, anew=True)


compatibility_by_reason = by_reason_asset(
    COMPATIBILITY,
    upstream=compatibility_results.key.to_user_string(),
    owners=OWNERS,
    code_version=CODE_VERSION,
    resource_keys=RESOURCES,
    reprocess=reprocess,
)

ASSETS: list[dg.AssetSpec | dg.AssetsDefinition] = [
    NASA_CMR,
    cmr_collections,
    compatibility_results,
    compatibility_table,
    compatibility_by_reason,
]
