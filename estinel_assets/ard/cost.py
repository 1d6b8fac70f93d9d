"""What the work costs on a service that is paid by memory and time, before and after.

`n · seconds · GB · price`, for each source. The seconds are the averages of the original pipeline
(DEM 9, Sentinel-1 14, Sentinel-2 62), until there are `ENOUGH_RECORDED` of our own durations of a
source; then they are the median of these, which a few stuck or lucky workers do not move. Only
work that made arrays counts: what failed at once says nothing of what success takes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from statistics import median
from types import MappingProxyType
from typing import Any, Final

from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.record import Outcome

PRICE_USD_PER_GB_S: Final = 0.00001667
"""US dollars for a gigabyte of memory held for a second."""
AVERAGE_S: Final[Mapping[Source, float]] = MappingProxyType(
    {Source.DEM: 9.0, Source.S1: 14.0, Source.S2: 62.0}
)
"""Seconds that a tile's year took in trial runs of the original pipeline."""
ENOUGH_RECORDED: Final = 20
"""Own durations of a source from which on their median is taken."""

_MIB_PER_GB: Final = 1024
_MADE: Final = frozenset({ArdReason.NONE.value, ArdReason.INCOMPLETE.value})


@dataclass(frozen=True, slots=True)
class SourceCost:
    """What one source costs."""

    source: Source
    n: int
    """Tile-years."""
    seconds: float
    """Worker time of one, in seconds: expected, or the mean of what was measured."""
    recorded: int
    """How many durations of our own the seconds rest on; 0 where they are the original's."""
    memory_gb: float
    """Of a worker, in GB."""

    @property
    def gb_seconds(self) -> float:
        """Of all tile-years together."""
        return self.n * self.seconds * self.memory_gb

    @property
    def usd(self) -> float:
        """Of all tile-years together, in US dollars."""
        return self.gb_seconds * PRICE_USD_PER_GB_S

    @property
    def rests_on(self) -> str:
        """Where the seconds come from, for people."""
        if not self.recorded:
            return "average of the original pipeline"
        return f"{self.recorded} recorded"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs, or has cost."""

    sources: tuple[SourceCost, ...]
    """In the order of `Source`; only those that have work."""

    @property
    def n(self) -> int:
        """Tile-years, counted once for each source."""
        return sum(cost.n for cost in self.sources)

    @property
    def gb_seconds(self) -> float:
        """In total."""
        return fsum(cost.gb_seconds for cost in self.sources)

    @property
    def usd(self) -> float:
        """In total, in US dollars."""
        return fsum(cost.usd for cost in self.sources)

    @property
    def worker_s(self) -> float:
        """Time of all workers together, in seconds."""
        return fsum(cost.n * cost.seconds for cost in self.sources)

    def document(self) -> dict[str, Any]:
        """As JSON values: in total and for each source."""
        return {
            "n": self.n,
            "gb_seconds": round(self.gb_seconds, 3),
            "usd": round(self.usd, 6),
            "price_usd_per_gb_second": PRICE_USD_PER_GB_S,
            "sources": {
                cost.source.value: {
                    "n": cost.n,
                    "seconds": round(cost.seconds, 3),
                    "recorded": cost.recorded,
                    "memory_gb": cost.memory_gb,
                    "gb_seconds": round(cost.gb_seconds, 3),
                    "usd": round(cost.usd, 6),
                }
                for cost in self.sources
            },
        }

    def text(self) -> str:
        """As a table for a terminal, without a newline at its end."""
        rows = [_HEADINGS, *map(_cells, self.sources), _total(self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if number in _LEFT else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def markdown(self) -> str:
        """As a Markdown table."""
        rule = ["---" if number in _LEFT else "---:" for number in range(len(_HEADINGS))]
        rows = [_HEADINGS, rule, *map(_cells, self.sources), _total(self)]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def estimate_cost(
    units: Mapping[Source, int], *, memory_mib: int, recorded: Iterable[Outcome] = ()
) -> Cost:
    """What work will cost.

    Args:
        units: for each source, how many tile-years are to be made.
        memory_mib: of a worker, in MiB.
        recorded: outcomes of former work, of any reason and code version.

    Raises:
        BadInputError: a number or the memory is out of range.
    """
    memory_gb = _memory_gb(memory_mib)
    if negative := [source.value for source, n in units.items() if n < 0]:
        raise BadInputError(f"fewer than no tiles of {', '.join(negative)}: give 0 or more")
    durations: dict[str, list[float]] = defaultdict(list)
    for outcome in recorded:
        if outcome.reason in _MADE:
            durations[outcome.key[-1]].append(worked_s(outcome))
    return Cost(
        tuple(
            _estimated(source, units[source], durations[source.value], memory_gb)
            for source in Source
            if units.get(source)
        )
    )


def actual_cost(outcomes: Iterable[Outcome], *, memory_mib: int) -> Cost:
    """What work has cost that ended, well or not.

    Args:
        outcomes: one for each source of a tile-year; of attempts that another one followed within
            the run nothing is known here.
        memory_mib: of a worker, in MiB.

    Raises:
        BadInputError: the memory is out of range.
    """
    memory_gb = _memory_gb(memory_mib)
    durations: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        durations[outcome.key[-1]].append(worked_s(outcome))
    return Cost(
        tuple(
            SourceCost(source, len(took), fsum(took) / len(took), len(took), memory_gb)
            for source in Source
            if (took := durations[source.value])
        )
    )


def worked_s(outcome: Outcome) -> float:
    """Worker time of an outcome, in seconds: the sum of its phases, else from start to end."""
    phases = outcome.detail.get("seconds")
    if isinstance(phases, Mapping) and phases:
        return fsum(float(seconds) for seconds in phases.values())
    return outcome.duration_s


def _estimated(source: Source, n: int, durations: list[float], memory_gb: float) -> SourceCost:
    if len(durations) < ENOUGH_RECORDED:
        return SourceCost(source, n, AVERAGE_S[source], 0, memory_gb)
    return SourceCost(source, n, median(durations), len(durations), memory_gb)


def _memory_gb(memory_mib: int) -> float:
    if memory_mib <= 0:
        raise BadInputError(f"memory of {memory_mib} MiB: give what a worker has, as 4096")
    return memory_mib / _MIB_PER_GB


_HEADINGS: Final = ["source", "tile-years", "seconds each", "GB", "GB-seconds", "USD", "rests on"]
_LEFT: Final = (0, 6)
"""Columns of text."""


def _cells(cost: SourceCost) -> list[str]:
    return [
        cost.source.value,
        f"{cost.n:,}",
        f"{cost.seconds:.1f}",
        f"{cost.memory_gb:g}",
        f"{cost.gb_seconds:,.0f}",
        f"{cost.usd:,.4f}",
        cost.rests_on,
    ]


def _total(cost: Cost) -> list[str]:
    return ["total", f"{cost.n:,}", "", "", f"{cost.gb_seconds:,.0f}", f"{cost.usd:,.4f}", ""]
