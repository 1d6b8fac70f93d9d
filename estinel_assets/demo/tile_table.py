"""A small table of tiles, as irregular in its numbers as the one in use.

The cells are those of the eighteenth-degree lattice, so that a place lies in exactly one of them;
numbers begin anywhere and jump, so that nothing can compute a place from them.
"""

import math
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from estinel_assets.ard.tiles import CELL_DEG, UTM_NORTH_DEG, UTM_SOUTH_DEG
from estinel_assets.errors import BadInputError

_COLUMNS: Final = round(360 / CELL_DEG)
_FIRST_X_TILE = 11
_FIRST_Y_TILE = 7
_JUMP = 3
"""How many numbers are left out where the lattice has a gap."""


def made_tile_table(places: Iterable[tuple[float, float]], *, rings: int = 1) -> pa.Table:
    """Make a table of the tiles around places.

    Args:
        places: (longitude, latitude) in degrees.
        rings: how many rings of tiles stand around the tile of each place.

    Returns:
        Columns `X, Y` (the centre, in degrees), `Y_tile, X_tile`, ordered by `Y_tile`, `X_tile`;
        each tile once.

    Raises:
        BadInputError: there is no place, or one beyond the latitudes of UTM.
    """
    cells = {cell for place in places for cell in _around(place, rings)}
    if not cells:
        raise BadInputError("a table of tiles needs a place: give a longitude and a latitude")
    x_tiles = _numbers({column for column, _ in cells}, _FIRST_X_TILE)
    y_tiles = _numbers({row for _, row in cells}, _FIRST_Y_TILE)
    rows = sorted((y_tiles[row], x_tiles[column], column, row) for column, row in cells)
    return pa.table(
        {
            "X": pa.array([_centre(column, 180) for _, _, column, _ in rows], pa.float64()),
            "Y": pa.array([_centre(row, 90) for _, _, _, row in rows], pa.float64()),
            "Y_tile": pa.array([y_tile for y_tile, *_ in rows], pa.int64()),
            "X_tile": pa.array([x_tile for _, x_tile, *_ in rows], pa.int64()),
        }
    )


def _around(place: tuple[float, float], rings: int) -> Iterable[tuple[int, int]]:
    """The lattice's cells around a place, across ±180° too, as far as UTM goes."""
    lon, lat = place
    if not (-180 <= lon <= 180 and UTM_SOUTH_DEG <= lat < UTM_NORTH_DEG):
        raise BadInputError(
            f"longitude {lon}, latitude {lat} is no place for tiles: "
            "give degrees from -180 to 180 and from -80 to 84"
        )
    column, row = math.floor((lon + 180) / CELL_DEG), math.floor((lat + 90) / CELL_DEG)
    for up in range(-rings, rings + 1):
        if UTM_SOUTH_DEG < _centre(row + up, 90) < UTM_NORTH_DEG:
            for right in range(-rings, rings + 1):
                yield (column + right) % _COLUMNS, row + up


def _centre(index: int, origin_deg: int) -> float:
    """The middle of a lattice row or column, in degrees, in four digits as in the table in use."""
    return round((index + 0.5) * CELL_DEG - origin_deg, 4)


def _numbers(indices: set[int], first: int) -> dict[int, int]:
    """Ascending numbers, with a jump wherever the lattice has a gap."""
    numbers, number, last = {}, first, None
    for index in sorted(indices):
        if last is not None:
            number += 1 if index == last + 1 else _JUMP
        numbers[index] = number
        last = index
    return numbers
