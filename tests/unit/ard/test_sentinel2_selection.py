"""Sentinel-2: which days are used, on both sides of every threshold."""

import datetime as dt
import itertools

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon, box

from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.sentinel2_rules import (
    CLOUDY_CLASSES,
    S2Rules,
    cloud_grid,
    quality_grid,
)
from estinel_assets.ard.sentinel2_selection import (
    CloudScore,
    Drop,
    S2Scene,
    bad_fraction,
    candidate_days,
    reason_for,
    s2_scene,
    score_clouds,
    select_clear,
    select_usable,
)
from estinel_assets.ard.tiles import Tile, tile_grid
from estinel_assets.errors import BadInputError, PermanentError
from tests.support.examples import examples
from tests.support.real import real_data
from tests.unit.stac.stac_items import PC_2020, real_items

TILE = Tile(1035, 727, 15.0, -20.0)
WEST, SOUTH, EAST, NORTH = TILE.bbox
WHOLE = box(WEST - 1, SOUTH - 1, EAST + 1, NORTH + 1)
CLEAR, CLOUD = 4, 9


def part(share: float) -> Polygon:
    """A footprint that covers a share of the tile, from the west on."""
    return box(WEST - 1, SOUTH - 1, WEST + share * (EAST - WEST), NORTH + 1)


def scene(day: str, cloud: float | None = 10.0, footprint=WHOLE, name: str = "") -> S2Scene:
    """A scene at half past eight UTC, or at an instant."""
    instant = dt.datetime.fromisoformat(day if "T" in day else f"{day}T08:30:00")
    return S2Scene(name or day, instant.replace(tzinfo=dt.UTC), footprint, cloud)


def days_of(scenes, tile: Tile = TILE, rules: S2Rules | None = None) -> list[str]:
    return [day.day.isoformat() for day in candidate_days(scenes, tile, 2023, rules)]


def score(day: str, cloud: float, local: float | None = None, weighted: float | None = None):
    """A day's score as `score_clouds` makes it, unless the weighted one is given."""
    local = cloud if local is None else local
    if weighted is None:
        weighted = 0.25 * cloud + 0.75 * local if cloud > 0.30 else cloud
    return CloudScore(dt.date.fromisoformat(f"2023-{day}"), cloud, local, weighted)


def kept(*scores: CloudScore, rules: S2Rules | None = None) -> list[str]:
    return [found.day.strftime("%m-%d") for found in select_clear(scores, rules).kept]


# The days that are looked at


@pytest.mark.parametrize(
    ("cloud", "stays"), [(0.0, True), (49.99, True), (50.0, False), (100.0, False), (None, True)]
)
def test_cloudy_scenes_are_not_looked_at(cloud: float | None, stays: bool):
    assert days_of([scene("2023-05-01", cloud)]) == (["2023-05-01"] if stays else [])


@pytest.mark.parametrize(
    ("share", "stays"), [(0.0, False), (0.9499, False), (0.9501, True), (1.0, True)]
)
def test_days_that_do_not_cover_the_tile_are_not_looked_at(share: float, stays: bool):
    assert bool(days_of([scene("2023-05-01", footprint=part(share))])) is stays


def test_exactly_the_coverage_asked_for_is_enough():
    half = [scene("2023-05-01", footprint=part(0.5))]
    assert days_of(half, rules=S2Rules(min_coverage=0.5)) == ["2023-05-01"]


def test_scenes_of_a_day_cover_together_and_those_beside_only_count_for_clouds():
    rest = box(WEST + 0.4 / 18, SOUTH - 1, EAST + 1, NORTH + 1)
    beside = box(EAST + 0.1, SOUTH, EAST + 1, NORTH)
    scenes = [
        scene("2023-05-01T08:30:14", footprint=rest, name="b"),
        scene("2023-05-01T08:30:00", footprint=part(0.5), name="a"),
        scene("2023-05-01T08:31:00", footprint=beside, name="c"),
        scene("2023-05-01T08:32:00", footprint=Polygon(), name="nowhere"),
        scene("2023-05-02T08:30:00", footprint=beside, name="d"),
    ]
    (day,) = candidate_days(scenes, TILE, 2023)
    assert [s.id for s in day.scenes] == ["a", "b", "c", "nowhere"]
    assert [s.id for s in day.tile_scenes] == ["a", "b"]
    assert day.coverage == 1.0


