"""Index documents of datasets, with the fields of HySDS' dataset index (GRQ), and `_datasets.json`.

What GRQ would be sent, checked before: the original looks at `version` only, and the index then
refuses, or takes, whatever else there is.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from estinel_assets.publishing.datasets_config import Route
from estinel_assets.publishing.model import JsonObject

INDEX_PREFIX = "grq"
TIMES = ("starttime", "endtime", "creation_timestamp")

_DEPTHS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
"""How deep the positions of a geometry stand in lists."""
_TYPES = {name.lower(): name for name in _DEPTHS}
_OWN = frozenset(
    {
        "id",
        "objectid",
        "metadata",
        "dataset",
        "ipath",
        "system_version",
        "dataset_level",
        "dataset_type",
        "urls",
        "browse_urls",
        "images",
        "prov",
        "index",
        "grq_index_result",
    }
)
"""Fields that are made here, whatever `dataset.json` says."""


def index_name(route: Route, version: str) -> str:
    """Name of the index that GRQ keeps a dataset in, such as `grq_v0.1_area_of_interest`."""
    named = route.index_suffix or f"{version}_{route.dataset}"
    return f"{INDEX_PREFIX}_{named}".lower()


def dataset_document(
    dataset_id: str,
    route: Route,
    *,
    dataset: Mapping[str, Any],
    metadata: Mapping[str, Any],
    images: Sequence[Mapping[str, Any]],
    prov: Mapping[str, Any],
    urls: Sequence[str],
    browse_urls: Sequence[str],
) -> JsonObject:
    """The index document of a dataset.

    Args:
        dataset_id: its id, with a suffix where there is one.
        route: where it goes.
        dataset: what `check_dataset` made of its `dataset.json`; all keys but GRQ's own are kept.
        metadata: of its `met.json`.
        images: browse images.
        prov: provenance.
        urls: addresses of its files.
        browse_urls: addresses of its browse images.
    """
    version = dataset["version"]
    index = index_name(route, version)
    kept = {name: value for name, value in dataset.items() if name not in _OWN}
    custom = {"suffix": route.index_suffix} if route.index_suffix else {}
    return {
        "id": dataset_id,
        "objectid": dataset_id,
        "metadata": dict(metadata),
        "dataset": route.dataset,
        "ipath": route.ipath,
        "system_version": version,
        "dataset_level": route.level,
        "dataset_type": route.dataset_type,
        "urls": list(urls),
        "browse_urls": list(browse_urls),
        "images": [dict(image) for image in images],
        "prov": dict(prov),
        **kept,
        "index": {"name": index, **custom, "aliases": list(route.index_aliases)},
        "grq_index_result": {"index": index},
    }


class DatasetCheck:
    """What a `dataset.json` was found to say.

    Attributes:
        dataset: with normalised times and location.
        problems: what makes it unusable.
        warnings: what was understood, but is written in its own way.
    """

    def __init__(self, dataset: JsonObject) -> None:
        self.dataset = dict(dataset)
        self.problems: list[str] = []
        self.warnings: list[str] = []


def check_dataset(dataset: JsonObject, *, dataset_id: str) -> DatasetCheck:
    """Check a `dataset.json`; times become UTC with a Z, types of geometries GeoJSON's.

    `version` may be absent: the route may give one.

    Args:
        dataset: the document.
        dataset_id: name of its folder.
    """
    check = DatasetCheck(dataset)
    for name in ("id", "objectid"):
        if dataset.get(name, dataset_id) != dataset_id:
            check.problems.append(
                f"{name} is {dataset[name]!r}, the folder is {dataset_id!r}; they must agree"
            )
    left_out = sorted(_OWN & dataset.keys() - {"id", "objectid"})
    if left_out:
        check.warnings.append(f"{', '.join(left_out)}: made anew when published")
    _check_version(check)
    label = check.dataset.get("label")
    if label is not None and not isinstance(label, str):
        check.problems.append(f"label is {label!r}; write a text")
    _check_times(check)
    location = check.dataset.get("location")
    if location is None:
        check.dataset.pop("location", None)
    else:
        _check_location(check, location)
    return check


def datasets_chunks(documents: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """`_datasets.json` as HySDS writes it: the documents of all that was published, in a list.

    Args:
        documents: read one at a time.

    Returns:
        Pieces of UTF-8, one a document and one for the end.
    """
    before = b"[\n"
    for document in documents:
        text = json.dumps(
            document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
        ).replace("\n", "\n  ")
        yield before + f"  {text}".encode()
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def utc_time(text: str) -> str | None:
    """A time as `2017-03-01T00:00:00Z`; None where it cannot be read.

    Args:
        text: ISO 8601; without an offset it is UTC.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return aware.isoformat().removesuffix("+00:00") + "Z"


