"""Windows of sites: their grids and what these cover in longitude and latitude."""

import json
import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import example, given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import (
    SiteWindow,
    grid_bboxes,
    site_crs,
    site_window,
    sites_table,
    window_problem,
)
from estinel_assets.raster.grids import Grid

GEOD = Geod(ellps="WGS84")

EVERYWHERE = [
    Site("Hobart", 147.3257, -42.8826),
    Site("Casey", 110.5267, -66.2825),
    Site("equator", 0.0, 0.0),
    Site("equator, far from the meridian", 5.99, 0.01),
    Site("east of the line", -179.9, -16.0),
    Site("west of the line", 179.99, -60.0),
    Site("on the line", 180.0, -16.0),
    Site("on the line, as west", -180.0, 71.0),
    Site("80 south", 90.0, -80.0),
    Site("just south of 80", 90.0, -80.0001),
    Site("84 north", 10.0, 84.0),
    Site("just north of 84", 10.0, 84.0001),
    Site("89 south on the line", -179.9, -89.0),
    Site("89 south", 45.0, -89.0),
    Site("near the south pole", 45.0, -89.99),
    Site("the south pole", 0.0, -90.0),
    Site("near the north pole", -120.0, 89.98),
    Site("wide", 178.0, 83.9, 1000.0, 300_000.0, 300_000.0),
]

sites = st.builds(
    Site,
    st.just("somewhere"),
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90) | st.floats(-90, -89.9) | st.floats(89.9, 90) | st.floats(-0.05, 0.05),
    resolution=st.sampled_from([10.0, 20.0, 60.0, 100.0]),
    radiusx=st.floats(500, 100_000),
    radiusy=st.floats(500, 100_000),
)


def in_degrees(grid: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    longitudes, latitudes = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(
        x, y
    )
    return longitudes, latitudes


def covered(window: SiteWindow, lon: float, lat: float, slack: float = 1e-9) -> bool:
    return any(
        west - slack <= lon <= east + slack and south - slack <= lat <= north + slack
        for west, south, east, north in window.bboxes
    )


def has_pole(window: SiteWindow) -> bool:
    return any(abs(box[1]) == 90.0 or abs(box[3]) == 90.0 for box in window.bboxes)


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        (147.3257, -42.8826, "EPSG:32755"),
        (110.5267, -66.2825, "EPSG:32749"),
        (62.8742, -67.6033, "EPSG:32741"),
        (-109.4292, -27.1984, "EPSG:32712"),
        (-18.127, 65.85, "EPSG:32627"),
        (-180.0, 10.0, "EPSG:32601"),
        (180.0, 10.0, "EPSG:32660"),
        (179.9, -10.0, "EPSG:32760"),
        (-179.9, -10.0, "EPSG:32701"),
        (0.0, 0.0, "EPSG:32631"),
        (-0.001, -0.001, "EPSG:32730"),
        (6.0, 50.0, "EPSG:32632"),
        (5.0, 60.0, "EPSG:32631"),  # Bergen: no exception for Norway
        (15.6, 78.2, "EPSG:32633"),
        (8.0, 78.0, "EPSG:32632"),  # no exception for Svalbard
        (90.0, -80.0, "EPSG:32746"),
        (90.0, -80.0001, "EPSG:3031"),
        (90.0, -90.0, "EPSG:3031"),
        (10.0, 84.0, "EPSG:32632"),
        (10.0, 84.0001, "EPSG:3413"),
    ],
)
def test_the_crs_of_a_place(lon: float, lat: float, crs: str) -> None:
    assert site_crs(lon, lat) == crs


@pytest.mark.parametrize("site", EVERYWHERE, ids=lambda site: site.location)
def test_the_window_holds_its_rectangle_and_little_more(site: Site) -> None:
    grid = site_window(site).grid
    left, bottom, right, top = grid.bounds
    # Where the corners and the sides' middles lie, by way of the geodesic instead of a projection.
    to_grid = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    for x in (-site.radiusx, 0.0, site.radiusx):
        for y in (-site.radiusy, 0.0, site.radiusy):
            lon, lat, _ = GEOD.fwd(
                site.lon, site.lat, math.degrees(math.atan2(x, y)), math.hypot(x, y)
            )
            east, north = to_grid.transform(lon, lat)
            # Equal-area distances are a little shorter than geodesic ones far from the centre.
            slack = 0.01 + 1e-3 * math.hypot(x, y) * (site.radiusx / 300_000)
            assert left - slack <= east <= right + slack
            assert bottom - slack <= north <= top + slack
    assert grid.left % grid.resolution == 0
    assert grid.top % grid.resolution == 0
    turned = grid.crs in {"EPSG:3031", "EPSG:3413"}
    for pixels, radius in ((grid.width, site.radiusx), (grid.height, site.radiusy)):
        across = 2 * radius / grid.resolution
        assert across * 0.96 <= pixels <= across * (1.42 if turned else 1.06) + 2


