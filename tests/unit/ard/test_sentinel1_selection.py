"""Sentinel-1: windows, orbits and coverage, on both sides of every threshold."""

import datetime as dt
import json
from dataclasses import replace

import pytest
import rioxarray  # noqa: F401 - gives datasets their `rio`
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon, box

from estinel_assets.ard.sentinel1_selection import (
    OrbitChoice,
    S1Rules,
    S1Scene,
    s1_scene,
    select_s1,
    window,
)
from estinel_assets.ard.tiles import Tile
from estinel_assets.errors import BadInputError, PermanentError, SourceFault
from tests.support.examples import examples
from tests.support.real import real_data

TILE = Tile(1035, 727, 15.0, -20.0)
WEST, SOUTH, EAST, NORTH = TILE.bbox
WHOLE = box(WEST - 1, SOUTH - 1, EAST + 1, NORTH + 1)
NAN = float("nan")


def part(share: float) -> Polygon:
    """A footprint that covers a share of the tile, from the west on."""
    return box(WEST - 1, SOUTH - 1, WEST + share * (EAST - WEST), NORTH + 1)


def scene(day: str, orbit: str | None = "ascending", footprint=WHOLE, name: str = "") -> S1Scene:
    """A scene at six in the evening, or at an instant."""
    instant = dt.datetime.fromisoformat(day if "T" in day else f"{day}T18:00:00")
    return S1Scene(name or f"{day}_{orbit}", instant.replace(tzinfo=dt.UTC), orbit, 29, footprint)


def chosen(scenes, quarter: str, rules: S1Rules | None = None) -> list[str]:
    selection = select_s1(scenes, TILE, 2023, rules)
    (found,) = [part for part in selection.quarters if part.name == quarter]
    return [day.day.isoformat() for day in found.days]


def four_quarters(orbit: str, days: int = 1) -> list[S1Scene]:
    return [
        scene(f"2023-{month:02d}-{20 + day}", orbit)
        for month in (1, 4, 7, 10)
        for day in range(days)
    ]


# Windows


@pytest.mark.parametrize(
    ("day", "quarter"),
    [
        ("2023-01-14", None),
        ("2023-01-15", "Q1"),
        ("2023-03-15", "Q1"),
        ("2023-03-16", None),
        ("2023-04-14", None),
        ("2023-04-15", "Q2"),
        ("2023-06-15", "Q2"),
        ("2023-06-16", None),
        ("2023-07-14", None),
        ("2023-07-15", "Q3"),
        ("2023-09-15", "Q3"),
        ("2023-09-16", None),
        ("2023-10-14", None),
        ("2023-10-15", "Q4"),
        ("2023-12-15", "Q4"),
        ("2023-12-16", None),
        ("2022-02-01", None),
        ("2024-02-01", None),
    ],
)
def test_windows_hold_both_their_days(day: str, quarter: str | None):
    selection = select_s1([scene(day)], TILE, 2023)
    with_days = [part.name for part in selection.quarters if part.days]
    assert with_days == ([quarter] if quarter else [])
    assert set(selection.gaps) == {"Q1", "Q2", "Q3", "Q4"} - {quarter}


def test_days_are_solar():
    # At 15° E the solar day begins an hour before the UTC day.
    before, after = scene("2023-01-14T22:59:59"), scene("2023-01-14T23:00:00")
    assert chosen([before], "Q1") == []
    assert chosen([after], "Q1") == ["2023-01-15"]
    east = Tile(1, 1, 178.0, -20.0)
    around = [
        replace(scene(when), footprint=box(177, -21, 179, -19))
        for when in ("2023-02-01T12:30:00", "2023-02-01T11:30:00")
    ]
    (q1, *_) = select_s1(around, east, 2023).quarters
    assert [day.day.isoformat() for day in q1.days] == ["2023-02-01", "2023-02-02"]


def test_one_pass_around_utc_midnight_stays_one_day():
    frames = [
        scene("2023-01-31T23:59:50", footprint=part(0.5), name="a"),
        scene("2023-02-01T00:00:15", footprint=box(WEST + 0.4 / 18, SOUTH - 1, EAST + 1, NORTH + 1),
              name="b"),
    ]  # fmt: skip
    (q1, *_) = select_s1(frames, TILE, 2023).quarters
    assert [(day.day.isoformat(), day.coverage) for day in q1.days] == [("2023-02-01", 1.0)]
    assert [s.id for s in q1.days[0].scenes] == ["a", "b"]
    assert q1.qualified


def test_the_windows_days():
    assert window("Q1", 2024) == (dt.date(2024, 1, 15), dt.date(2024, 3, 15))


# Coverage


