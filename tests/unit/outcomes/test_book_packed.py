"""A product line whose outcomes are packed: a ledger, and neither partitions nor an index."""

from collections import Counter
from collections.abc import Callable

import pytest

from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.outcomes.ledger import Selection
from estinel_assets.outcomes.packed_ledger import PackedLedger
from estinel_assets.storage.opening import open_store
from tests.support.outcomes import CakeReason, outcome

PACKED = ProductOutcomes("cake", CakeReason, partition_depth=0, packed=True)
SINGLE = ProductOutcomes("cake", CakeReason, partition_depth=0)


def book(spec: ProductOutcomes) -> OutcomeBook:
    return OutcomeBook(open_store("memory://"), spec, prefix="outcomes", lease_ttl_s=30.0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda packed: packed.standing(),
        lambda packed: packed.index(()),
        lambda packed: packed.reindex(()),
        lambda packed: packed.save_index([]),
        lambda packed: packed.open(("a",)).__enter__(),
        lambda packed: packed.objects,
    ],
)
def test_what_needs_an_object_a_key_says_so(ask: Callable[[OutcomeBook], object]) -> None:
    with pytest.raises(RuntimeError, match="cake packs its outcomes in batches"):
        ask(book(PACKED))


def test_a_ledger_is_there_whatever_the_layout() -> None:
    assert isinstance(book(PACKED).ledger, PackedLedger)
    single = book(SINGLE)
    assert single.ledger is single.objects
    with pytest.raises(RuntimeError, match="use `objects`"):
        _ = single.packed
    assert not book(PACKED).is_held(("a",))
    assert book(PACKED).ledger.root == "outcomes/cake"


@pytest.mark.parametrize("spec", [PACKED, SINGLE], ids=["packed", "single"])
def test_counts_and_records_of_keys(spec: ProductOutcomes) -> None:
    one = book(spec)
    one.ledger.put([outcome("a"), outcome("b"), outcome("c", reason="oven_cold")])

    assert one.counts() == Counter({(True, "none"): 2, (False, "oven_cold"): 1})
    assert one.counts(Selection(status=False)) == Counter({(False, "oven_cold"): 1})
    assert one.counts(Selection(under=("b",))) == Counter({(True, "none"): 1})
    found = one.records_of([("c",), ("a",), ("z",)])
    assert {key: record.reason for key, record in found.items()} == {
        ("a",): "none",
        ("c",): "oven_cold",
    }


def test_other_words_have_no_meaning_there() -> None:
    for wrong in ({"partition_depth": 1}, {"field_name": "scenes"}, {"contract_root": "cakes"}):
        with pytest.raises(ValueError, match="cake packs its outcomes"):
            ProductOutcomes("cake", CakeReason, **{"partition_depth": 0, "packed": True, **wrong})
