"""What the packed layout promises beyond the contract of all ledgers."""

from collections import Counter

import pytest

from estinel_assets.errors import StoreError
from estinel_assets.outcomes import packed_ledger
from estinel_assets.outcomes.ledger import Selection
from estinel_assets.outcomes.packed_ledger import PackedLedger, PackedRow
from estinel_assets.pids.batch_names import covers
from estinel_assets.storage.tables import read_table, write_table
from tests.support.outcomes import outcome
from tests.support.recording_store import RecordingStore

ROOT = "outcomes/cake"


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def ledger(store: RecordingStore) -> PackedLedger:
    return PackedLedger(store, "cake", ROOT, covers=covers)


def put(ledger: PackedLedger, name: str, *outcomes, leading=("t", "0")) -> tuple[str, ...]:
    return ledger.put_batch([PackedRow.of(one) for one in outcomes], (*leading, name))


def files(store: RecordingStore) -> set[str]:
    """The files, without their digests."""
    return {
        meta.path.removeprefix(f"{ROOT}/").rpartition("/")[0] for meta in store.store.list(ROOT)
    }


def units(*offsets: int, topic: str = "t", **more):
    return [outcome(topic, "0", str(offset), **more) for offset in offsets]


def test_a_batch_is_a_file_for_each_status_and_reason(store, ledger) -> None:
    written = put(ledger, "1-3", *units(1, 3), *units(2, reason="oven_cold"))

    assert files(store) == {
        "t/0/1-3/status=true/reason=none",
        "t/0/1-3/status=false/reason=oven_cold",
    }
    assert sorted(written) == sorted(meta.path for meta in store.store.list(ROOT))


def test_the_same_batch_again_is_the_same_files(store, ledger) -> None:
    first = put(ledger, "1-2", *units(1, 2))

    assert put(ledger, "1-2", *units(1, 2)) == first
    assert len(list(store.store.list(ROOT))) == 1


def test_a_replay_replaces_the_batch(store, ledger) -> None:
    put(ledger, "1-2", *units(1), *units(2, reason="oven_cold"))
    put(ledger, "1-2", *units(1, 2, minutes=1))

    assert files(store) == {"t/0/1-2/status=true/reason=none"}
    assert ledger.counts() == Counter({(True, "none"): 2})


def test_of_a_batch_nothing_is_lost_that_the_new_one_does_not_hold(store, ledger) -> None:
    put(ledger, "1-3", *units(1), *units(2, minutes=9, reason="oven_cold"), *units(3))
    put(ledger, "1-3", *units(1, 2, minutes=1))

    found = {entry.key[-1]: entry.reason for entry in ledger.entries()}
    assert found == {"1": "none", "2": "oven_cold", "3": "none"}


@pytest.mark.parametrize("refused", ["false/reason=oven_cold", "true/reason=none"])
def test_a_replay_that_breaks_off_loses_nothing(refused: str) -> None:
    class Breaking(RecordingStore):
        def put(self, path, data, *, content_type=None):
            if broken and f"status={refused}" in path:
                raise StoreError("no")
            return super().put(path, data, content_type=content_type)

    broken = False
    ledger = PackedLedger(Breaking(), "cake", ROOT, covers=covers)
    put(ledger, "1-2", *units(1), *units(2, reason="oven_cold"))
    broken = True

    with pytest.raises(StoreError):
        put(ledger, "1-2", *units(2, minutes=1), *units(1, minutes=1, reason="oven_cold"))

    assert {entry.key[-1] for entry in ledger.entries()} == {"1", "2"}


def test_of_two_records_of_a_key_in_one_batch_the_newest_is_stored(ledger) -> None:
    put(ledger, "1-1", *units(1, minutes=2, reason="oven_cold"), *units(1, minutes=1))

    assert [entry.reason for entry in ledger.entries()] == ["oven_cold"]


def test_only_batches_that_may_hold_a_key_are_read(store, ledger) -> None:
    put(ledger, "0-9", *units(0, 5, 9))
    put(ledger, "10-19", *units(10, 19))
    put(ledger, "10-10", *units(10, topic="u"), leading=("u", "0"))
    store.forget()

    assert ledger.get(("t", "0", "12")) is None
    assert [path.split("/")[4] for path in store.reads] == ["10-19"]
    store.forget()
    assert ledger.get(("t", "0", "5")).key == ("t", "0", "5")
    assert {path.split("/")[4] for path in store.reads} == {"0-9"}
    store.forget()
    assert [entry.key for entry in ledger.entries(Selection(under=("u",)))] == [("u", "0", "10")]
    assert {path.split("/")[2] for path in store.reads} == {"u"}


