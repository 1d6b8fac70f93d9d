"""What all benchmarks share: timing, memory, versions, and the JSON that results are kept in."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

RESULTS = Path(__file__).with_name("results")
_PACKAGES = ("dagster", "obstore", "pyarrow", "numpy", "rasterio", "moto", "pydantic")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the runs of one thing took."""

    seconds: tuple[float, ...]
    """Wall time of each run, in their order."""
    cpu_seconds: tuple[float, ...]
    """Processor time of this process in each run: what is left on a machine without neighbours."""

    @property
    def median_s(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def document(self) -> dict[str, float | int]:
        """For the results: median, extremes and number of runs."""
        return {
            "median_s": rounded(self.median_s),
            "least_s": rounded(min(self.seconds)),
            "most_s": rounded(max(self.seconds)),
            "median_cpu_s": rounded(statistics.median(self.cpu_seconds)),
            "runs": len(self.seconds),
        }


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Call once.

    Returns:
        Seconds of wall time, and what the function returned.
    """
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def timings(function: Callable[[], object], *, runs: int, warm_ups: int = 1) -> Timings:
    """Call many times, one after the other.

    Args:
        function: what is measured.
        runs: calls that count.
        warm_ups: calls before them, which do not.
    """
    for _ in range(warm_ups):
        function()
    wall, cpu = [], []
    for _ in range(runs):
        began = time.process_time()
        wall.append(timed(function)[0])
        cpu.append(time.process_time() - began)
    return Timings(tuple(wall), tuple(cpu))


def rounded(seconds: float) -> float:
    """Four figures: more would be noise."""
    return float(f"{seconds:.4g}")


def resident_mib() -> float:
    """Memory of this process that is in RAM now, in MiB; Linux only."""
    return _status("VmRSS")


def peak_resident_mib() -> float:
    """The most memory of this process that was in RAM since `forget_peak`, in MiB; Linux only."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let `peak_resident_mib` count from now on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / _KIB
    raise OSError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def surroundings(*more_packages: str) -> dict[str, object]:
    """What a number means little without: versions, processors, and how busy the machine was."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_1min_before": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in sorted({*_PACKAGES, *more_packages})},
    }


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--quick", action="store_true", help="a small round that only shows that it works"
    )
    made.add_argument("--output", type=Path, help="file for the result, in place of the usual one")
    return made


def keep(name: str, arguments: argparse.Namespace, document: Mapping[str, object]) -> None:
    """Write a result as JSON; a quick round is only printed, unless a file was named.

    Args:
        name: of the benchmark.
        arguments: of `parser`.
        document: what was measured.
    """
    whole = {
        "benchmark": name,
        "measured_on": datetime.now(UTC).date().isoformat(),
        "quick": arguments.quick,
        **document,
        "load_1min_after": round(os.getloadavg()[0], 2),
    }
    text = json.dumps(whole, indent=2) + "\n"
    output = arguments.output or (None if arguments.quick else RESULTS / f"{name}.json")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    print(text, end="")
