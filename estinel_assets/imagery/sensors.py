"""Imagery's sensors and its schedule: thin, a pure difference each."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

import dagster as dg

from estinel_assets.errors import EstinelError
from estinel_assets.imagery.jobs import build_web_catalog, refresh_sites, update_site
from estinel_assets.imagery.layout import FRAGMENTS
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.requests import (
    BOOTSTRAP,
    EarlierRun,
    attempt_to_request,
    content_of,
)
from estinel_assets.imagery.site_finish import preview_plan, was_never_run
from estinel_assets.imagery.sites import sites_of
from estinel_assets.orchestration.partitions import SITES
from estinel_assets.orchestration.resources import ScenesResource, SettingsResource, StoreResource
from estinel_assets.outcomes.rules import RetryRule

SITES_A_TICK = 20
TICK_S = 40.0
"""Dagster gives a tick 60 s; one more search must fit in what is left."""
CONTENT_TAG = "estinel/content"
PARTITION_TAG = "dagster/partition"


@dg.sensor(job=refresh_sites, minimum_interval_seconds=300)
def sites_sensor(settings: SettingsResource, store: StoreResource) -> dg.RunRequest | dg.SkipReason:
    """Asks for `refresh_sites` when the table of sites changed."""
    loaded = settings.load()
    try:
        sites = sites_of(loaded, store.open())
    except EstinelError as error:
        return dg.SkipReason(f"the table of sites is not usable: {error}")
    content = repr((sites, loaded.imagery.window_rule)).encode()
    return dg.RunRequest(run_key=f"sites-{sha256(content).hexdigest()[:16]}")


@dg.sensor(job=build_web_catalog, minimum_interval_seconds=60)
def web_catalog_sensor(store: StoreResource) -> dg.RunRequest | dg.SkipReason:
    """Asks for `build_web_catalog` when a site's part of the catalogue changed."""
    fragments = sorted((meta.path, meta.etag) for meta in store.open().list(FRAGMENTS))
    if not fragments:
        return dg.SkipReason("no site has a part of the catalogue yet")
    return dg.RunRequest(run_key=f"catalog-{sha256(repr(fragments).encode()).hexdigest()[:16]}")


@dg.sensor(job=update_site, minimum_interval_seconds=600)
def new_imagery_sensor(
    context: dg.SensorEvaluationContext,
    settings: SettingsResource,
    store: StoreResource,
    scenes: ScenesResource,
) -> dg.SensorResult:
    """Asks for a run of each site that has something to make.

    A tick looks at some sites and goes on from there at the next one.
    """
    loaded, opened = settings.load(), store.open()
    source = scenes.open_source()
    at = loaded.outcomes
    retry = RetryRule(at.max_attempts, at.backoff_s, at.backoff_max_s)
    sites = sorted(sites_of(loaded, opened), key=lambda site: site.site_id)
    present = set(context.instance.get_dynamic_partitions(str(SITES.name)))
    began, requests, problems, last = time.monotonic(), [], [], context.cursor or ""
    turn = [site for site in sites if site.site_id > last] or sites
    for site in [site for site in turn if site.site_id in present][:SITES_A_TICK]:
        if time.monotonic() - began > TICK_S:
            break
        last = site.site_id
        try:
            imagery = open_site(site, loaded, opened, "sensor")
            content = (
                BOOTSTRAP if was_never_run(imagery) else content_of(preview_plan(imagery, source))
            )
        except EstinelError as error:
            problems.append(f"{site.location}: {error}")
            continue
        if content is None:
            continue
        earlier = list(_earlier_runs(context.instance, site.site_id, content))
        attempt = attempt_to_request(earlier, datetime.now(UTC), retry)
        if attempt is not None:
            requests.append(
                dg.RunRequest(
                    run_key=f"{site.site_id}-{content}-{attempt}",
                    partition_key=site.site_id,
                    tags={CONTENT_TAG: content},
                )
            )
    for problem in problems:
        context.log.warning(problem)
    done = not turn or last == turn[-1].site_id
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(problems) or "no site has anything to make",
        cursor="" if done else last,
    )


def _earlier_runs(instance: dg.DagsterInstance, site_id: str, content: str) -> Iterator[EarlierRun]:
    filters = dg.RunsFilter(
        job_name=update_site.name, tags={PARTITION_TAG: site_id, CONTENT_TAG: content}
    )
    for record in instance.get_run_records(filters):
        ended = record.end_time if record.dagster_run.is_finished else None
        yield EarlierRun(datetime.fromtimestamp(ended, UTC) if ended is not None else None)


@dg.schedule(job=update_site, cron_schedule="15 3 * * *", execution_timezone="UTC")
def daily_update(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """A run for every site, once a day: a safety net under the sensor."""
    day = context.scheduled_execution_time.date().isoformat()
    for site_id in sorted(context.instance.get_dynamic_partitions(str(SITES.name))):
        yield dg.RunRequest(run_key=f"daily-{day}-{site_id}", partition_key=site_id)


SENSORS = [sites_sensor, web_catalog_sensor, new_imagery_sensor]
SCHEDULES = [daily_update]
