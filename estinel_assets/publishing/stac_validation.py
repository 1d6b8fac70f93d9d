"""STAC documents against schemas, without any network.

The core schemas are those that pystac bundles (STAC 1.1), compiled by jsonschema-rs; the schemas
of the extensions that we write and read ourselves are shipped with this package. A document of an
older version is brought to STAC 1.1 by pystac first, and published so.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jsonschema_rs
from jsonschema_rs import ValidationError, ValidationErrorKind
from pystac import STACError, STACTypeError
from pystac.serialization import identify_stac_object, migrate_to_latest

from estinel_assets.errors import public_url
from estinel_assets.publishing.model import JsonObject
from estinel_assets.publishing.stac_documents import Problem, pointer

Kind = Literal["Feature", "Catalog", "Collection"]
"""What `type` of a document says."""

STAC_VERSION = "1.1.0"
VERSION_EXTENSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
_SPEC = f"https://schemas.stacspec.org/v{STAC_VERSION}"
_CORE = ("catalog", "collection", "item")
_COMMON = (
    "bands",
    "basics",
    "common",
    "data-values",
    "datetime",
    "instrument",
    "licensing",
    "provider",
)
_NAMES: Mapping[Kind, str] = {"Feature": "item", "Catalog": "catalog", "Collection": "collection"}
_OLDER = re.compile(r"(0\.[89]|1\.0)\.\d{1,3}(-[a-z]+\.\d{1,3})?|1\.1\.0-[a-z]+\.\d{1,3}")
_EXTENSION = re.compile(
    r"https://stac-extensions\.github\.io/(?P<name>[a-z-]+)/v(?P<version>\d+\.\d+)\.\d+/schema\.json#?"
)
_SHIPPED = {
    ("file", "2.1"): "file-v2.1",
    ("projection", "2.0"): "projection-v2",
    ("eo", "2.0"): "eo-v2",
    ("version", "1.2"): "version-v1.2",
}
_VALUE = "the value"
_SHOWN = 120

_UNMIGRATED = (
    STACError,
    STACTypeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)
"""What pystac raises on documents of another shape than it expects."""

_Check = Callable[[JsonObject], Iterator[ValidationError]]


def _never_fetched(uri: str) -> Any:
    raise ValueError(f"schema {uri} is not bundled")


@cache
def _core_schemas() -> jsonschema_rs.Registry:
    bundled = files("pystac").joinpath("validation", "jsonschemas")
    core = bundled.joinpath("stac-spec", f"v{STAC_VERSION}")
    named = [(f"{_SPEC}/{name}-spec/json-schema/{name}.json", name) for name in _CORE]
    named += [(f"{_SPEC}/item-spec/json-schema/{name}.json", name) for name in _COMMON]
    schemas = [(uri, json.loads(core.joinpath(f"{name}.json").read_text())) for uri, name in named]
    for name in ("Feature", "Geometry"):
        text = bundled.joinpath("geojson", f"{name}.json").read_text()
        schemas.append((f"https://geojson.org/schema/{name}.json", json.loads(text)))
    return jsonschema_rs.Registry(schemas, draft=jsonschema_rs.Draft7, retriever=_never_fetched)


@cache
def _core_check(kind: Kind) -> _Check:
    name = _NAMES[kind]
    return jsonschema_rs.Draft7Validator(
        {"$ref": f"{_SPEC}/{name}-spec/json-schema/{name}.json"},
        registry=_core_schemas(),
        retriever=_never_fetched,
        validate_formats=True,
        mask=_VALUE,
    ).iter_errors


@cache
def _shipped_check(name: str) -> _Check:
    text = files("estinel_assets.publishing").joinpath("schemas", f"{name}.json").read_text()
    return jsonschema_rs.Draft7Validator(
        json.loads(text), retriever=_never_fetched, mask=_VALUE
    ).iter_errors


def extensions_of(document: Mapping[str, Any]) -> list[str]:
    """The extensions that a document names, whatever else stands there."""
    named = document.get("stac_extensions")
    return [uri for uri in named if isinstance(uri, str)] if isinstance(named, list) else []


def _shipped_schema(uri: str) -> str | None:
    match = _EXTENSION.fullmatch(uri)
    return _SHIPPED.get((match["name"], match["version"])) if match else None


def unchecked_extensions(document: Mapping[str, Any]) -> list[str]:
    """The extensions that a document names and whose schemas are not shipped."""
    return [uri for uri in extensions_of(document) if _shipped_schema(uri) is None]


def to_current_version(document: JsonObject) -> JsonObject | Problem:
    """Bring a document of STAC 0.8 to 1.1 to the version that is validated and published.

    Args:
        document: left as it is.

    Returns:
        The document itself where it is of that version already, else a migrated copy; or why it
        cannot be migrated.
    """
    version = document.get("stac_version")
    if version == STAC_VERSION:
        return document
    if not isinstance(version, str) or not _OLDER.fullmatch(version):
        return Problem(
            "/stac_version",
            f"{_shown(version)} is not a version that is understood: write {STAC_VERSION}",
        )
    try:
        migrated: JsonObject = migrate_to_latest(document, identify_stac_object(document))
    except _UNMIGRATED as error:
        what = f"it cannot be brought from STAC {version} to {STAC_VERSION}"
        return Problem("", f"{what} ({type(error).__name__}): write STAC {STAC_VERSION}")
    return migrated


def schema_problems(document: JsonObject, kind: Kind) -> list[Problem]:
    """What the schemas of STAC 1.1 and of the shipped extensions find wrong.

    An item that names a collection may lack the link to it, as the API makes that link itself.

    Args:
        document: of STAC 1.1, as `stac_documents.read_document` lets through.
        kind: of the document.
    """
    names = [name for uri in extensions_of(document) if (name := _shipped_schema(uri))]
    checks = [_core_check(kind), *map(_shipped_check, names)]
    if kind == "Feature":
        checks.append(_shipped_check("estinel"))
        document = _with_collection_link(document)
    found: dict[Problem, None] = {}
    ambiguous: list[Problem] = []
    for check in checks:
        for error in check(document):
            if isinstance(error.kind, ValidationErrorKind.OneOfMultipleValid):
                ambiguous += _problems(error, document)
            else:
                found.update(dict.fromkeys(_problems(error, document)))
    places = {problem.at for problem in found}
    return [*found, *(problem for problem in ambiguous if problem.at not in places)]


def _with_collection_link(item: JsonObject) -> JsonObject:
    links = item.get("links")
    if not isinstance(item.get("collection"), str) or not isinstance(links, list):
        return item
    if any(isinstance(link, dict) and link.get("rel") == "collection" for link in links):
        return item
    return {**item, "links": [*links, {"rel": "collection", "href": "./collection.json"}]}


def _problems(error: ValidationError, document: JsonObject) -> Iterator[Problem]:
    kind = error.kind
    if isinstance(kind, ValidationErrorKind.Format) and kind.format.startswith("iri"):
        return  # addresses are followed, which shows more
    if isinstance(kind, ValidationErrorKind.AnyOf | ValidationErrorKind.OneOfNotValid):
        nearest = _nearest_branch(kind.context)
        if nearest:
            for inner in nearest:
                yield from _problems(inner, document)
            return
    at = pointer(error.instance_path)
    value = _shown(_value_at(document, error.instance_path))
    if isinstance(kind, ValidationErrorKind.FalseSchema | ValidationErrorKind.Not):
        yield Problem(at, f"{value} is not allowed here: remove it")
    else:
        yield Problem(at, error.message.replace(_VALUE, value, 1)[: 3 * _SHOWN])


def _nearest_branch(branches: list[list[ValidationError]]) -> list[ValidationError]:
    """The alternative that was meant, told by its type; else the one that failed deepest."""
    meant = [branch for branch in branches if branch and not _of_other_type(branch)]
    return max(
        meant or [branch for branch in branches if branch],
        key=lambda branch: max(len(error.instance_path) for error in branch),
        default=[],
    )


def _of_other_type(branch: list[ValidationError]) -> bool:
    for error in branch:
        kind = error.kind
        if isinstance(kind, ValidationErrorKind.Type) and error.message.endswith('"null"'):
            return True
        chosen = isinstance(kind, ValidationErrorKind.Enum | ValidationErrorKind.Constant)
        if chosen and error.instance_path[-1:] == ["type"]:
            return True
    return False


def _value_at(document: Any, path: list[str | int]) -> Any:
    for part in path:
        try:
            document = document[part]
        except (LookupError, TypeError):
            return None
    return document


def _shown(value: Any) -> str:
    """A value for a message: short, and without the query of an address."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        value = public_url(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
