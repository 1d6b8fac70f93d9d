"""How long planning takes: one site with ten years of outcomes, and a thousand of them.

    .venv/bin/python -m benchmarks.plan [--quick]

Planning a site is what the step `filtered_solardays` does: read the index of outcomes and the
planning columns of the scene table, group the scenes by solar day, and compare. The site has an
outcome for each of 3,650 days and one new day; it is measured with one scene a day and with two.
In the same run, on the same store, the index's alternative is measured: list the records, and read
each of them.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import islice

from benchmarks.catalogue import Place, place_of, scene, sites
from benchmarks.measuring import (
    forget_peak,
    keep,
    parser,
    peak_resident_mib,
    resident_mib,
    rounded,
    surroundings,
    timed,
    timings,
)
from benchmarks.servers import s3_process
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.plan import plan_days
from estinel_assets.imagery.scene_search import stored_scenes
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_imagery import SiteImagery
from estinel_assets.imagery.solardays import group_solar_days
from estinel_assets.outcomes.index import IndexRow, rebuild, write_index
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import Settings
from estinel_assets.stac.scene_table import table_path
from estinel_assets.stac.source import ListedScenes
from estinel_assets.storage.documents import dump_json
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.s3 import S3Access

FIRST_DAY = date(2015, 7, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOAL_ONE_SITE_S, GOAL_ALL_SITES_S = 0.050, 60.0
RESCAN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is planned."""

    days: int
    sites: int
    runs: int


FULL, QUICK = Size(3650, 1000, 15), Size(60, 5, 2)


@dataclass(frozen=True, slots=True)
class Address:
    """How another process opens a store."""

    url: str
    access: S3Access | None = None

    def open(self) -> ObjectStore:
        """The store."""
        if self.access is None:
            return open_store(self.url)
        return open_store(
            self.url, endpoint_url=self.access.endpoint_url, session=self.access.session()
        )


@dataclass(frozen=True, slots=True)
class History:
    """What the source offers of a site, and of a thousand others alike."""

    table: bytes
    """Its scenes, encoded."""
    days: int
    """Days that have an outcome."""
    scenes_a_day: int


def history(place: Place, days: int, scenes_a_day: int) -> History:
    """Days of a site that have an outcome, and a new one, with their scenes."""
    span = [FIRST_DAY + timedelta(days=number) for number in range(days + 1)]
    items = [
        scene(place, day, number=number, whole=True)
        for day in span
        for number in range(scenes_a_day)
    ]
    store = open_store("memory://")
    opened(place.site, store).search(ListedScenes(items), FIRST_DAY)
    table = store.get(table_path(place.site.site_id)).data
    return History(table, days, scenes_a_day)


def opened(site: Site, store: ObjectStore, settings: Settings | None = None) -> SiteImagery:
    """A site with the settings' defaults, at a fixed time."""
    return open_site(site, settings or Settings(), store, "benchmark", clock=lambda: NOW)


def put_site(imagery: SiteImagery, known: History) -> None:
    """Store a site's table, and an index in which all but its last day are done."""
    site_id = imagery.site.site_id
    imagery.store.put(table_path(site_id), known.table)
    # Fingerprints depend on the window, so they are each site's own.
    offered = imagery.solar_days()
    root = imagery.book.ledger.root
    rows = []
    for number, day in enumerate(sorted(offered)[:-1]):
        made, finished = number % 7 != 0, datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
        why, inputs = "none" if made else "no_valid_pixels", offered[day].fingerprint
        rows.append(
            IndexRow(
                key=(site_id, day.isoformat()),
                status=made,
                reason=why,
                attempts=1,
                inputs=inputs,
                started_at=finished - timedelta(seconds=2),
                finished_at=finished,
                run_id=f"0d5a2f2e-5d5c-4d0b-9b0e-{number // 30:012d}",
                path=f"{root}/{site_id}/{day}/status={str(made).lower()}/reason={why}"
                f"/scenes={inputs}/result.json",
                etag=sha256(inputs.encode()).hexdigest()[:32],
            )
        )
    write_index(imagery.store, f"outcome-index/imagery/{site_id}.parquet", rows)


def put_records(imagery: SiteImagery) -> int:
    """Store the records that a site's index was made of; planning does not read them.

    Returns:
        How many.
    """
    index = imagery.book.index(imagery.partition)

    def put(row: IndexRow) -> None:
        day = row.key[-1]
        outputs = [f"sentinel-2-c1-l2a/{day.replace('-', '/')}/Place_{day}_{n}" for n in range(9)]
        record = Outcome(
            product="imagery",
            key=row.key,
            status=row.status,
            reason=row.reason,
            attempts=row.attempts,
            started_at=row.started_at,
            finished_at=row.finished_at,
            duration_s=2.0,
            run_id=row.run_id,
            code_version="0.1.0/1",
            inputs=row.inputs,
            outputs=tuple(map(imagery.store.uri, outputs)) if row.status else (),
            detail={"cloud_fraction": 0.25, "valid_fraction": 1.0} if row.status else {},
        )
        imagery.store.put(row.path, dump_json(record.model_dump(mode="json")))

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(put, index.values()):
            pass
    return len(index)


