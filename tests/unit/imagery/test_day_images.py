"""What is made of one day: which objects, in which order, from what, and when nothing is."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from rasterio.io import MemoryFile

from estinel_assets.errors import NotFoundError, PermanentError, RetryableError, SourceFault
from estinel_assets.imagery.day_images import ALL_PRODUCTS, Product
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.raster.encode import read_geotiff
from tests.support.days import (
    PATHS,
    SITE,
    WINDOW,
    ArrayReader,
    day_input,
    maker,
    no_scenes,
    pixels,
)
from tests.support.recording_store import RecordingStore
from tests.unit.stac.stac_items import made_item

EVERY_PATH = [
    PATHS.scl, PATHS.rgb, *PATHS.views.values(), *PATHS.thumbnails.values(), PATHS.item,
]  # fmt: skip


@pytest.fixture
def store():
    return RecordingStore()


def make(store, reader, day=None, *, called=None, **options):
    products = options.pop("products", ALL_PRODUCTS)
    before = (lambda: called.append(len(store.writes))) if called is not None else (lambda: None)
    return maker(store, reader, **options).make(
        SITE, WINDOW, day or day_input(), before_writing=before, products=products
    )


def test_a_day_gives_nine_objects(store):
    called = []
    end = make(store, ArrayReader(pixels()), called=called)

    assert end.reason is ImageryReason.NONE
    assert sorted(store.writes) == sorted(EVERY_PATH)
    assert store.writes[-1] == PATHS.item
    assert end.outputs == tuple(store.uri(path) for path in EVERY_PATH)
    assert called == [0]  # told once, before the first write
    json.dumps(end.detail, allow_nan=False)


def test_what_stands_is_what_was_read(store):
    given = pixels()
    make(store, ArrayReader(given))

    scl = read_geotiff(store.get(PATHS.scl).data)
    rgb = read_geotiff(store.get(PATHS.rgb).data)
    np.testing.assert_array_equal(scl.array[0], given["scl"])
    for band, name in zip(rgb.array, ("red", "green", "blue"), strict=True):
        shifted = given[name].astype(int) - 1000
        np.testing.assert_array_equal(band, np.where(given[name] == 0, 0, shifted))
    assert scl.grid == rgb.grid == WINDOW.grid


def test_nodata_is_transparent_and_thumbnails_are_an_eighth(store):
    make(store, ArrayReader(pixels()))

    height, width = WINDOW.grid.shape
    for name, path in PATHS.views.items():
        with Image.open(io.BytesIO(store.get(path).data)) as view:
            alpha = np.asarray(view)[..., 3]
        assert not alpha[:3, :3].any(), name
        assert np.count_nonzero(alpha) == height * width - 9
        with Image.open(io.BytesIO(store.get(PATHS.thumbnails[name]).data)) as small:
            assert small.size == (round(width / 8), round(height / 8))


def test_the_same_input_gives_the_same_bytes(store):
    make(store, ArrayReader(pixels()))
    first = {path: store.get(path).data for path in EVERY_PATH}
    make(store, ArrayReader(pixels()))

    assert {path: store.get(path).data for path in EVERY_PATH} == first


def test_no_scenes_is_withdrawn_and_reads_nothing(store):
    reader = ArrayReader({})

    end = make(store, reader, no_scenes())

    assert (end.reason, end.outputs, end.detail) == (ImageryReason.WITHDRAWN, (), {})
    assert store.writes == reader.read_bands == []


def test_nothing_valid_in_scl_reads_no_colours(store):
    reader, called = ArrayReader(pixels(scl=0)), []

    end = make(store, reader, called=called)

    assert end.reason is ImageryReason.NO_VALID_PIXELS
    assert reader.read_bands == ["scl"]
    assert store.writes == called == []


def test_nothing_valid_in_colours(store):
    given = {**pixels(), "green": np.zeros(WINDOW.grid.shape, np.uint16)}

    end = make(store, ArrayReader(given))

    assert end.reason is ImageryReason.NO_VALID_PIXELS
    assert store.writes == []


@pytest.mark.parametrize(
    ("scl", "limit", "made"), [(9, 0.5, False), (9, 1.0, True), (4, 0.0, True), (9, None, True)]
)
def test_the_cloud_limit_is_a_limit_and_no_more(store, scl, limit, made):
    reader, called = ArrayReader(pixels(scl=scl)), []

    end = make(store, reader, called=called, max_cloud_fraction=limit)

    if made:
        assert end.reason is ImageryReason.NONE
    else:
        assert end.reason is ImageryReason.TOO_CLOUDY
        assert end.detail["cloud_fraction"] == 1.0
        assert reader.read_bands == ["scl"]
        assert store.writes == called == []


def test_what_goes_wrong_while_reading_comes_before_any_write(store):
    for name, error in (
        ("scl", RetryableError(SourceFault.TIMEOUT, "slow")),
        ("blue", RetryableError(SourceFault.CORRUPT, "broken")),
    ):
        called = []
        with pytest.raises(RetryableError) as caught:
            make(store, ArrayReader({**pixels(), name: error}), called=called)
        assert caught.value is error
        assert store.writes == called == []


def test_an_unknown_offset_comes_before_any_write(store):
    item = made_item()
    for name in ("red", "green", "blue"):
        del item["assets"][name]["raster:bands"]

    with pytest.raises(PermanentError, match="cannot be told"):
        make(store, ArrayReader(pixels()), day_input(item))

    assert store.writes == []


# One product alone

OWN = {
    Product.SCL: [PATHS.scl],
    Product.RGB: [PATHS.rgb, PATHS.item],
    Product.VIEWS: [*PATHS.views.values(), *PATHS.thumbnails.values()],
}
BANDS_READ = {
    Product.SCL: {"scl"},
    Product.RGB: {"red", "green", "blue"},
    Product.VIEWS: set(),
}


@pytest.mark.parametrize("product", Product)
def test_one_product_alone_writes_and_reads_its_own(store, product):
    make(store, ArrayReader(pixels()))
    before = {path: store.get(path).data for path in EVERY_PATH}
    store.forget()
    # What is not to be read is not there.
    reader = ArrayReader({name: pixels()[name] for name in BANDS_READ[product]})

    end = make(store, reader, products=frozenset({product}))

    assert end.reason is ImageryReason.NONE
    assert sorted(store.writes) == sorted(OWN[product])
    assert set(reader.read_bands) == BANDS_READ[product]
    assert {path: store.get(path).data for path in EVERY_PATH} == before
    assert end.outputs == tuple(store.uri(path) for path in EVERY_PATH)


def test_views_alone_need_a_composite(store):
    with pytest.raises(NotFoundError):
        make(store, ArrayReader(pixels()), products=frozenset({Product.VIEWS}))


def test_the_composite_says_where_it_comes_from(store):
    make(store, ArrayReader(pixels(scl=8)))

    with MemoryFile(store.get(PATHS.rgb).data) as memory, memory.open() as dataset:
        tags = dataset.tags()
    valid = 1 - 9 / (WINDOW.grid.width * WINDOW.grid.height)
    assert tags["SITE_ID"] == "site_af38900f"
    assert tags["SCENES"] == "S2B_T55GDP_20240517T001109_L2A"
    assert tags["OFFSETS"] == "-1000"
    assert tags["OFFSET_RULES"] == "raster:bands"
    assert tags["VALID_FRACTION"] == f"{valid:.6f}"
    assert (tags["CLOUD_FRACTION"], tags["CLEAR_FRACTION"]) == ("1.000000", "0.000000")
    assert tags["ATTRIBUTION"] == "Contains modified Copernicus Sentinel data 2024"
    assert tags["UNITS"] == "reflectance x 10000"
