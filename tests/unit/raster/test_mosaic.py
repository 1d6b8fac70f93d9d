"""Mosaics: the first scene that has something wins, pixel by pixel."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estinel_assets.raster.mosaic import mosaic_classes, mosaic_rgb

# Few values and many zeros, so that holes of all kinds occur.
classes = st.lists(arrays(np.uint8, (4, 5), elements=st.integers(0, 3)), min_size=1, max_size=4)
scenes = st.lists(arrays(np.uint16, (3, 3, 4), elements=st.integers(0, 2)), min_size=1, max_size=4)


@given(classes)
def test_classes_are_the_first_nonzero_of_every_pixel(layers):
    result = mosaic_classes(layers)
    for row, column in np.ndindex(result.shape):
        column_of_layers = [layer[row, column] for layer in layers]
        assert result[row, column] == next((value for value in column_of_layers if value), 0)


@given(scenes)
def test_all_bands_of_a_pixel_come_from_the_first_scene_that_has_all_three(given_scenes):
    result = mosaic_rgb(given_scenes)
    for row, column in np.ndindex(result.shape[1:]):
        candidates = [scene[:, row, column].tolist() for scene in given_scenes]
        expected = next((colours for colours in candidates if all(colours)), [0, 0, 0])
        assert result[:, row, column].tolist() == expected


@given(scenes)
def test_the_inputs_stay_as_they_are(given_scenes):
    before = [scene.copy() for scene in given_scenes]
    mosaic_rgb(given_scenes)[:] = 9
    mosaic_classes([scene[0].astype(np.uint8) for scene in given_scenes])[:] = 9
    for scene, copy in zip(given_scenes, before, strict=True):
        np.testing.assert_array_equal(scene, copy)


def _counting(arrays_to_give: list[np.ndarray], taken: list[int]) -> Iterator[np.ndarray]:
    for index, array in enumerate(arrays_to_give):
        taken.append(index)
        yield array


def test_no_more_scenes_are_read_than_needed():
    half = np.full((3, 2, 2), 7, np.uint16)
    half[1, 0, 0] = 0
    full = np.full((3, 2, 2), 8, np.uint16)
    taken: list[int] = []
    result = mosaic_rgb(_counting([half, full, full, full], taken))
    assert taken == [0, 1]
    assert result[:, 0, 0].tolist() == [8, 8, 8]
    assert result[:, 1, 1].tolist() == [7, 7, 7]


def test_no_more_layers_are_read_than_needed():
    taken: list[int] = []
    full = np.ones((2, 2), np.uint8)
    mosaic_classes(_counting([np.zeros((2, 2), np.uint8), full, full], taken))
    assert taken == [0, 1]


@pytest.mark.parametrize("mosaic", [mosaic_classes, mosaic_rgb])
def test_nothing_to_lay_is_refused(mosaic):
    with pytest.raises(ValueError, match="give at least one"):
        mosaic([])


def test_different_grids_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 2, 3\) differs"):
        mosaic_rgb([np.zeros((3, 2, 2), np.uint16), np.ones((3, 2, 3), np.uint16)])
    with pytest.raises(ValueError, match=r"\(1, 2\) differs"):
        # numpy would stretch this one
        mosaic_classes([np.zeros((2, 2), np.uint8), np.ones((1, 2), np.uint8)])
