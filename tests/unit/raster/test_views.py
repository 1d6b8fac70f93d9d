"""Views: against the output of the R pipeline, and against sorting."""

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estinel_assets.raster.views import ViewName, render_views
from tests.support.real import real_data


@pytest.mark.parametrize("crop", ["cloudy", "mixed"])
@pytest.mark.parametrize("name", list(ViewName))
def test_views_equal_the_output_of_the_r_pipeline_in_every_pixel(crop, name):
    folder = real_data("imagery/views")
    with rasterio.open(folder / f"{crop}.tif") as dataset:
        composite = dataset.read()
    with rasterio.open(folder / f"{crop}_{name}.tif") as dataset:
        expected = dataset.read()
    view = render_views(composite)[name]
    np.testing.assert_array_equal(view.rgb, expected)
    assert view.alpha.all()


def _linear(levels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(v - min) * (255 / (max - min)), per band, over valid pixels; straight from its words."""
    rgb = np.zeros(levels.shape, np.uint8)
    for band in range(3):
        chosen = levels[band][valid]
        if chosen.size and chosen.max() > chosen.min():
            scaled = (chosen - chosen.min()) * (255 / (chosen.max() - chosen.min()))
            rgb[band][valid] = np.trunc(scaled)
    return rgb


def _quantiles_by_sorting(pooled: np.ndarray) -> list[float]:
    ordered = sorted(pooled.tolist())
    quantiles = []
    for index in range(128):
        # R's arithmetic: seq() multiplies the step, quantile() counts from 1.
        position = 1 + (len(ordered) - 1) * (1.0 if index == 127 else index * (1 / 127))
        low, high = ordered[int(np.floor(position)) - 1], ordered[int(np.ceil(position)) - 1]
        share = position - np.floor(position)
        quantiles.append(low if low == high else (1 - share) * low + share * high)
    np.testing.assert_allclose(quantiles, np.quantile(pooled, np.linspace(0, 1, 128)), rtol=1e-12)
    return quantiles


def _direct(composite: np.ndarray, name: ViewName) -> tuple[np.ndarray, np.ndarray]:
    valid = (composite != 0).all(axis=0)
    pooled = composite[:, valid].ravel()
    levels = composite.astype(np.float64)
    if pooled.size == 0 or name is ViewName.STRETCH:
        return _linear(levels, valid), valid
    if name is ViewName.HISTEQ:
        ordered = np.sort(pooled)
        levels = np.searchsorted(ordered, composite, side="right") / ordered.size
    else:
        breaks = sorted(set(_quantiles_by_sorting(pooled)))
        for place in np.ndindex(composite.shape):
            # The greatest breakpoint below the value; the least value itself is in the first bin.
            lower = [b for b in breaks if b < composite[place]]
            levels[place] = lower[-1] if lower else breaks[0]
    return _linear(levels, valid), valid


def composites() -> st.SearchStrategy[np.ndarray]:
    values = st.one_of(st.integers(0, 5), st.integers(0, 65535), st.sampled_from([0, 1, 65535]))
    shapes = st.tuples(st.just(3), st.integers(1, 7), st.integers(1, 7))
    return shapes.flatmap(lambda shape: arrays(np.uint16, shape, elements=values))


@given(composites(), st.sampled_from(list(ViewName)))
def test_views_agree_with_sorting_and_searching(composite, name):
    before = composite.copy()
    view = render_views(composite, [name])[name]
    rgb, alpha = _direct(composite, name)
    np.testing.assert_array_equal(view.rgb, rgb)
    np.testing.assert_array_equal(view.alpha, alpha)
    np.testing.assert_array_equal(composite, before)


@pytest.mark.parametrize("seed", range(8))
def test_breakpoints_that_fall_on_a_value_fall_on_the_same_side_as_in_r(seed):
    # 3 * 5 * 17 = 2 * 127 + 1 values: every quantile is itself a value, but for rounding.
    highest = [6, 40, 3000, 65535][seed % 4]
    composite = np.random.default_rng(seed).integers(1, highest, (3, 5, 17), dtype=np.uint16)
    view = render_views(composite)[ViewName.Q128]
    np.testing.assert_array_equal(view.rgb, _direct(composite, ViewName.Q128)[0])


@pytest.mark.parametrize("name", list(ViewName))
def test_a_large_composite_with_holes_agrees_too(name):
    generator = np.random.default_rng(7)
    composite = generator.gamma(3, 700, (3, 90, 110)).astype(np.uint16)
    composite[:, 20:40, 30:] = 0
    composite[1, 60, :] = 0
    view = render_views(composite)[name]
    rgb, alpha = _direct(composite, name)
    np.testing.assert_array_equal(view.rgb, rgb)
    assert not view.rgb[:, ~alpha].any()


def test_a_composite_of_one_colour_is_black_and_opaque():
    for view in render_views(np.full((3, 2, 2), 1234, np.uint16)).values():
        assert not view.rgb.any()
        assert view.alpha.all()


def test_a_composite_without_data_is_transparent():
    views = render_views(np.zeros((3, 2, 5), np.uint16))
    assert list(views) == [ViewName.Q128, ViewName.HISTEQ, ViewName.STRETCH]
    for view in views.values():
        assert view.rgb.shape == (3, 2, 5)
        assert not view.alpha.any()


@pytest.mark.parametrize(
    "composite", [np.ones((2, 2), np.uint16), np.ones((4, 2, 2), np.uint16), np.ones((3, 2, 2))]
)
def test_other_shapes_and_types_are_refused(composite):
    with pytest.raises(ValueError, match=r"\(3, height, width\) of uint16, not"):
        render_views(composite)
