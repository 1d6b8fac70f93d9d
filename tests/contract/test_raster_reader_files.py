"""What every reader of rasters promises: every kind of file gives the pixels that rasterio gives.

Some kinds have a reader of their own, others go to GDAL: nobody sees a difference.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling

from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterSource
from tests.support.rasters import reprojected
from tests.support.readers import every_reader, reader
from tests.support.tiff_bytes import (
    LONG,
    LONG8,
    NO_COMPRESSION,
    PREDICTOR,
    SHORT,
    TILE_BYTE_COUNTS,
    TILE_OFFSETS,
    Image,
    placed,
    tiff,
)

CRS = "EPSG:32755"
LEFT, TOP = 600_000.0, 5_260_000.0
TRANSFORM = Affine(10, 0, LEFT, 0, -10, TOP)
SHAPE = (150, 190)
GRIDS = {
    "whole": Grid(CRS, LEFT, TOP, 10.0, 190, 150),
    "inside": Grid(CRS, LEFT + 613.7, TOP - 601.3, 10.0, 50, 40),
    "over the corner": Grid(CRS, LEFT - 200.0, TOP + 105.0, 10.0, 70, 60),
    "over the last": Grid(CRS, LEFT + 1700.0, TOP - 1300.0, 10.0, 40, 40),
    "beside": Grid(CRS, LEFT + 1900.0, TOP, 10.0, 30, 30),
    "coarse": Grid(CRS, LEFT, TOP, 20.0, 95, 75),
}
DTYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"
)  # fmt: skip


def noise(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Pixels of all values that the type has."""
    generator = np.random.default_rng(7)
    if dtype.startswith("float"):
        return generator.normal(scale=1e4, size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def written(
    path: Path, pixels: np.ndarray, *, overviews: tuple[int, ...] = (), **options: Any
) -> Path:
    """A GeoTIFF by GDAL."""
    bands = pixels[np.newaxis] if pixels.ndim == 2 else pixels
    chosen = {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "crs": CRS,
        "transform": TRANSFORM,
        **options,
    }
    if not chosen["tiled"]:
        del chosen["blockxsize"]
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", height=height, width=width, count=count, dtype=bands.dtype.name, **chosen
    ) as file:
        file.write(bands)
        if overviews:
            file.build_overviews(list(overviews), Resampling.nearest)
    return path


def check(kind: str, path: Path, *, by_catalogue: bool = False) -> None:
    """Every grid gets the first band's pixels, without those that have no data."""
    bounds = (LEFT, TOP - 10 * SHAPE[0], LEFT + 10 * SHAPE[1], TOP)
    source = RasterSource(str(path), *((CRS, bounds) if by_catalogue else ()))
    with rasterio.open(path) as file:
        whole, nodata = file.read(1), file.nodata
    if nodata is not None:
        whole[np.isnan(whole) if np.isnan(nodata) else whole == nodata] = 0
    opened = reader(kind)
    for name, grid in GRIDS.items():
        if by_catalogue and name == "coarse":
            continue  # JPEG 2000 has its overviews in itself
        result = opened.read(source, grid)
        assert result.dtype == whole.dtype
        assert result.dtype.isnative
        assert result.shape == grid.shape
        # Numbers of pixels are reprojected: GDAL does not keep every 64-bit value.
        chosen = reprojected(
            np.arange(1, whole.size + 1, dtype=np.int32).reshape(whole.shape),
            CRS,
            TRANSFORM,
            grid,
        )
        expected = np.concatenate([np.zeros(1, whole.dtype), whole.ravel()])[chosen]
        np.testing.assert_array_equal(result, expected, err_msg=name)
        assert result.any() == (name != "beside")


SOME_DTYPES = ("uint8", "uint16", "float32")
PACKED = [(compress, dtype) for compress in ("none", "deflate") for dtype in DTYPES]
PACKED += [(compress, dtype) for compress in ("lzw", "zstd", "packbits") for dtype in SOME_DTYPES]


@every_reader
@pytest.mark.parametrize(("compress", "dtype"), PACKED)
def test_types_and_compressions(tmp_path, kind, dtype, compress):
    check(kind, written(tmp_path / "a.tif", noise(dtype), compress=compress))