def test_a_scene_that_is_too_cloudy_does_not_cover():
    rest = box(WEST + 0.4 / 18, SOUTH - 1, EAST + 1, NORTH + 1)
    scenes = [scene("2023-05-01", footprint=part(0.5)), scene("2023-05-01", 60.0, rest)]
    assert days_of(scenes) == []


def test_days_and_the_year_are_solar():
    # At 15° E solar time is an hour ahead.
    scenes = [
        scene(f"{instant}:00")
        for instant in ("2022-12-31T22:59", "2022-12-31T23:00", "2023-12-31T22:59",
                        "2023-12-31T23:00")
    ]  # fmt: skip
    assert days_of(scenes) == ["2023-01-01", "2023-12-31"]
    east = Tile(1, 1, 178.0, -20.0)
    wide = box(177, -21, 179, -19)
    scenes = [scene("2023-05-01T22:30:00", footprint=wide),
              scene("2023-05-02T00:10:00", footprint=wide)]  # fmt: skip
    assert days_of(scenes, east) == ["2023-05-02"]


def test_real_items_are_read():
    items = real_items(PC_2020)
    scenes = [s2_scene(item) for item in items]
    middle = scenes[0].footprint.centroid
    days = candidate_days(scenes, Tile(1, 1, middle.x, middle.y), 2020)
    assert days
    assert {day.day.month for day in days} <= {6, 7}
    assert all(s.cloud_cover_percent < 50 for day in days for s in day.scenes)
    with pytest.raises(PermanentError, match="has no datetime"):
        s2_scene({"id": "a", "properties": {}})


# Scores


def test_a_real_classification_is_counted_class_by_class():
    path = real_data("imagery/earthsearch_33T_20230818/S2A_33TWL_20230818_0_L2A/SCL.tif")
    with rasterio.open(path) as dataset:
        scl = dataset.read(1)
    # Two of its pixels have a value that the definition does not know.
    assert (scl > 11).sum() == 2
    seen = sum(int((scl == value).sum()) for value in (4, 5, 6))
    found = score_clouds(DAY, scl)
    assert found.cloud_fraction == pytest.approx(1 - seen / scl.size)
    assert found.cloud_fraction == bad_fraction(scl)
    middle = scl[442:472, 442:472]
    assert found.local_fraction == pytest.approx(1 - np.isin(middle, [4, 5, 6]).mean())


def test_which_classes_are_cloudy():
    for value in range(256):
        cloudy = value not in {4, 5, 6}
        assert bad_fraction(np.full((3, 3), value, dtype=np.uint8)) == float(cloudy)
        if value <= 11:
            assert (value in CLOUDY_CLASSES) is cloudy


