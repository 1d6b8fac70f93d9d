"""Imagery's asset checks: one look at every site, and a verdict a check.

They judge all sites at once and name the failing ones: of a partitioned asset Dagster shows only
the newest result of a check.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from estinel_assets.compute import Threads
from estinel_assets.imagery import verdicts
from estinel_assets.imagery.assets import updated_markers, web_catalog
from estinel_assets.imagery.day_images import Product
from estinel_assets.imagery.health import SiteHealth
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.site_survey import merged_images, survey_sites
from estinel_assets.imagery.sites import sites_of
from estinel_assets.imagery.verdicts import Verdict
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource

COMPOSITES_SEEN = 2
"""Newest composites of each site whose grid is compared with the window."""

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    judge: Callable[[Sequence[SiteHealth]], Verdict]
    asset: dg.AssetKey
    severity: dg.AssetCheckSeverity

    @property
    def name(self) -> str:
        """As Dagster shows it."""
        return self.judge.__name__

    def spec(self) -> dg.AssetCheckSpec:
        """The check as Dagster declares it."""
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.judge.__doc__)

    def result(self, sites: Sequence[SiteHealth]) -> dg.AssetCheckResult:
        """The check of all sites."""
        verdict = self.judge(sites)
        names = ", ".join(one.location for one in verdict.failing[:10])
        more = f" and {len(verdict.failing) - 10} more" if len(verdict.failing) > 10 else ""
        return dg.AssetCheckResult(
            passed=verdict.passed,
            asset_key=self.asset,
            check_name=self.name,
            severity=self.severity,
            description=f"{len(verdict.failing)} of {verdict.sites} sites: {names}{more}"
            if verdict.failing
            else f"none of {verdict.sites} sites",
            metadata={
                "sites": verdict.sites,
                "failing_sites": len(verdict.failing),
                **verdict.numbers,
                "failing": dg.MetadataValue.json(verdict.named()),
            },
        )


_MARKERS = updated_markers.key
_RGB, _VIEWS = dg.AssetKey(Product.RGB.value), dg.AssetKey(Product.VIEWS.value)

CHECKED = (
    Check(verdicts.marker_age, _MARKERS, WARN),
    Check(verdicts.marker_readable, _MARKERS, ERROR),
    Check(verdicts.marker_write_failures, _MARKERS, ERROR),
    Check(verdicts.source_searched, dg.AssetKey("stac_query_tables"), WARN),
    Check(verdicts.images_keep_coming, _VIEWS, WARN),
    Check(verdicts.share_of_faults, _VIEWS, WARN),
    Check(verdicts.image_grid_equals_window, _RGB, ERROR),
    Check(verdicts.day_counts_reconcile, web_catalog.key, ERROR),
)


@dg.multi_asset_check(specs=[check.spec() for check in CHECKED], can_subset=True)
def imagery_health(
    context: dg.AssetCheckExecutionContext, settings: SettingsResource, store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """Looks at every site once: marker, outcomes, catalogue, newest images."""
    wanted = {key.name for key in context.selected_asset_check_keys}
    with translated():
        loaded, opened = settings.load(), store.open()
        sites = survey_sites(
            (
                open_site(site, loaded, opened, context.run.run_id)
                for site in sites_of(loaded, opened)
            ),
            Threads(loaded.compute.workers),
            merged=merged_images(opened),
            composites=COMPOSITES_SEEN,
        )
    for check in CHECKED:
        if check.name in wanted:
            yield check.result(sites)


imagery_checks = dg.define_asset_job(
    "imagery_checks",
    selection=dg.AssetSelection.checks(imagery_health),
    executor_def=dg.in_process_executor,
    description="Check every site: markers, days, images, catalogue.",
)

daily_checks = dg.ScheduleDefinition(
    name="daily_checks",
    job=imagery_checks,
    # When the daily update is through.
    cron_schedule="45 6 * * *",
    execution_timezone="UTC",
)

CHECKS = [imagery_health]
CHECK_JOBS = [imagery_checks]
CHECK_SCHEDULES = [daily_checks]
