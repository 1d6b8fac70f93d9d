"""Sentinel-1: mosaics, medians and the twelve steps, against plain numpy."""

import datetime as dt

import numpy as np
import pytest
import rioxarray  # noqa: F401 - gives datasets their `rio`
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from shapely import box

from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.sentinel1_composite import (
    POLARIZATIONS,
    compose_s1,
    mosaic_day,
    quarter_median,
    s1_dataset,
    to_uint16,
)
from estinel_assets.ard.sentinel1_selection import S1Rules, S1Scene, select_s1
from estinel_assets.ard.tiles import Tile, tile_grid
from tests.support.examples import examples

TILE = Tile(1035, 727, 15.0, -20.0)
NAN = float("nan")


def power(*rows: list[float]) -> np.ndarray:
    return np.array([rows, rows], dtype=np.float32)


def test_the_first_scene_that_has_a_value_wins():
    first = power([0.1, 0.0, NAN, -1.0, np.inf])
    second = power([0.9, 0.2, 0.3, 0.4, 0.5])
    expected = power([0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_array_equal(mosaic_day([first, second]), expected)
    np.testing.assert_array_equal(mosaic_day([first]), power([0.1, NAN, NAN, NAN, NAN]))


def test_no_more_scenes_are_read_than_needed():
    def scenes():
        yield power([0.1, 0.2])
        raise AssertionError("read although nothing was missing")

    np.testing.assert_array_equal(mosaic_day(scenes()), power([0.1, 0.2]))


def test_what_cannot_be_a_mosaic():
    with pytest.raises(ValueError, match="no scene"):
        mosaic_day([])
    with pytest.raises(ValueError, match="differs"):
        mosaic_day([power([0.1, NAN]), power([0.1, 0.2, 0.3])])


values = st.one_of(st.just(NAN), st.floats(2**-20, 4, width=32))


@examples(40)
@given(
    st.integers(1, 6).flatmap(lambda days: hnp.arrays(np.float32, (days, 2, 2, 3), elements=values))
)
def test_medians_are_numpys(days: np.ndarray):
    found = quarter_median(list(days))
    assert found.dtype == np.float32
    for place in np.ndindex(found.shape):
        at = days[(slice(None), *place)].astype(np.float64)
        valid = at[np.isfinite(at)]
        if valid.size:
            assert found[place] == pytest.approx(np.median(valid), rel=1e-6)
        else:
            assert np.isnan(found[place])


@pytest.mark.parametrize(
    ("linear", "stored"),
    [
        (NAN, 0), (0.0, 0), (-0.1, 0), (np.inf, 0),
        (1e-9, 1), (0.4 / 65535, 1), (1.4 / 65535, 1), (1.6 / 65535, 2),
        (0.5, 32768), (0.99999, 65534), (1.0, 65535), (1.0001, 65535), (37.0, 65535),
    ],
)  # fmt: skip
def test_power_as_it_is_stored(linear: float, stored: int):
    found = to_uint16(np.array([linear], dtype=np.float32))
    assert found.dtype == np.uint16
    assert found[0] == stored


# Twelve steps


def composed(**gaps: None):
    shape = (4, 5)
    quarters = {
        name: np.full((2, *shape), number / 10, dtype=np.float32)
        for number, name in enumerate(("Q1", "Q2", "Q3", "Q4"), start=1)
    }
    return compose_s1({**quarters, **gaps}, shape)


def test_each_quarter_stands_three_times():
    composite = composed()
    assert composite.backscatter.shape == (12, 2, 4, 5)
    assert composite.backscatter.dtype == np.uint16
    linear = np.array([1, 2, 3, 4], dtype=np.float32) / np.float32(10)
    expected = np.repeat(np.rint(linear.astype(np.float64) * 65535), 3)
    np.testing.assert_array_equal(composite.backscatter[:, 1, 2, 3], expected)
    assert composite.gaps == ()
    assert composite.reason is ArdReason.NONE


def test_a_quarter_without_scenes_is_a_gap_and_named():
    composite = composed(Q3=None)
    assert composite.gaps == ("Q3",)
    assert composite.reason is ArdReason.INCOMPLETE
    assert not composite.backscatter[6:9].any()
    assert composite.backscatter[[5, 9]].all()
    assert composite.valid_fraction == {"Q1": 1.0, "Q2": 1.0, "Q3": 0.0, "Q4": 1.0}


def test_a_quarter_whose_scenes_have_no_pixel_is_a_gap_too():
    empty = np.full((2, 4, 5), np.nan, dtype=np.float32)
    assert composed(Q1=empty).gaps == ("Q1",)
    one = empty.copy()
    one[:, 0, 0] = 0.1
    composite = composed(Q1=one)
    assert composite.gaps == ()
    assert composite.valid_fraction["Q1"] == pytest.approx(1 / 20)


def test_without_any_quarter_there_are_no_scenes():
    composite = compose_s1({}, (4, 5))
    assert composite.gaps == ("Q1", "Q2", "Q3", "Q4")
    assert composite.reason is ArdReason.NO_SCENES


def test_medians_of_another_name_or_shape_are_bugs():
    with pytest.raises(ValueError, match="Q5"):
        compose_s1({"Q5": None}, (4, 5))
    with pytest.raises(ValueError, match="Q1 has shape"):
        compose_s1({"Q1": np.zeros((2, 5, 4), np.float32)}, (4, 5))


def test_the_dataset_says_what_it_was_made_from():
    scenes = [
        S1Scene(
            id=f"{month}-{day}",
            datetime=dt.datetime(2023, month, day, 18, tzinfo=dt.UTC),
            orbit_state="ascending",
            relative_orbit=29,
            footprint=box(14, -21, 16, -19),
        )
        for month in (1, 4, 10)
        for day in (20, 21)
    ]
    selection = select_s1(scenes, TILE, 2023)
    grid = tile_grid(TILE, 40.0)
    ones = np.full((2, *grid.shape), 0.5, dtype=np.float32)
    composite = compose_s1({"Q1": ones, "Q2": ones, "Q4": ones}, grid.shape)
    dataset = s1_dataset(composite, selection, grid, S1Rules())
    assert dict(dataset.sizes) == {
        "step": 12, "polarization": 2, "y": grid.height, "x": grid.width,
    }  # fmt: skip
    assert dataset["polarization"].values.tolist() == list(POLARIZATIONS)
    assert dataset["day_of_year"].values.tolist() == [45] * 3 + [135] * 3 + [225] * 3 + [315] * 3
    assert dataset["quarter"].values.tolist()[5:7] == ["Q2", "Q3"]
    assert dataset["scene_ids"].values[0] == "1-20 1-21"
    assert dataset["solar_days"].values[11] == "2023-10-20 2023-10-21"
    assert dataset["scene_ids"].values[7] == ""
    assert dataset.attrs["gaps"] == ["Q3"]
    assert dataset.attrs["orbit"] == "ascending"
    assert dataset.attrs["attribution"].endswith("[2023]")
    assert dataset.rio.crs.to_epsg() == 32733
