"""Boxes, footprints and centroids, also across ±180°."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from estinel_assets.errors import BadInputError
from estinel_assets.stac.geography import (
    Box,
    centroid_longitude_deg,
    check_boxes,
    footprint,
    geometry_of,
)

LONGITUDES = st.integers(-1800, 1800).map(lambda tenths: tenths / 10)
LATITUDES = st.integers(-900, 900).map(lambda tenths: tenths / 10)


@settings(deadline=None)
@given(st.tuples(LONGITUDES, LONGITUDES), st.tuples(LATITUDES, LATITUDES))
def test_one_box_is_a_polygon_with_its_bounds(
    longitudes: tuple[float, float], latitudes: tuple[float, float]
) -> None:
    (west, east), (south, north) = sorted(longitudes), sorted(latitudes)
    geometry, bbox = footprint([(west, south, east, north)])
    assert geometry["type"] == "Polygon"
    assert bbox == [west, south, east, north]
    assert list(shape(geometry).bounds) == bbox
    if west < east and south < north:
        assert shape(geometry).exterior.is_ccw


def test_two_boxes_are_a_multipolygon_whose_bbox_goes_the_short_way_round() -> None:
    geometry, bbox = footprint([(179.5, -20, 180, -18), (-180, -20, -179.8, -18)])
    assert geometry["type"] == "MultiPolygon"
    assert shape(geometry).area == pytest.approx(1.4)
    assert bbox == [179.5, -20, -179.8, -18]


def test_two_boxes_elsewhere_have_the_bbox_of_both() -> None:
    assert footprint([(1, 2, 3, 4), (5, 0, 6, 1)])[1] == [1, 0, 6, 4]


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [(10, 0, 5, 1)],
        [(0, 1, 1, 0)],
        [(-181, 0, 0, 1)],
        [(0, 0, 181, 1)],
        [(0, -91, 1, 0)],
        [(0, 0, 1, float("nan"))],
        [(0, 0, 1, 1), (179, 0, -179, 1)],
    ],
)
def test_a_box_no_api_understands_is_refused(boxes: list[Box]) -> None:
    with pytest.raises(BadInputError):
        check_boxes(boxes)


@pytest.mark.parametrize(
    ("item", "bounds"),
    [
        ({"geometry": {"type": "Point", "coordinates": [5, 6]}}, (5, 6, 5, 6)),
        ({"geometry": None, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
        ({"bbox": [1, 2, 0, 3, 4, 9]}, (1, 2, 3, 4)),
        ({"geometry": {"type": "Polygon"}, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
        ({"geometry": {"type": "Blob", "coordinates": []}, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
        ({"geometry": {"type": "Polygon", "coordinates": [5]}, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
        ({"bbox": [179, 0, -179, 1]}, (-180, 0, 180, 1)),
    ],
)
def test_an_items_geometry_else_its_bbox(
    item: dict[str, object], bounds: tuple[float, ...]
) -> None:
    geometry = geometry_of(item)
    assert geometry is not None
    assert geometry.bounds == bounds


@pytest.mark.parametrize(
    "item", [{}, {"bbox": [1, 2]}, {"bbox": "1234"}, {"bbox": [1, 2, None, 4]}]
)
def test_an_item_without_place(item: dict[str, object]) -> None:
    assert geometry_of(item) is None
    assert centroid_longitude_deg(item) is None


@settings(deadline=None)
@given(
    middle=st.integers(-1800, 1799).map(lambda tenths: tenths / 10),
    half=st.integers(1, 20).map(lambda tenths: tenths / 10),
)
def test_the_centroid_of_a_place_anywhere(middle: float, half: float) -> None:
    west, east = middle - half, middle + half
    if west < -180:
        boxes = [(west + 360, 0, 180, 1), (-180, 0, east, 1)]
    elif east > 180:
        boxes = [(west, 0, 180, 1), (-180, 0, east - 360, 1)]
    else:
        boxes = [(west, 0, east, 1)]
    geometry, bbox = footprint(boxes)
    for item in ({"geometry": geometry}, {"bbox": bbox}):
        longitude = centroid_longitude_deg(item)
        assert longitude is not None
        assert -180 <= longitude < 180
        assert (longitude - middle + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
