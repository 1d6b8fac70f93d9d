"""Publishing, replacing and removing, without faults."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from estinel_assets.publishing.ending import Action, PublicationError
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.reasons import PublishingReason
from tests.support.publishing import (
    Fault,
    Made,
    World,
    faulty,
    memory_world,
    new_content,
    old_content,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with memory_world(tmp_path) as made:
        yield made


@pytest.fixture
def first(tmp_path: Path) -> Made:
    return old_content(tmp_path)


@pytest.fixture
def second(tmp_path: Path) -> Made:
    return new_content(tmp_path)


def test_everything_stands_after_publishing(world: World, first: Made) -> None:
    result = world.publisher().publish(first, "p", Policy.FAIL)
    assert result.action is Action.PUBLISHED
    seen = world.snapshot()
    assert sorted(seen["objects"]) == ["products/one/a.tif"]
    assert sorted(seen["documents"]) == ["a", "b"]
    assert sorted(seen["items"]["one"]) == ["a", "b"]
    assert result.counts() == {
        "objects": 1, "bytes": 6, "documents": 2, "collections": 1, "items": 2
    }  # fmt: skip
    assert world.open_journals() == []


def test_the_same_content_again_does_nothing(world: World, first: Made) -> None:
    world.publisher().publish(first, "p", Policy.FAIL)
    count = Fault(10**6)
    again = world.publisher(faulty(world, count)).publish(first, "p", Policy.FAIL)
    assert again.action is Action.UNCHANGED
    assert count.seen == []


def test_other_content_is_refused_by_default(world: World, first: Made, second: Made) -> None:
    world.publisher().publish(first, "p", Policy.FAIL)
    before = world.snapshot()
    with pytest.raises(PublicationError, match="was published with other content by a-run") as told:
        world.publisher().publish(second, "p", Policy.FAIL)
    assert told.value.reason == PublishingReason.ALREADY_PUBLISHED
    assert world.snapshot() == before
    assert world.publisher().publish(second, "p", Policy.SKIP).action is Action.SKIPPED
    assert world.snapshot() == before


def test_replacing_leaves_nothing_of_the_former(world: World, first: Made, second: Made) -> None:
    world.publisher().publish(first, "p", Policy.FAIL)
    result = world.publisher().publish(second, "p", Policy.REPLACE)
    assert result.action is Action.REPLACED
    seen = world.snapshot()
    place = f"products/one-r{second.fingerprint[:12]}"
    assert sorted(seen["objects"]) == [f"{place}/a.tif", f"{place}/d.tif"]
    assert sorted(seen["documents"]) == ["a", "c"]
    assert seen["collections"]["one"]["title"] == "changed"
    assert {name: sorted(items) for name, items in seen["items"].items()} == {
        "one": ["a", "c"], "two": ["a"]
    }  # fmt: skip
    assert world.open_journals() == []


def test_a_version_stands_beside_the_former(world: World, first: Made, second: Made) -> None:
    world.publisher().publish(first, "p", Policy.VERSION)
    result = world.publisher().publish(second, "p", Policy.VERSION)
    assert (result.publication, result.action) == ("p-v2", Action.PUBLISHED)
    assert sorted(world.snapshot()["documents"]) == ["a", "a-v2", "b", "c-v2"]
    again = world.publisher().publish(second, "p", Policy.VERSION)
    assert (again.publication, again.action) == ("p-v2", Action.UNCHANGED)


def test_removing_takes_everything_back(world: World, first: Made, second: Made) -> None:
    empty = world.snapshot()
    world.publisher().publish(first, "p", Policy.FAIL)
    world.publisher().publish(second, "p", Policy.REPLACE)
    assert world.publisher().remove("p").action is Action.REMOVED
    assert world.snapshot() == empty
    assert world.publisher().remove("p").action is Action.ABSENT
    assert world.publisher().publish(first, "p", Policy.FAIL).action is Action.PUBLISHED


def test_a_prefix_belongs_to_one_publication(world: World, first: Made) -> None:
    world.publisher().publish(first, "p", Policy.FAIL)
    before = world.snapshot()
    other = replace(first, documents={"z": {}}, items={("one", "z"): {}})
    with pytest.raises(PublicationError, match="belongs to the publication 'p'"):
        world.publisher().publish(other, "q", Policy.REPLACE)
    assert world.snapshot() == before
    assert world.open_journals() == []


@pytest.mark.parametrize("part", ["documents", "items"])
def test_what_another_publication_made_is_never_replaced(
    world: World, first: Made, part: str
) -> None:
    world.publisher().publish(first, "p", Policy.FAIL)
    before = world.snapshot()
    other = replace(first, place="products/two", **{("items", "documents")[part == "items"]: {}})
    with pytest.raises(PublicationError, match="of the publication p") as told:
        world.publisher().publish(other, "q", Policy.REPLACE)
    assert told.value.reason == PublishingReason.ALREADY_PUBLISHED
    assert world.snapshot() == before