DIFFERENCES = [("deflate", dtype, order) for dtype in DTYPES for order in ("LITTLE", "BIG")]
DIFFERENCES += [
    (compress, dtype, "LITTLE") for compress in ("lzw", "zstd") for dtype in SOME_DTYPES
]


@every_reader
@pytest.mark.parametrize(("compress", "dtype", "order"), DIFFERENCES)
def test_predictors(tmp_path, kind, dtype, compress, order):
    for predictor in (2, 3) if dtype.startswith("float") else (2,):
        path = tmp_path / f"{predictor}.tif"
        options = {"compress": compress, "predictor": predictor, "ENDIANNESS": order}
        check(kind, written(path, noise(dtype), **options))


@every_reader
def test_a_predictor_without_compression_means_nothing(tmp_path, kind):
    pixels = np.random.default_rng(1).integers(1, 60_000, SHAPE, dtype=np.uint16)
    said = {**placed(TRANSFORM, 32755), PREDICTOR: (SHORT, [2])}
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([Image(pixels, compression=NO_COMPRESSION, tags=said)]))
    result = reader(kind).read(RasterSource(str(path)), GRIDS["whole"])
    np.testing.assert_array_equal(result, pixels)


@every_reader
@pytest.mark.parametrize("compress", ["none", "deflate"])
@pytest.mark.parametrize("options", [{"ENDIANNESS": "BIG"}, {"BIGTIFF": "YES"}], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_orders_and_big_files(tmp_path, kind, dtype, compress, options):
    check(kind, written(tmp_path / "a.tif", noise(dtype), compress=compress, **options))


@every_reader
@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({"compress": "jpeg"}, "uint8"),
        ({"compress": "lerc"}, "float32"),
        ({"compress": "lerc_zstd"}, "uint16"),
        ({"compress": "lzma"}, "uint16"),
        ({"tiled": False, "blockysize": 1}, "uint16"),
        ({"tiled": False, "blockysize": 16, "compress": "deflate", "predictor": 2}, "uint16"),
        ({"tiled": False, "blockysize": 150, "compress": "lzw"}, "int16"),
        ({"NBITS": "12"}, "uint16"),
        ({"NBITS": "1"}, "uint8"),
        ({"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}, "uint16"),
        ({"driver": "PNG"}, "uint16"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_kinds_for_gdal(tmp_path, kind, options, dtype):
    pixels = noise(dtype)
    if "NBITS" in options:
        pixels = pixels % (1 << int(options["NBITS"]))
    bare = "driver" in options  # what GDAL wrote beside it is not looked for
    if bare:
        options = {**options, "tiled": False, "blockysize": 64}
    check(kind, written(tmp_path / "a.tif", pixels, **options), by_catalogue=bare)


@every_reader
@pytest.mark.parametrize("interleave", ["band", "pixel"])
@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_of_several_bands_the_first_is_read(tmp_path, kind, interleave, tiled, dtype):
    path = tmp_path / "a.tif"
    options = {"interleave": interleave, "tiled": tiled, "blockysize": 64, "compress": "deflate"}
    check(kind, written(path, noise(dtype, (4, *SHAPE)), predictor=2, **options))


@every_reader
@pytest.mark.parametrize("block", [16, 48, 128, 256, 512, 1024])
def test_blocks_of_every_size(tmp_path, kind, block):
    options = {"blockxsize": block, "blockysize": block, "compress": "deflate"}
    check(kind, written(tmp_path / "a.tif", noise("uint16"), **options))


@every_reader
@pytest.mark.parametrize("block", [(16, 64), (64, 16), (17, 33), (150, 190), (1, 190), (149, 7)])
@pytest.mark.parametrize("predictor", [1, 2])
def test_blocks_of_every_shape(tmp_path, kind, block, predictor):
    path = tmp_path / "a.tif"
    image = Image(noise("uint16"), block=block, predictor=predictor, tags=placed(TRANSFORM, 32755))
    path.write_bytes(tiff([image], padding=5))
    check(kind, path)


@every_reader
@pytest.mark.parametrize("directories_last", [False, True])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_may_stand_anywhere(tmp_path, kind, order, big, directories_last):
    pixels = noise("int16")
    full = Image(pixels, predictor=2, tags=placed(TRANSFORM, 32755))
    half = Image(np.ascontiguousarray(pixels[::2, ::2]), kind=1, predictor=2)
    path = tmp_path / "a.tif"
    path.write_bytes(
        tiff([full, half], order=order, big=big, directories_last=directories_last, padding=9)
    )
    opened = reader(kind)
    for grid, image in ((GRIDS["whole"], full), (GRIDS["coarse"], half)):
        result = opened.read(RasterSource(str(path)), grid)
        np.testing.assert_array_equal(result, image.pixels)


@every_reader
@pytest.mark.parametrize("at_end", [False, True])
def test_directories_far_from_the_head_and_from_one_another_are_found(tmp_path, kind, at_end):
    # As in files to which overviews were added, or which were written as a stream.
    pixels = noise("uint16", (600, 700))
    path = written(tmp_path / "a.tif", pixels, overviews=(2, 4), blockxsize=128, blockysize=128)
    if at_end:
        tags = placed(TRANSFORM, 32755)
        path.write_bytes(tiff([Image(pixels, tags=tags, compression=1)], directories_last=True))
    else:
        with rasterio.open(path, overview_level=1) as overview:
            coarse = overview.read(1)
        grid = Grid(CRS, LEFT, TOP, 40.0, 175, 150)
        np.testing.assert_array_equal(reader(kind).read(RasterSource(str(path)), grid), coarse)
    grid = Grid(CRS, LEFT, TOP, 10.0, 700, 600)
    np.testing.assert_array_equal(reader(kind).read(RasterSource(str(path)), grid), pixels)


@every_reader
@pytest.mark.parametrize(("offsets", "counts"), [(LONG8, LONG8), (LONG, SHORT), (LONG, LONG8)])
def test_places_of_blocks_may_be_numbers_of_every_size(tmp_path, kind, offsets, counts):
    own = {TILE_OFFSETS: offsets, TILE_BYTE_COUNTS: counts}
    image = Image(noise("uint16"), tags=placed(TRANSFORM, 32755))
    plain = tiff([image], big=True)
    values = _numbers(plain)
    tags = {tag: (code, values[tag]) for tag, code in own.items()}
    # Directories of another length move the blocks; the second round has them right.
    moved = tiff([Image(image.pixels, tags={**image.tags, **tags})], big=True)
    shift = len(moved) - len(plain)
    tags[TILE_OFFSETS] = (offsets, [value + shift for value in values[TILE_OFFSETS]])
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([Image(image.pixels, tags={**image.tags, **tags})], big=True))
    check(kind, path)


def _numbers(content: bytes) -> dict[int, list[int]]:
    """Offsets and lengths of blocks, as another reader sees them."""
    from estinel_assets.raster.tiff import read_tiff

    (image,) = read_tiff(lambda offset, length: content[offset : offset + length]).images
    return {
        TILE_OFFSETS: image.offsets.ravel().tolist(),
        TILE_BYTE_COUNTS: image.byte_counts.ravel().tolist(),
    }


@every_reader
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint16", 65535), ("uint16", 0), ("uint8", 0), ("uint8", 255), ("int16", -32768),
        ("int8", -1), ("float32", float("nan")), ("float32", -9999.0), ("float64", float("nan")),
        ("float32", float("inf")), ("float64", -1.7976931348623157e308), ("uint32", 4294967295),
        ("float32", -3.4028234663852886e38),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compress", ["deflate", "packbits"])
def test_declared_nodata_counts_as_not_covered(tmp_path, kind, dtype, nodata, compress):
    pixels = noise(dtype)
    pixels[10:20] = nodata
    path = written(tmp_path / "a.tif", pixels, nodata=nodata, compress=compress, overviews=(2,))
    result = reader(kind).read(RasterSource(str(path)), GRIDS["whole"])
    filled = np.where(pixels == nodata, 0, pixels).astype(dtype)
    filled[10:20] = 0
    np.testing.assert_array_equal(result, filled)
    coarse = reader(kind).read(RasterSource(str(path)), GRIDS["coarse"])
    assert not coarse[5:10].any()
    assert coarse[:4].any()


@every_reader
def test_a_nodata_value_that_the_type_does_not_have_hides_nothing(tmp_path, kind):
    image = Image(noise("uint8"), tags={**placed(TRANSFORM, 32755), 42113: (2, b"-9999\0")})
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([image]))
    result = reader(kind).read(RasterSource(str(path)), GRIDS["whole"])
    np.testing.assert_array_equal(result, image.pixels)


@every_reader
@pytest.mark.parametrize("nodata", [None, 7, 0, float("nan")])
@pytest.mark.parametrize("compress", ["none", "deflate", "lzma"])
def test_blocks_that_are_not_there_have_no_pixels(tmp_path, kind, nodata, compress):
    dtype = "float32" if nodata is not None and np.isnan(nodata) else "uint16"
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=150, width=190, count=1, dtype=dtype, tiled=True,
        blockxsize=64, blockysize=64, crs=CRS, transform=TRANSFORM, SPARSE_OK=True, nodata=nodata,
        compress=compress,
    ) as file:  # fmt: skip
        file.write(np.full((1, 64, 64), 9, dtype), window=rasterio.windows.Window(64, 0, 64, 64))
    expected = np.zeros(SHAPE, dtype)
    expected[:64, 64:128] = 9
    opened = reader(kind)
    result = opened.read(RasterSource(str(path)), GRIDS["whole"])
    np.testing.assert_array_equal(result, expected)
    assert not opened.read(RasterSource(str(path)), Grid(CRS, LEFT, TOP, 10.0, 5, 5)).any()


@every_reader
@pytest.mark.parametrize("compress", ["deflate", "lzma"])
def test_masked_pixels_are_0(tmp_path, kind, compress):
    pixels = np.maximum(noise("uint16"), 1)
    mask = np.random.default_rng(1).integers(0, 2, SHAPE).astype(bool)
    path = tmp_path / "a.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", height=150, width=190, count=1, dtype="uint16", tiled=True,
            blockxsize=64, blockysize=64, crs=CRS, transform=TRANSFORM, compress=compress,
        ) as file,
    ):  # fmt: skip
        file.write(pixels, 1)
        file.write_mask(mask)
    for name in ("whole", "inside"):
        result = reader(kind).read(RasterSource(str(path)), GRIDS[name])
        expected = reprojected(np.where(mask, pixels, 0), CRS, TRANSFORM, GRIDS[name])
        np.testing.assert_array_equal(result, expected)


