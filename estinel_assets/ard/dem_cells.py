"""The cells of Copernicus GLO-30, and which of them are there.

A cell is a degree high and a degree wide. Its pixels are points: the first row lies on the upper
edge, the last one a row above the lower edge, and the first column on the left edge, so that a
line of whole degrees belongs to the cell south or east of it. Rows are an arc second apart,
columns as many arc seconds as the latitude asks for (Copernicus DEM on AWS, readme).

The collection has no cell where there is only sea; elevations are 0 m there. But it has none
either where a cell was not released, and a search that failed in part gives fewer than there are.
So an absent cell is sea only where the list of the whole collection is known and lacks it, and
where no cell has been withheld.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from estinel_assets.errors import RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import Pixels

ROWS: Final = 3600
"""Rows of a cell, one an arc second."""
_COLUMN_ARCSECONDS: Final = ((50, 1.0), (60, 1.5), (70, 2.0), (80, 3.0), (85, 5.0), (90, 10.0))
"""Up to which latitude columns are how far apart."""
_READ_PER_ROW: Final = 2
"""Cells are read at half an arc second, of which every spacing is a multiple."""
_SLACK: Final = 1e-6
"""Pixels: float noise moves nobody into the next cell."""
_DEGREES: Final = "EPSG:4326"
_NAME: Final = re.compile(r"Copernicus_DSM_COG_(?:10|30)_([NS])(\d\d)_00_([EW])(\d{3})_00_DEM")

WITHHELD: Final = (38, 42, 43, 51)
"""(south, north, west, east), degrees: Armenia and Azerbaijan, whose cells are not released
everywhere. An absent cell within may be land."""


@dataclass(frozen=True, slots=True, order=True)
class DemCell:
    """A cell of the collection."""

    south: int
    """Lower edge, in degrees north, -90 to 89."""
    west: int
    """Left edge, in degrees east, -180 to 179."""

    @property
    def name(self) -> str:
        """Its item's id, as `Copernicus_DSM_COG_10_N33_00_W119_00_DEM`."""
        north = f"{'S' if self.south < 0 else 'N'}{abs(self.south):02d}"
        east = f"{'W' if self.west < 0 else 'E'}{abs(self.west):03d}"
        return f"Copernicus_DSM_COG_10_{north}_00_{east}_00_DEM"

    @property
    def columns(self) -> int:
        """Pixels of a row."""
        return round(3600 / column_arcseconds(self))

    @property
    def withheld(self) -> bool:
        """Whether its absence may have another reason than the sea."""
        south, north, west, east = WITHHELD
        return south <= self.south < north and west <= self.west < east


class CellState(StrEnum):
    """What is known of a cell."""

    PRESENT = "present"
    SEA = "sea"
    """The collection has none, and elevations are 0 m."""
    UNKNOWN = "unknown"
    """Nobody can say: the search may be incomplete, or the cell is not released."""


@dataclass(frozen=True, slots=True)
class DemChip:
    """Elevations of a part of a cell, or of a whole one."""

    elevation_m: NDArray[np.float32]
    """(height, width), metres; NaN where there is none."""
    left_deg: float
    """Outer edge of column 0, in degrees east."""
    top_deg: float
    """Outer edge of row 0, in degrees north."""
    pixel_width_deg: float
    """Distance of columns, in degrees."""
    pixel_height_deg: float
    """Distance of rows, in degrees."""


@dataclass(frozen=True, slots=True)
class CellWindow:
    """The part of a cell that a grid needs, in whole pixels of the cell."""

    cell: DemCell
    row: int
    column: int
    height: int
    width: int

    @property
    def _columns_read(self) -> int:
        return round(_READ_PER_ROW * column_arcseconds(self.cell))

    @property
    def read_grid(self) -> Grid:
        """The grid onto which the cell's file is to be read, nearest neighbour.

        Its pixels are half an arc second, so that it is square at every latitude; each pixel of
        the cell is met several times, and `chip` keeps one of them.
        """
        left, top = _outer_corner(self.cell)
        resolution = 1 / ROWS / _READ_PER_ROW
        return Grid(
            crs=_DEGREES,
            left=left + self.column * column_arcseconds(self.cell) / 3600,
            top=top - self.row / ROWS,
            resolution=resolution,
            width=self.width * self._columns_read,
            height=self.height * _READ_PER_ROW,
        )

    def chip(self, pixels: Pixels) -> DemChip:
        """The elevations out of what was read onto `read_grid`."""
        grid = self.read_grid
        if pixels.shape != grid.shape:
            raise ValueError(f"pixels of shape {pixels.shape} are not on the grid {grid.shape}")
        return DemChip(
            elevation_m=np.ascontiguousarray(
                pixels[::_READ_PER_ROW, :: self._columns_read], dtype=np.float32
            ),
            left_deg=grid.left,
            top_deg=grid.top,
            pixel_width_deg=column_arcseconds(self.cell) / 3600,
            pixel_height_deg=1 / ROWS,
        )


def column_arcseconds(cell: DemCell) -> float:
    """How far apart a cell's columns are, in arc seconds."""
    # A cell is as wide as the latitude of its edge nearer to the equator says.
    latitude = cell.south if cell.south >= 0 else -cell.south - 1
    return next(spacing for limit, spacing in _COLUMN_ARCSECONDS if latitude < limit)


def parse_dem_cell(item_id: str) -> DemCell | None:
    """The cell of an item; None where the id names none.

    Args:
        item_id: as `Copernicus_DSM_COG_10_N33_00_W119_00_DEM`.
    """
    found = _NAME.fullmatch(item_id)
    if found is None:
        return None
    south = int(found[2]) * (-1 if found[1] == "S" else 1)
    west = int(found[4]) * (-1 if found[3] == "W" else 1)
    inside = -90 <= south < 90 and -180 <= west < 180
    return DemCell(south, west) if inside else None


