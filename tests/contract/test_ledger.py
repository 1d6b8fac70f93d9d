"""What every ledger promises, whatever its layout and wherever it is kept."""

from dataclasses import replace
from datetime import timedelta
from time import sleep

import pytest

from estinel_assets.outcomes.ledger import Selection
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.outcomes.packed_ledger import PackedLedger
from estinel_assets.pids.batch_names import covers
from estinel_assets.storage.opening import open_store
from tests.support.outcomes import outcome

TICK_S = 0.02
"""After so long, a file system gives another time of modification."""


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    return open_store("memory://" if request.param == "memory" else f"file://{tmp_path}/store")


@pytest.fixture(params=["object", "object with field", "packed", "packed by offsets"])
def ledger(request, store):
    if request.param == "packed by offsets":
        return PackedLedger(store, "cake", "outcomes/cake", covers=covers)
    if request.param == "packed":
        return PackedLedger(store, "cake", "outcomes/cake")
    field_name = "scenes" if request.param == "object with field" else None
    return ObjectLedger(store, "cake", "outcomes/cake", field_name=field_name)


def keys(ledger, selection):
    return [entry.key for entry in ledger.entries(selection)]


def test_an_empty_ledger_answers(ledger):
    assert ledger.get(("a",)) is None
    assert list(ledger.entries()) == []
    assert list(ledger.read([])) == []


def test_a_record_comes_back_whole(ledger):
    record = outcome("a b/c", "2024-12-04", outputs=("s3://b/x.tif",), detail={"f": [0.5, None]})

    ledger.put([record])

    assert ledger.get(record.key) == record
    assert list(ledger.read(ledger.entries())) == [record]


def test_entries_are_selected_and_sorted(ledger):
    ledger.put(
        [
            outcome("b", "2"),
            outcome("a", "2", reason="oven_cold"),
            outcome("a", "1"),
            outcome("ab", "1", reason="too_flat"),
        ]
    )

    assert keys(ledger, Selection()) == [("a", "1"), ("a", "2"), ("ab", "1"), ("b", "2")]
    assert keys(ledger, Selection(under=("a",))) == [("a", "1"), ("a", "2")]
    assert keys(ledger, Selection(under=("a", "2"))) == [("a", "2")]
    assert keys(ledger, Selection(status=False)) == [("a", "2"), ("ab", "1")]
    assert keys(ledger, Selection(reasons=frozenset({"too_flat"}))) == [("ab", "1")]
    assert keys(ledger, Selection(status=True, reasons=frozenset({"too_flat"}))) == []


def test_a_new_record_replaces_the_former(ledger):
    ledger.put([outcome("a", reason="oven_cold")])
    ledger.put([outcome("a", minutes=1, inputs="new")])

    entries = list(ledger.entries())

    assert [(entry.status, entry.reason) for entry in entries] == [(True, "none")]
    assert [record.inputs for record in ledger.read(entries)] == ["new"]


def test_entries_tell_which_record_is_older(ledger):
    ledger.put([outcome("b")])
    sleep(TICK_S)
    ledger.put([outcome("a", minutes=1)])
    assert_older(ledger, "b", "a")

    # The same outcome, once more.
    sleep(TICK_S)
    ledger.put([outcome("b", minutes=2)])
    assert_older(ledger, "a", "b")


def assert_older(ledger, former, latter):
    times = {entry.key[0]: entry.modified_at for entry in ledger.entries()}
    assert all(time.utcoffset() == timedelta(0) for time in times.values())
    assert times[former] < times[latter]


def test_an_entry_is_the_same_whoever_tells_its_time(ledger):
    ledger.put([outcome("a")])
    (entry,) = ledger.entries()

    assert entry == replace(entry, modified_at=None)
    assert list(ledger.read([replace(entry, modified_at=None)])) == [outcome("a")]


def test_an_older_record_never_wins(ledger):
    ledger.put([outcome("a", minutes=5, run_id="late")])
    ledger.put([outcome("a", minutes=1, run_id="early", reason="oven_cold")])

    assert ledger.get(("a",)).run_id == "late"
    assert [(entry.status, entry.reason) for entry in ledger.entries()] == [(True, "none")]


def test_run_ids_decide_between_equal_times(ledger):
    ledger.put([outcome("a", run_id="b", reason="too_flat")])
    ledger.put([outcome("a", run_id="a")])

    assert ledger.get(("a",)).run_id == "b"
    assert [entry.reason for entry in ledger.entries()] == ["too_flat"]


def test_a_selection_looks_at_the_newest_record_only(ledger):
    ledger.put([outcome("a", minutes=5)])
    ledger.put([outcome("a", minutes=1, reason="oven_cold")])

    assert keys(ledger, Selection(reasons=frozenset({"oven_cold"}))) == []


def test_a_key_is_no_prefix_of_another(ledger):
    ledger.put([outcome("a"), outcome("a", "b", reason="oven_cold")])

    assert ledger.get(("a",)).status
    assert not ledger.get(("a", "b")).status


def test_an_entry_that_was_replaced_is_left_out(ledger, store):
    ledger.put([outcome("a"), outcome("b")])
    entries = list(ledger.entries())
    for entry in entries[:1]:
        store.delete(entry.path)

    assert {record.key for record in ledger.read(entries)} <= {("b",)}


def test_very_many_are_read_in_the_order_asked_for(ledger, store):
    ledger.put([outcome(f"{number:04d}") for number in range(150)])
    entries = list(ledger.entries())[::-1]

    assert [record.key for record in ledger.read(entries)] == [entry.key for entry in entries]

    if isinstance(ledger, ObjectLedger):
        gone = {entry.key for entry in entries[::7]}
        for entry in entries[::7]:
            store.delete(entry.path)
        left = [entry.key for entry in entries if entry.key not in gone]
        assert [record.key for record in ledger.read(entries)] == left
