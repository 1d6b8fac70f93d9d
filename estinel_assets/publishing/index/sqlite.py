"""The index in an SQLite file: boxes in an R*Tree, words in FTS5, writers one after the other."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Integer,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
)
from sqlalchemy import MetaData as OtherTables
from sqlalchemy.exc import DBAPIError, OperationalError

from estinel_assets.errors import MissingDependencyError, PermanentError
from estinel_assets.publishing.index.boxes import Box
from estinel_assets.publishing.index.database import columns_of, touches
from estinel_assets.publishing.index.fields import Row
from estinel_assets.publishing.index.tables import VERSION, documents, metadata, versions
from estinel_assets.publishing.reasons import PublishingReason

_WRITES = "estinel_writes"
_LONGEST_WAIT_S = 30.0
_TRANSIENT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_PRIMARY_CODE = 0xFF
_AMONG = "FROM estinel_documents WHERE id IN (SELECT value FROM json_each(:ids))"
_LOCKED = f"SELECT id, digest {_AMONG}"
_REMOVE = (
    f"DELETE FROM estinel_document_boxes WHERE number IN (SELECT number {_AMONG})",  # noqa: S608
    f"DELETE FROM estinel_document_words WHERE rowid IN (SELECT number {_AMONG})",  # noqa: S608
    f"DELETE {_AMONG}",
)

# Virtual tables, which SQLAlchemy cannot make, but can write and read.
_boxes = Table(
    "estinel_document_boxes",
    OtherTables(),
    Column("number", Integer),
    *(Column(name, Double) for name in ("west", "east", "south", "north")),
)
_words = Table(
    "estinel_document_words", OtherTables(), Column("rowid", Integer), Column("words", Text)
)
_VIRTUAL = (
    "CREATE VIRTUAL TABLE estinel_document_boxes USING rtree(number, west, east, south, north)",
    # The words come separated by spaces, and this tokenizer leaves what is not ASCII as it is.
    """CREATE VIRTUAL TABLE estinel_document_words
    USING fts5(words, tokenize = 'ascii', detail = none, columnsize = 0)""",
)


class SqliteDatabase:
    """An SQLite file; see `Database`."""

    def __init__(self, path: Path, *, wait_s: float) -> None:
        self.name = str(path)
        self._path = path
        self._wait_s = min(wait_s, _LONGEST_WAIT_S)

    def engine(self) -> Engine:
        """Connections to it; nothing is asked yet."""
        engine = create_engine(
            URL.create("sqlite+pysqlite", database=str(self._path)),
            connect_args={"timeout": self._wait_s},
            max_overflow=-1,
        )
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
        return engine

    def prepare(self, engine: Engine) -> None:
        """Make the tables where they are absent; many processes may do so at once."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(
                PublishingReason.INDEX_FAILED,
                f"the folder of the dataset index {self.name} cannot be made ({error.strerror}); "
                "check its permissions or set publishing.index_url",
            ) from None
        with engine.connect() as connection:
            stands = _stands(connection)
        if not stands:
            with self.writing(engine.connect()) as connection, connection.begin():
                if not _stands(connection):
                    self._make(connection)
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            # Readers and writers then do not wait for one another. Where others are at work just
            # now, the next one to open it does this.
            if isinstance(raw, sqlite3.Connection):
                with suppress(sqlite3.OperationalError):
                    raw.execute("PRAGMA journal_mode = WAL")

    def writing(self, connection: Connection) -> Connection:
        """The same connection, whose next transaction will write."""
        return connection.execution_options(**{_WRITES: True})

    def limit(self, connection: Connection, seconds: float) -> None:
        """Nothing is far away; only locks are waited for, as long as the connection says."""

    def lock(self, connection: Connection, ids: Sequence[str]) -> dict[str, str]:
        """Digests of what stands, by id; nobody else changes it until the end."""
        # There is one writer at a time.
        found = connection.execute(text(_LOCKED), {"ids": json.dumps(ids)})
        return {row.id: row.digest for row in found}

    def remove(self, connection: Connection, ids: Sequence[str]) -> None:
        """Delete documents that are locked; absent ones are no error."""
        for statement in _REMOVE:
            connection.execute(text(statement), {"ids": json.dumps(ids)})

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add documents; one that stands already raises IntegrityError."""
        last = connection.scalar(select(func.coalesce(func.max(documents.c.number), 0)))
        numbered = list(enumerate(rows, start=int(last or 0) + 1))
        kept: list[dict[str, Any]] = [
            {"number": number, **columns_of(row)} for number, row in numbered
        ]
        boxes = [
            {
                "number": number,
                "west": row.box.west,
                "east": row.box.east,
                "south": row.box.south,
                "north": row.box.north,
            }
            for number, row in numbered
            if row.box is not None
        ]
        words = [{"rowid": number, "words": " ".join(row.words)} for number, row in numbered]
        for table, values in ((documents, kept), (_boxes, boxes), (_words, words)):
            if values:
                connection.execute(insert(table), values)

    def among(self, ids: Sequence[str]) -> ColumnElement[bool]:
        """Whether a document has one of the ids."""
        listed = func.json_each(bindparam("among", json.dumps(ids))).table_valued("value")
        return documents.c.id.in_(select(listed.c.value))

    def overlaps(self, box: Box) -> ColumnElement[bool]:
        """Whether a document's box and this one have a point in common."""
        # The R*Tree keeps 32-bit numbers, rounded outwards: it finds a few too many.
        near = [
            select(_boxes.c.number).where(
                _boxes.c.west <= east,
                _boxes.c.east >= west,
                _boxes.c.south <= box.north,
                _boxes.c.north >= box.south,
            )
            for west, east in box.windows()
        ]
        return documents.c.number.in_(near[0].union_all(*near[1:])) & touches(box)

    def holds(self, words: Sequence[str]) -> ColumnElement[bool]:
        """Whether a document has all of the words."""
        wanted = " AND ".join(f'"{word}"' for word in words)
        matching = text("estinel_document_words MATCH :wanted").bindparams(wanted=wanted)
        return documents.c.number.in_(select(_words.c.rowid).where(matching))

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the same may succeed another time."""
        code = getattr(error.orig, "sqlite_errorcode", None)
        return code is not None and code & _PRIMARY_CODE in _TRANSIENT

    def _make(self, connection: Connection) -> None:
        metadata.create_all(connection)
        try:
            for statement in _VIRTUAL:
                connection.exec_driver_sql(statement)
        except OperationalError as error:
            if "no such module" not in str(error.orig):
                raise
            raise MissingDependencyError(
                f"Python's SQLite {sqlite3.sqlite_version} is built without FTS5 or R*Tree, which "
                "the dataset index needs; use another Python, or PostgreSQL by "
                "publishing.index_url"
            ) from None
        connection.execute(insert(versions).values(version=VERSION))


def _stands(connection: Connection) -> bool:
    return connection.dialect.has_table(connection, versions.name)


def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    # A writer that began as a reader could be refused what it has read.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
