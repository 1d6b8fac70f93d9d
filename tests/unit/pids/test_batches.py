"""Batches of outcomes that grow."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import StoreError
from estinel_assets.outcomes.packed_ledger import PackedLedger
from estinel_assets.pids.batch_names import covers
from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.storage.opening import open_store
from tests.support.examples import examples
from tests.support.outcomes import outcome
from tests.support.recording_store import RecordingStore

ROOT = "outcomes/pids"
AT = TopicPartition("cmip6", 0)
OTHER = TopicPartition("cmip6", 1)


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


def ledger_of(store) -> PackedLedger:
    return PackedLedger(store, "pids", ROOT, covers=covers)


def units(*offsets: int, at: TopicPartition = AT, **more):
    return [outcome(at.topic, str(at.partition), str(offset), **more) for offset in offsets]


def names(store: RecordingStore) -> list[str]:
    """The names of the batches, sorted."""
    paths = (meta.path.removeprefix(f"{ROOT}/") for meta in store.store.list(ROOT))
    return sorted({path.split("/status=")[0] for path in paths})


def found(store) -> list[str]:
    return ["/".join(entry.key) for entry in ledger_of(store).entries()]


def test_the_last_batch_of_a_partition_grows(store) -> None:
    batches = OutcomeBatches(ledger_of(store), most=5)

    batches.add(AT, units(10, 11))
    assert names(store) == ["cmip6/0/10-11"]
    batches.add(AT, units(12, reason="oven_cold"))
    assert names(store) == ["cmip6/0/10-12"]
    batches.add(AT, units(13, 14))
    batches.add(AT, units(15))

    assert names(store) == ["cmip6/0/10-14", "cmip6/0/15-15"]
    assert ledger_of(store).counts() == {(True, "none"): 5, (False, "oven_cold"): 1}


def test_many_at_once_fill_batches(store) -> None:
    batches = OutcomeBatches(ledger_of(store), most=4)
    batches.add(AT, units(0))
    batches.add(AT, units(*range(1, 10)))
    assert names(store) == ["cmip6/0/0-3", "cmip6/0/4-7", "cmip6/0/8-9"]
    assert len(found(store)) == 10


def test_offsets_may_have_gaps(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    batches.add(AT, units(3, 7))
    batches.add(AT, units(90))
    assert names(store) == ["cmip6/0/3-90"]
    assert len(found(store)) == 3


def test_a_batch_is_full_by_its_bytes_too(store) -> None:
    batches = OutcomeBatches(ledger_of(store), most_bytes=5000)
    batches.add(AT, units(0, 1, detail={"message": "x" * 3000}))
    batches.add(AT, units(2, detail={"message": "x" * 9000}))
    assert names(store) == ["cmip6/0/0-1", "cmip6/0/2-2"]


def test_partitions_have_batches_of_their_own(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    batches.add(AT, units(0))
    batches.add(OTHER, units(7, at=OTHER))
    batches.add(AT, units(1))
    assert names(store) == ["cmip6/0/0-1", "cmip6/1/7-7"]


def test_a_partition_that_comes_back_begins_a_new_batch(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    batches.add(AT, units(0, 1))
    batches.forget(AT)
    batches.add(AT, units(5, 6))
    assert names(store) == ["cmip6/0/0-1", "cmip6/0/5-6"]
    batches.forget(OTHER)


def test_a_replay_replaces_or_stands_beside_and_the_newest_counts(store) -> None:
    OutcomeBatches(ledger_of(store)).add(AT, units(0, 1, 2, reason="oven_cold"))
    batches = OutcomeBatches(ledger_of(store))

    batches.add(AT, units(0, 1, minutes=1))
    assert names(store) == ["cmip6/0/0-1", "cmip6/0/0-2"]
    assert ledger_of(store).counts() == {(True, "none"): 2, (False, "oven_cold"): 1}
    batches.add(AT, units(2, minutes=1))
    assert names(store) == ["cmip6/0/0-2"]
    assert ledger_of(store).counts() == {(True, "none"): 3}


def test_what_comes_again_begins_a_new_batch(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    batches.add(AT, units(0, 1, 2, reason="oven_cold"))
    batches.add(AT, units(2, 3, minutes=1))
    assert names(store) == ["cmip6/0/0-2", "cmip6/0/2-3"]
    assert ledger_of(store).counts() == {(True, "none"): 2, (False, "oven_cold"): 2}


def test_what_was_refused_is_added_again(store) -> None:
    class Refusing(RecordingStore):
        def put(self, path, data, *, content_type=None):
            if refusing and "status=true" in path:
                raise StoreError("no room")
            return super().put(path, data, content_type=content_type)

    store, refusing = Refusing(), False
    batches = OutcomeBatches(ledger_of(store))
    batches.add(AT, units(0, 1))
    refusing = True
    more = [*units(2, reason="oven_cold"), *units(3)]
    with pytest.raises(StoreError):
        batches.add(AT, more)
    assert "cmip6/0/0" in found(store)

    refusing = False
    batches.add(AT, more)
    batches.add(AT, units(4))

    assert len(found(store)) == 5
    assert "cmip6/0/0-4" in names(store)
    assert "cmip6/0/0-1" not in names(store)


def test_a_former_file_that_cannot_be_deleted_is_deleted_later(caplog) -> None:
    class Keeping(RecordingStore):
        def delete_many(self, paths):
            if keeping:
                raise StoreError("not now")
            self.store.delete_many(paths)

    store, keeping = Keeping(), True
    batches = OutcomeBatches(ledger_of(store))
    with caplog.at_level(logging.WARNING):
        batches.add(AT, units(0))
        batches.add(AT, units(1))
    assert names(store) == ["cmip6/0/0-0", "cmip6/0/0-1"]
    assert len(found(store)) == 2
    assert "stay for now: not now" in caplog.text

    keeping = False
    batches.add(AT, units(2))
    assert names(store) == ["cmip6/0/0-2"]


def test_outcomes_of_another_partition_or_in_no_order_are_refused(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    with pytest.raises(ValueError, match="does not belong to"):
        batches.add(AT, units(0, at=OTHER))
    with pytest.raises(ValueError, match="not in the order"):
        batches.add(AT, units(2, 1))
    with pytest.raises(ValueError, match="neither topic, partition and offset nor"):
        batches.add(AT, [outcome("files", "abc")])
    assert names(store) == []
    batches.add(AT, [])


def test_retried_messages_never_share_a_batch_with_others(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    failed = {"reason": "oven_cold"}
    batches.add(AT, units(0, 1, 2, **failed))
    batches.add_retried(
        [
            *units(2, 0, minutes=1),
            *units(5, at=OTHER, minutes=1),
            outcome("files", "abc", minutes=1),
            outcome("files", "0", "5", minutes=1),
        ],
        "run-1",
    )
    batches.add(AT, units(3, **failed))

    assert [name.split("-retried")[0].split("retried-")[0] for name in names(store)] == [
        "cmip6/0/0-2/",
        "cmip6/0/0-3",
        "cmip6/1/5-5/",
        "files/0/5-5/",
        "files/",
    ]
    assert ledger_of(store).counts() == {(True, "none"): 5, (False, "oven_cold"): 2}
    for key in (("files", "abc"), ("files", "0", "5"), ("cmip6", "0", "2")):
        assert ledger_of(store).get(key).status


def test_each_call_for_retried_ones_has_its_batch(store) -> None:
    batches = OutcomeBatches(ledger_of(store))
    batches.add_retried(units(0, 9), "run-1")
    batches.add_retried(units(0, 4, 9, minutes=1), "run-1")
    batches.add_retried(units(0, 9, minutes=2, reason="oven_cold"), "run-2")
    assert len(names(store)) == 3
    assert ledger_of(store).counts() == {(True, "none"): 1, (False, "oven_cold"): 2}
    with pytest.raises(ValueError, match="nor a message of a file"):
        batches.add_retried([outcome("cmip6", "x", "y")], "run-1")


@examples(15)
@given(
    st.lists(st.tuples(st.sampled_from([AT, OTHER]), st.integers(1, 7)), max_size=6),
    st.integers(1, 6),
    st.data(),
)
def test_whatever_happens_every_outcome_is_found_once(steps, most: int, data) -> None:
    store = open_store("memory://")
    following = {AT: 0, OTHER: 100}
    batches = OutcomeBatches(ledger_of(store), most=most)
    expected = {}
    for minute, (at, number) in enumerate(steps):
        offsets = range(following[at], following[at] + number)
        reason = data.draw(st.sampled_from(["none", "oven_cold"]))
        outcomes = units(*offsets, at=at, minutes=minute, reason=reason)
        batches.add(at, outcomes)
        expected |= {one.key: reason for one in outcomes}
        event = data.draw(st.sampled_from(["commit", "replay", "revoke", "crash"]))
        if event != "replay":
            following[at] = offsets[-1] + 1
        if event == "revoke":
            batches.forget(at)
        if event == "crash":
            batches = OutcomeBatches(ledger_of(store), most=most)

    assert {entry.key: entry.reason for entry in ledger_of(store).entries()} == expected
    records = {one.key: one.reason for one in ledger_of(store).read(ledger_of(store).entries())}
    assert records == expected
