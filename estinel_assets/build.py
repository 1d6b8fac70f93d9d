"""Assembles the product lines into Dagster definitions."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from estinel_assets.errors import MissingDependencyError
from estinel_assets.orchestration.alerts import alert_on_failed_check, alert_on_failed_run
from estinel_assets.orchestration.io_managers import JsonIOManager, ParquetIOManager
from estinel_assets.orchestration.resources import (
    ScenesResource,
    SettingsResource,
    StoreResource,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProductLine:
    """What a product line adds to the definitions."""

    assets: Sequence[Any]
    checks: Sequence[Any]
    check_jobs: Sequence[Any]
    jobs: Sequence[Any]
    schedules: Sequence[Any]
    sensors: Sequence[Any]
    resources: Mapping[str, object] = field(default_factory=dict)


def _line(name: str, *, scheduled_in: str = "jobs", **resources: object) -> ProductLine:
    """What a product line's modules hold, by the names that they all use.

    Args:
        name: of its package.
        scheduled_in: its module with the schedules that are not for checks.
        resources: further ones that its assets need.
    """
    assets, checks, jobs, sensors = (
        import_module(f"estinel_assets.{name}.{module}")
        for module in ("assets", "checks", "jobs", "sensors")
    )
    scheduled = {"jobs": jobs, "sensors": sensors}[scheduled_in]
    return ProductLine(
        assets=assets.ASSETS,
        checks=checks.CHECKS,
        check_jobs=checks.CHECK_JOBS,
        jobs=jobs.JOBS,
        schedules=[*scheduled.SCHEDULES, *checks.CHECK_SCHEDULES],
        sensors=sensors.SENSORS,
        resources=resources,
    )


def _ard() -> ProductLine:
    # Imported by those alone who read arrays: whether they are installed must be asked.
    for package in ("matplotlib", "pyogrio", "xarray", "zarr"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    from estinel_assets.ard.loading import load_dem, load_s1, load_s2, load_tree_cover
    from estinel_assets.orchestration.loading_io_manager import loading_io_manager

    return _line(
        "ard",
        ard_dem_arrays=loading_io_manager(load_dem),
        ard_s1_arrays=loading_io_manager(load_s1),
        ard_s2_arrays=loading_io_manager(load_s2),
        ard_tree_cover=loading_io_manager(load_tree_cover),
    )


def _compatibility() -> ProductLine:
    from estinel_assets.compatibility.reasons import COMPATIBILITY
    from estinel_assets.orchestration.outcome_io_manager import outcome_io_manager

    return _line("compatibility", compatibility_outcomes=outcome_io_manager(COMPATIBILITY))


def _imagery() -> ProductLine:
    return _line("imagery", scheduled_in="sensors")


def _pids() -> ProductLine:
    return _line("pids")


def _publishing() -> ProductLine:
    from estinel_assets.orchestration.outcome_io_manager import outcome_io_manager
    from estinel_assets.publishing.reasons import PUBLISHING
    from estinel_assets.publishing.site_images import PREFIX

    return _line(
        "publishing",
        publishing_outcomes=outcome_io_manager(PUBLISHING),
        published_images_outcomes=outcome_io_manager(PUBLISHING, prefix=PREFIX),
    )


LINES: Mapping[str, Callable[[], ProductLine]] = {
    "ard": _ard,
    "compatibility": _compatibility,
    "imagery": _imagery,
    "pids": _pids,
    "publishing": _publishing,
}
"""Each has an extra of its name; without that, its part of the graph is left out."""


def installed_lines() -> Iterator[ProductLine]:
    """The product lines whose packages are installed.

    Raises:
        MissingDependencyError: there is none.
    """
    absent = []
    for name, make in LINES.items():
        try:
            line = make()
        except ModuleNotFoundError as error:
            if (error.name or "estinel_assets").startswith("estinel_assets"):
                raise
            absent.append(name)
            log.info("%s is left out: its package %s is not installed", name, error.name)
        else:
            yield line
    if len(absent) == len(LINES):
        raise MissingDependencyError(
            "no product line is installed; install the extra of one, as in "
            "`pip install 'estinel-assets[imagery]'`"
        )


def build_definitions(
    *, config_file: str | None = None, resource_overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Everything that Dagster is to know.

    Args:
        config_file: TOML file of settings; else the one that `ESTINEL_CONFIG` names, if any.
        resource_overrides: resources by key, instead of the ones that read the settings.

    Raises:
        MissingDependencyError: no product line is installed.
    """
    settings = SettingsResource(config_file=config_file)
    store = StoreResource(settings=settings, s3=S3Resource())
    resources: dict[str, object] = {
        "settings": settings,
        "store": store,
        "scenes": ScenesResource(settings=settings),
        "parquet": ParquetIOManager(store=store),
        "json": JsonIOManager(store=store),
    }
    lines = list(installed_lines())
    check_jobs = [job for line in lines for job in line.check_jobs]
    for line in lines:
        resources.update(line.resources)
    return dg.Definitions(
        assets=[asset for line in lines for asset in line.assets],
        asset_checks=[check for line in lines for check in line.checks],
        jobs=[*(job for line in lines for job in line.jobs), *check_jobs],
        schedules=[schedule for line in lines for schedule in line.schedules],
        sensors=[
            *(sensor for line in lines for sensor in line.sensors),
            alert_on_failed_run,
            alert_on_failed_check(check_jobs),
        ],
        resources={**resources, **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )
