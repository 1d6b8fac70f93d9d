"""The lease of a group's partition."""

import pytest

from estinel_assets.errors import LeaseHeldError, LeaseLostError
from estinel_assets.pids.claims import CONSUMER, DAGSTER, PartitionClaims, claim_path, holder
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore

AT = TopicPartition("CMIP6/odd", 3)


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory://")


def claims(store: ObjectStore, owner: str, group: str = "group") -> PartitionClaims:
    return PartitionClaims(store, group, owner, 30)


def test_one_worker_has_a_partition_of_a_group(store: ObjectStore) -> None:
    ours = claims(store, f"{CONSUMER} a")
    ours.take(AT, wait_s=0)
    ours.check(AT)
    assert holder(store, "group", AT) == f"{CONSUMER} a"
    with pytest.raises(LeaseHeldError, match=r"partition 3 of CMIP6/odd.*group group.*consumers"):
        claims(store, f"{DAGSTER} b").take(AT, wait_s=0)


def test_other_groups_and_partitions_are_free(store: ObjectStore) -> None:
    ours = claims(store, CONSUMER)
    ours.take(AT, wait_s=0)
    claims(store, CONSUMER, "another").take(AT, wait_s=0)
    claims(store, CONSUMER).take(TopicPartition(AT.topic, 4), wait_s=0)
    assert holder(store, "third", AT) is None


def test_who_has_released_has_it_no_more(store: ObjectStore) -> None:
    ours = claims(store, CONSUMER)
    ours.take(AT, wait_s=0)
    ours.release_all()
    assert holder(store, "group", AT) is None
    others = claims(store, DAGSTER)
    others.take(AT, wait_s=0)
    others.check(AT)
    ours.release(AT)
    assert holder(store, "group", AT) == DAGSTER


def test_a_lease_that_is_gone_is_noticed(store: ObjectStore) -> None:
    ours = claims(store, CONSUMER)
    ours.take(AT, wait_s=0)
    store.delete(claim_path("group", AT))
    with pytest.raises(LeaseLostError):
        ours._held[AT].renew()
    with pytest.raises(LeaseLostError):
        ours.check(AT)
