"""Compatibility's sensors: what was never checked, and what is due for another try."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import dagster as dg

from estinel_assets.compatibility.jobs import check_collections
from estinel_assets.compatibility.opening_checks import open_book
from estinel_assets.compatibility.plan import due, unchecked
from estinel_assets.orchestration.keys_sensor import Chosen, request_keys, version_of
from estinel_assets.orchestration.partitions import COLLECTIONS
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings

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
    def chosen(loaded: Settings, now: datetime, retry: RetryRule) -> Iterator[Chosen]:
        rows = open_book(loaded, store.open()).index(())
        for one in choose(rows, now, retry):
            yield Chosen((one,), version_of(rows.get((one,))))

    nothing = "no collection is waiting for a check"
    return request_keys(context, settings, chosen, nothing=nothing)


SENSORS = [new_collections_sensor, retry_collections_sensor]
