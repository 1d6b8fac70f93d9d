"""Index documents of datasets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.datasets_config import Route
from estinel_assets.publishing.grq import (
    check_dataset,
    dataset_document,
    datasets_chunks,
    index_name,
    utc_time,
)
from estinel_assets.publishing.model import Place, StoreAt
from tests.support.examples import examples
from tests.support.job_folders import LOCATION

ROUTE = Route(
    ipath="hysds::data/Area_of_Interest",
    version="v0.1",
    level="l0",
    dataset_type="area_of_interest",
    place=Place(StoreAt(), "products/x"),
    index_aliases=("all_areas",),
)


def document(dataset: dict[str, Any], route: Route = ROUTE) -> dict[str, Any]:
    return dataset_document(
        "AOI_x",
        route,
        dataset=dataset,
        metadata={"k": 1},
        images=[{"img": "a.browse.png", "small_img": None, "tooltip": "a"}],
        prov={"p": 1},
        urls=["https://readers.example/x"],
        browse_urls=[],
    )


def test_all_fields() -> None:
    assert document({"version": "2.0", "label": "X", "own": {"key": [1]}}) == {
        "id": "AOI_x",
        "objectid": "AOI_x",
        "metadata": {"k": 1},
        "dataset": "Area_of_Interest",
        "ipath": "hysds::data/Area_of_Interest",
        "system_version": "2.0",
        "dataset_level": "l0",
        "dataset_type": "area_of_interest",
        "urls": ["https://readers.example/x"],
        "browse_urls": [],
        "images": [{"img": "a.browse.png", "small_img": None, "tooltip": "a"}],
        "prov": {"p": 1},
        "version": "2.0",
        "label": "X",
        "own": {"key": [1]},
        "index": {"name": "grq_2.0_area_of_interest", "aliases": ["all_areas"]},
        "grq_index_result": {"index": "grq_2.0_area_of_interest"},
    }


def test_an_index_of_its_own() -> None:
    route = Route("a::b/c", "v1", "l0", "t", Place(StoreAt(), "p"), index_suffix="Acq-2017")

    assert index_name(route, "v1") == "grq_acq-2017"
    assert document({"version": "v1"}, route)["index"] == {
        "name": "grq_acq-2017",
        "suffix": "Acq-2017",
        "aliases": [],
    }


def test_what_a_dataset_says_of_its_own_publication_is_made_anew() -> None:
    given_dataset = {"version": "1", "urls": ["https://elsewhere.example"], "metadata": {"old": 1}}

    check = check_dataset(given_dataset, dataset_id="AOI_x")
    made = document(check.dataset)

    assert check.warnings == ["metadata, urls: made anew when published"]
    assert made["urls"] == ["https://readers.example/x"]
    assert made["metadata"] == {"k": 1}


@pytest.mark.parametrize("name", ["id", "objectid"])
def test_an_id_that_is_not_the_folders(name: str) -> None:
    assert check_dataset({name: "AOI_x"}, dataset_id="AOI_x").problems == []

    problems = check_dataset({name: "AOI_y"}, dataset_id="AOI_x").problems
    assert "'AOI_y'" in problems[0]


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2017-03-01T00:00:00", "2017-03-01T00:00:00Z"),
        ("2017-03-01T00:00:00Z", "2017-03-01T00:00:00Z"),
        ("2017-03-01T00:00:00.250000Z", "2017-03-01T00:00:00.250000Z"),
        ("2017-03-01T01:00:00+01:00", "2017-03-01T00:00:00Z"),
        (" 2017-03-01 ", "2017-03-01T00:00:00Z"),
        ("2017-03-01T00:00:00+00:00Z", None),
        ("2017-03-01T00:00:00ZZ", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("2017-02-30", None),
        ("now - 1 days", None),
        ("", None),
    ],
)
def test_times(written: str, time: str | None) -> None:
    assert utc_time(written) == time


@given(st.datetimes(timezones=st.none() | st.timezones()))
def test_times_are_read_again_as_they_are(when: Any) -> None:
    time = utc_time(when.isoformat())

    assert time is None or (utc_time(time) == time and time.count("Z") == 1)


def test_times_of_a_dataset() -> None:
    check = check_dataset(
        {
            "starttime": "2017-03-01",
            "endtime": None,
            "creation_timestamp": "2017-03-02T00:00:00.5",
            "anything_time": "later",
        },
        dataset_id="x",
    )

    assert check.problems == []
    assert check.dataset == {
        "starttime": "2017-03-01T00:00:00Z",
        "creation_timestamp": "2017-03-02T00:00:00.500000Z",
        "anything_time": "later",
    }


def test_every_problem_is_listed() -> None:
    check = check_dataset(
        {
            "version": "",
            "label": 5,
            "starttime": "yesterday",
            "endtime": 5,
            "location": "here",
            "objectid": "other",
        },
        dataset_id="x",
    )

    named = ("version", "label", "starttime", "endtime", "location", "objectid")
    assert len(check.problems) == len(named)
    assert all(any(p.startswith(name) for p in check.problems) for name in named)


def test_an_end_before_its_start() -> None:
    check = check_dataset({"starttime": "2017-03-02", "endtime": "2017-03-01"}, dataset_id="x")

    assert "is after endtime" in check.problems[0]


def test_a_version_that_is_a_number_is_read_as_text() -> None:
    check = check_dataset({"version": 2.0}, dataset_id="x")

    assert check.dataset["version"] == "2.0"
    assert "2.0" in check.warnings[0]
    assert check_dataset({"version": True}, dataset_id="x").problems


def test_lower_case_types_are_taken_with_a_warning() -> None:
    check = check_dataset({"location": {**LOCATION, "type": "polygon"}}, dataset_id="x")

    assert check.problems == []
    assert check.dataset["location"] == LOCATION
    assert check.warnings == ["location is of type 'polygon'; it is read as Polygon"]


RING = [[0, 0], [1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    "location",
    [
        {"type": "Point", "coordinates": [180, -90]},
        {"type": "Point", "coordinates": [1.5, 2.5, 100.0]},
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
        {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": [RING]},
        {"type": "MultiPolygon", "coordinates": [[RING]]},
    ],
)
def test_locations(location: dict[str, Any]) -> None:
    check = check_dataset({"location": location}, dataset_id="x")

    assert check.problems == []
    assert check.dataset["location"] == location


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ([1, 2], "of type None"),
        ({"type": "Circle", "coordinates": [1, 2]}, "'Circle'"),
        ({"type": "GeometryCollection", "geometries": []}, "'GeometryCollection'"),
        ({"type": 5}, "of type 5"),
        ({"type": "Point"}, "None is no position"),
        ({"type": "Point", "coordinates": []}, "no position"),
        ({"type": "Point", "coordinates": [1]}, "no position"),
        ({"type": "Point", "coordinates": ["1", "2"]}, "no position"),
        ({"type": "Point", "coordinates": [True, 2]}, "no position"),
        ({"type": "Point", "coordinates": [2, 91]}, "not on Earth"),
        ({"type": "Point", "coordinates": [10**18, 2]}, "not on Earth"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "no geometry"),
        ({"type": "LineString", "coordinates": [1, 2]}, "no position"),
        ({"type": "Polygon", "coordinates": []}, "3 deep"),
        ({"type": "Polygon", "coordinates": [[]]}, "3 deep"),
        ({"type": "Polygon", "coordinates": RING}, "no position"),
        ({"type": "Polygon", "coordinates": [RING[:-1]]}, "four positions"),
        ({"type": "MultiPolygon", "coordinates": [[RING[:-1]]]}, "four positions"),
        ({"type": "Polygon", "coordinates": [[*RING[:-1], [0, 1]]]}, "equal to the first"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}, "Self"),
        ({"type": "Polygon", "coordinates": {"a": 1}}, "3 deep"),
    ],
)
def test_locations_that_are_none(location: Any, said: str) -> None:
    problems = check_dataset({"location": location}, dataset_id="x").problems

    assert len(problems) == 1
    assert said in problems[0]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@examples(60)
@given(st.sampled_from(["Point", "polygon", "MultiPolygon", "linestring"]), _json)
def test_no_location_breaks_the_check(kind: str, coordinates: Any) -> None:
    location = {"type": kind, "coordinates": coordinates}

    check = check_dataset({"location": location}, dataset_id="x")

    assert check.problems or json.dumps(check.dataset, allow_nan=False)


def test_datasets_file() -> None:
    documents = [{"id": "b", "a": {"z": 1, "é": "line\nbreak"}}, {"id": "c"}]

    text = b"".join(datasets_chunks(iter(documents))).decode()

    assert json.loads(text) == documents
    assert text == json.dumps(documents, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert json.loads(b"".join(datasets_chunks([]))) == []
