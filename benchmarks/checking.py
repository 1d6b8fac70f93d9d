"""Runs over many small collections, measured beside the least that opening and tiling can cost.

Each round checks other collections in up to three ways, in an order that turns from round to round:

- `ours`: `Checks`, as every run does it: CMR, isolated processes, a record each in a local store;
- `job`: the same through the Dagster job `check_collections`, in this process, on SQLite;
- `peer`: the stages open, variables and tile alone, for the files that come so far, in a plain
  pool of processes: no CMR, no isolation, no record. See `plain_peer`.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.local_collections import Kind, Place, build
from benchmarks.measuring import rounded, timed
from benchmarks.plain_peer import File, read_all
from benchmarks.processes import ROOT
from benchmarks.processor import Spent, spent
from benchmarks.servers import cmr_process
from estinel_assets.build import build_definitions
from estinel_assets.compatibility.opening_checks import open_book, open_checks
from estinel_assets.compatibility.record import CompatibilityRecord
from estinel_assets.compatibility.runner import Asked
from estinel_assets.orchestration.in_process import open_instance, run_job
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.partitions import COLLECTIONS, sync_partitions
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import load_settings
from estinel_assets.storage.opening import open_store

WORKERS = 2
READING = ("open", "variables", "tile")
"""The stages that the plain peer has, too."""
GOAL_OWN_S = 0.030
_SETTINGS = """\
[store]
url = "file://{folder}/store-{way}"

[compatibility]
cmr_url = "{root}/search"
workers = {workers}

