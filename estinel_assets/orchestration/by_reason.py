"""By-reason assets: reprocess from the Dagster UI whatever stands under a status and reason.

Their partitions are the pairs of status and reason, so that a backfill over `false:source_timeout`
makes exactly those units again that stand there when its run starts. Where more stand there than
one run takes, the oldest records come first: what fails again gets a new record, and so goes to the
end of the queue.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nsmallest

import dagster as dg

from estinel_assets.orchestration.failures import faults_failure
from estinel_assets.orchestration.resources import open_book
from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.ledger import Entry, Selection
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import NO_REASON

MOST_KEYS = 500
"""Keys a run: each costs events, and a run should end within a working day."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def raise_on_faults(
    spec: ProductOutcomes,
    what: str,
    went: Mapping[str, str],
    *,
    key: str | None = None,
    metadata: Mapping[str, int | float | str | bool] | None = None,
) -> None:
    """Fail a step that is done, where some of its keys ended with a fault.

    Args:
        spec: the product line.
        what: names what the step worked on, such as a partition.
        went: reason by key.
        key: the leading part that all keys have in common, if there is one.
        metadata: what the step would have said of itself; a failed one has no other place for it.

    Raises:
        Failure: there are faults; it names them.
    """
    faults = {key: why for key, why in went.items() if parse_reason(spec.reasons, why).fault}
    if faults:
        raise faults_failure(spec.product, what, faults, metadata, key=key)


Reprocess = Callable[[dg.AssetExecutionContext, Sequence[Key]], Mapping[Key, str]]
"""Makes keys again, logs their materializations, and returns the reason of each afterwards."""


def by_reason_partitions(spec: ProductOutcomes) -> dg.StaticPartitionsDefinition:
    """One partition a pair of status and reason, such as `false:timeout` and `true:none`."""
    return dg.StaticPartitionsDefinition(
        [f"{'true' if reason == NO_REASON else 'false'}:{reason}" for reason in spec.reasons]
    )


def oldest_keys(entries: Iterable[Entry], most: int) -> list[Key]:
    """The keys whose records were stored the longest ago, sorted.

    Args:
        entries: what stands, each with the time of its record; one without counts as the oldest.
        most: how many are wanted.
    """
    oldest = nsmallest(most, entries, key=lambda entry: (entry.modified_at or LONG_AGO, entry.key))
    return sorted(entry.key for entry in oldest)


def by_reason_asset(
    spec: ProductOutcomes,
    *,
    upstream: str | Sequence[str],
    owners: Sequence[str],
    code_version: str,
    resource_keys: set[str],
    reprocess: Reprocess,
) -> dg.AssetsDefinition:
    """Make the by-reason asset of a product line.

    Args:
        spec: the product line.
        upstream: the asset whose partitions are made again, or several.
        owners: as for every asset.
        code_version: of the product line.
        resource_keys: what `reprocess` needs; `settings` and `store` are there anyway.
        reprocess: makes keys again; does not raise for what becomes of them.
    """
    sources = [upstream] if isinstance(upstream, str) else upstream

    @dg.asset(
        name=f"{spec.product}_by_reason",
        group_name=spec.product,
        kinds={"json"},
        owners=list(owners),
        code_version=code_version,
        io_manager_key="json",
        partitions_def=by_reason_partitions(spec),
        deps=[
            dg.AssetDep(source, partition_mapping=dg.AllPartitionMapping()) for source in sources
        ],
        required_resource_keys={"settings", "store", *resource_keys},
        description=(
            f"Reprocesses whatever of {spec.product} stands under a status and reason when its "
            "run starts, and says where each one went."
        ),
    )
    def by_reason(context: dg.AssetExecutionContext) -> dict[str, object]:
        status, _, reason = context.partition_key.partition(":")
        selection = Selection(status=status == "true", reasons=frozenset({reason}))
        resources = context.resources
        book = open_book(spec, resources.settings, resources.store)
        standing = list(book.ledger.entries(selection))
        chosen = oldest_keys(standing, MOST_KEYS)
        stopped: dg.Failure | None = None
        try:
            ended = reprocess(context, chosen)
        except dg.Failure as failure:  # what was made until then stands, and is reported
            stopped = failure
            ended = {key: one.reason for key, one in book.records_of(chosen).items()}
        went = {encode_key(key): why for key, why in sorted(ended.items())}
        counts = Counter(went.values())
        context.log_event(
            dg.AssetObservation(
                asset_key=context.asset_key,
                partition=context.partition_key,
                metadata={
                    "reprocessed": len(chosen),
                    "left_for_another_run": len(standing) - len(chosen),
                    **{f"now_{why}": count for why, count in sorted(counts.items())},
                    "reasons_now": dg.MetadataValue.json(went),
                },
            )
        )
        if stopped is not None:
            raise stopped
        raise_on_faults(spec, context.partition_key, went)
        return dict(went)

    return by_reason