@pytest.mark.parametrize(("share", "qualified"), [(0.9499, False), (0.9501, True), (1.0, True)])
def test_the_coverage_that_qualifies(share: float, qualified: bool):
    selection = select_s1([scene("2023-02-01", footprint=part(share))], TILE, 2023)
    assert selection.quarters[0].qualified is qualified
    assert selection.qualifying_days["ascending"] == int(qualified)
    # The only day there is makes the quarter either way.
    assert len(selection.quarters[0].days) == 1
    assert selection.quarters[0].days[0].coverage == pytest.approx(share)


def test_exactly_the_coverage_asked_for_qualifies():
    rules = S1Rules(min_coverage=0.5)
    selection = select_s1([scene("2023-02-01", footprint=part(0.5))], TILE, 2023, rules)
    assert selection.quarters[0].qualified
    assert selection.qualifying_days["ascending"] == 1


def test_where_no_day_qualifies_the_best_one_is_taken_alone():
    scenes = [
        scene("2023-01-20", footprint=part(0.3)),
        scene("2023-01-25", footprint=part(0.9)),
        scene("2023-02-25", footprint=part(0.6)),
    ]
    assert chosen(scenes, "Q1") == ["2023-01-25"]


def test_days_that_do_not_qualify_do_not_fill_up_those_that_do():
    scenes = [scene("2023-01-20"), scene("2023-01-25", footprint=part(0.94))]
    assert chosen(scenes, "Q1") == ["2023-01-20"]


def test_a_footprint_beside_the_tile_makes_a_gap():
    beside = scene("2023-02-01", footprint=box(EAST, SOUTH, EAST + 1, NORTH))
    nowhere = scene("2023-02-02", footprint=Polygon())
    selection = select_s1([beside, nowhere], TILE, 2023)
    assert selection.gaps == ("Q1", "Q2", "Q3", "Q4")
    assert selection.quarters[0].candidate_days == 2


@pytest.mark.parametrize(("days", "taken"), [(2, 2), (3, 3), (4, 3)])
def test_at_most_three_days(days: int, taken: int):
    scenes = [scene(f"2023-02-{10 + day}") for day in range(days)]
    assert len(chosen(scenes, "Q1")) == taken


def test_the_best_covered_days_come_first_then_the_later():
    scenes = [scene(f"2023-02-{day}") for day in (10, 11, 12, 13)]
    assert chosen(scenes, "Q1") == ["2023-02-11", "2023-02-12", "2023-02-13"]
    scenes[0] = scene("2023-02-10", footprint=WHOLE)
    scenes[1:] = [replace(s, footprint=part(0.97)) for s in scenes[1:]]
    assert chosen(scenes, "Q1") == ["2023-02-10", "2023-02-12", "2023-02-13"]


def test_a_footprint_across_the_antimeridian_covers_a_tile_on_either_side():
    split = [[[179, -21], [180, -21], [180, -19], [179, -19], [179, -21]]]
    rest = [[[-180, -21], [-179, -21], [-179, -19], [-180, -19], [-180, -21]]]
    across = [[[179, -21], [-179, -21], [-179, -19], [179, -19], [179, -21]]]
    documents = [
        {"type": "MultiPolygon", "coordinates": [split, rest]},
        {"type": "Polygon", "coordinates": across},
    ]
    for geometry in documents:
        item = {
            "id": "a",
            "geometry": geometry,
            "properties": {"datetime": "2023-02-01T06:00:00Z", "sat:orbit_state": "ascending"},
        }
        for lon in (179.99, -179.99, 180.0):
            (q1, *_) = select_s1([s1_scene(item)], Tile(1, 1, lon, -20.0), 2023).quarters
            assert q1.days[0].coverage == 1.0
        (q1, *_) = select_s1([s1_scene(item)], Tile(1, 1, 0.0, -20.0), 2023).quarters
        assert q1.days == ()


# Orbits


def test_auto_takes_the_direction_with_more_qualifying_days():
    scenes = [*four_quarters("ascending", 1), *four_quarters("descending", 2)]
    selection = select_s1(scenes, TILE, 2023)
    assert selection.orbit == "descending"
    assert selection.qualifying_days == {"ascending": 4, "descending": 8}
    assert selection.gaps == ()
    assert all(
        s.orbit_state == "descending" for q in selection.quarters for d in q.days for s in d.scenes
    )


def test_days_beyond_three_a_quarter_do_not_count():
    scenes = [
        *[scene(f"2023-02-{10 + day}", "descending") for day in range(9)],
        *four_quarters("ascending", 1),
    ]
    selection = select_s1(scenes, TILE, 2023)
    assert selection.qualifying_days == {"ascending": 4, "descending": 3}
    assert selection.orbit == "ascending"


