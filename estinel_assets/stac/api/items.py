"""The repository: collections and items in the database, and the search over them.

It knows nothing of HTTP. Whatever writes (bulk loading, transactions) writes through it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from sqlite3 import Connection
from typing import Any, Final

import shapely

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.documents import (
    JsonObject,
    collection_text,
    document,
    item_text,
    plain_text,
)
from estinel_assets.stac.api.geometry import Box, boxes, footprint
from estinel_assets.stac.api.parameters import microseconds
from estinel_assets.stac.api.search import (
    Cursor,
    Search,
    SqlValue,
    Statement,
    candidate_statement,
    count_statement,
    page_statement,
)

_CHUNK: Final = 1000
_SHOWN_PROBLEMS: Final = 20

_UPSERT_ITEM = """
INSERT INTO items (collection, id, instant, starts, ends, footprint) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id, collection) DO UPDATE SET instant = excluded.instant, starts = excluded.starts,
    ends = excluded.ends, footprint = excluded.footprint
RETURNING key
"""
_UPSERT_DOCUMENT = """
INSERT INTO documents (item, properties, body) VALUES (?, ?, ?)
ON CONFLICT (item) DO UPDATE SET properties = excluded.properties, body = excluded.body
"""
_UPSERT_COLLECTION = """
INSERT INTO collections (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body
"""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of a search."""

    texts: tuple[str, ...]
    """Kept texts of the items, in order (`documents.published` makes them fit to give out)."""
    matched: int
    """Items that the whole search finds, at the moment of this page."""
    token: str | None
    """Leads to the next page; None on the last one."""


@dataclass(frozen=True, slots=True)
class _Row:
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


class ItemRepository:
    """Collections and items in one database. Safe to use from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def upsert_items(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Store items, each in place of an older one of the same id and collection.

        Returns:
            How many.

        Raises:
            BadInputError: some cannot be used, or their collection is not known; nothing is
                stored.
        """
        with self._database.writing() as connection:
            return _write_items(connection, items)

    def delete_items(self, collection_id: str, item_ids: Iterable[str]) -> int:
        """Delete items; absent ones are no error.

        Returns:
            How many there were.
        """
        with self._database.writing() as connection:
            sql = "DELETE FROM items WHERE collection = ? AND id = ?"
            return sum(
                connection.execute(sql, (collection_id, item_id)).rowcount for item_id in item_ids
            )

    def delete_collection(self, collection_id: str) -> bool:
        """Delete a collection with all its items; say whether there was one."""
        with self._database.writing() as connection:
            deleted = connection.execute("DELETE FROM collections WHERE id = ?", (collection_id,))
            return deleted.rowcount == 1

    def collection_ids(self) -> list[str]:
        """Ids of all collections, sorted."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id FROM collections ORDER BY id").fetchall()
        return [name for (name,) in rows]

    def collection_texts(self) -> list[str]:
        """Kept texts of all collections, by id."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT body FROM collections ORDER BY id").fetchall()
        return [body for (body,) in rows]

    def collection_text(self, collection_id: str) -> str | None:
        """Kept text of a collection."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT body FROM collections WHERE id = ?", (collection_id,)
            ).fetchone()
        return None if row is None else row[0]

    def item_text(self, collection_id: str, item_id: str) -> str | None:
        """Kept text of an item."""
        sql = (
            "SELECT body FROM documents JOIN items ON items.key = documents.item "
            "WHERE items.collection = ? AND items.id = ?"
        )
        with self._database.reading() as connection:
            row = connection.execute(sql, (collection_id, item_id)).fetchone()
        return None if row is None else row[0]

    def get(self, collection_id: str, item_id: str) -> JsonObject | None:
        """An item as it was stored, without the links that the API makes itself."""
        text = self.item_text(collection_id, item_id)
        return None if text is None else document(text)

    def get_collection(self, collection_id: str) -> JsonObject | None:
        """A collection as it was stored, without the links that the API makes itself."""
        text = self.collection_text(collection_id)
        return None if text is None else document(text)

    def search(self, search: Search) -> SearchPage:
        """One page of a search, and how many items the whole search finds."""
        with self._database.reading() as connection:
            if search.area is None:
                ((matched,),) = _fetch(connection, count_statement(search))
                rows = _fetch(connection, page_statement(search))
            else:
                matched, rows = _search_area(connection, search, search.area)
            page = rows[: search.limit]
            texts = _texts(connection, [row[0] for row in page])
        token = None
        if len(rows) > search.limit:
            token = Cursor(tuple(page[-1][1:])).encode(search.order)
        return SearchPage(texts=texts, matched=matched, token=token)


def load_items(
    database: Database,
    collections: Iterable[Mapping[str, Any]],
    items: Iterable[Mapping[str, Any]],
) -> int:
    """Store collections and many items in one transaction: all or nothing.

    What is stored is what was given: setting `updated` is the caller's business.

    Args:
        database: where to.
        collections: STAC collections, each in place of an older one of the same id.
        items: STAC items, each in place of an older one of the same id and collection. Relative
            addresses of their assets and links are relative to the API's root.

    Returns:
        How many items.

    Raises:
        BadInputError: some cannot be used; the message lists them.
    """
    with database.writing() as connection:
        _write_collections(connection, collections)
        return _write_items(connection, items)


def _search_area(
    connection: Connection, search: Search, area: shapely.Geometry
) -> tuple[int, list[tuple[Any, ...]]]:
    """Matches in all, and rows (key, sort values…) of a page and one more."""
    candidates = _fetch(connection, candidate_statement(search))
    if not candidates:
        return 0, []
    shapely.prepare(area)
    hits = shapely.intersects(area, shapely.from_wkb([row[1] for row in candidates]))
    after = (row for row, hit in zip(candidates, hits, strict=True) if hit and row[2])
    return int(hits.sum()), [(row[0], *row[3:]) for row in islice(after, search.limit + 1)]


def _fetch(connection: Connection, statement: Statement) -> list[tuple[Any, ...]]:
    return connection.execute(statement.sql, statement.values).fetchall()


def _texts(connection: Connection, keys: Sequence[int]) -> tuple[str, ...]:
    sql = "SELECT item, body FROM documents WHERE item IN (SELECT value FROM json_each(?))"
    bodies = dict(connection.execute(sql, (json.dumps(keys),)).fetchall())
    return tuple(bodies[key] for key in keys)


def _write_collections(connection: Connection, collections: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for collection in collections:
        name = collection.get("id")
        try:
            _check_name(name)
            connection.execute(_UPSERT_COLLECTION, (name, collection_text(collection)))
        except ValueError as error:
            raise BadInputError(f"collection {name!r} cannot be stored: {error}") from error
        count += 1
    return count


def _write_items(connection: Connection, items: Iterable[Mapping[str, Any]]) -> int:
    known = {name for (name,) in connection.execute("SELECT id FROM collections")}
    count = 0
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        rows = list(_checked_rows(chunk, known))
        for row in rows:
            _write_row(connection, row)
        count += len(rows)
    return count


def _write_row(connection: Connection, row: _Row) -> None:
    values: tuple[SqlValue, ...] = (
        row.collection,
        row.id,
        row.instant,
        row.starts,
        row.ends,
        row.footprint,
    )
    ((key,),) = connection.execute(_UPSERT_ITEM, values).fetchall()
    connection.execute(_UPSERT_DOCUMENT, (key, row.properties, row.body))
    connection.execute("DELETE FROM boxes WHERE id IN (?, ?)", (2 * key, 2 * key + 1))
    for number, (west, south, east, north) in enumerate(row.boxes):
        connection.execute(
            "INSERT INTO boxes (id, west, east, south, north) VALUES (?, ?, ?, ?, ?)",
            (2 * key + number, west, east, south, north),
        )


def _checked_rows(items: Iterable[Mapping[str, Any]], known: set[str]) -> Iterator[_Row]:
    problems: list[str] = []
    for item in items:
        try:
            yield _row(item, known)
        except ValueError as error:
            problems.append(f"item {item.get('id')!r}: {error}")
    if problems:
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        hidden = len(problems) - _SHOWN_PROBLEMS
        raise BadInputError(
            f"items cannot be stored: {shown}" + (f"; and {hidden} more" if hidden > 0 else "")
        )


def _row(item: Mapping[str, Any], known: set[str]) -> _Row:
    _check_name(item.get("id"))
    collection = item.get("collection")
    if collection not in known:
        raise ValueError(f"its collection {collection!r} is not known: store that first")
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        raise ValueError("it has no properties")  # noqa: TRY004
    instant, starts, ends = _times(properties)
    place = footprint(item.get("geometry"), item.get("bbox"))
    return _Row(
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


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError("its id must be a text")
    if "/" in name or not name.isprintable():
        raise ValueError("its id must not hold a slash or a control character, as it is in a URL")
