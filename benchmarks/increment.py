"""What a daily update costs, against making everything: queries, days and seconds.

    .venv/bin/python -m benchmarks.increment [--quick]

Twenty sites with years of scenes in the embedded STAC API, which runs in a process of its own.
Windows and rasters are tiny, so that what is measured is the increment and not the pixels. The
first update makes every day (the bootstrap); then, several times, one new scene a site appears and
the same command runs again. Every other such day is done without Dagster, by the same functions
that its assets call, so that Dagster's share can be told.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.catalogue import COLLECTION, Place, place_of, scene, sites, write_rasters
from benchmarks.measuring import keep, parser, rounded, surroundings, timed
from benchmarks.processes import ROOT, Process
from benchmarks.servers import stac_process
from estinel_assets.compute import Threads
from estinel_assets.demo.items import collection
from estinel_assets.imagery.catalog import merge_catalog
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.scene_reading import SceneReader
from estinel_assets.imagery.site_finish import finish, first_day_to_ask, open_marker
from estinel_assets.raster.rasterio_reader import RasterioReader
from estinel_assets.settings import Settings, load_settings
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import load_items
from estinel_assets.stac.search import StacApiSource
from estinel_assets.stac.signing import signer_for
from estinel_assets.storage.opening import open_store
from estinel_assets.transport import RequestsTransport, RetryPolicy

DAYS_APART = 5
"""One satellite's ten days, two satellites."""
SEARCH = "POST /search"
_NOTHING_TO_DO = 6


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is."""

    sites: int
    days: int
    """Solar days with a scene, a site."""
    rounds: int
    """Increments with Dagster, and as many without."""


FULL, QUICK = Size(20, 260, 3), Size(2, 6, 1)


@dataclass(frozen=True, slots=True)
class Update:
    """What one update did."""

    seconds: float
    """Wall time of all of it."""
    days: int
    searches: int
    """As the STAC API counted them, every page."""
    requests: int
    """All that the STAC API got."""
    sites_s: float
    """Of that, the sites' own runs: without starting the command, without the catalogue."""


@dataclass(frozen=True, slots=True)
class World:
    """The STAC API, the store and Dagster's home."""

    folder: Path
    places: Sequence[Place]
    first_day: date
    api: Process

    @property
    def config(self) -> Path:
        """The file of settings."""
        return self.folder / "estinel.toml"

    @property
    def settings(self) -> Settings:
        """What the file says."""
        return load_settings(self.config)

    def publish(self, number: int) -> None:
        """Let the scene of a further day appear at every site."""
        day = self.first_day + timedelta(days=DAYS_APART * number)
        with Database(self.folder / "stac.sqlite") as database:
            load_items(database, (), [scene(place, day, whole=True) for place in self.places])

    def counted(self) -> tuple[int, int]:
        """Searches and all requests so far."""
        counts = self.api.counts()
        return counts.get(SEARCH, 0), sum(counts.values())


@contextmanager
def built_world(size: Size, today: date) -> Iterator[World]:
    """Make the world; its newest scenes lie far enough back for some days to come."""
    first_day = today - timedelta(days=DAYS_APART * (size.days + 2 * size.rounds) + 1)
    with tempfile.TemporaryDirectory(prefix="estinel-increment-") as name:
        folder = Path(name)
        places = [place_of(site, f"file://{folder}/scenes") for site in sites(size.sites)]
        for place in places:
            write_rasters(place, folder / "scenes")
        days = [first_day + timedelta(days=DAYS_APART * number) for number in range(size.days)]
        with Database(folder / "stac.sqlite") as database:
            items = (scene(place, day, whole=True) for place in places for day in days)
            load_items(database, [{**collection(), "id": COLLECTION}], items)
        with stac_process(folder / "stac.sqlite") as api:
            world = World(folder, places, first_day, api)
            _configure(world)
            yield world


def _configure(world: World) -> None:
    table = world.folder / "sites.csv"
    rows = [
        f"{site.location},{site.lon},{site.lat},{site.resolution},{site.radiusx},{site.radiusy},"
        for site in (place.site for place in world.places)
    ]
    header = "location,lon,lat,resolution,radiusx,radiusy,purpose"
    table.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    world.config.write_text(
        f'[store]\nurl = "file://{world.folder}/store"\n'
        f'[stac]\nurl = "{world.api.address}"\ncollection = "{COLLECTION}"\n'
        f'[imagery]\nsites = "{table}"\n'
        '[log]\nlevel = "error"\n',
        encoding="utf-8",
    )
    home = world.folder / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)


