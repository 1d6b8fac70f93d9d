"""Compatibility's asset checks: one look at all results, and a verdict a check."""

from collections.abc import Iterator, Mapping

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.compatibility import health
from estinel_assets.compatibility.assets import compatibility_results, compatibility_table
from estinel_assets.compatibility.opening_checks import open_book
from estinel_assets.orchestration.check_results import result_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource

_RESULTS, _TABLE = compatibility_results.key, compatibility_table.key
_ASSETS = {
    health.internal_errors.__name__: _RESULTS,
    health.results_age.__name__: _RESULTS,
    health.distribution_change.__name__: _TABLE,
}
_SPECS = [
    dg.AssetCheckSpec(
        verdict.__name__, asset=_ASSETS[verdict.__name__], description=verdict.__doc__
    )
    for verdict in (health.internal_errors, health.results_age, health.distribution_change)
]


@dg.multi_asset_check(specs=_SPECS, can_subset=True)
def compatibility_health(
    context: dg.AssetCheckExecutionContext, settings: SettingsResource, store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """Looks at all results, and at the counts of the latest two tables."""
    with translated():
        loaded = settings.load()
        rows = open_book(loaded, store.open()).index(()).values()
    latest, former = _counts_of_tables(context.instance)
    verdicts = {
        health.internal_errors.__name__: health.internal_errors(rows),
        health.results_age.__name__: health.results_age(
            rows, utc_now(), loaded.compatibility.stale_days
        ),
        health.distribution_change.__name__: health.distribution_change(former, latest),
    }
    for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
        yield result_of(key, verdicts[key.name])


def _counts_of_tables(
    instance: dg.DagsterInstance,
) -> tuple[Mapping[str, int] | None, Mapping[str, int] | None]:
    """Results by reason in the latest table, and in the one before."""
    records = instance.fetch_materializations(_TABLE, limit=2).records
    counts = []
    for record in records:
        made = record.asset_materialization
        value = made.metadata["counts"].value if made and "counts" in made.metadata else None
        counts.append(value if isinstance(value, dict) else None)
    counts += [None, None]
    return counts[0], counts[1]


compatibility_checks = dg.define_asset_job(
    "compatibility_checks",
    selection=dg.AssetSelection.checks(compatibility_health),
    executor_def=dg.in_process_executor,
    description="Judge all results: internal errors, age, sudden changes.",
)

CHECKS = [compatibility_health]
CHECK_JOBS = [compatibility_checks]
CHECK_SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_compatibility_checks",
        job=compatibility_checks,
        # When the table of the day stands.
        cron_schedule="0 7 * * *",
        execution_timezone="UTC",
    )
]
