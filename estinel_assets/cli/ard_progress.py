"""Progress of a run over tiles: counts by source, and the time that is left. All on stderr."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome

Tell = Callable[["Outcome"], None]
"""Call it when a source of a tile-year has ended. Safe from many threads."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Going:
    """How far a run is."""

    totals: Mapping[str, int]
    """What is to be made, by source."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    ended: dict[tuple[str, ...], bool] = field(default_factory=dict)
    """Whether each key that ended is a fault; a later attempt takes the place of a former one."""
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def see(self, key: tuple[str, ...], *, fault: bool) -> None:
        """Note that a key has ended."""
        self.ended[key] = fault

    @property
    def total(self) -> int:
        """What is to be made, of all sources."""
        return sum(self.totals.values())

    @property
    def done(self) -> Counter[str]:
        """What has ended, by source."""
        return Counter(key[-1] for key in self.ended)

    @property
    def faults(self) -> int:
        """How many ended with a fault."""
        return sum(self.ended.values())

    def left_s(self) -> float | None:
        """Seconds until the end, if it goes on like this; None before the first has ended."""
        if not self.ended:
            return None
        elapsed = self.clock() - self._began
        return elapsed / len(self.ended) * max(self.total - len(self.ended), 0)

    def text(self) -> str:
        """All of it in a line."""
        done = self.done
        counts = ", ".join(f"{name} {done[name]}/{n}" for name, n in self.totals.items())
        faults = f", {self.faults} failed" if self.faults else ""
        left = self.left_s()
        ahead = "" if left is None else f", {duration_text(left)} left"
        return f"{len(self.ended)}/{self.total} ({counts}){faults}{ahead}"


def duration_text(seconds: float) -> str:
    """A duration for people, such as `2 h 5 min` or `40 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes >= 2 else f"{minutes * 60 + rest} s"


@contextmanager
def tiles_progress(totals: Mapping[str, int]) -> Iterator[Tell]:
    """Show how a run goes on: a bar on a terminal, a log line now and then elsewhere.

    Args:
        totals: what is to be made, by source.
    """
    from estinel_assets.ard.reasons import ArdReason
    from estinel_assets.outcomes.reason import parse_reason

    going, lock = Going(totals), Lock()
    show = _bar(going) if sys.stderr.isatty() else _lines(going)
    with show as step:

        def tell(outcome: "Outcome") -> None:
            with lock:
                fault = parse_reason(ArdReason, outcome.reason).fault
                going.see(outcome.key, fault=fault)
                step(f"{'/'.join(outcome.key)} {outcome.reason}")

        yield tell


@contextmanager
def _bar(going: Going) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as drawn:
        task = drawn.add_task(going.text(), total=going.total)
        yield lambda _unit: drawn.update(task, completed=len(going.ended), description=going.text())


@contextmanager
def _lines(going: Going) -> Iterator[Callable[[str], None]]:
    told = -1

    def step(unit: str) -> None:
        nonlocal told
        percent = 100 * len(going.ended) // max(going.total, 1)
        if percent != told:
            told = percent
            log.info("tiles %s: %s", going.text(), unit)

    yield step
