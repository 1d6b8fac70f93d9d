"""Assembles the product lines into Dagster definitions."""

from collections.abc import Mapping

import dagster as dg
from dagster_aws.s3 import S3Resource

from estinel_assets.imagery.assets import ASSETS as IMAGERY_ASSETS
from estinel_assets.imagery.checks import CHECK_JOBS as IMAGERY_CHECK_JOBS
from estinel_assets.imagery.checks import CHECK_SCHEDULES as IMAGERY_CHECK_SCHEDULES
from estinel_assets.imagery.checks import CHECKS as IMAGERY_CHECKS
from estinel_assets.imagery.jobs import JOBS as IMAGERY_JOBS
from estinel_assets.imagery.sensors import SCHEDULES as IMAGERY_SCHEDULES
from estinel_assets.imagery.sensors import SENSORS as IMAGERY_SENSORS
from estinel_assets.orchestration.alerts import alert_on_failed_check, alert_on_failed_run
from estinel_assets.orchestration.io_managers import JsonIOManager, ParquetIOManager
from estinel_assets.orchestration.resources import (
    ScenesResource,
    SettingsResource,
    StoreResource,
)


def build_definitions(
    *, config_file: str | None = None, resource_overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Everything that Dagster is to know.

    Args:
        config_file: TOML file of settings; else the one that `ESTINEL_CONFIG` names, if any.
        resource_overrides: resources by key, instead of the ones that read the settings.
    """
    settings = SettingsResource(config_file=config_file)
    store = StoreResource(settings=settings, s3=S3Resource())
    resources = {
        "settings": settings,
        "store": store,
        "scenes": ScenesResource(settings=settings),
        "parquet": ParquetIOManager(store=store),
        "json": JsonIOManager(store=store),
    }
    return dg.Definitions(
        assets=IMAGERY_ASSETS,
        asset_checks=IMAGERY_CHECKS,
        jobs=[*IMAGERY_JOBS, *IMAGERY_CHECK_JOBS],
        schedules=[*IMAGERY_SCHEDULES, *IMAGERY_CHECK_SCHEDULES],
        sensors=[
            *IMAGERY_SENSORS,
            alert_on_failed_run,
            alert_on_failed_check(IMAGERY_CHECK_JOBS),
        ],
        resources={**resources, **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )
