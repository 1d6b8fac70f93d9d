"""What of documents and queries the dataset index compares, and how it is opened."""

import json
import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, MissingDependencyError, PermanentError
from estinel_assets.publishing.index import INDEX_FILE, DocumentsChangedError, open_index
from estinel_assets.publishing.index.boxes import Box, box, box_of
from estinel_assets.publishing.index.errors import FieldError
from estinel_assets.publishing.index.fields import check_rows, is_storable, rows_of, times_of
from estinel_assets.publishing.index.queries import read_query
from estinel_assets.publishing.index.words import words_of
from estinel_assets.publishing.ports import DocumentQuery
from estinel_assets.publishing.reasons import PublishingReason
from tests.support.document_index import POLICY, apply, document, rectangle

SACRAMENTO = {
    "type": "polygon",
    "coordinates": [
        [
            [-122.9, 40.47],
            [-121.67, 37.84],
            [-120.73, 38.29],
            [-121.95, 40.67],
            [-122.9, 40.47],
        ]
    ],
}


def _reversed(polygon: dict[str, Any]) -> dict[str, Any]:
    return polygon | {"coordinates": [ring[::-1] for ring in polygon["coordinates"]]}


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (SACRAMENTO, (-122.9, 37.84, -120.73, 40.67)),
        ({"type": "Point", "coordinates": [-180, 90, 12.5]}, (-180, 90, -180, 90)),
        ({"type": "Polygon", "coordinates": (((0, 0), (1, 0), (1, 2), (0, 0)),)}, (0, 0, 1, 2)),
        ({"type": "LineString", "coordinates": [[-170, 0], [170, 1]]}, (-170, 0, 170, 1)),
        (rectangle(170, -5, -170, 5), (170, -5, 190, 5)),
        (_reversed(rectangle(170, -5, -170, 5)), (-170, -5, 170, 5)),
        (rectangle(-179.9, -90, 179.9, 90), (-179.9, -90, 179.9, 90)),
        (_reversed(rectangle(-180, -90, 180, 90)), (-180, -90, 180, 90)),
        (rectangle(170, 0, 190, 1), (170, 0, 190, 1)),
        (rectangle(190, 0, 200, 1), (-170, 0, -160, 1)),
        (rectangle(-200, 0, -190, 1), (160, 0, 170, 1)),
        (rectangle(0, -10, 360, 10), (-180, -10, 180, 10)),
        ({"type": "MultiPolygon", "coordinates": [
            rectangle(-180, 0, -170, 1)["coordinates"], rectangle(160, 2, 180, 3)["coordinates"],
        ]}, (160, 0, 190, 3)),
        ({"type": "MultiPoint", "coordinates": [[-100, 0], [0, 0], [100, 0]]}, (-100, 0, 100, 0)),
        ({"type": "envelope", "coordinates": [[170, 5], [-170, -5]]}, (170, -5, 190, 5)),
        (rectangle(-180, 0, 180, 1) | {"bbox": [178, 0, -5, -178, 1, 5]}, (178, 0, 182, 1)),
        (rectangle(5, 0, 6, 1) | {"bbox": [-1, 0, 9, 1]}, (5, 0, 6, 1)),
        ({"type": "GeometryCollection", "geometries": [
            {"type": "Point", "coordinates": [179, 3]}, rectangle(-179, 0, -178, 1),
        ]}, (179, 0, 182, 3)),
    ],
)  # fmt: skip
def test_the_box_of_a_geometry(
    location: dict[str, Any], expected: tuple[float, float, float, float]
) -> None:
    assert box_of(location) == Box(*expected)


