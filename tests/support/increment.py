"""Made sites for tests of increments: scenes without files, and runs of a site.

A scene's pixels follow from its id and version alone, so no file is read and a day takes a few
milliseconds. The runs are the product's own, from the marker to the marker, without Dagster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np

from estinel_assets.compute import Completed
from estinel_assets.errors import RetryableError, SourceFault, UnitError
from estinel_assets.imagery.catalog import merge_catalog
from estinel_assets.imagery.layout import day_paths
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.plan import PlannedDay
from estinel_assets.imagery.reasons import IMAGERY, SEARCH_KEY, ImageryReason
from estinel_assets.imagery.scene_reading import SceneReader
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_finish import Finished, finish, first_day_to_ask, open_marker
from estinel_assets.imagery.site_imagery import Made
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.record import Outcome
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterSource
from estinel_assets.settings import (
    ImagerySettings,
    OutcomeSettings,
    Settings,
    StacSettings,
)
from estinel_assets.stac.signing import Unsigned
from estinel_assets.stac.source import ListedScenes, SceneQuery, SearchResult
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore

COLLECTION = "sentinel-2-c1-l2a"
FIRST = date(2024, 12, 1)
SMALL: dict[str, float] = {"resolution": 10, "radiusx": 50, "radiusy": 30}
"""About 12 x 8 pixels."""
HOBART = Site("Hobart", 147.3257, -42.8826, **SMALL)
CASEY = Site("Casey", 110.5283, -66.2818, **SMALL)
MAWSON = Site("Mawson", 62.8738, -67.6027, **SMALL)
PALMER = Site("Palmer", -64.0531, -64.7743, **SMALL)


def day_number(number: int) -> date:
    """The days of most tests, from 1."""
    return FIRST + timedelta(days=number - 1)


@dataclass(frozen=True)
class MadeScene:
    """One scene of a site; `item` is what a STAC API says of it."""

    site: Site
    day: date
    """Its solar day, if no instant is given."""
    name: str = "a"
    """Which piece of the pass: `a` fills the window's western two thirds, `b` its eastern ones,
    `void` nothing."""
    baseline: int = 5
    """Another one is another item of the same piece."""
    version: int = 1
    """Another one is another state of the same item."""
    instant: datetime | None = None

    @property
    def id(self) -> str:
        return f"{self.site.location}_{self.day.isoformat()}_{self.name}_N{self.baseline:02d}"

    @property
    def sensed(self) -> datetime:
        """At 10:30 local mean solar time, unless told."""
        if self.instant is not None:
            return self.instant
        noon = datetime.combine(self.day, datetime.min.time(), UTC) + timedelta(hours=10.5)
        return noon - timedelta(hours=self.site.lon / 15)

    def item(self) -> dict[str, Any]:
        lon, lat = self.site.lon, self.site.lat
        west, south, east, north = lon - 0.5, lat - 0.3, lon + 0.5, lat + 0.3
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        tag = f"{self.day:%Y%m%d}"
        updated = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=self.version)
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": self.id,
            "collection": COLLECTION,
            "bbox": [west, south, east, north],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "datetime": self.sensed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "updated": updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "platform": "sentinel-2a",
                "grid:code": "MGRS-55GEN",
                "s2:datatake_id": f"GS2A_{tag}T002711_049406_N{self.baseline:02d}.00",
                "s2:datastrip_id": f"S2A_OPER_S{tag}T00271{len(self.name)}{_digit(self.name)}_N05",
                "s2:processing_baseline": f"{self.baseline:02d}.00",
                # Its footprint does not tell that it is void.
                **({"s2:nodata_pixel_percentage": 100.0} if self.name == "void" else {}),
            },
            "links": [],
            "assets": {
                band: {
                    "href": f"made://{self.id}/{self.version}/{band}",
                    "raster:bands": [{"scale": 0.0001, "offset": -0.1}],
                }
                for band in ("red", "green", "blue", "scl")
            },
        }


def _digit(name: str) -> int:
    return sum(name.encode()) % 10


@dataclass
class MadeReader:
    """A `RasterReader` of made scenes. Counts what is read; fails for broken scenes."""

    broken: dict[str, UnitError] = field(default_factory=dict)
    """By scene id."""
    reads: list[str] = field(default_factory=list)
    """Ids, one a band."""
    before: Callable[[str], None] | None = None
    """Called with each scene's id before it is read."""

    def read(self, source: RasterSource, grid: Grid) -> np.ndarray:
        scene_id, version, band = source.href.removeprefix("made://").split("/")
        self.reads.append(scene_id)
        if self.before is not None:
            self.before(scene_id)
        if scene_id in self.broken:
            raise self.broken[scene_id]
        return made_pixels(scene_id, version, band, grid)

    def read_grids(self, source: RasterSource, grids: Sequence[Grid]) -> list[np.ndarray]:
        return [self.read(source, grid) for grid in grids]

    def remembering(self, *_: object) -> AbstractContextManager[None]:
        return nullcontext()


def made_pixels(scene_id: str, version: str, band: str, grid: Grid) -> np.ndarray:
    """What a scene shows."""
    seed = int.from_bytes(sha256(f"{scene_id}/{version}/{band}".encode()).digest()[:4])
    numbers = np.arange(grid.height * grid.width).reshape(grid.shape)
    third = grid.width // 3
    name = scene_id.split("_")[2]
    valid = np.zeros(grid.shape, bool)
    if name != "void":
        valid[:, slice(third, None) if name == "b" else slice(None, -third)] = True
    if band == "scl":
        return np.where(valid, np.where(numbers % 7 < seed % 5, 9, 4), 0).astype(np.uint8)
    return np.where(valid, 1100 + (numbers * (seed % 97 + 1) + seed) % 3000, 0).astype(np.uint16)


