"""What waits for a group, and who works on it: asked before a run of Dagster's begins."""

from collections.abc import Mapping
from dataclasses import dataclass

from estinel_assets.errors import BadInputError, LeaseHeldError
from estinel_assets.pids.claims import CONSUMER, holder
from estinel_assets.pids.configuration import PidConfiguration, kafka_options
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import PartitionLag, lag
from estinel_assets.pids.ranges import OffsetRange, next_ranges
from estinel_assets.storage.port import ObjectStore


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a group stands in its topic."""

    lags: tuple[PartitionLag, ...]
    holders: Mapping[TopicPartition, str]
    """Who works on a partition now; all of them are runs of Dagster's."""

    def ranges(self, busy: frozenset[TopicPartition] = frozenset()) -> list[OffsetRange]:
        """What is to be done next.

        Args:
            busy: partitions for which a run was asked for that has not begun.
        """
        return next_ranges(self.lags, {*busy, *self.holders})


def find_waiting(configuration: PidConfiguration, store: ObjectStore) -> Waiting:
    """Ask Kafka where the group stands, and the store who works on it.

    Args:
        configuration: names topic and group.
        store: where leases are.

    Raises:
        LeaseHeldError: a consumer works for the group.
        BadInputError: the configuration lacks something, or is for dry runs.
        RetryableError: Kafka does not answer.
        PermanentError: Kafka refuses.
        LeaseError: an object is no lease.
        StoreError: the store refuses.
    """
    check_complete(configuration)
    topic, group = configuration.consumer.topic, configuration.kafka.group_id
    lags = tuple(lag(kafka_options(configuration), topic))
    found = {one.at: holder(store, group, one.at) for one in lags}
    holders = {at: who for at, who in found.items() if who is not None}
    for at, who in holders.items():
        if who.startswith(CONSUMER):
            raise LeaseHeldError(
                f"{who} works on partition {at.partition} of {topic} for the group {group}: use "
                "either consumers or Dagster's sensor for a group"
            )
    return Waiting(lags, holders)


def check_complete(configuration: PidConfiguration) -> None:
    """Make sure that a run has all that it needs.

    Raises:
        BadInputError: the configuration lacks something, or is for dry runs.
    """
    refuse_dry(configuration)
    if missing := configuration.missing():
        raise BadInputError("; ".join(missing))


def refuse_dry(configuration: PidConfiguration) -> None:
    """Make sure that handles are really registered.

    Raises:
        BadInputError: the configuration is for dry runs.
    """
    if configuration.handle.is_dry:
        raise BadInputError(
            "handle.backend is jsonl, which makes every run a dry run, and those commit nothing: "
            "use `estinel pids consume --dry-run`, or set handle.backend to pyhandle"
        )
