"""A consumer with everything around it in memory, which may die or fail at any effect."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from estinel_assets.errors import RetryableError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.claims import PartitionClaims
from estinel_assets.pids.consumer import Consumed, Consumer, Limits
from estinel_assets.pids.incoming import IncomingMessage, MessageSource, TopicPartition
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.jsonl_lines import BadLine, KeptMessage, latest, read_lines
from estinel_assets.pids.message_work import MessageWork
from estinel_assets.pids.ports import HandleFault, HandleRecord, HandleService, Registered
from estinel_assets.pids.reasons import PIDS
from estinel_assets.pids.recorder import OutcomeRecorder, Recorder
from estinel_assets.pids.stamps import Stamp
from estinel_assets.pids.working_again import WorkingAgain, record_again
from estinel_assets.settings import OutcomeSettings
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectMeta, ObjectStore
from tests.support.cmip6_messages import maker
from tests.support.memory_handles import MemoryHandles
from tests.support.memory_items import MemoryItems

BEGIN = datetime(2026, 1, 16, 10, tzinfo=UTC)


class DiedError(BaseException):
    """The process is gone: nothing that it does from now on has an effect."""


class Death:
    """Comes at one of the effects of a process, before or after it, or never."""

    def __init__(self, at: int | None = None) -> None:
        self._at = at
        self._lock = threading.Lock()
        self.reached: list[str] = []
        """Where it could have come, in order."""

    def reach(self, where: str) -> None:
        with self._lock:
            if self._at is not None and len(self.reached) > self._at:
                raise DiedError(self.reached[self._at])
            self.reached.append(where)
            if self._at is not None and len(self.reached) > self._at:
                raise DiedError(where)


NEVER = Death()


@dataclass(frozen=True)
class Faults:
    """Calls of `register` that fail for the time being, by their number from 1."""

    unanswered: frozenset[int] = frozenset()
    """Nothing is done."""
    lost: frozenset[int] = frozenset()
    """All is done, and the answer gets lost."""
    halved: frozenset[int] = frozenset()
    """An update writes, and does not delete."""


class UncertainHandles:
    """A Handle service that may fail, called by a process that may die."""

    def __init__(self, handles: MemoryHandles, death: Death, faults: Faults) -> None:
        self._handles, self._death, self._faults = handles, death, faults
        self._lock = threading.Lock()
        self._calls = 0

    def read(self, handle: str) -> HandleRecord | None:
        return self._handles.read(handle)

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        self._death.reach("register")
        with self._lock:
            self._calls += 1
            number = self._calls
        if number in self._faults.unanswered:
            raise RetryableError(HandleFault.UNAVAILABLE, "no answer")
        if number in self._faults.halved:
            self._handles.interrupted = True
        try:
            done = self._handles.register(record, stamp)
        finally:
            self._handles.interrupted = False
        self._death.reach("registered")
        if number in self._faults.lost:
            raise RetryableError(HandleFault.UNAVAILABLE, "the answer got lost")
        return done

    def probe(self) -> None:
        return

    def close(self) -> None:
        return


class MortalStore:
    """A store that is written to by a process that may die."""

    def __init__(self, store: ObjectStore, death: Death) -> None:
        self._store, self._death = store, death

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        self._death.reach("put")
        done = self._store.put(path, data, content_type=content_type)
        self._death.reach("stored")
        return done

    def put_file(self, path: str, source: Path, *, content_type: str | None = None) -> ObjectMeta:
        self._death.reach("put")
        done = self._store.put_file(path, source, content_type=content_type)
        self._death.reach("stored")
        return done

    def delete(self, path: str) -> None:
        self._death.reach("delete")
        self._store.delete(path)

    def delete_many(self, paths: Sequence[str]) -> None:
        self._death.reach("delete")
        self._store.delete_many(paths[:1])
        self._death.reach("deleted")
        self._store.delete_many(paths)


class MortalFiles(JsonlFiles):
    """Files of a process that may die, also in the middle of a line."""

    def __init__(self, folder: Path, death: Death) -> None:
        super().__init__(folder)
        self._root, self._death = folder, death

    def write(self, outcomes: Iterable[Outcome]) -> None:
        before = self._sizes()
        self._death.reach("write")
        super().write(outcomes)
        grown = {path: size for path, size in self._sizes().items() if size > before.get(path, 0)}
        try:
            if grown:
                self._death.reach("tear")
        except DiedError:
            for path, size in grown.items():
                with path.open("r+b") as file:
                    file.truncate((before.get(path, 0) + size) // 2)
            raise
        self._death.reach("written")

    def _sizes(self) -> dict[Path, int]:
        return {path: path.stat().st_size for path in self._root.rglob("*.jsonl")}


class MortalSource:
    """A source whose commits are made by a process that may die."""

    def __init__(self, source: MessageSource, death: Death) -> None:
        self._source, self._death = source, death

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        self._death.reach("commit")
        self._source.commit(following)
        self._death.reach("committed")


class Clock:
    """Each time a millisecond later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = BEGIN

    def __call__(self) -> datetime:
        with self._lock:
            self._now += timedelta(milliseconds=1)
            return self._now


