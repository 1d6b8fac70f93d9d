"""Tile names against real ones."""

import pytest

from estinel_assets.demo.mgrs import tile_at
from estinel_assets.demo.scenes import utm_crs


@pytest.mark.parametrize(
    ("crs", "easting", "northing", "latitude", "name"),
    [
        # Upper left corners of real Sentinel-2 tiles, moved 50 km into the tile.
        ("EPSG:32613", 399_960 + 50_000, 4_500_000 - 50_000, 40.2, "13TDE"),
        ("EPSG:32755", 499_980 + 50_000, 5_300_020 - 50_000, -42.9, "55GEN"),
        ("EPSG:32633", 499_980 + 50_000, 5_200_020 - 50_000, 46.5, "33TWM"),
        ("EPSG:32633", 499_980 + 50_000, 5_100_000 - 50_000, 45.6, "33TWL"),
        ("EPSG:32637", 699_960 + 50_000, 1_000_000 - 50_000, 8.6, "37PGK"),
    ],
)
def test_names_of_real_tiles(
    crs: str, easting: float, northing: float, latitude: float, name: str
) -> None:
    assert tile_at(crs, easting, northing, latitude).name == name


def test_single_digit_zones_keep_two_digits() -> None:
    assert tile_at("EPSG:32701", 375_000, 2_523_000, -67.4).name.startswith("01D")


@pytest.mark.parametrize(
    ("longitude", "latitude", "crs"),
    [(147.33, -42.9, "EPSG:32755"), (-179.92, -67.4, "EPSG:32701"), (180.0, 10.0, "EPSG:32660"),
     (179.99, -10.0, "EPSG:32760"), (0.0, 51.5, "EPSG:32631")],
)  # fmt: skip
def test_zones(longitude: float, latitude: float, crs: str) -> None:
    assert utm_crs(longitude, latitude) == crs