def test_hobart_is_six_kilometres_square() -> None:
    window = site_window(Site("Hobart", 147.3257, -42.8826))
    assert window.site_id == "site_af38900f"
    assert window.grid.crs == "EPSG:32755"
    assert 600 <= window.grid.width <= 606
    assert 600 <= window.grid.height <= 606
    ((west, south, east, north),) = window.bboxes
    assert (west + east) / 2 == pytest.approx(147.3257, abs=1e-3)
    assert (south + north) / 2 == pytest.approx(-42.8826, abs=1e-3)
    assert east - west == pytest.approx(6000 / (111_320 * math.cos(math.radians(42.88))), rel=0.02)


@given(sites, st.integers(0, 2**32))
@example(Site("the south pole", 0.0, -90.0), 1)
@example(Site("beside the south pole", 180.0, -89.5, 10.0, 56_000.0, 40_000.0), 2)
@example(Site("on the equator", 180.0, 0.0, 100.0, 90_000.0, 30_000.0), 3)
def test_the_boxes_hold_the_grid(site: Site, seed: int) -> None:
    window = site_window(site)
    left, bottom, right, top = window.grid.bounds
    generator = np.random.default_rng(seed)
    along = np.concatenate([[0.0, 1.0], generator.random(40)])
    xs, ys = left + along * (right - left), bottom + along * (top - bottom)
    x = np.concatenate([xs, xs, np.full_like(ys, left), np.full_like(ys, right), xs])
    y = np.concatenate([np.full_like(xs, bottom), np.full_like(xs, top), ys, ys, ys[::-1]])
    longitudes, latitudes = in_degrees(window.grid, x, y)
    outside = [
        (lon, lat)
        for lon, lat in zip(longitudes, latitudes, strict=True)
        if not covered(window, lon, lat)
    ]
    assert outside == []
    assert covered(window, site.lon, site.lat)


@given(sites)
@example(Site("on the line", 180.0, -16.0))
@example(Site("-89 on the line", 179.9, -89.0))
def test_the_boxes_are_well_formed_and_no_larger_than_the_grid(site: Site) -> None:
    window = site_window(site)
    for west, south, east, north in window.bboxes:
        assert -180.0 <= west < east <= 180.0
        assert -90.0 <= south < north <= 90.0
    if len(window.bboxes) == 2:
        first, second = window.bboxes
        assert (first[2], second[0]) == (180.0, -180.0)
        assert (first[1], first[3]) == (second[1], second[3])
    assert len(window.bboxes) in {1, 2}
    if not has_pole(window):
        # A densified outline comes to within a hair of every side.
        left, bottom, right, top = window.grid.bounds
        along = np.linspace(0, 1, 401)
        xs, ys = left + along * (right - left), bottom + along * (top - bottom)
        x = np.concatenate([xs, xs, np.full_like(ys, left), np.full_like(ys, right)])
        y = np.concatenate([np.full_like(xs, bottom), np.full_like(xs, top), ys, ys])
        longitudes, latitudes = in_degrees(window.grid, x, y)
        relative = (longitudes - site.lon + 180.0) % 360.0 - 180.0
        width = sum(east - west for west, _, east, _ in window.bboxes)
        height = window.bboxes[0][3] - window.bboxes[0][1]
        assert width == pytest.approx(relative.max() - relative.min(), rel=1e-3, abs=1e-6)
        assert height == pytest.approx(latitudes.max() - latitudes.min(), rel=1e-2, abs=1e-6)


@pytest.mark.parametrize(
    "site",
    [
        Site("Hobart", 147.3257, -42.8826),
        Site("Casey", 110.5267, -66.2825, 10.0, 5000.0, 3000.0),
        Site("Kerguelen", 69.5, -49.35, 100.0, 85_000.0, 85_000.0),
        Site("Eyjafjordur", -18.127, 65.85),
        Site("far south", 45.0, -81.0),
        Site("far north", 10.0, 84.5),
        Site("equator", 3.0, 0.0, 60.0, 20_000.0, 20_000.0),
    ],
    ids=lambda site: site.location,
)
@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")
def test_one_box_is_what_odc_geo_says(site: Site) -> None:
    window = site_window(site)
    grid = window.grid
    box = GeoBox(grid.shape, Affine(*grid.transform), grid.crs)
    oracle = box.extent.to_crs("EPSG:4326", resolution=grid.resolution).boundingbox
    ((west, south, east, north),) = window.bboxes
    assert (west, south, east, north) == pytest.approx(
        (oracle.left, oracle.bottom, oracle.right, oracle.top), abs=2e-6
    )


