"""Footprints on grids, measured by carrying every pixel back to degrees."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.features import geometry_mask
from shapely import affinity
from shapely.geometry import mapping, shape

from estinel_assets.raster.footprints import Extent, inside_footprint, tile_coverage
from estinel_assets.raster.grids import Grid
from tests.support.examples import examples
from tests.support.real import real_data

SCENE = "imagery/earthsearch_33T_20230818/S2A_33TWL_20230818_0_L2A/S2A_33TWL_20230818_0_L2A.json"
TILE = Extent("EPSG:32633", (499980.0, 4990200.0, 609780.0, 5100000.0))
TASMANIA = Grid("EPSG:32755", 480_000.0, 5_260_000.0, 1000.0, 40, 30)
TAVEUNI = Grid("EPSG:32760", 760_000.0, 8_150_000.0, 1000.0, 60, 60)
"""±180° runs through it."""
ROSS_SEA = Grid("EPSG:3031", -40_000.0, -1_270_000.0, 1000.0, 80, 60)
"""±180° runs through it, at 78° south."""
SOUTH_POLE = Grid("EPSG:3031", -30_000.0, 30_000.0, 1000.0, 60, 60)
PLACES = {
    TASMANIA: (146.9, -42.9),
    TAVEUNI: (179.9, -16.9),
    ROSS_SEA: (-179.6, -78.1),
    Grid("EPSG:32601", 240_000.0, 8_150_000.0 - 10_000_000.0, 1000.0, 40, 40): (-179.3, -16.9),
    Grid("EPSG:3413", 300_000.0, -1_500_000.0, 1000.0, 50, 50): (-33.0, 76.0),
    Grid("EPSG:32733", 420_000.0, 1_400_000.0, 2000.0, 40, 40): (14.0, -77.3),
    # Scenes of the zone to the west, on a grid far from its own central meridian.
    Grid("EPSG:32633", -60_000.0, 5_120_000.0, 1000.0, 40, 40): (8.2, 46.0),
}


@cache
def transformer(crs):
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def centres(grid):
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    return grid.left + columns * grid.resolution, grid.top - rows * grid.resolution


def near(longitudes, middle):
    """The same longitudes, within 180° of the middle."""
    return (np.asarray(longitudes) - middle + 180) % 360 - 180 + middle


def oracle(footprint, grid):
    """Point by point: (inside both ways, distance from the nearer border in metres).

    Args:
        footprint: a shapely polygon in degrees that passes ±180° without a jump.
    """
    middle = footprint.centroid.x
    x, y = centres(grid)
    longitudes, latitudes = transformer(grid.crs).transform(x, y, direction="INVERSE")
    in_degrees = shapely.contains_xy(footprint, near(longitudes, middle), latitudes)
    corners = shapely.transform(footprint, transformer(grid.crs).transform, interleaved=False)
    fine = shapely.transform(
        shapely.segmentize(footprint, 0.02), transformer(grid.crs).transform, interleaved=False
    )
    points = shapely.points(x, y)
    away = np.minimum(
        shapely.distance(points, corners.boundary), shapely.distance(points, fine.boundary)
    )
    return in_degrees & shapely.contains_xy(corners, x, y), away


def agree(found, footprint, grid, slack_m=5.0):
    expected, away = oracle(footprint, grid)
    return not (found != expected)[away > slack_m].any()


def wrapped(footprint):
    """As catalogues that know no antimeridian write it: longitudes jump by 360°."""
    return mapping(
        shapely.transform(
            footprint, lambda xy: np.column_stack([(xy[:, 0] + 180) % 360 - 180, xy[:, 1]])
        )
    )


def split(footprint, at=180.0):
    """Cut at ±180°, as RFC 7946 wants it."""
    beyond = footprint.bounds[2] > 180
    whole = footprint if beyond else affinity.translate(footprint, 360)
    west = whole & shapely.box(0, -90, at, 90)
    east = affinity.translate(whole & shapely.box(360 - at, -90, 540, 90), -360)
    return mapping(shapely.MultiPolygon([west, east]))


@st.composite
def footprints(draw):
    """A grid and four to seven corners around its place, convex or a little dented."""
    grid, (longitude, latitude) = draw(st.sampled_from(sorted(PLACES.items(), key=str)))
    corners = draw(st.integers(4, 7))
    turn = draw(st.floats(0, 1))
    lengths = draw(st.lists(st.floats(0.06, 0.6), min_size=corners, max_size=corners))
    shift = draw(st.floats(-0.3, 0.3)), draw(st.floats(-0.3, 0.3))
    angles = (np.arange(corners) + turn) * 2 * np.pi / corners
    stretch = 1 / np.cos(np.radians(latitude))
    x = longitude + stretch * (shift[0] + np.cos(angles) * lengths)
    y = latitude + shift[1] + np.sin(angles) * lengths
    return grid, shapely.Polygon(np.column_stack([x, y]))


@given(footprints(), st.sampled_from(["as it is", "jumps"]))
@examples(40)
def test_every_pixel_is_where_its_degrees_say(drawn, form):
    grid, footprint = drawn
    geometry = mapping(footprint) if form == "as it is" else wrapped(footprint)
    assert agree(inside_footprint(geometry, grid), footprint, grid)


@given(footprints(), st.sampled_from([300.0, 2500.0, 9000.0]))
@examples(30)
def test_a_margin_keeps_that_far_from_the_border_and_no_farther(drawn, margin):
    grid, footprint = drawn
    found = inside_footprint(mapping(footprint), grid, margin_m=margin)
    inside, away = oracle(footprint, grid)
    assert not found[~inside | (away < margin - 5)].any()
    assert found[inside & (away > margin * 1.002 + 5)].all()


@pytest.mark.parametrize("grid", [TAVEUNI, ROSS_SEA], ids=["UTM", "polar"])
@pytest.mark.parametrize("margin", [0.0, 3000.0])
@pytest.mark.parametrize("at", [180.0, 179.9999])
def test_an_antimeridian_makes_no_difference(grid, margin, at):
    longitude, latitude = PLACES[grid]
    stretch = 1 / np.cos(np.radians(latitude))
    whole = affinity.scale(
        shapely.Point(near(longitude, 180) + 0.02, latitude + 0.02).buffer(0.2, quad_segs=3),
        stretch,
        1,
    )
    assert whole.bounds[0] < 180 < whole.bounds[2]
    as_one = inside_footprint(mapping(whole), grid, margin_m=margin)
    assert 0 < as_one.mean() < 1
    np.testing.assert_array_equal(inside_footprint(wrapped(whole), grid, margin_m=margin), as_one)
    back = mapping(affinity.translate(whole, -360))
    np.testing.assert_array_equal(inside_footprint(back, grid, margin_m=margin), as_one)
    parted = inside_footprint(split(whole, at), grid, margin_m=margin)
    # Cut, an edge has a corner more, so that its straight line on the map is another.
    assert np.count_nonzero(parted != as_one) <= 0.005 * as_one.size
    _, away = oracle(whole, grid)
    assert parted[(away > margin + 400) & as_one].all()


def test_holes_and_several_parts_count():
    block = shapely.box(146.8, -42.95, 147.1, -42.85)
    ring = shapely.box(146.85, -42.93, 146.95, -42.87)
    second = shapely.box(147.15, -42.95, 147.2, -42.85)
    footprint = shapely.MultiPolygon([block - ring, second])
    found = inside_footprint(mapping(footprint), TASMANIA)
    assert agree(found, footprint, TASMANIA)
    filled = inside_footprint(mapping(shapely.MultiPolygon([block, second])), TASMANIA)
    assert 0 < np.count_nonzero(found) < np.count_nonzero(filled)


def test_the_usual_case_is_that_of_rasterio_under_both_readings():
    geometry = json.loads(real_data(SCENE).read_text())["geometry"]
    grid = Grid(TILE.crs, 591_000.0, 5_050_000.0, 10.0, 600, 600)
    expected = np.ones(grid.shape, dtype=np.bool_)
    for longest in (0.001, 10.0):
        fine = shapely.segmentize(shape(geometry), longest)
        outline = shapely.transform(fine, transformer(grid.crs).transform, interleaved=False)
        expected &= geometry_mask([outline], grid.shape, Affine(*grid.transform), invert=True)
    assert 0.1 < expected.mean() < 0.9
    found = inside_footprint(geometry, grid)
    # Pieces of 5 km are not as fine as pieces of 100 m.
    assert np.count_nonzero(found != expected) <= 20


def test_all_and_none_are_told_where_the_border_is_far():
    geometry = json.loads(real_data(SCENE).read_text())["geometry"]
    within = Grid(TILE.crs, 530_000.0, 5_050_000.0, 10.0, 600, 600)
    assert inside_footprint(geometry, within, margin_m=1000, extent=TILE).all()
    beside = Grid(TILE.crs, 620_000.0, 5_050_000.0, 10.0, 600, 600)
    assert not inside_footprint(geometry, beside).any()
    elsewhere = Grid("EPSG:32755", 530_000.0, 5_250_000.0, 10.0, 600, 600)
    assert not inside_footprint(geometry, elsewhere).any()


def test_a_pixel_beyond_the_file_is_not_inside():
    wide = mapping(shapely.box(13.5, 44.5, 17.5, 47.0))
    grid = Grid(TILE.crs, 480_000.0, 5_110_000.0, 1000.0, 150, 150)
    left, bottom, right, top = TILE.bounds
    x, y = centres(grid)
    beside = np.minimum.reduce([x - left, right - x, y - bottom, top - y])
    found = inside_footprint(wide, grid, margin_m=5000, extent=TILE)
    np.testing.assert_array_equal(found, beside > 5000)
    # On the map of the next zone.
    other = Grid("EPSG:32632", 960_000.0, 5_120_000.0, 1000.0, 150, 150)
    x, y = Transformer.from_crs(other.crs, TILE.crs, always_xy=True).transform(*centres(other))
    beside = np.minimum.reduce([x - left, right - x, y - bottom, top - y])
    found = inside_footprint(wide, other, margin_m=5000, extent=TILE)
    assert found[beside > 5050].all()
    assert not found[beside < 4950].any()


@pytest.mark.parametrize(
    "extent",
    [
        Extent(TILE.crs, (499980.0, 5100000.0, 609780.0, 4990200.0)),
        Extent(TILE.crs, (499980.0, np.nan, 609780.0, 5100000.0)),
        Extent("EPSG:32755", (499980.0, 4990200.0, 609780.0, 5100000.0)),
        Extent(TILE.crs, (499980.0, -np.inf, 609780.0, 5100000.0)),
        Extent(TILE.crs, (-1e9, -1e9, 1e9, 1e9)),
        Extent("EPSG:32632", (-1e9, -1e9, 1e9, 1e9)),
        Extent("EPSG:3031", (-1e6, -1e6, 1e6, 1e6)),
        Extent("EPSG:999999", TILE.bounds),
        Extent("", TILE.bounds),
    ],
    ids=str,
)
def test_an_extent_that_cannot_be_promises_nothing_and_never_raises(extent):
    grid = Grid(TILE.crs, 540_000.0, 5_050_000.0, 1000.0, 10, 10)
    wide = mapping(shapely.box(13.5, 44.5, 17.5, 47.0))
    assert inside_footprint(wide, grid).all()
    found = inside_footprint(wide, grid, extent=extent)
    # However large it is, an extent on the grid's own map only cuts.
    assert found.all() == found.any() == (extent.bounds[0] == -1e9 and extent.crs == TILE.crs)
    coverage = tile_coverage(wide, extent)
    assert coverage is None or 0 <= coverage.share <= 1


SQUARE = [[146.0, -44.0], [148.0, -44.0], [148.0, -42.0], [146.0, -42.0], [146.0, -44.0]]


@pytest.mark.parametrize(
    "ring",
    [
        SQUARE,
        SQUARE[::-1],
        SQUARE[:-1],
        [[*position, 120.5] for position in SQUARE],
        [tuple(position) for position in SQUARE],
        [SQUARE[0], SQUARE[0], *SQUARE[1:]],
        [[longitude - 360, latitude] for longitude, latitude in SQUARE],
    ],
    ids=["plain", "clockwise", "open", "heights", "tuples", "a corner twice", "a turn away"],
)
def test_harmless_oddities_of_rings_are_understood(ring):
    assert inside_footprint({"type": "Polygon", "coordinates": [ring]}, TASMANIA).all()


def test_a_crossed_ring_is_repaired():
    crossed = [[146.0, -43.5], [148.0, -42.3], [148.0, -43.5], [146.0, -42.3], [146.0, -43.5]]
    found = inside_footprint({"type": "Polygon", "coordinates": [crossed]}, TASMANIA)
    assert agree(found, shapely.make_valid(shapely.Polygon(crossed)), TASMANIA, slack_m=800)
    assert 0 < found.mean() < 1


def test_a_hole_that_reaches_out_promises_nothing_outside():
    shell = [[146.0, -44.0], [146.9, -44.0], [146.9, -42.0], [146.0, -42.0], [146.0, -44.0]]
    hole = [[146.8, -43.5], [148.0, -43.5], [148.0, -42.5], [146.8, -42.5], [146.8, -43.5]]
    found = inside_footprint({"type": "Polygon", "coordinates": [shell, hole]}, TASMANIA)
    expected = shapely.Polygon(shell) - shapely.Polygon(hole)
    assert agree(found, expected, TASMANIA, slack_m=100)


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [[list(position) for position in ring]]}


AROUND_THE_POLE = [(longitude, -89.0) for longitude in range(-180, 181, 60)]


@pytest.mark.parametrize(
    "geometry",
    [
        polygon(*AROUND_THE_POLE),
        polygon(*AROUND_THE_POLE, (180, -90), (-180, -90), (-180, -89)),
        polygon(*AROUND_THE_POLE[:-1]),
        polygon((-180, -90), (180, -90), (180, -80), (-180, -80), (-180, -90)),
        polygon((-90, -80), (90, -80), (90, -89), (-90, -89), (-90, -80)),
        polygon((-120, -80), (0, -80), (120, -80), (120, -70), (0, -70), (-120, -70)),
    ],
    ids=["goes around", "goes around and back", "open", "whole cap", "opposite", "wide"],
)
@pytest.mark.parametrize("grid", [SOUTH_POLE, ROSS_SEA], ids=["pole", "beside"])
def test_a_ring_around_a_pole_promises_nothing(geometry, grid):
    assert not inside_footprint(geometry, grid).any()


def test_a_footprint_that_touches_the_pole_is_a_sector():
    geometry = polygon((0, -90), (0, -89), (30, -89), (60, -89), (60, -90), (0, -90))
    found = inside_footprint(geometry, SOUTH_POLE)
    x, y = centres(SOUTH_POLE)
    bearing = np.degrees(np.arctan2(x, y))
    assert found[(bearing > 1) & (bearing < 59) & (np.hypot(x, y) > 1500)].mean() > 0.99
    assert not found[(bearing < -1) | (bearing > 61)].any()


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        "POLYGON EMPTY",
        {"type": "Point", "coordinates": [147.0, -43.0]},
        {"type": "LineString", "coordinates": SQUARE},
        {"type": ["Polygon"], "coordinates": [SQUARE]},
        {"type": "GeometryCollection", "geometries": [{"type": "Polygon"}]},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": {"0": SQUARE}},
        {"type": "Polygon", "coordinates": SQUARE},
        {"type": "Polygon", "coordinates": [SQUARE, []]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE], []]},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[0.0, 0.0]] * 4]]},
        polygon((146, -44), (148, -42)),
        polygon((146, -44), (148, -42), (146, -44)),
        polygon((147, -44), (147, -43), (147, -42), (147, -44)),
        polygon(*[(147, -43)] * 5),
        polygon(*SQUARE[:3], ("146", "-42")),
        polygon(*SQUARE[:3], (146, None)),
        polygon(*SQUARE[:3], (146,)),
        polygon(*SQUARE[:3], (146, np.nan)),
        polygon(*SQUARE[:3], (np.inf, -42)),
        polygon(*SQUARE[:3], (10**400, -42)),
        polygon(*SQUARE[:3], (146, -91)),
        polygon(*[(longitude + 720, latitude) for longitude, latitude in SQUARE]),
        polygon(*[(latitude, longitude) for longitude, latitude in SQUARE]),
        polygon((146, -44), (148, -44), (148, 10), (146, 10)),
        # Around the place where this projection turns inside out.
        polygon(*[(237 + 12 * np.cos(a), 12 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 40)]),
    ],
    ids=str,
)
def test_what_is_no_footprint_promises_nothing(geometry):
    found = inside_footprint(geometry, TASMANIA, margin_m=100.0)
    assert found.shape == (30, 40)
    assert found.dtype == np.bool_
    assert not found.any()
    coverage = tile_coverage(geometry, Extent(TASMANIA.crs, TASMANIA.bounds))
    assert coverage is None or coverage.share == 0


def test_the_seam_of_a_projection_promises_nothing():
    # x jumps by the length of the equator at ±180°.
    grid = Grid("EPSG:3857", 20_000_000.0, -1_900_000.0, 500.0, 80, 80)
    whole = shapely.box(179.7, -17.2, 180.3, -16.5)
    assert not inside_footprint(mapping(whole), grid).any()
    west = shapely.box(179.7, -17.2, 179.99, -16.5)
    assert agree(inside_footprint(mapping(west), grid), west, grid)


numbers = st.one_of(
    st.floats(), st.floats(-180, 180), st.integers(-200, 200), st.none(), st.text(max_size=2)
)
positions = st.one_of(
    st.lists(numbers, max_size=4), st.tuples(st.floats(-180, 180), st.floats(-90, 90))
)
rings = st.one_of(st.lists(positions, max_size=6), numbers)
junk = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Polygon", "MultiPolygon"]),
        "coordinates": st.recursive(rings, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
    }
)


@given(junk)
@examples(80)
def test_no_geometry_raises(geometry):
    for grid in (SOUTH_POLE, TASMANIA):
        assert inside_footprint(geometry, grid, margin_m=500.0).shape == grid.shape


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=8))
@examples(80)
def test_whatever_a_ring_is_no_pixel_outside_its_degrees_is_inside(corners):
    found = inside_footprint(polygon(*corners), SOUTH_POLE)
    if found.any():
        latitudes = [latitude for _, latitude in corners]
        # All pixels lie within 43 km of the pole.
        assert min(latitudes) < -89


def test_what_a_footprint_covers_of_its_tile():
    geometry = json.loads(real_data(SCENE).read_text())["geometry"]
    coverage = tile_coverage(geometry, TILE)
    assert coverage is not None
    assert coverage.share == pytest.approx(0.8702, abs=1e-4)
    assert coverage.border_m == pytest.approx(108_536, abs=200)
    assert coverage.area_m2 == 109_800.0**2
    # Only the corners are carried over: the edges of the tile are no border.
    left, bottom, right, top = TILE.bounds
    xy = [(left, bottom), (right, bottom), (right, top), (left, top)]
    corners = [transformer(TILE.crs).transform(x, y, direction="INVERSE") for x, y in xy]
    whole = tile_coverage(polygon(*corners), TILE)
    assert whole is not None
    assert whole.share == pytest.approx(1)
    assert whole.border_m == 0


def test_threads_share_it():
    geometry = json.loads(real_data(SCENE).read_text())["geometry"]
    grids = [Grid(TILE.crs, 500_000.0 + 9000 * n, 5_060_000.0, 60.0, 100, 100) for n in range(12)]
    expected = [inside_footprint(geometry, grid, margin_m=500.0) for grid in grids]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda g: inside_footprint(geometry, g, margin_m=500.0), grids * 4))
    for mask, same in zip(found, expected * 4, strict=True):
        np.testing.assert_array_equal(mask, same)
