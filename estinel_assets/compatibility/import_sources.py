"""Where results are imported from: a Parquet file, a file of whole records, or a tree of objects.

A tree holds one `result.json` a collection under `…/{concept_id}/status=…/reason=…/`, however deep
it lies and whatever the folders above are called (`collections`, `processed`). Its results hold
either the published columns, as one flat JSON object, or a whole record of ours. Everything else,
such as the markers of collections that were never checked, is passed over.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import pyarrow as pa

from estinel_assets.compatibility.import_rows import (
    IMPORT_RUN,
    JSON_COLUMNS,
    OUTCOME_COLUMNS,
    Origin,
    is_same,
    outcome_of_document,
    outcome_of_row,
    raise_problems,
)
from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.compatibility.record import PUBLISHED, CompatibilityRecord
from estinel_assets.compute import Threads
from estinel_assets.errors import BadInputError, NotFoundError, StoreError, public_url
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.paths import RESULT_NAME
from estinel_assets.outcomes.record import NO_REASON, Outcome
from estinel_assets.storage.documents import load_json
from estinel_assets.storage.paths import BucketRoot, LocalRoot, parse_root
from estinel_assets.storage.port import ObjectMeta, ObjectStore, StoredObject
from estinel_assets.storage.tables import table_from_bytes

READERS = 16
"""Objects of a tree read at once."""

_RUN_DIGITS = 12
_PARQUET = b"PAR1"
_RECORDS = ".jsonl"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FlatObject:
    """An object of a tree that holds published columns, not a record of ours."""

    path: str
    """In the tree's store."""
    uri: str
    etag: str


@dataclass(frozen=True, slots=True)
class FoundResult:
    """One result."""

    outcome: Outcome
    """As it is to be recorded."""
    place: str
    """For people: a row, a line or a path."""
    flat: FlatObject | None = None
    """Where it stands as published columns; None in a file, and for a record of ours."""

    @property
    def concept_id(self) -> str:
        """Of the collection."""
        return self.outcome.key[0]


@dataclass(frozen=True, slots=True)
class FoundResults:
    """What a file or a tree holds, one result a collection."""

    name: str
    """Of the file or tree; without secrets."""
    results: tuple[FoundResult, ...]
    """Sorted by concept id."""
    superseded: tuple[FoundResult, ...] = ()
    """Older results of the same collections, which do not count."""
    warnings: tuple[str, ...] = ()
    store: ObjectStore | None = None
    """The tree's store; None for a file."""


def find_results(where: str, open_at: Callable[[str], ObjectStore]) -> FoundResults:
    """Read and check all results of a file or tree.

    Args:
        where: a Parquet file of published columns, with or without our details; a `.parquet` or
            `.jsonl` file that `estinel outcomes export` wrote; a folder, or a URL of either. A URL
            that ends in neither `.parquet` nor `.jsonl` is a tree.
        open_at: opens the store at a URL.

    Raises:
        BadInputError: nothing is there, or it holds something that is no result; the message
            lists the first ten problems.
        StoreError: the store refuses.
    """
    root = parse_root(where)
    if isinstance(root, LocalRoot):
        if not root.folder.exists():
            raise BadInputError(f"{where} does not exist; name a Parquet file or a folder")
        if root.folder.is_file():
            return _find_in_file(open_at(LocalRoot(root.folder.parent).url), root.folder.name)
        return find_in_tree(open_at(root.url), name=root.folder.name)
    if isinstance(root, BucketRoot):
        folder, _, name = root.prefix.rpartition("/")
        if name.endswith((".parquet", _RECORDS)):
            return _find_in_file(open_at(BucketRoot(root.bucket, folder).url), name)
        return find_in_tree(open_at(root.url), name=public_url(root.url))
    raise BadInputError(f"nothing can be imported from {where}; name a file, a folder or a bucket")


