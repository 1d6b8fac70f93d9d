"""The input of a model, against plain numpy."""

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from estinel_assets.ard.ard_zarr import remove_group
from estinel_assets.ard.model_stack import DEFAULT_CHANNELS, Stack, groups_for, input_stack
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS
from estinel_assets.ard.sentinel2_selection import cloudy_pixels
from estinel_assets.errors import BadInputError, NotFoundError
from tests.support.ard_groups import DAYS, GRID, TILE_YEAR, backscatter, product, store_of

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

FOREST, CLOUD = 4, 9


def clouds(*cloudy_days: int) -> xr.Dataset:
    """The group `clouds`, clear but on some days."""
    dataset = product("clouds")
    dataset["scl"].values[:] = FOREST
    for day in cloudy_days:
        dataset["scl"].values[day] = CLOUD
    return dataset


def stack_of(*channels: str, **changed: xr.Dataset) -> Stack:
    store = store_of(**{"clouds": clouds(), **changed})
    return input_stack(store, TILE_YEAR, channels or DEFAULT_CHANNELS)


def nanmedian(values: NDArray[Any]) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=0)


@pytest.fixture(scope="module")
def whole() -> Stack:
    return stack_of()


def test_all_channels_on_the_tiles_grid(whole: Stack):
    assert whole.channels == (*S2_10_BANDS, *S2_20_BANDS, "slope", "VV", "VH")
    assert whole.values.shape == (4, 13, *GRID.shape)
    assert (whole.values.dtype, whole.grid) == (np.float32, GRID)
    assert whole.valid.all()
    assert (whole.values >= 0).all()
    assert (whole.values <= 1).all()
    assert whole.gaps == ("Q3",)


def test_reflectance_is_the_quarters_median_and_else_the_years(whole: Stack):
    pixels = product("s2_10")["reflectance"].values.astype(float)
    pixels = np.where(pixels > 0, pixels / 1e4, np.nan)[:, 2]
    quarters = np.array([(day.month - 1) // 3 for day in DAYS])
    of_year = nanmedian(pixels)
    for number in range(4):
        own = pixels[quarters == number]
        expected = nanmedian(own) if own.size else of_year
        expected = np.where(np.isnan(expected), of_year, expected)
        found = whole.values[number, whole.channels.index("B04")]
        np.testing.assert_allclose(found, np.clip(expected, 0, 1), rtol=1e-5)


def test_coarser_pixels_are_repeated(whole: Stack):
    for channel, factor in (("B11", 2), ("VV", 4)):
        values = whole.values[0, whole.channels.index(channel)]
        coarse = values[::factor, ::factor]
        np.testing.assert_array_equal(values, coarse.repeat(factor, 0).repeat(factor, 1))
        assert len(np.unique(coarse)) > coarse.size / 2


def test_slope_and_radar_are_scaled(whole: Stack):
    slope = product("dem")["slope"].values / 90
    for quarter in range(4):
        np.testing.assert_allclose(whole.values[quarter, 10], slope, rtol=1e-6)
    power = product("s1")["backscatter"].values[::3, 1] / 65_535
    scaled = np.clip((10 * np.log10(np.where(power > 0, power, np.nan)) + 22) / 22, 0, 1)
    for quarter in (0, 1, 3):
        found = whole.values[quarter, whole.channels.index("VH"), ::4, ::4]
        np.testing.assert_allclose(found, scaled[quarter], rtol=1e-5, atol=1e-6)
    others = nanmedian(np.where(power > 0, power, np.nan))
    expected = np.clip((10 * np.log10(others) + 22) / 22, 0, 1)
    np.testing.assert_allclose(whole.values[2, -1, ::4, ::4], expected, rtol=1e-5, atol=1e-6)


def test_cloudy_pixels_are_left_out_of_the_medians():
    pixels = product("s2_20")["reflectance"].values[:, 0] / 1e4
    without_first = stack_of("B05", clouds=clouds(0)).values
    np.testing.assert_allclose(without_first[0, 0, ::2, ::2], np.clip(pixels[1], 0, 1), rtol=1e-5)
    # A year without a clear day: what there is.
    always = stack_of("B05", clouds=clouds(0, 1, 2)).values
    seen = nanmedian(np.where(pixels > 0, pixels, np.nan))
    np.testing.assert_allclose(always[3, 0, ::2, ::2], np.clip(seen, 0, 1), rtol=1e-5)


def test_a_pixels_clouds_are_those_of_the_nearest_class():
    dataset = clouds()
    dataset["scl"].values[1, 0, 0] = CLOUD  # of 120 m: 12 x 12 pixels
    assert cloudy_pixels(dataset["scl"].values).sum() == 1
    pixels = product("s2_10")["reflectance"].values[:, 0] / 1e4
    found = stack_of("B02", clouds=dataset).values[0, 0]
    np.testing.assert_allclose(found[5:12, 5:12], np.clip(pixels[0, 5:12, 5:12], 0, 1), rtol=1e-5)
    both = np.clip(nanmedian(pixels[:2, 5:12, 12:20]), 0, 1)
    np.testing.assert_allclose(found[5:12, 12:20], both, rtol=1e-5)


def test_a_pixel_that_lacks_a_channel_is_not_valid():
    slope = product("dem")
    slope["slope"].values[3, 4] = np.nan
    radar = backscatter(np.random.default_rng(1))
    radar["backscatter"].values[:, 0, 5, 8] = 0
    stack = stack_of("slope", "VV", dem=slope, s1=radar)
    assert not stack.valid[3, 4]
    assert not stack.valid[20:24, 32:36].any()
    assert (~stack.valid).sum() == 17
    assert (stack.values[:, :, ~stack.valid] == 0).all()


def test_only_the_groups_that_are_needed_are_read():
    assert groups_for(["VV", "slope"]) == ("dem", "s1")
    assert groups_for(["B02"]) == ("clouds", "s2_10")
    store = store_of()
    remove_group(store, TILE_YEAR.store_path, "s2_20")
    assert input_stack(store, TILE_YEAR, ["VH", "B08"]).channels == ("VH", "B08")
    with pytest.raises(NotFoundError, match="no finished group 's2_20'"):
        input_stack(store, TILE_YEAR, ["B11"])


@pytest.mark.parametrize("channels", [[], ["B02", "B02"], ["B02", "ndvi"]])
def test_channels_that_cannot_be_made(channels: list[str]):
    with pytest.raises(BadInputError, match="cannot be made of a tile-year: name each once, among"):
        groups_for(channels)


def test_groups_of_different_days_do_not_belong_together():
    other = clouds().isel(time=[0, 2])
    with pytest.raises(BadInputError, match="of different days"):
        stack_of("B02", clouds=other)
