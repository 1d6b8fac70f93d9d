"""Imagery's sensors and its schedule: thin, a pure difference each."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.errors import EstinelError, LeaseError
from estinel_assets.imagery.jobs import build_web_catalog, refresh_sites, update_site
from estinel_assets.imagery.layout import FRAGMENTS
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.page_publishing import page_fingerprint
from estinel_assets.imagery.reasons import IMAGERY
from estinel_assets.imagery.requests import BOOTSTRAP, content_of
from estinel_assets.imagery.site_finish import preview_plan, was_never_run
from estinel_assets.imagery.site_imagery import SiteImagery
from estinel_assets.imagery.sites import sites_of
from estinel_assets.orchestration.partitions import SITES
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.orchestration.run_requests import (
    EarlierRun,
    attempt_to_request,
    digest,
    turn_of,
)
from estinel_assets.orchestration.runs import (
    CONTENT_TAG,
    PARTITION_TAG,
    UNFINISHED,
    ended_at,
    in_step,
)
from estinel_assets.outcomes.book import lease_path
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings
from estinel_assets.stac.search import StacApiSource
from estinel_assets.stac.source import SceneSource
from estinel_assets.storage.lease import lease_is_live
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RetryPolicy

SITES_A_TICK = 20
TICK_S = 35.0
"""Time after which a tick looks at no further site. Dagster ends a tick after 60 s, and would then
repeat it from where it began."""
SEARCH_S = 15.0
"""Longest time for the search of one site, so that the last one of a tick still fits in."""


@dg.sensor(job=refresh_sites, minimum_interval_seconds=300)
def sites_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for `refresh_sites` when the table of sites changed."""
    try:
        loaded = settings.load()
        sites = sites_of(loaded, store.open())
    except EstinelError as error:
        return dg.SkipReason(f"the table of sites is not usable: {error}")
    content = digest((sites, loaded.imagery.window_rule))
    retry = RetryRule.from_settings(loaded.outcomes)
    return in_step(context, "sites", content, retry, utc_now())


@dg.sensor(job=build_web_catalog, minimum_interval_seconds=60)
def web_catalog_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for `build_web_catalog` when a site's part of the catalogue, or the page, changed."""
    try:
        retry = RetryRule.from_settings(settings.load().outcomes)
        fragments = sorted((meta.path, meta.etag) for meta in store.open().list(FRAGMENTS))
        page = page_fingerprint()
    except EstinelError as error:
        return dg.SkipReason(f"the parts of the catalogue cannot be listed: {error}")
    if not fragments:
        return dg.SkipReason("no site has a part of the catalogue yet")
    return in_step(context, "catalog", digest((fragments, page)), retry, utc_now())


@dg.sensor(job=update_site, minimum_interval_seconds=600)
def new_imagery_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """Asks for a run of each site that has something to make and none going on.

    A tick looks at some sites and goes on from there at the next one.
    """
    try:
        loaded, opened = settings.load(), store.open()
        known = {site.site_id: site for site in sites_of(loaded, opened)}
        busy = busy_sites(context.instance, opened, utc_now())
    except EstinelError as error:
        return dg.SkipReason(f"no site was looked at: {error}")
    present = known.keys() & set(context.instance.get_dynamic_partitions(str(SITES.name)))
    began = time.monotonic()
    source, search_began = _bounded_source(loaded)
    requests: list[dg.RunRequest] = []
    problems: list[str] = []
    last = context.cursor or ""
    for number, site_id in enumerate(turn_of(present, last, SITES_A_TICK)):
        if number and time.monotonic() - began > TICK_S:
            break
        last = site_id
        if site_id in busy:
            continue
        search_began()
        try:
            imagery = open_site(known[site_id], loaded, opened, "sensor")
            request = _request_for(context.instance, imagery, source)
        except EstinelError as error:
            problems.append(f"{known[site_id].location}: {error}")
            continue
        requests += [request] if request else []
    for problem in problems:
        context.log.warning(problem)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(problems) or "no site has anything to make",
        cursor=last,
    )


