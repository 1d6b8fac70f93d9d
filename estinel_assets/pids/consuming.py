"""Consuming, the one way for the command line and for Dagster: preflight, then the consumer."""

from dataclasses import dataclass, replace
from functools import partial
from threading import Event

from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.configuration import PidConfiguration, kafka_options
from estinel_assets.pids.consumer import Consumed, Consumer
from estinel_assets.pids.figures import TimedHandles
from estinel_assets.pids.incoming import MessageSource
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.kafka_lag import probe
from estinel_assets.pids.opening import (
    limits_of,
    open_book,
    open_claims,
    opened_services,
    opened_work,
    run_of,
)
from estinel_assets.pids.preflight import preflight
from estinel_assets.pids.recorder import NoRecorder, OutcomeRecorder, Recorder
from estinel_assets.pids.watching import Watcher
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

DRY_RUN = "dry-run"
"""Ends the name of a dry run's group: it takes no partition from anybody, and commits nothing."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """How messages are consumed."""

    settings: Settings
    configuration: PidConfiguration
    store: ObjectStore
    owner: str
    """Who does it: `claims.CONSUMER` or `claims.DAGSTER`, and a name of its own."""
    run_id: str
    dry_run: bool = False
    """Write records to files, and call and record nothing else."""
    dump: bool = False
    """Keep all messages, in their outcomes and in the files of dumps."""
    force: bool = False
    """Go on where a service is down, and record its messages as skipped."""
    max_messages: int | None = None
    """Messages to take; None for any number."""

    @property
    def is_dry(self) -> bool:
        """Whether nothing is called and recorded, as asked for or as configured."""
        return self.dry_run or self.configuration.handle.is_dry

    def options(self) -> dict[str, str | int | float | bool]:
        """The options for Kafka."""
        options = dict(kafka_options(self.configuration))
        if self.is_dry:
            options["group.id"] = f"{options['group.id']}-{DRY_RUN}"
        return options

    def run(self, source: MessageSource, watcher: Watcher, stop: Event) -> Consumed:
        """Consume until the source or a limit ends it, or until it is asked to stop.

        Args:
            source: of the messages, not yet open.
            watcher: told of what is recorded.
            stop: when set, what is in work is ended, recorded and committed.

        Raises:
            RetryableError: Kafka or a service cannot be reached.
            PermanentError: Kafka or a service refuses.
            LeaseError: another worker has a partition, and does not give it up.
            StoreError: outcomes cannot be kept.
            BadInputError: the configuration or a folder cannot be used.
        """
        at = self.configuration
        recorder: Recorder = NoRecorder()
        if not self.is_dry:
            recorder = OutcomeRecorder(
                OutcomeBatches(open_book(self.settings, self.store).packed),
                JsonlFiles(at.consumer.output_dir, dump=self.dump),
            )
        with (
            opened_services(at, dry_run=self.is_dry) as services,
            opened_work(
                at,
                replace(services, handles=TimedHandles(services.handles, watcher.figures)),
                run_of(self.run_id),
                keep_all=self.dump,
            ) as work,
        ):
            preflight(
                services.handles,
                services.items if at.consumer.transient.preflight_stac else None,
                partial(probe, self.options(), at.consumer.topic),
            )
            return Consumer(
                source,
                work.outcome,
                recorder,
                claims=None
                if self.is_dry
                else open_claims(at, self.settings, self.store, self.owner),
                # A dry run asks no service, so that none is down: what needs one is passed over.
                limits=limits_of(
                    at, force=self.force or self.is_dry, max_messages=self.max_messages
                ),
                watcher=watcher,
                stop=stop,
                commits=not self.is_dry,
            ).run()
