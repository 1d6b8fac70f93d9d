"""The thresholds by which Sentinel-2 days are chosen, and the two grids on which clouds are seen.

Days are solar days with the longitude of the tile. A share of cloudy pixels counts as cloudy the
classes 0, 1, 2, 3, 7, 8, 9, 10 and 11 of the scene classification (SCL): all but vegetation, bare
ground and water, so that pixels without data count as cloudy too.

Before anything is read:

1. Scenes whose `eo:cloud_cover` is 50 % or more are left out; those that do not say stay.
2. Days whose scenes' footprints cover less than 0.95 of the tile are left out.

Stage 1, the clouds of a wide area, centre ± 150/360 degree, at 640 m:

3. *hard drop*: the day goes where more than 0.50 of the area is cloudy.
4. *weighted*: where more than 0.30 of the area is cloudy, the day's score is 0.25 of that share
   and 0.75 of the share within the middle 30 by 30 pixels; else it is the area's share. The
   day goes where its score is above 0.40.
5. *better in month*: the day goes where the month has a day, dropped or not, whose middle is less
   cloudy by more than 0.20.
6. *enough in month*: of a month the 2 days of lowest score stay, the earlier where equal.
7. *enough in year*: of the year the 24 days of lowest score stay, the earlier where equal.

Stage 2, the tile itself, centre ± 1/36 degree, at 160 m:

8. *bad pixels*: the day goes where more than 0.20 of the tile is cloudy.

A year of which no day is left has no arrays but an outcome, `no_clear_scenes`, or `no_scenes`
where step 2 left none.
"""

from dataclasses import dataclass
from typing import Final

from pyproj import Transformer

from estinel_assets.ard.tiles import CELL_DEG, Tile, utm_crs
from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.scl import SclClass

CLOUDY_CLASSES: Final = frozenset(SclClass) - {
    SclClass.VEGETATION,
    SclClass.NOT_VEGETATED,
    SclClass.WATER,
}
"""What counts as cloudy."""

_SHARES: Final = (
    "hard_drop_above",
    "moderate_above",
    "local_weight",
    "max_weighted",
    "better_by",
    "min_coverage",
    "max_bad",
)
_POINTS_A_SIDE: Final = 17


@dataclass(frozen=True, slots=True)
class S2Rules:
    """The thresholds, with the defaults of the models that read the arrays; see the module."""

    max_scene_cloud_percent: float = 50.0
    """Scenes stay below this `eo:cloud_cover`, in percent."""
    min_coverage: float = 0.95
    """Days stay from this share of the tile on."""
    hard_drop_above: float = 0.50
    """Days go above this share of the wide area."""
    moderate_above: float = 0.30
    """Above this share of the wide area the middle counts more."""
    local_weight: float = 0.75
    """How much of the score the middle then makes."""
    max_weighted: float = 0.40
    """Days go above this score."""
    better_by: float = 0.20
    """A day goes where another of its month has a middle less cloudy by more than this."""
    max_per_month: int = 2
    """Days of a month."""
    max_per_year: int = 24
    """Days of the year."""
    max_bad: float = 0.20
    """Days go above this share of the tile."""
    local_pixels: int = 30
    """Side of the middle, in pixels of the wide area."""
    cloud_half_width_deg: float = 150 / 360
    """From the tile's centre to the edge of the wide area, in degrees."""
    cloud_resolution_m: float = 640.0
    """Pixel size of the wide area, in metres."""
    quality_resolution_m: float = 160.0
    """Pixel size at which the tile's clouds are counted, in metres."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {share}; take a share from 0 to 1"
            for name in _SHARES
            if not 0 <= (share := getattr(self, name)) <= 1
        ]
        problems += [
            f"{name} is {count}; take 1 or more"
            for name in ("max_per_month", "max_per_year", "local_pixels")
            if (count := getattr(self, name)) < 1
        ]
        problems += [
            f"{name} is {size}; take more than 0"
            for name in ("cloud_half_width_deg", "cloud_resolution_m", "quality_resolution_m")
            if not (size := getattr(self, name)) > 0
        ]
        if not 0 < self.max_scene_cloud_percent <= 100:
            problems.append(
                f"max_scene_cloud_percent is {self.max_scene_cloud_percent}; take up to 100"
            )
        if problems:
            raise BadInputError(f"the rules of Sentinel-2 cannot be used: {'; '.join(problems)}")


def cloud_grid(tile: Tile, rules: S2Rules) -> Grid:
    """The wide area of stage 1, in the UTM zone of the tile's centre."""
    return _grid_around(tile, rules.cloud_half_width_deg, rules.cloud_resolution_m)


def quality_grid(tile: Tile, rules: S2Rules) -> Grid:
    """The tile at the pixel size of stage 2, in the UTM zone of its centre."""
    return _grid_around(tile, CELL_DEG / 2, rules.quality_resolution_m)


def _grid_around(tile: Tile, half_width_deg: float, resolution_m: float) -> Grid:
    crs = utm_crs(tile.lon, tile.lat)
    left, bottom, right, top = Transformer.from_crs(
        "EPSG:4326", crs, always_xy=True
    ).transform_bounds(
        tile.lon - half_width_deg,
        tile.lat - half_width_deg,
        tile.lon + half_width_deg,
        tile.lat + half_width_deg,
        densify_pts=_POINTS_A_SIDE,
    )
    return Grid.covering(crs, (left, bottom, right, top), resolution_m)
