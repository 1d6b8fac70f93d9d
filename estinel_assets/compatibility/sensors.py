"""Compatibility's sensors: what was never checked, and what is due for another try."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.compatibility.jobs import check_collections
from estinel_assets.compatibility.opening_checks import open_book
from estinel_assets.compatibility.plan import due, unchecked
from estinel_assets.errors import EstinelError
from estinel_assets.orchestration.by_reason import MOST_KEYS
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.partitions import COLLECTIONS
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.orchestration.run_requests import EarlierRun, attempt_to_request, digest
from estinel_assets.orchestration.runs import CONTENT_TAG, SENSOR_TAG, UNFINISHED, ended_at
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule

Rows = Mapping[Key, IndexRow]
Choose = Callable[[Rows, datetime, RetryRule], Sequence[str]]


@dg.sensor(job=check_collections, minimum_interval_seconds=300)
def new_collections_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for checks of collections that have no result, at most 500 a run, one run at a time."""
    known = sorted(context.instance.get_dynamic_partitions(str(COLLECTIONS.name)))
    return _request(context, settings, store, lambda rows, _now, _retry: unchecked(known, rows))


@dg.sensor(job=check_collections, minimum_interval_seconds=600)
def retry_collections_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for checks of collections whose failure is worth another try, when its pause is over."""
    known = set(context.instance.get_dynamic_partitions(str(COLLECTIONS.name)))
    return _request(
        context,
        settings,
        store,
        lambda rows, now, retry: [one for one in due(rows, now, retry) if one in known],
    )


def _request(
    context: dg.SensorEvaluationContext,
    settings: SettingsResource,
    store: StoreResource,
    choose: Choose,
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run over what is chosen, unless an earlier one goes on or failed a moment ago."""
    now = utc_now()
    mine = {SENSOR_TAG: context.sensor_name}
    going_on = context.instance.get_run_records(dg.RunsFilter(tags=mine, statuses=UNFINISHED))
    if any(ended_at(record, now) is None for record in going_on):
        return dg.SkipReason("the run that was asked for last goes on")
    try:
        loaded = settings.load()
        retry = RetryRule.from_settings(loaded.outcomes)
        rows = open_book(loaded, store.open()).index(())
    except EstinelError as error:
        return dg.SkipReason(f"the results cannot be read: {error}")
    chosen = list(choose(rows, now, retry))[:MOST_KEYS]
    if not chosen:
        return dg.SkipReason("no collection is waiting for a check")
    content = digest([(one, _version(rows.get((one,)))) for one in chosen])
    earlier = [
        EarlierRun(ended_at(record, now))
        for record in context.instance.get_run_records(
            dg.RunsFilter(tags={**mine, CONTENT_TAG: content})
        )
    ]
    # However often runs over them have ended without a result, such as in a long outage, the
    # collections wait for one: attempts have no end here, only pauses that grow.
    attempt = attempt_to_request(earlier, now, replace(retry, max_attempts=len(earlier) + 1))
    if attempt is None:
        return dg.SkipReason(f"{len(chosen)} checks wait: a run over exactly these has failed")
    return dg.RunRequest(
        run_key=f"{content}-{attempt}",
        run_config=run_config([(one,) for one in chosen]),
        tags={CONTENT_TAG: content},
    )


def _version(row: IndexRow | None) -> tuple[str, str] | None:
    return None if row is None else (row.finished_at.isoformat(), row.run_id)


SENSORS = [new_collections_sensor, retry_collections_sensor]
