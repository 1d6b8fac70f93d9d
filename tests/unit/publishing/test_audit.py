"""The audit: finds every disagreement between the targets, and removes what nothing refers to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.publishing.audit import Finding, Found, audit, repair
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.ports import Change, IndexedDocument
from tests.support.publishing import Fault, Made, Mode, World, faulty, made_item, memory_world
from tests.support.watched_store import Crash, bury


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with memory_world(tmp_path) as made:
        content = Made(
            tmp_path,
            objects={"a.tif": b"pixels"},
            documents={"a": {}},
            collections={"one": {}},
            items={("one", "a"): {}},
        )
        made.publisher().publish(content, "p", Policy.FAIL)
        yield made


def test_a_world_in_order_has_no_findings(world: World) -> None:
    report = audit(world.targets())
    assert report.findings == []
    assert (report.publications, report.objects, report.documents, report.items) == (1, 1, 1, 1)


def test_what_vanished_is_found_and_publishing_again_is_the_remedy(world: World) -> None:
    world.objects.delete("products/one/a.tif")
    stands = world.index.get(["a"])
    world.index.apply([Change("a", stands["a"].digest, None)])
    world.stac.delete_items("one", ["a"])
    report = audit(world.targets())
    assert report.counts() == {
        Found.MISSING_OBJECT: 1, Found.MISSING_DOCUMENT: 1, Found.MISSING_ITEM: 1
    }  # fmt: skip
    assert repair(world.targets(), report.findings, owner="a test") == {}
    assert all("remove the publication" in finding.remedy for finding in report.findings)


def test_what_was_changed_is_found(world: World) -> None:
    world.objects.put("products/one/a.tif", b"other pixels")
    stands = world.index.get(["a"])["a"]
    other = IndexedDocument("a", "p", "another", stands.document)
    world.index.apply([Change("a", stands.digest, other)])
    (item,) = world.stac.items("one", ["a"]).values()
    item["properties"]["estinel:digest"] = "another"
    world.stac.replace_items("one", [item])
    assert audit(world.targets()).counts() == {
        Found.CHANGED_OBJECT: 1, Found.CHANGED_DOCUMENT: 1, Found.CHANGED_ITEM: 1
    }  # fmt: skip


def test_what_nothing_refers_to_is_found_and_removed(world: World) -> None:
    before = world.snapshot()
    world.objects.put("products/one/stray.tif", b"left behind")
    stray = IndexedDocument("stray", "gone", "d", {"id": "stray"})
    world.index.apply([Change("stray", None, stray)])
    item = made_item("one", "stray", **{"estinel:publication": "gone"})
    world.stac.create_items("one", [item])
    foreign = made_item("one", "of-others")
    world.stac.create_items("one", [foreign])
    report = audit(world.targets())
    assert report.counts() == {
        Found.STRAY_OBJECT: 1, Found.STRAY_DOCUMENT: 1, Found.STRAY_ITEM: 1
    }  # fmt: skip
    went = repair(world.targets(), report.findings, owner="a test")
    assert list(went.values()) == [None, None, None]
    assert audit(world.targets()).findings == []
    assert world.stac.items("one", ["of-others"]) == {"of-others": foreign}
    world.stac.delete_items("one", ["of-others"])
    assert world.snapshot() == before


def test_an_open_transaction_is_named_and_left_to_recover(world: World, tmp_path: Path) -> None:
    content = Made(tmp_path, objects={"b.tif": b"b"}, documents={"b": {}}, place="products/two")
    dead = faulty(world, Fault(0, mode=Mode.DEAD, only="apply"))
    with pytest.raises(Crash):
        world.publisher(dead).publish(content, "q", Policy.FAIL)
    (finding,) = audit(world.targets()).findings
    assert (finding.found, finding.publication) == (Found.OPEN_JOURNAL, "q")
    assert finding.remedy == "estinel publish recover q"
    assert not finding.repairable
    bury(world.journal)
    world.publisher().recover("q")
    assert audit(world.targets()).findings == []


def test_a_prefix_that_nobody_uses_is_given_up(world: World, tmp_path: Path) -> None:
    from estinel_assets.publishing.claims import take_claim
    from estinel_assets.publishing.model import Place
    from tests.support.publishing import AT

    address = world.objects.uri("products/old")
    take_claim(world.journal, Place(AT, "products/old"), address, publication="gone", txn="t")
    report = audit(world.targets())
    assert report.counts() == {Found.STRAY_CLAIM: 1}
    assert list(repair(world.targets(), report.findings, owner="a test").values()) == [None]
    content = Made(tmp_path, objects={"b.tif": b"b"}, place="products/old")
    world.publisher().publish(content, "q", Policy.FAIL)
    assert audit(world.targets()).findings == []


def test_what_belongs_to_a_publication_by_now_stays(world: World) -> None:
    stands = world.snapshot()
    late = Finding(Found.STRAY_ITEM, "p", "one/a", collection="one")
    went = repair(world.targets(), [late], owner="a test")
    assert went == {late: "it belongs to the publication by now"}
    assert world.snapshot() == stands
