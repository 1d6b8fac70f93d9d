"""Pictures of a tile's products show what is there, and what is not."""

from io import BytesIO

import numpy as np
from PIL import Image

from estinel_assets.demo.ard_pictures import (
    clouds_picture,
    s1_picture,
    s2_picture,
    slope_picture,
)


def pixels(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def test_steeper_is_brighter() -> None:
    shown = pixels(slope_picture(np.array([[0.02, 5, 15, 35, 60]], dtype=np.float32)))
    brightness = shown.sum(axis=2)[0]
    assert (np.diff(brightness[:4].astype(int)) > 0).all()
    assert brightness[3] == brightness[4]


def test_forest_is_yellow_and_water_blue_in_radar() -> None:
    forest, water, nothing = (0.21, 0.052), (0.02, 0.0022), (np.nan, np.nan)
    seen = np.array([forest, water, nothing], dtype=np.float32).T[:, None, :]
    shown = pixels(s1_picture(seen))[0].astype(int)
    assert min(shown[0, 0], shown[0, 1]) > 2 * shown[0, 2]
    assert shown[1, 2] > 2 * max(shown[1, 0], shown[1, 1])
    assert shown[2].tolist() == [40, 40, 48]


def test_true_colour_knows_what_was_not_seen() -> None:
    seen = np.array([[[0.05, 0.9, np.nan]], [[0.1, 0.9, np.nan]], [[0.04, 0.9, np.nan]]])
    shown = pixels(s2_picture(seen))[0]
    assert shown[0].argmax() == 1
    assert shown[1].tolist() == [255, 255, 255]
    assert shown[2].tolist() == [40, 40, 48]


def test_days_that_are_used_have_a_frame() -> None:
    cloudy = np.zeros((3, 4, 5), dtype=np.uint8)
    cloudy[1] = 1
    shown = pixels(clouds_picture(cloudy, np.array([True, False, True]), columns=2))
    assert shown.shape == (2 * 8, 2 * 9, 3)
    first, second, third = shown[:8, :9], shown[:8, 9:], shown[8:, :9]
    np.testing.assert_array_equal(first, third)
    assert first[0, 0].tolist() == [250, 190, 40]
    assert second[0, 0].tolist() == [0, 0, 0]
    assert second[4, 4].sum() > first[4, 4].sum()
