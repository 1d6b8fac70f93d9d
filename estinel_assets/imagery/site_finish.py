"""The two ends of a site's run: its marker is read first, and written last with its fragment."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from estinel_assets.errors import StoreError
from estinel_assets.imagery.catalog_entries import PublicAddress
from estinel_assets.imagery.catalog_fragments import Fragment, update_fragment
from estinel_assets.imagery.markers import (
    Marker,
    StoredMarker,
    adoption_day,
    read_adoption,
    read_marker,
    write_adoption,
    write_marker,
)
from estinel_assets.imagery.plan import (
    PlannedDay,
    last_finished_day,
    outcomes_by_day,
    plan_days,
)
from estinel_assets.imagery.reasons import SEARCH_KEY
from estinel_assets.imagery.site_imagery import FIRST_DAY, SiteImagery
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.record import Outcome
from estinel_assets.stac.source import SceneSource

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """What the end of a site's run led to."""

    fragment: Fragment
    marker: Marker | None
    """As it should stand; None where nothing is finished yet."""
    written: bool
    """It had to be written, and was."""
    problem: str | None
    """Why it could not be written; None where it could, or need not be."""
    newest_day: date | None
    """The newest solar day that the source offers."""

    def counts(self) -> dict[str, int | bool | str]:
        """The numbers, for metadata."""
        counts: dict[str, int | bool | str] = {
            "images_total": self.fragment.n_images,
            "marker_written": self.written,
            "marker_write_success": int(self.problem is None),
        }
        if self.marker is not None:
            counts["last_solarday"] = self.marker.last_solarday.isoformat()
        age = marker_age_days(self.marker, self.newest_day)
        if age is not None:
            counts["marker_age_days"] = age
        return counts


def open_marker(imagery: SiteImagery) -> StoredMarker:
    """Read the site's marker; take an archive of the R pipeline over at first sight of it.

    A corrupt marker counts as absent, with a warning.
    """
    stored = read_marker(imagery.store, imagery.site.site_id)
    if stored.problem is not None:
        log.warning("corrupt marker", site=imagery.site.location, problem=stored.problem)
    if stored.marker is not None and _is_foreign(imagery, stored.marker):
        adopt(imagery, stored.marker)
    return stored


def adopt(imagery: SiteImagery, marker: Marker) -> date:
    """Take over the archive that a marker of the R pipeline describes.

    Returns:
        The solar day up to which it counts as done.
    """
    until = adoption_day_of(imagery, marker)
    write_adoption(imagery.store, marker, until, imagery.run.clock())
    return until


def adoption_day_of(imagery: SiteImagery, marker: Marker) -> date:
    """Up to which solar day the archive that a marker of the R pipeline describes is complete."""
    same_rule = imagery.settings.imagery.solarday_rule == "estinel-r"
    return adoption_day(marker, imagery.site, same_rule=same_rule)


def first_day_to_ask(imagery: SiteImagery, marker: Marker | None, since: date | None) -> date:
    """The first solar day that the search has to cover whole.

    Args:
        imagery: the site's run.
        marker: the site's; None where it has none.
        since: ask from this day on instead; None for what the marker says.
    """
    at = imagery.settings.imagery
    if since is not None:
        return since
    if marker is None:
        return at.start
    # At most to the marker itself: the day after it is asked for in any case.
    return max(at.start, _day_after(imagery, marker) - timedelta(days=at.rescan_days))


def _day_after(imagery: SiteImagery, marker: Marker | None) -> date:
    """The first solar day that a marker does not call done."""
    if marker is None:
        return imagery.settings.imagery.start
    return _reached(imagery, marker) + timedelta(days=1)


def _reached(imagery: SiteImagery, marker: Marker) -> date:
    """A marker's day, as our days are counted."""
    if marker.n_images_total is None:
        return adoption_day_of(imagery, marker)
    return marker.last_solarday


def was_never_run(imagery: SiteImagery) -> bool:
    """Whether nothing is known of the site, so that its first run is needed in any case."""
    stored = read_marker(imagery.store, imagery.site.site_id)
    return stored.marker is None and not imagery.book.index(imagery.partition)


