"""One way of making the tiles once, in a process of its own.

    python -m benchmarks.ard_worker ORDER

ORDER is JSON, the fields of `Order`. So imports are paid before anything is measured, and memory is
that of one way alone. The process says `{}` when all is prepared, begins at the next line of its
standard input, and then says what it measured.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from benchmarks.ard_world import tile_years

ROOT = Path(__file__).resolve().parents[1]
PEER = "odc"
_LOOKS_A_SECOND = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, by whom."""

    way: str
    """`threads` or `dask`: ours on that engine; `odc`: the peer."""
    side: int
    """Tiles along an edge of the square."""
    store: str
    """Folder for what is made."""
    catalogue: str
    """Root of the STAC API; for the peer the file of all items."""
    workers: int = 2
    sources: tuple[str, ...] = ("dem", "s1", "s2")
    given: str = ""
    """For the peer: the folder of what ours made, out of which it takes the selection."""
    warm: bool = False
    """Whether the engine's workers start before the measuring begins."""


def run(order: Order, *, before: Callable[[], object]) -> dict[str, Any]:
    """Make the tiles.

    Args:
        order: what, and by whom.
        before: called when all is prepared and the measuring is about to begin.

    Returns:
        `seconds`; `peak_mib` of every process of the way, the largest first; of ours, the outcomes'
        `reasons`, and `worker_seconds` of all tiles by phase.

    Raises:
        RuntimeError: the process ended; it says why on standard error.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ard_worker", json.dumps(asdict(order))],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the worker was started without pipes")
    with process:
        _answer(process, order)
        before()
        with _Watch(process.pid) as watch:
            print("go", file=process.stdin, flush=True)
            found = _answer(process, order)
        process.stdin.close()
    return {**found, "peak_mib": watch.peaks()}


def _answer(process: "subprocess.Popen[str]", order: Order) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError(f"a worker ended ({process.wait()}) at {order}")
    found: dict[str, Any] = json.loads(line)
    return found


class _Watch:
    """Looks at the memory of a process and its descendants until told to stop; Linux only."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[int, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def peaks(self) -> list[float]:
        """Of each process the most memory it ever had in RAM, in MiB, the largest first."""
        return sorted((round(peak, 1) for peak in self._peaks.values()), reverse=True)

    def _look(self) -> None:
        while True:
            for pid in _family(self._pid):
                self._peaks[pid] = max(self._peaks.get(pid, 0.0), _peak_mib(pid))
            if self._end.wait(1 / _LOOKS_A_SECOND):
                return


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue  # the thread has ended meanwhile
        for child in children:
            found += _family(int(child))
    return found


def _peak_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0  # it has ended meanwhile
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _ours(order: Order, begin: Callable[[], None]) -> dict[str, Any]:
    from benchmarks.ard_ours import make

    return make(order, tile_years(order.side), begin)


def _peer(order: Order, begin: Callable[[], None]) -> dict[str, Any]:
    from benchmarks.ard_peer import make

    return make(order, tile_years(order.side), begin)


def _obey(order: Order, answers: TextIO) -> None:
    began = 0.0

    def begin() -> None:
        nonlocal began
        print("{}", file=answers, flush=True)
        sys.stdin.readline()  # the word to begin
        began = time.perf_counter()

    found = (_peer if order.way == PEER else _ours)(order, begin)
    found.setdefault("seconds", time.perf_counter() - began)
    print(json.dumps(found), file=answers, flush=True)
    sys.stdin.readline()  # so that its memory can be looked at until the end


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["sources"] = tuple(given["sources"])
    # What libraries print is not to stand among the answers.
    with os.fdopen(os.dup(1), "w") as own:
        os.dup2(2, 1)
        _obey(Order(**given), own)
