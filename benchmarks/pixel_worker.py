"""One way of reading, in a process of its own that lives as long as the benchmark.

    python -m benchmarks.pixel_worker WAY full|quick

So imports are paid before anything is measured, memory is that of one way alone, and connections
and pools stay as they would in a service. Orders come as lines of JSON on standard input, answers
leave likewise.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np

from benchmarks.measuring import forget_peak, peak_resident_mib
from benchmarks.pixel_cases import OURS, OURS_AGAIN, REGION, cases
from benchmarks.pixel_scenes import FULL, QUICK
from benchmarks.pixel_ways import Images, Target, Way

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]


class Worker:
    """The process, for whoever measures."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Made by `worker`."""
        self._process = process

    def run(self, *, before: Callable[[], object], **order: Any) -> dict[str, float]:
        """Read or deliver once.

        Args:
            before: called when all is prepared and the measuring is about to begin.
            order: `case`, its name; `address`, below which files are served; `target`, the fields
                of a `Target`, where outputs are made; `save`, a file for what was read.

        Returns:
            `seconds`, `cpu_seconds` and `peak_mib`.

        Raises:
            RuntimeError: the process ended; it says why on standard error.
        """
        self._ask(order)
        before()
        return self._ask("go")

    def _ask(self, order: object) -> dict[str, float]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended ({self._process.poll()}) at {order}")
        found: dict[str, float] = json.loads(answer)
        return found


@contextmanager
def worker(way: str, *, quick: bool) -> Iterator[Worker]:
    """Start one way."""
    access = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
    quiet = {"PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pixel_worker", way, "quick" if quick else "full"],
        cwd=ROOT,
        env={**os.environ, **access, **quiet},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker was started without pipes")
    try:
        yield Worker(process)
    finally:
        process.stdin.close()  # its order to stop
        process.wait(60)
        process.stdout.close()


def _way(name: str) -> Way:
    if name in {OURS, OURS_AGAIN}:
        from benchmarks.pixel_ours import Ours

        return Ours(again=name == OURS_AGAIN)
    from benchmarks.pixel_peers import OdcStac, Rasterio, StackStac

    made: dict[str, Callable[[], Way]] = {
        "odc-pool": OdcStac,
        "odc-dask": lambda: OdcStac(dask_threads=True),
        REGION: lambda: OdcStac(region=True),
        "stackstac": StackStac,
        "rasterio": Rasterio,
    }
    return made[name]()


def _measured(work: Callable[[], T]) -> tuple[dict[str, float], T]:
    gc.collect()
    forget_peak()
    cpu, began = time.process_time(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    found = {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mib": peak_resident_mib(),
    }
    return found, result


def _save(path: str, images: list[Images]) -> None:
    np.savez(
        path,
        rgb=np.stack([one.rgb for one in images]),
        scl=np.stack([one.scl for one in images]),
    )


def _obey(name: str, size: str, answers: TextIO) -> None:
    every = cases(QUICK if size == "quick" else FULL)
    way = _way(name)
    for line in sys.stdin:
        order = json.loads(line)
        units = every[order["case"]].units
        work: Callable[[], list[Images] | None]
        if "target" in order:
            work = way.delivering(units, order["address"], Target(**order["target"]))
        else:
            work = way.reading(units, order["address"])
        print("{}", file=answers, flush=True)
        sys.stdin.readline()  # the word to begin
        measured, images = _measured(work)
        if "save" in order and images is not None:
            _save(order["save"], images)
        print(json.dumps(measured), file=answers, flush=True)


if __name__ == "__main__":
    # What libraries print is not to stand among the answers.
    with os.fdopen(os.dup(1), "w") as own:
        os.dup2(2, 1)
        _obey(sys.argv[1], sys.argv[2], own)
