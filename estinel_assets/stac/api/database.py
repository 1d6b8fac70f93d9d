"""The SQLite file behind the embedded STAC API: tables, indexes, connections.

What a search has to look at (place, time, names) stands apart from the documents, so that going
through twenty thousand rows reads a few megabytes. The file is in WAL mode: readers never wait
for the writer, and each transaction sees one state of the file.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Self

from estinel_assets.errors import BadInputError

SCHEMA_VERSION = 1

# A footprint has at most two boxes, one on either side of ±180°: those of the item with key k
# have the ids 2k and 2k + 1, so that no further table has to say whose a box is.
_SCHEMA = """
CREATE TABLE collections (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE items (
    key INTEGER PRIMARY KEY,
    collection TEXT NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    instant INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    footprint BLOB,
    UNIQUE (id, collection)
);
CREATE INDEX items_in_default_order ON items (instant DESC, id, collection);
CREATE INDEX items_of_collection_in_default_order ON items (collection, instant DESC, id);
CREATE INDEX items_of_collection_by_span ON items (collection, starts, ends);
CREATE TABLE documents (
    item INTEGER PRIMARY KEY REFERENCES items (key) ON DELETE CASCADE,
    properties TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE VIRTUAL TABLE boxes USING rtree (id, west, east, south, north);
CREATE TRIGGER item_deleted AFTER DELETE ON items BEGIN
    DELETE FROM boxes WHERE id IN (2 * old.key, 2 * old.key + 1);
END;
"""


class Database:
    """One SQLite file. Safe to use from many threads; a context manager that closes it.

    A connection serves one thread at a time and goes back to a pool afterwards. (Bound to
    threads for good, connections would pile up with the short-lived threads of a web server.)
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 30.0) -> None:
        """Open the file, and make it with its tables where it is absent.

        Args:
            path: the file; missing folders are made.
            busy_timeout_s: longest wait for another writer, of this process or another one.

        Raises:
            BadInputError: the file cannot be opened, is no SQLite database, or holds tables of
                another version.
        """
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()
        self._write_lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()
        except (sqlite3.DatabaseError, OSError) as error:
            self.close()
            raise BadInputError(
                f"{path} cannot be used as the STAC API's SQLite database ({error}): "
                "give a path that can be written and holds such a file or nothing"
            ) from error

    def _prepare(self) -> None:
        with self.writing() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and tables == 0:
                for statement in _statements(_SCHEMA):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise BadInputError(
                    f"{self.path} holds tables of version {version}, this program needs version "
                    f"{SCHEMA_VERSION}: load the items into a new file"
                )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in (
            "journal_mode = WAL",
            # What was answered with success outlives a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "cache_size = -16000",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._idle.put(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file from its first query on."""
        with self._borrowed() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a write transaction: committed at the end, undone by an exception."""
        with self._write_lock, self._borrowed() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close all idle connections; a later use opens new ones."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _statements(script: str) -> Iterator[str]:
    """Split a script, because `executescript` would commit the transaction it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
