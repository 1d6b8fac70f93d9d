"""Encoders: what is read back is what was written, and the bytes are always the same."""

import io
import warnings

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from estinel_assets.errors import BadInputError
from estinel_assets.raster.encode import encode_geotiff, encode_png, read_geotiff
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import SCL_COLOURS


def _grid(width: int, height: int, crs: str = "EPSG:32755", resolution: float = 10.0) -> Grid:
    return Grid(crs, 523_450.0, 5_252_310.0, resolution, width, height)


def _random(shape: tuple[int, ...], dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


@pytest.mark.parametrize("crs", ["EPSG:32755", "EPSG:3031", "EPSG:3413"])
@pytest.mark.parametrize(("width", "height", "block"), [(30, 20, 256), (600, 40, 512)])
def test_a_composite_survives(crs, width, height, block):
    array, grid = _random((3, height, width)), _grid(width, height, crs, 10.5)
    tags = {"scenes": "a, b", "ATTRIBUTION": "Contains modified Copernicus Sentinel data 2024 ©"}
    content = encode_geotiff(
        array,
        grid,
        nodata=0,
        descriptions=["red", "green", "blue"],
        tags=tags,
        photometric="rgb",
    )
    stored = read_geotiff(content)
    np.testing.assert_array_equal(stored.array, array)
    assert stored.grid == grid
    assert stored.tags == tags
    with MemoryFile(content) as memory, memory.open() as dataset:
        assert dataset.crs == rasterio.CRS.from_user_input(crs)
        assert tuple(dataset.transform)[:6] == grid.transform
        assert dataset.descriptions == ("red", "green", "blue")
        assert dataset.nodata == 0
        assert dataset.block_shapes == [(block, block)] * 3
        assert dataset.compression.name == "deflate"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        assert [band.name for band in dataset.colorinterp] == ["red", "green", "blue"]


def test_a_classification_carries_its_colours():
    scl = _random((40, 50), np.uint8) % 12
    content = encode_geotiff(
        scl, _grid(50, 40), nodata=0, descriptions=["SCL"], colormap=SCL_COLOURS
    )
    stored = read_geotiff(content)
    np.testing.assert_array_equal(stored.array, scl[np.newaxis])
    assert stored.tags == {}
    with MemoryFile(content) as memory, memory.open() as dataset:
        colours = dataset.colormap(1)
    assert {value: colours[value][:3] for value in range(12)} == SCL_COLOURS
    assert colours[200][:3] == (0, 0, 0)


def test_the_same_raster_gives_the_same_bytes_whatever_the_order_of_its_tags():
    array, grid = _random((3, 300, 310)), _grid(310, 300)
    first = encode_geotiff(array, grid, nodata=0, tags={"a": "1", "b": "2"})
    again = encode_geotiff(array.copy(order="F"), grid, nodata=0, tags={"b": "2", "a": "1"})
    assert first == again


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4, 5\) does not fit a grid of \(5, 4\)"):
        encode_geotiff(_random((3, 4, 5)), _grid(4, 5), nodata=0)
    with pytest.raises(ValueError, match="1 descriptions for 3 bands"):
        encode_geotiff(_random((3, 4, 5)), _grid(5, 4), nodata=0, descriptions=["red"])
    with pytest.raises(ValueError, match="one band of uint8"):
        encode_geotiff(_random((4, 5)), _grid(5, 4), nodata=0, colormap={1: (0, 0, 0)})


def test_damaged_rasters_are_refused():
    content = encode_geotiff(_random((3, 300, 310)), _grid(310, 300), nodata=0)
    for damaged in (b"", b"<html>", content[:4], content[: len(content) // 2], content[:-5000]):
        with pytest.raises(BadInputError, match="make the raster again") as caught:
            read_geotiff(damaged)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "georeference",
    [
        {},
        {"crs": "EPSG:32755"},
        {"crs": "EPSG:32755", "transform": rasterio.Affine(10, 0, 5, 0, -20, 5)},
        {"crs": "EPSG:32755", "transform": rasterio.Affine(10, 1, 5, 0, -10, 5)},
    ],
)
def test_rasters_that_lie_on_no_grid_are_refused(georeference):
    with MemoryFile() as memory:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            profile = {"width": 2, "height": 2, "count": 1, "dtype": "uint8", **georeference}
            with memory.open(driver="GTiff", **profile) as dataset:
                dataset.write(np.ones((1, 2, 2), np.uint8))
        content = memory.read()
    with pytest.raises(BadInputError, match="north-up grid of square pixels"):
        read_geotiff(content)


pictures = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, (3, *shape)), arrays(np.bool_, shape, elements=st.booleans())
    )
)


@given(pictures)
def test_a_picture_survives_and_hides_what_is_transparent(picture):
    rgb, alpha = picture
    content = encode_png(rgb, alpha)
    assert content == encode_png(rgb.copy(), alpha.copy())
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == ("RGB" if alpha.all() else "RGBA")
        decoded = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(decoded[..., 3], alpha * 255)
    np.testing.assert_array_equal(decoded[..., :3], np.moveaxis(rgb * alpha, 0, -1))


def test_colours_and_alpha_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="do not fit an alpha"):
        encode_png(np.zeros((3, 2, 2), np.uint8), np.ones((2, 3), np.bool_))
