"""Scenes by solar day: real ones, and what the fingerprint depends on."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.imagery import solardays
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.solardays import fingerprint, group_solar_days
from estinel_assets.imagery.windows import site_window
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.scenes import parse_scene
from tests.unit.stac.stac_items import PC_1000, made_item, real_items

PC, ES = Provider.PLANETARY_COMPUTER, Provider.EARTH_SEARCH
DENVER = Site("Denver", -104.99, 39.74)
HOBART = Site("Hobart", 147.3257, -42.8826)
WINDOW = site_window(HOBART)


def grouped(scenes, site=HOBART, provider=ES, **options):
    return group_solar_days(scenes, site_window(site), site.lon, provider, **options)


def scene(item_id="a", when="2024-12-04T00:00:00Z", **properties):
    return parse_scene(made_item(item_id, when, **properties), ES)


@pytest.fixture(scope="module")
def colorado():
    return [parse_scene(item, PC) for item in real_items(PC_1000)]


def test_a_thousand_real_scenes_fall_on_their_days(colorado):
    days = grouped(colorado, DENVER, PC)

    # Local mean solar time, by hand: passes are at about 17:50 UTC, 10:50 in Colorado.
    expected = Counter((one.datetime + timedelta(hours=DENVER.lon / 15)).date() for one in colorado)
    assert {day: len(found.scenes) for day, found in days.items()} == dict(expected)
    assert list(days) == sorted(days)
    assert len({found.fingerprint for found in days.values()}) == len(days)


def test_the_halves_among_real_scenes_are_both_kept(colorado):
    days = grouped(colorado, DENVER, PC)

    shared = defaultdict(list)
    for one in colorado:
        shared[one.platform, one.datatake, one.mgrs_tile].append(one)
    halves = [pair for pair in shared.values() if len(pair) > 1]
    assert len(halves) == 13
    kept = {one.id for found in days.values() for one in found.scenes}
    assert len(kept) == 1000
    for pair in halves:
        assert len({one.sensing_start for one in pair}) == len(pair) == 2
        assert {one.id for one in pair} <= kept
    assert not any(found.superseded for found in days.values())


def test_a_reprocessed_version_of_a_real_half_replaces_only_that_half(colorado):
    shared = defaultdict(list)
    for one in colorado:
        shared[one.platform, one.datatake, one.mgrs_tile].append(one)
    first, second = next(pair for pair in shared.values() if len(pair) == 2)
    newer = replace(first, id=f"{first.id}_again", baseline=(5, 12))

    days = grouped([*colorado, newer], DENVER, PC)

    kept = {one.id for found in days.values() for one in found.scenes}
    assert newer.id in kept
    assert second.id in kept
    assert first.id not in kept
    superseded = [found.superseded for found in days.values() if found.superseded]
    assert superseded == [{newer.id: (first.id,)}]


def test_scenes_are_in_order_and_without_their_assets_mattering():
    late, early = scene("a", "2024-12-04T00:10:00Z"), scene("b", "2024-12-04T00:00:00Z")
    twin = scene("c", "2024-12-04T00:00:00Z", **{"grid:code": "MGRS-55GEP"})
    late = replace(late, mgrs_tile="55GDQ")

    found = grouped([late, twin, early])[date(2024, 12, 4)]

    assert [one.id for one in found.scenes] == ["b", "c", "a"]


def test_a_site_keeps_both_sides_of_a_pass_together():
    # By the centroids of the scenes these would be two days; the site decides.
    west = replace(scene("w", "2024-12-04T14:05:00Z"), centroid_longitude_deg=146.0)
    east = replace(
        scene("e", "2024-12-04T14:05:10Z", **{"grid:code": "MGRS-55GEP"}),
        centroid_longitude_deg=149.9,
    )

    assert {day: len(found.scenes) for day, found in grouped([west, east]).items()} == {
        date(2024, 12, 4): 2
    }


def test_the_rule_of_the_r_pipeline_takes_the_longitude_of_the_scene():
    pass_of_the_morning = replace(scene(when="2024-12-04T18:00:00Z"), centroid_longitude_deg=-105.0)
    site = replace(DENVER, lon=-105.0)

    assert list(grouped([pass_of_the_morning], site)) == [date(2024, 12, 4)]
    assert list(grouped([pass_of_the_morning], site, rule="estinel-r")) == [date(2024, 12, 5)]
    without = replace(pass_of_the_morning, centroid_longitude_deg=None)
    assert list(grouped([without], site, rule="estinel-r")) == [date(2024, 12, 5)]


def test_a_day_whose_scenes_were_all_withdrawn_is_there_without_scenes():
    gone = replace(scene(), withdrawn=True)
    found = grouped([gone, scene("b", "2024-12-06T00:00:00Z")])

    assert found[date(2024, 12, 4)].scenes == ()
    assert found[date(2024, 12, 4)].superseded == {}
    assert len(found[date(2024, 12, 6)].scenes) == 1


def test_a_withdrawn_version_supersedes_nothing():
    old = scene("old", **{"s2:processing_baseline": "05.00"})
    new = replace(scene("new", **{"s2:processing_baseline": "05.11"}), withdrawn=True)

    (found,) = grouped([old, new]).values()

    assert [one.id for one in found.scenes] == ["old"]
    assert found.superseded == {}


def test_no_scenes_no_days():
    assert grouped([]) == {}


# The fingerprint


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_an_answer_does_not_matter(order):
    scenes = [scene(name) for name in order]

    assert fingerprint(scenes, WINDOW, ES) == fingerprint(
        sorted(scenes, key=lambda s: s.id), WINDOW, ES
    )


def test_what_changes_the_images_changes_the_fingerprint(monkeypatch):
    base = scene()
    stamped = replace(base, updated=datetime(2025, 1, 1, tzinfo=UTC))
    wider = site_window(replace(HOBART, radiusx=3100))
    coarser = site_window(replace(HOBART, resolution=20))
    prints = {
        "as it is": fingerprint([base], WINDOW, ES),
        "another version of a scene": fingerprint([stamped], WINDOW, ES),
        "another scene": fingerprint([replace(base, id="b")], WINDOW, ES),
        "one more scene": fingerprint([base, replace(base, id="b")], WINDOW, ES),
        "none": fingerprint([], WINDOW, ES),
        "a wider window": fingerprint([base], wider, ES),
        "coarser pixels": fingerprint([base], coarser, ES),
        "other bands": fingerprint([base], WINDOW, PC),
    }
    monkeypatch.setattr(solardays, "HARMONISATION_VERSION", "next")
    prints["another harmonisation"] = fingerprint([base], WINDOW, ES)

    assert len(set(prints.values())) == len(prints)
    assert all(len(value) == 16 for value in prints.values())


def test_what_does_not_change_the_images_leaves_the_fingerprint():
    base = scene()
    other = replace(base, cloud_cover=99.0, self_href="https://elsewhere/", platform=None)

    assert fingerprint([other], WINDOW, ES) == fingerprint([base], WINDOW, ES)
    renamed = replace(WINDOW, site_id="site_00000000")
    assert fingerprint([base], renamed, ES) == fingerprint([base], WINDOW, ES)


def test_the_fingerprint_is_the_same_in_every_release():
    # Changing it makes every image of every archive anew.
    assert fingerprint([scene()], WINDOW, ES) == "5ed48870fb78c7bc"


def test_the_stamp_is_updated_else_created_else_generated():
    when = "2024-05-18T01:02:03Z"
    by = [
        scene(updated=when, created="2020-01-01T00:00:00Z"),
        scene(updated=None, created=when),
        scene(updated=None, **{"s2:generation_time": when}),
    ]
    assert len({fingerprint([one], WINDOW, ES) for one in by}) == 1
