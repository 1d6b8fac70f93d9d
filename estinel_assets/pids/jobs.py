"""The PID line's jobs."""

from typing import Any

import dagster as dg

from estinel_assets.orchestration.keys_job import keys_job
from estinel_assets.pids.assets import RESOURCES, pid_registrations, pid_statistics, reprocess
from estinel_assets.pids.ranges import OffsetRange
from estinel_assets.pids.reasons import PIDS

register_pids = dg.define_asset_job(
    "register_pids",
    selection=dg.AssetSelection.assets(pid_registrations).without_checks(),
    executor_def=dg.in_process_executor,
    description="Register the messages of a range of offsets, or those that wait now.",
)

build_pid_statistics = dg.define_asset_job(
    "build_pid_statistics",
    selection=dg.AssetSelection.assets(pid_statistics).without_checks(),
    executor_def=dg.in_process_executor,
    description="Count messages and handles by day and reason.",
)

reprocess_pids = keys_job(
    "reprocess_pids",
    PIDS,
    description="Work on chosen messages again that failed; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=reprocess,
)


def range_config(part: OffsetRange) -> dict[str, Any]:
    """The run config that makes `register_pids` work through a range."""
    config = {
        "topic": part.at.topic,
        "partition": part.at.partition,
        "first": part.first,
        "last": part.last,
    }
    return {"ops": {pid_registrations.op.name: {"config": config}}}


JOBS: list[Any] = [register_pids, build_pid_statistics, reprocess_pids]
SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_pid_statistics",
        job=build_pid_statistics,
        cron_schedule="50 6 * * *",
        execution_timezone="UTC",
    )
]
