"""Killed processes and competing ones: the targets hold all of the old or all of the new."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from estinel_assets.publishing.ending import Action
from estinel_assets.publishing.model import JsonObject, Policy
from tests.support.publishing import Fault, Made, World, faulty, new_content, old_content
from tests.support.publishing_process import (
    NEVER,
    Death,
    Places,
    publish_in_process,
    race_publishers,
)
from tests.support.stac_api import running_stac_api

KINDS = (
    "begin.json",
    "claims/",
    "a.tif",
    "apply",
    "create_collection",
    "create_items",
    "replace_items",
    "delete_items",
    "current.json",
    "delete products/",
)
"""One effect of each kind, by a part of its name."""


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    with running_stac_api(tmp_path, transactions=True) as url:
        yield Places(tmp_path, url)


@pytest.fixture
def old(tmp_path: Path) -> Made:
    return old_content(tmp_path)


@pytest.fixture
def new(tmp_path: Path) -> Made:
    return new_content(tmp_path)


def _effects(places: Places, old: Made, new: Made) -> list[str]:
    with places.open() as world:
        world.publisher().publish(old, "p", Policy.FAIL)
        counting = Fault(NEVER)
        world.publisher(faulty(world, counting)).publish(new, "p", Policy.REPLACE)
        world.publisher().remove("p")
    return counting.seen


def _dies_and_is_repaired(world: World, places: Places, old: Made, new: Made, death: Death) -> str:
    """Publish the old, die while publishing the new, repair; which of the two stands then."""
    world.publisher().publish(old, "p", Policy.FAIL)
    before = world.snapshot()
    assert publish_in_process(places, new, death) == -signal.SIGKILL
    world.publisher().recover("p")
    assert world.open_journals() == []
    seen = world.snapshot()
    again = world.publisher().publish(new, "p", Policy.REPLACE)
    if seen == before:
        assert again.action is Action.REPLACED
        world.publisher().remove("p")
        return "old"
    assert again.action is Action.UNCHANGED
    assert seen == world.snapshot()
    assert _names(seen) == {"a", "c", "one/a", "one/c", "two/a", 2}
    world.publisher().remove("p")
    return "new"


def _names(seen: JsonObject) -> set[str | int]:
    items = {f"{group}/{one}" for group, found in seen["items"].items() for one in found}
    return {*seen["documents"], *items, len(seen["objects"])}


# Just after an effect is just before the next one, for a process that dies.
@pytest.mark.parametrize(
    "after", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["before", "after"]
)
def test_a_kill_at_an_effect_of_each_kind(
    places: Places, old: Made, new: Made, after: bool
) -> None:
    effects = _effects(places, old, new)
    with places.open() as world:
        for kind in KINDS:
            at = next(number for number, name in enumerate(effects) if kind in name)
            stands = _dies_and_is_repaired(world, places, old, new, Death(at, after=after))
            committed = kind == "delete products/" or (kind == "current.json" and after)
            assert stands == ("new" if committed else "old"), kind


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_kill_at_every_effect(places: Places, old: Made, new: Made) -> None:
    effects = _effects(places, old, new)
    stood = []
    with places.open() as world:
        for at in range(len(effects)):
            for after in (False, True):
                death = Death(at, after=after)
                stood.append(_dies_and_is_repaired(world, places, old, new, death))
    print(f"{len(stood)} points, {len(stood)} killed, {len(stood)} passed")
    assert {"old", "new"} == set(stood)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_kill_at_every_effect_of_the_repair(places: Places, old: Made, new: Made) -> None:
    effects = _effects(places, old, new)
    last = len(effects) - 1 - effects[::-1].index("delete_items")
    killed = 0
    with places.open() as world:
        for after in (False, True):
            at = 0
            while True:
                world.publisher().publish(old, "p", Policy.FAIL)
                before = world.snapshot()
                death = Death(last, after=True)
                assert publish_in_process(places, new, death) == -signal.SIGKILL
                code = publish_in_process(places, None, Death(at, after=after), recover=True)
                world.publisher().recover("p")
                assert world.open_journals() == []
                assert world.snapshot() == before
                if code == 0:
                    break
                assert code == -signal.SIGKILL
                at, killed = at + 1, killed + 1
    print(f"{killed} points, {killed} killed, {killed} passed")
    assert killed > 10


def test_of_two_publishers_at_once_one_wins(places: Places, old: Made) -> None:
    other = replace(old, documents={"a": {"label": "by the other"}})
    ended = race_publishers(places, [old, other])
    assert sorted(ended)[1] == "published"
    assert sorted(ended)[0] in ("busy", "already_published")
    with places.open() as world:
        documents = world.snapshot()["documents"]
        assert len(documents) in (1, 2)
        assert world.open_journals() == []


def test_of_many_publishers_of_the_same_one_publishes(places: Places, old: Made) -> None:
    ended = race_publishers(places, [old] * 5)
    assert ended.count("published") == 1
    assert set(ended) <= {"published", "unchanged", "busy"}
    with places.open() as world:
        assert len(world.snapshot()["documents"]) == 2
