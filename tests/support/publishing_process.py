"""Publishing in a process of its own, which may kill itself at any effect.

Processes come from a fork server that has imported what they need.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

from estinel_assets.errors import EstinelError
from estinel_assets.publishing.index import open_index
from estinel_assets.publishing.model import Policy
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.storage.opening import open_store
from tests.support.publishing import NO_PATIENCE, Fault, Made, World, faulty

PATIENCE_S = 60.0
NEVER = 10**6


@dataclass(frozen=True)
class Places:
    """Where the targets are; a process opens them for itself."""

    folder: Path
    stac_url: str

    @contextmanager
    def open(self) -> Iterator[World]:
        """The targets: a local store, an SQLite index and a STAC API."""
        index = open_index(None, default_folder=self.folder, policy=NO_PATIENCE)
        stac = StacTransactions(self.stac_url, policy=NO_PATIENCE, timeout_s=10.0)
        store = open_store(f"file://{self.folder / 'store'}")
        try:
            yield World(store, index, stac, store)
        finally:
            stac.close()
            index.close()


class _Killing(Fault):
    """Kills the process in place of raising."""

    def around(self, name: str, effect: Any) -> Any:
        with self._lock:
            number = self.count
            self.seen.append(name)
        if number == self.at and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = effect()
        if number == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


@dataclass(frozen=True)
class Death:
    """Where a process dies."""

    at: int
    after: bool


def publish_in_process(
    places: Places, source: Made | None, death: Death | None, *, recover: bool = False
) -> int | None:
    """Publish, remove where there is no source, or recover, in a process of its own.

    Returns:
        How the process ended: `-signal.SIGKILL` where it came to its death.
    """
    process = _context().Process(target=_run, args=(places, source, death, recover))
    process.start()
    process.join(PATIENCE_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


def race_publishers(places: Places, sources: list[Made]) -> list[str]:
    """Publish at once from several processes; how each ended: an action or a reason."""
    context = _context()
    barrier = context.Barrier(len(sources))
    answers: SimpleQueue[str] = context.SimpleQueue()
    processes = [
        context.Process(target=_compete, args=(places, source, barrier, answers))
        for source in sources
    ]
    for process in processes:
        process.start()
    ended = [answers.get() for _ in processes]
    for process in processes:
        process.join(PATIENCE_S)
        process.close()
    return ended


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    # Ignored once the fork server runs; then each process imports for itself.
    context.set_forkserver_preload([__name__])
    return context


def _run(places: Places, source: Made | None, death: Death | None, recover: bool) -> None:
    with places.open() as world:
        fault = _Killing(death.at, after=death.after) if death else Fault(NEVER)
        publisher = world.publisher(faulty(world, fault))
        if recover:
            publisher.recover("p")
        elif source is None:
            publisher.remove("p")
        else:
            publisher.publish(source, "p", Policy.REPLACE)


def _compete(places: Places, source: Made, barrier: Any, answers: Any) -> None:
    with places.open() as world:
        try:
            barrier.wait(PATIENCE_S)
            answers.put(str(world.publisher().publish(source, "p", Policy.FAIL).action))
        except EstinelError as error:
            answers.put(str(getattr(error, "reason", type(error).__name__)))
        except BrokenBarrierError:
            answers.put("late")
