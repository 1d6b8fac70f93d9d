"""Blank reads are found, and what real scenes lack beside their swath is none."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import box, mapping

from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.blankness import (
    LEAST_PROMISED,
    MARGIN_M,
    MOST_MISSING,
    is_believable,
    promised_pixels,
    require_promised,
)
from estinel_assets.raster.footprints import Extent, TileCoverage, tile_coverage
from estinel_assets.raster.grids import Grid
from tests.support.real import real_data

SWATH = "imagery/earthsearch_33T_20230818/S2A_33TWL_20230818_0_L2A"
"""A scene of which the satellite did not see an eighth."""
SCENES = [
    SWATH,
    "imagery/earthsearch_33T_20230818/S2A_33TWM_20230818_0_L2A",
    "imagery/riotilerpds_29RKH",
]
TILE = Extent("EPSG:32755", (399960.0, 5190220.0, 509760.0, 5300020.0))
WHOLE = TileCoverage(share=1.0, border_m=0.0, area_m2=109_800.0**2)


def scene(folder):
    """(geometry, extent, percentage of nodata, classification) of a real scene."""
    path = real_data(folder)
    item = json.loads(next(path.glob("*.json")).read_text())
    asset = item["assets"].get("red") or item["assets"]["B04"]
    step, _, left, _, _, top = asset["proj:transform"][:6]
    size = asset["proj:shape"][0] * step
    extent = Extent(f"EPSG:{item['properties']['proj:epsg']}", (left, top - size, left + size, top))
    nodata = item["properties"]["s2:nodata_pixel_percentage"]
    return item["geometry"], extent, nodata, band(folder, "SCL")


def band(folder, name):
    with rasterio.open(real_data(f"{folder}/{name}.tif")) as file:
        return file.read(1)


def windows(extent, pixels, size, step):
    """(grid, rows and columns) of windows of so many pixels all over a file, and over its edge."""
    left, _, right, top = extent.bounds
    resolution = (right - left) / pixels.shape[1]
    for row in range(0, pixels.shape[0] - size + 1, step):
        for column in range(0, pixels.shape[1] - size + 1, step):
            yield (
                Grid(
                    extent.crs,
                    left + column * resolution,
                    top - row * resolution,
                    resolution,
                    size,
                    size,
                ),
                np.s_[row : row + size, column : column + size],
            )


def is_refused(valid, promised):
    try:
        require_promised(valid, promised, "a scene")
    except RetryableError:
        return True
    return False


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("folder", SCENES)
@pytest.mark.parametrize(("size", "step"), [(10, 131), (25, 97), (50, 89)])
def test_a_real_scene_is_accepted_in_every_window_and_refused_where_it_is_blanked(
    folder, size, step
):
    geometry, extent, nodata, classes = scene(folder)
    judged = 0
    for grid, window in windows(extent, classes, size, step):
        promised = promised_pixels(geometry, grid, extent, nodata)
        valid = classes[window] != 0
        require_promised(valid, promised, f"SCL of {folder} at {window}")
        # With a margin nothing is missing at all.
        assert not (promised & ~valid).any()
        assert is_refused(np.zeros_like(valid), promised) == (promised.mean() >= LEAST_PROMISED)
        if promised.all():
            judged += 1
            half = valid.copy()
            half[: size // 2] = False
            assert is_refused(half, promised)
    assert judged > 10


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("folder", SCENES[:2])
def test_the_dark_pixels_of_a_scene_without_offset_are_not_blank(folder):
    geometry, extent, nodata, _ = scene(folder)
    most = 0.0
    for name in ("B02", "B03", "B04"):
        pixels = band(folder, name)
        [(whole, _)] = windows(extent, pixels, len(pixels), len(pixels))
        promised = promised_pixels(geometry, whole, extent, nodata)
        for _, window in windows(extent, pixels, 50, 15):
            valid, part = pixels[window] != 0, promised[window]
            require_promised(valid, part, f"{name} of {folder} at {window}")
            if part.mean() >= LEAST_PROMISED:
                most = max(most, float((part & ~valid).sum() / part.sum()))
    # There are some: a rule that lets none be missing would refuse good scenes.
    assert 0.01 < most < MOST_MISSING / 2


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_site_on_another_map_is_promised_the_same():
    geometry, extent, nodata, classes = scene(SWATH)
    grid = Grid("EPSG:32632", 1_056_000.0, 5_081_000.0, 120.0, 100, 100)
    promised = promised_pixels(geometry, grid, extent, nodata)
    rows, columns = np.nonzero(promised)
    x, y = Transformer.from_crs(grid.crs, extent.crs, always_xy=True).transform(
        grid.left + (columns + 0.5) * 120, grid.top - (rows + 0.5) * 120
    )
    assert 0.2 < promised.mean() < 1
    assert classes[((extent.bounds[3] - y) // 120).astype(int),
                   ((x - extent.bounds[0]) // 120).astype(int)].all()  # fmt: skip


def test_the_whole_tile_as_footprint_of_half_a_scene_promises_nothing():
    geometry, extent, nodata, classes = scene(SWATH)
    degrees = Transformer.from_crs(extent.crs, "EPSG:4326", always_xy=True).transform
    tile = mapping(shapely.transform(box(*extent.bounds), degrees, interleaved=False))
    grid, window = next(
        (grid, window)
        for grid, window in windows(extent, classes, 40, 20)
        if not classes[window].any()
    )
    # Were it believed, the scene would be refused for ever.
    assert is_refused(classes[window] != 0, promised_pixels(tile, grid, extent, None))
    assert not promised_pixels(tile, grid, extent, nodata).any()
    require_promised(classes[window] != 0, promised_pixels(tile, grid, extent, nodata), "SCL")
    seen = Grid(extent.crs, 520_000.0, 5_050_000.0, 100.0, 60, 60)
    assert promised_pixels(tile, seen, extent, 0.0).all()
    assert promised_pixels(geometry, seen, extent, nodata).all()


def test_published_footprints_are_believed_and_their_boxes_are_not():
    table = pq.read_table(real_data("stac/rustac_1000_items.parquet")).slice(0, 400)
    boxes = table["assets"].combine_chunks().field("B02").field("proj:bbox")
    columns = (table[name] for name in ("geometry", "proj:epsg", "s2:nodata_pixel_percentage"))
    partly = 0
    for outline_wkb, epsg, percent, bounds in zip(*columns, boxes, strict=True):
        outline = shapely.from_wkb(outline_wkb.as_py())
        nodata = percent.as_py()
        extent = Extent(f"EPSG:{epsg.as_py()}", tuple(bounds.as_py()))
        assert is_believable(tile_coverage(mapping(outline), extent), nodata)
        if nodata > 1:
            partly += 1
            whole = tile_coverage(mapping(box(*outline.bounds)), extent)
            assert not is_believable(whole, nodata)
    assert partly > 100


@pytest.mark.parametrize(
    ("coverage", "nodata", "believed"),
    [
        (WHOLE, None, True),
        (WHOLE, float("nan"), True),
        (WHOLE, -1.0, True),
        (WHOLE, 100.5, True),
        (None, None, True),
        (None, 0.0, True),
        (None, 0.04, True),
        (None, 3.0, False),
        (WHOLE, 0.0, True),
        (WHOLE, 0.04, True),
        (WHOLE, 0.06, False),
        (WHOLE, 50.0, False),
        (WHOLE, 100.0, False),
        # A border of 110 km may be 600 m off, 0.55 % of the tile.
        (TileCoverage(0.5, 110_000.0, 109_800.0**2), 50.5, True),
        (TileCoverage(0.5, 110_000.0, 109_800.0**2), 50.6, False),
        (TileCoverage(0.5, 110_000.0, 109_800.0**2), 46.0, True),
        (TileCoverage(0.5, 110_000.0, 109_800.0**2), 44.0, False),
        (TileCoverage(0.001, 12_000.0, 109_800.0**2), 99.95, True),
        (TileCoverage(0.0, 0.0, 109_800.0**2), 100.0, True),
    ],
)
def test_a_footprint_is_believed_unless_its_nodata_speaks_against_it(coverage, nodata, believed):
    assert is_believable(coverage, nodata) is believed


def test_without_an_extent_only_a_full_or_an_untold_scene_promises():
    geometry = mapping(box(146.0, -44.0, 148.0, -42.0))
    grid = Grid(TILE.crs, 480_000.0, 5_260_000.0, 100.0, 60, 60)
    assert promised_pixels(geometry, grid, None, None).all()
    assert promised_pixels(geometry, grid, None, 0.0).all()
    assert not promised_pixels(geometry, grid, None, 20.0).any()
    assert not promised_pixels(None, grid, TILE, None).any()


def test_the_edge_of_the_file_is_kept_away_from():
    wide = mapping(box(144.0, -46.0, 149.0, -40.0))
    left, _, _, top = TILE.bounds
    grid = Grid(TILE.crs, left - 500.0, top + 500.0, 100.0, 60, 60)
    promised = promised_pixels(wide, grid, TILE, None)
    first = int((500 + MARGIN_M) / 100)
    assert promised[first:, first:].all()
    assert np.count_nonzero(promised) == (60 - first) ** 2


def test_a_refusal_names_the_file_the_numbers_and_the_remedy():
    promised = np.ones((100, 100), dtype=np.bool_)
    with pytest.raises(RetryableError) as caught:
        require_promised(~promised, promised, "B04 of S2A_55GEN_20240101_0_L2A")
    assert caught.value.reason == SourceFault.BLANK
    assert str(caught.value) == (
        "B04 of S2A_55GEN_20240101_0_L2A: 0 of the 10,000 pixels that its footprint promises have "
        "a value, fewer than the 6,000 that may be expected: try again later, and tell its "
        "provider if that does not help"
    )


def test_shapes_must_be_the_same():
    with pytest.raises(ValueError, match=r"SCL: valid pixels of shape \(2, 3\)"):
        require_promised(np.ones((2, 3), dtype=np.bool_), np.ones((3, 2), dtype=np.bool_), "SCL")


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    promised_share=st.floats(0, 1),
    found_share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_the_rule(shape, promised_share, found_share, seed):
    generator = np.random.default_rng(seed)
    promised = generator.random(shape) < promised_share
    valid = generator.random(shape) < found_share
    expected, found = int(promised.sum()), int((promised & valid).sum())
    refused = (
        expected > 0
        and expected / promised.size >= LEAST_PROMISED
        and expected - found > MOST_MISSING * expected
    )
    assert is_refused(valid, promised) == refused
    assert not is_refused(promised, promised)
    if promised.all():
        assert is_refused(np.zeros(shape, dtype=np.bool_), promised)


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_window_without_a_promise_is_never_refused(height, width):
    nothing = np.zeros((height, width), dtype=np.bool_)
    assert not is_refused(nothing, nothing)