def test_the_records_of_many_keys_for_one_listing(store, ledger) -> None:
    put(ledger, "0-9", *units(*range(10)))
    put(ledger, "3-3", *units(3, minutes=1, reason="oven_cold"))
    keys = [("t", "0", "3"), ("t", "0", "4"), ("t", "0", "77")]

    found = ledger.records_of(keys)

    assert {key[-1]: one.reason for key, one in found.items()} == {"3": "oven_cold", "4": "none"}
    assert ledger.records_of([]) == {}


def test_counting_and_selecting_parse_no_record(store, ledger) -> None:
    paths = put(ledger, "0-9", *units(*range(9)), *units(9, reason="oven_cold"))
    for path in paths:
        table = read_table(store.store, path)
        index = table.schema.get_field_index("record")
        write_table(store.store, path, table.set_column(index, "record", [["{"] * len(table)]))

    assert ledger.counts() == {(True, "none"): 9, (False, "oven_cold"): 1}
    assert ledger.counts(Selection(status=False)) == {(False, "oven_cold"): 1}
    chosen = list(ledger.entries(Selection(reasons=frozenset({"oven_cold"}))))
    assert [entry.key[-1] for entry in chosen] == ["9"]


def test_a_batch_that_grows_between_listing_and_reading_loses_nobody_s_answer(ledger) -> None:
    narrow = put(ledger, "0-1", *units(0, 1))
    entries = list(ledger.entries())
    put(ledger, "0-2", *units(0, 1, 2))
    ledger.remove(narrow)

    assert [record.key[-1] for record in ledger.read(entries)] == ["0", "1"]


def test_a_batch_that_grows_while_it_is_read_is_found_under_its_new_name() -> None:
    class Growing(RecordingStore):
        def get(self, path: str):
            if "/0-1/" in path and not grown:
                grown.append(path)
                put(PackedLedger(self.store, "cake", ROOT), "0-2", *units(0, 1, 2))
                self.store.delete(path)
            return super().get(path)

    grown: list[str] = []
    ledger = PackedLedger(Growing(), "cake", ROOT, covers=covers)
    put(ledger, "0-1", *units(0, 1))

    assert [entry.key[-1] for entry in ledger.entries()] == ["0", "1", "2"]
    assert grown


def test_what_changed_meanwhile_is_left_out(ledger) -> None:
    narrow = put(ledger, "0-1", *units(0, 1))
    entries = list(ledger.entries())
    put(ledger, "0-2", *units(0), *units(1, minutes=1, reason="oven_cold"), *units(2))
    ledger.remove(narrow)

    assert [record.key[-1] for record in ledger.read(entries)] == ["0"]


def test_listings_that_never_hold_still_are_an_error() -> None:
    class Vanishing(RecordingStore):
        def list(self, prefix: str = ""):
            for meta in self.store.list(prefix):
                self.store.delete(meta.path)
                put(ledger, f"0-{len(self.reads) + 5}", *units(0))
                yield meta

    store = Vanishing()
    ledger = PackedLedger(store.store, "cake", ROOT)
    put(ledger, "0-1", *units(0))

    with pytest.raises(StoreError, match="changes faster than it can be read"):
        list(PackedLedger(store, "cake", ROOT).entries())


def test_more_than_is_remembered_is_read_in_any_order(ledger, monkeypatch) -> None:
    monkeypatch.setattr(packed_ledger, "_REMEMBERED_BYTES", 2000)
    monkeypatch.setattr(packed_ledger, "_WINDOW", 7)
    for start in range(0, 100, 10):
        put(ledger, f"{start}-{start + 9}", *units(*range(start, start + 10)))

    found = list(ledger.read(ledger.entries()))

    assert [record.key[-1] for record in found] == sorted(str(number) for number in range(100))


def test_keys_are_sorted_by_their_parts(ledger) -> None:
    ledger.put([outcome("a-b"), outcome("a", "z"), outcome("a"), outcome("a.b", "é")])

    keys = [entry.key for entry in ledger.entries()]

    assert keys == [("a",), ("a", "z"), ("a.b", "é"), ("a-b",)]


def test_runs_decide_by_name_wherever_they_were_met_first(ledger) -> None:
    put(ledger, "0-0", *units(0, run_id="m"))
    put(ledger, "0-1", *units(0, run_id="z", reason="oven_cold"), *units(1, run_id="a"))
    put(ledger, "0-2", *units(0, run_id="b"), *units(1, run_id="y", reason="too_flat"))

    found = {entry.key[-1]: entry.reason for entry in ledger.entries()}

    assert found == {"0": "oven_cold", "1": "too_flat"}
