"""How much of a tile footprints cover, on either side of the antimeridian."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon, box
from shapely.affinity import translate

from estinel_assets.ard.coverage import tile_coverage
from estinel_assets.ard.tiles import CELL_DEG, Tile
from estinel_assets.stac.geography import geometry_of
from tests.support.examples import examples
from tests.support.real import real_data

shares = st.floats(0, 1)


def over(tile: Tile, west: float, east: float, south: float, north: float) -> Polygon:
    """A box between shares of the tile's width and height."""
    left, bottom, *_ = tile.bbox
    return box(
        left + west * CELL_DEG,
        bottom + south * CELL_DEG,
        left + east * CELL_DEG,
        bottom + north * CELL_DEG,
    )


@examples(40)
@given(
    st.floats(-180, 180),
    st.floats(-79, 83),
    st.tuples(shares, shares),
    st.tuples(shares, shares),
    st.sampled_from([-360, 0, 360]),
)
def test_a_box_covers_its_share(lon, lat, across, up, turn: int):
    tile = Tile(1, 1, lon, lat)
    (west, east), (south, north) = sorted(across), sorted(up)
    covering = translate(over(tile, west, east, south, north), turn)
    expected = (east - west) * (north - south)
    assert tile_coverage([covering], tile) == pytest.approx(expected, abs=1e-6)


TILE = Tile(1, 1, 15.0, -20.0)


def test_what_two_cover_counts_once():
    west, east = over(TILE, 0, 0.6, 0, 1), over(TILE, 0.4, 0.9, 0, 1)
    assert tile_coverage([west, east], TILE) == pytest.approx(0.9)
    assert tile_coverage([MultiPolygon([west, over(TILE, 0.8, 1, 0, 1)])], TILE) == pytest.approx(
        0.8
    )


def test_what_covers_nothing():
    assert tile_coverage([], TILE) == 0
    assert tile_coverage([Polygon(), MultiPolygon()], TILE) == 0
    assert tile_coverage([over(TILE, 1, 3, 0, 1)], TILE) == 0
    # On the other side of the globe.
    assert tile_coverage([box(-170, -25, -160, -15)], TILE) == 0


def test_a_footprint_that_crosses_itself_still_covers():
    bow_tie = Polygon([(14, -21), (16, -19), (16, -21), (14, -19)])
    assert not bow_tie.is_valid
    assert tile_coverage([bow_tie], TILE) == pytest.approx(0.5, abs=0.01)


def test_a_hole_is_not_covered():
    hole = over(TILE, 0, 0.5, 0, 1)
    holed = Polygon(box(14, -21, 16, -19).exterior, [hole.exterior])
    assert tile_coverage([holed], TILE) == pytest.approx(0.5)


def test_a_real_item_on_both_sides_of_the_antimeridian():
    item = json.loads(real_data("stac/world-wrapping.stac-item.json").read_text())
    footprint = geometry_of(item)
    assert footprint is not None
    for lon, expected in ((-180.0, 1.0), (180.0, 1.0), (-179.5, 1.0), (0.0, 0.0), (179.0, 0.0)):
        assert tile_coverage([footprint], Tile(1, 1, lon, -18.0)) == pytest.approx(expected)
    # The tile's western half lies beyond the item.
    edge = footprint.geoms[0].bounds[0]
    assert tile_coverage([footprint], Tile(1, 1, edge, -18.0)) == pytest.approx(0.5)
