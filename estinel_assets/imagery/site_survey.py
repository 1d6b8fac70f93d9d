"""Reads what the store says of a site, for `health` to judge. Writes nothing, holds nothing."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice

from estinel_assets.compute import Engine
from estinel_assets.errors import BadInputError, EstinelError, NotFoundError, StoreError
from estinel_assets.imagery.attempts import standing_images
from estinel_assets.imagery.health import SiteFacts, SiteHealth, site_health
from estinel_assets.imagery.layout import CATALOG, CATALOG_STATE, day_paths, fragment_path
from estinel_assets.imagery.markers import Marker, read_marker
from estinel_assets.imagery.plan import SiteState, plan_days
from estinel_assets.imagery.reasons import SEARCH_KEY, ImageryReason
from estinel_assets.imagery.site_finish import adoption_day_of, first_day_to_ask
from estinel_assets.imagery.site_imagery import FIRST_DAY, SiteImagery
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.header import stored_grid
from estinel_assets.storage.documents import read_json
from estinel_assets.storage.port import ObjectStore


def survey_sites(
    sites: Iterable[SiteImagery],
    engine: Engine,
    *,
    merged: Mapping[str, int] | None = None,
    composites: int = 0,
) -> list[SiteHealth]:
    """The health of many sites; one that cannot be read says why.

    Args:
        sites: the sites.
        engine: how many are read at once.
        merged: images in the web catalogue by SITE_ID; see `merged_images`.
        composites: newest images of each site whose grid is looked at.

    Returns:
        By name of the location.
    """
    in_catalog = merged or {}

    def health_of(imagery: SiteImagery) -> SiteHealth:
        site = imagery.site
        try:
            facts = survey(imagery, composites=composites)
        except EstinelError as error:
            return SiteHealth(site.site_id, site.location, unreadable=str(error))
        facts = replace(facts, merged_images=in_catalog.get(site.site_id))
        return site_health(facts, imagery.run.clock())

    found = [one.result() for one in engine.map(health_of, sites)]
    return sorted(found, key=lambda health: (health.location, health.site_id))


def survey(imagery: SiteImagery, *, composites: int = 0) -> SiteFacts:
    """What the store says of a site.

    Args:
        imagery: the site.
        composites: newest images whose grid is looked at.

    Raises:
        EstinelError: something is stored that cannot be read.
    """
    # Asked first: what a run finishes meanwhile may be seen in one place and not in another.
    at_work = imagery.book.is_held(imagery.partition)
    stored = read_marker(imagery.store, imagery.site.site_id)
    index = imagery.book.index(imagery.partition)
    days = imagery.solar_days()
    state = _with_archive(imagery, imagery.state(days, index), stored.marker)
    first_day = first_day_to_ask(imagery, stored.marker, None)
    search = index.get((imagery.site.site_id, SEARCH_KEY))
    plan = plan_days(state, first_day=first_day, now=imagery.run.clock(), retry=imagery.retry)
    return SiteFacts(
        site=imagery.site,
        window=imagery.window.grid,
        marker=stored,
        state=state,
        newest_day=days.newest,
        planned=frozenset(planned.day for planned in plan),
        start=imagery.settings.imagery.start,
        first_day=first_day,
        max_attempts=imagery.retry.max_attempts,
        search=search,
        searched_from_marker=_searched_from(imagery, stored.marker, search),
        standing=_standing(imagery, state.outcomes),
        listed=_listed(imagery),
        grids=_grids(imagery, state, composites),
        at_work=at_work or imagery.book.is_held(imagery.partition),
    )


def merged_images(store: ObjectStore) -> dict[str, int]:
    """How many images the web catalogue lists of each site.

    Sites whose part changed since the last merge are left out.

    Raises:
        StoreError: the catalogue cannot be read.
    """
    try:
        merged, catalog = read_json(store, CATALOG_STATE), read_json(store, CATALOG)
    except NotFoundError:
        return {}
    counts = {}
    try:
        listed = {str(entry["id"]): len(entry["images"]) for entry in catalog["locations"]}
        etags = {site_id: merged.get(fragment_path(site_id)) for site_id in listed}
    except (AttributeError, KeyError, TypeError):
        raise StoreError(
            f"{store.uri(CATALOG)} is no web catalogue; delete it and materialize web_catalog"
        ) from None
    for site_id, etag in etags.items():
        with suppress(NotFoundError):
            if store.head(fragment_path(site_id)).etag == etag:
                counts[site_id] = listed[site_id]
    return counts


def _with_archive(imagery: SiteImagery, state: SiteState, marker: Marker | None) -> SiteState:
    """The state as the next run would see it, which takes an archive over at first sight."""
    if marker is None or marker.n_images_total is not None:
        return state
    if state.adopted_until is not None or state.outcomes:
        return state
    return replace(state, adopted_until=adoption_day_of(imagery, marker))


def _searched_from(imagery: SiteImagery, marker: Marker | None, search: IndexRow | None) -> bool:
    """Whether the last search asked for every day from the marker on."""
    if search is None or not search.status:
        return False
    after = imagery.settings.imagery.start
    if marker is not None:
        foreign = marker.n_images_total is None
        after = adoption_day_of(imagery, marker) if foreign else marker.last_solarday
        after += timedelta(days=1)
    entry = Entry(search.key, search.status, search.reason, search.path, search.etag)
    for outcome in imagery.book.ledger.read([entry]):
        asked = outcome.detail.get(FIRST_DAY)
        return asked is not None and date.fromisoformat(asked) <= after
    return False


def _standing(imagery: SiteImagery, rows: Mapping[date, IndexRow]) -> frozenset[date]:
    """Days whose images stand, also where a later attempt at them failed."""
    standing = {day for day, row in rows.items() if row.status}
    faults = {str(reason) for reason in ImageryReason if reason.fault}
    failed = [
        Entry(row.key, row.status, row.reason, row.path, row.etag)
        for row in rows.values()
        if row.reason in faults
    ]
    for outcome in imagery.book.ledger.read(failed) if failed else ():
        if standing_images(outcome) is not None:
            standing.add(date.fromisoformat(outcome.key[-1]))
    return frozenset(standing)


def _listed(imagery: SiteImagery) -> frozenset[date] | None:
    path = fragment_path(imagery.site.site_id)
    try:
        images = read_json(imagery.store, path)["location"]["images"]
        return frozenset(date.fromisoformat(image["date"]) for image in images)
    except NotFoundError:
        return None
    except (KeyError, TypeError, ValueError):
        raise StoreError(
            f"{imagery.store.uri(path)} is no part of a catalogue; delete it and update the site"
        ) from None


def _grids(imagery: SiteImagery, state: SiteState, count: int) -> dict[date, Grid | str]:
    # Where the window changed since, the day is planned again and its image may differ till then.
    standing = (
        day
        for day, row in sorted(state.outcomes.items(), reverse=True)
        if row.status and not state.is_changed(day)
    )
    return {day: _grid(imagery, day) for day in sorted(islice(standing, count))}


def _grid(imagery: SiteImagery, day: date) -> Grid | str:
    path = day_paths(imagery.settings.stac.collection, day, imagery.site.file_stem).rgb
    try:
        return stored_grid(imagery.store, path)
    except NotFoundError:
        return f"{imagery.store.uri(path)} is missing: make the day again"
    except BadInputError as error:
        return str(error)
