"""What Dagster knows of the runs before, as sensors need it."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from estinel_assets.orchestration.run_requests import EarlierRun, is_orphan, needs_run
from estinel_assets.outcomes.rules import RetryRule

CONTENT_TAG = "estinel/content"
PARTITION_TAG = "dagster/partition"
SENSOR_TAG = "dagster/sensor_name"
RUNS_LOOKED_AT = 20
WAITING = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED}
"""Runs that nobody works on yet; Dagster's run monitoring ends those that never start."""
UNFINISHED = [
    *WAITING,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def in_step(
    context: dg.SensorEvaluationContext, what: str, content: str, retry: RetryRule, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run that brings something into step with its content, unless the last one did.

    Args:
        context: of the sensor, whose own runs count.
        what: names the thing in run keys.
        content: what it should be in step with now.
        retry: how often and with which pauses a run that failed is asked for again.
        now: the time, aware.
    """
    filters = dg.RunsFilter(tags={SENSOR_TAG: context.sensor_name})
    runs = [
        EarlierRun(
            ended_at(record, now),
            record.dagster_run.is_success,
            record.dagster_run.tags.get(CONTENT_TAG, ""),
        )
        for record in context.instance.get_run_records(filters, limit=RUNS_LOOKED_AT)
    ]
    if not needs_run(content, runs, now, retry):
        return dg.SkipReason(f"{what} {content} is done, under way, or waits for another attempt")
    # Older runs than those looked at count, too: a run key works once.
    count = context.instance.get_runs_count(
        dg.RunsFilter(tags={SENSOR_TAG: context.sensor_name, CONTENT_TAG: content})
    )
    return dg.RunRequest(run_key=f"{what}-{content}-{count + 1}", tags={CONTENT_TAG: content})


def ended_at(
    record: dg.RunRecord, now: datetime, *, is_held: Callable[[], bool] | None = None
) -> datetime | None:
    """When a run ended; None while it goes on. One that lost its process ended when it began.

    Args:
        record: the run.
        now: the time, aware.
        is_held: whether a live worker holds what the run works on; None where that needs no lease.
    """
    run = record.dagster_run
    if run.is_finished:
        return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
    if run.status in WAITING:
        return None
    began = record.start_time or record.create_timestamp.timestamp()
    started_at = datetime.fromtimestamp(began, UTC)
    if not is_orphan(started_at, now, held=False):
        return None
    return None if is_held is not None and is_held() else started_at
