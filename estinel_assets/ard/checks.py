"""ARD's asset checks: one look at all tile-years, and a verdict a check."""

from collections.abc import Iterator, Sequence

import dagster as dg

from estinel_assets.ard import verdicts
from estinel_assets.ard.asked_keys import tile_years_of
from estinel_assets.ard.assets import SOURCE_ASSETS, ard_tiles, tile_years
from estinel_assets.ard.keys import key_of
from estinel_assets.ard.opening import open_ard_book, tile_table_of
from estinel_assets.ard.tiles import Source
from estinel_assets.orchestration.check_results import result_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.index import Index
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.outcomes.verdict import Verdict
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

MOST_LOOKED_AT = 20
"""Tile-years whose arrays are read by one look: those that were completed last."""
QUALITY = {
    f"{asset.key.to_user_string()}_quality": source for source, asset in SOURCE_ASSETS.items()
}
_STANDING = (verdicts.tiles_complete, verdicts.tiles_internal_errors)
_SPECS = [
    *(
        dg.AssetCheckSpec(
            verdict.__name__,
            asset=ard_tiles.key,
            description=(verdict.__doc__ or "").partition("\n")[0],
        )
        for verdict in _STANDING
    ),
    *(
        dg.AssetCheckSpec(
            name,
            asset=SOURCE_ASSETS[source].key,
            description="The newest arrays have few invalid values, values in range, few gaps.",
        )
        for name, source in QUALITY.items()
    ),
]


@dg.multi_asset_check(specs=_SPECS, can_subset=True)
def ard_health(
    context: dg.AssetCheckExecutionContext, settings: SettingsResource, store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """Looks at how all tile-years ended, and into the newest of their arrays."""
    with translated():
        loaded, opened = settings.load(), store.open()
        rows = open_ard_book(loaded, opened).standing()
        known, sources = tile_years(context.instance), [Source(one) for one in loaded.ard.sources]
        retry = RetryRule.from_settings(loaded.outcomes)
        for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
            if key.name in QUALITY:
                verdict = _quality(QUALITY[key.name], known, rows, loaded, opened)
            elif key.name == verdicts.tiles_complete.__name__:
                verdict = verdicts.tiles_complete(known, sources, rows, retry)
            else:
                verdict = verdicts.tiles_internal_errors(rows.values())
            yield result_of(key, verdict)


def _quality(
    source: Source, known: Sequence[str], rows: Index, settings: Settings, store: ObjectStore
) -> Verdict:
    # The arrays' packages take long to import, and defining checks is not to need them.
    from estinel_assets.ard.quality_verdict import source_quality

    newest = verdicts.newest_complete(known, [source], rows, MOST_LOOKED_AT)
    if not newest:
        return Verdict(passed=True, description="nothing is complete yet")
    asked = tile_years_of([key_of(one, source) for one in newest], tile_table_of(settings, store))
    return source_quality(source, asked[source], store)


ard_checks = dg.define_asset_job(
    "ard_checks",
    selection=dg.AssetSelection.checks(ard_health),
    executor_def=dg.in_process_executor,
    description="Judge all tile-years: completeness, bugs, quality of the newest arrays.",
)

CHECKS = [ard_health]
CHECK_JOBS = [ard_checks]
CHECK_SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_ard_checks",
        job=ard_checks,
        cron_schedule="0 6 * * *",
        execution_timezone="UTC",
    )
]
