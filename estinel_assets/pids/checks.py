"""The PID line's asset checks: one look at the group and at all outcomes, and a verdict a check."""

from collections.abc import Iterator

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.errors import UnitError
from estinel_assets.orchestration.check_results import result_of
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.verdict import Verdict
from estinel_assets.pids import health
from estinel_assets.pids.assets import pid_registrations
from estinel_assets.pids.configuration import kafka_options, load_configuration
from estinel_assets.pids.kafka_lag import lag
from estinel_assets.pids.opening import open_book
from estinel_assets.settings import Settings

_SPECS = [
    dg.AssetCheckSpec(
        verdict.__name__,
        asset=pid_registrations.key,
        description=(verdict.__doc__ or "").partition("\n")[0],
    )
    for verdict in (health.consumer_lag, health.message_fault_rate)
]


@dg.multi_asset_check(specs=_SPECS, can_subset=True)
def pid_health(
    context: dg.AssetCheckExecutionContext, settings: SettingsResource, store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """Looks at where the group stands, and at how the messages of the last day ended."""
    with translated():
        loaded = settings.load()
        for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
            if key.name == health.consumer_lag.__name__:
                verdict = _lag(loaded)
            else:
                entries = open_book(loaded, store.open()).ledger.entries()
                verdict = health.message_fault_rate(entries, utc_now())
            yield result_of(key, verdict)


def _lag(settings: Settings) -> Verdict:
    """The verdict on the lag; a Kafka that does not say it, or refuses, is one, too."""
    configuration = load_configuration(settings.pids)
    try:
        lags = lag(kafka_options(configuration), configuration.consumer.topic)
    except UnitError as error:
        return health.consumer_lag((), str(error))
    return health.consumer_lag(lags)


pid_checks = dg.define_asset_job(
    "pid_checks",
    selection=dg.AssetSelection.checks(pid_health),
    executor_def=dg.in_process_executor,
    description="Judge how registering goes: lag, share of faults.",
)

CHECKS = [pid_health]
CHECK_JOBS = [pid_checks]
CHECK_SCHEDULES = [
    dg.ScheduleDefinition(
        name="hourly_pid_checks",
        job=pid_checks,
        cron_schedule="35 * * * *",
        execution_timezone="UTC",
    )
]