@dataclass
class Watched:
    """What a consumer told."""

    outcomes: list[Outcome] = field(default_factory=list)
    most_in_flight: int = 0

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def set_in_flight(self, messages: int) -> None:
        self.most_in_flight = max(self.most_in_flight, messages)


Source = MessageSource | MortalSource


@dataclass
class World:
    """What outlives a process: services, store and files."""

    folder: Path
    handles: MemoryHandles = field(default_factory=MemoryHandles)
    items: MemoryItems = field(default_factory=MemoryItems)
    store: ObjectStore = field(default_factory=lambda: open_store("memory://"))
    clock: Callable[[], datetime] = field(default_factory=Clock)
    runs: int = 0

    @property
    def book(self) -> OutcomeBook:
        return OutcomeBook.from_settings(self.store, PIDS, OutcomeSettings())

    def work(self, *, death: Death = NEVER, faults: Faults | None = None) -> MessageWork:
        handles: HandleService = UncertainHandles(self.handles, death, faults or Faults())
        self.runs += 1
        return MessageWork(
            maker=maker(),
            handles=handles,
            items=self.items,
            look_up=True,
            run=Run(f"run-{self.runs:04}", self.clock, "1"),
        )

    def recorder(self, death: Death = NEVER) -> OutcomeRecorder:
        store: ObjectStore = MortalStore(self.store, death)  # type: ignore[assignment]
        book = OutcomeBook.from_settings(store, PIDS, OutcomeSettings())
        return OutcomeRecorder(OutcomeBatches(book.packed, most=5), MortalFiles(self.folder, death))

    def consumer(
        self,
        source: MessageSource,
        *,
        limits: Limits | None = None,
        death: Death = NEVER,
        faults: Faults | None = None,
        work: Callable[[IncomingMessage], Outcome] | None = None,
        recorder: Recorder | None = None,
        claims: PartitionClaims | None = None,
        watched: Watched | None = None,
        stop: Event | None = None,
        commits: bool = True,
    ) -> Consumer:
        mortal: MessageSource = MortalSource(source, death)  # type: ignore[assignment]
        return Consumer(
            mortal,
            work or self.work(death=death, faults=faults).outcome,
            recorder or self.recorder(death),
            claims=claims,
            limits=limits or Limits(threads=4, max_errors=-1),
            watcher=watched or Watched(),
            stop=stop or Event(),
            commits=commits,
        )

    def consume(self, source: MessageSource, **more: object) -> Consumed:
        return self.consumer(source, **more).run()  # type: ignore[arg-type]

    def outcomes(self) -> dict[Key, Outcome]:
        """The newest of each message."""
        packed = self.book.packed
        found = list(packed.read(packed.entries()))
        assert not [key for key, count in Counter(one.key for one in found).items() if count > 1]
        return {one.key: one for one in found}

    def kept(self) -> list[KeptMessage]:
        """What the files of failures and skipped messages keep, in the order of the lines."""
        return [line for line in read_lines(self._files) if isinstance(line, KeptMessage)]

    def bad_lines(self) -> list[BadLine]:
        """Lines that cannot be read."""
        return [line for line in read_lines(self._files) if isinstance(line, BadLine)]

    def retry(self) -> list[Outcome]:
        """Try everything again that the files keep, each message once."""
        which = latest(self.kept())
        again = WorkingAgain(
            self.work().outcome,
            record_again(
                OutcomeBatches(self.book.packed),
                JsonlFiles(self.folder),
                f"retry-{self.runs}",
                stop_on_skip=True,
            ),
            threads=4,
        )
        chosen = [one.again for one in self.kept() if which[one.message.unit].place == one.place]
        return [outcome for some in again.run(chosen) for outcome in some]

    @property
    def has_files(self) -> bool:
        """Whether any message is kept in a file."""
        return bool(self._files)

    @property
    def _files(self) -> list[Path]:
        return sorted([*self.folder.glob("failures/**/*.jsonl"), *self.folder.glob("skipped/*")])


def expected_records(
    messages: Iterable[IncomingMessage], items: MemoryItems
) -> tuple[dict[str, HandleRecord], set[Key]]:
    """What a clean run over messages leaves, in the order of their stamps.

    Returns:
        The records by handle, and the messages that cannot be registered.
    """
    announced: list[tuple[Stamp, list[HandleRecord]]] = []
    refused: set[Key] = set()
    for message in messages:
        seen = _Seeing()
        outcome = MessageWork(
            maker=maker(), handles=seen, items=items, look_up=True, run=Run("x", Clock(), "1")
        ).outcome(message)
        if outcome.status:
            announced.append((seen.stamp, seen.records))
        else:
            assert not seen.records
            refused.add(message.unit)
    handles = MemoryHandles()
    for stamp, records in sorted(announced, key=lambda one: one[0]):
        for record in records:
            handles.register(record, stamp)
    return handles.handles, refused


class _Seeing(MemoryHandles):
    def __init__(self) -> None:
        super().__init__()
        self.stamp = Stamp()
        self.records: list[HandleRecord] = []

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        self.stamp = stamp
        self.records.append(record)
        return super().register(record, stamp)


def wait_for(condition: Callable[[], object], patience_s: float = 10.0) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.002)