def cells_of(grid: Grid) -> tuple[DemCell, ...]:
    """The cells out of which a grid is interpolated, sorted.

    Args:
        grid: of what is asked for; interpolation reaches a pixel of the cells beyond it.
    """
    longitudes, latitudes = lon_lat(grid, outline=True)
    centre = float(longitudes[0])
    rows = _first_and_last(-latitudes * ROWS)
    souths = range(math.ceil(-rows[1] / ROWS) - 1, math.ceil(-rows[0] / ROWS))
    cells: set[DemCell] = set()
    for south in souths:
        per_degree = 3600 / column_arcseconds(DemCell(south, 0))
        columns = _first_and_last(unwrapped(longitudes, centre) * per_degree)
        first, last = (math.floor(column / per_degree) for column in columns)
        cells.update(DemCell(south, _wrapped(west)) for west in range(first, last + 1))
    return tuple(sorted(cells))


def cell_window(cell: DemCell, grid: Grid) -> CellWindow | None:
    """The part of a cell that a grid is interpolated from; None where it needs none of it."""
    longitudes, latitudes = lon_lat(grid, outline=True)
    east_of_cell = unwrapped(longitudes, cell.west + 0.5) - cell.west
    columns = _first_and_last(east_of_cell * cell.columns)
    rows = _first_and_last((cell.south + 1 - latitudes) * ROWS)
    row, column = max(rows[0], 0), max(columns[0], 0)
    height, width = min(rows[1], ROWS - 1) - row + 1, min(columns[1], cell.columns - 1) - column + 1
    if height < 1 or width < 1:
        return None
    return CellWindow(cell=cell, row=row, column=column, height=height, width=width)


def cell_states(
    needed: Iterable[DemCell],
    found: Collection[DemCell],
    listed: Collection[DemCell] | None,
) -> dict[DemCell, CellState]:
    """What is known of the cells that are needed.

    Args:
        needed: as `cells_of` gives them.
        found: those that a search of the catalogue gave.
        listed: every cell of the whole collection; None where nobody listed it.

    Returns:
        For each cell, in the order given: `present` where the search gave it; `sea` where the
        list lacks it and no cell is withheld there; else `unknown`.
    """
    states: dict[DemCell, CellState] = {}
    for cell in needed:
        if cell in found:
            states[cell] = CellState.PRESENT
        elif listed is None or cell in listed or cell.withheld:
            states[cell] = CellState.UNKNOWN
        else:
            states[cell] = CellState.SEA
    return states


def require_known(states: Mapping[DemCell, CellState]) -> None:
    """Refuse cells of which nobody can say whether they are sea.

    Raises:
        RetryableError: `source_unavailable`; the message names the cells.
    """
    unknown = [cell.name for cell, state in states.items() if state is CellState.UNKNOWN]
    if unknown:
        raise RetryableError(
            SourceFault.UNAVAILABLE,
            f"the catalogue gives no elevations for {', '.join(unknown)}, and nothing says that "
            "they are sea: list the whole collection, or take one that has them",
        )


def sea_chip(cell: DemCell) -> DemChip:
    """The elevations of a cell that is sea: 0 m everywhere."""
    left, top = _outer_corner(cell)
    return DemChip(
        elevation_m=np.broadcast_to(np.float32(0.0), (ROWS, cell.columns)),
        left_deg=left,
        top_deg=top,
        pixel_width_deg=column_arcseconds(cell) / 3600,
        pixel_height_deg=1 / ROWS,
    )


def lon_lat(
    grid: Grid, *, outline: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of a grid's pixel centres, in degrees.

    Args:
        grid: in any CRS.
        outline: only the middle pixel, first, and those along the grid's edges.

    Returns:
        (longitudes, latitudes), shape (height, width), or one dimension for an outline.
    """
    x = grid.left + (np.arange(grid.width) + 0.5) * grid.resolution
    y = grid.top - (np.arange(grid.height) + 0.5) * grid.resolution
    if outline:
        left, right = np.full_like(y, x[0]), np.full_like(y, x[-1])
        upper, lower = np.full_like(x, y[0]), np.full_like(x, y[-1])
        across = np.concatenate([x[grid.width // 2 :][:1], x, x, left, right])
        up = np.concatenate([y[grid.height // 2 :][:1], upper, lower, y, y])
    else:
        across, up = (np.ascontiguousarray(part) for part in np.meshgrid(x, y))
    longitudes, latitudes = _to_degrees(grid.crs).transform(across, up)
    return np.asarray(longitudes), np.asarray(latitudes)


def unwrapped(longitudes: NDArray[np.float64], centre_deg: float) -> NDArray[np.float64]:
    """The same places, with longitudes within 180 degrees of a centre."""
    around: NDArray[np.float64] = (longitudes - centre_deg + 180.0) % 360.0 - 180.0 + centre_deg
    return around


@lru_cache(maxsize=128)
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(crs, _DEGREES, always_xy=True)


def _first_and_last(positions: NDArray[np.float64]) -> tuple[int, int]:
    """The whole numbers on both sides of all positions, as interpolation needs them."""
    return (
        math.floor(float(positions.min()) + _SLACK),
        math.ceil(float(positions.max()) - _SLACK),
    )


def _outer_corner(cell: DemCell) -> tuple[float, float]:
    """Outer edges of a cell's first column and row: half a pixel beyond whole degrees."""
    return (
        cell.west - column_arcseconds(cell) / 7200,
        cell.south + 1 + 0.5 / ROWS,
    )


def _wrapped(west: int) -> int:
    return (west + 180) % 360 - 180
