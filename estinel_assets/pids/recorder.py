"""Recording what became of messages: durable when it returns, so that offsets can be committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.jsonl_files import JsonlFiles


class Recorder(Protocol):
    """Where the outcomes of a consumer go."""

    def record(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
        """Keep the outcomes of messages of one partition, in the order of their offsets.

        Raises:
            StoreError: they are not kept, or not all.
            BadInputError: a folder cannot be written to.
        """

    def record_unfinished(self, at: TopicPartition, outcome: Outcome) -> None:
        """Keep why a message could not be finished, which will come again."""

    def forget(self, at: TopicPartition) -> None:
        """A partition is no longer ours."""


@dataclass(frozen=True, slots=True)
class OutcomeRecorder:
    """Outcomes in the ledger, and then the files that are written from them."""

    batches: OutcomeBatches
    files: JsonlFiles

    def record(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
        """See `Recorder.record`."""
        self.batches.add(at, outcomes)
        self.files.write(outcomes)

    def record_unfinished(self, at: TopicPartition, outcome: Outcome) -> None:
        """See `Recorder.record_unfinished`."""
        self.batches.add(at, [outcome])

    def forget(self, at: TopicPartition) -> None:
        """See `Recorder.forget`."""
        self.batches.forget(at)


class NoRecorder:
    """For a dry run: nothing is kept."""

    def record(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
        """Nothing."""

    def record_unfinished(self, at: TopicPartition, outcome: Outcome) -> None:
        """Nothing."""

    def forget(self, at: TopicPartition) -> None:
        """Nothing."""
