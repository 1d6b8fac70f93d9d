"""Which satellite passes over which place, when, and in what weather: the plot of the demo.

Places are real, passes are not. Moments are UTC; the solar day follows from the place's
longitude and may be the next date: Macquarie Island's morning is the evening before in UTC.

Act 1 is what the catalogue holds at first. Act 2 is what a day later brings: a scene that was
published late, a reprocessed one, a repaired file and a new day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from estinel_assets.demo import antarctica, landscape
from estinel_assets.demo.clouds import Weather
from estinel_assets.demo.landscape import Landscape
from estinel_assets.demo.noise import Shape
from estinel_assets.demo.surface import Season

Platform = Literal["a", "b", "c"]
Act = Literal[1, 2]

HALVES_OVERLAP_M = 200.0
"""How far the two halves of a tile overlap along the track."""


@dataclass(frozen=True, slots=True)
class Swath:
    """Where the satellite's view ends: a line along its track."""

    side: Literal["west", "east"]
    """The side of the line that is seen."""
    offset_m: float
    """Distance of the line east of the place, negative to the west."""
    footprint_margin_m: float = 60.0
    """How far the published footprint reaches beyond the last valid pixel."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over one place."""

    moment: datetime
    """Sensing time of the middle of the scene, UTC."""
    platform: Platform
    season: Season
    weather: Weather
    swath: Swath | None = None
    """None: the whole place is seen."""
    halves: bool = False
    """The pass came down in two pieces: two items for one tile."""
    reprocessed: Act | None = None
    """The act in which a second, newer version of the scene is there."""
    truncated: bool = False
    """The red band of act 1 is cut short; act 2 brings it whole."""
    late: str | None = None
    """`north` or `south`: that tile of the pass is published in act 2 only."""
    act: Act = 1
    """When the pass is published."""


@dataclass(frozen=True, slots=True)
class Place:
    """A site of the demo and the passes over it."""

    location: str
    longitude_deg: float
    latitude_deg: float
    radiusx_m: float
    radiusy_m: float
    purpose: str
    build: Callable[[Shape, np.random.Generator], Landscape]
    shape: Shape
    """(rows, columns) of 10 m pixels that are made around the place; both even."""
    track_bearing_deg: float
    """Bearing of the line that a descending pass follows, as seen going north."""
    relative_orbit: int
    passes: tuple[Pass, ...]
    border_northing_m: float | None = None
    """Two tiles of a pass meet here: they are published as two scenes."""


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime:
    return datetime(year, month, day, hour, minute, second, 24_000, tzinfo=UTC)


HOBART = Place(
    "Hobart", 147.3257, -42.8826, 3000, 3000, "tasmania",
    landscape.estuary, (768, 768), 14.0, 130,
    (
        Pass(_utc(2024, 2, 10, 0, 5, 41), "b", Season(dryness=0.8),
             Weather(), reprocessed=1),
        Pass(_utc(2024, 4, 30, 0, 5, 38), "b", Season(dryness=0.5),
             Weather(cover=0.30, height_m=1400), truncated=True),
        Pass(_utc(2024, 6, 24, 23, 55, 47), "a", Season(snow=0.55, snow_line_m=330),
             Weather()),
        Pass(_utc(2024, 8, 3, 0, 5, 40), "a", Season(snow=0.4, snow_line_m=390),
             Weather(cover=0.16, height_m=900), Swath("west", 900.0)),
        Pass(_utc(2024, 10, 17, 0, 5, 36), "b", Season(), Weather(cover=1.0, kind="stratus")),
        Pass(_utc(2024, 12, 4, 23, 55, 44), "b", Season(dryness=0.2),
             Weather(cover=0.22, height_m=1500), halves=True),
        Pass(_utc(2025, 2, 2, 0, 5, 39), "c", Season(dryness=0.9),
             Weather(cover=0.35, kind="cirrus", height_m=6000)),
        Pass(_utc(2025, 3, 14, 0, 5, 42), "a", Season(dryness=0.6),
             Weather(cover=0.04, height_m=1200), act=2),
    ),
)  # fmt: skip

