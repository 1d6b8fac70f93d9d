"""What of a document is searched: its box, its times, its type and its words."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.index.boxes import Box, box_of
from estinel_assets.publishing.index.errors import FieldError
from estinel_assets.publishing.index.words import words_of
from estinel_assets.publishing.ports import WritableDocument
from estinel_assets.publishing.reasons import PublishingReason

_TEXT_FIELDS = ("id", "label", "dataset", "dataset_type")
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A document with what is searched of it."""

    id: str
    publication: str
    digest: str
    dataset_type: str | None
    starts_at: datetime | None
    """UTC; as `ends_at` where only that is given."""
    ends_at: datetime | None
    """UTC; as `starts_at` where only that is given."""
    box: Box | None
    words: tuple[str, ...]
    text: str
    """The document as JSON."""


def rows_of(documents: Iterable[WritableDocument]) -> list[Row]:
    """What the index keeps of documents.

    Raises:
        FieldError: one cannot be kept; see `check_rows`.
    """
    return [_row(document) for document in documents]


def check_rows(documents: Iterable[WritableDocument]) -> None:
    """Make sure that the index can keep documents, looking at one at a time.

    Raises:
        PermanentError: (`invalid_dataset`) some have an id that no database keeps, a location that
            is no geometry or times that are none; all of them are listed.
    """
    faults: list[str] = []
    for document in documents:
        try:
            _row(document)
        except FieldError as error:
            faults.append(f"  {document.id!r:.200}: {error}")
    if faults:
        more = [f"  and {len(faults) - _LISTED:,} more"] if len(faults) > _LISTED else []
        listed = "\n".join([*faults[:_LISTED], *more])
        raise PermanentError(
            PublishingReason.INVALID_DATASET,
            f"the dataset index cannot take these documents:\n{listed}",
        )


def is_storable(text: str) -> bool:
    """Whether every database can keep a text: it is not empty, has no NUL and is Unicode."""
    return bool(text) and "\0" not in text and (text.isascii() or _is_unicode(text))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def utc(time: datetime) -> datetime:
    """A time in UTC; one without a zone is in UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def times_of(document: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """When a document's observation starts and ends, UTC; one stands for the other.

    Raises:
        FieldError: `starttime` or `endtime` is no time in ISO 8601.
    """
    starts, ends = (_time(document, name) for name in ("starttime", "endtime"))
    return starts or ends, ends or starts


def _row(document: WritableDocument) -> Row:
    for name, value in (("id", document.id), ("publication", document.publication)):
        if not is_storable(value):
            raise FieldError(f"its {name} {value!r:.100} is empty, holds NUL or is no Unicode")
    body = document.document
    starts_at, ends_at = times_of(body)
    dataset_type = body.get("dataset_type")
    storable = isinstance(dataset_type, str) and is_storable(dataset_type)
    return Row(
        id=document.id,
        publication=document.publication,
        digest=document.digest,
        dataset_type=dataset_type if storable else None,
        starts_at=starts_at,
        ends_at=ends_at,
        box=_box(body),
        words=words_of(document.id, *_texts(body)),
        text=_json(body),
    )


def _json(document: Mapping[str, Any]) -> str:
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise FieldError(f"it is no JSON: {error}") from None


def _time(document: Mapping[str, Any], name: str) -> datetime | None:
    value = document.get(name)
    if value is None:
        return None
    try:
        return utc(datetime.fromisoformat(value))
    except (TypeError, ValueError, OverflowError):
        raise FieldError(f"its {name} {value!r:.100} is no time in ISO 8601") from None


def _box(document: Mapping[str, Any]) -> Box | None:
    location = document.get("location")
    if location is None:
        return None
    if not isinstance(location, Mapping):
        raise FieldError(f"its location {location!r:.100} is no GeoJSON geometry")
    try:
        return box_of(location)
    except FieldError as error:
        raise FieldError(f"its location is no GeoJSON geometry: {error}") from None


def _texts(document: Mapping[str, Any]) -> Iterator[str]:
    for name in _TEXT_FIELDS:
        if isinstance(value := document.get(name), str):
            yield value
    # In the order of the document, so that the same words are kept of one that has too many.
    waiting: list[Any] = [document.get("metadata")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