def _check_version(check: DatasetCheck) -> None:
    version = check.dataset.get("version")
    if version is None:
        check.dataset.pop("version", None)
    elif isinstance(version, (int, float)) and not isinstance(version, bool):
        check.dataset["version"] = str(version)
        check.warnings.append(f"version is the number {version}; it is read as a text")
    elif not isinstance(version, str) or not re.search(r"\S", version):
        check.problems.append(f"version is {version!r}; write a text such as v1.0")


def _check_times(check: DatasetCheck) -> None:
    for name in TIMES:
        written = check.dataset.get(name)
        if written is None:
            check.dataset.pop(name, None)
            continue
        time = utc_time(written) if isinstance(written, str) else None
        if time is None:
            check.problems.append(
                f"{name} is {written!r}; write a time such as 2017-03-01T00:00:00Z"
            )
        else:
            check.dataset[name] = time
    if check.problems:
        return
    start, end = check.dataset.get("starttime"), check.dataset.get("endtime")
    if start and end and datetime.fromisoformat(start) > datetime.fromisoformat(end):
        check.problems.append(f"starttime {start} is after endtime {end}; exchange them")


def _check_location(check: DatasetCheck, location: Any) -> None:
    written = location.get("type") if isinstance(location, dict) else None
    kind = _TYPES.get(written.lower()) if isinstance(written, str) else None
    if kind is None:
        check.problems.append(
            f"location is of type {written!r}; write a GeoJSON geometry: {', '.join(_DEPTHS)}"
        )
        return
    if kind != written:
        check.warnings.append(f"location is of type {written!r}; it is read as {kind}")
    geometry = {**location, "type": kind}
    problem = _coordinates_problem(geometry.get("coordinates"), _DEPTHS[kind])
    if problem is None:
        problem = _shape_problem(geometry)
    if problem is not None:
        check.problems.append(f"location: {problem}")
    check.dataset["location"] = geometry


def _coordinates_problem(coordinates: Any, depth: int) -> str | None:
    """What is wrong with the lists and numbers of a geometry."""
    positions = [coordinates]
    for _ in range(depth):
        if not all(isinstance(inner, list) and inner for inner in positions):
            return f"its coordinates need lists {depth + 1} deep, none of them empty"
        positions = [inner for outer in positions for inner in outer]
    problems = (_position_problem(position) for position in positions)
    return next((problem for problem in problems if problem), None)


def _position_problem(position: Any) -> str | None:
    if (
        not isinstance(position, list)
        or not 2 <= len(position) <= 4
        or any(isinstance(part, bool) or not isinstance(part, (int, float)) for part in position)
    ):
        return f"{str(position)[:80]} is no position; write [longitude, latitude]"
    longitude, latitude = position[:2]
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return (
            f"[{longitude}, {latitude}] is not on Earth; "
            "write longitude (-180 to 180), then latitude (-90 to 90)"
        )
    return None


def _shape_problem(geometry: JsonObject) -> str | None:
    """What shapely finds wrong with a geometry whose positions are right."""
    rings: list[Any] = []
    if geometry["type"] == "Polygon":
        rings = geometry["coordinates"]
    elif geometry["type"] == "MultiPolygon":
        rings = [ring for polygon in geometry["coordinates"] for ring in polygon]
    for ring in rings:
        if len(ring) < 4 or ring[0] != ring[-1]:
            return "a ring needs four positions or more, the last one equal to the first"
    try:
        made = shape(geometry)
    except (ShapelyError, ValueError, TypeError) as error:
        return f"it is no geometry ({error})"
    if not shapely.is_valid(made):
        return f"it is not valid ({shapely.is_valid_reason(made)}); repair the geometry"
    return None