def wide(cloudy_share: float, local_share: float = 0.0, side: int = 140) -> np.ndarray:
    """A wide area with these shares of cloud outside its middle and within."""
    scl = np.full((side, side), CLEAR, dtype=np.uint8)
    middle = np.zeros((side, side), dtype=bool)
    middle[side // 2 - 15 : side // 2 + 15, side // 2 - 15 : side // 2 + 15] = True
    inside, outside = np.flatnonzero(middle), np.flatnonzero(~middle)
    scl.flat[inside[: round(local_share * inside.size)]] = CLOUD
    left = round(cloudy_share * scl.size) - round(local_share * inside.size)
    scl.flat[outside[:left]] = CLOUD
    return scl


DAY = dt.date(2023, 5, 1)


def test_the_middle_is_thirty_by_thirty():
    for side in (140, 145):
        scl = np.full((side, side), CLEAR, dtype=np.uint8)
        scl[side // 2 - 15 : side // 2 + 15, side // 2 - 15 : side // 2 + 15] = CLOUD
        found = score_clouds(DAY, scl)
        assert found.local_fraction == 1.0
        assert found.cloud_fraction == pytest.approx(900 / side**2)
        scl[side // 2 - 15, side // 2] = CLEAR
        assert score_clouds(DAY, scl).local_fraction < 1
        scl[side // 2 + 15, side // 2] = CLOUD
        assert score_clouds(DAY, scl).local_fraction == pytest.approx(899 / 900)


@pytest.mark.parametrize("shape", [(1, 1), (29, 30), (30, 12), (30, 30)])
def test_a_small_area_is_all_middle(shape: tuple[int, int]):
    scl = np.full(shape, CLEAR, dtype=np.uint8)
    scl[0, 0] = CLOUD
    found = score_clouds(DAY, scl)
    assert found.local_fraction == found.cloud_fraction == pytest.approx(1 / scl.size)


@pytest.mark.parametrize(
    ("cloud", "local", "weighted"),
    [
        (0.10, 1.0, 0.10),
        (0.30, 1.0, 0.30),
        (0.31, 1.0, 0.25 * 0.31 + 0.75),
        (0.31, 0.0, 0.25 * 0.31),
        (0.50, 0.5, 0.50),
    ],
)
def test_above_a_moderate_share_the_middle_counts_more(cloud: float, local: float, weighted: float):
    found = score_clouds(DAY, wide(cloud, local, side=100))
    assert found.cloud_fraction == pytest.approx(cloud)
    assert found.local_fraction == pytest.approx(local)
    assert found.weighted == pytest.approx(weighted)


def test_nothing_to_count_is_a_bug():
    nothing = np.zeros((0, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="no pixels"):
        score_clouds(DAY, nothing)
    with pytest.raises(ValueError, match="no pixels"):
        bad_fraction(nothing)


# Stage 1


@pytest.mark.parametrize(
    ("cloud", "local", "drop"),
    [
        (0.50, 0.0, None),
        (0.5001, 0.0, Drop.HARD),
        (0.40, 0.40, None),
        (0.32, 0.4266, None),
        (0.32, 0.4268, Drop.WEIGHTED),
        (0.50, 0.3666, None),
        (0.50, 0.3668, Drop.WEIGHTED),
        (0.30, 1.0, None),
        (1.0, 1.0, Drop.HARD),
    ],
)
def test_hard_drop_and_weighted(cloud: float, local: float, drop: Drop | None):
    found = select_clear([score("05-01", cloud, local)])
    assert found.dropped.get(dt.date(2023, 5, 1)) is drop
    assert len(found.kept) == (drop is None)


@pytest.mark.parametrize(
    ("local", "other", "stays"),
    [(0.30, 0.10, True), (0.3001, 0.10, False), (0.20, 0.0, True), (0.2001, 0.0, False)],
)
def test_better_in_month(local: float, other: float, stays: bool):
    scores = [score("05-01", 0.2, local), score("05-30", 0.2, other)]
    assert ("05-01" in kept(*scores)) is stays
    # Neither another month's day nor the day itself matters.
    scores[1] = score("06-01", 0.2, other)
    assert "05-01" in kept(*scores)


def test_a_dropped_day_is_still_better():
    scores = [score("05-01", 0.2, 0.25), score("05-30", 0.9, 0.0)]
    found = select_clear(scores)
    assert found.kept == ()
    assert list(found.dropped.values()) == [Drop.BETTER_IN_MONTH, Drop.HARD]


@pytest.mark.parametrize(("days", "left"), [(1, 1), (2, 2), (3, 2), (9, 2)])
def test_two_days_of_a_month(days: int, left: int):
    scores = [score(f"05-{day:02d}", 0.1) for day in range(1, days + 1)]
    assert kept(*scores) == ["05-01", "05-02"][:left]
    assert list(select_clear(scores).dropped.values()) == [Drop.ENOUGH_IN_MONTH] * (days - left)


def test_the_lowest_scores_of_a_month_stay():
    scores = [score(f"05-{day:02d}", cloud) for day, cloud in
              [(1, 0.2), (9, 0.05), (17, 0.1), (25, 0.15)]]  # fmt: skip
    assert kept(*scores) == ["05-09", "05-17"]


def test_at_most_so_many_days_of_the_year():
    scores = [score(f"{month:02d}-{day:02d}", (month + day / 100) / 100)
              for month in range(1, 13) for day in (1, 2, 3)]  # fmt: skip
    assert len(kept(*scores)) == 24
    rules = S2Rules(max_per_year=5)
    assert kept(*scores, rules=rules) == ["01-01", "01-02", "02-01", "02-02", "03-01"]
    dropped = select_clear(scores, rules).dropped
    assert dropped[dt.date(2023, 3, 2)] is Drop.ENOUGH_IN_YEAR
    assert dropped[dt.date(2023, 3, 3)] is Drop.ENOUGH_IN_MONTH
    rules = S2Rules(max_per_month=3, max_per_year=24)
    assert len(kept(*scores, rules=rules)) == 24
    rules = S2Rules(max_per_month=3, max_per_year=40)
    assert len(kept(*scores, rules=rules)) == 36


shares = st.floats(0, 1)


@examples(60)
@given(
    st.lists(
        st.tuples(st.dates(dt.date(2023, 1, 1), dt.date(2023, 12, 31)), shares, shares),
        unique_by=lambda row: row[0],
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_every_day_is_kept_or_dropped_and_the_limits_hold(rows, random):
    scores = [score(day.strftime("%m-%d"), cloud, local) for day, cloud, local in rows]
    found = select_clear(scores)
    assert {s.day for s in found.kept} | set(found.dropped) == {s.day for s in scores}
    assert not {s.day for s in found.kept} & set(found.dropped)
    assert [s.day for s in found.kept] == sorted(s.day for s in found.kept)
    assert len(found.kept) <= 24
    for _, of_month in itertools.groupby(found.kept, key=lambda s: s.day.month):
        assert len(list(of_month)) <= 2
    for s in found.kept:
        assert s.cloud_fraction <= 0.5
        assert s.weighted <= 0.4
    assert select_clear(random.sample(scores, len(scores))) == found


# Stage 2


@pytest.mark.parametrize(
    ("bad", "stays"), [(0.0, True), (0.20, True), (0.2001, False), (1.0, False)]
)
def test_bad_pixels(bad: float, stays: bool):
    found = select_usable({DAY: bad})
    assert found.kept == ((DAY,) if stays else ())
    assert found.dropped == ({} if stays else {DAY: Drop.BAD_PIXELS})


def test_bad_pixels_are_counted_over_the_whole_tile():
    scl = np.full((10, 10), CLEAR, dtype=np.uint8)
    scl[:2] = 0
    assert bad_fraction(scl) == 0.2
    scl[2, 0] = 11
    assert bad_fraction(scl) == 0.21


def test_the_order_of_days_is_time():
    later = dt.date(2023, 6, 1)
    assert select_usable({later: 0.1, DAY: 0.1}).kept == (DAY, later)


def test_the_reason():
    day = candidate_days([scene("2023-05-01")], TILE, 2023)
    assert reason_for(day, [DAY]) is ArdReason.NONE
    assert reason_for(day, []) is ArdReason.NO_CLEAR_SCENES
    assert reason_for([], []) is ArdReason.NO_SCENES


# Rules and grids


def test_the_originals_thresholds_are_the_defaults():
    rules = S2Rules()
    assert (rules.hard_drop_above, rules.max_weighted, rules.max_bad) == (0.5, 0.4, 0.2)
    assert (rules.min_coverage, rules.max_per_year, rules.max_per_month) == (0.95, 24, 2)
    assert sorted(CLOUDY_CLASSES) == [0, 1, 2, 3, 7, 8, 9, 10, 11]


def test_rules_that_cannot_be_used_are_told_together():
    with pytest.raises(
        BadInputError,
        match=r"max_bad is 1.2.*max_per_month is 0.*cloud_resolution_m is -1.*cent is 0",
    ):
        S2Rules(max_bad=1.2, max_per_month=0, cloud_resolution_m=-1, max_scene_cloud_percent=0)
    with pytest.raises(BadInputError, match="hard_drop_above is nan"):
        S2Rules(hard_drop_above=float("nan"))


@pytest.mark.parametrize("lon", [15.0, -179.99, 179.99, -180.0, 12.0])
@pytest.mark.parametrize("lat", [-55.0, 0.0, 55.0])
def test_the_grids_lie_around_the_tile(lon: float, lat: float):
    tile = Tile(1, 1, lon, lat)
    fine, quality, area = (
        tile_grid(tile),
        quality_grid(tile, S2Rules()),
        cloud_grid(tile, S2Rules()),
    )
    assert quality.crs == area.crs == fine.crs
    assert (quality.resolution, area.resolution) == (160.0, 640.0)
    left, bottom, right, top = fine.bounds
    for grid, margin in ((quality, 0), (area, 30_000)):
        # The tile's own grid is snapped outward to 120 m, which may reach beyond.
        assert grid.bounds[0] <= left + 120 - margin * np.cos(np.radians(lat)) * 0.9
        assert grid.bounds[1] <= bottom + 120 - margin
        assert grid.bounds[2] >= right - 120 + margin * np.cos(np.radians(lat)) * 0.9
        assert grid.bounds[3] >= top - 120 + margin
    assert 140 <= area.height <= 152
    assert 38 <= quality.height <= 43
