"""Solar days: a site's scenes, grouped by the local day on which they were sensed."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import pairwise, starmap
from json.encoder import encode_basestring_ascii as quoted

import numpy as np
import numpy.typing as npt
import pandas as pd

from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.solarday import SolarDayRule, solar_days
from estinel_assets.stac.bands import Provider, asset_keys
from estinel_assets.stac.offsets import HARMONISATION_VERSION
from estinel_assets.stac.scene_columns import KnownScenes, version_text
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


class SolarDays(Mapping[date, SolarDay]):
    """A site's solar days, oldest first; what belongs to a day is made when the day is asked for.

    A plan compares some thirty days of the thousands that a site has. Safe to use from many
    threads: two of them may make the same day, and both get an equal one.
    """

    def __init__(
        self, known: KnownScenes, used: Sequence[int], spans: Mapping[date, range], rest: "_Rest"
    ) -> None:
        """Made by `group_solar_days`.

        Args:
            known: the site's scenes.
            used: places of those that are not withdrawn, ordered by day.
            spans: which of these are a day's; oldest day first.
            rest: what else fingerprints are made of.
        """
        self._known = known
        self._used = used
        self._spans = spans
        self._rest = rest
        self._made: dict[date, SolarDay] = {}

    def __getitem__(self, day: date) -> SolarDay:
        """What the source offers of a day."""
        made = self._made.get(day)
        if made is None:
            scenes = tuple(self._known[place] for place in self._places(day))
            # Nothing replaces a scene that is alone, as most are.
            kept, superseded = keep_newest(scenes) if len(scenes) > 1 else (scenes, {})
            made = SolarDay(day, kept, superseded, self._rest.fingerprint(_versions(kept)))
            self._made[day] = made
        return made

    def __iter__(self) -> Iterator[date]:
        """Every day that has a scene or had one that was withdrawn."""
        return iter(self._spans)

    def __len__(self) -> int:
        """How many days there are."""
        return len(self._spans)

    def __contains__(self, day: object) -> bool:
        """Whether a scene of the day is known."""
        return day in self._spans

    @property
    def newest(self) -> date | None:
        """The newest day that has a scene to use; None of none."""
        return max((day for day, span in self._spans.items() if span), default=None)

    def fingerprint(self, day: date) -> str:
        """A day's fingerprint, without making its scenes where none of them replaces another."""
        places = self._places(day)
        if len(places) > 1:
            pieces = [piece for place in places if (piece := self._known.pieces[place])]
            if len(set(pieces)) < len(pieces):
                return self[day].fingerprint
        return self._rest.fingerprint([self._known.versions[place] for place in places])

    def fingerprints(self, *, also: Container[date] = ()) -> Mapping[date, str]:
        """The fingerprints of the days that have a scene to use, each made when it is asked for.

        Args:
            also: days that count although all of their scenes were withdrawn.
        """
        spans = self._spans.items()
        return _Fingerprints(self, {day: None for day, span in spans if span or day in also})

    def _places(self, day: date) -> Sequence[int]:
        span = self._spans[day]
        return self._used[span.start : span.stop]


class _Fingerprints(Mapping[date, str]):
    """The fingerprints of some of a site's days."""

    def __init__(self, offered: SolarDays, days: Mapping[date, None]) -> None:
        self._offered = offered
        self._days = days

    def __getitem__(self, day: date) -> str:
        if day not in self._days:
            raise KeyError(day)
        return self._offered.fingerprint(day)

    def __iter__(self) -> Iterator[date]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)

    def __contains__(self, day: object) -> bool:
        return day in self._days


def group_solar_days(
    scenes: KnownScenes | Iterable[Scene],
    window: SiteWindow,
    longitude_deg: float,
    provider: Provider,
    *,
    rule: SolarDayRule = "estinel",
) -> SolarDays:
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
    known = scenes if isinstance(scenes, KnownScenes) else KnownScenes.of(scenes)
    used, spans = _spans(_days(known, longitude_deg, rule), known.withdrawn)
    return SolarDays(known, used, spans, _Rest.of(window, provider))


def fingerprint(scenes: Iterable[Scene], window: SiteWindow, provider: Provider) -> str:
    """A hash over everything that decides what a day's images look like."""
    return _Rest.of(window, provider).fingerprint(_versions(scenes))


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

    def fingerprint(self, versions: Iterable[tuple[str, str]]) -> str:
        listed = ",".join([f"[{quoted(name)},{quoted(stamp)}]" for name, stamp in sorted(versions)])
        encoded = f"{self.before}[{listed}]{self.after}".encode()
        return sha256(encoded).hexdigest()[:FINGERPRINT_LENGTH]


def _versions(scenes: Iterable[Scene]) -> list[tuple[str, str]]:
    """Id and stamp of each; no stamp is empty."""
    return [(scene.id, version_text(scene.updated) or "") for scene in scenes]


def _days(
    known: KnownScenes, longitude_deg: float, rule: SolarDayRule
) -> npt.NDArray[np.datetime64]:
    """The solar day of each scene."""
    longitudes: float | npt.NDArray[np.float64] = longitude_deg
    if rule == "estinel-r":
        own = known.longitudes_deg
        longitudes = np.where(np.isnan(own), longitude_deg, own)
    instants = pd.DatetimeIndex(known.instants_us.view("datetime64[us]"), tz="UTC")
    return solar_days(instants, longitudes, rule)


def _spans(
    days: npt.NDArray[np.datetime64], withdrawn: npt.NDArray[np.bool_]
) -> tuple[list[int], dict[date, range]]:
    """The places of the scenes to use, ordered by day, and which of them are each day's.

    A day whose scenes were all withdrawn has an empty range. The oldest day comes first.
    """
    # Stable: the scenes of a day stay in their order.
    order = np.argsort(days, kind="stable")
    kept = ~withdrawn[order]
    used: list[int] = order[kept].tolist()
    present, starts = np.unique(days[order], return_index=True)
    # How many scenes to use come before each day, and in all.
    before = np.concatenate([[0], np.cumsum(kept)])[np.append(starts, len(days))].tolist()
    offered: list[date] = present.tolist()
    return used, dict(zip(offered, starmap(range, pairwise(before)), strict=True))
