"""The made table of tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.ard.tiles import CELL_DEG, Tile
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError

places = st.lists(st.tuples(st.floats(-180, 180), st.floats(-79.5, 83.5)), min_size=1, max_size=4)


@given(places, st.integers(0, 3))
def test_every_place_lies_in_exactly_one_tile(
    wanted: list[tuple[float, float]], rings: int
) -> None:
    tiles = tiles_around(wanted, rings)
    assert len({(tile.x_tile, tile.y_tile) for tile in tiles}) == len(tiles)
    assert len({(tile.lon, tile.lat) for tile in tiles}) == len(tiles)
    for lon, lat in wanted:
        apart = [
            max(abs((tile.lon - lon + 180) % 360 - 180), abs(tile.lat - lat)) for tile in tiles
        ]
        # Centres have four digits.
        assert min(apart) <= CELL_DEG / 2 + 1e-4
        assert sum(distance < CELL_DEG / 2 - 1e-4 for distance in apart) <= 1
        near = [distance for distance in apart if distance < (rings + 0.6) * CELL_DEG]
        assert len(near) >= (2 * rings + 1) ** 2


@given(places, st.integers(0, 3))
def test_the_table_has_the_form_of_the_one_in_use(
    wanted: list[tuple[float, float]], rings: int
) -> None:
    table = made_tile_table(wanted, rings=rings)
    assert table.column_names == ["X", "Y", "Y_tile", "X_tile"]
    assert [str(kind) for kind in table.schema.types] == ["double", "double", "int64", "int64"]
    rows = list(zip(*(table.column(c).to_pylist() for c in ("Y_tile", "X_tile")), strict=True))
    assert rows == sorted(rows)
    assert table.equals(made_tile_table(reversed(wanted), rings=rings))


def test_a_place_and_its_rings() -> None:
    tiles = tiles_around([(10.15, 5.96)], 1)
    assert [(tile.x_tile, tile.y_tile) for tile in tiles] == [
        (x_tile, y_tile) for y_tile in (7, 8, 9) for x_tile in (11, 12, 13)
    ]
    assert tiles[4] == Tile(12, 8, 10.1389, 5.9722)
    assert np.diff([tile.lon for tile in tiles[:3]]) == pytest.approx(CELL_DEG, abs=1e-4)


def test_numbers_jump_between_places() -> None:
    tiles = tiles_around([(10.15, 5.96), (12.15, -3.0)], 0)
    assert [(tile.x_tile, tile.y_tile) for tile in tiles] == [(14, 7), (11, 10)]


def test_rings_go_on_across_180_degrees() -> None:
    lons = {tile.lon for tile in tiles_around([(179.99, -16.5)], 1)}
    assert lons == {179.9167, 179.9722, -179.9722}


@pytest.mark.parametrize("wanted", [[], [(181.0, 0.0)], [(0.0, 84.5)], [(0.0, float("nan"))]])
def test_what_is_no_place_is_refused(wanted: list[tuple[float, float]]) -> None:
    with pytest.raises(BadInputError):
        made_tile_table(wanted)


def tiles_around(wanted: list[tuple[float, float]], rings: int) -> list[Tile]:
    return [
        Tile(row["X_tile"], row["Y_tile"], row["X"], row["Y"])
        for row in made_tile_table(wanted, rings=rings).to_pylist()
    ]
