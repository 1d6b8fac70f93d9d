"""Sentinel-2: days laid together out of scenes, and what is kept of them."""

import datetime as dt

import numpy as np
import pytest
import rioxarray  # noqa: F401 - gives datasets their `rio`
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from estinel_assets.ard.scratch import ScratchFile
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS, S2_ASSET_KEYS
from estinel_assets.ard.sentinel2_composite import (
    Composites,
    S2Step,
    cirrus_mask,
    clouds_dataset,
    compose_day,
    days_of_year,
    s2_dataset,
)
from estinel_assets.ard.sentinel2_rules import S2Rules
from estinel_assets.ard.sentinel2_selection import CloudScore, Drop, score_clouds
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.bands import Provider, asset_keys
from estinel_assets.stac.offsets import OffsetDecision
from tests.support.ard_groups import composed
from tests.support.examples import examples
from tests.unit.stac.stac_items import C1, PC_2020, real_items

NOTHING = OffsetDecision(0, "nothing to add")
BASELINE_4 = OffsetDecision(-1000, "baseline from 04.00 on")
TAKEN_OUT = OffsetDecision(0, "taken out already", zero_is_nodata=False)


def bands(*rows: list[int]) -> np.ndarray:
    """Digital numbers (band, 1, pixel)."""
    return np.array(rows, dtype=np.uint16)[:, np.newaxis, :]


def test_each_scene_loses_its_own_offset():
    new = bands([1500, 1, 0, 60000], [3000, 1000, 0, 1001])
    old = bands([700, 800, 900, 1000], [701, 801, 901, 1001])
    np.testing.assert_array_equal(
        compose_day([(new, BASELINE_4), (old, NOTHING)]),
        bands([500, 1, 900, 59000], [2000, 1, 901, 1]),
    )


def test_all_bands_of_a_pixel_come_from_one_scene():
    edge = bands([0, 10, 10], [20, 0, 20])
    whole = bands([1, 2, 3], [4, 5, 6])
    np.testing.assert_array_equal(
        compose_day([(edge, NOTHING), (whole, NOTHING)]), bands([1, 2, 10], [4, 5, 20])
    )
    np.testing.assert_array_equal(compose_day([(edge, NOTHING)]), bands([0, 0, 10], [0, 0, 20]))


def test_dark_pixels_that_a_catalogue_made_zero_are_pixels():
    water = bands([300, 0, 0], [0, 25, 0])
    np.testing.assert_array_equal(compose_day([(water, TAKEN_OUT)]), bands([300, 1, 0], [1, 25, 0]))


def test_no_more_scenes_are_read_than_needed():
    def scenes():
        yield bands([1, 2], [3, 4]), NOTHING
        raise AssertionError("read although nothing was missing")

    np.testing.assert_array_equal(compose_day(scenes()), bands([1, 2], [3, 4]))


