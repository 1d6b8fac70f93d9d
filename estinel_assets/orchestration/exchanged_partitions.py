"""Which partitions an asset hands on or takes, and whether as a dict by partition key.

The form depends on what the asset *may* see, never on how many partitions there happen to be: code
that works with two sites must not break with one. So it is a dict, with one entry too, wherever
the declarations allow several: a backfill policy of more than one partition a run, or a partition
mapping from several upstream partitions. In a step, Dagster knows these declarations; outside of
one, such as in a notebook, a range was asked for or a key.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    # Dagster exports no name for the type of `context.step_context`.
    from dagster._core.execution.context.system import StepExecutionContext


@dataclass(frozen=True, slots=True)
class Exchange:
    """The partitions that pass through one output or input."""

    keys: tuple[str | None, ...]
    """Partition keys; a single None for an asset without partitions."""
    as_dict: bool
    """Whether the asset hands on, or expects, a dict by partition key."""


_UNPARTITIONED = Exchange((None,), as_dict=False)


def of_output(context: dg.OutputContext) -> Exchange:
    """What an asset's output covers."""
    if not context.has_asset_partitions:
        return _UNPARTITIONED
    keys = tuple(context.asset_partition_keys)
    step = step_of(context)
    several = step is not None and _runs_take_several(step.assets_def)
    return Exchange(keys, as_dict=several or len(keys) != 1)


def of_input(context: dg.InputContext) -> Exchange:
    """What of an upstream asset an input covers."""
    if not context.has_asset_partitions:
        return _UNPARTITIONED
    keys = tuple(context.asset_partition_keys)
    step = step_of(context)
    if step is None:
        several = not context.has_partition_key
    else:
        several = _runs_take_several(step.assets_def) or not _is_one_to_one(
            step.assets_def, context
        )
    return Exchange(keys, as_dict=several or len(keys) != 1)


def step_of(context: dg.InputContext | dg.OutputContext) -> "StepExecutionContext | None":
    """The step that a context belongs to; None outside of a run."""
    try:
        return context.step_context
    except dg.DagsterInvariantViolationError:
        return None


def _runs_take_several(asset: dg.AssetsDefinition | None) -> bool:
    policy = asset.backfill_policy if asset is not None else None
    return policy is not None and policy.max_partitions_per_run != 1


def _is_one_to_one(asset: dg.AssetsDefinition | None, context: dg.InputContext) -> bool:
    downstream = asset.partitions_def if asset is not None else None
    if asset is None or downstream is None:
        return False
    mapping = asset.get_partition_mapping_for_dep(context.asset_key)
    same = downstream == context.asset_partitions_def
    if mapping is None:
        return same
    if isinstance(mapping, dg.TimeWindowPartitionMapping):
        return same and mapping.start_offset == mapping.end_offset
    return isinstance(mapping, dg.IdentityPartitionMapping | dg.LastPartitionMapping)
