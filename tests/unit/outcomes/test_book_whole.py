"""A product line of one partition: its index is checked against the listing at every use."""

import logging

import pytest

from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.outcomes.index import read_index
from tests.support.outcomes import CakeReason, outcome
from tests.support.recording_store import RecordingStore

WHOLE = ProductOutcomes("cake", CakeReason, partition_depth=0, contract_root="cakes")
INDEX = "outcome-index/cake.parquet"


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


def book(store: RecordingStore, spec: ProductOutcomes = WHOLE) -> OutcomeBook:
    return OutcomeBook(store, spec, prefix="outcomes", lease_ttl_s=30.0)


def reasons(store: RecordingStore) -> dict[str, str]:
    return {key[0]: row.reason for key, row in book(store).standing().items()}


def test_what_stands_is_what_the_ledger_lists(store: RecordingStore) -> None:
    ledger = book(store).ledger
    assert reasons(store) == {}
    assert store.writes == []
    ledger.put([outcome("a"), outcome("b", reason="oven_cold")])
    assert reasons(store) == {"a": "none", "b": "oven_cold"}
    ledger.put_one(outcome("b", minutes=1))
    assert reasons(store) == {"a": "none", "b": "none"}
    store.store.delete("cakes/a/status=true/reason=none/result.json")
    assert reasons(store) == {"b": "none"}
    assert set(read_index(store.store, INDEX) or {}) == {("b",)}
    assert book(store).index(()) == book(store).standing()


def test_only_changed_records_are_read(store: RecordingStore) -> None:
    ledger = book(store).ledger
    ledger.put([outcome(str(number)) for number in range(20)])
    reasons(store)
    store.forget()
    reasons(store)
    assert (store.reads, store.writes) == ([INDEX], [])
    ledger.put_one(outcome("7", minutes=1))
    store.forget()
    reasons(store)
    changed = "cakes/7/status=true/reason=none/result.json"
    assert (store.reads, store.writes) == ([INDEX, changed], [INDEX])


def test_a_damaged_index_is_made_anew(store: RecordingStore) -> None:
    book(store).ledger.put_one(outcome("a"))
    store.store.put(INDEX, b"damaged")
    assert reasons(store) == {"a": "none"}
    assert set(read_index(store.store, INDEX) or {}) == {("a",)}


def test_an_index_that_cannot_be_written_causes_a_warning_only(
    store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    book(store).ledger.put_one(outcome("a"))
    store.refused = INDEX
    with caplog.at_level(logging.WARNING):
        assert reasons(store) == {"a": "none"}
    assert f"{INDEX} is not written" in caplog.text
    assert read_index(store.store, INDEX) is None


def test_an_index_of_the_past_misleads_nobody(store: RecordingStore) -> None:
    ledger = book(store).ledger
    ledger.put([outcome("a"), outcome("b")])
    former = book(store).standing()
    ledger.put([outcome("a", reason="too_flat", minutes=1), outcome("c")])
    reasons(store)
    # A slow worker writes what it knew; the last writer wins.
    book(store).save_index(former.values())
    assert reasons(store) == {"a": "too_flat", "b": "none", "c": "none"}


def test_reindex_reads_every_record(store: RecordingStore) -> None:
    book(store).ledger.put([outcome("a"), outcome("b")])
    reasons(store)
    store.forget()
    assert book(store).reindex(()) == 2
    assert len(store.reads) == 2
    assert store.writes == [INDEX]


def test_such_a_partition_is_not_held(store: RecordingStore) -> None:
    with pytest.raises(RuntimeError, match="cake has partition depth 0"), book(store).open(()):
        pytest.fail("nothing is held here")
    assert not book(store).is_held(())
    several = book(store, ProductOutcomes("cake", CakeReason))
    with pytest.raises(RuntimeError, match="partition depth 1: `open`"):
        several.standing()
    with pytest.raises(RuntimeError, match="partition depth 1"):
        several.save_index([])


def test_many_records_and_one_change(store: RecordingStore) -> None:
    whole = book(store)
    rows = whole.standing()
    for number in range(2_000):
        whole.ledger.put_one(outcome(f"C{number}-CAKE"))
    whole.save_index(rows.values())
    whole.standing()
    whole.ledger.put_one(outcome("C1000-CAKE", reason="oven_cold", minutes=1))
    store.forget()
    rows = whole.standing()
    assert len(rows) == 2_000
    assert rows["C1000-CAKE",].reason == "oven_cold"
    assert store.reads == [INDEX, "cakes/C1000-CAKE/status=false/reason=oven_cold/result.json"]
