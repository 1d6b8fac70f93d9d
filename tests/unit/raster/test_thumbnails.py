"""Thumbnails: every pixel is the mean of its area."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estinel_assets.raster.thumbnails import thumbnail
from estinel_assets.raster.views import View

pictures = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, (3, *shape)), arrays(np.bool_, shape, elements=st.booleans())
    )
)


def _random(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def _row_by_row(values: np.ndarray, count: int) -> np.ndarray:
    """Sums of the rows of `count` bands of equal height, times `count`: one band at a time."""
    rows = len(values)
    sums = np.empty((count, values.shape[1]))
    for index in range(count):
        start, stop = index * rows, (index + 1) * rows
        row = np.arange(start // count, -(-stop // count))
        shares = np.minimum((row + 1) * count, stop) - np.maximum(row * count, start)
        sums[index] = (shares[:, np.newaxis] * values[row]).sum(axis=0)
    return sums


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("size", [(600, 600), (601, 587), (45, 3000), (7, 1)])
@pytest.mark.parametrize("fraction", [0.125, 0.37, 1])
def test_large_thumbnails_equal_those_made_row_by_row(size, fraction, holes):
    rgb = _random((3, *size))
    alpha = np.ones(size, np.bool_)
    alpha[: size[0] // 2, : size[1] // 3] = not holes
    small = thumbnail(View(rgb, alpha), fraction)

    def sums(plane: np.ndarray) -> np.ndarray:
        height, width = small.alpha.shape
        return _row_by_row(_row_by_row(plane, height).T, width).T

    weights = sums(alpha)
    np.testing.assert_array_equal(small.alpha, weights > 0)
    for band in range(3):
        means = sums(rgb[band] * alpha) / np.maximum(weights, 1)
        np.testing.assert_array_equal(small.rgb[band], np.floor(means + 0.5))


def test_a_white_picture_of_many_rows_stays_white():
    view = View(np.full((3, 40_000, 9), 255, np.uint8), np.ones((40_000, 9), np.bool_))
    assert (thumbnail(view, 0.3).rgb == 255).all()


def test_a_thumbnail_averages_whole_areas():
    rgb = _random((3, 16, 24))
    small = thumbnail(View(rgb, np.ones((16, 24), np.bool_)), 0.125)
    expected = rgb.reshape(3, 2, 8, 3, 8).mean(axis=(2, 4))
    np.testing.assert_array_equal(small.rgb, np.floor(expected + 0.5))
    assert small.alpha.all()


@given(pictures, st.floats(0.01, 1))
def test_a_thumbnail_is_the_mean_of_the_opaque_parts_of_its_area(picture, fraction):
    rgb, alpha = picture
    small = thumbnail(View(rgb, alpha), fraction)
    height, width = small.alpha.shape
    # Repeating every pixel makes all areas whole: an independent way to share pixels on an edge.
    fine_rgb = rgb.repeat(height, axis=1).repeat(width, axis=2).astype(np.float64)
    fine_alpha = alpha.repeat(height, axis=0).repeat(width, axis=1)
    rows, columns = alpha.shape
    for row, column in np.ndindex(height, width):
        area = np.s_[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
        opaque = fine_alpha[area]
        assert small.alpha[row, column] == opaque.any()
        for band in range(3):
            mean = fine_rgb[band][area][opaque].mean() if opaque.any() else 0
            assert abs(float(small.rgb[band, row, column]) - mean) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("size", "expected"), [((600, 601), (75, 75)), ((3, 4), (1, 1)), ((12, 20), (2, 3))]
)
def test_a_thumbnail_has_the_rounded_size(size, expected):
    view = View(np.zeros((3, *size), np.uint8), np.ones(size, np.bool_))
    assert thumbnail(view).alpha.shape == expected


@pytest.mark.parametrize("fraction", [0, -1, 1.5])
def test_other_fractions_are_refused(fraction):
    with pytest.raises(ValueError, match="give 0 < fraction <= 1"):
        thumbnail(View(np.zeros((3, 2, 2), np.uint8), np.ones((2, 2), np.bool_)), fraction)
