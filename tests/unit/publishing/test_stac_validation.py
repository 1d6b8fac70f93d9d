"""STAC documents against bundled and shipped schemas, and the rules beyond them."""

import json
from pathlib import Path
from typing import Any

import pystac.validation
import pytest

from estinel_assets.publishing.stac_documents import (
    MAX_NESTING,
    Problem,
    digest_of,
    pointer,
    read_document,
)
from estinel_assets.publishing.stac_rules import (
    id_problem,
    parse_time,
    place_problems,
    place_warnings,
    span_of,
    time_problems,
)
from estinel_assets.publishing.stac_validation import (
    schema_problems,
    to_current_version,
    unchecked_extensions,
)
from tests.support.catalog_folders import FILE_EXTENSION, catalog, collection, item

EO = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
PROJ = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
VERSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"


def places(document: dict[str, Any], kind: Any = "Feature") -> set[str]:
    return {problem.at for problem in schema_problems(document, kind)}


def test_valid_documents_have_no_problems_and_pystac_agrees() -> None:
    for document, kind in (
        (item(), "Feature"),
        (collection(), "Collection"),
        (catalog(), "Catalog"),
    ):
        assert schema_problems(document, kind) == []  # type: ignore[arg-type]
        pystac.validation.validate_dict(document)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"id": 5}, "/id"),
        ({"id": ""}, "/id"),
        ({"properties": 3}, "/properties"),
        ({"properties": {}}, "/properties"),
        ({"properties": {"datetime": None}}, "/properties/datetime"),
        ({"properties": {"datetime": "2023-01-01T00:00:00"}}, "/properties/datetime"),
        ({"properties": {"datetime": "2023-13-01T00:00:00Z"}}, "/properties/datetime"),
        ({"links": {}}, "/links"),
        ({"links": [{"rel": "x"}]}, "/links/0"),
        ({"assets": {"a/b": {}}}, "/assets/a~1b"),
        ({"bbox": [1, 2]}, "/bbox"),
        ({"bbox": None}, "/bbox"),
        ({"geometry": None}, "/geometry"),
        ({"geometry": {"type": "Point", "coordinates": [1, "a"]}}, "/geometry/coordinates/1"),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[1, 2]]]}},
            "/geometry/coordinates/0",
        ),
        ({"stac_version": "1.2.0"}, "/stac_version"),
        ({"collection": 7}, "/collection"),
        (
            {"properties": {"datetime": "2023-01-01T00:00:00Z", "license": "a b"}},
            "/properties/license",
        ),
    ],
)
def test_each_core_fault_is_found_at_its_place(changes: dict[str, Any], at: str) -> None:
    assert at in places(item(**changes))


def test_a_collection_without_its_link_passes_as_the_api_makes_the_link() -> None:
    assert places(item(collection="things")) == set()
    links = [{"rel": "collection", "href": "./c.json"}]
    assert places(item(links=links)) == {""}


def test_faults_of_other_kinds_of_documents() -> None:
    whats = {problem.what for problem in schema_problems({"type": "Catalog"}, "Catalog")}
    assert any('"description"' in what for what in whats)
    assert len(whats) == 4
    assert "/extent/spatial/bbox/0" in places(
        collection(extent={"spatial": {"bbox": [[1]]}, "temporal": {"interval": [[None, None]]}}),
        "Collection",
    )


