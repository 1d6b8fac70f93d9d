"""Solar days: a site's scenes, grouped by the local day on which they were sensed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.solarday import SolarDayRule, solar_day
from estinel_assets.stac.bands import Provider, asset_keys
from estinel_assets.stac.offsets import HARMONISATION_VERSION
from estinel_assets.stac.scenes import Scene
from estinel_assets.stac.versions import keep_newest

FINGERPRINT_LENGTH = 16
"""Hex digits of a day's fingerprint."""


@dataclass(frozen=True, slots=True)
class SolarDay:
    """What the source offers of one solar day of a site."""

    day: date
    scenes: tuple[Scene, ...]
    """The scenes to use, by datetime, then id. Empty when all of them were withdrawn. Without
    assets: those come from the items."""
    superseded: Mapping[str, tuple[str, ...]]
    """By the id of a scene in use, the ids of the older versions that it replaces."""
    fingerprint: str
    """Changes whenever the images would."""


def group_solar_days(
    scenes: Iterable[Scene],
    window: SiteWindow,
    longitude_deg: float,
    provider: Provider,
    *,
    rule: SolarDayRule = "estinel",
) -> dict[date, SolarDay]:
    """Group scenes by solar day and drop those that a newer version replaces.

    Args:
        scenes: all scenes that are known of a site, withdrawn ones included.
        window: the site's window.
        longitude_deg: the site's longitude, in degrees east.
        provider: says which files hold which band.
        rule: `estinel-r` takes each scene's own longitude, as the R pipeline does.

    Returns:
        By day, oldest first. A day whose scenes were all withdrawn is there, without scenes.
    """
    by_day: dict[date, list[Scene]] = {}
    for scene in scenes:
        longitude = scene.centroid_longitude_deg if rule == "estinel-r" else None
        at = longitude_deg if longitude is None else longitude
        members = by_day.setdefault(solar_day(scene.datetime, at, rule), [])
        if not scene.withdrawn:
            members.append(scene)
    days = {}
    for day in sorted(by_day):
        kept, superseded = keep_newest(by_day[day])
        days[day] = SolarDay(day, kept, superseded, fingerprint(kept, window, provider))
    return days


def fingerprint(scenes: Iterable[Scene], window: SiteWindow, provider: Provider) -> str:
    """A hash over everything that decides what a day's images look like."""
    grid = window.grid
    content = {
        "scenes": sorted([scene.id, _stamp(scene)] for scene in scenes),
        "window": [grid.crs, grid.transform, grid.width, grid.height],
        "bands": dict(sorted(asset_keys(provider).items())),
        "harmonisation": HARMONISATION_VERSION,
    }
    encoded = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return sha256(encoded).hexdigest()[:FINGERPRINT_LENGTH]


def _stamp(scene: Scene) -> str:
    return scene.updated.isoformat() if scene.updated else ""
