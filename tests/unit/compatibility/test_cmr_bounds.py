"""The bounds of granules: every geometry of UMM-G, and longitudes joined on the circle."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.cmr_bounds import granule_bounds, union
from estinel_assets.compatibility.source import Bounds

Json = dict[str, Any]


def rectangle(west: Any, south: Any, east: Any, north: Any) -> Json:
    return {
        "WestBoundingCoordinate": west,
        "SouthBoundingCoordinate": south,
        "EastBoundingCoordinate": east,
        "NorthBoundingCoordinate": north,
    }


def points(*places: tuple[Any, Any]) -> list[Json]:
    return [{"Longitude": longitude, "Latitude": latitude} for longitude, latitude in places]


def polygon(*places: tuple[Any, Any]) -> Json:
    return {"Boundary": {"Points": points(*places)}}


def bounds_of(**geometry: Any) -> Bounds | None:
    return granule_bounds({"SpatialExtent": {"HorizontalSpatialDomain": {"Geometry": geometry}}})


@pytest.mark.parametrize(
    ("geometry", "bounds"),
    [
        ({"BoundingRectangles": [rectangle(1, 2, 3, 4)]}, (1, 2, 3, 4)),
        ({"BoundingRectangles": rectangle(1, 2, 3, 4)}, (1, 2, 3, 4)),
        ({"BoundingRectangles": [rectangle(-180, -90, 180, 90)]}, (-180, -90, 180, 90)),
        ({"BoundingRectangles": [rectangle(170, 2, -170, 4)]}, (170, 2, -170, 4)),
        # A granule across the antimeridian, in two parts.
        (
            {"BoundingRectangles": [rectangle(170, 2, 180, 4), rectangle(-180, 1, -175, 4)]},
            (170, 1, -175, 4),
        ),
        # The two halves of a world without the meridian of Greenwich.
        (
            {"BoundingRectangles": [rectangle(0.5, 0, 180, 1), rectangle(-180, 0, -0.5, 1)]},
            (0.5, 0, -0.5, 1),
        ),
        (
            {"BoundingRectangles": [rectangle(-180, 0, 0, 1), rectangle(0, 0, 180, 1)]},
            (-180, 0, 180, 1),
        ),
        ({"BoundingRectangles": [rectangle(1, 0, 2, 1), rectangle(5, -1, 6, 0)]}, (1, -1, 6, 1)),
        (
            {"BoundingRectangles": [rectangle(150, 0, -100, 1), rectangle(-120, 0, -50, 1)]},
            (150, 0, -50, 1),
        ),
        ({"GPolygons": [polygon((1, 2), (5, 3), (4, 8), (1, 2))]}, (1, 2, 5, 8)),
        ({"GPolygons": [polygon((170, 0), (-170, 0), (-170, 5), (170, 5))]}, (170, 0, -170, 5)),
        # Drawn as a map of the world, and around a pole.
        (
            {"GPolygons": [polygon((-180, -90), (180, -90), (180, 90), (-180, 90))]},
            (-180, -90, 180, 90),
        ),
        ({"GPolygons": [polygon((0, 60), (120, 65), (-120, 70))]}, (-180, 60, 180, 90)),
        ({"GPolygons": [polygon((0, -60), (-120, -65), (120, -70))]}, (-180, -90, 180, -60)),
        ({"Lines": [{"Points": points((175, 0), (-175, 10), (-165, 20))}]}, (175, 0, -165, 20)),
        ({"Points": points((7, 8))}, (7, 8, 7, 8)),
        ({"Points": points((7, 8), (9, 6))}, (7, 6, 9, 8)),
        ({"Points": points((179, 0), (-179, 0))}, (179, 0, -179, 0)),
        ({"Points": points((180, 0), (-180, 1))}, (-180, 0, -180, 1)),
        (
            {"BoundingRectangles": [rectangle(1, 2, 3, 4)], "Points": points((10, 0))},
            (1, 0, 10, 4),
        ),
        # What is no place on the globe is left out.
        ({"BoundingRectangles": [rectangle(1, 2, 3, None), rectangle(1, 9, 3, 4)]}, None),
        ({"BoundingRectangles": [rectangle("1", 2, 3, 4), rectangle(0, 0, 361, 4)]}, None),
        ({"Points": points((200, 0), (float("nan"), 0), (0, 91), (10**400, 1))}, None),
        ({"GPolygons": [{"Boundary": {}}, {}, None], "Lines": [{}]}, None),
        ({}, None),
    ],
)
def test_geometries(geometry: Json, bounds: Bounds | None) -> None:
    assert bounds_of(**geometry) == bounds


@pytest.mark.parametrize(
    "umm",
    [
        {},
        {"SpatialExtent": None},
        {"SpatialExtent": {"HorizontalSpatialDomain": {"Orbit": {"StartLatitude": 59.5}}}},
        {"SpatialExtent": {"HorizontalSpatialDomain": {"Geometry": [1]}}},
        {"SpatialExtent": {"GranuleLocalities": ["GLOBAL"]}},
    ],
)
def test_no_area(umm: Json) -> None:
    assert granule_bounds(umm) is None


LONGITUDES = st.integers(-180, 180).map(float)
BOXES = st.tuples(LONGITUDES, st.integers(-90, 0), LONGITUDES, st.integers(0, 90))


def degrees(west: float, east: float) -> set[int]:
    """The half degrees of the circle that a span touches: a check by counting."""
    turn = 720
    start = round(2 * west) % turn
    width = round(2 * (east - west if east >= west else east - west + 360))
    return {(start + step) % turn for step in range(width + 1)}


def widest_hole(covered: set[int]) -> int:
    """The longest row of half degrees that nothing touches."""
    if len(covered) == 720:
        return 0
    first = min(covered)
    longest = run = 0
    for step in range(1, 721):
        run = 0 if (first + step) % 720 in covered else run + 1
        longest = max(longest, run)
    return longest


@given(st.lists(BOXES, min_size=1, max_size=6))
def test_the_union_covers_every_part_and_leaves_out_the_widest_gap(boxes: list[Bounds]) -> None:
    joined = union(boxes)
    assert joined is not None
    west, south, east, north = joined
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert (south, north) == (min(box[1] for box in boxes), max(box[3] for box in boxes))
    parts = set().union(*(degrees(box[0], box[2]) for box in boxes))
    cover = degrees(west, east)
    assert parts <= cover
    assert 720 - len(cover) == widest_hole(parts)


@given(BOXES)
def test_one_part_is_its_own_union(box: Bounds) -> None:
    assert union([box]) == box
    doubled = union([box, box])
    assert doubled is not None
    assert degrees(doubled[0], doubled[2]) == degrees(box[0], box[2])


def test_the_union_of_nothing_is_none() -> None:
    assert union([]) is None
