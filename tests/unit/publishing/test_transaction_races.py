"""Workers that are suspended, late or taken over, and others who write at the same places."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

import pytest

from estinel_assets.publishing.audit import audit
from estinel_assets.publishing.ending import Action, PublicationError
from estinel_assets.publishing.layout import lease_path
from estinel_assets.publishing.model import JsonObject, Policy
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.reasons import PublishingReason
from tests.support.publishing import (
    Fault,
    Made,
    Mode,
    World,
    faulty,
    made_item,
    memory_world,
    new_content,
    old_content,
)
from tests.support.watched_store import WatchedStore, Write, bury


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with memory_world(tmp_path) as made:
        yield made


@pytest.fixture
def old(tmp_path: Path) -> Made:
    return old_content(tmp_path)


@pytest.fixture
def new(tmp_path: Path) -> Made:
    return new_content(tmp_path)


def _once_before(
    world: World, matches: Callable[[Write], bool], meanwhile: Callable[[], object]
) -> Targets:
    """Targets whose user, all its threads, is suspended before a write, and something happens."""
    happened: list[Write] = []
    suspended = RLock()  # what happens may write itself

    def before(write: Write) -> None:
        with suspended:
            if not happened and matches(write):
                happened.append(write)
                meanwhile()

    store = WatchedStore(world.objects, before=before)
    return Targets(store, lambda _: store, world.index, world.stac)


def _takes_over(world: World) -> None:
    bury(world.journal)
    world.publisher().recover("p")


def _expires(world: World) -> None:
    """The lease runs out, of a worker whose process is not known to be gone."""
    record = world.journal.get(lease_path("p")).data.decode()
    expired = record.replace('"expires_at": "20', '"expires_at": "19')
    assert expired != record
    world.journal.put(lease_path("p"), expired.encode())


def _stands(world: World, source: Made) -> bool:
    """Whether exactly this stands."""
    seen = world.snapshot()
    items = {(group, one) for group, found in seen["items"].items() for one in found}
    return (
        sorted(seen["documents"]) == sorted(source.documents)
        and items == set(source.items)
        and len(seen["objects"]) == len(source.objects)
    )


@pytest.mark.parametrize("replacing", [False, True], ids=["first", "replacing"])
def test_a_commit_that_is_late_does_not_commit(
    world: World, old: Made, new: Made, replacing: bool
) -> None:
    if replacing:
        world.publisher().publish(old, "p", Policy.FAIL)
    before = world.snapshot()
    late = _once_before(
        world, lambda write: write.path.endswith("current.json"), lambda: _takes_over(world)
    )
    with pytest.raises(PublicationError):
        world.publisher(late).publish(new, "p", Policy.REPLACE)
    assert world.snapshot() == before
    assert world.publisher().publish(new, "p", Policy.REPLACE).current is not None
    assert _stands(world, new)
    assert audit(world.targets()).findings == []
    assert world.publisher().remove("p").action is Action.REMOVED


def test_a_seal_that_is_late_blocks_nothing(world: World, old: Made, new: Made) -> None:
    def meanwhile() -> None:
        _takes_over(world)
        world.publisher().publish(old, "p", Policy.FAIL)

    late = _once_before(world, lambda write: write.path.endswith("begin.json"), meanwhile)
    with pytest.raises(PublicationError):
        world.publisher(late).publish(new, "p", Policy.REPLACE)
    world.publisher().recover("p")
    assert world.open_journals() == []
    assert _stands(world, old)


def test_objects_go_to_a_new_place_after_a_worker_was_taken_over(
    world: World, old: Made, new: Made
) -> None:
    def meanwhile() -> None:
        _expires(world)
        world.publisher().recover("p")
        world.publisher().publish(new, "p", Policy.FAIL)

    late = _once_before(world, lambda write: write.path == "products/one/a.tif", meanwhile)
    with pytest.raises(PublicationError):
        world.publisher(late).publish(old, "p", Policy.FAIL)
    place = f"products/one-r{new.fingerprint[:12]}"
    paths = {path for path in world.snapshot()["objects"] if path.startswith(place)}
    assert paths == {f"{place}/a.tif", f"{place}/d.tif"}
    assert world.publisher().publish(new, "p", Policy.FAIL).action is Action.UNCHANGED


@pytest.mark.parametrize("removing", [True, False], ids=["settled", "undone"])
def test_a_repair_that_is_repeated_spares_whoever_came_after(
    world: World, old: Made, removing: bool
) -> None:
    if removing:
        world.publisher().publish(old, "p", Policy.FAIL)
        fault = Fault(0, only="delete publications/by-id/p/journal", mode=Mode.AWAY)
        assert world.publisher(faulty(world, fault)).remove("p").warnings
    else:
        stores = faulty(world, Fault(0, only="delete publications/by-id/p/journal", mode=Mode.AWAY))
        failing = faulty(world, Fault(0, only="apply"))
        targets = replace(failing, journal=stores.journal)
        with pytest.raises(PublicationError):
            world.publisher(targets).publish(old, "p", Policy.FAIL)
    theirs = Made(old.folder, objects=old.objects, documents={"theirs": {}})
    world.publisher().publish(theirs, "q", Policy.FAIL)
    before = world.snapshot()
    world.publisher().recover("p")
    assert world.snapshot() == before
    assert world.open_journals() == []


def test_a_worker_without_a_lease_deletes_nothing(world: World, old: Made, new: Made) -> None:
    world.publisher().publish(old, "p", Policy.FAIL)

    def meanwhile() -> None:
        _expires(world)
        world.publisher().publish(old, "p", Policy.REPLACE)

    late = _once_before(
        world, lambda write: write.operation == "delete" and "products/" in write.path, meanwhile
    )
    world.publisher(late).remove("p")
    assert _stands(world, old)
    assert audit(world.targets()).findings == []


def test_what_others_wrote_at_our_keys_is_spared(world: World, tmp_path: Path) -> None:
    ours = Made(tmp_path, objects={f"{number}.tif": b"x" * number for number in range(1, 7)})
    theirs = {f"products/one/{number}.tif": b"y" * number for number in (6, 1, 2)}

    def meanwhile() -> None:
        for path, body in theirs.items():
            world.objects.put(path, body)

    # Before the first of ours, whichever it is: they are written side by side.
    targets = _once_before(world, lambda write: write.path.endswith(".tif"), meanwhile)
    with pytest.raises(PublicationError, match="with other content") as told:
        world.publisher(targets).publish(ours, "p", Policy.FAIL)
    assert told.value.reason == PublishingReason.ALREADY_PUBLISHED
    left = world.snapshot()["objects"]
    assert {path for path in theirs if world.objects.get(path).data == theirs[path]} <= set(left)
    assert set(left) <= set(theirs)


def test_an_object_of_the_same_size_is_not_taken_for_ours(world: World, tmp_path: Path) -> None:
    ours = Made(tmp_path, objects={"a.tif": b"pixels"})
    targets = _once_before(
        world,
        lambda write: write.path.endswith("/a.tif"),
        lambda: world.objects.put("products/one/a.tif", b"theirs"),
    )
    with pytest.raises(PublicationError, match="with other content"):
        world.publisher(targets).publish(ours, "p", Policy.FAIL)
    assert world.objects.get("products/one/a.tif").data == b"theirs"


def test_a_collection_is_not_deleted_under_anothers_items(
    world: World, old: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publisher().publish(old, "p", Policy.FAIL)
    theirs = Made(old.folder, items={("one", "theirs"): {}}, documents={"theirs": {}})
    stac: Any = world.stac
    asked = stac.has_items

    def has_items(name: str) -> bool:
        answer: bool = asked(name)
        monkeypatch.setattr(stac, "has_items", asked)
        world.publisher().publish(theirs, "q", Policy.FAIL)
        return answer

    monkeypatch.setattr(stac, "has_items", has_items)
    world.publisher().remove("p")
    stands = world.snapshot()
    if "theirs" in stands["documents"]:
        assert list(stands["items"]["one"]) == ["theirs"]
    else:
        assert world.publisher().publish(theirs, "q", Policy.FAIL).action is Action.PUBLISHED


def test_a_collection_goes_with_the_last_that_uses_it(world: World, old: Made) -> None:
    theirs = Made(old.folder, items={("one", "theirs"): {}})
    world.publisher().publish(old, "p", Policy.FAIL)
    world.publisher().publish(theirs, "q", Policy.FAIL)
    world.publisher().remove("p")
    assert world.stac.collection("one") is not None
    world.publisher().remove("q")
    assert world.stac.collection("one") is None


def test_a_collection_that_was_there_before_stays(world: World, old: Made) -> None:
    theirs = {**made_item("one", "x"), "type": "Collection", "id": "one"}
    world.stac.create_collection(theirs)
    world.publisher().publish(old, "p", Policy.REPLACE)
    assert world.stac.collection("one") == theirs
    world.publisher().remove("p")
    assert world.stac.collection("one") == theirs


@pytest.mark.parametrize("place", ["products", "products/one/inside"])
def test_a_prefix_lies_neither_in_nor_around_anothers(world: World, old: Made, place: str) -> None:
    world.publisher().publish(old, "p", Policy.FAIL)
    before = world.snapshot()
    other = Made(old.folder, objects={"b.tif": b"b"}, place=place)
    with pytest.raises(PublicationError, match="overlaps with"):
        world.publisher().publish(other, "q", Policy.FAIL)
    assert world.snapshot() == before
    assert audit(world.targets()).findings == []


def test_two_versions_at_once_are_two_versions(
    world: World, old: Made, new: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publisher().publish(old, "p", Policy.VERSION)
    third = replace(old, documents={"a": {"label": "by another worker"}})
    meanwhile = [lambda: world.publisher().publish(third, "p", Policy.VERSION)]
    store: Any = world.journal
    late = _once_before(
        world, lambda write: write.path == lease_path("p-v2"), lambda: meanwhile.pop()()
    )
    assert store is world.objects
    result = world.publisher(late).publish(new, "p", Policy.VERSION)
    assert result.publication == "p-v3"
    assert {"a", "a-v2", "a-v3"} <= set(world.snapshot()["documents"])


def test_a_version_that_was_removed_is_not_given_to_other_content(
    world: World, old: Made, new: Made
) -> None:
    world.publisher().publish(old, "p", Policy.VERSION)
    third = replace(old, documents={"a": {"label": "third"}})
    assert world.publisher().publish(new, "p", Policy.VERSION).publication == "p-v2"
    assert world.publisher().publish(third, "p", Policy.VERSION).publication == "p-v3"
    world.publisher().remove("p-v2")
    again = world.publisher().publish(third, "p", Policy.VERSION)
    assert (again.publication, again.action) == ("p-v3", Action.UNCHANGED)


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\r", "\n"])
def test_any_text_comes_back_from_the_journal(world: World, tmp_path: Path, odd: str) -> None:
    before = Made(tmp_path, documents={"a": {"label": f"one{odd}two"}}, collections={"one": {}},
                  items={("one", "a"): {"title": f"one{odd}two"}})  # fmt: skip
    world.publisher().publish(before, "p", Policy.FAIL)
    seen: JsonObject = world.snapshot()
    after = replace(before, documents={}, items={("one", "a"): {"title": "changed"}})
    fault = Fault(0, only="current.json")
    with pytest.raises(PublicationError):
        world.publisher(faulty(world, fault)).publish(after, "p", Policy.REPLACE)
    assert world.snapshot() == seen
    assert world.open_journals() == []
    world.publisher().remove("p")


def test_an_interrupt_right_after_the_commit_is_no_undoing(world: World, old: Made) -> None:
    def interrupt(write: Write) -> None:
        if write.path.endswith("current.json"):
            raise KeyboardInterrupt

    store = WatchedStore(world.objects, after=interrupt)
    targets = Targets(store, lambda _: store, world.index, world.stac)
    with pytest.raises(KeyboardInterrupt):
        world.publisher(targets).publish(old, "p", Policy.FAIL)
    assert _stands(world, old)
    assert world.open_journals() == []
    assert world.publisher().publish(old, "p", Policy.FAIL).action is Action.UNCHANGED
