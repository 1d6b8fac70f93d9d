"""The consumer: takes messages, has them worked on, records how they ended, and commits.

One thread talks to Kafka and records; many messages are in work at once. An offset is committed
when every message before it has an outcome that is durable, so that whatever happens, a message is
worked on again or is known. Working on one twice has no effect twice.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from threading import Event

from estinel_assets.errors import LeaseHeldError, LeaseLostError, RetryableError
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.claims import PartitionClaims
from estinel_assets.pids.incoming import IncomingMessage, MessageSource, TopicPartition
from estinel_assets.pids.message_work import as_skipped, is_transient
from estinel_assets.pids.ordered_pool import Ended, OrderedPool
from estinel_assets.pids.partition_progress import PartitionProgress
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.recorder import Recorder
from estinel_assets.pids.watching import Watcher

_POLL_S = 0.1
_CLAIM_S = 1.0
"""How long to wait for another worker before looking whether to stop, in seconds."""
_AHEAD = 2
"""Messages that are taken, by thread: one in work and one that waits for it."""
_UNRECORDED = 32
"""Messages that may wait for one before them to end, by thread: so much is held in memory."""
_HELD_BYTES = 64 * 1024 * 1024
"""None is taken while those that are not yet recorded have so many bytes."""

log = get_logger(__name__)


class Ending(StrEnum):
    """Why a consumer ended."""

    ASKED = "asked"
    """Somebody asked it to: a signal, or the most messages were taken."""
    SOURCE_ENDED = "source_ended"
    """A range of offsets is done."""
    TOO_MANY_ERRORS = "too_many_errors"
    SERVICE_DOWN = "service_down"
    """A service failed for the time being, for longer than a message is tried again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a consumer stops and when it records."""

    threads: int = 32
    """Messages in work at once."""
    flush_messages: int = 500
    """Messages after which is recorded."""
    flush_s: float = 2.0
    """Time after which is recorded, in seconds."""
    max_errors: int = 1
    """Messages that may fail for good before it stops; -1 for any number."""
    max_messages: int | None = None
    """Messages to take; None for any number."""
    stop_on_skip: bool = True
    """Stop where a service is down; else record the message as skipped, and go on."""
    claim_wait_s: float = 180.0
    """How long to wait for another worker to give a partition up, in seconds."""


@dataclass(slots=True)
class Consumed:
    """What a consumer did."""

    ending: Ending
    reasons: Counter[str] = field(default_factory=Counter)
    """Messages that are recorded, by reason; see `uncommitted`."""
    stopped_by: Outcome | None = None
    """The message at which it stopped; where a service is down, it is not committed."""
    uncommitted: str = ""
    """Why the last commit was not taken; its messages are recorded, and come again."""

    @property
    def messages(self) -> int:
        """How many were recorded."""
        return self.reasons.total()

    @property
    def faults(self) -> int:
        """How many of them failed."""
        return sum(
            count for word, count in self.reasons.items() if parse_reason(PidReason, word).fault
        )


@dataclass(frozen=True, slots=True)
class _Task:
    progress: PartitionProgress
    message: IncomingMessage


_Pool = OrderedPool[_Task, Outcome | None]


class Consumer:
    """Works through the messages of a source. For one thread; `stop` may come from any."""

    def __init__(
        self,
        source: MessageSource,
        work: Callable[[IncomingMessage], Outcome],
        recorder: Recorder,
        *,
        claims: PartitionClaims | None,
        limits: Limits,
        watcher: Watcher,
        stop: Event,
        commits: bool = True,
    ) -> None:
        """Remember everything; nothing begins yet.

        Args:
            source: of the messages.
            work: works on one, from many threads; raises only where the program is broken.
            recorder: keeps outcomes.
            claims: the leases of partitions; None where nobody else is to be kept off.
            limits: when to stop and to record.
            watcher: told of what is recorded.
            stop: when set, nothing new is taken, and what is in work is ended and recorded.
            commits: False leaves the group where it is.
        """
        self._source = source
        self._work = work
        self._recorder = recorder
        self._claims = claims
        self._limits = limits
        self._watcher = watcher
        self._stop = stop
        self._commits = commits
        self._partitions: dict[TopicPartition, PartitionProgress] = {}
        self._taken = 0
        self._errors = 0
        self._recorded_at = time.monotonic()
        self._ended = Consumed(Ending.ASKED)
        self._unfinished: Outcome | None = None
        """The message whose service is down, until that is recorded."""
        self._pool: _Pool | None = None
        self._broken = False

    def run(self) -> Consumed:
        """Work until the source or a limit ends it, or until it is asked to stop.

        Raises:
            RetryableError: Kafka failed.
            PermanentError: Kafka refuses.
            LeaseError: another worker has a partition, and does not give it up.
            StoreError: outcomes cannot be kept; their messages will come again.
            BadInputError: a folder cannot be written to.
        """

        def work(task: _Task) -> Outcome | None:
            if task.progress.given_up:
                return None
            self._check_claim(task.progress.at)
            return self._work(task.message)

        try:
            with closing(OrderedPool(work, threads=self._limits.threads, name="pids")) as pool:
                self._pool = pool
                try:
                    self._source.open(self)
                    self._go_on(pool)
                    self._drain(pool)
                    self._record_all()
                except BaseException:
                    # Whatever is wrong, nothing more is recorded, and nothing committed.
                    self._broken = True
                    pool.drop_waiting()
                    raise
                finally:
                    self._source.close()
        finally:
            # Not before the pool is closed: until then something may be in work.
            if self._claims is not None:
                self._claims.release_all()
        return self._ended

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """See `PartitionListener.assigned`."""
        for at in partitions:
            if self._claimed(at):
                self._partitions[at] = PartitionProgress(at)
                log.info("partition taken", topic=at.topic, partition=at.partition)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """See `PartitionListener.revoked`: ends and records what is in work there."""
        mine = [self._partitions[at] for at in partitions if at in self._partitions]
        pool = self._pool
        if pool is not None and not self._broken:
            while pool.open and not self._stopped and any(one.open for one in mine):
                self._take_back(pool, _POLL_S)
            for progress in mine:
                self._record(progress)
        self._let_go(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """See `PartitionListener.lost`: what is in work there ends unrecorded."""
        self._let_go(partitions)

    @property
    def _stopped(self) -> bool:
        """Whether a message ended it."""
        return self._ended.stopped_by is not None

    def _go_on(self, pool: _Pool) -> None:
        """Take messages until there is a reason to stop."""
        while not self._stop.is_set() and not self._stopped:
            room = self._room(pool)
            for message in self._source.poll(room, _POLL_S if not pool.open else 0):
                self._begin(pool, message)
            if self._source.ended and not pool.open:
                self._ended.ending = Ending.SOURCE_ENDED
                self._record_all()
                self._commit_beyond()
                return
            if self._taken == self._limits.max_messages and not pool.open:
                return
            self._take_back(pool, _POLL_S if pool.open else 0)
            self._record_if_due()

    def _room(self, pool: _Pool) -> int:
        """How many messages may be taken now."""
        threads = self._limits.threads
        if sum(one.bytes for one in self._partitions.values()) >= _HELD_BYTES:
            return 0
        held = sum(map(len, self._partitions.values()))
        room = min(threads * _AHEAD - pool.open, threads * _UNRECORDED - held)
        if self._limits.max_messages is not None:
            room = min(room, self._limits.max_messages - self._taken)
        return max(room, 0)

    def _begin(self, pool: _Pool, message: IncomingMessage) -> None:
        position = message.position
        progress = None if position is None else self._partitions.get(position.at)
        if progress is None or not progress.take(message):
            return
        self._taken += 1
        progress.in_work += 1
        # Without a key, the order of the partition is all that there is.
        pool.submit(_Task(progress, message), (progress.at, message.key))

    def _take_back(self, pool: _Pool, timeout_s: float) -> None:
        for ended in pool.take(timeout_s):
            self._end(ended)
        self._watcher.set_in_flight(pool.open)

    def _end(self, ended: Ended[_Task, Outcome | None]) -> None:
        task, outcome = ended.task, ended.result
        progress = task.progress
        progress.in_work -= 1
        known = progress.given_up and isinstance(ended.error, LeaseLostError)
        if ended.error is not None and not known:
            raise ended.error
        if outcome is None or self._partitions.get(progress.at) is not progress or self._stopped:
            return
        for one in progress.end(task.message, self._judged(outcome)):
            self._count(progress, one)
            if self._stopped:
                return

    def _judged(self, outcome: Outcome) -> Outcome:
        """The outcome, marked where its message is skipped."""
        if self._limits.stop_on_skip or not is_transient(outcome):
            return outcome
        return as_skipped(outcome)

    def _count(self, progress: PartitionProgress, outcome: Outcome) -> None:
        """Count a message in the order of its partition, and stop where it is one too many."""
        if is_transient(outcome):
            if self._limits.stop_on_skip:
                progress.cut(outcome, keep=False)
                self._ended.ending, self._ended.stopped_by = Ending.SERVICE_DOWN, outcome
                self._unfinished = outcome
            return
        self._errors += not outcome.status
        if not outcome.status and 0 <= self._limits.max_errors <= self._errors:
            progress.cut(outcome, keep=True)
            self._ended.ending, self._ended.stopped_by = Ending.TOO_MANY_ERRORS, outcome

    def _drain(self, pool: _Pool) -> None:
        """End what is in work; what is not begun will come again."""
        pool.drop_waiting()
        while pool.open:
            self._source.poll(0, 0)
            self._take_back(pool, _POLL_S)

    def _record_if_due(self) -> None:
        done = sum(len(progress.done) for progress in self._partitions.values())
        waited_s = time.monotonic() - self._recorded_at
        # Well before so many wait to be recorded that no more may be taken.
        most = min(self._limits.flush_messages, self._limits.threads * _UNRECORDED // 2)
        if done >= most or (done and waited_s >= self._limits.flush_s):
            self._record_all()
        elif not done:
            self._recorded_at = time.monotonic()

    def _record_all(self) -> None:
        for progress in list(self._partitions.values()):
            self._record(progress)
        self._recorded_at = time.monotonic()

    def _record(self, progress: PartitionProgress) -> None:
        """Record what is done of a partition, then commit it."""
        self._record_done(progress)
        unfinished = self._unfinished
        if unfinished is not None and _partition_of(unfinished) == progress.at:
            self._check_claim(progress.at)
            self._recorder.record_unfinished(progress.at, unfinished)
            self._unfinished = None

    def _record_done(self, progress: PartitionProgress) -> None:
        done, following = list(progress.done), progress.following
        if not done or following is None:
            return
        self._check_claim(progress.at)
        for some in _ascending(done):
            self._recorder.record(progress.at, some)
        progress.recorded()
        self._check_claim(progress.at)
        for outcome in done:
            self._ended.reasons[outcome.reason] += 1
            self._watcher.add(outcome)
        self._commit({progress.at: following})

    def _commit_beyond(self) -> None:
        """Commit the end of a range, all of which was worked on by us."""
        beyond = {
            at: offset
            for at, offset in self._source.beyond.items()
            if at in self._partitions and not len(self._partitions[at])
        }
        for at in beyond:
            self._check_claim(at)
        self._commit(beyond)

    def _commit(self, following: Mapping[TopicPartition, int]) -> None:
        if not self._commits or not following:
            return
        try:
            self._source.commit(following)
            self._ended.uncommitted = ""
        except RetryableError as error:
            # They are recorded. Where they come again, they have no effect.
            log.warning("not committed", following=dict(following), error=str(error))
            self._ended.uncommitted = str(error)

    def _claimed(self, at: TopicPartition) -> bool:
        """Take the lease of a partition; False where the work is to stop before that."""
        if self._claims is None:
            return True
        give_up = time.monotonic() + self._limits.claim_wait_s
        while not self._stop.is_set():
            left_s = give_up - time.monotonic()
            try:
                self._claims.take(at, wait_s=max(min(left_s, _CLAIM_S), 0))
            except LeaseHeldError:
                if left_s <= 0:
                    raise
            else:
                return True
        return False

    def _check_claim(self, at: TopicPartition) -> None:
        if self._claims is not None:
            self._claims.check(at)

    def _let_go(self, partitions: Sequence[TopicPartition]) -> None:
        """Give partitions to others, once nothing of them is in work any more."""
        mine = [self._partitions.pop(at) for at in partitions if at in self._partitions]
        for progress in mine:
            progress.given_up = True
        # The next one begins with the lease, and two at a time may write an older record last.
        pool = None if self._claims is None or self._broken else self._pool
        while pool is not None and any(one.in_work for one in mine):
            self._take_back(pool, _POLL_S)
        for at in partitions:
            self._recorder.forget(at)
            if self._claims is not None and not self._broken:
                self._claims.release(at)
            log.info("partition given up", topic=at.topic, partition=at.partition)


def _ascending(outcomes: Sequence[Outcome]) -> Iterator[Sequence[Outcome]]:
    """Parts in the order of offsets: more than one where a topic was made anew."""
    start = 0
    for place, (one, following) in enumerate(pairwise(outcomes), 1):
        if int(one.key[-1]) >= int(following.key[-1]):
            yield outcomes[start:place]
            start = place
    yield outcomes[start:]


def _partition_of(outcome: Outcome) -> TopicPartition:
    topic, partition, _ = outcome.key
    return TopicPartition(topic, int(partition))
