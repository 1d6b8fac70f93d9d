import pytest
import shapely

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.geometry import (
    area_of_bbox,
    area_of_geojson,
    boxes,
    fold,
    footprint,
)


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [[list(position) for position in (*ring, ring[0])]]}


def test_a_box_across_the_antimeridian_is_two_boxes():
    area = area_of_bbox([170, -50, -175, -40])

    assert area.equals(
        shapely.union_all([shapely.box(170, -50, 180, -40), shapely.box(-180, -50, -175, -40)])
    )
    assert boxes(area) == [(170, -50, 180, -40), (-180, -50, -175, -40)]


def test_heights_are_ignored():
    assert area_of_bbox([1, 2, -100, 3, 4, 9000]).equals(area_of_bbox([1, 2, 3, 4]))


@pytest.mark.parametrize(
    ("bbox", "touched"),
    [
        ((10, 20, 10, 20), shapely.Point(10, 20)),
        ((10, 20, 10, 30), shapely.Point(10, 25)),
        ((10, 20, 12, 20), shapely.Point(11, 20)),
        ((180, -10, -170, 10), shapely.Point(180, 0)),
    ],
)
def test_a_box_without_width_or_height_still_meets_what_it_touches(bbox, touched):
    assert area_of_bbox(bbox).intersects(touched)


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ((1, 2, 3), "4 or 6"),
        ((1, 2, 3, float("nan")), "not finite"),
        ((1, 2, 181, 4), "180"),
        ((-190, 2, 170, 4), "180"),
        ((1, -91, 3, 4), "90"),
        ((1, 5, 3, 4), "south 5 is above north 4"),
        ((1, 2, 50, 3, 4, 40), "height"),
    ],
)
def test_bad_boxes_are_refused(bbox, message):
    with pytest.raises(BadInputError, match=message):
        area_of_bbox(bbox)


@pytest.mark.parametrize(
    ("geojson", "message"),
    [
        ({}, "type is None"),
        ({"type": "Feature", "geometry": polygon((0, 0), (1, 0), (1, 1))}, "'Feature'"),
        ({"type": "Polygon"}, "cannot be read"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": []}, "empty"),
        ({"type": "Point", "coordinates": ["a", "b"]}, "cannot be read"),
        ({"type": "Point", "coordinates": [0, 91]}, "no longitude and latitude"),
        ({"type": "Point", "coordinates": [500000, 5200000]}, "no longitude and latitude"),
        (polygon((0, 0), (1, 1), (1, 0), (0, 1)), "Self-intersection"),
    ],
)
def test_bad_search_geometries_are_refused(geojson, message):
    with pytest.raises(BadInputError, match=f"intersects: .*{message}"):
        area_of_geojson(geojson)


def test_longitudes_beyond_the_antimeridian_come_back():
    folded = fold(shapely.box(170, 0, 190, 10))

    assert folded.equals(
        shapely.union_all([shapely.box(170, 0, 180, 10), shapely.box(-180, 0, -170, 10)])
    )
    assert fold(shapely.box(-200, 0, -190, 10)).equals(shapely.box(160, 0, 170, 10))


def test_a_ring_that_jumps_at_the_antimeridian_is_understood_where_the_bbox_says_so():
    ring = polygon((179, 0), (-179, 0), (-179, 10), (179, 10))

    jumping = footprint(ring, [179, 0, -179, 10])
    wide = footprint(ring, [-179, 0, 179, 10])

    assert not jumping.intersects(shapely.Point(0, 5))
    assert jumping.intersects(shapely.Point(-179.5, 5))
    assert boxes(jumping) == [(179, 0, 180, 10), (-180, 0, -179, 10)]
    assert wide.intersects(shapely.Point(0, 5))
    assert boxes(wide) == [(-179, 0, 179, 10)]


def test_an_item_may_have_no_place():
    assert footprint(None) is None
    assert footprint({"type": "Polygon", "coordinates": []}) is None


def test_the_footprint_of_an_item_is_repaired():
    bowtie = polygon((0, 0), (2, 2), (2, 0), (0, 2))

    repaired = footprint(bowtie)

    assert repaired.is_valid
    assert repaired.area == pytest.approx(2.0)


def test_heights_in_a_footprint_are_dropped():
    assert not footprint({"type": "Point", "coordinates": [1.0, 2.0, 3.0]}).has_z
