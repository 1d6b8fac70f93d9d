"""Sparse GeoTIFFs: GDAL and the project's own reader see in them what was put there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from estinel_assets.demo.ard_files import Level, Patch, level_shape, sparse_tiff
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.tiff import Predictor, read_tiff

UTM = Grid("EPSG:32632", 799_980.0, 700_020.0, 10.0, 1000, 700)
DEGREES = Grid("EPSG:4326", 11.5, 6.5, 1 / 3600, 1000, 700)
KINDS = [
    ("uint8", 0.0, Predictor.NONE),
    ("uint16", 0.0, Predictor.NONE),
    ("uint16", 0.0, Predictor.HORIZONTAL),
    ("float32", -32768.0, Predictor.NONE),
    ("float32", None, Predictor.NONE),
]


def numbers(dtype: str, rows: int, columns: int) -> NDArray[Any]:
    made = np.random.default_rng(3).integers(1, 250, (rows, columns))
    scale = 0.25 if dtype == "float32" else 1
    return np.asarray(made * scale, dtype=dtype)


@pytest.mark.parametrize(("dtype", "nodata", "predictor"), KINDS)
@pytest.mark.parametrize("grid", [UTM, DEGREES], ids=["utm", "degrees"])
def test_gdal_reads_what_was_written(
    tmp_path: Path, grid: Grid, dtype: str, nodata: float | None, predictor: Predictor
) -> None:
    # Across the corner of four blocks, and one at the lower right end.
    patches = (Patch(200, 250, numbers(dtype, 90, 40)), Patch(690, 980, numbers(dtype, 10, 20)))
    overview = Patch(3, 5, numbers(dtype, 300, 300))
    content = sparse_tiff(
        grid,
        [Level(1, patches), Level(2, (overview,)), Level(4, ())],
        dtype,
        nodata=nodata,
        block_px=256,
        predictor=predictor,
    )
    expected = np.full(grid.shape, nodata or 0, dtype=dtype)
    for patch in patches:
        rows, columns = patch.pixels.shape
        expected[patch.row : patch.row + rows, patch.column : patch.column + columns] = patch.pixels
    file = tmp_path / "made.tif"
    file.write_bytes(content)
    with rasterio.open(file) as opened:
        assert opened.crs.to_string() == grid.crs
        assert tuple(opened.transform)[:6] == pytest.approx(grid.transform, rel=1e-15)
        assert (opened.nodata, opened.dtypes[0], opened.shape) == (nodata, dtype, grid.shape)
        assert opened.overviews(1) == [2, 4]
        np.testing.assert_array_equal(opened.read(1), expected)
    with rasterio.open(file, overview_level=0) as opened:
        np.testing.assert_array_equal(opened.read(1)[3:303, 5:305], overview.pixels)


def test_blocks_without_pixels_are_left_out() -> None:
    content = sparse_tiff(
        UTM,
        [Level(1, (Patch(0, 0, numbers("uint16", 5, 5)),)), Level(2, ())],
        "uint16",
        nodata=0,
        block_px=256,
    )
    full, half = read_tiff(lambda offset, length: content[offset : offset + length]).images
    assert full.shape == UTM.shape
    assert half.shape == level_shape(UTM, 2)
    assert np.argwhere(full.byte_counts).tolist() == [[0, 0]]
    assert not half.byte_counts.any()
    assert len(content) < 2000
