"""GeoTIFFs: those that GDAL would have written, but for where the blocks are."""

import io
import struct
from collections.abc import Sequence
from contextlib import contextmanager

import imagecodecs
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.io import MemoryFile

from estinel_assets.raster.encode import encode_geotiff
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import SCL_COLOURS
from estinel_assets.raster.tiff import Predictor, Tag
from estinel_assets.raster.tiff_writer import deflated_blocks, filled, places
from tests.support.examples import examples

NAMES = ("red", "green", "blue")
TAGS = {"LOCATION": "Hobart", "ATTRIBUTION": "Contains modified Copernicus Sentinel data 2024 ©"}
CRSS = [
    *(f"EPSG:{number}" for zone in (1, 29, 33, 55, 60) for number in (32600 + zone, 32700 + zone)),
    "EPSG:3031", "EPSG:3412", "EPSG:3413", "EPSG:3976", "EPSG:3995", "EPSG:3996", "EPSG:5041",
    "EPSG:5042", "EPSG:32661", "EPSG:32761", "EPSG:6931", "EPSG:6932", "EPSG:3408",  # poles
    "EPSG:3857", "EPSG:3035", "EPSG:27700", "EPSG:2193", "EPSG:3577", "EPSG:7855", "EPSG:28355",
    "EPSG:5070", "EPSG:2154", "EPSG:25832", "EPSG:31287", "EPSG:21781", "EPSG:2056", "EPSG:6933",
    "EPSG:4326", "EPSG:4283",  # degrees
    "EPSG:2263",  # feet
]  # fmt: skip
PLACES = {int(Tag.TILE_OFFSETS), int(Tag.TILE_BYTE_COUNTS)}


def _grid(width: int, height: int, crs: str = "EPSG:32755") -> Grid:
    return Grid(crs, 523_450.5, 5_252_310.0, 10.5, width, height)


def _numbers(shape: tuple[int, ...], dtype: type = np.uint16) -> np.ndarray:
    """Neighbours that are alike, as measurements are."""
    steps = np.random.default_rng(3).integers(-40, 41, shape)
    return (3000 + np.cumsum(steps, axis=-1)).astype(dtype)


def _by_gdal(array, grid, *, nodata, descriptions=(), tags=None, photometric, colormap=None):
    """The same raster, written by GDAL alone."""
    block = 256 if max(grid.shape) <= 512 else 512
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=grid.width, height=grid.height, count=len(array),
            dtype=array.dtype.name, crs=rasterio.CRS.from_user_input(grid.crs),
            transform=Affine(*grid.transform), nodata=nodata, tiled=True, blockxsize=block,
            blockysize=block, compress="deflate", predictor=2 if array.dtype == np.uint16 else 1,
            photometric="palette" if colormap else photometric,
        ) as dataset:  # fmt: skip
            if colormap:
                dataset.write_colormap(1, {**colormap})
            for index, description in enumerate(descriptions, start=1):
                dataset.set_band_description(index, description)
            dataset.update_tags(**dict(sorted((tags or {}).items())))
            dataset.write(array)
        return bytes(memory.read())