@pytest.mark.parametrize(
    ("uri", "properties", "asset", "at"),
    [
        (FILE_EXTENSION, {}, {"file:size": -1}, "/assets/data/file:size"),
        (FILE_EXTENSION, {}, {"file:checksum": "XYZ"}, "/assets/data/file:checksum"),
        (FILE_EXTENSION, {}, {"file:colour": 1}, "/assets/data/file:colour"),
        (FILE_EXTENSION, {}, {"file:byte_order": "middle"}, "/assets/data/file:byte_order"),
        (EO, {"eo:cloud_cover": 101}, {}, "/properties/eo:cloud_cover"),
        (EO, {}, {"eo:bands": []}, "/assets/data/eo:bands"),
        (
            EO,
            {},
            {"bands": [{"eo:common_name": "octarine"}]},
            "/assets/data/bands/0/eo:common_name",
        ),
        (PROJ, {"proj:code": 32755}, {}, "/properties/proj:code"),
        (PROJ, {"proj:code": "32755"}, {}, "/properties/proj:code"),
        (PROJ, {"proj:epsg": 32755}, {}, "/properties/proj:epsg"),
        (PROJ, {"proj:shape": [1, 2, 3]}, {}, "/properties/proj:shape"),
        (PROJ, {}, {"proj:transform": [1, 2]}, "/assets/data/proj:transform"),
        (VERSION, {"version": 2}, {}, "/properties/version"),
        (VERSION, {"deprecated": "no"}, {}, "/properties/deprecated"),
    ],
)
def test_shipped_schemas_hold_for_documents_that_name_them(
    uri: str, properties: dict[str, Any], asset: dict[str, Any], at: str
) -> None:
    made = item(stac_extensions=[uri])
    made["properties"] |= properties
    made["assets"]["data"] |= asset
    assert at in places(made)
    made["stac_extensions"] = []
    assert places(made) == set()


def test_what_extensions_allow_passes() -> None:
    made = item(stac_extensions=[FILE_EXTENSION, EO, PROJ, VERSION])
    made["properties"] |= {
        "eo:cloud_cover": 3.5,
        "proj:code": "EPSG:32755",
        "proj:bbox": [1, 2, 3, 4],
        "proj:centroid": {"lat": 1, "lon": 2},
        "version": "2",
        "experimental": True,
    }
    made["assets"]["data"] |= {
        "file:size": 3,
        "file:checksum": "1220ab",
        "proj:shape": [2, 3],
        "proj:transform": [1, 0, 0, 0, 1, 0],
        "bands": [{"name": "B04", "eo:common_name": "red", "eo:center_wavelength": 0.66}],
    }
    assert schema_problems(made, "Feature") == []
    assert unchecked_extensions(made) == []


def test_our_own_properties_have_a_schema() -> None:
    made = item()
    made["properties"] |= {"estinel:publication": 3, "estinel:digest": "short"}
    assert places(made) == {"/properties/estinel:publication", "/properties/estinel:digest"}


def test_other_extensions_are_named() -> None:
    older = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
    made = item(stac_extensions=[FILE_EXTENSION, older, "https://example.org/x.json", 3])
    assert unchecked_extensions(made) == [older, "https://example.org/x.json"]


def test_messages_show_no_query() -> None:
    made = item()
    made["properties"]["datetime"] = "https://host/x?token=secret"
    assert "secret" not in str(schema_problems(made, "Feature"))


def test_older_documents_are_migrated() -> None:
    older = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
    made = item(stac_version="1.0.0", stac_extensions=[older])
    made["properties"] |= {"proj:epsg": 32755, "license": "proprietary"}
    found = to_current_version(made)
    assert isinstance(found, dict)
    assert found["stac_version"] == "1.1.0"
    assert found["properties"]["proj:code"] == "EPSG:32755"
    assert found["properties"]["license"] == "other"
    assert schema_problems(found, "Feature") == []
    assert made["stac_version"] == "1.0.0"


@pytest.mark.parametrize("version", [None, 1, "", "9.9", "1.2.0", "1.0.0; rm", ["1.0.0"]])
def test_unknown_versions_are_a_problem(version: Any) -> None:
    found = to_current_version(item(stac_version=version))
    assert isinstance(found, Problem)
    assert found.at == "/stac_version"


def test_documents_that_cannot_be_migrated_are_a_problem() -> None:
    broken = item(stac_version="1.0.0", properties=None)
    assert isinstance(to_current_version(broken), Problem)


