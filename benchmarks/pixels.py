"""Reading scenes and making images of them, beside what people use otherwise.

    .venv/bin/python -m benchmarks.pixels [--quick] [--rounds N] [--scenes FOLDER]

Full-size scenes (10,980 by 10,980 pixels, blocks of 1,024) are made once and served on this machine
by an HTTP server that adds nothing or 30 ms to each request. Every way runs in a process of its own
that lives as long as the benchmark; their order turns from round to round. No repetition finds
anything in a cache that it could not have before: files are the same, addresses are new each time.
*ours-again* is the one exception, and says what it is for: it read one pixel of each file before,
so that it knows the headers, as a service does that comes back to a scene.

First every way reads every case once, and what it read is compared with ours. In the scenes' own
CRS and at their own resolution all must be equal, otherwise the benchmark stops; elsewhere the
share that differs is kept.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measuring import RESULTS, keep, parser, rounded, surroundings
from benchmarks.pixel_cases import OURS, OURS_AGAIN, Case, Needed, cases, needed
from benchmarks.pixel_checks import differing_share, has_something, unequal_outputs
from benchmarks.pixel_scenes import FULL, QUICK, make_scenes
from benchmarks.pixel_server import PixelServer, pixel_server
from benchmarks.pixel_ways import Target
from benchmarks.pixel_worker import Worker, worker

DELAYS_MS = (0, 30)
SHORT_TIMES = 2
"""Repetitions of a short case in a round."""
MOST_BYTES = 1.10
_MIB = 1024 * 1024

Document = dict[str, Any]
"""A part of the results."""


@dataclass(frozen=True, slots=True)
class Goal:
    """How many times as long a peer is to take, at 30 ms a request."""

    case: str
    peer: str
    """One of `PEERS`; the faster of its ways counts."""
    times: float


PEERS = {"odc-stac": ("odc-pool", "odc-dask"), "rasterio": ("rasterio",)}
GOALS = (
    Goal("batch", "odc-stac", 2.3),
    Goal("batch", "rasterio", 1.6),
    Goal("outputs", "odc-stac", 4.0),
    Goal("day", "odc-stac", 1.5),
    Goal("tiles", "odc-stac", 4.0),
)


@dataclass(slots=True)
class Runs:
    """What one way took in one case."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)


class Bench:
    """The server and the workers."""

    def __init__(self, server: PixelServer, workers: Mapping[str, Worker]) -> None:
        """Made by `bench`."""
        self._server = server
        self._workers = workers
        self._numbers = count()

    def run(
        self, case: Case, way: str, delay_ms: int, *, prefix: str | None = None,
        save: Path | None = None,
    ) -> tuple[dict[str, float], dict[str, int]]:  # fmt: skip
        """Let one way do a case once, from addresses that nobody used before.

        Args:
            case: what to do.
            way: who does it.
            delay_ms: what each request waits.
            prefix: where outputs go; None for a place of its own.
            save: a file for the pixels that were read.

        Returns:
            What the worker measured, and what the server counted.
        """
        number = next(self._numbers)
        order: dict[str, object] = {
            "case": case.name,
            "address": f"{self._server.root(delay_ms)}/run{number}",
        }
        if case.delivers:
            endpoint, _, bucket = self._server.root(delay_ms).rpartition("/")
            order["target"] = asdict(Target(endpoint, bucket, prefix or f"run{number}"))
        if save is not None:
            order["save"] = str(save)
        measured = self._workers[way].run(before=self._server.counts, **order)
        return measured, self._server.counts()


@contextmanager
def bench(folder: Path, uploads: Path, ways: Sequence[str], *, quick: bool) -> Iterator[Bench]:
    """Start the server and a worker for every way."""
    with ExitStack() as stack:
        server = stack.enter_context(pixel_server(folder, uploads))
        workers = {way: stack.enter_context(worker(way, quick=quick)) for way in ways}
        yield Bench(server, workers)


def check(case: Case, here: Bench, scratch: Path) -> dict[str, float]:
    """Let every way do a case once; the share of pixels in which each differs from ours."""
    if case.delivers:
        for way in case.ways:
            here.run(case, way, 0, prefix=f"check/{way}")
            uploads = scratch / "uploads" / "check"
            if unequal := unequal_outputs(uploads / way, uploads / OURS):
                raise SystemExit(f"{case.name}: {way} makes other files than ours: {unequal[:8]}")
        return {}
    paths = {way: scratch / f"{case.name}-{way}.npz" for way in case.ways}
    shares = {}
    for way, path in paths.items():
        here.run(case, way, 0, save=path)
        shares[way] = differing_share(path, paths[OURS])
        if case.exact and shares[way]:
            raise SystemExit(f"{case.name}: {way} read other pixels than ours ({shares[way]:.3%})")
    if not has_something(paths[OURS]):
        raise SystemExit(f"{case.name}: there is hardly anything to read")
    for path in paths.values():
        path.unlink()
    return shares


def measure(case: Case, here: Bench, rounds: int) -> dict[int, dict[str, Runs]]:
    """Let all ways do a case in turn, with each delay."""
    found = {delay: {way: Runs() for way in case.ways} for delay in DELAYS_MS}
    for number in range(rounds):
        turn = number % len(case.ways)
        order = [*case.ways[turn:], *case.ways[:turn]]
        for delay, runs in found.items():
            for way in order if number % 2 == 0 else reversed(order):
                measured, counts = here.run(case, way, delay)
                runs[way].seconds.append(measured["seconds"])
                runs[way].cpu_seconds.append(measured["cpu_seconds"])
                runs[way].peak_mib.append(measured["peak_mib"])
                runs[way].counts.append(counts)
    return found