def _tags(content: bytes) -> dict[int, tuple[int, int, bytes]]:
    """Type, number of values and values of every tag but those of the blocks' places."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 12: 8}
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    found = {}
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, length, place = struct.unpack_from("<HHII", content, entry)
        if tag in PLACES:
            continue
        size = sizes[kind] * length
        at = place if size > 4 else entry + 8
        found[tag] = (kind, length, content[at : at + size])
    assert struct.unpack_from("<I", content, start + 2 + 12 * count) == (0,)  # no more images
    return found


@contextmanager
def _opened(content: bytes):
    with MemoryFile(content) as memory, memory.open(driver="GTiff") as dataset:
        yield dataset


def _seen(content: bytes) -> dict[str, object]:
    """What rasterio tells of a file."""
    with _opened(content) as dataset:
        return {
            "profile": dict(dataset.profile),
            "crs": dataset.crs.to_wkt(),
            "bounds": dataset.bounds,
            "tags": dataset.tags(),
            "structure": dataset.tags(ns="IMAGE_STRUCTURE"),
            "bands": [dataset.tags(band) for band in dataset.indexes],
            "descriptions": dataset.descriptions,
            "nodatavals": dataset.nodatavals,
            "colours": dataset.colorinterp,
            "scales": (dataset.scales, dataset.offsets, dataset.units),
            "masks": dataset.mask_flag_enums,
            "blocks": dataset.block_shapes,
            "colormap": dataset.colormap(1) if dataset.count == 1 and dataset.nodata == 0 else None,
        }


def _same_as_gdals(array: np.ndarray, grid: Grid, **given) -> bytes:
    content = encode_geotiff(array, grid, **given)
    expected = _by_gdal(array, grid, **given)
    assert _tags(content) == _tags(expected)
    assert _seen(content) == _seen(expected)
    with _opened(content) as dataset:
        np.testing.assert_array_equal(dataset.read(), array)
    return content


@pytest.mark.parametrize("crs", CRSS)
def test_composites_say_what_gdals_say_in_every_crs(crs: str) -> None:
    _same_as_gdals(
        _numbers((3, 20, 30)), _grid(30, 20, crs),
        nodata=0, descriptions=NAMES, tags=TAGS, photometric="rgb",
    )  # fmt: skip


@pytest.mark.parametrize(
    "size", [(1, 1), (256, 256), (257, 300), (511, 512), (513, 40), (40, 600), (700, 1030)]
)
def test_composites_of_every_number_of_blocks_are_gdals(size: tuple[int, int]) -> None:
    height, width = size
    _same_as_gdals(
        _numbers((3, height, width)), _grid(width, height),
        nodata=0, descriptions=NAMES, tags=TAGS, photometric="rgb",
    )  # fmt: skip


def test_classifications_are_gdals() -> None:
    colours = {int(value): colour for value, colour in SCL_COLOURS.items()}
    scl = _numbers((1, 300, 280), np.uint8) % 12
    _same_as_gdals(
        scl, _grid(280, 300),
        nodata=0, descriptions=("SCL",), photometric="minisblack", colormap=colours,
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 4, 5])
@pytest.mark.parametrize("nodata", [None, -9999.5, float("nan")])
def test_other_numbers_and_bands_are_gdals(count: int, nodata: float | None) -> None:
    array = np.random.default_rng(4).normal(size=(count, 21, 34)).astype(np.float32)
    given = {"nodata": nodata, "photometric": "minisblack"}
    content = encode_geotiff(array, _grid(34, 21), **given)
    expected = _by_gdal(array, _grid(34, 21), **given)
    assert _tags(content) == _tags(expected)
    with _opened(content) as dataset:
        np.testing.assert_array_equal(dataset.read(), array)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "float64"]
)
def test_numbers_of_other_types_and_byte_orders_survive(dtype: str) -> None:
    array = _numbers((2, 5, 6), np.dtype(dtype))
    for same in (array, array.astype(array.dtype.newbyteorder(">")), np.asfortranarray(array)):
        content = encode_geotiff(same, _grid(6, 5), nodata=None)
        assert content == encode_geotiff(array, _grid(6, 5), nodata=None)
        with _opened(content) as dataset:
            assert dataset.dtypes == (dtype, dtype)
            np.testing.assert_array_equal(dataset.read(), array)


@examples(25)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)).flatmap(
        lambda shape: arrays(np.uint16, shape)
    )
)
def test_any_composite_survives(array: np.ndarray) -> None:
    content = encode_geotiff(array, _grid(*array.shape[:0:-1]), nodata=0)
    with _opened(content) as dataset:
        np.testing.assert_array_equal(dataset.read(), array)


def test_another_decoder_reads_the_same_pixels() -> None:
    array = _numbers((3, 300, 310))
    content = encode_geotiff(array, _grid(310, 300), nodata=0, photometric="rgb")
    first = next(iter(deflated_blocks(array, 256, Predictor.HORIZONTAL)))
    assert content.count(first) == 1
    raw = np.frombuffer(imagecodecs.zlib_decode(first), "<u2").reshape(256, 256, 3)
    undone = np.moveaxis(np.cumsum(raw, axis=1, dtype=np.uint16), -1, 0)
    np.testing.assert_array_equal(undone, array[:, :256, :256])


def test_everything_but_the_blocks_stands_at_the_beginning() -> None:
    content = encode_geotiff(
        _numbers((3, 1500, 1400)), _grid(1400, 1500), nodata=0, tags=TAGS, photometric="rgb"
    )
    with _opened(content) as dataset:
        first = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    assert first % 2 == 0
    assert first < 2000 < len(content)


@pytest.mark.parametrize(
    ("first", "counts", "offsets"),
    [(10, [5], [10]), (8, [3, 4, 2**31], [8, 11, 15]), (0, [2**31, 2**31 - 1], [0, 2**31])],
)
def test_pieces_stand_one_after_the_other(
    first: int, counts: Sequence[int], offsets: list[int]
) -> None:
    assert places(first, counts) == offsets


def test_what_has_4_gib_is_refused() -> None:
    with pytest.raises(ValueError, match=r"4294967296 bytes is too large: take a smaller window"):
        places(0, [2**31, 2**31])


def test_a_head_without_places_is_refused() -> None:
    with io.BytesIO() as file:
        file.write(struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 256, 4, 1, 30, 0))
        head = file.getvalue()
    with pytest.raises(ValueError, match="no tag 324"):
        filled(head, [b"block"])
