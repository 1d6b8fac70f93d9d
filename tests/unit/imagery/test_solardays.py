"""Scenes by solar day, and the fingerprint of a day."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.imagery.site import Site
from estinel_assets.imagery.solardays import fingerprint, group_solar_days
from estinel_assets.imagery.windows import site_window
from estinel_assets.solarday import solar_day
from estinel_assets.stac.bands import Provider, asset_keys
from estinel_assets.stac.offsets import HARMONISATION_VERSION
from estinel_assets.stac.scenes import Scene
from estinel_assets.stac.versions import keep_newest

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