def find_in_tree(store: ObjectStore, prefix: str = "", *, name: str) -> FoundResults:
    """Read and check the results of a tree.

    Of two results of one collection the newer one counts, and a warning names both. Where they are
    of one time, which one counts cannot be told: that is an error, unless they say the same.

    Args:
        store: holds the tree.
        prefix: of the tree.
        name: of the tree, for people and records.

    Raises:
        BadInputError: there is no result, one is none, or contradicts its path.
        StoreError: the store refuses.
    """
    metas = (meta for meta in store.list(prefix) if _place(meta.path) is not None)

    def read(meta: ObjectMeta) -> "FoundResult | str | None":
        try:
            return _result_of_object(store, store.get(meta.path), name)
        except NotFoundError:
            # Another result is about to take its place.
            return f"{meta.path} was deleted meanwhile; import again"
        except BadInputError as error:
            return f"{meta.path}: {error}"

    found: list[FoundResult] = []
    problems: list[str] = []
    for done in Threads(READERS).map(read, metas):
        match done.result():
            case str() as problem:
                problems.append(problem)
            case FoundResult() as result:
                found.append(result)
    if not found and not problems:
        raise BadInputError(
            f"no result stands under {store.uri(prefix) if prefix else store.url}; its objects "
            "must be called …/CONCEPT_ID/status=…/reason=…/result.json"
        )
    results, superseded, warnings = _newest(found, problems)
    raise_problems(sorted(problems), name)
    for warning in warnings:
        log.warning("two results", tree=name, problem=warning)
    return FoundResults(name, results, superseded, warnings, store)


def find_in_table(body: bytes, name: str, origin: Origin) -> FoundResults:
    """Read and check the results of a Parquet file.

    Args:
        body: the file.
        name: of the file, for messages.
        origin: what its results are recorded with.

    Raises:
        BadInputError: it is no Parquet, columns are absent or of another type, a collection has
            two rows, or a row is no result.
    """
    try:
        table = table_from_bytes(body, what=name)
        table.validate(full=True)
    except (StoreError, pa.ArrowInvalid) as error:
        raise BadInputError(f"{name} cannot be imported: {error}") from None
    warnings: list[str] = []
    if {"product", "detail"} <= set(table.column_names):
        rows = ({**row, "detail": _parsed(row["detail"])} for row in table.to_pylist())
        read: Callable[[Mapping[str, object]], Outcome] = outcome_of_document
    else:
        raise_problems(_column_problems(table.schema), name)
        known = {*CompatibilityRecord.model_fields, *OUTCOME_COLUMNS}
        ignored = [column for column in table.column_names if column not in known]
        if ignored:
            warnings.append(f"{name} has columns that are not imported: {', '.join(ignored)}")
            log.warning("columns are not imported", file=name, columns=ignored)
        rows = iter(table.to_pylist())
        read = _reader(origin)
    found = _read_rows(rows, read, name, "row")
    return replace(found, warnings=tuple(warnings))


def find_in_records(body: bytes, name: str) -> FoundResults:
    """Read and check the results of a file of whole records, one JSON object a line.

    Raises:
        BadInputError: a line is no record of this product line, or a collection has two.
    """
    lines = (_parsed(line) for line in body.splitlines())
    return _read_rows(lines, outcome_of_document, name, "line")


def _find_in_file(store: ObjectStore, path: str) -> FoundResults:
    try:
        stored = store.get(path)
    except NotFoundError:
        raise BadInputError(f"{store.uri(path)} does not exist; name a file or folder") from None
    origin = Origin(path, _run_id(stored.data), stored.meta.last_modified)
    if path.endswith(_RECORDS) and not stored.data.startswith(_PARQUET):
        return find_in_records(stored.data, path)
    return find_in_table(stored.data, path, origin)


def _run_id(content: bytes) -> str:
    return IMPORT_RUN + sha256(content).hexdigest()[:_RUN_DIGITS]


def _reader(origin: Origin) -> Callable[[Mapping[str, object]], Outcome]:
    return lambda row: outcome_of_row(row, origin)


