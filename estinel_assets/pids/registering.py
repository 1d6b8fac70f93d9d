"""Registering the messages of ranges of offsets, as a run of Dagster's does."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Self

from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError, RetryableError
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.claims import DAGSTER
from estinel_assets.pids.configuration import PidConfiguration, load_configuration
from estinel_assets.pids.consumer import Consumed, Ending
from estinel_assets.pids.consuming import Consuming
from estinel_assets.pids.figures import Figures, Totals
from estinel_assets.pids.kafka_source import RangeSource
from estinel_assets.pids.ranges import OffsetRange, range_of
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.waiting import Waiting, find_waiting
from estinel_assets.pids.watching import ConsumerWatch
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

log = get_logger(__name__)


class RangeWatch:
    """What became of the messages of a run. For one thread."""

    def __init__(self, configuration: PidConfiguration) -> None:
        """Begin to watch; the log gets a line now and then, as configured."""
        stats = configuration.stats
        self._log = ConsumerWatch(
            Figures(started_at=utc_now()),
            clock=utc_now,
            interval_s=stats.interval_seconds,
            every_messages=stats.summary_interval,
        )
        self.faults: dict[str, str] = {}
        """Reason of each message that ended with a fault, by its encoded key; also of the one at
        which a service was down."""
        self.done: list[OffsetRange] = []
        """Ranges that were worked through to their end."""
        self.stopped_by: Outcome | None = None
        """The message at which a run stopped before the end of its range."""

    def add(self, outcome: Outcome) -> None:
        """See `Watcher.add`."""
        self._log.add(outcome)
        if parse_reason(PidReason, outcome.reason).fault:
            self.faults[encode_key(outcome.key)] = outcome.reason

    def set_in_flight(self, messages: int) -> None:
        """See `Watcher.set_in_flight`."""
        self._log.set_in_flight(messages)

    def end(self, part: OffsetRange, consumed: Consumed) -> None:
        """A range has ended, one way or the other."""
        if consumed.ending is Ending.SOURCE_ENDED:
            self.done.append(part)
        if consumed.stopped_by is not None:
            self.stopped_by = consumed.stopped_by
            self.faults[encode_key(consumed.stopped_by.key)] = consumed.stopped_by.reason

    @property
    def figures(self) -> Figures:
        """See `Watcher.figures`."""
        return self._log.figures

    @property
    def totals(self) -> Totals:
        """The figures until now."""
        return self.figures.totals(utc_now())


@dataclass(frozen=True, slots=True)
class Registering:
    """Works through ranges of offsets, for one run."""

    settings: Settings
    configuration: PidConfiguration
    store: ObjectStore
    run_id: str

    @classmethod
    def open(cls, settings: Settings, store: ObjectStore, run_id: str) -> Self:
        """Read the configuration.

        Args:
            settings: name its file.
            store: takes outcomes.
            run_id: who does it.

        Raises:
            BadInputError: it cannot be used.
        """
        configuration = load_configuration(settings.pids)
        for warning in configuration.warnings:
            log.warning(warning)
        return cls(settings, configuration, store, run_id)

    def chosen(
        self, topic: str | None, partition: int | None, first: int | None, last: int | None
    ) -> Sequence[OffsetRange]:
        """What a run is to work through: the range that its config names, or what waits now.

        Args:
            topic: where it is given, the one of the configuration.
            partition: see `range_of`.
            first: see `range_of`.
            last: see `range_of`.

        Raises:
            BadInputError: the range or the configuration cannot be used.
            LeaseHeldError: a consumer works for the group.
            RetryableError: Kafka does not answer.
            PermanentError: Kafka refuses.
            StoreError: the store refuses.
        """
        known = self.configuration.consumer.topic
        if topic not in (None, known):
            raise BadInputError(
                f"the run is for the topic {topic}, and consumer.topic is {known}: ask for another "
                "run, or leave the topic out"
            )
        named = range_of(known, partition, first, last)
        waiting = find_waiting(self.configuration, self.store)
        if named is None:
            return waiting.ranges()
        _check_known(named, waiting)
        return [named]

    def run(self, ranges: Sequence[OffsetRange], watch: RangeWatch) -> None:
        """Work through ranges, one after the other, up to one that stops before its end.

        Args:
            ranges: each of a partition that nobody works on.
            watch: is told of everything, also where this raises.

        Raises:
            EstinelError: see `Consuming.run`.
        """
        consuming = Consuming(
            self.settings,
            self.configuration,
            self.store,
            owner=f"{DAGSTER} {self.run_id}",
            run_id=self.run_id,
        )
        for part in ranges:
            source = RangeSource(consuming.options(), part.at, part.first, part.last)
            consumed = consuming.run(source, watch, Event())
            watch.end(part, consumed)
            if consumed.uncommitted:
                raise RetryableError(
                    PidReason.KAFKA_UNAVAILABLE,
                    f"{part} is recorded and not committed, so that it comes again: "
                    f"{consumed.uncommitted}",
                )
            if watch.stopped_by is not None:
                return


def _check_known(part: OffsetRange, waiting: Waiting) -> None:
    """Raise where the topic has no such partition."""
    partitions = [one.at.partition for one in waiting.lags]
    if part.at.partition not in partitions:
        raise BadInputError(
            f"{part.at.topic} has no partition {part.at.partition}; choose one from 0 to "
            f"{max(partitions)}"
        )