def document(
    case: Case, delay_ms: int, runs: Mapping[str, Runs], least: Needed, shares: Mapping[str, float]
) -> Document:
    """A case with one delay, for the results."""
    ours_s = statistics.median(runs[OURS].seconds)
    ways = {}
    for way, one in runs.items():
        counts = one.counts[-1]
        sent = statistics.median(several.get("bytes", 0) for several in one.counts)
        ways[way] = {
            "median_s": rounded(statistics.median(one.seconds)),
            "least_s": rounded(min(one.seconds)),
            "most_s": rounded(max(one.seconds)),
            "median_cpu_s": rounded(statistics.median(one.cpu_seconds)),
            "times_ours": round(statistics.median(one.seconds) / ours_s, 2),
            "requests": sum(counts.get(method, 0) for method in ("GET", "HEAD", "PUT")),
            "heads": counts.get("HEAD", 0),
            "absent": counts.get("absent", 0),
            "mib": round(sent / _MIB, 2),
            "bytes_by_needed": round(sent / least.all_bytes, 3),
            "uploaded_mib": round(counts.get("bytes_taken", 0) / _MIB, 2),
            "peak_mib": round(max(one.peak_mib)),
            "differing_share": shares.get(way, 0.0),
        }
    return {
        "name": case.name,
        "title": case.title,
        "delay_ms": delay_ms,
        "runs": len(runs[OURS].seconds),
        "needed": {**asdict(least), "mib": round(least.all_bytes / _MIB, 2)},
        "ways": ways,
    }


def goals(documents: Sequence[Document]) -> list[Document]:
    """What was to be reached, and what was."""
    at_30 = {one["name"]: one["ways"] for one in documents if one["delay_ms"] == max(DELAYS_MS)}
    found: list[Document] = []
    for goal in GOALS:
        ways = at_30[goal.case]
        peer_s = min(ways[way]["median_s"] for way in PEERS[goal.peer] if way in ways)
        reached = peer_s / ways[OURS]["median_s"]
        again = peer_s / ways[OURS_AGAIN]["median_s"]
        found.append(
            {**asdict(goal), "reached": round(reached, 2), "reached_again": round(again, 2),
             "met": reached >= goal.times}
        )  # fmt: skip
    return found


def most_bytes(documents: Sequence[Document]) -> float:
    """The most that ours fetched in any case, by what it needed."""
    return max(float(one["ways"][OURS]["bytes_by_needed"]) for one in documents)


def main() -> None:
    """Measure, and keep the result."""
    arguments = _arguments()
    size = QUICK if arguments.quick else FULL
    around = surroundings("boto3", "dask", "imagecodecs", "odc-stac", "stackstac", "xarray")
    _say("making scenes, unless they are there")
    folder = make_scenes(arguments.scenes, size)
    every = {
        name: case for name, case in cases(size).items()
        if not arguments.only or name in arguments.only
    }  # fmt: skip
    ways = list(dict.fromkeys(way for case in every.values() for way in case.ways))
    documents: list[Document] = []
    with tempfile.TemporaryDirectory(prefix="estinel-pixels-") as name:
        scratch = Path(name)
        with bench(folder, scratch / "uploads", ways, quick=arguments.quick) as here:
            for case in every.values():
                _say(f"{case.name}: check")
                shares = check(case, here, scratch)
                _say(f"{case.name}: measure")
                least = needed(case, folder)
                once = case.long or arguments.quick
                rounds = arguments.rounds if once else arguments.rounds * SHORT_TIMES
                for delay, runs in measure(case, here, rounds).items():
                    documents.append(document(case, delay, runs, least, shares))
                    _show(documents[-1])
    if arguments.only and not arguments.quick and arguments.output is None:
        documents = among_kept(documents, around)
        every = cases(size)
    result = {
        "surroundings": around,
        "rounds": arguments.rounds,
        "scenes": asdict(size),
        "cases": documents,
    }
    if len(every) == len(cases(size)):
        most = most_bytes(documents)
        result["goals"] = goals(documents)
        result["most_bytes"] = {"goal": MOST_BYTES, "reached": most, "met": most <= MOST_BYTES}
    keep("pixels", arguments, result)


def among_kept(documents: Sequence[Document], around: Mapping[str, object]) -> list[Document]:
    """All cases of the kept result, with these in place of theirs.

    Raises:
        SystemExit: nothing is kept, or it was measured with other versions or on another machine.
    """
    path = RESULTS / "pixels.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for what in ("python", "system", "cores", "versions"):
        if kept.get("surroundings", {}).get(what) != around[what]:
            raise SystemExit(
                f"{path} is of another {what}, or not there: measure all cases, or name a file "
                "with --output"
            )
    new = {(one["name"], one["delay_ms"]): one for one in documents}
    return [new.get((one["name"], one["delay_ms"]), one) for one in kept["cases"]]


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, help="how often everything is repeated")
    options.add_argument(
        "--scenes",
        type=Path,
        default=Path(tempfile.gettempdir()) / "estinel-pixel-scenes",
        help="folder for the scenes, which are kept there; 2.5 GB",
    )
    options.add_argument(
        "--only",
        action="append",
        choices=list(cases(FULL)),
        help="a case, whose figures replace the kept ones; may be repeated",
    )
    arguments = options.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 1 if arguments.quick else 4
    if arguments.rounds < 1:
        options.error(f"--rounds is {arguments.rounds}: give at least 1")
    return arguments


def _show(one: Document) -> None:
    ways = one["ways"]
    told = "  ".join(
        f"{way} {ways[way]['median_s']:g} s ({ways[way]['times_ours']:g})" for way in ways
    )
    _say(f"{one['name']}, {one['delay_ms']} ms: {told}")


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