@pytest.mark.parametrize("value", ["one", "urn:nasa:unity:x___1", "a b", "Ünï", "x" * 512])
def test_ids_that_fit_a_url(value: str) -> None:
    assert id_problem(value) is None


@pytest.mark.parametrize(
    "value",
    [None, 3, "", " a", "a ", "a/b", "a?b", "a#b", "a%b", "a\\b", "a\nb", ".", "..", "x" * 513],
)
def test_ids_that_do_not_fit_a_url(value: object) -> None:
    assert id_problem(value) is not None


def test_times() -> None:
    assert parse_time("2023-01-01T00:00:00.123456789Z") is not None
    assert parse_time("2023-01-01T00:00:00+00:00") == parse_time("2023-01-01t00:00:00z")
    for wrong in ("2023-01-01", "2023-01-01T00:00:00", "2023-01-01T00:00:00+02:00", "x", 3, None):
        assert parse_time(wrong) is None


def test_a_span_runs_forward() -> None:
    made = item()
    made["properties"] = {
        "datetime": None,
        "start_datetime": "2023-01-02T00:00:00Z",
        "end_datetime": "2023-01-01T00:00:00Z",
    }
    assert [problem.at for problem in time_problems(made)] == ["/properties/end_datetime"]
    span = span_of(item()["properties"])
    assert span is not None
    assert span.start == span.end
    assert span_of({"datetime": None}) is None


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"bbox": [10, 21, 11, 20]}, "/bbox"),
        ({"bbox": [10, 20, 5, 11, 21, 4]}, "/bbox"),
        ({"bbox": [10, 20, 500, 21]}, "/bbox"),
        ({"geometry": {"type": "Point", "coordinates": [20, 91]}}, "/geometry/coordinates"),
        ({"geometry": {"type": "Point", "coordinates": [200, 9]}}, "/geometry/coordinates"),
        ({"geometry": {"type": "MultiPoint", "coordinates": []}}, "/geometry"),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}},
            "/geometry/coordinates",
        ),
    ],
)
def test_places_that_cannot_be(changes: dict[str, Any], at: str) -> None:
    assert at in {problem.at for problem in place_problems(item(**changes))}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bbox": [170, 20, -170, 21]},
        {"geometry": None},
        {"geometry": {"type": "Point", "coordinates": [180.125, 0]}},
        {"geometry": {"type": "GeometryCollection", "geometries": [item()["geometry"]]}},
    ],
)
def test_places_that_can_be(changes: dict[str, Any]) -> None:
    assert list(place_problems(item(**changes))) == []


def test_odd_places_are_told() -> None:
    assert list(place_warnings(item())) == []
    bow = [[[10, 20], [11, 21], [11, 20], [10, 21], [10, 20]]]
    crossed = item(geometry={"type": "Polygon", "coordinates": bow})
    assert "crosses itself" in " ".join(place_warnings(crossed))
    assert "out of the bbox" in " ".join(place_warnings(item(bbox=[10, 20, 10.5, 21])))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{\xff}", "not UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 99999999999999999999}', "64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "x\\u0000"}', "U+0000"),
        (b'{"\\u0000": 1}', "a key"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}", f"deeper than {MAX_NESTING}"),
        (b'{"a": ' * 100_000, "deeper than"),
    ],
)
def test_documents_that_cannot_be_used(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    reading = read_document(path)
    assert reading.document is None
    assert said in " ".join(problem.what for problem in reading.problems)


def test_a_document_that_is_too_large_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("estinel_assets.publishing.stac_documents.MAX_BYTES", 10)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"a": "0123456789"}))
    assert "more than 10 bytes" in read_document(path).problems[0].what


def test_the_place_of_an_unfit_value_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [{"b/c": 1e999}]}')
    assert [problem.at for problem in read_document(path).problems] == ["/a/0/b~1c"]


def test_a_document_with_a_mark_of_byte_order_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_document(path).document == {"a": 1}


def test_digests_ignore_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    assert pointer(["a", 0, "b~"]) == "/a/0/b~0"