@every_reader
def test_georeferences_by_several_points_are_gdals_affair(tmp_path, kind):
    points = [
        rasterio.control.GroundControlPoint(row, column, LEFT + column * 10, TOP - row * 10)
        for row, column in ((0, 0), (0, 190), (150, 0), (150, 190))
    ]
    path = tmp_path / "a.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", height=150, width=190, count=1, dtype="uint8", tiled=True,
            blockxsize=64, blockysize=64, crs=CRS, gcps=points,
        ) as file:  # fmt: skip
            file.write(noise("uint8"), 1)
    source = RasterSource(str(path), CRS, (LEFT, TOP - 1500, LEFT + 1900, TOP))
    result = reader(kind).read(source, GRIDS["whole"])
    np.testing.assert_array_equal(result, noise("uint8"))


@every_reader
@pytest.mark.parametrize("epsg", ["EPSG:3857", "EPSG:27700", "EPSG:2154", "EPSG:6933"])
def test_projections_of_every_sort_are_sliced_in_their_own(tmp_path, kind, epsg):
    path = written(tmp_path / "a.tif", noise("uint16"), crs=epsg)
    grid = Grid(epsg, LEFT + 5, TOP, 10.0, 190, 150)
    with rasterio.open(path) as file:
        whole = file.read(1)
    expected = reprojected(whole, epsg, TRANSFORM, grid)
    np.testing.assert_array_equal(reader(kind).read(RasterSource(str(path)), grid), expected)


@every_reader
def test_a_crs_without_a_number_is_known_too(tmp_path, kind):
    sinusoidal = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
    path = written(tmp_path / "a.tif", noise("uint16"), crs=sinusoidal)
    grid = Grid(sinusoidal, LEFT, TOP, 10.0, 190, 150)
    result = reader(kind).read(RasterSource(str(path)), grid)
    np.testing.assert_array_equal(result, noise("uint16"))
