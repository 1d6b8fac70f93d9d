"""Solar days: a site's scenes, grouped by the local day on which they were sensed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from json.encoder import encode_basestring_ascii as quoted

import numpy as np
import pandas as pd

from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.solarday import SolarDayRule, solar_days
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
    known = list(scenes)
    by_day: dict[date, list[Scene]] = {}
    for scene, day in zip(known, _days(known, longitude_deg, rule), strict=True):
        members = by_day.setdefault(day, [])
        if not scene.withdrawn:
            members.append(scene)
    rest = _Rest.of(window, provider)
    days = {}
    for day in sorted(by_day):
        members = by_day[day]
        # Nothing replaces a scene that is alone, as most are.
        kept, superseded = keep_newest(members) if len(members) > 1 else (tuple(members), {})
        days[day] = SolarDay(day, kept, superseded, rest.fingerprint(kept))
    return days


def fingerprint(scenes: Iterable[Scene], window: SiteWindow, provider: Provider) -> str:
    """A hash over everything that decides what a day's images look like."""
    return _Rest.of(window, provider).fingerprint(scenes)


@dataclass(frozen=True, slots=True)
class _Rest:
    """What fingerprints are made of but for the scenes: the JSON before them and after them.

    It is the same for all days of a site, of which there are thousands.
    """

    before: str
    after: str

    @classmethod
    def of(cls, window: SiteWindow, provider: Provider) -> "_Rest":
        grid = window.grid
        content = {
            "scenes": [],
            "window": [grid.crs, grid.transform, grid.width, grid.height],
            "bands": dict(sorted(asset_keys(provider).items())),
            "harmonisation": HARMONISATION_VERSION,
        }
        before, after = json.dumps(content, separators=(",", ":"), sort_keys=True).split("[]")
        return cls(before, after)

    def fingerprint(self, scenes: Iterable[Scene]) -> str:
        stamped = [
            (scene.id, scene.updated.isoformat() if scene.updated else "") for scene in scenes
        ]
        stamped.sort()
        listed = ",".join([f"[{quoted(name)},{quoted(stamp)}]" for name, stamp in stamped])
        encoded = f"{self.before}[{listed}]{self.after}".encode()
        return sha256(encoded).hexdigest()[:FINGERPRINT_LENGTH]


def _days(scenes: Sequence[Scene], longitude_deg: float, rule: SolarDayRule) -> list[date]:
    """The solar day of each scene."""
    longitudes = [
        longitude_deg
        if rule != "estinel-r" or scene.centroid_longitude_deg is None
        else scene.centroid_longitude_deg
        for scene in scenes
    ]
    instants = pd.to_datetime([scene.datetime for scene in scenes], utc=True)
    days: list[date] = solar_days(instants, np.array(longitudes, np.float64), rule).tolist()
    return days