def busy_sites(instance: dg.DagsterInstance, store: ObjectStore, now: datetime) -> set[str]:
    """The sites that have a run waiting or going on, whoever asked for it.

    Args:
        instance: knows the runs.
        store: holds the leases, which tell whether a run that is called started still lives.
        now: the time, aware.
    """
    runs = instance.get_run_records(dg.RunsFilter(job_name=update_site.name, statuses=UNFINISHED))
    return {
        site_id
        for record in runs
        if (site_id := record.dagster_run.tags.get(PARTITION_TAG))
        and _ended_at(record, store, site_id, now) is None
    }


def _request_for(
    instance: dg.DagsterInstance, imagery: SiteImagery, source: SceneSource
) -> dg.RunRequest | None:
    """The run that a site needs now; None where it needs none, or has to wait.

    Raises:
        EstinelError: its search failed, or the store refused.
    """
    site_id, now = imagery.site.site_id, imagery.run.clock()
    content = BOOTSTRAP if was_never_run(imagery) else content_of(preview_plan(imagery, source))
    if content is None:
        return None
    filters = dg.RunsFilter(
        job_name=update_site.name, tags={PARTITION_TAG: site_id, CONTENT_TAG: content}
    )
    earlier = [
        EarlierRun(_ended_at(record, imagery.store, site_id, now))
        for record in instance.get_run_records(filters)
    ]
    attempt = attempt_to_request(earlier, now, imagery.retry)
    if attempt is None:
        return None
    return dg.RunRequest(
        run_key=f"{site_id}-{content}-{attempt}",
        partition_key=site_id,
        tags={CONTENT_TAG: content},
    )


def _ended_at(
    record: dg.RunRecord, store: ObjectStore, site_id: str, now: datetime
) -> datetime | None:
    """When a site's run ended; None while it goes on, which its lease tells."""
    return ended_at(record, now, is_held=lambda: _is_held(store, site_id))


def _is_held(store: ObjectStore, site_id: str) -> bool:
    try:
        return lease_is_live(store, lease_path(IMAGERY.product, (site_id,))) is True
    except LeaseError:  # not readable as a lease: the run will say so
        return False


@dataclass(frozen=True, slots=True)
class _Bounded(RetryPolicy):
    """A policy under which all requests of one search share one deadline."""

    ends_at: Callable[[], float] = lambda: float("inf")

    def run(self, request: Callable[[float], Any], **named: Any) -> Any:
        left = max(self.ends_at() - self.clock(), 0.0)
        policy = RetryPolicy(self.attempts, self.backoff_s, self.backoff_max_s, left)
        return policy.run(request, **named)


def _bounded_source(settings: Settings) -> tuple[SceneSource, Callable[[], None]]:
    """The STAC API, asked with less patience than a run has; and what starts a search's time."""
    ends_at = 0.0

    def search_begins() -> None:
        nonlocal ends_at
        ends_at = time.monotonic() + min(SEARCH_S, settings.transport.deadline_s)

    at = settings.transport
    policy = _Bounded(
        at.attempts, at.backoff_s, at.backoff_max_s, at.deadline_s, ends_at=lambda: ends_at
    )
    return StacApiSource.from_settings(settings.stac, at, policy=policy), search_begins


@dg.schedule(job=update_site, cron_schedule="15 3 * * *", execution_timezone="UTC")
def daily_update(
    context: dg.ScheduleEvaluationContext, store: StoreResource
) -> Iterator[dg.RunRequest]:
    """A run for every site that has none going on, once a day: a safety net under the sensor."""
    busy = busy_sites(context.instance, store.open(), utc_now())
    for site_id in sorted(context.instance.get_dynamic_partitions(str(SITES.name))):
        if site_id not in busy:
            # Dagster adds the time of the tick.
            yield dg.RunRequest(run_key=site_id, partition_key=site_id)


SENSORS = [sites_sensor, web_catalog_sensor, new_imagery_sensor]
SCHEDULES = [daily_update]