@pytest.mark.parametrize(
    "location",
    [
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "LineString", "coordinates": []},
        {"type": "GeometryCollection", "geometries": []},
    ],
)
def test_an_empty_geometry_has_no_box(location: dict[str, Any]) -> None:
    assert box_of(location) is None


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ({}, "no list of coordinates"),
        ({"type": "Circle", "coordinates": [0, 0]}, "'Circle' is none"),
        ({"type": "Point", "coordinates": [0, 91]}, "91 is no latitude"),
        ({"type": "Point", "coordinates": [361, 0]}, "361 is no longitude"),
        ({"type": "Point", "coordinates": ["0", 0]}, "'0' is no longitude"),
        ({"type": "Point", "coordinates": [True, 0]}, "True is no longitude"),
        ({"type": "Point", "coordinates": [float("nan"), 0]}, "nan is no longitude"),
        ({"type": "Point", "coordinates": [1]}, "in place of a position"),
        ({"type": "MultiPoint", "coordinates": [1, 2]}, "in place of a position"),
        ({"type": "Polygon", "coordinates": [[0, 0], [1, 1]]}, "in place of a position"),
        ({"type": "MultiPolygon", "coordinates": [7]}, "in place of a list"),
        ({"type": "GeometryCollection"}, "no list of geometries"),
        ({"type": "GeometryCollection", "geometries": [3]}, "no geometry"),
        ({"type": "envelope", "coordinates": [[0, 0]]}, "two corners"),
        (
            {"type": "envelope", "coordinates": [[0, 0], [1, 1]]},
            "south 1.0 is north of its north 0.0",
        ),
        ({"type": "Point", "coordinates": [0, 0], "bbox": [2, 0, 1, "a"]}, "'a' is no latitude"),
        ({"type": "Point", "coordinates": [0, 0], "bbox": [None, 0, 1, 1]}, "None is no longitude"),
    ],
)
def test_what_is_no_geometry_is_refused(location: dict[str, Any], problem: str) -> None:
    with pytest.raises(FieldError, match=problem):
        box_of(location)


_longitudes = st.integers(-180, 180)


@given(spans=st.lists(st.tuples(_longitudes, st.integers(0, 360)), min_size=1, max_size=5))
def test_the_box_is_the_shortest_that_covers_all(spans: list[tuple[int, int]]) -> None:
    # As a parallel to the equator each, which no rule about rings touches.
    lines = [[[west, 0], [min(west + width, 360), 0]] for west, width in spans]
    found = box_of({"type": "MultiLineString", "coordinates": lines})
    assert found is not None
    # In half degrees, so that between two whole ones there is something to miss.
    covered = {
        half % 720 for (west, _), (east, _) in lines for half in range(2 * west, 2 * east + 1)
    }
    boxed = {half % 720 for half in range(int(2 * found.west), int(2 * found.east) + 1)}
    assert -180 <= found.west <= 180
    assert found.west <= found.east <= found.west + 360
    assert covered <= boxed
    # Its length is a whole turn less the widest gap.
    marks = sorted(covered)
    widest = max(
        (after - before) % 720 or 720
        for before, after in zip(marks, marks[1:] + marks[:1], strict=True)
    )
    assert 2 * (found.east - found.west) == 720 - (widest if widest > 1 else 0)


@given(_longitudes, _longitudes, _longitudes, _longitudes)
def test_boxes_overlap_where_they_have_a_meridian_in_common(a: int, b: int, c: int, d: int) -> None:
    one, other = box(a, 0, b, 1), box(c, 0, d, 1)
    windows = other.windows()
    overlap = any(one.west <= east and one.east >= west for west, east in windows)
    meridians = [
        {degree % 360 for degree in range(int(each.west), int(each.east) + 1)}
        for each in (one, other)
    ]
    assert overlap == bool(meridians[0] & meridians[1])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["S1A_IW-SLC__2017.safe"], "s1a iw slc 2017 safe"),
        (["Straße", "STRASSE", "I\u0307stanbul"], "strasse i stanbul"),
        (["a b", "b c a"], "a b c"),
        (['" OR 1=1; --', "*"], "or 1"),
        (["ﬁne e\u0301tude é"], "fine étude é"),
        (["\0\ud800x"], "x"),
        ([], ""),
    ],
)
def test_words(texts: list[str], expected: str) -> None:
    assert " ".join(words_of(*texts)) == expected


@given(st.text())
def test_words_hold_nothing_but_letters_and_digits(text: str) -> None:
    for word in words_of(text):
        assert word.isalnum()
        assert words_of(word) == (word,)
        assert is_storable(word)


def test_words_are_limited_in_length_and_number() -> None:
    assert words_of("x" * 5_000) == ("x" * 100,)
    many = words_of(" ".join(f"word{number:06}" for number in range(100_000)))
    assert len(many) == 50_000
    assert many[-1] == "word049999"


def test_words_come_from_names_and_from_texts_of_the_metadata() -> None:
    (row,) = rows_of(
        [
            document(
                "the-id",
                label="Label",
                dataset="dataset",
                urls=["s3://bucket"],
                metadata={"key": ["one", {"deep": "two"}, 3, None], "later": "four"},
            )
        ]
    )
    assert " ".join(row.words) == "the id label dataset area of interest one two four"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, None)),
        ({"starttime": None}, (None, None)),
        ({"starttime": "2017-03-01T00:00:00"}, ("2017-03-01 00:00", "2017-03-01 00:00")),
        ({"endtime": "2017-03-01T00:00:00Z"}, ("2017-03-01 00:00", "2017-03-01 00:00")),
        (
            {"starttime": "2017-03-01T00:00:00.123456789Z", "endtime": "20170301T120000+0530"},
            ("2017-03-01 00:00:00.123456", "2017-03-01 06:30"),
        ),
    ],
)
def test_times(fields: dict[str, Any], expected: tuple[str | None, str | None]) -> None:
    wanted = [text and datetime.fromisoformat(text).replace(tzinfo=UTC) for text in expected]
    assert list(times_of(fields)) == wanted