def _read_rows(
    rows: Iterator[object],
    read: Callable[[Mapping[str, object]], Outcome],
    name: str,
    unit: str,
) -> FoundResults:
    problems: list[str] = []
    by_id: dict[str, list[FoundResult]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        place = f"{unit} {number}"
        if not isinstance(row, dict):
            problems.append(f"{place} is no JSON object")
            continue
        try:
            result = FoundResult(read(row), place)
        except BadInputError as error:
            shown = row.get("collection_concept_id", row.get("key"))
            problems.append(f"{place} ({shown}): {error}")
        else:
            by_id[result.concept_id].append(result)
    for concept_id, several in by_id.items():
        if len(several) > 1:
            places = ", ".join(one.place for one in several)
            problems.append(f"{concept_id} has {len(several)} results: {places}")
    raise_problems(problems, name)
    return FoundResults(name, tuple(by_id[concept_id][0] for concept_id in sorted(by_id)))


def _column_problems(schema: pa.Schema) -> Iterator[str]:
    absent = [name for name in PUBLISHED if name not in schema.names]
    if absent:
        yield f"it has no column {', '.join(absent)}"
    for field in schema:
        expected = _expected(field.name)
        if schema.names.count(field.name) > 1:
            yield f"it has two columns {field.name}"
        elif expected and not any(_is(kind, field.type) for kind in expected):
            yield f"column {field.name} is of type {field.type}, not {' or '.join(expected)}"


def _expected(name: str) -> Sequence[str]:
    """What a column may hold; nothing where we do not know it, or its values are checked."""
    if name in JSON_COLUMNS:
        return ("JSON", "text", "list")
    if name == "tiling_compatible":
        return ("boolean",)
    if name == "num_granules":
        return ("number",)
    return ("text",) if name in PUBLISHED else ()


def _is(kind: str, found: pa.DataType) -> bool:
    types = pa.types
    if types.is_null(found):
        return True
    if types.is_dictionary(found):
        found = found.value_type
    match kind:
        case "boolean":
            return bool(types.is_boolean(found))
        case "number":
            return bool(types.is_integer(found) or types.is_floating(found))
        case "text":
            return bool(types.is_string(found) or types.is_large_string(found))
        case "list":
            return bool(types.is_list(found) or types.is_large_list(found))
        case _:
            return isinstance(found, pa.JsonType)


def _parsed(text: str | bytes) -> object:
    """A JSON text's value; the text itself where it is none, which then is a problem of its own."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True, slots=True)
class _Place:
    """What a path says of its result."""

    concept_id: str
    status: str
    reason: str


def _place(path: str) -> _Place | None:
    """Read a path from the right; None where it is no result's."""
    segments = path.split("/")
    if len(segments) < 4 or segments[-1] != RESULT_NAME:
        return None
    concept_id, status, reason = segments[-4:-1]
    if not status.startswith("status=") or not reason.startswith("reason="):
        return None
    return _Place(concept_id, status.removeprefix("status="), reason.removeprefix("reason="))


def _result_of_object(store: ObjectStore, stored: StoredObject, name: str) -> FoundResult | None:
    """The result that an object holds; None where it is one of another product line."""
    path = stored.meta.path
    place = _place(path)
    try:
        document = load_json(stored.data, what="it")
    except StoreError as error:
        raise BadInputError(str(error)) from None
    if not isinstance(document, dict) or place is None:
        raise BadInputError("it is no JSON object")
    if {"product", "detail"} <= set(document):
        if document["product"] != COMPATIBILITY.product:
            return None
        outcome, flat = outcome_of_document(document), None
        word = outcome.reason
    else:
        origin = Origin(name, _run_id(stored.data), stored.meta.last_modified)
        outcome, flat = (
            outcome_of_row(document, origin),
            FlatObject(path, store.uri(path), stored.meta.etag),
        )
        # Before there was a word for it, a failure without a reason stood under `none`.
        word = document.get("incompatible_reason") or NO_REASON
    said = _Place(outcome.key[0], str(outcome.status).lower(), word)
    if said != place:
        raise BadInputError(
            f"the path says {place.concept_id}, status {place.status}, reason {place.reason}, "
            f"the object {said.concept_id}, status {said.status}, reason {said.reason}"
        )
    return FoundResult(outcome, path, flat)


def _newest(
    found: Sequence[FoundResult], problems: list[str]
) -> tuple[tuple[FoundResult, ...], tuple[FoundResult, ...], tuple[str, ...]]:
    """One result a collection, the others, and warnings; a tie is added to the problems."""
    by_id: dict[str, list[FoundResult]] = defaultdict(list)
    for result in found:
        by_id[result.concept_id].append(result)
    results: list[FoundResult] = []
    superseded: list[FoundResult] = []
    warnings: list[str] = []
    for concept_id in sorted(by_id):
        *older, newest = sorted(
            by_id[concept_id], key=lambda one: (*one.outcome.age_key, one.place)
        )
        results.append(newest)
        superseded += older
        for one in older:
            if is_same(one.outcome.age_key, newest.outcome.age_key):
                continue
            if one.outcome.finished_at == newest.outcome.finished_at:
                problems.append(
                    f"{concept_id} has two results of one time: {one.place} and {newest.place}; "
                    "delete one of them"
                )
            else:
                warnings.append(f"{concept_id}: {newest.place} is newer than {one.place}")
    return tuple(results), tuple(superseded), tuple(warnings)
