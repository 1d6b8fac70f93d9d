"""Runs of made sites in processes of their own, which can be killed at any write.

The processes come from a fork server that has imported what they need.
"""

import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from multiprocessing.context import ForkServerContext
from typing import Any

from estinel_assets.settings import Settings
from estinel_assets.storage.opening import open_store
from tests.support.increment import Clock, MadeScene, MadeWorld, made_settings
from tests.support.watched_store import WatchedStore, Write


@dataclass(frozen=True)
class Orders:
    """What a process of its own is to do: update a world on a local store."""

    url: str
    scenes: tuple[MadeScene, ...]
    now: datetime
    kill: tuple[str, int] | None = None
    """SIGKILL before the n-th write, counted from 0, to a path that begins with this text or ends
    with it."""
    settings: Settings = field(default_factory=made_settings)
    answers: Any = None
    """A queue for what the run did: `(days made, paths written)`, or the error's name."""
    hold: tuple[Any, Any] | None = None
    """Two events: set the first at the first read of a scene, then wait for the second."""

    def world(self) -> MadeWorld:
        world = MadeWorld(store=open_store(self.url), clock=Clock(self.now), settings=self.settings)
        world.source.add(*self.scenes)
        return world


def in_another_process(orders: Orders) -> multiprocessing.process.BaseProcess:
    """Start a process that obeys orders."""
    process = _context().Process(target=_obey, args=(orders,), daemon=True)
    process.start()
    return process


def killed_at(orders: Orders) -> int:
    """Let a process obey orders; its return code."""
    process = in_another_process(orders)
    process.join(120)
    code = process.exitcode
    process.close()
    assert code is not None
    return code


def matches(path: str, pattern: str) -> bool:
    """Whether a path begins or ends with a text."""
    return path.startswith(pattern) or path.endswith(pattern)


def _obey(orders: Orders) -> None:
    world = orders.world()
    seen = count()

    def before(write: Write) -> None:
        if orders.kill is None or not matches(write.path, orders.kill[0]):
            return
        if next(seen) == orders.kill[1]:  # atomic: a day's images are written from many threads
            os.kill(os.getpid(), signal.SIGKILL)

    def before_reading(_: str) -> None:
        if orders.hold is not None:
            started, go_on = orders.hold
            started.set()
            assert go_on.wait(60)

    store = WatchedStore(world.store, before=before)
    world.reader.before = before_reading
    try:
        days = world.update(store=store).days
    except Exception as error:
        if orders.answers is None:
            raise
        orders.answers.put(type(error).__name__)
    else:
        if orders.answers is not None:
            orders.answers.put((days, [write.path for write in store.writes]))


def _context() -> ForkServerContext:
    # Forked before any store is opened: obstore's threads do not survive a fork.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def another_process_context() -> ForkServerContext:
    """For events and queues that are handed to `Orders`."""
    return _context()