@pytest.mark.parametrize("value", ["", "yesterday", 20170301, "0001-01-01T00:00:00+05:00"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(FieldError, match=r"endtime .* is no time in ISO 8601"):
        times_of({"endtime": value})


def test_faults_of_many_documents_are_listed_up_to_a_limit() -> None:
    faulty = [document(f"id{number}", location="here") for number in range(25)]
    with pytest.raises(PermanentError, match="and 5 more") as caught:
        check_rows(faulty)
    assert caught.value.reason == PublishingReason.INVALID_DATASET
    assert str(caught.value).count("location 'here'") == 20


def test_problems_of_a_query_are_listed_together() -> None:
    early = datetime.fromisoformat("0001-01-01T00:00:00+05:00")
    with pytest.raises(BadInputError) as caught:
        read_query(DocumentQuery(bbox=(0, 5, 1, 4), starts=early))
    message = str(caught.value)
    assert "south 5 is north of its north 4" in message
    assert "starts 0001-01-01" in message


def test_a_query_across_the_antimeridian_or_around_the_globe() -> None:
    crossing = read_query(DocumentQuery(bbox=(170, -5, -170, 5)))
    everywhere = read_query(DocumentQuery(bbox=(-180, -90, 180, 90)))
    assert crossing is not None
    assert crossing.box == Box(170, -5, 190, 5)
    assert everywhere is not None
    assert everywhere.box == Box(-180, -90, 180, 90)


def test_ids_come_in_pages_and_no_ids_are_no_restriction() -> None:
    names = tuple(f"{number:04}" for number in range(1100))
    search = read_query(DocumentQuery(ids=(*names[::-1], names[0])))
    assert search is not None
    pages = list(search.pages_of_ids())
    assert [len(page or ()) for page in pages] == [500, 500, 100]
    assert tuple(name for page in pages for name in page or ()) == names
    unrestricted = read_query(DocumentQuery())
    assert unrestricted is not None
    assert list(unrestricted.pages_of_ids()) == [None]
    nothing = read_query(DocumentQuery(ids=("\0",)))
    assert nothing is not None
    assert list(nothing.pages_of_ids()) == []


def test_changed_documents_survive_a_process_boundary() -> None:
    error = DocumentsChangedError(f"id{number:02}" for number in range(12))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    assert again.ids == error.ids
    assert again.reason == PublishingReason.ALREADY_PUBLISHED
    assert "'id09' and 2 more" in str(again)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@host:port/db",
        "user:s3cret@host/db",
        "mysql://user:s3cret@host/db",
        "postgresql+psycopg2://user:s3cret@host/db",
        "sqlite://user:s3cret@host/file.sqlite",
        "sqlite:///file.sqlite?password=s3cret",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadInputError, match=r"publishing\.index_url.*sqlite:") as caught:
        open_index(url, default_folder=None, policy=POLICY)
    assert "s3cret" not in str(caught.value)


def test_without_an_address_it_is_a_file_beside_the_store(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"publishing\.index_url \(ESTINEL_PUBLISHING_INDEX"):
        open_index(None, default_folder=None, policy=POLICY)
    index = open_index(None, default_folder=tmp_path / "store", policy=POLICY)
    assert not (tmp_path / "store").exists(), "something is done before the first use"
    apply(index, [document("a")], expected={"a": None})
    index.close()
    assert (tmp_path / "store" / INDEX_FILE).is_file()
    again = open_index(
        f"sqlite:///{tmp_path}/store/{INDEX_FILE}", default_folder=None, policy=POLICY
    )
    assert list(again.get(["a"])) == ["a"]
    again.close()


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        MissingDependencyError, match=r"extra `postgres`.*estinel-assets\[postgres\]"
    ):
        open_index("postgresql://user:s3cret@host/db", default_folder=None, policy=POLICY)


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_a_document_is_kept_as_json(fields: dict[str, Any]) -> None:
    (row,) = rows_of([document("a", "run", metadata=fields)])
    kept = json.loads(row.text)["metadata"]
    assert {name: repr(value) for name, value in kept.items()} == {
        name: repr(value) for name, value in fields.items()
    }
