"""Versions of the same piece of a pass, and what only looks like them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estinel_assets.stac.bands import Provider
from estinel_assets.stac.scenes import Scene, parse_scene
from estinel_assets.stac.versions import keep_newest, piece_of_pass
from tests.unit.stac.stac_items import (
    ALL_COLLECTIONS,
    PC_1000,
    V0,
    V1_MARCH_2020,
    made_item,
    real_items,
)

SCENE = parse_scene(made_item("base"), Provider.EARTH_SEARCH)
UPDATED = datetime(2024, 5, 18, tzinfo=UTC)


def version(name: str, **changes: object) -> Scene:
    return replace(SCENE, id=name, **changes)  # type: ignore[arg-type]


def test_reprocessed_scenes_of_march_2020_replace_the_first_ones() -> None:
    scenes = [parse_scene(item, Provider.EARTH_SEARCH) for item in real_items(V1_MARCH_2020)]
    kept, superseded = keep_newest(scenes)
    # `_0` is baseline 02.14 of 2020 and `_1` is 05.00 of 2023, of the same datastrip.
    assert len(kept) == 8
    assert all(scene.id.endswith("_1_L2A") for scene in kept)
    assert superseded == {scene.id: (scene.id.replace("_1_L2A", "_0_L2A"),) for scene in kept}


def test_the_thousand_planetary_computer_items_hold_halves_and_no_versions() -> None:
    scenes = [parse_scene(item, Provider.PLANETARY_COMPUTER) for item in real_items(PC_1000)]
    pairs: dict[tuple[object, ...], list[Scene]] = {}
    for scene in scenes:
        pairs.setdefault((scene.platform, scene.datatake, scene.mgrs_tile), []).append(scene)
    halves = [group for group in pairs.values() if len(group) > 1]
    assert len(halves) == 13
    for group in halves:
        assert len({scene.sensing_start for scene in group}) == len(group)
    kept, superseded = keep_newest(scenes)
    assert len(kept) == 1000
    assert superseded == {}


def test_twins_of_two_collections_are_versions_of_each_other() -> None:
    scenes = [parse_scene(item, Provider.EARTH_SEARCH) for item in real_items(ALL_COLLECTIONS)]
    l2a = [scene for scene in scenes if scene.collection.endswith("l2a")]
    kept, superseded = keep_newest(l2a)
    assert (len(l2a), len(kept), len(superseded)) == (11, 6, 5)


def test_scenes_without_identifying_fields_are_all_kept() -> None:
    scenes = [parse_scene(item, Provider.EARTH_SEARCH) for item in real_items(V0)]
    kept, superseded = keep_newest(scenes)
    assert len(kept) == len(scenes)
    assert superseded == {}


@pytest.mark.parametrize("field", ["platform", "datatake", "mgrs_tile", "sensing_start"])
def test_a_missing_or_different_field_makes_another_piece(field: str) -> None:
    missing = version("b", **{field: None})
    assert piece_of_pass(missing) is None
    for other in (missing, version("b", **{field: "other"})):
        assert keep_newest([SCENE, other])[1] == {}
    twice_missing = [version("a", **{field: None}), missing]
    assert len(keep_newest(twice_missing)[0]) == 2


def test_the_highest_baseline_wins_then_the_newest_then_the_id() -> None:
    ranked = [
        version("a", baseline=(10, 0), updated=None),
        version("b", baseline=(5, 10), updated=UPDATED + timedelta(days=1)),
        version("d", baseline=(5, 10), updated=UPDATED),
        version("c", baseline=(5, 10), updated=UPDATED),
        version("e", baseline=(5, 9), updated=UPDATED + timedelta(days=9)),
        version("f", baseline=None, updated=UPDATED + timedelta(days=9)),
    ]
    for order in permutations(ranked):
        kept, superseded = keep_newest(order)
        assert [scene.id for scene in kept] == ["a"]
        assert superseded == {"a": ("b", "d", "c", "e", "f")}


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            version,
            st.uuids().map(str),
            sensing_start=st.sampled_from([None, "1", "2"]),
            mgrs_tile=st.sampled_from(["55GDP", "55GEP"]),
            baseline=st.sampled_from([None, (5, 9), (5, 10)]),
            datetime=st.sampled_from([UPDATED, UPDATED + timedelta(seconds=15)]),
        ),
        max_size=12,
    )
)
def test_every_scene_is_kept_or_superseded_exactly_once(scenes: list[Scene]) -> None:
    kept, superseded = keep_newest(scenes)
    accounted = [scene.id for scene in kept] + [
        name for names in superseded.values() for name in names
    ]
    assert sorted(accounted) == sorted(scene.id for scene in scenes)
    pieces = [piece_of_pass(scene) for scene in kept if piece_of_pass(scene)]
    assert len(pieces) == len(set(pieces))
    assert [(scene.datetime, scene.id) for scene in kept] == sorted(
        (scene.datetime, scene.id) for scene in kept
    )
