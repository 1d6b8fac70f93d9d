"""Where the three catalogues are looked at, and what is made of their answers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from estinel_assets.ard.catalogues import (
    Catalogue,
    boxes_around,
    region_of,
    require_asset,
    shared_catalogue,
)
from estinel_assets.ard.dem_cells import DemCell
from estinel_assets.ard.opening import WorkSettings
from estinel_assets.ard.tiles import Source, Tile, tile_grid
from estinel_assets.errors import PermanentError, RetryableError
from estinel_assets.raster.grids import Grid
from estinel_assets.settings import ArdSettings, Settings, StoreSettings
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.signing import PlanetaryComputerSigner, Unsigned
from estinel_assets.stac.source import ListedScenes, SceneQuery, SearchResult
from estinel_assets.storage import open_store
from tests.support.stac_api import stac_item

HERE = Tile(1, 1, 9.25, 5.5)
CELLS = ((5, 9), (-34, -71), (0, 179), (-1, -180), (-90, 0))


def cell_item(south: int, west: int) -> dict[str, Any]:
    return stac_item(
        DemCell(south, west).name,
        collection="dem",
        bbox=(west, south, west + 1, south + 1),
        datetime="2021-04-22T00:00:00Z",
        assets={"data": {"href": "https://dem.test/a.tif"}},
    )


class Counting(ListedScenes):
    """A list of scenes that counts how often it is asked."""

    searches = 0

    def search(self, query: SceneQuery) -> SearchResult:
        self.searches += 1
        return super().search(query)


def catalogue(source: Source, *items: dict[str, Any], collection: str = "dem") -> Catalogue:
    return Catalogue(
        source=source,
        provider=Provider.PLANETARY_COMPUTER,
        url="https://stac.test/",
        collection=collection,
        scenes=Counting(items),
        signer=Unsigned(),
    )


def test_a_box_holds_all_grids() -> None:
    east = Tile(2, 1, HERE.lon + 1 / 18, HERE.lat)
    ((west, south, right, north),) = boxes_around([tile_grid(HERE), tile_grid(east)])
    assert west <= HERE.bbox[0] < east.bbox[2] <= right
    assert south <= HERE.bbox[1] < HERE.bbox[3] <= north
    # The grid is snapped outward by less than 120 m, and its edges bend.
    assert right - west < 2 / 18 + 0.01
    assert north - south < 1 / 18 + 0.01


@pytest.mark.parametrize("longitude", [179.99, -179.99, 180.0])
def test_a_box_is_cut_where_it_passes_the_antimeridian(longitude: float) -> None:
    first, second = boxes_around([tile_grid(Tile(1, 1, longitude, -16.5))])
    assert first[2] == 180.0
    assert second[0] == -180.0
    assert 179.9 < first[0] < 180.0
    assert -180.0 < second[2] < -179.9


def test_boxes_reach_the_end_of_the_globe_without_a_cut() -> None:
    grid = Grid("EPSG:4326", 179.5, 10.0, 0.1, 4, 4)
    assert len(boxes_around([grid])) == 1


def test_the_list_of_cells_is_made_once_and_kept() -> None:
    store = open_store("memory://")
    listing = catalogue(Source.DEM, *(cell_item(*cell) for cell in CELLS))
    expected = frozenset(DemCell(*cell) for cell in CELLS)
    assert listing.listed_cells(store) == expected
    assert listing.scenes.searches == 36
    assert listing.listed_cells(store) == expected
    assert listing.scenes.searches == 36


def test_an_empty_list_of_cells_is_no_list() -> None:
    store = open_store("memory://")
    with pytest.raises(RetryableError, match="lists no cell") as caught:
        catalogue(Source.DEM).listed_cells(store)
    assert caught.value.reason == "source_unavailable"
    assert list(store.list("")) == []


def test_a_cell_is_found_whatever_its_date() -> None:
    listing = catalogue(Source.DEM, cell_item(5, 9), cell_item(-34, -71))
    assert [item["id"] for item in listing.find_always([tile_grid(HERE)])] == [DemCell(5, 9).name]


def test_a_year_is_searched_in_windows_and_each_item_is_found_once() -> None:
    items = [
        stac_item(f"s{month}", collection="s1", bbox=(9, 5, 10, 6), datetime=f"2023-{month:02}-01")
        for month in range(1, 13)
    ]
    listing = catalogue(Source.S1, *items, collection="s1")
    start, end = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, tzinfo=UTC)
    found = listing.find([tile_grid(HERE)], start, end)
    assert [item["id"] for item in found] == [item["id"] for item in items]
    assert listing.scenes.searches == 5


def test_a_missing_band_is_named() -> None:
    item = stac_item("scene", assets={"vv": {"href": "https://s1.test/vv.tif"}})
    assets = catalogue(Source.S1).assets(item)
    assert require_asset(assets, "VV", "scene").href == "https://s1.test/vv.tif"
    with pytest.raises(
        PermanentError, match=r"scene scene lists no file for VH, only.*VV"
    ) as caught:
        require_asset(assets, "VH", "scene")
    assert caught.value.reason == "missing_band"


def test_each_source_has_its_own_catalogue_signer_and_region() -> None:
    at = WorkSettings.of(
        Settings(
            store=StoreSettings(url="file:///tmp/somewhere"),
            ard=ArdSettings(s1_url="https://s1.test/stac", s1_collection="rtc", s1_region="moon"),
        )
    )
    s1, s2 = (shared_catalogue(source, at) for source in (Source.S1, Source.S2))
    assert (s1.url, s1.collection) == ("https://s1.test/stac", "rtc")
    assert isinstance(s1.signer, PlanetaryComputerSigner)
    assert isinstance(s2.signer, Unsigned)
    assert shared_catalogue(Source.S1, at) is s1
    assert region_of(Source.S1, at) == "moon"
    assert s2.asset_keys["B8A"] == "nir08"
