"""Scenes that the source no longer lists: what is made of them goes, and what others hold stays."""

from datetime import timedelta

import pytest

from tests.support.imagery import FIRST_DAY, imagery_world, plain_scenes, quiet_dagster

pytestmark = quiet_dagster

DAYS = [(FIRST_DAY + timedelta(days=number)).isoformat() for number in range(5)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return plain_scenes(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def standing(tmp_path_factory, scenes):
    with imagery_world(tmp_path_factory.mktemp("standing"), scenes) as made:
        assert made.update().success
        yield made


@pytest.fixture
def world(standing, scenes):
    with standing.put_back(scenes) as made:
        yield made


def listed(world):
    return [image["date"] for image in world.fragment()["images"]]


def test_a_day_without_scenes_is_unlisted(world, scenes):
    world.withdraw(scenes[2])

    ran = world.update()
    merged = world.run("build_web_catalog")

    assert ran.success, ran.error  # the source's affair, and no fault
    assert merged.success
    outcome = world.outcomes()[DAYS[1]]
    assert (outcome.status, outcome.reason) == (False, "withdrawn")
    assert outcome.outputs == ()
    left = [day for day in DAYS if day != DAYS[1]]
    assert listed(world) == left
    assert [image["date"] for image in world.catalog()["locations"][0]["images"]] == left
    assert world.outcomes()["search"].detail["scenes_withdrawn"] == 1
    again = world.update()
    assert again.success
    assert world.outcomes()[DAYS[1]].run_id == ran.run_id  # final: not tried again


def test_a_scene_that_comes_back_is_listed_again(world, scenes):
    products = world.products()
    world.withdraw(scenes[2])
    world.update()
    world.publish(scenes[2])

    assert world.update().success

    assert listed(world) == DAYS
    assert world.products() == products
    assert world.outcomes()["search"].detail["scenes_withdrawn"] == 0


def test_the_other_half_of_a_tile_remains(world, scenes):
    halves = [item for item in scenes if item["id"] in world.outcomes()[DAYS[3]].detail["scenes"]]
    assert len(halves) == 2
    products = world.products()
    world.withdraw(halves[0])

    assert world.update().success

    outcome = world.outcomes()[DAYS[3]]
    assert (outcome.reason, outcome.detail["scenes"]) == ("none", [halves[1]["id"]])
    assert listed(world) == DAYS
    changed = {path for path, body in world.products().items() if products[path] != body}
    assert changed
    assert all(DAYS[3] in path for path in changed)


def test_an_older_version_takes_the_place_of_a_withdrawn_one(world, scenes):
    older, newer = scenes[0], scenes[1]
    assert world.outcomes()[DAYS[0]].detail["scenes"] == [newer["id"]]
    world.withdraw(newer)

    assert world.update().success

    detail = world.outcomes()[DAYS[0]].detail
    assert (detail["scenes"], detail["superseded"]) == ([older["id"]], {})


def test_an_empty_answer_changes_nothing(world, scenes):
    kept = ("sentinel-2-c1-l2a", "thumbs", "catalog", "stac")
    before, reasons = world.versions(*kept), world.reasons()
    world.withdraw(*scenes)

    ran = world.update()

    assert ran.success, ran.error
    assert world.outcomes()["search"].detail["scenes_found"] == 0
    assert world.versions(*kept) == before
    assert world.reasons() == reasons
