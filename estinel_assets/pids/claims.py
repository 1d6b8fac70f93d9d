"""Who works on a partition for a group: a lease in the store, whoever Kafka says owns it.

Kafka takes a partition from a consumer that was silent for too long, and gives it to another while
the first one may still be registering and recording. Dagster's runs are no members of the group at
all. So whoever works on a partition holds its lease, and stops where it is lost.
"""

from dataclasses import dataclass, field

from estinel_assets.errors import LeaseHeldError
from estinel_assets.outcomes.book import LEASE_FOLDER
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.storage.lease import Lease, Timing, lease_is_live, read_lease
from estinel_assets.storage.port import ObjectStore

CONSUMER = "estinel pids consume"
"""Begins the name of an owner that is a consumer of the group."""
DAGSTER = "Dagster run"
"""Begins the name of an owner that is a run of Dagster's."""


def claim_path(group: str, at: TopicPartition) -> str:
    """Where the lease of a group's partition stands."""
    return f"{LEASE_FOLDER}/pids/{encode_key((group, at.topic, str(at.partition)))}.json"


def holder(store: ObjectStore, group: str, at: TopicPartition) -> str | None:
    """Who works on a partition now; None for nobody.

    Raises:
        LeaseError: the object is no lease.
        StoreError: the store refuses.
    """
    path = claim_path(group, at)
    if not lease_is_live(store, path):
        return None
    record = read_lease(store, path)
    return None if record is None else record.owner


@dataclass(slots=True)
class PartitionClaims:
    """The leases that one worker holds for a group. For one thread."""

    store: ObjectStore
    group: str
    owner: str
    """Who works: `CONSUMER` or `DAGSTER`, and a name of its own."""
    ttl_s: float
    """A worker that is silent for this long counts as dead, in seconds."""
    _held: dict[TopicPartition, Lease] = field(default_factory=dict)

    def take(self, at: TopicPartition, *, wait_s: float) -> None:
        """Begin to work on a partition.

        Args:
            at: the partition.
            wait_s: how long to wait for another worker, in seconds.

        Raises:
            LeaseHeldError: another one works on it.
            LeaseError: the object is no lease.
            StoreError: the store refuses.
        """
        path = claim_path(self.group, at)
        try:
            lease = Lease.acquire(
                self.store, path, Timing(ttl_s=self.ttl_s), owner=self.owner, wait_s=wait_s
            )
        except LeaseHeldError as error:
            raise LeaseHeldError(
                f"partition {at.partition} of {at.topic} is worked on for the group {self.group} "
                f"already: {error}. Use either consumers or Dagster's sensor for a group"
            ) from error
        lease.keep()
        self._held[at] = lease

    def check(self, at: TopicPartition) -> None:
        """Make sure that a partition is still ours; asks no store.

        Raises:
            LeaseLostError: another worker took it over.
        """
        self._held[at].check()

    def release(self, at: TopicPartition) -> None:
        """End the work on a partition."""
        lease = self._held.pop(at, None)
        if lease is not None:
            lease.release()

    def release_all(self) -> None:
        """End all work."""
        for at in list(self._held):
            self.release(at)
