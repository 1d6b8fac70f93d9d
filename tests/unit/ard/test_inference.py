"""A model over a tile: its form, its windows, and what is stored."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from estinel_assets.ard.ard_zarr import remove_group, write_group
from estinel_assets.ard.inference import (
    NODATA,
    predict_cover,
    window_starts,
    window_weights,
)
from estinel_assets.ard.model import Model, ModelSpec, load_model
from estinel_assets.ard.model_stack import DEFAULT_CHANNELS, Stack
from estinel_assets.ard.tree_cover import cover_cog, is_current, make_tree_cover
from estinel_assets.ard.tree_cover_item import TreeCoverPaths, collection_document
from estinel_assets.errors import BadInputError, MissingDependencyError, NotFoundError
from estinel_assets.publishing.stac_validation import schema_problems
from estinel_assets.raster.grids import Grid
from estinel_assets.storage import open_store
from tests.support.ard_groups import GRID, PATH, ROOT, TILE_YEAR, product, store_of
from tests.support.onnx_models import mean_model

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

SLOPE = [float(name == "slope") for name in DEFAULT_CHANNELS]


def loaded(tmp_path: Path, body: bytes, name: str = "cover.onnx") -> Model:
    (tmp_path / name).write_bytes(body)
    return load_model(str(tmp_path / name))


def stack_of(height: int, width: int, seed: int = 0) -> Stack:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (4, 2, height, width)).astype(np.float32)
    grid = Grid("EPSG:32733", 499_920.0, 7_789_080.0, 10.0, width, height)
    return Stack(values, np.ones((height, width), dtype=bool), ("slope", "VV"), grid, ())


TWO = {"estinel:channels": "slope, VV"}


# The form of a model


def test_a_models_form_is_told_by_its_shapes(tmp_path: Path):
    model = loaded(tmp_path, mean_model(SLOPE, 20, 14))
    assert model.spec == ModelSpec(DEFAULT_CHANNELS, "NTHWC", 20, 14, 1.0)
    assert (model.name, model.spec.margin_px) == ("cover", 3)
    assert model.uri == str(tmp_path / "cover.onnx")
    assert len(model.sha256) == 64
    other = loaded(tmp_path, mean_model(SLOPE, 16, 16, layout="NTCHW"))
    assert (other.spec.layout, other.spec.margin_px) == ("NTCHW", 0)


def test_open_sizes_are_those_of_the_original(tmp_path: Path):
    shape = [None, None, None, None, None]
    body = mean_model(SLOPE, 172, 158, input_shape=shape, output_shape=[None, None, None, 1])
    assert loaded(tmp_path, body).spec == ModelSpec(DEFAULT_CHANNELS, "NTHWC", 172, 158, 1.0)


def test_metadata_says_what_shapes_cannot(tmp_path: Path):
    said = {**TWO, "estinel:layout": "NTCHW", "estinel:output_max": "100"}
    body = mean_model([1, 0], 2, 2, layout="NTCHW", metadata=said)
    assert loaded(tmp_path, body).spec == ModelSpec(("slope", "VV"), "NTCHW", 2, 2, 100.0)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"weights": [1, 1, 1]}, r"shape \[1, 4, 20, 20, 3\]: give one of \[1, 4, height, width"),
        ({"metadata": {"estinel:channels": "slope"}}, "estinel:layout"),
        ({"metadata": {"estinel:channels": "ndvi"}}, "channels ndvi cannot be made"),
        ({"metadata": {"estinel:layout": "NTCHW"}}, "estinel:layout"),
        ({"metadata": {"estinel:output_max": "0"}}, "output_max is '0': write 1 or 100"),
        ({"metadata": {"estinel:output_max": "full"}}, "output_max is 'full'"),
        ({"input_shape": [2, 4, 20, 20, 13]}, r"shape \[2, 4, 20, 20, 13\]"),
        ({"input_shape": [1, 12, 20, 20, 13]}, r"shape \[1, 12"),
        ({"input_shape": [1, 4, 20, 22, 13], "output_shape": [1, None, None, 1]}, "not square"),
        ({"output_px": 13}, "makes 13 pixels of 20: the output must be the middle"),
        ({"output_shape": [None, None]}, "output of shape|cannot be used"),
    ],
)
def test_models_of_another_form_are_refused(tmp_path: Path, made: dict[str, Any], says: str):
    body = mean_model(**{"weights": SLOPE, "input_px": 20, "output_px": 14, **made})
    with pytest.raises(BadInputError, match=says):
        loaded(tmp_path, body)


def test_what_is_no_model_is_refused(tmp_path: Path):
    with pytest.raises(BadInputError, match="cannot be used as an ONNX model"):
        loaded(tmp_path, b"not a model")
    with pytest.raises(BadInputError, match="there is no model at"):
        load_model(str(tmp_path / "absent" / "cover.onnx"))
    assert not (tmp_path / "absent").exists()
    with pytest.raises(BadInputError, match="names no model: write s3://"):
        load_model("s3://cover.onnx")


def test_a_model_of_a_store_is_fetched_by_its_uri():
    store = open_store("memory://")
    store.put("v2.onnx", mean_model(SLOPE, 20, 14))
    asked: list[str] = []

    def open_at(url: str) -> Any:
        asked.append(url)
        return store

    model = load_model("s3://models/tree/v2.onnx", open_at)
    assert (model.name, model.uri, asked) == (
        "v2",
        "s3://models/tree/v2.onnx",
        ["s3://models/tree"],
    )
    with pytest.raises(BadInputError, match=r"there is no model at s3://models/tree/v3\.onnx"):
        load_model("s3://models/tree/v3.onnx", open_at)


def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="extra `inference`"):
        load_model("cover.onnx")


# Windows


@given(st.integers(1, 400), st.integers(1, 172), st.data())
def test_windows_cover_a_length_without_passing_its_end(length: int, size: int, drawn: Any):
    step = drawn.draw(st.integers(1, size))
    starts = window_starts(length, size, step)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] + size == max(length, size)
    assert all(later - earlier <= step for earlier, later in pairwise(starts))


def test_weights_of_neighbours_add_up_to_one():
    row = window_weights(10, 3)[5]
    np.testing.assert_allclose(row[-3:] + row[:3], 1)
    assert (row[3:-3] == 1).all()
    assert (window_weights(10, 0) == 1).all()


@pytest.mark.parametrize(("height", "width"), [(30, 47), (14, 14), (5, 40), (3, 2)])
@pytest.mark.parametrize("layout", ["NTHWC", "NTCHW"])
def test_every_pixel_gets_what_the_model_says_of_it(
    tmp_path: Path, height: int, width: int, layout: str
):
    body = mean_model([1, 0], 20, 14, layout=layout, metadata={**TWO, "estinel:layout": layout})
    stack = stack_of(height, width)
    expected = np.rint(stack.values[:, 0].mean(axis=0) * 100)
    found = predict_cover(loaded(tmp_path, body), stack)
    assert (found.dtype, found.shape) == (np.uint8, (height, width))
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.99


def test_overlaps_are_blended(tmp_path: Path):
    """A model that adds a ramp to each window: the steps between windows are smoothed."""
    ramp = np.tile(np.linspace(0, 0.9, 10, dtype=np.float32), (10, 1))
    model = loaded(tmp_path, mean_model([0, 0], 10, 10, added=ramp, metadata=TWO))
    hard = predict_cover(model, stack_of(10, 26), overlap_px=0).astype(int)
    soft = predict_cover(model, stack_of(10, 26), overlap_px=2).astype(int)
    assert np.abs(np.diff(hard[0])).max() == 90
    assert np.abs(np.diff(soft[0])).max() < 45
    # Windows begin at 0, 8 and 16: column 8 is 8 of the first one's, 0 of the second one's.
    assert soft[0, 8] == round(80 * 2 / 3)
    assert soft[0, 9] == round((90 * 1 + 10 * 2) / 3)


def test_pixels_without_data_have_no_cover_and_empty_windows_are_not_run(tmp_path: Path):
    stack = stack_of(20, 40)
    stack.valid[:, :15] = False
    stack.valid[3, 30] = False
    model = loaded(tmp_path, mean_model([1, 0], 12, 10, metadata=TWO))
    runs: list[Any] = []

    def run(window: Any) -> Any:
        runs.append(window)
        return model.run(window)

    counted = Model(model.uri, model.name, model.sha256, model.spec, run)
    found = predict_cover(counted, stack, overlap_px=0)
    np.testing.assert_array_equal(found == NODATA, ~stack.valid)
    assert len(runs) == 6  # of 8
    stack.valid[:] = False
    assert (predict_cover(model, stack) == NODATA).all()


def test_covers_are_percent_from_0_to_100(tmp_path: Path):
    ramp = np.linspace(-50, 150, 100, dtype=np.float32).reshape(10, 10)
    ramp[0, 0] = np.nan
    said = {**TWO, "estinel:output_max": "100"}
    model = loaded(tmp_path, mean_model([0, 0], 10, 10, added=ramp, metadata=said))
    found = predict_cover(model, stack_of(10, 10))
    expected = np.rint(np.clip(ramp, 0, 100))
    expected[0, 0] = NODATA
    np.testing.assert_array_equal(found, expected)


def test_channels_and_overlaps_that_do_not_fit(tmp_path: Path):
    model = loaded(tmp_path, mean_model([1, 0], 12, 10, metadata=TWO))
    for overlap in (-1, 10):
        with pytest.raises(BadInputError, match="take 0 to 9"):
            predict_cover(model, stack_of(10, 10), overlap_px=overlap)
    swapped = loaded(tmp_path, mean_model([1, 0], 12, 10, metadata={"estinel:channels": "VV,B02"}))
    with pytest.raises(BadInputError, match="wants the channels VV, B02, and gets slope, VV"):
        predict_cover(swapped, stack_of(10, 10))


def test_a_model_that_keeps_not_to_its_sizes_is_told(tmp_path: Path):
    open_sizes = [1, 4, None, None, 2]  # the constant that is added fits 20 alone
    body = mean_model(
        [1, 0],
        20,
        14,
        to_margin=True,
        metadata=TWO,
        input_shape=open_sizes,
        output_shape=[1, None, None, 1],
    )
    model = loaded(tmp_path, body)
    assert model.spec.input_px == 172
    with pytest.raises(BadInputError, match=r"cover\.onnx (failed on a window|made an output)"):
        predict_cover(model, stack_of(10, 10))


# What is stored


def test_tree_cover_is_stored_as_a_cog_with_its_item(tmp_path: Path):
    store = store_of()
    model = loaded(tmp_path, mean_model(SLOPE, 20, 14))
    made = make_tree_cover(store, TILE_YEAR, model, run_id="run7", code_version="0.1/1")
    paths = TreeCoverPaths.of(TILE_YEAR)
    assert paths.cog == "tree_cover/2023/tiles/1035/727/1035X727Y_FINAL.tif"
    with MemoryFile(store.get(paths.cog).data) as memory, memory.open() as raster:
        assert (raster.crs.to_epsg(), raster.bounds) == (32733, GRID.bounds)
        assert (raster.dtypes, raster.nodata) == (("uint8",), 255)
        assert (raster.profile["compress"], raster.block_shapes[0]) == ("deflate", (256, 256))
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.tags()["MODEL_SHA256"] == model.sha256
        cover = raster.read(1)
    slope = product("dem")["slope"].values / 90 * 100
    assert np.abs(cover - slope).max() <= 0.51
    assert made.mean_percent == pytest.approx(cover.mean())
    assert (made.valid_fraction, made.shape) == (1.0, GRID.shape)
    assert made.item == store.uri(paths.item)
    item = json.loads(store.get(paths.item).data)
    said = item["properties"]
    assert (item["id"], item["collection"]) == ("1035X727Y_2023", "gri-tree-cover-predictions")
    assert (said["datetime"], said["start_datetime"], said["end_datetime"]) == (
        None,
        "2023-01-01T00:00:00Z",
        "2023-12-31T23:59:59Z",
    )
    assert said["gri:tile_id"] == "1035X727Y"
    assert said["gri:model_sha256"] == model.sha256
    assert (said["gri:input_size"], said["gri:output_size"], said["gri:length"]) == (20, 14, 4)
    assert said["estinel:channels"] == list(DEFAULT_CHANNELS)
    assert said["estinel:inputs"]["s1"]["href"] == store.uri(f"{PATH}/s1")
    assert said["estinel:sentinel1_gaps"] == ["Q3"]
    assert item["assets"]["data"]["href"] == "1035X727Y_FINAL.tif"
    assert schema_problems(item, "Feature") == []
    assert schema_problems(collection_document(), "Collection") == []


def test_a_prediction_is_current_until_model_or_arrays_change(tmp_path: Path):
    store = store_of()
    model = loaded(tmp_path, mean_model([0, 1], 12, 10, metadata={"estinel:channels": "VV,slope"}))
    assert not is_current(store, TILE_YEAR, model)
    make_tree_cover(store, TILE_YEAR, model, run_id="a", code_version="1")
    assert is_current(store, TILE_YEAR, model)
    first = {found.path: store.get(found.path).data for found in store.list("tree_cover")}
    make_tree_cover(store, TILE_YEAR, model, run_id="a", code_version="1")
    assert {f.path: store.get(f.path).data for f in store.list("tree_cover")} == first
    other = loaded(tmp_path, mean_model([1, 0], 12, 10, metadata={"estinel:channels": "VV,slope"}))
    assert not is_current(store, TILE_YEAR, other)
    write_group(store, PATH, "s2_10", product("s2_10", 5), root=ROOT)
    assert is_current(store, TILE_YEAR, model)
    write_group(store, PATH, "dem", product("dem", 5), root=ROOT)
    assert not is_current(store, TILE_YEAR, model)
    remove_group(store, PATH, "dem")
    with pytest.raises(NotFoundError, match="no finished group 'dem'"):
        make_tree_cover(store, TILE_YEAR, model, run_id="a", code_version="1")


def test_large_rasters_have_overviews_by_average():
    cover = np.zeros((600, 600), dtype=np.uint8)
    cover[:, ::2] = 100
    cover[:300] = NODATA
    grid = Grid("EPSG:32733", 500_040.0, 7_789_080.0, 10.0, 600, 600)
    body = cover_cog(cover, grid, {"A": "b"})
    assert body == cover_cog(cover, grid, {"A": "b"})
    with MemoryFile(body) as memory, memory.open(OVERVIEW_LEVEL=0) as raster:
        small = raster.read(1)
    assert small.shape == (300, 300)
    assert (small[:150] == NODATA).all()
    assert (small[150:] == 50).all()
