"""Collections and items as rows of the tables: checked, and written.

Every function here works in a write transaction that its caller opened, and leaves it to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from sqlite3 import Connection
from typing import Any, Final

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.documents import collection_text, item_text, plain_text
from estinel_assets.stac.api.geometry import Box, boxes, footprint
from estinel_assets.stac.api.instants import microseconds
from estinel_assets.stac.api.search import SqlValue

_CHUNK: Final = 1000
_SHOWN_PROBLEMS: Final = 20

_STORE_ITEM: Final = """
INSERT INTO items (collection, id, instant, starts, ends, footprint) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id, collection) DO {}
RETURNING key
"""
_REPLACE_ITEM: Final = """
UPDATE SET instant = excluded.instant, starts = excluded.starts, ends = excluded.ends,
    footprint = excluded.footprint
"""
_STORE_DOCUMENT: Final = """
INSERT INTO documents (item, properties, body) VALUES (?, ?, ?)
ON CONFLICT (item) DO UPDATE SET properties = excluded.properties, body = excluded.body
"""
_STORE_COLLECTION: Final = """
INSERT INTO collections (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One item as the tables keep it."""

    collection: str
    id: str
    instant: int
    starts: int
    ends: int
    footprint: bytes | None
    boxes: tuple[Box, ...]
    properties: str
    body: str


def write_collection(connection: Connection, collection: Mapping[str, Any]) -> str:
    """Store a collection in place of an older one of the same id.

    Args:
        connection: in a write transaction.
        collection: a STAC collection.

    Returns:
        Its kept text.

    Raises:
        BadInputError: it cannot be used.
    """
    name = collection.get("id")
    try:
        _check_name(name)
        text = collection_text(collection)
    except ValueError as error:
        raise BadInputError(f"collection {name!r} cannot be stored: {error}") from error
    connection.execute(_STORE_COLLECTION, (name, text))
    return text


def checked_rows(connection: Connection, items: Iterable[Mapping[str, Any]]) -> Iterator[list[Row]]:
    """Check items, and make rows of them, a thousand at a time.

    Raises:
        BadInputError: some cannot be used, or their collection is not known; the message lists
            those among the same thousand.
    """
    known = {name for (name,) in connection.execute("SELECT id FROM collections")}
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        yield list(_usable_rows(chunk, known))


def write_row(connection: Connection, row: Row, *, replace: bool) -> bool:
    """Store an item.

    Args:
        connection: in a write transaction.
        row: the item.
        replace: store it also where one of this id stands in its collection.

    Returns:
        Whether it was stored.
    """
    values: tuple[SqlValue, ...] = (
        row.collection,
        row.id,
        row.instant,
        row.starts,
        row.ends,
        row.footprint,
    )
    then = _REPLACE_ITEM if replace else "NOTHING"
    keys = connection.execute(_STORE_ITEM.format(then), values).fetchall()
    if not keys:
        return False
    ((key,),) = keys
    connection.execute(_STORE_DOCUMENT, (key, row.properties, row.body))
    connection.execute("DELETE FROM boxes WHERE id IN (?, ?)", (2 * key, 2 * key + 1))
    for number, (west, south, east, north) in enumerate(row.boxes):
        connection.execute(
            "INSERT INTO boxes (id, west, east, south, north) VALUES (?, ?, ?, ?, ?)",
            (2 * key + number, west, east, south, north),
        )
    return True


def shortened(problems: Sequence[str]) -> str:
    """The first of many problems in one line, and how many more there are."""
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    hidden = len(problems) - _SHOWN_PROBLEMS
    return shown + (f"; and {hidden} more" if hidden > 0 else "")


def _usable_rows(items: Iterable[Mapping[str, Any]], known: set[str]) -> Iterator[Row]:
    problems: list[str] = []
    for item in items:
        try:
            yield _row(item, known)
        except ValueError as error:
            problems.append(f"item {item.get('id')!r}: {error}")
    if problems:
        raise BadInputError(f"items cannot be stored: {shortened(problems)}")


def _row(item: Mapping[str, Any], known: set[str]) -> Row:
    _check_name(item.get("id"))
    collection = item.get("collection")
    if collection not in known:
        raise ValueError(f"its collection {collection!r} is not known: store that first")
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        raise ValueError("it has no properties")  # noqa: TRY004
    _check_bbox(item.get("bbox"))
    instant, starts, ends = _times(properties)
    place = footprint(item.get("geometry"), item.get("bbox"))
    return Row(
        collection=str(collection),
        id=str(item["id"]),
        instant=instant,
        starts=starts,
        ends=ends,
        footprint=None if place is None else place.wkb,
        boxes=() if place is None else tuple(boxes(place)),
        properties=plain_text(properties),
        body=item_text(item),
    )


def _times(properties: Mapping[str, Any]) -> tuple[int, int, int]:
    """Sort instant, first and last instant, in microseconds since 1970."""
    times: dict[str, int] = {}
    for name in ("datetime", "start_datetime", "end_datetime"):
        value = properties.get(name)
        if value is None:
            continue
        try:
            times[name] = microseconds(datetime.fromisoformat(value.upper()))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"its {name} {value!r} is no ISO 8601 date and time") from error
    starts = times.get("start_datetime", times.get("datetime"))
    ends = times.get("end_datetime", times.get("datetime"))
    if starts is None or ends is None:
        raise ValueError("it has neither a datetime nor a start_datetime and an end_datetime")
    if starts > ends:
        raise ValueError("its end_datetime is before its start_datetime")
    return times.get("datetime", starts), starts, ends


def _check_bbox(bbox: object) -> None:
    if bbox is None:
        return
    numbers = list(bbox) if isinstance(bbox, Sequence) else []
    if len(numbers) not in (4, 6) or not all(isinstance(number, int | float) for number in numbers):
        raise ValueError(f"its bbox {bbox!r} must be 4 or 6 numbers")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError("its id must be a text")
    if "/" in name or not name.isprintable():
        raise ValueError("its id must not hold a slash or a control character, as it is in a URL")
