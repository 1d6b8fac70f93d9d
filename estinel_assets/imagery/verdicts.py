"""Checks over the health of all sites: each says which sites fail it, with numbers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from estinel_assets.imagery.health import STALE_DAYS, MarkerStatus, SiteHealth

MOST_WRITE_FAILURES = 0.1
"""Share of sites whose marker may be behind their outcomes."""
MOST_DAYS_WITHOUT_IMAGE = 14
"""So long may scenes come without an image, in days."""
MOST_FAULTS = 0.1
"""Share of faults among a site's recent days."""
SITES_NAMED = 100
"""Failing sites that a verdict names."""
DAYS_NAMED = 10
"""Days of a failing site that a verdict names."""

Number: TypeAlias = int | float | str | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class Failing:
    """A site that a check found wanting."""

    site_id: str
    location: str
    numbers: Mapping[str, Number]
    """What is wrong, in numbers."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of all sites."""

    passed: bool
    sites: int
    """Sites that were looked at."""
    failing: tuple[Failing, ...]
    """Those found wanting; a check with a threshold may pass in spite of some."""
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    """Over all sites."""

    def named(self) -> list[dict[str, Number]]:
        """The failing sites with their numbers, the first hundred."""
        return [
            {"SITE_ID": one.site_id, "location": one.location, **one.numbers}
            for one in self.failing[:SITES_NAMED]
        ]


def marker_age(sites: Iterable[SiteHealth]) -> Verdict:
    """No marker is more than a week behind the newest scene of its site."""
    read = _readable(sites)
    ages = [site.age_days for site in read if site.age_days is not None]
    failing = [
        _failing(
            site,
            marker_age_days=site.age_days,
            last_solarday=_iso(site.marker.last_solarday if site.marker else None),
            newest_solarday=_iso(site.newest_day),
        )
        for site in read
        if site.age_days is not None and site.age_days > STALE_DAYS
    ]
    counts = {
        f"sites_{status.value.replace(' ', '_')}": sum(site.status is status for site in read)
        for status in MarkerStatus
    }
    return _verdict(read, failing, marker_age_days=max(ages, default=0), **counts)


def marker_readable(sites: Iterable[SiteHealth]) -> Verdict:
    """No marker is corrupt, and none is missing where days are finished."""
    every = list(sites)
    failing = []
    for site in every:
        if site.unreadable is not None:
            failing.append(_failing(site, problem=site.unreadable))
        elif site.marker_problem is not None:
            failing.append(_failing(site, problem=site.marker_problem))
        elif site.marker is None and site.has_finished_day and not site.at_work:
            failing.append(_failing(site, problem="it has finished days and no marker"))
    return _verdict(every, failing)


def marker_write_failures(sites: Iterable[SiteHealth]) -> Verdict:
    """At most a tenth of the markers lacks what a run should have written."""
    judged = [site for site in _settled(sites) if site.has_finished_day or site.marker]
    failing = [_failing(site, due=site.marker_due) for site in judged if site.marker_due]
    share = len(failing) / len(judged) if judged else 0.0
    return Verdict(
        passed=share <= MOST_WRITE_FAILURES,
        sites=len(judged),
        failing=tuple(failing),
        numbers={"share": round(share, 4), "marker_write_success": round(1 - share, 4)},
    )


def images_keep_coming(sites: Iterable[SiteHealth]) -> Verdict:
    """Where scenes come, images are made of some."""
    judged = _settled(sites)
    failing = [
        _failing(
            site,
            days_without_image=site.days_without_image,
            newest_solarday=_iso(site.newest_day),
            images=site.images,
        )
        for site in judged
        if site.days_without_image > MOST_DAYS_WITHOUT_IMAGE
    ]
    return _verdict(judged, failing, images=sum(site.images for site in judged))


def source_searched(sites: Iterable[SiteHealth]) -> Verdict:
    """Every site's last search succeeded, lately; a site that was never searched is not begun."""
    read = _readable(sites)
    failing = [_failing(site, problem=site.search_problem) for site in read if site.search_problem]
    return _verdict(read, failing)


def day_counts_reconcile(sites: Iterable[SiteHealth]) -> Verdict:
    """Each known day has an outcome, is adopted or is planned; images that stand are listed."""
    judged = _settled(sites)
    failing = []
    for site in judged:
        days = site.days
        unmerged = site.merged_images not in {None, site.listed_images}
        if not (days.unaccounted or site.unlisted or site.unfounded or unmerged):
            continue
        failing.append(
            _failing(
                site,
                known_days=days.known,
                outcomes=days.outcomes,
                adopted=days.adopted,
                planned=days.planned,
                unaccounted=len(days.unaccounted),
                unaccounted_days=_named(days.unaccounted),
                images=site.images,
                images_in_catalog=site.merged_images,
                unlisted_days=_named(site.unlisted),
                unfounded_days=_named(site.unfounded),
            )
        )
    return _verdict(
        judged,
        failing,
        known_days=sum(site.days.known for site in judged),
        outcomes=sum(site.days.outcomes for site in judged),
        planned=sum(site.days.planned for site in judged),
        adopted=sum(site.days.adopted for site in judged),
        images=sum(site.images for site in judged),
    )


def image_grid_equals_window(sites: Iterable[SiteHealth]) -> Verdict:
    """The newest composites have the CRS, transform and size of their site's window."""
    judged = _settled(sites)
    failing = [
        _failing(site, images_seen=site.grids_seen, problems=list(site.grid_problems))
        for site in judged
        if site.grid_problems
    ]
    return _verdict(judged, failing, images_seen=sum(site.grids_seen for site in judged))


def share_of_faults(sites: Iterable[SiteHealth]) -> Verdict:
    """Among the recent days of each site, at most a tenth ended with a fault."""
    read = _readable(sites)
    failing = [
        _failing(
            site,
            share=round(site.recent_faults / site.recent_days, 4),
            faults=site.recent_faults,
            days=site.recent_days,
            days_given_up=len(site.given_up),
        )
        for site in read
        if site.recent_faults > MOST_FAULTS * site.recent_days
    ]
    days = sum(site.recent_days for site in read)
    faults = sum(site.recent_faults for site in read)
    share = round(faults / days, 4) if days else 0.0
    return _verdict(read, failing, share=share, faults=faults, days=days)


def _readable(sites: Iterable[SiteHealth]) -> list[SiteHealth]:
    return [site for site in sites if site.unreadable is None]


def _settled(sites: Iterable[SiteHealth]) -> list[SiteHealth]:
    """Sites that no run is changing at the moment."""
    return [site for site in _readable(sites) if not site.at_work]


def _verdict(
    sites: Sequence[SiteHealth], failing: Sequence[Failing], **numbers: int | float
) -> Verdict:
    return Verdict(not failing, len(sites), tuple(failing), numbers)


def _failing(site: SiteHealth, **numbers: Number) -> Failing:
    return Failing(site.site_id, site.location, numbers)


def _named(days: Sequence[date]) -> list[str]:
    return [day.isoformat() for day in days[:DAYS_NAMED]]


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
