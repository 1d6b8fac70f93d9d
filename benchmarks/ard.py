"""Making neighbouring tiles of a year, beside odc-stac tile by tile.

    .venv/bin/python -m benchmarks.ard [--quick] [--rounds N] [--scenes FOLDER]

Sixteen adjacent tile-years (DEM, Sentinel-1, Sentinel-2) are made of the same year of scenes, which
an HTTP server on this machine serves 30 ms late. Every way runs in a process of its own, each time
a new one and from addresses that nobody used before; their order turns from round to round. Ours
searches, selects, reads, composes, writes and records, on threads and on a Dask cluster whose start
counts, too. The peer is given what ours selected: it only reads, composes and writes the same Zarr
groups. What both made is compared; Sentinel-1 and Sentinel-2 must be equal. Both write into memory:
ours waits until a disk has what it was given, the peer does not, and no disk is to be measured.

Then, without delay: what a tile costs as there are more of them, with scenes that have hardly any
pixels; and how much faster two Dask workers of one thread are than one where numbers are reckoned
(slopes and medians).
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.ard_checks import compare
from benchmarks.ard_worker import PEER, Order, run
from benchmarks.ard_world import (
    CHEAP,
    FULL,
    QUICK,
    Size,
    collections,
    items,
    make_world,
    tile_years,
)
from benchmarks.measuring import keep, parser, rounded, surroundings
from benchmarks.pixel_server import PixelServer, pixel_server
from benchmarks.servers import stac_process
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import load_items

DELAY_MS = 30
THREADS, DASK = "threads", "dask"
WAYS = (THREADS, DASK, PEER)
TIMES = 4.0
MOST_MIB = 1536.0
"""Of a process."""
FLAT = 1.15
"""How many times as much a tile may cost among many."""
WORKERS_TIMES = 1.5
_RECKONED = ("dem", "s1")
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it

Document = dict[str, Any]
"""A part of the results."""


@dataclass(slots=True)
class Bench:
    """A world that is served, and a place for what is made of it."""

    size: Size
    server: PixelServer
    scratch: Path
    numbers: Iterator[int] = field(default_factory=count)

    def run(self, way: str, delay_ms: int, *, side: int, **how: Any) -> tuple[Document, Path]:
        """Make tiles once.

        Args:
            way: one of `WAYS`.
            delay_ms: what each request for pixels waits.
            side: tiles along an edge.
            how: more of the `Order`.

        Returns:
            What was measured and counted, and the folder of what was made.
        """
        number = next(self.numbers)
        store = self.scratch / f"{way}-{number}"
        listed = items(self.size, f"{self.server.root(delay_ms)}/run{number}")
        if way == PEER:
            catalogue = self.scratch / "items.json"
            catalogue.write_text(json.dumps(listed), encoding="utf-8")
            order = Order(way, side, str(store), str(catalogue), **how)
            found = run(order, before=self.server.counts)
        else:
            database = self.scratch / f"{number}.sqlite"
            with Database(database) as opened:
                load_items(opened, collections(), listed)
            with stac_process(database) as api:
                order = Order(way, side, str(store), api.address, **how)
                found = run(order, before=self.server.counts)
        counts = self.server.counts()
        found["requests"] = counts.get("GET", 0) + counts.get("HEAD", 0)
        found["bytes"] = counts.get("bytes", 0)
        return found, store


@contextmanager
def bench(scenes: Path, scratch: Path, size: Size) -> Iterator[Bench]:
    """Make a world and serve it."""
    folder = make_world(scenes, size)
    inside = scratch / size.name
    inside.mkdir()
    with pixel_server(folder, inside / "uploads") as server:
        yield Bench(size, server, inside)


def throughput(scenes: Path, scratch: Path, size: Size, rounds: int) -> Document:
    """All ways in turn, and whether they make the same."""
    found: dict[str, list[Document]] = {way: [] for way in WAYS}
    values: Document = {}
    asked = tile_years(size.side)
    with bench(scenes, scratch, size) as here:
        given: Path | None = None
        for number in range(rounds):
            # The peer needs what ours has selected, so that the first round begins with ours.
            for way in WAYS if number % 2 == 0 else reversed(WAYS):
                how = {"given": str(given)} if way == PEER else {}
                measured, store = here.run(way, DELAY_MS, side=size.side, **how)
                found[way].append(measured)
                if given is None:
                    given = store
                    continue
                if way == PEER and not values:
                    values = compare(given, store, asked)
                shutil.rmtree(store)
    days = found[THREADS][0]["days_used"]
    return {
        "tiles": len(asked),
        "days_used": days,
        "delay_ms": DELAY_MS,
        "rounds": rounds,
        "values": values,
        **_compared(found, len(asked)),
    }


def _compared(found: dict[str, list[Document]], tiles: int) -> Document:
    ways: Document = {}
    for way, runs in found.items():
        seconds = statistics.median(one["seconds"] for one in runs)
        ways[way] = {
            "seconds": rounded(seconds),
            "tiles_a_minute": rounded(60 * tiles / seconds),
            "requests": runs[0]["requests"],
            "bytes": runs[0]["bytes"],
            "peak_mib": max(one["peak_mib"][0] for one in runs),
        }
        if "worker_seconds" in runs[0]:
            ways[way]["worker_seconds"] = runs[0]["worker_seconds"]
    times = {way: rounded(ways[PEER]["seconds"] / ways[way]["seconds"]) for way in (THREADS, DASK)}
    peak = max(ways[way]["peak_mib"] for way in times)
    return {
        "ways": ways,
        "times_as_fast": times,
        "goal_times_as_fast": TIMES,
        "goal_times_as_fast_met": max(times.values()) >= TIMES,
        "peak_mib": peak,
        "goal_peak_mib": MOST_MIB,
        "goal_peak_mib_met": peak <= MOST_MIB,
    }


def costs(scenes: Path, scratch: Path, sides: Sequence[int]) -> Document:
    """Worker seconds of a tile as there are more of them; the fewest twice, first and last."""
    found: dict[int, list[float]] = {}
    with bench(scenes, scratch, CHEAP) as here:
        for side in (*sides, sides[0]):
            measured, store = here.run(THREADS, 0, side=side, warm=True)
            shutil.rmtree(store)
            spent = sum(measured["worker_seconds"].values())
            found.setdefault(side * side, []).append(spent / side / side)
    each = {str(tiles): rounded(statistics.mean(spent)) for tiles, spent in found.items()}
    ratio = each[str(sides[-1] ** 2)] / each[str(sides[0] ** 2)]
    return {
        "worker_seconds_a_tile": each,
        "ratio": rounded(ratio),
        "goal_ratio": FLAT,
        "goal_met": ratio <= FLAT,
    }


def workers(scenes: Path, scratch: Path, size: Size, side: int, rounds: int) -> Document:
    """Two Dask workers of one thread beside one, where numbers are reckoned.

    Of enough tiles that planning and listing, which no worker does, hardly count.
    """
    found: dict[int, list[float]] = {1: [], 2: []}
    with bench(scenes, scratch, size) as here:
        for number in range(rounds):
            for several in (1, 2) if number % 2 == 0 else (2, 1):
                measured, store = here.run(
                    DASK, 0, side=side, workers=several, sources=_RECKONED, warm=True
                )
                shutil.rmtree(store)
                found[several].append(measured["seconds"])
    one, two = (statistics.median(found[several]) for several in (1, 2))
    return {
        "sources": list(_RECKONED),
        "tiles": side * side,
        "one_s": rounded(one),
        "two_s": rounded(two),
        "times_as_fast": rounded(one / two),
        "goal_times_as_fast": WORKERS_TIMES,
        "goal_met": one / two >= WORKERS_TIMES,
    }


def main(arguments: argparse.Namespace) -> None:
    """Measure, and keep what was found."""
    around = surroundings("odc-stac", "xarray", "zarr", "dask")
    size = QUICK if arguments.quick else FULL
    rounds = arguments.rounds
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="ard-bench-", dir=memory) as folder:
        scratch = Path(folder)
        document: Document = {
            "surroundings": around,
            **throughput(arguments.scenes, scratch, size, rounds),
        }
        shutil.rmtree(scratch / size.name)
        side, repeats = (size.side, 1) if arguments.quick else (2 * size.side, 3)
        document["workers"] = workers(arguments.scenes, scratch, size, side, repeats)
        sides = (2, 4) if arguments.quick else (4, 8, 16)
        document["costs"] = costs(arguments.scenes, scratch, sides)
    keep("ard", arguments, document)


def _arguments() -> argparse.Namespace:
    options = parser(sys.modules[__name__].__doc__)
    options.add_argument("--rounds", type=int, default=1, help="times that every way is measured")
    options.add_argument(
        "--scenes",
        type=Path,
        default=Path(tempfile.gettempdir()) / "estinel-ard-scenes",
        help="folder for the made scenes, which are used again",
    )
    return options.parse_args()


if __name__ == "__main__":
    main(_arguments())