def test_of_equal_directions_the_one_with_more_scenes_wins():
    # The frame outside any window counts as a scene, not as a day.
    scenes = [
        *four_quarters("ascending"),
        *four_quarters("descending"),
        scene("2023-05-30", "descending", footprint=part(0.2)),
        scene("2023-12-30", "descending"),
    ]
    assert select_s1(scenes[:-2], TILE, 2023).orbit == "ascending"
    selection = select_s1(scenes, TILE, 2023)
    assert selection.scenes_listed == {"ascending": 4, "descending": 6}
    assert selection.orbit == "descending"


def test_of_wholly_equal_directions_ascending_wins():
    scenes = [*four_quarters("descending", 2), *four_quarters("ascending", 2)]
    assert select_s1(scenes, TILE, 2023).orbit == "ascending"


def test_scenes_of_other_years_do_not_count():
    scenes = [*four_quarters("ascending"), *four_quarters("descending")]
    other = [replace(s, datetime=s.datetime.replace(year=2022)) for s in scenes[4:]]
    assert select_s1([*scenes, *other], TILE, 2023).orbit == "ascending"


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (OrbitChoice.ASCENDING, {"a"}),
        (OrbitChoice.DESCENDING, {"d"}),
        (OrbitChoice.BOTH, {"a", "d", "unknown"}),
        (OrbitChoice.AUTO, {"a"}),
    ],
)
def test_the_choice_of_the_orbit(choice: OrbitChoice, ids: set[str]):
    scenes = [
        scene("2023-02-01", "ascending", name="a"),
        scene("2023-02-01", "descending", name="d"),
        scene("2023-02-02", None, name="unknown"),
    ]
    selection = select_s1(scenes, TILE, 2023, S1Rules(orbit=choice))
    found = {s.id for q in selection.quarters for d in q.days for s in d.scenes}
    assert found == ids
    assert selection.orbit == ("ascending" if choice is OrbitChoice.AUTO else choice.value)


def test_both_directions_of_a_day_count_as_one_day_together():
    scenes = [
        scene("2023-02-01T05:00:00", "descending", part(0.5)),
        scene("2023-02-01T18:00:00", "ascending",
              box(WEST + 0.4 / 18, SOUTH - 1, EAST + 1, NORTH + 1)),
    ]  # fmt: skip
    (q1, *_) = select_s1(scenes, TILE, 2023, S1Rules(orbit=OrbitChoice.BOTH)).quarters
    assert [day.coverage for day in q1.days] == [1.0]
    (q1, *_) = select_s1(scenes, TILE, 2023).quarters
    assert not q1.qualified


def test_without_scenes_every_quarter_is_a_gap():
    selection = select_s1([], TILE, 2023)
    assert selection.gaps == ("Q1", "Q2", "Q3", "Q4")
    assert selection.orbit == "ascending"


@examples(20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_search_decides_nothing(random):
    scenes = [
        *four_quarters("ascending", 5),
        *four_quarters("descending", 5),
        scene("2023-02-01", footprint=part(0.4)),
    ]
    shuffled = random.sample(scenes, len(scenes))
    assert select_s1(shuffled, TILE, 2023) == select_s1(scenes, TILE, 2023)


def test_real_items_are_read():
    document = json.loads(real_data("s1_dem/sentinel-1-rtc-pc.json").read_text())
    items = document["features"] if isinstance(document, dict) else document
    scenes = [s1_scene(item) for item in items]
    first = scenes[0]
    assert first.id.startswith("S1A_IW_GRDH")
    assert first.orbit_state == "descending"
    assert first.relative_orbit is not None
    assert first.datetime.tzinfo is not None
    # Two frames of one pass, 25 s apart: what lies on their seam needs both.
    seam = Tile(1, 1, 15.3, 30.73)
    selection = select_s1(scenes, seam, 2024)
    (q2,) = [q for q in selection.quarters if q.days]
    assert q2.name == "Q2"
    assert [len(day.scenes) for day in q2.days] == [len(scenes)]
    assert q2.days[0].coverage > 0.99


def test_an_item_without_id_or_time_is_told():
    for item, what in [({"properties": {"datetime": "2023-01-01T00:00:00Z"}}, "id"),
                       ({"id": "a", "properties": {}}, "datetime")]:  # fmt: skip
        with pytest.raises(PermanentError, match=f"has no {what}") as told:
            s1_scene(item)
        assert told.value.reason == SourceFault.CORRUPT
    bare = s1_scene({"id": "a", "properties": {"datetime": "2023-01-01T00:00:00Z"}})
    assert (bare.orbit_state, bare.relative_orbit, bare.footprint.is_empty) == (None, None, True)


def test_rules_that_cannot_be_used_are_told_together():
    with pytest.raises(BadInputError, match=r"days_per_quarter is 0.*min_coverage is 1.5.*resol"):
        S1Rules(days_per_quarter=0, min_coverage=1.5, resolution_m=0)