def by_command(world: World) -> Update:
    """Update every site with `estinel update`, as an operator does."""
    command = [Path(sys.executable).with_name("estinel"), "--config", world.config]
    cleared = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ESTINEL_", "DAGSTER_", "AWS_"))
    }
    before = world.counted()

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*map(str, command), "update", "--json"],
            env={**cleared, "DAGSTER_HOME": str(world.folder / "dagster")},
            capture_output=True,
            text=True,
            check=False,
        )

    seconds, done = timed(run)
    if done.returncode not in {0, _NOTHING_TO_DO}:
        raise RuntimeError(f"the update failed:\n{done.stderr[-3000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    after = world.counted()
    return Update(
        seconds, told["days"], after[0] - before[0], after[1] - before[1], told["seconds"]
    )


def without_dagster(world: World) -> Update:
    """Update every site by what the assets call, in the same order, without Dagster."""
    settings = world.settings
    store = open_store(settings.store.url)
    before = world.counted()

    def run() -> tuple[int, float]:
        policy = RetryPolicy.from_settings(settings.transport)
        transport = RequestsTransport(policy, timeout_s=settings.transport.timeout_s)
        reader = SceneReader(RasterioReader(), signer_for(settings.stac, transport))
        engine = Threads(settings.compute.workers)
        days, seconds = 0, 0.0
        for place in world.places:
            source = StacApiSource.from_settings(settings.stac, settings.transport)
            imagery = open_site(place.site, settings, store, "benchmark")

            def site_run(imagery: Any = imagery, source: Any = source) -> int:
                first_day = first_day_to_ask(imagery, open_marker(imagery).marker, None)
                imagery.search(source, first_day)
                planned = imagery.plan(imagery.solar_days(), first_day)
                made = imagery.make([day.day for day in planned], reader, engine)
                finish(imagery, sum(outcome.status for outcome in made.outcomes))
                return len(made.outcomes)

            took, count = timed(site_run)
            source.close()
            days, seconds = days + count, seconds + took
        merge_catalog(store, lease_ttl_s=60, lease_wait_s=60)
        return days, seconds

    seconds, (days, sites_s) = timed(run)
    after = world.counted()
    return Update(seconds, days, after[0] - before[0], after[1] - before[1], sites_s)


def measure(size: Size, today: date) -> dict[str, object]:
    """Bootstrap, an update with nothing new, and increments with and without Dagster.

    Raises:
        RuntimeError: an update did something else than it had to.
    """
    with built_world(size, today) as world:
        print(f"bootstrap of {size.sites * size.days} site-days", file=sys.stderr)
        bootstrap = by_command(world)
        _expect(bootstrap, days=size.sites * size.days)
        idle = by_command(world)
        _expect(idle, days=0, searches=size.sites)
        increments: dict[str, list[Update]] = {"command": [], "without_dagster": []}
        for number in range(size.days, size.days + 2 * size.rounds):
            way = "without_dagster" if number % 2 else "command"
            print(f"increment, {way}", file=sys.stderr)
            world.publish(number)
            done = by_command(world) if way == "command" else without_dagster(world)
            _expect(done, days=size.sites, searches=size.sites)
            increments[way].append(done)
        return _document(size, bootstrap, idle, increments)


def _expect(done: Update, *, days: int, searches: int | None = None) -> None:
    if done.days != days or (searches is not None and done.searches != searches):
        raise RuntimeError(f"expected {days} days and {searches} searches, got {done}")


def _document(
    size: Size, bootstrap: Update, idle: Update, increments: dict[str, list[Update]]
) -> dict[str, object]:
    daily, bare = (_median(increments[way]) for way in ("command", "without_dagster"))
    return {
        "sites": size.sites,
        "site_days": bootstrap.days,
        "bootstrap": _row(bootstrap),
        "increment": {**_row(daily), "runs": len(increments["command"])},
        "nothing_new": _row(idle),
        "increment_without_dagster": {**_row(bare), "runs": len(increments["without_dagster"])},
        "ratio_seconds": round(bootstrap.seconds / daily.seconds, 1),
        "ratio_days": round(bootstrap.days / daily.days, 1),
        "searches_a_site_in_the_increment": daily.searches / size.sites,
        "dagster_seconds_a_site": rounded((daily.sites_s - bare.sites_s) / size.sites),
    }


def _median(updates: Sequence[Update]) -> Update:
    """The medians of updates that did the same."""
    first = updates[0]
    return Update(
        statistics.median(update.seconds for update in updates),
        first.days,
        first.searches,
        first.requests,
        statistics.median(update.sites_s for update in updates),
    )


def _row(update: Update) -> dict[str, float | int]:
    return {
        "searches": update.searches,
        "requests": update.requests,
        "days": update.days,
        "seconds": rounded(update.seconds),
        "seconds_in_site_runs": rounded(update.sites_s),
    }


def main() -> None:
    """Measure, and keep the result."""
    arguments = parser(__doc__).parse_args()
    around = surroundings()
    size = QUICK if arguments.quick else FULL
    measured = measure(size, datetime.now(UTC).date())
    keep("increment", arguments, {"surroundings": around, **measured})


if __name__ == "__main__":
    main()
