"""How a key that has ended shows on its partition: green or red.

Dagster shows a partition green by its latest materialization. It shows one red that was planned
after that, in a run that has failed since. A run that names its partitions plans them all as it
begins, but keys in a run's config mean nothing to Dagster. So a key that ends with a fault gets no
materialization; it is planned (once more), so that it turns red when the run fails at its end, and
what is known of it stands in an observation, which leaves the colour as it is.

Tried with Dagster 1.13 on runs over a range of partitions and on runs over keys in their config: a
materialization for a fault as well leaves its partition green, and an observation alone leaves it
green from a former run, or missing.
"""

from collections.abc import Mapping

import dagster as dg

Context = dg.AssetExecutionContext | dg.OpExecutionContext
Shown = Mapping[str, str | int | float | bool]


def log_ended(
    context: Context, asset: dg.AssetKey, partition: str, shown: Shown, *, fault: bool
) -> None:
    """Log how a key ended, as soon as it is known.

    Args:
        context: of the step, which is to fail at its end where there was a fault.
        asset: whose partition it is.
        partition: the key.
        shown: what is known of it, for people.
        fault: whether the partition is to be red.
    """
    if not fault:
        context.log_event(dg.AssetMaterialization(asset, partition=partition, metadata=shown))
        return
    _log_planned(context, asset, partition)
    context.log_event(dg.AssetObservation(asset, partition=partition, metadata=shown))


def _log_planned(context: Context, asset: dg.AssetKey, partition: str) -> None:
    from dagster._core.events import AssetMaterializationPlannedData

    context.instance.report_dagster_event(
        dg.DagsterEvent.build_asset_materialization_planned_event(
            context.job_name,
            context.get_step_execution_context().step.key,
            AssetMaterializationPlannedData(asset, partition=partition),
        ),
        context.run.run_id,
    )
