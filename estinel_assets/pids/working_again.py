"""Working on messages once more that failed before, wherever they were kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.configuration import PidConfiguration
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.message_work import as_skipped, is_transient
from estinel_assets.pids.opening import open_book, opened_services, opened_work, run_of
from estinel_assets.pids.ordered_pool import OrderedPool
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

_AT_ONCE = 500
"""Messages that are recorded together."""
_BYTES_AT_ONCE = 64 * 1024 * 1024
"""No further one joins them once they have so many bytes."""
_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class WorkingAgain:
    """Works on messages that are not taken from Kafka, and records how they end."""

    work: Callable[[IncomingMessage], Outcome]
    record: Callable[[Sequence[Outcome]], None]
    """Keeps outcomes."""
    threads: int
    """Messages in work at once."""
    stop_on_skip: bool = True
    """Stop where a service is down; else record the message as skipped, and go on."""

    def run(self, messages: Iterable[IncomingMessage]) -> Iterator[list[Outcome]]:
        """Work on messages; those with one key in their order.

        Args:
            messages: each with the number of its retries, this one included.

        Yields:
            Outcomes that are recorded. After one that says that a service is down, no further
            message is begun, where that is to stop the work.

        Raises:
            StoreError: outcomes cannot be kept.
            BadInputError: a folder cannot be written to.
        """
        rest = iter(messages)
        with closing(OrderedPool(self.work, threads=self.threads, name="pids")) as pool:
            while some := list(_some(rest)):
                for message in some:
                    pool.submit(message, message.key or message.unit)
                ended = self._ended(pool)
                self.record(ended)
                yield ended
                if any(map(self.is_stopped_by, ended)):
                    return

    def _ended(self, pool: OrderedPool[IncomingMessage, Outcome]) -> list[Outcome]:
        """What comes of all that were given."""
        outcomes: list[Outcome] = []
        while pool.open:
            for one in pool.take(_WAIT_S):
                if one.error is not None:
                    raise one.error
                if one.result is not None:
                    outcomes.append(self._judged(one.result, pool))
        return outcomes

    def _judged(self, outcome: Outcome, pool: OrderedPool[IncomingMessage, Outcome]) -> Outcome:
        if not is_transient(outcome):
            return outcome
        if self.stop_on_skip:
            pool.drop_waiting()
            return outcome
        return as_skipped(outcome)

    def is_stopped_by(self, outcome: Outcome) -> bool:
        """Whether an outcome ends the work: a service is down."""
        return self.stop_on_skip and is_transient(outcome)


def _some(rest: Iterator[IncomingMessage]) -> Iterator[IncomingMessage]:
    """The next messages that are recorded together."""
    held_bytes = 0
    for message in islice(rest, _AT_ONCE):
        yield message
        held_bytes += len(message.body or b"")
        if held_bytes >= _BYTES_AT_ONCE:
            return


@contextmanager
def opened_again(
    settings: Settings,
    configuration: PidConfiguration,
    store: ObjectStore | None,
    run_id: str,
    *,
    force: bool = False,
) -> Iterator[WorkingAgain]:
    """Everything that works on messages again, closed at the end.

    Args:
        settings: all of them.
        configuration: says where the services are.
        store: takes the outcomes; None for a dry run, which asks no service and records nothing.
        run_id: who does it.
        force: go on where a service is down, whatever the configuration says.

    Raises:
        BadInputError: the configuration cannot be used.
    """
    dry_run = store is None
    consumer = configuration.consumer
    # A dry run asks no service, so that none is down: what needs one is passed over.
    stop_on_skip = consumer.transient.stop_on_skip and not (force or dry_run)
    record: Callable[[Sequence[Outcome]], None] = _not_recorded
    if store is not None:
        batches = OutcomeBatches(open_book(settings, store).packed)
        files = JsonlFiles(consumer.output_dir)
        record = record_again(batches, files, run_id, stop_on_skip=stop_on_skip)
    with (
        opened_services(configuration, dry_run=dry_run) as services,
        opened_work(configuration, services, run_of(run_id)) as work,
    ):
        yield WorkingAgain(
            work.outcome, record, threads=consumer.in_flight, stop_on_skip=stop_on_skip
        )


def _not_recorded(outcomes: Sequence[Outcome]) -> None:
    """In a dry run nothing is kept."""


def record_again(
    batches: OutcomeBatches, files: JsonlFiles, run_id: str, *, stop_on_skip: bool
) -> Callable[[Sequence[Outcome]], None]:
    """Keep outcomes in the ledger, and then in the files that are written from them.

    Args:
        batches: of the ledger.
        files: of failures and skipped messages.
        run_id: who tries again.
        stop_on_skip: a message whose service is down stays where it was kept; else it is skipped.
    """

    def record(outcomes: Sequence[Outcome]) -> None:
        batches.add_retried(outcomes, run_id)
        files.write(one for one in outcomes if not (stop_on_skip and is_transient(one)))

    return record
