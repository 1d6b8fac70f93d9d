"""Sensors that ask for runs over keys: one run at a time, whose key is its content and attempt."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.errors import EstinelError
from estinel_assets.orchestration.by_reason import MOST_KEYS
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.resources import SettingsResource
from estinel_assets.orchestration.run_requests import EarlierRun, attempt_to_request, digest
from estinel_assets.orchestration.runs import CONTENT_TAG, SENSOR_TAG, UNFINISHED, ended_at
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Chosen:
    """A key that waits for a run."""

    key: Key
    version: object
    """Of what the run would start from; told apart by its `repr`, and without the time now."""


Choose = Callable[[Settings, datetime, RetryRule], Iterable[Chosen]]
"""What waits for a run, the most urgent first; it gets the settings, the time and the rule by which
failures are tried again. It is read no further than one run goes."""


def request_keys(
    context: dg.SensorEvaluationContext,
    settings: SettingsResource,
    choose: Choose,
    *,
    nothing: str,
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run over what is chosen, unless an earlier one goes on or failed a moment ago.

    Args:
        context: of the sensor, whose own runs count.
        settings: read once a tick.
        choose: says what waits; where it raises an error of ours, the tick is skipped.
        nothing: the reason to skip where nothing waits.
    """
    now = utc_now()
    mine = {SENSOR_TAG: context.sensor_name}
    going_on = context.instance.get_run_records(dg.RunsFilter(tags=mine, statuses=UNFINISHED))
    if any(ended_at(record, now) is None for record in going_on):
        return dg.SkipReason("the run that was asked for last goes on")
    try:
        loaded = settings.load()
        retry = RetryRule.from_settings(loaded.outcomes)
        chosen = list(islice(choose(loaded, now, retry), MOST_KEYS))
    except EstinelError as error:
        return dg.SkipReason(f"nobody can say what waits: {error}")
    if not chosen:
        return dg.SkipReason(nothing)
    content = digest([(one.key, one.version) for one in chosen])
    earlier = [
        EarlierRun(ended_at(record, now))
        for record in context.instance.get_run_records(
            dg.RunsFilter(tags={**mine, CONTENT_TAG: content})
        )
    ]
    # However often runs over them have ended without an outcome, such as in a long outage, the
    # keys wait for one: attempts have no end here, only pauses that grow.
    attempt = attempt_to_request(earlier, now, replace(retry, max_attempts=len(earlier) + 1))
    if attempt is None:
        return dg.SkipReason(f"a run over exactly what waits now ({len(chosen)}) has just failed")
    return dg.RunRequest(
        run_key=f"{content}-{attempt}",
        run_config=run_config([one.key for one in chosen]),
        tags={CONTENT_TAG: content},
    )


def version_of(row: IndexRow | None) -> tuple[str, str] | None:
    """Which record stands, for a run that is to replace it; None for none."""
    return None if row is None else (row.finished_at.isoformat(), row.run_id)