[log]
level = "warning"
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way took in one round."""

    collections: int
    wall_s: float
    cpu: Spent
    reading_s: float
    """What the checks say that opening, variables and tiles took, all together."""

    @property
    def own_s(self) -> float:
        """Seconds of a worker for a collection beyond the stages that read, waits included."""
        return (self.wall_s * WORKERS - self.reading_s) / self.collections


@dataclass(frozen=True, slots=True)
class Bench:
    """Where rounds are run."""

    folder: Path
    root: str
    """Of the local CMR, without a slash at the end."""
    server: int
    """Its process."""
    instance: dg.DagsterInstance

    def settings(self, way: str) -> Path:
        """A file of settings; each way has a store of its own."""
        path = self.folder / f"{way}.toml"
        path.write_text(
            _SETTINGS.format(folder=self.folder, root=self.root, workers=WORKERS, way=way),
            encoding="utf-8",
        )
        return path

    def measured(self, places: Sequence[Place], name: str) -> Cost:
        """Run one way over collections.

        Raises:
            RuntimeError: some ended otherwise than they were made to.
        """
        run = WAYS[name](self, places)
        before = spent(self.server)
        wall_s, found = timed(run)
        cpu = spent(self.server) - before
        reading_s = 0.0
        if found is None:
            outcomes = self._stored(places, name)
            found = Counter(outcome.reason for outcome in outcomes)
            reading_s = sum(map(_reading_s, outcomes))
        if found != Counter(place.kind.reason for place in places):
            raise RuntimeError(f"{name}: checks ended otherwise than they were made to: {found}")
        return Cost(len(places), wall_s, cpu, reading_s)

    def _stored(self, places: Sequence[Place], name: str) -> list[Outcome]:
        settings = load_settings(self.settings(name))
        ledger = open_book(settings, open_store(settings.store.url)).ledger
        wanted = {(place.concept_id,) for place in places}
        return list(ledger.read(entry for entry in ledger.entries() if entry.key in wanted))


Run = Callable[[], Counter[str] | None]
"""Checks collections, and says how they ended; None where that stands in the store."""


def ours(bench: Bench, places: Sequence[Place]) -> Run:
    """`Checks`, as every run does it."""
    settings = load_settings(bench.settings("ours"))

    def run() -> None:
        checks = open_checks(settings, open_store(settings.store.url), "benchmark")
        for _ in checks.outcomes(Asked(place.concept_id) for place in places):
            pass

    return run


def job(bench: Bench, places: Sequence[Place]) -> Run:
    """The Dagster job; the faults among the mix leave it red."""
    defs = build_definitions(config_file=str(bench.settings("job")))
    config = run_config([(place.concept_id,) for place in places])

    def run() -> None:
        run_job(defs, bench.instance, "check_collections", config=config)

    return run


def peer(bench: Bench, places: Sequence[Place]) -> Run:
    """The stages that read, alone; what ends before them costs it nothing."""
    sources = [(place, place.source(bench.root)) for place in places]
    files = [File(source, place.kind.bounds) for place, source in sources if source is not None]
    ended = Counter(place.kind.reason for place, source in sources if source is None)
    return lambda: ended + Counter(read_all(files, WORKERS))


WAYS: Mapping[str, Callable[[Bench, Sequence[Place]], Run]] = {
    "ours": ours,
    "job": job,
    "peer": peer,
}


def measure(
    kinds: Sequence[Kind], ways: Sequence[str], *, rounds: int, folder: Path
) -> dict[str, object]:
    """Measure ways over collections, in rounds.

    Args:
        kinds: of the collections, one each; a few more are checked before, which does not count.
        ways: of `WAYS`, `ours` and `peer` among them.
        rounds: so many equal parts of the collections, each checked in every way.
        folder: gets the local CMR, the stores and the instance.
    """
    warm_up = 4 * WORKERS
    places = build(folder / "cmr", [*kinds[:warm_up], *kinds])
    each = len(kinds) // rounds
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    with _bench(folder) as bench:
        sync_partitions(bench.instance, COLLECTIONS, [place.concept_id for place in places])
        for name in ways:
            bench.measured(places[:warm_up], name)
        for number in range(rounds):
            turn = number % len(ways)
            part = places[warm_up + number * each :][:each]
            for name in (*ways[turn:], *ways[:turn]):
                costs[name].append(bench.measured(part, name))
    reasons = Counter(kind.reason for kind in kinds[: rounds * each])
    return {
        "collections": rounds * each,
        "rounds": rounds,
        "workers": WORKERS,
        "reasons": dict(reasons.most_common()),
        **_summary(costs),
    }


@contextmanager
def _bench(folder: Path) -> Iterator[Bench]:
    home = folder / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    with cmr_process(folder / "cmr") as server, open_instance(home) as instance:
        yield Bench(folder, server.address, server.pid, instance)


def _summary(costs: Mapping[str, Sequence[Cost]]) -> dict[str, object]:
    """Medians over the rounds."""
    ours, peer, job = costs["ours"], costs["peer"], costs.get("job", ())
    own_s = median(cost.own_s for cost in ours)
    document: dict[str, object] = {
        "ways": {name: _medians(of_way) for name, of_way in costs.items()},
        "own_s": rounded(own_s),
        "own_cpu_s": rounded(_more(ours, peer, _cpu_s)),
        "ratio_wall": rounded(median(a.wall_s / b.wall_s for a, b in zip(ours, peer, strict=True))),
        "ratio_cpu": rounded(
            median(a.cpu.ours_s / b.cpu.ours_s for a, b in zip(ours, peer, strict=True))
        ),
        "goal_s": GOAL_OWN_S,
        "goal_met": own_s <= GOAL_OWN_S,
    }
    if job:
        document["dagster_s"] = rounded(_more(job, ours, _wall_s))
        document["dagster_cpu_s"] = rounded(_more(job, ours, _cpu_s))
    return document


def _more(ones: Sequence[Cost], others: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    """What a collection costs more in one way than in the other."""
    return median(of(one) - of(other) for one, other in zip(ones, others, strict=True))


def _wall_s(cost: Cost) -> float:
    return cost.wall_s / cost.collections


def _cpu_s(cost: Cost) -> float:
    return cost.cpu.ours_s / cost.collections


def _medians(costs: Sequence[Cost]) -> dict[str, float]:
    each: Mapping[str, Callable[[Cost], float]] = {
        "wall_s": _wall_s,
        "cpu_s": _cpu_s,
        "parent_cpu_s": lambda cost: cost.cpu.parent_s / cost.collections,
        "server_cpu_s": lambda cost: cost.cpu.server_s / cost.collections,
        "reading_s": lambda cost: cost.reading_s / cost.collections,
        "processors_used": lambda cost: (
            (cost.cpu.ours_s + cost.cpu.server_s) / cost.wall_s / (os.cpu_count() or 1)
        ),
        "processors_idle": lambda cost: cost.cpu.idle,
    }
    return {name: rounded(median(map(of, costs))) for name, of in each.items()}


def _reading_s(outcome: Outcome) -> float:
    durations = CompatibilityRecord.model_validate(outcome.detail).durations_s
    return sum(durations.get(stage, 0.0) for stage in READING)
