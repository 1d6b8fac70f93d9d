"""How healthy a site is, in numbers made of what the store says of it.

Pure: what is stored and the time come in as arguments. `site_survey` reads what is stored,
`verdicts` judges all sites.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from estinel_assets.imagery.markers import Marker, StoredMarker
from estinel_assets.imagery.plan import SiteState, given_up, last_finished_day
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_finish import marker_age_days
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.raster.grids import Grid

CURRENT_DAYS = 1
"""A marker at most so far behind the newest scene is current."""
STALE_DAYS = 7
"""A marker at most so far behind is stale; one further behind is very stale, and fails."""
RECENT_DAYS = 30
"""Newest days with an outcome of which the share of faults is taken."""
MOST_DAYS_UNSEARCHED = 2.0
"""So long ago may the last search be, in days."""


class MarkerStatus(StrEnum):
    """How far a marker is behind the newest scene that the source offers."""

    CURRENT = "current"
    STALE = "stale"
    VERY_STALE = "very stale"
    MISSING = "missing"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What the store says of a site."""

    site: Site
    window: Grid
    """The pixels that its images must have."""
    marker: StoredMarker
    state: SiteState
    newest_day: date | None
    """The newest solar day of which the source offered a scene; None of none."""
    planned: frozenset[date]
    """Days that a run would make now."""
    start: date
    """Days before it do not count."""
    first_day: date
    """The first day that a search would cover whole now."""
    max_attempts: int
    search: IndexRow | None
    """Outcome of the last search; None where there was none."""
    searched_from_marker: bool
    """The last search asked for every day from the marker on, so that the marker may move."""
    standing: frozenset[date]
    """Days whose images stand, by the ledger."""
    listed: frozenset[date] | None
    """Days with images in the site's part of the catalogue; None where it has no part."""
    merged_images: int | None = None
    """Images of the site in the web catalogue; None where it is yet to be merged."""
    grids: Mapping[date, Grid | str] = field(default_factory=dict)
    """Of some standing composites, the grid, or what is wrong with the file."""
    at_work: bool = False
    """A live worker holds the site, so that its marker and catalogue are rightly behind."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What is known of a site's days; each known day is in one of the other four."""

    known: int
    """Days that the source offers or that have an outcome."""
    outcomes: int
    adopted: int
    """Without outcome, made by another system."""
    planned: int
    """Without outcome, and the next run makes them."""
    unaccounted: tuple[date, ...]
    """Without outcome, and no run will make them."""


@dataclass(frozen=True, slots=True)
class SiteHealth:
    """A site's numbers."""

    site_id: str
    location: str
    unreadable: str | None = None
    """Why nothing could be read of the site; then nothing else here means anything."""
    at_work: bool = False
    marker: Marker | None = None
    marker_problem: str | None = None
    """What is wrong with a corrupt marker."""
    status: MarkerStatus = MarkerStatus.MISSING
    newest_day: date | None = None
    age_days: int | None = None
    """Days from the marker to the newest scene; without a marker, from the day before the first
    known one. None without scenes."""
    marker_due: str | None = None
    """What a run should have written to the marker and did not; None where all is written."""
    has_finished_day: bool = False
    days: DayCounts = DayCounts(0, 0, 0, 0, ())
    images: int = 0
    """Days whose images stand."""
    unlisted: tuple[date, ...] = ()
    """Days whose images stand and that the catalogue lacks."""
    unfounded: tuple[date, ...] = ()
    """Days that the catalogue lists and whose images do not stand."""
    listed_images: int = 0
    """Days with images in the site's part of the catalogue."""
    merged_images: int | None = None
    """Images of the site in the web catalogue; None where it is yet to be merged."""
    days_without_image: int = 0
    """Days over which scenes have come and no image was made."""
    recent_days: int = 0
    recent_faults: int = 0
    given_up: tuple[date, ...] = ()
    """Days whose attempts are used up."""
    grids_seen: int = 0
    grid_problems: tuple[str, ...] = ()
    search_problem: str | None = None


