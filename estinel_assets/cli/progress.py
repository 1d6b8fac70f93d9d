"""Progress of long work: a bar on a terminal, a log line a step elsewhere. All on stderr.

::

    with progress("Solar days", total=len(days)) as step:
        for day in days:
            …
            step(f"Hobart {day}")
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from estinel_assets.cli.output import printable

Step = Callable[[str], None]
"""Call it when a unit is done, with the unit's name. Safe from many threads."""


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Step]:
    """Show how work goes on.

    Args:
        what: the units, such as `Solar days`.
        total: how many there are; None where that is not known.
    """
    if sys.stderr.isatty():
        with _bar(what, total) as step:
            yield step
    else:
        yield _lines(what, total)


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=total, unit="")

        def step(unit: str) -> None:
            shown.update(task, advance=1, unit=printable(unit))

        yield step


def _lines(what: str, total: int | None) -> Step:
    log = logging.getLogger(__name__)
    lock = Lock()
    done = 0

    def step(unit: str) -> None:
        nonlocal done
        with lock:
            done += 1
            count = f"{done}/{total}" if total is not None else str(done)
            log.info("%s %s: %s", what, count, printable(unit))

    return step