@examples(40)
@given(
    st.lists(
        st.tuples(
            hnp.arrays(
                np.uint16, (4, 2, 3), elements=st.sampled_from([0, 1, 999, 1000, 1001, 65535])
            ),
            st.sampled_from([NOTHING, BASELINE_4, TAKEN_OUT]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_days_against_a_pixel_by_pixel_reference(scenes):
    found = compose_day(scenes)
    assert found.dtype == np.uint16
    for row, column in np.ndindex(2, 3):
        expected = [0, 0, 0, 0]
        for dn, decision in scenes:
            numbers = [int(value) for value in dn[:, row, column]]
            if all(numbers) or (any(numbers) and not decision.zero_is_nodata):
                expected = [max(value + decision.offset_dn, 1) for value in numbers]
                break
        assert found[:, row, column].tolist() == expected


def test_days_of_the_year():
    days = [dt.date(2023, 1, 1), dt.date(2023, 12, 31), dt.date(2024, 3, 1), dt.date(2024, 12, 31)]
    found = days_of_year(days)
    assert found.tolist() == [1, 365, 61, 366]
    assert found.dtype == np.int64


def test_bright_ground_is_no_cirrus():
    scl = np.full((3, 7, 9), 4, dtype=np.uint8)
    scl[:, 1, 1] = 10  # alone, every day
    scl[:2, 1, 6] = 10  # alone, but not every day
    scl[:, 5, 4:6] = 10  # every day, but not alone
    scl[:, 5, 0] = 10  # alone every day, but for one
    scl[1, 4, 0] = 10
    mask = cirrus_mask(scl)
    assert mask.dtype == np.uint8
    assert not mask[:, 1, 1].any()
    assert mask[:, 1, 6].tolist() == [1, 1, 0]
    assert mask[:, 5, 4:6].all()
    assert mask[:, 5, 0].tolist() == [0, 1, 0]
    assert set(np.unique(mask)) == {0, 1}
    assert mask.sum() == 2 + 6 + 2


def test_the_bands_are_those_that_catalogues_list():
    keys = S2_ASSET_KEYS[Provider.EARTH_SEARCH]
    assert [keys[band] for band in S2_10_BANDS] == ["blue", "green", "red", "nir"]
    for provider in Provider:
        assert set(asset_keys(provider).values()) <= set(S2_ASSET_KEYS[provider].values())
    for name, provider in ((C1, Provider.EARTH_SEARCH), (PC_2020, Provider.PLANETARY_COMPUTER)):
        item = real_items(name)[0]
        assert set(S2_ASSET_KEYS[provider].values()) <= set(item["assets"])


GRID = Grid("EPSG:32733", 499_920.0, 7_789_080.0, 10.0, 12, 24)
DAYS = [dt.date(2023, 1, 5), dt.date(2023, 2, 9)]


def step(day: dt.date) -> S2Step:
    return S2Step(
        score=CloudScore(day, 0.2, 0.1, 0.2),
        bad_fraction=0.05,
        coverage=1.0,
        offsets={f"A_{day}": BASELINE_4, f"B_{day}": NOTHING},
    )


@pytest.mark.parametrize("names", [S2_10_BANDS, S2_20_BANDS])
def test_the_dataset_says_what_it_was_made_from(names: tuple[str, ...]):
    reflectance = np.full((2, len(names), *GRID.shape), 1234, dtype=np.uint16)
    reflectance[1, 0, :12] = 0
    composites = composed(reflectance, names, GRID)
    dataset = s2_dataset(composites, [step(day) for day in DAYS], S2Rules())
    assert dataset["band"].values.tolist() == list(names)
    assert dataset["time"].values.astype("datetime64[D]").astype(str).tolist() == [
        "2023-01-05",
        "2023-02-09",
    ]
    assert dataset["day_of_year"].values.tolist() == [5, 40]
    assert dataset["scene_ids"].values[0] == "A_2023-01-05 B_2023-01-05"
    assert dataset["offsets_dn"].values[0] == "-1000 0"
    assert dataset["offset_rules"].values[0] == "baseline from 04.00 on; nothing to add"
    assert dataset["valid_fraction"].values.tolist() == [1.0, 0.5]
    assert dataset["cloud_fraction"].values.tolist() == [0.2, 0.2]
    assert dataset.attrs["rule_max_bad"] == 0.2
    assert dataset.attrs["attribution"].endswith("[2023]")
    assert dataset["reflectance"].attrs["scale_factor"] == 1e-4
    assert dataset.rio.crs.to_epsg() == 32733


def test_nothing_is_never_an_empty_array():
    none = composed(np.zeros((0, 4, *GRID.shape), np.uint16), S2_10_BANDS, GRID)
    one = composed(np.ones((1, 4, *GRID.shape), np.uint16), S2_10_BANDS, GRID)
    begun = Composites(2, S2_10_BANDS, GRID, ScratchFile())
    begun.add(np.ones((4, *GRID.shape), np.uint16))
    for composites, steps in (
        (none, []),
        (one, [step(day) for day in DAYS]),
        (begun, [step(DAYS[0])]),
    ):
        with pytest.raises(ValueError, match="days were composed"):
            s2_dataset(composites, steps, S2Rules())
    with pytest.raises(ValueError, match="needs its array and its score"):
        clouds_dataset({}, GRID, {}, GRID, {}, {}, S2Rules())


def test_clouds_keep_every_day_that_was_looked_at():
    wide_grid = Grid("EPSG:32733", 450_560.0, 7_835_520.0, 640.0, 9, 8)
    quality = Grid("EPSG:32733", 499_840.0, 7_789_120.0, 160.0, 3, 5)
    hazy = dt.date(2023, 3, 1)
    wide = {day: np.full(wide_grid.shape, 4, dtype=np.uint8) for day in (*DAYS, hazy)}
    wide[hazy][:6] = 9
    tiles = {DAYS[0]: np.full(quality.shape, 5, dtype=np.uint8)}
    dataset = clouds_dataset(
        wide,
        wide_grid,
        tiles,
        quality,
        {day: score_clouds(day, scl) for day, scl in wide.items()},
        {hazy: Drop.HARD, DAYS[1]: Drop.BAD_PIXELS},
        S2Rules(),
    )
    assert dict(dataset["cloudy"].sizes) == {"date": 3, "y_wide": 8, "x_wide": 9}
    assert dict(dataset["scl"].sizes) == {"time": 1, "y": 5, "x": 3}
    assert dataset["cloudy"].mean(("y_wide", "x_wide")).values.tolist() == [0, 0, 0.75]
    assert dataset["clean"].values.tolist() == [1, 1, 0]
    assert dataset["used"].values.tolist() == [1, 0, 0]
    assert dataset["dropped"].values.tolist() == ["", "bad_pixels", "hard_drop"]
    assert dataset["date_day_of_year"].values.tolist() == [5, 40, 60]
    assert dataset["scl"].rio.bounds() == quality.bounds
    assert dataset["cloudy"].rio.bounds() == wide_grid.bounds
    assert dataset["cloudy"].rio.crs.to_epsg() == 32733