def corrupt(scene: MadeScene) -> dict[str, UnitError]:
    """For `MadeReader.broken`: the scene's files cannot be decoded."""
    return {scene.id: RetryableError(SourceFault.CORRUPT, f"{scene.id} cannot be decoded")}


@dataclass
class MadeSource:
    """A `SceneSource` over what is listed now."""

    scenes: dict[str, MadeScene] = field(default_factory=dict)
    down: bool = False
    queries: list[SceneQuery] = field(default_factory=list)

    def add(self, *scenes: MadeScene) -> None:
        self.scenes.update({scene.id: scene for scene in scenes})

    def search(self, query: SceneQuery) -> SearchResult:
        self.queries.append(query)
        if self.down:
            raise RetryableError(SourceFault.UNAVAILABLE, "the catalogue is down")
        return ListedScenes(scene.item() for scene in self.scenes.values()).search(query)


@dataclass
class Clock:
    """A clock that is set by hand; each look at it takes a millisecond."""

    now: datetime

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class InOrder:
    """An `Engine` that does one thing after the other."""

    def close(self) -> None:
        """It holds nothing."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            try:
                value = function(item)
            except Exception as error:  # noqa: BLE001 - an engine hands every error on
                yield Completed(item, None, error)
            else:
                yield Completed(item, value, None)


@dataclass
class Ran:
    """What a run did."""

    plan: tuple[PlannedDay, ...]
    made: Made
    finished: Finished

    @property
    def planned(self) -> dict[date, str]:
        """The cause of each planned day."""
        return {planned.day: planned.cause.value for planned in self.plan}

    @property
    def days(self) -> list[date]:
        """The days that were made."""
        return [date.fromisoformat(outcome.key[-1]) for outcome in self.made.outcomes]

    @property
    def faults(self) -> dict[str, str]:
        """Why the run would be red."""
        return {
            outcome.key[-1]: outcome.reason
            for outcome in self.made.outcomes
            if any(reason.fault for reason in ImageryReason if reason == outcome.reason)
        }


@dataclass
class MadeWorld:
    """One site, its source, its store and its clock."""

    site: Site = HOBART
    store: ObjectStore = field(default_factory=lambda: open_store("memory://"))
    source: MadeSource = field(default_factory=MadeSource)
    reader: MadeReader = field(default_factory=MadeReader)
    clock: Clock = field(
        default_factory=lambda: Clock(datetime(2024, 12, 9, 12, 0, tzinfo=UTC)),
    )
    settings: Settings = field(default_factory=lambda: made_settings())
    runs: int = 0

    def update(self, *, store: ObjectStore | None = None, since: date | None = None) -> Ran:
        """One run of the site, as its job does it, and the merge of the catalogue."""
        self.runs += 1
        store = store or self.store
        imagery = open_site(self.site, self.settings, store, f"run-{self.runs:04d}", self.clock)
        first_day = first_day_to_ask(imagery, open_marker(imagery).marker, since)
        imagery.search(self.source, first_day)
        plan = imagery.plan(imagery.solar_days(), first_day)
        made = imagery.make(
            [planned.day for planned in plan], SceneReader(self.reader, Unsigned()), InOrder()
        )
        finished = finish(imagery, sum(outcome.status for outcome in made.outcomes))
        merge_catalog(store, lease_ttl_s=60, lease_wait_s=60)
        return Ran(plan, made, finished)

    def outcomes(self) -> dict[date, Outcome]:
        """The outcomes of the site's days."""
        ledger = OutcomeBook.from_settings(self.store, IMAGERY, self.settings.outcomes).ledger
        return {
            date.fromisoformat(outcome.key[-1]): outcome
            for outcome in ledger.read(ledger.entries())
            if outcome.key[0] == self.site.site_id and outcome.key[-1] != SEARCH_KEY
        }

    def reasons(self) -> dict[date, str]:
        """Why each day ended as it did."""
        return {day: outcome.reason for day, outcome in self.outcomes().items()}

    def products(self) -> dict[str, bytes]:
        """The objects of the days whose images stand, by path."""
        paths = [
            path
            for day, outcome in self.outcomes().items()
            if outcome.status
            for path in product_paths(day, self.site)
        ]
        return {path: self.store.get(path).data for path in paths}


def product_paths(day: date, site: Site = HOBART) -> list[str]:
    """Everything that is published of a day."""
    paths = day_paths(COLLECTION, day, site.file_stem)
    return [paths.scl, paths.rgb, *paths.views.values(), *paths.thumbnails.values(), paths.item]


def made_settings(
    *, imagery: Mapping[str, Any] | None = None, outcomes: Mapping[str, Any] | None = None
) -> Settings:
    """Settings for made worlds; fields by group over those that they need."""
    return Settings(
        stac=StacSettings(collection=COLLECTION),
        imagery=ImagerySettings(**{"start": date(2024, 11, 1), **(imagery or {})}),
        outcomes=OutcomeSettings(**{"lease_wait_s": 0.0, **(outcomes or {})}),
    )