@pytest.mark.parametrize(
    ("lon", "lat", "expected"),
    [
        (179.99, -60.0, 2),
        (-179.99, -60.0, 2),
        (180.0, 16.0, 2),
        (-180.0, 16.0, 2),
        (179.9, -60.0, 1),
        (179.9, -89.0, 2),
        (-179.9, -89.0, 2),
        (45.0, -89.0, 1),
        (179.9, 85.0, 2),
    ],
)
def test_two_boxes_across_the_antimeridian(lon: float, lat: float, expected: int) -> None:
    window = site_window(Site("somewhere", lon, lat))
    assert len(window.bboxes) == expected
    # Together they are as wide as a window far from the line.
    width = sum(east - west for west, _, east, _ in window.bboxes)
    plain = site_window(Site("somewhere", 45.0 if abs(lat) > 80 else 177.0, lat))
    assert width < 2 * (plain.bboxes[0][2] - plain.bboxes[0][0])


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (Site("the south pole", 0.0, -90.0), (-180.0, -90.0, 180.0)),
        (Site("near the south pole", 45.0, -89.99), (-180.0, -90.0, 180.0)),
    ],
)
def test_around_the_south_pole_all_longitudes(
    site: Site, expected: tuple[float, float, float]
) -> None:
    ((west, south, east, north),) = site_window(site).bboxes
    assert (west, south, east) == expected
    assert -89.97 < north < -89.9


def test_around_the_north_pole_all_longitudes() -> None:
    ((west, south, east, north),) = site_window(Site("ice", -120.0, 89.98)).bboxes
    assert (west, east, north) == (-180.0, 180.0, 90.0)
    assert 89.9 < south < 89.97


def test_a_pole_on_the_edge_counts_as_inside() -> None:
    grid = Grid("EPSG:3031", left=0.0, top=1000.0, resolution=10.0, width=100, height=100)
    ((west, south, east, _),) = grid_bboxes(grid, 45.0)
    assert (west, south, east) == (-180.0, -90.0, 180.0)


def test_an_edge_along_the_antimeridian_makes_no_second_box() -> None:
    # In EPSG:3031 the line of 180° runs down from the pole.
    grid = Grid("EPSG:3031", left=-1000.0, top=-5000.0, resolution=10.0, width=100, height=100)
    ((west, _, east, _),) = grid_bboxes(grid, -175.0)
    assert west == -180.0
    assert -172.0 < east < -168.0
    grid = Grid("EPSG:3031", left=0.0, top=-5000.0, resolution=10.0, width=100, height=100)
    ((west, _, east, _),) = grid_bboxes(grid, 175.0)
    assert east == 180.0
    assert 168.0 < west < 172.0


def test_the_rule_of_the_r_archives_makes_squares() -> None:
    island = Site("Flinders Island (100m)", 148.2472915, -40.2174148, 100.0, 15_000.0, 50_000.0)
    ours, theirs = site_window(island).grid, site_window(island, "estinel-r").grid
    assert ours.height == pytest.approx(1000, abs=12)
    assert theirs.height == pytest.approx(300, abs=8)
    square = Site(island.location, island.lon, island.lat, 100.0, 15_000.0, 15_000.0)
    assert theirs == site_window(square).grid


def test_too_large_a_window_is_a_problem() -> None:
    site = Site("Hobart", 147.3257, -42.8826)
    grid = site_window(site).grid
    pixels = grid.width * grid.height
    assert window_problem(site, pixels) is None
    problem = window_problem(site, pixels - 1)
    assert problem is not None
    assert f"{grid.width} x {grid.height} = {pixels} pixels" in problem
    assert str(pixels - 1) in problem
    tall = Site("tall", 147.3257, -42.8826, 10.0, 3000.0, 60_000.0)
    assert window_problem(tall, 500_000) is not None
    assert window_problem(tall, 500_000, "estinel-r") is None


def test_the_table_is_plain_values() -> None:
    rows = sites_table([Site("Hobart", 147.3257, -42.8826), Site("Line", 180, 16, 20)])
    assert json.loads(json.dumps(rows)) == rows
    assert list(rows[0]) == [
        "location",
        "SITE_ID",
        "crs",
        "transform",
        "width",
        "height",
        "bboxes",
    ]
    hobart, line = rows
    grid = site_window(Site("Hobart", 147.3257, -42.8826)).grid
    assert hobart["SITE_ID"] == "site_af38900f"
    assert hobart["transform"] == [10.0, 0.0, grid.left, 0.0, -10.0, grid.top]
    assert (hobart["width"], hobart["height"]) == (grid.width, grid.height)
    assert len(line["bboxes"]) == 2  # type: ignore[arg-type]
