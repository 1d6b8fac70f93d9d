"""A day's scenes as mosaics: which pixel comes from which scene, and what is refused."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pytest

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.imagery import composites
from estinel_assets.imagery.scene_reading import SceneInput, SceneReader
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterSource
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.signing import Unsigned
from tests.unit.stac.stac_items import made_item

GRID = Grid("EPSG:32755", 500_000.0, 5_300_000.0, 10.0, 4, 3)
ES = Provider.EARTH_SEARCH


@dataclass
class Pixels:
    """A `RasterReader` over arrays by address; an error in place of one is raised."""

    files: dict[str, np.ndarray | Exception]
    read_from: list[RasterSource] = field(default_factory=list)

    def read(self, source, grid):
        assert grid == GRID
        self.read_from.append(source)
        found = self.files[source.href]
        if isinstance(found, Exception):
            raise found
        return found


def read_classification(scenes, grid, reader):
    with reader.on(grid) as reading:
        return composites.read_classification(scenes, reading)


def read_composite(scenes, grid, reader):
    with reader.on(grid) as reading:
        return composites.read_composite(scenes, reading)


def scene(item_id, **properties):
    return SceneInput(made_item(item_id, **properties), ES)


def href(item_id, band):
    return f"https://host/{item_id}/{band}.tif"


def bands(item_id, *values):
    """Files of the three bands, each of (height, width)."""
    names = ("red", "green", "blue")
    return {
        href(item_id, name): np.asarray(value, np.uint16)
        for name, value in zip(names, values, strict=True)
    }


def full(value):
    return np.full(GRID.shape, value, np.uint16)


def test_the_first_scene_with_three_bands_gives_the_pixel():
    red, green, blue = full(2100), full(2200), full(2300)
    red[0, 0] = green[1, 1] = blue[2, 2] = 0  # one band is missing: the next scene gives all
    rasters = Pixels(
        {**bands("a", red, green, blue), **bands("b", *[full(n) for n in (3100, 3200, 3300)])}
    )

    rgb = read_composite([scene("a"), scene("b")], GRID, SceneReader(rasters, Unsigned()))

    # The items say an offset of -0.1, that is 1000.
    expected = np.stack([full(1100), full(1200), full(1300)])
    for row, column in ((0, 0), (1, 1), (2, 2)):
        expected[:, row, column] = 2100, 2200, 2300
    np.testing.assert_array_equal(rgb, expected)
    assert rgb.dtype == np.uint16


def test_a_valid_pixel_stays_valid_when_it_is_harmonised():
    rasters = Pixels(bands("a", full(900), full(1000), full(1001)))

    rgb = read_composite([scene("a")], GRID, SceneReader(rasters, Unsigned()))

    assert rgb[:, 0, 0].tolist() == [1, 1, 1]


def test_scenes_of_different_offsets_are_harmonised_each_by_its_own():
    old = made_item("b")
    for name in ("red", "green", "blue"):
        old["assets"][name]["raster:bands"][0] |= {"offset": 0}
    half = full(2000)
    half[:, 2:] = 0
    rasters = Pixels({**bands("a", half, half, half), **bands("b", *[full(1000)] * 3)})

    rgb = read_composite([scene("a"), SceneInput(old, ES)], GRID, SceneReader(rasters, Unsigned()))

    assert np.unique(rgb).tolist() == [1000]


def test_a_scene_that_is_not_needed_is_not_read():
    rasters = Pixels(bands("a", *[full(2000)] * 3))

    read_composite([scene("a"), scene("b")], GRID, SceneReader(rasters, Unsigned()))

    assert {source.href.split("/")[3] for source in rasters.read_from} == {"a"}


def test_an_unknown_offset_is_refused_before_anything_is_read():
    # Also where the other scene fills every pixel: it must not depend on that.
    unknown = made_item("b")
    del unknown["assets"]["green"]["raster:bands"]
    rasters = Pixels(bands("a", *[full(2000)] * 3))

    with pytest.raises(PermanentError, match=r"b cannot be told.*green") as caught:
        read_composite(
            [scene("a"), SceneInput(unknown, ES)], GRID, SceneReader(rasters, Unsigned())
        )

    assert caught.value.reason == "unknown_offset"
    assert rasters.read_from == []


def test_a_missing_band_is_named():
    item = made_item("a")
    del item["assets"]["blue"]
    rasters = Pixels(bands("a", *[full(2000)] * 3))

    with pytest.raises(PermanentError, match=r"scene a lists no file for blue") as caught:
        read_composite([SceneInput(item, ES)], GRID, SceneReader(rasters, Unsigned()))

    assert caught.value.reason == "missing_band"


def test_files_lie_where_the_item_says():
    rasters = Pixels({href("a", "scl"): np.ones(GRID.shape, np.uint8)})

    read_classification([scene("a")], GRID, SceneReader(rasters, Unsigned()))

    (source,) = rasters.read_from
    assert source.crs == "EPSG:32755"
    assert source.bounds == (399_960, 5_300_020 - 109_800, 399_960 + 109_800, 5_300_020)


def test_the_first_class_other_than_0_wins():
    first, second = np.zeros(GRID.shape, np.uint8), np.full(GRID.shape, 4, np.uint8)
    first[0] = [0, 9, 12, 255]
    rasters = Pixels({href("a", "scl"): first, href("b", "scl"): second})

    scl = read_classification([scene("a"), scene("b")], GRID, SceneReader(rasters, Unsigned()))

    assert scl[0].tolist() == [4, 9, 12, 255]
    assert (scl[1:] == 4).all()
    assert scl.dtype == np.uint8


class Renewing:
    """A signer whose first signature has expired."""

    def __init__(self):
        self.asked = []

    def sign(self, href):
        self.asked.append("sign")
        return f"{href}?old"

    def refresh(self, href, refused):
        self.asked.append(f"refresh {refused.removeprefix(href)}")
        return f"{href}?new"


def test_an_expired_signature_is_renewed_once():
    plain = href("a", "scl")
    expired = RetryableError(SourceFault.FORBIDDEN, "refused")
    rasters = Pixels({f"{plain}?old": expired, f"{plain}?new": np.ones(GRID.shape, np.uint8)})
    signer = Renewing()

    scl = read_classification([scene("a")], GRID, SceneReader(rasters, signer))

    assert scl.all()
    assert signer.asked == ["sign", "refresh ?old"]


def test_what_the_source_does_comes_through():
    gone = PermanentError(SourceFault.NOT_FOUND, "there is no such file")
    rasters = Pixels({href("a", "scl"): gone})

    with pytest.raises(PermanentError) as caught:
        read_classification([scene("a")], GRID, SceneReader(rasters, Unsigned()))

    assert caught.value is gone


def test_bands_are_found_under_the_names_of_the_provider():
    item = made_item("a", collection="sentinel-2-l2a")
    item["assets"] = {
        key: {"href": f"https://host/{key}"} for key in ("B02", "B03", "B04", "SCL", "visual")
    }
    values = {"B04": 1100, "B03": 1200, "B02": 1300}
    rasters = Pixels({f"https://host/{key}": full(value) for key, value in values.items()})

    rgb = read_composite(
        [SceneInput(item, Provider.PLANETARY_COMPUTER)], GRID, SceneReader(rasters, Unsigned())
    )

    assert rgb[:, 0, 0].tolist() == [100, 200, 300]  # baseline 05.10: 1000 are subtracted
    assert date.fromisoformat(item["properties"]["datetime"][:10]) > date(2022, 1, 25)
