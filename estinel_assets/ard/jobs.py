"""ARD's jobs."""

from typing import Any

import dagster as dg

from estinel_assets.ard.assets import (
    RESOURCES,
    ard_run_report,
    ard_tiles,
    make_keys,
    reprocess,
    tile_requests,
)
from estinel_assets.ard.reasons import ARD
from estinel_assets.orchestration.keys_job import keys_job

refresh_tile_requests = dg.define_asset_job(
    "refresh_tile_requests",
    selection=dg.AssetSelection.assets(tile_requests),
    executor_def=dg.in_process_executor,
    description="Resolve every request of the inbox, and make partitions for it.",
)

build_ard_tiles = dg.define_asset_job(
    "build_ard_tiles",
    selection=dg.AssetSelection.assets(ard_tiles).without_checks(),
    executor_def=dg.in_process_executor,
    description="List what is complete of every tile-year.",
)

build_ard_run_report = dg.define_asset_job(
    "build_ard_run_report",
    selection=dg.AssetSelection.assets(ard_run_report),
    executor_def=dg.in_process_executor,
    description="Tell how the latest run went, and what it cost.",
)

make_tiles = keys_job(
    "make_tiles",
    ARD,
    description="Make chosen sources of tile-years; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=make_keys,
)

reprocess_ard = keys_job(
    "reprocess_ard",
    ARD,
    description="Make chosen sources of tile-years again; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=reprocess,
)

JOBS: list[Any] = [
    refresh_tile_requests,
    build_ard_tiles,
    build_ard_run_report,
    make_tiles,
    reprocess_ard,
]
SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_tile_requests",
        job=refresh_tile_requests,
        cron_schedule="10 5 * * *",
        execution_timezone="UTC",
    ),
    dg.ScheduleDefinition(
        name="daily_ard_tiles",
        job=build_ard_tiles,
        cron_schedule="40 5 * * *",
        execution_timezone="UTC",
    ),
    dg.ScheduleDefinition(
        name="daily_ard_run_report",
        job=build_ard_run_report,
        cron_schedule="50 5 * * *",
        execution_timezone="UTC",
    ),
]
