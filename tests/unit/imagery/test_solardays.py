"""Scenes by solar day, and the fingerprint of a day."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.imagery.site import Site
from estinel_assets.imagery.solardays import fingerprint, group_solar_days
from estinel_assets.imagery.windows import site_window
from estinel_assets.solarday import solar_day
from estinel_assets.stac.bands import Provider, asset_keys
from estinel_assets.stac.offsets import HARMONISATION_VERSION
from estinel_assets.stac.scene_columns import known_scenes
from estinel_assets.stac.scene_table import merge_items
from estinel_assets.stac.scenes import Scene, parse_scene
from estinel_assets.stac.versions import keep_newest
from tests.unit.stac.stac_items import all_real_items

WINDOW = site_window(Site("Hobart", 147.3257, -42.8826, 10, 400, 300))
START = datetime(2024, 12, 1, tzinfo=UTC)
BARE = Scene(
    id="",
    collection="sentinel-2-c1-l2a",
    datetime=START,
    centroid_longitude_deg=None,
    platform=None,
    mgrs_tile=None,
    datatake=None,
    sensing_start=None,
    baseline=None,
    updated=None,
    cloud_cover=None,
    assets={},
    self_href=None,
)

instants = st.integers(0, 3 * 86_400_000_000).map(lambda us: START + timedelta(microseconds=us))
pieces = st.sampled_from(["a", "b", None])
scenes = st.lists(
    st.builds(
        lambda name, when, longitude, piece, baseline, updated, withdrawn: replace(
            BARE, id=name, datetime=when, centroid_longitude_deg=longitude, platform=piece,
            datatake=piece, mgrs_tile=piece, sensing_start=piece, baseline=baseline,
            updated=updated, withdrawn=withdrawn,
        ),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
        instants,
        st.none() | st.floats(-180, 180),
        pieces,
        st.none() | st.just((5, 10)) | st.just((5, 11)),
        st.none() | instants,
        st.booleans(),
    ),
    unique_by=lambda scene: scene.id,
    max_size=12,
)  # fmt: skip


def plain_fingerprint(of: list[Scene]) -> str:
    """What a fingerprint is made of, written down without any shortcut."""
    grid = WINDOW.grid
    content = {
        "scenes": sorted(
            [scene.id, scene.updated.isoformat() if scene.updated else ""] for scene in of
        ),
        "window": [grid.crs, grid.transform, grid.width, grid.height],
        "bands": dict(asset_keys(Provider.EARTH_SEARCH)),
        "harmonisation": HARMONISATION_VERSION,
    }
    encoded = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return sha256(encoded).hexdigest()[:16]


@given(scenes, st.floats(-180, 180), st.sampled_from(["estinel", "estinel-r"]))
def test_days_are_those_of_their_scenes_one_by_one(known, longitude, rule):
    grouped = group_solar_days(known, WINDOW, longitude, Provider.EARTH_SEARCH, rule=rule)

    expected: dict = {}
    for scene in known:
        own = scene.centroid_longitude_deg if rule == "estinel-r" else None
        at = longitude if own is None else own
        expected.setdefault(solar_day(scene.datetime, at, rule), []).append(scene)
    assert list(grouped) == sorted(expected)
    for day, members in expected.items():
        offered = [scene for scene in members if not scene.withdrawn]
        kept, superseded = keep_newest(offered)
        assert (grouped[day].scenes, dict(grouped[day].superseded)) == (kept, superseded)
        assert grouped[day].fingerprint == plain_fingerprint(list(kept))
    assert len(grouped) == len(expected)
    assert dict(grouped.items()) == {day: grouped[day] for day in expected}


@given(scenes, st.floats(-180, 180), st.sampled_from(["estinel", "estinel-r"]), st.data())
def test_fingerprints_need_no_scenes_and_are_those_of_the_days(known, longitude, rule, draw):
    """What is asked of a day in one way first does not change what another way says of it."""
    grouped = group_solar_days(known, WINDOW, longitude, Provider.EARTH_SEARCH, rule=rule)
    days = list(grouped)
    looked_at = draw.draw(st.sets(st.sampled_from(days)) if days else st.just(set()))
    also = draw.draw(st.sets(st.sampled_from(days)) if days else st.just(set()))
    for day in looked_at:
        assert grouped[day].day == day

    prints = grouped.fingerprints(also=also)

    again = group_solar_days(iter(known), WINDOW, longitude, Provider.EARTH_SEARCH, rule=rule)
    with_scenes = [day for day in days if again[day].scenes]
    assert list(prints) == [day for day in days if day in also or day in with_scenes]
    assert dict(prints) == {
        day: plain_fingerprint(list(again[day].scenes)) for day in days if day in prints
    }
    assert len(prints) == len(dict(prints))
    assert [grouped.fingerprint(day) for day in days] == [again[day].fingerprint for day in days]
    assert grouped.newest == max(with_scenes, default=None)


def test_days_that_are_not_there_are_told_apart():
    withdrawn = replace(BARE, id="gone", withdrawn=True)
    grouped = group_solar_days([withdrawn], WINDOW, 0.0, Provider.EARTH_SEARCH)
    day, other = START.date(), START.date() + timedelta(days=1)

    assert (day in grouped, other in grouped, grouped.get(other)) == (True, False, None)
    assert (grouped[day].scenes, grouped.newest) == ((), None)
    prints = grouped.fingerprints()
    assert (list(prints), day in prints, prints.get(day)) == ([], False, None)
    assert grouped.fingerprints(also=[day])[day] == plain_fingerprint([])
    with pytest.raises(KeyError):
        grouped[other]
    with pytest.raises(KeyError):
        prints[day]


def test_scenes_of_a_table_are_grouped_as_those_they_were_made_of():
    """Scenes of the real world, through the columns of a stored table."""
    items = {item["id"]: item for _, item in all_real_items()}
    table = merge_items(None, items.values(), covered=()).table
    parsed = [parse_scene(item, Provider.EARTH_SEARCH) for item in items.values()]
    rows = [replace(scene, assets={}, self_href=None) for scene in parsed]
    by_day: dict = {}
    for scene in rows:
        by_day.setdefault(solar_day(scene.datetime, 147.3257), []).append(scene)

    grouped = group_solar_days(known_scenes(table), WINDOW, 147.3257, Provider.EARTH_SEARCH)

    assert list(grouped) == sorted(by_day)
    assert any(grouped[day].superseded for day in grouped)
    for day, prints in grouped.fingerprints().items():
        kept, superseded = keep_newest(by_day[day])
        assert (grouped[day].scenes, grouped[day].superseded) == (kept, superseded)
        assert prints == grouped[day].fingerprint == plain_fingerprint(list(kept))


@given(scenes)
def test_a_fingerprint_is_a_hash_of_what_decides(known):
    assert fingerprint(known, WINDOW, Provider.EARTH_SEARCH) == plain_fingerprint(known)


def test_a_fingerprint_tells_all_that_changes_an_image():
    one = replace(BARE, id="one", updated=START)
    other_window = site_window(Site("Hobart", 147.3257, -42.8826, 20, 400, 300))
    prints = [
        fingerprint([one], WINDOW, Provider.EARTH_SEARCH),
        fingerprint([], WINDOW, Provider.EARTH_SEARCH),
        fingerprint([replace(one, id="two")], WINDOW, Provider.EARTH_SEARCH),
        fingerprint(
            [replace(one, updated=START + timedelta(microseconds=1))], WINDOW, Provider.EARTH_SEARCH
        ),
        fingerprint([one], other_window, Provider.EARTH_SEARCH),
        fingerprint([one], WINDOW, Provider.PLANETARY_COMPUTER),
    ]

    assert len(set(prints)) == len(prints)
    assert fingerprint([replace(one, cloud_cover=3.0)], WINDOW, Provider.EARTH_SEARCH) == prints[0]