def site_health(facts: SiteFacts, now: datetime) -> SiteHealth:
    """Judge one site.

    Args:
        facts: what the store says of it.
        now: the time, aware.
    """
    known = [day for day in facts.state.known_days() if day >= facts.start]
    marker = facts.marker.marker
    finished = last_finished_day(
        facts.state,
        start=facts.start,
        first_day=facts.first_day,
        max_attempts=facts.max_attempts,
    )
    age = marker_age_days(marker, facts.newest_day)
    if marker is None and known and facts.newest_day is not None:
        age = max((facts.newest_day - known[0]).days + 1, 0)
    recent = [facts.state.outcomes[day] for day in known if day in facts.state.outcomes]
    recent = recent[-RECENT_DAYS:]
    listed = facts.listed or frozenset()
    return SiteHealth(
        site_id=facts.site.site_id,
        location=facts.site.location,
        at_work=facts.at_work,
        marker=marker,
        marker_problem=facts.marker.problem,
        status=marker_status(facts.marker, facts.newest_day),
        newest_day=facts.newest_day,
        age_days=age,
        marker_due=_marker_due(facts, finished),
        has_finished_day=finished is not None,
        days=count_days(facts.state, known, facts.planned),
        images=len(facts.standing),
        unlisted=tuple(sorted(facts.standing - listed)),
        unfounded=tuple(sorted(listed - facts.standing)),
        listed_images=len(listed),
        merged_images=facts.merged_images,
        days_without_image=_days_without_image(facts, known),
        recent_days=len(recent),
        recent_faults=sum(_is_fault(row) for row in recent),
        given_up=tuple(given_up(facts.state, max_attempts=facts.max_attempts)),
        grids_seen=len(facts.grids),
        grid_problems=tuple(_grid_problems(facts)),
        search_problem=_search_problem(facts.search, now),
    )


def marker_status(stored: StoredMarker, newest: date | None) -> MarkerStatus:
    """How far a marker is behind the newest scene: at most a day is current, a week is stale."""
    if stored.problem is not None:
        return MarkerStatus.CORRUPT
    if stored.marker is None:
        return MarkerStatus.MISSING
    age = marker_age_days(stored.marker, newest)
    if age is None or age <= CURRENT_DAYS:
        return MarkerStatus.CURRENT
    return MarkerStatus.STALE if age <= STALE_DAYS else MarkerStatus.VERY_STALE


def count_days(state: SiteState, known: Sequence[date], planned: frozenset[date]) -> DayCounts:
    """Put each known day where it belongs.

    Days before the first one that has an outcome, is adopted or is planned do not count: a search
    returns a part of the day before it begins, too.

    Args:
        state: what is known of the site.
        known: its days, oldest first.
        planned: those that a run would make now.
    """
    outcomes = [day for day in known if day in state.outcomes]
    without = [day for day in known if day not in state.outcomes]
    adopted = [day for day in without if state.adopts(day)]
    awaited = [day for day in without if day in planned and not state.adopts(day)]
    accounted = {*outcomes, *adopted, *awaited}
    begin = min(accounted, default=date.max)
    unaccounted = tuple(day for day in without if day > begin and day not in accounted)
    return DayCounts(
        known=len(accounted) + len(unaccounted),
        outcomes=len(outcomes),
        adopted=len(adopted),
        planned=len(awaited),
        unaccounted=unaccounted,
    )


def _marker_due(facts: SiteFacts, finished: date | None) -> str | None:
    marker = facts.marker.marker
    if not facts.searched_from_marker:
        finished = None
    if marker is None:
        return f"last_solarday {finished.isoformat()}" if finished is not None else None
    if finished is not None and finished > marker.last_solarday:
        return f"last_solarday {finished.isoformat()}, not {marker.last_solarday.isoformat()}"
    # Without a part of the catalogue no run has ended here yet.
    if facts.listed is not None and marker.n_images_total != len(facts.listed):
        return f"n_images_total {len(facts.listed)}, not {marker.n_images_total}"
    return None


def _days_without_image(facts: SiteFacts, known: Sequence[date]) -> int:
    """From the first scene day after the last image to the newest scene, both included."""
    state, newest = facts.state, facts.newest_day
    if newest is None:
        return 0
    # That a day is too cloudy was learnt from its pixels.
    refused = {day for day, row in state.outcomes.items() if row.reason == ImageryReason.TOO_CLOUDY}
    last = max(facts.standing | refused, default=date.min)
    if state.adopted_until is not None:
        last = max(last, state.adopted_until)
    first_since = next((day for day in known if day > last and day in state.fingerprints), None)
    # After a polar night the first scenes have no long past to answer for.
    return max((newest - first_since).days + 1, 0) if first_since is not None else 0


def _grid_problems(facts: SiteFacts) -> Iterable[str]:
    window = facts.window
    for day, grid in sorted(facts.grids.items()):
        if isinstance(grid, str):
            yield f"{day.isoformat()}: {grid}"
        elif grid != window:
            yield f"{day.isoformat()}: it has {_shown(grid)}, the window {_shown(window)}"


def _search_problem(search: IndexRow | None, now: datetime) -> str | None:
    if search is None:
        return None
    if not search.status:
        return f"the last search ended as {search.reason}, attempt {search.attempts}"
    ago = (now - search.finished_at) / timedelta(days=1)
    if ago > MOST_DAYS_UNSEARCHED:
        return f"the last search is {ago:.1f} days ago"
    return None


def _is_fault(row: IndexRow) -> bool:
    return any(reason.fault for reason in ImageryReason if reason == row.reason)


def _shown(grid: Grid) -> str:
    return (
        f"{grid.crs}, {grid.width} x {grid.height} pixels of {grid.resolution:g} m "
        f"from ({grid.left:g}, {grid.top:g})"
    )
