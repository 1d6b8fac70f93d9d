"""All or nothing, whatever goes wrong and wherever, in doing and in undoing."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.ending import Action, PublicationError
from estinel_assets.publishing.model import JsonObject, Policy
from estinel_assets.publishing.reasons import PublishingReason
from tests.support.examples import examples
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
from tests.support.watched_store import Crash, bury

NEVER = 10**6
KINDS = [(mode, after) for mode in Mode for after in (False, True)]


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


def _count(world: World, old: Made, new: Made | None) -> int:
    """How many effects the way from one content to the other has."""
    world.publisher().publish(old, "p", Policy.FAIL)
    counting = Fault(NEVER)
    publisher = world.publisher(faulty(world, counting))
    if new is None:
        publisher.remove("p")
    else:
        publisher.publish(new, "p", Policy.REPLACE)
        world.publisher().remove("p")
    return counting.count


@pytest.mark.parametrize("removing", [False, True], ids=["replacing", "removing"])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [len(KINDS), pytest.param(1, marks=pytest.mark.soak)])
def test_a_fault_at_any_effect_leaves_all_of_the_old_or_all_of_the_new(
    world: World, old: Made, new: Made, step: int, after: bool, mode: Mode, removing: bool
) -> None:
    """Of a few steps, each kind of fault takes its own: together they come at every effect."""
    total = _count(world, old, None if removing else new)
    assert total > 15
    ended = {"old": 0, "new": 0}
    empty = world.snapshot()
    replaced = _replaced(world, old, new)
    world.publisher().remove("p")
    for at in {0, total - 1, *range(KINDS.index((mode, after)) % step, total, step)}:
        world.publisher().publish(old, "p", Policy.FAIL)
        before = world.snapshot()
        fault = Fault(at, after=after, mode=mode)
        publisher = world.publisher(faulty(world, fault))
        try:
            if removing:
                publisher.remove("p")
            else:
                publisher.publish(new, "p", Policy.REPLACE)
        except PublicationError as error:
            undone = error.reason != PublishingReason.UNDO_INCOMPLETE
            assert not undone or world.snapshot() == before, fault.seen[at]
        except Crash:
            assert mode is Mode.DEAD
        bury(world.journal)
        world.publisher().recover("p")
        assert world.open_journals() == [], fault.seen[at]
        if world.snapshot() == before:
            ended["old"] += 1
        else:
            ended["new"] += 1
            if not removing:
                again = world.publisher().publish(new, "p", Policy.FAIL)
                assert again.action is Action.UNCHANGED, fault.seen[at]
                assert world.snapshot() == replaced, fault.seen[at]
        world.publisher().remove("p")
        assert world.snapshot() == empty, fault.seen[at]
    assert ended["old"]
    assert ended["new"]


def _replaced(world: World, old: Made, new: Made) -> JsonObject:
    """What stands after replacing without faults."""
    world.publisher().publish(old, "p", Policy.FAIL)
    world.publisher().publish(new, "p", Policy.REPLACE)
    return world.snapshot()


def test_what_could_not_be_undone_is_named_and_undone_later(
    world: World, old: Made, new: Made
) -> None:
    world.publisher().publish(old, "p", Policy.FAIL)
    before = world.snapshot()
    away = faulty(world, Fault(0, after=True, mode=Mode.AWAY, only="_items"))
    with pytest.raises(PublicationError, match=r"not undone: .*create item one/c") as told:
        world.publisher(away).publish(new, "p", Policy.REPLACE)
    assert told.value.reason == PublishingReason.UNDO_INCOMPLETE
    assert told.value.undo is not None
    left = {one.step for one in told.value.undo.left}
    assert {"create item one/c", "delete 2 objects"} <= left
    # The item that stands still points to something.
    assert len(world.snapshot()["objects"]) == 3
    assert world.open_journals()
    with pytest.raises(PublicationError, match="is not undone yet"):
        world.publisher(away).publish(new, "p", Policy.REPLACE)
    (recovery,) = world.publisher().recover("p")
    assert recovery.undo is not None
    assert recovery.undo.complete
    assert world.snapshot() == before


def test_what_others_changed_meanwhile_is_spared(world: World, old: Made, new: Made) -> None:
    world.publisher().publish(old, "p", Policy.FAIL)
    counting = Fault(NEVER)
    world.publisher(faulty(world, counting)).publish(new, "p", Policy.REPLACE)
    world.publisher().remove("p")
    world.publisher().publish(old, "p", Policy.FAIL)
    at = counting.seen.index("create_items")
    dead = faulty(world, Fault(at, after=True, mode=Mode.DEAD))
    with pytest.raises(Crash):
        world.publisher(dead).publish(new, "p", Policy.REPLACE)
    (added,) = world.stac.items("one", ["c"]).values()
    foreign = {**added, "properties": {"datetime": "2024-01-01T00:00:00Z", "by": "others"}}
    world.stac.replace_items("one", [foreign])
    bury(world.journal)
    (recovery,) = world.publisher().recover("p")
    assert recovery.undo is not None
    assert recovery.undo.spared == ["item one/c"]
    assert world.stac.items("one", ["c"]) == {"c": foreign}


def test_a_collection_that_others_use_stays(world: World, old: Made) -> None:
    counting = Fault(NEVER)
    world.publisher(faulty(world, counting)).publish(old, "p", Policy.FAIL)
    world.publisher().remove("p")
    at = counting.seen.index("create_items")
    dead = faulty(world, Fault(at, mode=Mode.DEAD))
    with pytest.raises(Crash):
        world.publisher(dead).publish(old, "p", Policy.FAIL)
    theirs = made_item("one", "theirs")
    world.stac.create_items("one", [theirs])
    bury(world.journal)
    world.publisher().recover("p")
    assert world.stac.items("one", ["theirs"]) == {"theirs": theirs}
    assert world.stac.items("one", ["a"]) == {}


names = st.sampled_from(["a", "b", "c"])
texts = st.sampled_from(["x", "y", "z"])
collections_of = st.sampled_from(["one", "two"])


@st.composite
def contents(draw: st.DrawFn, folder: Path) -> Made:
    """Any content, every item's collection included."""
    items = draw(st.dictionaries(st.tuples(collections_of, names), texts, max_size=4))
    return Made(
        folder,
        objects={
            f"{name}.bin": text.encode()
            for name, text in draw(st.dictionaries(names, texts, max_size=3)).items()
        },
        documents={
            name: {"label": text}
            for name, text in draw(st.dictionaries(names, texts, max_size=3)).items()
        },
        collections={name: {} for name, _ in sorted(items)},
        items={key: {"title": text} for key, text in items.items()},
    )


