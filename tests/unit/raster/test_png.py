"""Pictures as PNG decode to the same pixels with two other programs' decoders."""

import io

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

from estinel_assets.raster.png import pack_png

PICTURES = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([3, 4]))
)


@given(PICTURES)
def test_pillow_reads_the_same_pixels(picture: NDArray[np.uint8]) -> None:
    with Image.open(io.BytesIO(pack_png(picture))) as read:
        read.load()
        assert read.mode == {3: "RGB", 4: "RGBA"}[picture.shape[2]]
        np.testing.assert_array_equal(np.asarray(read), picture)


@given(PICTURES)
def test_libpng_reads_the_same_pixels(picture: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(imagecodecs.png_decode(pack_png(picture)), picture)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_reads_the_same_pixels() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (301, 199, 4), dtype=np.uint8)
    with MemoryFile(pack_png(picture)) as file, file.open() as read:
        assert read.driver == "PNG"
        np.testing.assert_array_equal(np.moveaxis(read.read(), 0, -1), picture)


def test_a_picture_whose_rows_are_apart_in_memory_is_the_same() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (3, 40, 30), dtype=np.uint8)
    apart = np.moveaxis(picture, 0, -1)
    assert not apart.flags.c_contiguous
    assert pack_png(apart) == pack_png(np.ascontiguousarray(apart))


def test_smooth_pictures_become_small() -> None:
    rows = np.arange(256, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    assert len(pack_png(np.broadcast_to(rows, (256, 256, 3)))) < 2000


@pytest.mark.parametrize("shape", [(2, 2, 1), (2, 2, 2), (2, 2, 5), (0, 2, 3), (2, 0, 4)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no picture in RGB"):
        pack_png(np.zeros(shape, np.uint8))
