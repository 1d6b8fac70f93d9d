"""Compatibility's jobs."""

from typing import Any

import dagster as dg

from estinel_assets.compatibility.assets import (
    RESOURCES,
    check_keys,
    cmr_collections,
    compatibility_table,
    reprocess,
)
from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.orchestration.keys_job import keys_job

refresh_collections = dg.define_asset_job(
    "refresh_collections",
    selection=dg.AssetSelection.assets(cmr_collections),
    executor_def=dg.in_process_executor,
    description="Ask CMR for all collections and keep the partitions in step with them.",
)

build_compatibility_table = dg.define_asset_job(
    "build_compatibility_table",
    selection=dg.AssetSelection.assets(compatibility_table).without_checks(),
    executor_def=dg.in_process_executor,
    description="Merge all results into one table.",
)

check_collections = keys_job(
    "check_collections",
    COMPATIBILITY,
    description="Check chosen collections; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=check_keys,
)

reprocess_compatibility = keys_job(
    "reprocess_compatibility",
    COMPATIBILITY,
    description="Check chosen collections again; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=reprocess,
)

JOBS: list[Any] = [
    refresh_collections,
    build_compatibility_table,
    check_collections,
    reprocess_compatibility,
]
SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_collections",
        job=refresh_collections,
        cron_schedule="30 2 * * *",
        execution_timezone="UTC",
    ),
    dg.ScheduleDefinition(
        name="daily_compatibility_table",
        job=build_compatibility_table,
        cron_schedule="30 6 * * *",
        execution_timezone="UTC",
    ),
]