def plan(imagery: SiteImagery, expected: int) -> None:
    """Plan a site from what is stored."""
    days = imagery.solar_days()
    planned = imagery.plan(days, max(days) - RESCAN)
    if len(planned) != expected:
        raise RuntimeError(f"{imagery.site.location}: planned {len(planned)} days, not {expected}")


def one_site(store: ObjectStore, site: Site, known: History, size: Size) -> dict[str, object]:
    """Measure one site: the whole plan and its parts."""
    imagery = opened(site, store)
    put_site(imagery, known)
    whole = timings(lambda: plan(imagery, 1), runs=size.runs, warm_ups=2)
    return {
        "outcomes": known.days,
        "scenes_a_day": known.scenes_a_day,
        "table_bytes": len(known.table),
        "plan": whole.document(),
        "goal_s": GOAL_ONE_SITE_S,
        "goal_met": whole.median_s <= GOAL_ONE_SITE_S,
        "parts": _parts(imagery, size.runs),
    }


def without_index(store: ObjectStore, site: Site, known: History) -> dict[str, float | int]:
    """Measure what `read_index` replaces: a listing, and a request for each record."""
    imagery = opened(site, store)
    put_site(imagery, known)
    stored = put_records(imagery)

    def by_listing() -> None:
        if len(rebuild(imagery.book.ledger, imagery.partition, {})) != stored:
            raise RuntimeError("the ledger does not hold what was put there")

    return timings(by_listing, runs=3).document()


def _parts(imagery: SiteImagery, runs: int) -> dict[str, float]:
    site = imagery.site
    index = imagery.book.index(imagery.partition)
    first_day = max(imagery.solar_days()) - RESCAN
    # Each is new to its run: what a run looks at of them stays made. One more is for the warm-up.
    scenes = iter([stored_scenes(imagery.store, site.site_id) for _ in range(runs + 1)])
    days = iter([imagery.solar_days() for _ in range(runs + 1)])

    def compare() -> None:
        state = imagery.state(next(days), index)
        plan_days(state, first_day=first_day, now=NOW, retry=imagery.retry)

    parts: dict[str, Callable[[], object]] = {
        "read_scenes": lambda: stored_scenes(imagery.store, site.site_id),
        "group_by_day": lambda: group_solar_days(
            next(scenes), imagery.window, site.lon, imagery.provider
        ),
        "read_index": lambda: imagery.book.index(imagery.partition),
        "compare": compare,
    }
    return {f"{name}_s": rounded(timings(part, runs=runs).median_s) for name, part in parts.items()}


def plan_all(address: Address, everyone: Sequence[Site]) -> dict[str, object]:
    """Plan many sites one after the other, in a process that does nothing else."""
    store = address.open()
    settings = Settings()  # read once, as the sensor and `estinel update` do
    first = max(1, len(everyone) // 20)
    waiting = iter(everyone)

    def some(count: int) -> None:
        for site in islice(waiting, count):
            plan(opened(site, store, settings), 1)

    some(first)
    forget_peak()
    settled = resident_mib()
    early, _ = timed(lambda: some(first))
    early_peak = peak_resident_mib()
    late, _ = timed(lambda: some(len(everyone)))
    return {
        "seconds": rounded((early + late) * len(everyone) / (len(everyone) - first)),
        "resident_mib_after_first_sites": round(settled, 1),
        "peak_mib_at_a_tenth": round(early_peak, 1),
        "peak_mib_at_the_end": round(peak_resident_mib(), 1),
        "peak_growth_mib": round(peak_resident_mib() - early_peak, 1),
    }


def all_sites(address: Address, known: History, everyone: Sequence[Site]) -> dict[str, object]:
    """Measure all sites, in a process of its own."""
    store = address.open()
    for site in everyone:
        put_site(opened(site, store), known)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        measured = pool.apply(plan_all, (address, everyone))
    seconds = float(str(measured["seconds"]))
    return {
        "sites": len(everyone),
        "outcomes_a_site": known.days,
        **measured,
        "goal_s": GOAL_ALL_SITES_S,
        "goal_met": seconds <= GOAL_ALL_SITES_S,
    }


@contextmanager
def _stores() -> Iterator[dict[str, Address]]:
    with tempfile.TemporaryDirectory(prefix="estinel-plan-") as folder, s3_process() as access:
        yield {
            "local folder": Address(f"file://{folder}/store"),
            "S3 (moto)": Address(access.url("store"), access),
        }


def main() -> None:
    """Measure, and keep the result."""
    arguments = parser(__doc__).parse_args()
    size = QUICK if arguments.quick else FULL
    around = surroundings()
    everywhere = sites(size.sites)
    place = place_of(everywhere[0], "https://scenes.example")
    histories = [history(place, size.days, scenes_a_day) for scenes_a_day in (1, 2)]
    cases = []
    with _stores() as stores:
        for name, address in stores.items():
            print(f"{name}: one site", file=sys.stderr)
            store = address.open()
            one = [one_site(store, everywhere[0], known, size) for known in histories]
            listed = without_index(store, everywhere[0], histories[0])
            print(f"{name}: {size.sites} sites", file=sys.stderr)
            everyone = all_sites(address, histories[0], everywhere)
            cases.append(
                {
                    "store": name,
                    "one_site": one,
                    "list_and_get_records": listed,
                    "all_sites": everyone,
                }
            )
    keep("plan", arguments, {"surroundings": around, "cases": cases})


if __name__ == "__main__":
    main()
