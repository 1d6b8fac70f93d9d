"""Races between many processes or threads, for contract tests of stores.

Processes come from a fork server that has imported what they need, so that twenty of them start
in about a second. They are forked before any store is opened: obstore's threads do not survive a
fork.
"""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from typing import Any

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    LeaseHeldError,
    NotFoundError,
)
from estinel_assets.storage import open_store
from estinel_assets.storage.lease import Lease, Timing
from estinel_assets.storage.port import ObjectStore
from tests.support.s3 import S3Access

RACERS = 20
WON, LOST = "won", "lost"
_PATIENCE_S = 60

Action = Callable[[ObjectStore, int], str]


@dataclass(frozen=True)
class StoreAddress:
    """How another process opens a store."""

    url: str
    access: S3Access | None = None

    def open(self) -> ObjectStore:
        """The store, opened anew."""
        if self.access is None:
            return open_store(self.url)
        return open_store(
            self.url, endpoint_url=self.access.endpoint_url, session=self.access.session()
        )


@dataclass(frozen=True)
class Create:
    """Create objects, one after the other."""

    paths: tuple[str, ...]

    def __call__(self, store: ObjectStore, number: int) -> str:
        return " ".join(self._one(store, path, number) for path in self.paths)

    def _one(self, store: ObjectStore, path: str, number: int) -> str:
        try:
            store.create(path, b"%03d" % number)
        except AlreadyExistsError:
            return LOST
        return WON


@dataclass(frozen=True)
class Replace:
    """Replace one version each of objects, one after the other, by bytes of the same length."""

    versions: tuple[tuple[str, str], ...]
    """(path, etag)."""

    def __call__(self, store: ObjectStore, number: int) -> str:
        return " ".join(self._one(store, path, etag, number) for path, etag in self.versions)

    def _one(self, store: ObjectStore, path: str, etag: str, number: int) -> str:
        try:
            store.replace(path, b"%03d" % number, etag=etag)
        except ChangedError:
            return LOST
        return WON


@dataclass(frozen=True)
class Count:
    """Add one to a number, several times, by compare-and-swap."""

    path: str
    times: int

    def __call__(self, store: ObjectStore, number: int) -> str:  # noqa: ARG002
        for _ in range(self.times):
            while True:
                found = store.get(self.path)
                try:
                    store.replace(self.path, b"%06d" % (int(found.data) + 1), etag=found.meta.etag)
                except ChangedError:
                    continue
                break
        return WON


@dataclass(frozen=True)
class Replay:
    """Create, replace and delete one object as it comes, counting own successes."""

    path: str
    times: int

    def __call__(self, store: ObjectStore, number: int) -> str:
        created = deleted = 0
        for turn in range(self.times):
            try:
                if (number + turn) % 2:
                    store.create(self.path, b"made")
                    created += 1
                else:
                    found = store.get(self.path)
                    store.replace(self.path, b"kept", etag=found.meta.etag)
                    store.delete(self.path)
                    deleted += 1
            except (AlreadyExistsError, ChangedError, NotFoundError):
                continue
        return f"{created} {deleted}"


@dataclass(frozen=True)
class TakeLease:
    """Take one lease and keep it until every other has tried."""

    path: str

    def __call__(self, store: ObjectStore, number: int) -> str:
        try:
            lease = Lease.acquire(store, self.path, Timing(ttl_s=600), owner=f"racer {number}")
        except LeaseHeldError:
            return LOST
        return f"{WON}, took over" if lease.took_over else WON


def race_processes(address: StoreAddress, action: Action, racers: int = RACERS) -> list[str]:
    """Let processes do one thing at the same moment.

    Returns:
        What each said, in the racers' order; an exception's text in place of an answer.
    """
    context = _context()
    start, finish = context.Barrier(racers), context.Barrier(racers)
    answers = context.Queue()
    processes = [
        context.Process(
            target=_race, args=(address, action, number, start, finish, answers), daemon=True
        )
        for number in range(racers)
    ]
    for process in processes:
        process.start()
    said = dict(answers.get(timeout=_PATIENCE_S) for _ in processes)
    for process in processes:
        process.join(_PATIENCE_S)
        process.close()
    answers.close()
    answers.join_thread()
    return [said[number] for number in range(racers)]


def race_threads(store: ObjectStore, action: Action, racers: int = RACERS) -> list[str]:
    """Let threads do one thing at the same moment; see `race_processes`."""
    start = threading.Barrier(racers)

    def run(number: int) -> str:
        start.wait(_PATIENCE_S)
        return action(store, number)

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(run, range(racers)))


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # Ignored once the fork server runs; then it has imported these already.
    context.set_forkserver_preload([__name__, "obstore.auth.boto3"])
    return context


def _race(
    address: StoreAddress, action: Action, number: int, start: Any, finish: Any, answers: Any
) -> None:
    try:
        store = address.open()
        list(store.list("warm-up"))
        start.wait(_PATIENCE_S)
        said = action(store, number)
        # A process that ended would leave its lease to the others.
        finish.wait(_PATIENCE_S)
    except Exception as error:  # noqa: BLE001 - told to the parent, which fails the test
        said = repr(error)
    answers.put((number, said))
