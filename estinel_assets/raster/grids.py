"""Grids: where the pixels of a raster lie.

Axis order is (row, column) = (y, x) for arrays and (x, y) for coordinates. Row 0 is the top.
"""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up raster grid of square pixels in a projected CRS."""

    crs: str
    """As `EPSG:32755`."""
    left: float
    """x of the outer edge of column 0, in CRS units (metres)."""
    top: float
    """y of the outer edge of row 0, in CRS units (metres)."""
    resolution: float
    """Pixel size along both axes, in CRS units (metres), positive."""
    width: int
    """Number of columns."""
    height: int
    """Number of rows."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""
        return self.height, self.width

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """The affine as (a, b, c, d, e, f): x = a·col + b·row + c, y = d·col + e·row + f."""
        return self.resolution, 0.0, self.left, 0.0, -self.resolution, self.top

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top), in CRS units."""
        right = self.left + self.width * self.resolution
        bottom = self.top - self.height * self.resolution
        return self.left, bottom, right, self.top

    @classmethod
    def covering(
        cls, crs: str, bounds: tuple[float, float, float, float], resolution: float
    ) -> Self:
        """The smallest grid of whole pixels, aligned to the CRS origin, that covers bounds.

        Args:
            crs: as `EPSG:32755`.
            bounds: (left, bottom, right, top), in CRS units.
            resolution: pixel size, in CRS units.
        """
        left, bottom, right, top = bounds
        # A billionth of a pixel of slack keeps float noise from adding a row or a column.
        columns = _floor(left / resolution + 1e-9), _ceil(right / resolution - 1e-9)
        rows = _floor(bottom / resolution + 1e-9), _ceil(top / resolution - 1e-9)
        return cls(
            crs=crs,
            left=columns[0] * resolution,
            top=rows[1] * resolution,
            resolution=resolution,
            width=columns[1] - columns[0],
            height=rows[1] - rows[0],
        )


def _floor(value: float) -> int:
    return int(value // 1)


def _ceil(value: float) -> int:
    return -int(-value // 1)
