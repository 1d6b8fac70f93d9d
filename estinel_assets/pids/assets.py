"""The PID line's assets: the topic, what became of its messages, and the table of that.

No `from __future__ import annotations`: Dagster reads annotations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from estinel_assets.errors import BadInputError, EstinelError
from estinel_assets.orchestration.by_reason import by_reason_asset
from estinel_assets.orchestration.failures import failure, faults_failure, translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.chart import markdown_bars
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.pids.opening import CODE_VERSION, open_book
from estinel_assets.pids.ranges import OffsetRange
from estinel_assets.pids.reasons import PIDS
from estinel_assets.pids.registering import RangeWatch, Registering
from estinel_assets.pids.reprocessing import reprocess_messages
from estinel_assets.pids.statistics_table import HANDLES, statistics_frame

GROUP = "pids"
OWNERS = ["team:pids"]
RESOURCES = {"settings", "store"}

PID_MESSAGES = dg.AssetSpec(
    "pid_messages",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"kafka"},
    code_version=CODE_VERSION,
    description="Topic of Kafka that announces items of a STAC API, such as those of CMIP6+.",
)


class RangeConfig(dg.Config):
    """Which messages are registered; without partition and offsets, those that wait now."""

    topic: str | None = None
    """Refused where it is not the one of the configuration."""
    partition: int | None = None
    first: int | None = None
    """The first offset."""
    last: int | None = None
    """The last offset."""


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    deps=[PID_MESSAGES],
    required_resource_keys=RESOURCES,
)
def pid_registrations(
    context: dg.AssetExecutionContext, config: RangeConfig
) -> dg.MaterializeResult[None]:
    """Handle records of the messages of a range of offsets: files first, then their dataset.

    Each message's outcome is stored, and then its offset committed, as the consumer does it that
    may not work for the same group at the same time. The step fails at the end where a message
    ended with a fault; where a service was down, the rest of the range waits for another run.
    """
    settings, store = context.resources.settings.load(), context.resources.store.open()
    with translated():
        registering = Registering.open(settings, store, context.run.run_id)
        watch = RangeWatch(registering.configuration)
        ranges = registering.chosen(config.topic, config.partition, config.first, config.last)
        try:
            registering.run(ranges, watch)
        except EstinelError:
            _observe(context, shown(ranges, watch))
            raise
    if watch.faults:
        _observe(context, shown(ranges, watch))
        raise _ended_with_faults(ranges, watch)
    return dg.MaterializeResult(metadata=shown(ranges, watch))


def shown(ranges: Sequence[OffsetRange], watch: RangeWatch) -> dict[str, Any]:
    """What the UI shows of a run."""
    totals = watch.totals
    counts = dict(sorted(totals.by_reason.items()))
    summary = totals.summary()
    handles = {name: count for name, count in summary.items() if name.startswith("handles")}
    return {
        "messages": totals.messages,
        **handles,
        "retractions": totals.retracted_messages,
        "warnings": totals.warnings,
        "duration_s": summary["running_s"],
        "messages_per_s": summary["per_s"],
        "ranges": dg.MetadataValue.json([str(one) for one in ranges]),
        "ranges_done": len(watch.done),
        "counts": dg.MetadataValue.json(counts),
        "chart": dg.MetadataValue.md(markdown_bars(counts)),
    }


def _observe(context: dg.AssetExecutionContext, metadata: Mapping[str, Any]) -> None:
    """Show on the asset what a run did that is to fail."""
    context.log_event(dg.AssetObservation(context.asset_key, metadata=metadata))


def _ended_with_faults(ranges: Sequence[OffsetRange], watch: RangeWatch) -> dg.Failure:
    found = faults_failure(PIDS.product, ", ".join(map(str, ranges)), watch.faults)
    stopped_by = watch.stopped_by
    stopped = (
        ""
        if stopped_by is None
        else f". It stopped at {encode_key(stopped_by.key)} ({stopped_by.reason}: "
        f"{stopped_by.error}), and what comes after it waits for another run"
    )
    return dg.Failure(
        description=f"{found.description}{stopped}",
        metadata={**shown(ranges, watch), **found.metadata},
        allow_retries=False,
    )


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[pid_registrations],
)
def pid_statistics(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """Messages and handles by day (UTC) and reason; runs on its own."""
    with translated():
        ledger = open_book(settings.load(), store.open()).ledger
        frame = statistics_frame(ledger.read(ledger.entries()))
    sums = frame.groupby("reason")["messages"].sum()
    counts = {str(word): int(messages) for word, messages in sums.items()}
    context.add_output_metadata(
        {
            "messages": sum(counts.values()),
            **{f"handles_{name}": int(frame[name].sum()) for name in HANDLES},
            "counts": dg.MetadataValue.json(counts),
            "chart": dg.MetadataValue.md(markdown_bars(counts)),
        }
    )
    return frame


def reprocess(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, keys: Sequence[Key]
) -> dict[Key, str]:
    """Work once more on messages that their outcomes keep, because somebody asked for it.

    Needs the resources in `RESOURCES`.

    Args:
        context: of the step.
        keys: of outcomes.

    Raises:
        Failure: some could not be tried; the others were.
    """
    settings, store = context.resources.settings.load(), context.resources.store.open()
    with translated():
        done = reprocess_messages(keys, settings, store, context.run.run_id)
    if done.problem is not None:
        raise failure(BadInputError(done.problem))
    return done.went


pids_by_reason = by_reason_asset(
    PIDS,
    upstream=pid_registrations.key.to_user_string(),
    owners=OWNERS,
    code_version=CODE_VERSION,
    resource_keys=RESOURCES,
    reprocess=reprocess,
)

ASSETS: list[dg.AssetSpec | dg.AssetsDefinition] = [
    PID_MESSAGES,
    pid_registrations,
    pid_statistics,
    pids_by_reason,
]
