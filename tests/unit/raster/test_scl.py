"""The scene classification: fractions and colours."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estinel_assets.raster.scl import SCL_COLOURS, SclClass, SclFractions, scl_fractions
from tests.support.real import real_data


@given(arrays(np.uint8, (5, 6), elements=st.integers(0, 14)))
def test_fractions_agree_with_counting_pixels(scl):
    pixels = scl.ravel().tolist()
    valid = [pixel for pixel in pixels if pixel != 0]
    cloudy = [pixel for pixel in valid if pixel in (1, 3, 8, 9, 10)]
    fractions = scl_fractions(scl)
    assert fractions.valid_fraction == len(valid) / 30
    if valid:
        assert fractions.cloud_fraction == len(cloudy) / len(valid)
        assert fractions.clear_fraction == 1 - len(cloudy) / len(valid)
    else:
        assert (fractions.cloud_fraction, fractions.clear_fraction) == (None, None)


def test_unknown_classes_are_valid_and_not_cloudy():
    assert scl_fractions(np.array([[12, 255], [7, 0]], np.uint8)) == SclFractions(0.75, 0.0, 1.0)


def test_a_window_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r"\(0, 4\) has no pixels"):
        scl_fractions(np.zeros((0, 4), np.uint8))


def test_every_class_has_its_published_colour():
    with real_data("sites/SCL_pal.csv").open(newline="", encoding="utf-8") as table:
        rows = {int(row["val"]): row["col"].strip() for row in csv.DictReader(table)}
    assert {int(c): "#{:02x}{:02x}{:02x}".format(*rgb) for c, rgb in SCL_COLOURS.items()} == rows
    assert set(SCL_COLOURS) == set(SclClass)
