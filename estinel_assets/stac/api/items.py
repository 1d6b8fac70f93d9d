"""The repository: collections and items in the database, and the search over them.

It knows nothing of HTTP. Whatever writes (bulk loading, transactions) writes through it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from sqlite3 import Connection
from typing import Any

import shapely

from estinel_assets.errors import EstinelError
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.documents import JsonObject, document
from estinel_assets.stac.api.rows import (
    checked_rows,
    shortened,
    write_collection,
    write_row,
)
from estinel_assets.stac.api.search import (
    Cursor,
    Search,
    Statement,
    candidate_statement,
    count_statement,
    page_statement,
)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of a search."""

    texts: tuple[str, ...]
    """Kept texts of the items, in order (`documents.published` makes them fit to give out)."""
    matched: int
    """Items that the whole search finds, at the moment of this page."""
    token: str | None
    """Leads to the next page; None on the last one."""


class AlreadyStoredError(EstinelError):
    """What was to be created stands already; nothing was stored."""


class NotStoredError(EstinelError):
    """There is no such collection or item."""


class ItemRepository:
    """Collections and items in one database. Safe to use from many threads.

    Every method is one transaction: all or nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_collection(self, collection: Mapping[str, Any]) -> str:
        """Store a new collection.

        Returns:
            Its kept text.

        Raises:
            BadInputError: it cannot be used.
            AlreadyStoredError: one of this id stands.
        """
        with self._database.writing() as connection:
            if _collection_text(connection, collection["id"]) is not None:
                raise AlreadyStoredError(f"There is a collection {collection['id']!r} already")
            return write_collection(connection, collection)

    def change_collection(
        self, collection_id: str, change: Callable[[JsonObject], Mapping[str, Any]]
    ) -> str:
        """Store another version of a collection; its items stay.

        Args:
            collection_id: of the collection, and of its new version.
            change: makes the new version from the one that stands. While it runs, nothing else
                is written.

        Returns:
            The kept text.

        Raises:
            BadInputError: the new version cannot be used.
            NotStoredError: there is no such collection.
        """
        with self._database.writing() as connection:
            text = _collection_text(connection, collection_id)
            if text is None:
                raise no_collection(collection_id)
            return write_collection(connection, change(document(text)))

    def create_items(self, collection_id: str, items: Iterable[Mapping[str, Any]]) -> list[str]:
        """Store new items of one collection.

        Args:
            collection_id: the collection, which every item names.
            items: STAC items.

        Returns:
            Their kept texts, in order.

        Raises:
            BadInputError: some cannot be used.
            NotStoredError: there is no such collection.
            AlreadyStoredError: some stand already, or come twice.
        """
        return self._write_items(collection_id, items, replace=False)

    def put_items(self, collection_id: str, items: Iterable[Mapping[str, Any]]) -> list[str]:
        """Store items of one collection, each in place of an older one of the same id.

        Args:
            collection_id: the collection, which every item names.
            items: STAC items.

        Returns:
            Their kept texts, in order.

        Raises:
            BadInputError: some cannot be used.
            NotStoredError: there is no such collection.
        """
        return self._write_items(collection_id, items, replace=True)

    def _write_items(
        self, collection_id: str, items: Iterable[Mapping[str, Any]], *, replace: bool
    ) -> list[str]:
        texts: list[str] = []
        conflicts: list[str] = []
        with self._database.writing() as connection:
            if _collection_text(connection, collection_id) is None:
                raise no_collection(collection_id)
            for rows in checked_rows(connection, items):
                for row in rows:
                    stored = write_row(connection, row, replace=replace)
                    (texts if stored else conflicts).append(row.body if stored else repr(row.id))
            if conflicts:
                raise AlreadyStoredError(
                    f"Collection {collection_id!r} has these items already, nothing was stored: "
                    + shortened(conflicts)
                )
        return texts

    def change_item(
        self,
        collection_id: str,
        item_id: str,
        change: Callable[[JsonObject], Mapping[str, Any]],
    ) -> str:
        """Store another version of an item.

        Args:
            collection_id: of the item, and of its new version.
            item_id: of the item, and of its new version.
            change: makes the new version from the one that stands. While it runs, nothing else
                is written.

        Returns:
            The kept text.

        Raises:
            BadInputError: the new version cannot be used.
            NotStoredError: there is no such item.
        """
        with self._database.writing() as connection:
            text = _item_text(connection, collection_id, item_id)
            if text is None:
                raise no_item(collection_id, item_id)
            ((row,),) = checked_rows(connection, [change(document(text))])
            write_row(connection, row, replace=True)
            return row.body

    def upsert_items(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Store items of any collections, each in place of an older one of the same id.

        Returns:
            How many.

        Raises:
            BadInputError: some cannot be used, or their collection is not known; nothing is
                stored.
        """
        with self._database.writing() as connection:
            return _write_all(connection, items)

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
            return _collection_text(connection, collection_id)

    def item_text(self, collection_id: str, item_id: str) -> str | None:
        """Kept text of an item."""
        with self._database.reading() as connection:
            return _item_text(connection, collection_id, item_id)

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
        for collection in collections:
            write_collection(connection, collection)
        return _write_all(connection, items)


def no_collection(collection_id: str) -> NotStoredError:
    """The error that says so."""
    return NotStoredError(f"There is no collection {collection_id!r}")


def no_item(collection_id: str, item_id: str) -> NotStoredError:
    """The error that says so."""
    return NotStoredError(f"There is no item {item_id!r} in collection {collection_id!r}")


def _write_all(connection: Connection, items: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for rows in checked_rows(connection, items):
        count += sum(write_row(connection, row, replace=True) for row in rows)
    return count


def _collection_text(connection: Connection, collection_id: str) -> str | None:
    sql = "SELECT body FROM collections WHERE id = ?"
    row = connection.execute(sql, (collection_id,)).fetchone()
    return None if row is None else row[0]


def _item_text(connection: Connection, collection_id: str, item_id: str) -> str | None:
    sql = (
        "SELECT body FROM documents JOIN items ON items.key = documents.item "
        "WHERE items.collection = ? AND items.id = ?"
    )
    row = connection.execute(sql, (collection_id, item_id)).fetchone()
    return None if row is None else row[0]


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