CASEY = Place(
    "Casey Station", 110.5267, -66.2825, 3000, 3000, "base,antarctica",
    antarctica.oasis, (768, 768), 30.0, 87,
    (
        Pass(_utc(2024, 1, 19, 2, 9, 13), "a", Season(snow=0.30, pack_ice=0.22),
             Weather(), reprocessed=2),
        Pass(_utc(2024, 2, 23, 2, 19, 21), "b", Season(snow=0.22, drift_px=(140, 60)),
             Weather(cover=0.25, height_m=1000)),
        Pass(_utc(2024, 10, 16, 2, 9, 18), "a", Season(snow=0.80, fast_ice_m=9000),
             Weather(cover=0.30, kind="cirrus", height_m=5500)),
        Pass(_utc(2024, 11, 22, 2, 19, 16), "b",
             Season(snow=0.60, fast_ice_m=1500, pack_ice=0.65, drift_px=(40, -30)), Weather()),
        Pass(_utc(2024, 12, 14, 2, 19, 20), "a", Season(snow=0.5, pack_ice=0.5), Weather(),
             Swath("east", 4600.0, footprint_margin_m=1000.0)),
        Pass(_utc(2025, 1, 17, 2, 9, 15), "c", Season(snow=0.35, pack_ice=0.35,
             drift_px=(-60, 20)), Weather(cover=0.10, height_m=1300), Swath("east", -1300.0)),
    ),
)  # fmt: skip

MAWSON = Place(
    "Mawson Station", 62.8742, -67.6033, 3000, 3000, "base,mawson,antarctica",
    antarctica.nunatak_coast, (768, 768), 31.0, 33,
    (
        Pass(_utc(2024, 1, 9, 5, 2, 27), "b", Season(snow=0.25, pack_ice=0.55), Weather()),
        Pass(_utc(2024, 2, 13, 4, 52, 31), "a", Season(snow=0.15, drift_px=(80, 90)),
             Weather(cover=0.20, height_m=1200)),
        Pass(_utc(2024, 10, 31, 5, 2, 25), "a", Season(snow=0.60, fast_ice_m=9000), Weather()),
        Pass(_utc(2024, 12, 2, 4, 52, 29), "b", Season(snow=0.40, fast_ice_m=1900,
             pack_ice=0.7, drift_px=(-30, 50)), Weather(cover=0.45, kind="stratus", height_m=600)),
        Pass(_utc(2025, 1, 8, 5, 2, 33), "b", Season(snow=0.2, pack_ice=0.3, drift_px=(20, -90)),
             Weather(cover=0.08, height_m=1000), late="north"),
    ),
    border_northing_m=2_500_000.0,
)  # fmt: skip

MACQUARIE = Place(
    "Macquarie Island Station", 158.9384, -54.4987, 3000, 3000,
    "base,macquarie,subantarctic,island", landscape.tussock_island, (768, 768), 20.0, 1,
    (
        Pass(_utc(2024, 1, 24, 23, 15, 51), "b", Season(swell=0.5), Weather()),
        Pass(_utc(2024, 3, 30, 23, 15, 48), "a", Season(swell=0.9),
             Weather(cover=0.38, kind="stratus", height_m=500)),
        Pass(_utc(2024, 8, 26, 23, 15, 55), "b", Season(swell=1.0, snow=0.55, snow_line_m=120),
             Weather(cover=0.20, height_m=900)),
        Pass(_utc(2024, 11, 9, 23, 15, 46), "a", Season(swell=0.8),
             Weather(cover=0.70, height_m=800)),
        Pass(_utc(2025, 1, 22, 23, 15, 53), "c", Season(swell=0.4, dryness=0.2),
             Weather(cover=0.12, height_m=700)),
    ),
)  # fmt: skip

SCOTT = Place(
    "Scott Island", -179.9167, -67.3833, 4500, 2500, "subantarctic,island",
    antarctica.pack_ice, (576, 960), 31.0, 59,
    (
        Pass(_utc(2024, 1, 5, 21, 31, 7), "a", Season(snow=0.35, pack_ice=0.78), Weather()),
        Pass(_utc(2024, 2, 12, 21, 21, 12), "b", Season(snow=0.15, pack_ice=0.32,
             drift_px=(90, -40)), Weather(cover=0.18, height_m=800)),
        Pass(_utc(2024, 11, 20, 21, 31, 5), "a", Season(snow=0.6, pack_ice=0.97,
             drift_px=(-70, 160)), Weather(cover=0.25, kind="cirrus", height_m=5000)),
        Pass(_utc(2025, 1, 27, 21, 21, 9), "c", Season(snow=0.2, pack_ice=0.5,
             drift_px=(30, 70)), Weather(), Swath("west", 1500.0)),
    ),
)  # fmt: skip

PLACES: tuple[Place, ...] = (HOBART, CASEY, MAWSON, MACQUARIE, SCOTT)
"""The five sites of the demo, in four kinds of landscape and five UTM zones."""
