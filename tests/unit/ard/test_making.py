"""Scenes of Sentinel-2 as they are used: their offsets, and how many of a day are needed."""

import json
from typing import Any

import numpy as np
import pytest

from estinel_assets.ard.catalogues import Catalogue
from estinel_assets.ard.making_s2_scenes import BANDS, S2Input, TileScenes
from estinel_assets.ard.tiles import Source, Tile, TileYear, tile_grid
from estinel_assets.errors import PermanentError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.offsets import boa_offset
from estinel_assets.stac.signing import Unsigned
from estinel_assets.stac.source import ListedScenes
from tests.support.real import real_data
from tests.support.stac_api import stac_item

TILE = Tile(1, 1, 9.25, 5.5)
CATALOGUE = Catalogue(
    source=Source.S2,
    provider=Provider.EARTH_SEARCH,
    url="https://stac.test/",
    collection="sentinel-2-c1-l2a",
    scenes=ListedScenes([]),
    signer=Unsigned(),
)


def scene(
    name: str, *, offsets: dict[str, float] | None = None, bbox: Any = (8.6, 4.8, 9.9, 6.2)
) -> S2Input:
    """A scene whose files reach 100 km around the tile."""
    assets = {
        key: {
            "href": f"https://s2.test/{name}/{band}.tif",
            "proj:code": "EPSG:32632",
            "proj:bbox": [400_000.0, 500_000.0, 650_000.0, 750_000.0],
            "raster:bands": [{"scale": 0.0001, "offset": (offsets or {}).get(band, -0.1)}],
        }
        for band, key in CATALOGUE.asset_keys.items()
    }
    item = stac_item(name, collection=CATALOGUE.collection, bbox=bbox, assets=assets)
    return S2Input(item, CATALOGUE)


def test_the_offset_is_that_of_every_band_that_is_used() -> None:
    assert scene("agreed").offset.offset_dn == -1000
    odd = scene("odd", offsets={"B8A": 0.0})
    # Imagery, which has no use for B8A, may use the scene.
    assert boa_offset(odd.item, Provider.EARTH_SEARCH).offset_dn == -1000
    with pytest.raises(PermanentError, match="B11 and B12 say -1000, 0") as caught:
        _ = odd.offset
    assert caught.value.reason == "unknown_offset"


def test_a_real_item_has_one_offset_for_all_bands() -> None:
    path = real_data("stac/rustac_c1_item_collection.json")
    for item in json.loads(path.read_text())["features"]:
        source = S2Input(item, CATALOGUE)
        assert source.offset.offset_dn == -1000
        assert set(BANDS) <= set(source.assets)


def test_no_more_scenes_are_read_at_once_than_cover_the_tile() -> None:
    grid = tile_grid(TILE, 20.0)
    half = scene("half", bbox=(8.6, 4.8, 9.25, 6.2))
    whole, another = scene("whole"), scene("another")
    found = TileScenes.of([half, whole, another], grid)
    assert found.scenes == (half, whole, another)
    assert found.needed == 2
    assert 0.2 < found.promised[0].mean() < 0.5
    assert found.promised[1].all()
    wants = list(found.wants(TileYear(TILE, 2023), tile_grid(TILE), grid))
    assert {want.scene.id for want in wants} == {"half", "whole"}
    assert len(wants) == 2 * len(BANDS)
    widths = {want.band: want.grid.resolution for want in wants}
    assert (widths["B08"], widths["B8A"]) == (10.0, 20.0)
    assert np.all(found.promised[0].shape == grid.shape)