def preview_plan(
    imagery: SiteImagery, source: SceneSource, since: date | None = None
) -> tuple[PlannedDay, ...]:
    """What a run of the site would make now. Searches, and writes nothing.

    Args:
        imagery: the site.
        source: the STAC API.
        since: ask from this day on instead of what the marker says.

    Raises:
        UnitError: the search failed.
    """
    stored = read_marker(imagery.store, imagery.site.site_id)
    index = imagery.book.index(imagery.partition)
    first_day = first_day_to_ask(imagery, stored.marker, since)
    days = imagery.offered_days(source, first_day)
    state = imagery.state(days, index)
    if stored.marker is not None and _is_foreign(imagery, stored.marker):
        # The run itself takes the archive over; here it only counts as taken over.
        state = replace(state, adopted_until=adoption_day_of(imagery, stored.marker))
    return plan_days(state, first_day=first_day, now=imagery.run.clock(), retry=imagery.retry)


def finish(imagery: SiteImagery, n_images: int) -> Finished:
    """Bring the site's marker and its part of the catalogue up to date.

    A marker that cannot be written is a warning: the next run writes it.

    Args:
        imagery: the site's run.
        n_images: days with images that it made.
    """
    stored = read_marker(imagery.store, imagery.site.site_id)
    with imagery.book.open(imagery.partition, owner=imagery.run.run_id) as partition:
        # Read while the site is held, so that scenes and outcomes belong together.
        days = imagery.solar_days()
        index = partition.index()
        search = partition.get((imagery.site.site_id, SEARCH_KEY))
        fragment = update_fragment(
            imagery.store,
            imagery.site,
            imagery.window,
            index.values(),
            imagery.book.ledger,
            PublicAddress(imagery.store, imagery.settings.store.public_url),
        )
    state = imagery.state(days, index)
    finished = last_finished_day(
        state,
        start=imagery.settings.imagery.start,
        first_day=first_day_to_ask(imagery, stored.marker, None),
        max_attempts=imagery.retry.max_attempts,
    )
    if _left_a_gap(imagery, stored.marker, search):
        finished = None  # the marker stays where it is
    marker = _marker(imagery, stored.marker, finished, n_images, fragment.n_images)
    written, problem = False, None
    if marker is not None:
        try:
            written = write_marker(imagery.store, marker, stored)
        except StoreError as error:
            problem = str(error)
            log.warning("marker not written", site=imagery.site.location, problem=problem)
    return Finished(fragment, marker, written, problem, days.newest)


def marker_age_days(marker: Marker | None, newest: date | None) -> int | None:
    """How many days a marker is behind the newest scene; None without marker or scenes.

    Not behind today: where the sun does not rise there are no scenes, and nothing is late.
    """
    if marker is None or newest is None:
        return None
    return max((newest - marker.last_solarday).days, 0)


def _marker(
    imagery: SiteImagery,
    former: Marker | None,
    finished: date | None,
    n_images: int,
    n_images_total: int,
) -> Marker | None:
    reached = [day for day in (finished, _reached(imagery, former) if former else None) if day]
    if not reached:
        return None
    return Marker(
        site_id=imagery.site.site_id,
        location=imagery.site.location,
        # It never goes back, also where a rebuild of an earlier day failed.
        last_solarday=max(reached),
        last_updated=imagery.run.clock(),
        n_images=n_images,
        n_images_total=n_images_total,
    )


def _left_a_gap(imagery: SiteImagery, marker: Marker | None, search: Outcome | None) -> bool:
    """Whether the source was not asked for every day from the marker on.

    A search that began later, because somebody said so, leaves days behind of which nothing is
    known; a marker beyond them would lose them for ever.
    """
    if search is None or not search.status:
        return True
    asked = search.detail.get(FIRST_DAY)
    return asked is None or date.fromisoformat(asked) > _day_after(imagery, marker)


def _is_foreign(imagery: SiteImagery, marker: Marker) -> bool:
    """Whether a marker is of an archive of the R pipeline that was not taken over yet."""
    site_id = imagery.site.site_id
    if marker.n_images_total is not None or read_adoption(imagery.store, site_id) is not None:
        return False
    return not outcomes_by_day(imagery.book.index(imagery.partition).values())