@examples(25)
@given(st.data())
def test_any_history_with_any_faults_is_one_of_whole_publications(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name, memory_world(Path(name)) as world:
        for _ in range(data.draw(st.integers(1, 4), label="publications")):
            source = data.draw(contents(Path(name)))
            before = world.snapshot()
            fault = Fault(
                data.draw(st.integers(0, 40), label="at"),
                after=data.draw(st.booleans(), label="after"),
                mode=data.draw(st.sampled_from(list(Mode)), label="mode"),
            )
            try:
                result = world.publisher(faulty(world, fault)).publish(source, "p", Policy.REPLACE)
                assert result.warnings or not world.open_journals()
            except (PublicationError, Crash):
                bury(world.journal)
            world.publisher().recover("p")
            assert world.open_journals() == []
            seen = world.snapshot()
            if seen != before:
                _assert_stands(world, source, seen)


def _assert_stands(world: World, source: Made, seen: JsonObject) -> None:
    """Exactly this content stands; collections may be left of earlier ones."""
    again = world.publisher().publish(source, "p", Policy.FAIL)
    assert again.action is Action.UNCHANGED
    assert sorted(seen["documents"]) == sorted(source.documents)
    standing = {(group, one) for group, items in seen["items"].items() for one in items}
    assert standing == set(source.items)
    assert len(seen["objects"]) == len(source.objects)
    for (group, one), expected in source.items.items():
        assert seen["items"][group][one]["properties"]["title"] == expected["title"]
