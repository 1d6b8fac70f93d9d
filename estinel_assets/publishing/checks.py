"""Publishing's asset checks: one look at all publications, and a verdict a check."""

from collections.abc import Iterator

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.orchestration.check_results import result_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.publishing import health
from estinel_assets.publishing.assets import publications
from estinel_assets.publishing.opening import open_book
from estinel_assets.publishing.unclosed import unclosed_journals

_SPECS = [
    dg.AssetCheckSpec(verdict.__name__, asset=publications.key, description=verdict.__doc__)
    for verdict in (health.publication_failure_rate, health.open_journals)
]


@dg.multi_asset_check(specs=_SPECS, can_subset=True)
def publishing_health(
    context: dg.AssetCheckExecutionContext, settings: SettingsResource, store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """Looks at how all publications ended, and at the journals that are not closed."""
    now = utc_now()
    with translated():
        opened = store.open()
        rows = open_book(settings.load(), opened).standing().values()
        journals = list(unclosed_journals(opened))
    verdicts = {
        health.publication_failure_rate.__name__: health.publication_failure_rate(rows, now),
        health.open_journals.__name__: health.open_journals(journals, now),
    }
    for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
        yield result_of(key, verdicts[key.name])


publishing_checks = dg.define_asset_job(
    "publishing_checks",
    selection=dg.AssetSelection.checks(publishing_health),
    executor_def=dg.in_process_executor,
    description="Judge all publications: share of faults, journals that stay open.",
)

CHECKS = [publishing_health]
CHECK_JOBS = [publishing_checks]
CHECK_SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_publishing_checks",
        job=publishing_checks,
        cron_schedule="15 7 * * *",
        execution_timezone="UTC",
    )
]
