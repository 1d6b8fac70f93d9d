"""ARD's sensor: it resolves what comes into the inbox, and asks for runs over what waits."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import dagster as dg

from estinel_assets.ard.asked_keys import of_known_tiles
from estinel_assets.ard.assets import tile_years
from estinel_assets.ard.inbox import (
    Resolved,
    read_cursor,
    requests_in,
    resolve,
    write_cursor,
)
from estinel_assets.ard.jobs import make_tiles
from estinel_assets.ard.keys import waiting
from estinel_assets.ard.opening import open_ard_book, tile_table_of
from estinel_assets.ard.tiles import Source
from estinel_assets.clock import utc_now
from estinel_assets.errors import EstinelError
from estinel_assets.orchestration.keys_sensor import Chosen, request_keys, version_of
from estinel_assets.orchestration.partitions import TILE_YEARS, add_partitions
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

REQUESTS_A_TICK = 20
"""New requests that are resolved in one tick."""
NOTHING = "no tile is waiting to be made"


@dg.sensor(job=make_tiles, minimum_interval_seconds=60)
def tile_requests_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.SensorResult:
    """Resolves each new request once, and asks for a run over tile-years that wait for one.

    A run has at most 500 keys, and one goes at a time. A request that cannot be used is told of
    once here, and stays told of beside it; only when it changes is it looked at again.
    """
    seen = set(read_cursor(context.cursor))
    refused: list[str] = []
    unknown: set[str] = set()
    try:
        cursor = _resolve_new(context, settings.load(), store.open(), seen, refused)
    except EstinelError as error:
        return dg.SensorResult(skip_reason=f"the inbox cannot be read: {error}")

    def chosen(loaded: Settings, now: datetime, retry: RetryRule) -> Iterator[Chosen]:
        opened = store.open()
        rows = open_ard_book(loaded, opened).standing()
        sources = [Source(one) for one in loaded.ard.sources]
        found = waiting(tile_years(context.instance), sources, rows, now, retry)
        for one in of_known_tiles(found, tile_table_of(loaded, opened), unknown):
            yield Chosen(one.key, version_of(one.row))

    asked = request_keys(context, settings, chosen, nothing=NOTHING)
    strange = [f"the table of tiles has no {', '.join(sorted(unknown)[:10])}"] if unknown else []
    if isinstance(asked, dg.RunRequest):
        for one in strange:
            context.log.warning(one)
        return dg.SensorResult(run_requests=[asked], cursor=cursor)
    told = "; ".join([*refused, *strange, asked.skip_message or NOTHING])
    return dg.SensorResult(skip_reason=told, cursor=cursor)


def _resolve_new(
    context: dg.SensorEvaluationContext,
    settings: Settings,
    store: ObjectStore,
    seen: set[str],
    refused: list[str],
) -> str:
    """Resolve requests that are new or changed, make partitions for them, and give the cursor.

    Raises:
        EstinelError: the store or the table of tiles cannot be used; what was resolved until then
            is resolved again by the next tick, which changes nothing.
    """
    inbox = settings.ard.inbox.strip("/")
    standing = requests_in(store.list(inbox), inbox)
    new = list(islice((one for one in standing if one.version not in seen), REQUESTS_A_TICK))
    if new:
        for done in resolve(new, store, tile_table_of(settings, store), utc_now()):
            _tell(context, done, refused)
            add_partitions(context.instance, TILE_YEARS, [one.key for one in done.tile_years])
            seen.add(done.request.version)
    return write_cursor(seen, standing)


def _tell(context: dg.SensorEvaluationContext, done: Resolved, refused: list[str]) -> None:
    if done.problem is None:
        context.log.info("%s asks for %d tile-years", done.request.path, len(done.tile_years))
        return
    context.log.error("%s is refused: %s", done.request.path, done.problem)
    refused.append(f"{done.request.path} is refused: {done.problem}")


SENSORS = [tile_requests_sensor]
