"""The index in PostgreSQL: boxes under GiST, words under GIN, rows locked while compared."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Index,
    MetaData,
    Text,
    any_,
    bindparam,
    cast,
    create_engine,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from estinel_assets.errors import MissingDependencyError
from estinel_assets.publishing.index.boxes import Box
from estinel_assets.publishing.index.database import columns_of, touches
from estinel_assets.publishing.index.fields import Row
from estinel_assets.publishing.index.tables import VERSION, documents, metadata, versions

_MAKING = 0x6573_7469_6E65_6C01
"""Key of the advisory lock that the maker of the tables holds."""
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57"})
"""Connection, rollback (deadlock, serialisation), resources, an operator or a timeout."""
_TRANSIENT = frozenset({"25P03", "55P03"})
"""The transaction was idle for too long; a lock was not to be had in time."""
_CONNECT_S = 10
_SILENCE_MS = 30_000
"""After which a connection on which nothing is acknowledged counts as broken."""

_tables = MetaData()
for _table in metadata.sorted_tables:
    _table.to_metadata(_tables)
_documents = _tables.tables[documents.name]
_documents.append_column(Column("words", TSVECTOR, nullable=False))
Index("estinel_documents_words", _documents.c.words, postgresql_using="gin")


def _box(west: Any, south: Any, east: Any, north: Any) -> ColumnElement[Any]:
    return func.box(func.point(west, south), func.point(east, north))


_area = _box(*(_documents.c[name] for name in ("west", "south", "east", "north")))
Index("estinel_documents_area", _area, postgresql_using="gist")


class PostgresDatabase:
    """A PostgreSQL database; see `Database`."""

    def __init__(self, url: URL) -> None:
        self.name = str(URL.create("postgresql", None, None, url.host, url.port, url.database))
        self._url = url

    def engine(self) -> Engine:
        """Connections to it; nothing is asked yet."""
        defaults = {
            "connect_timeout": _CONNECT_S,
            "tcp_user_timeout": _SILENCE_MS,
            "application_name": "estinel",
        }
        try:
            return create_engine(
                self._url,
                connect_args={
                    name: value for name, value in defaults.items() if name not in self._url.query
                },
                # The next connection is made with the password of that time.
                pool_pre_ping=True,
                max_overflow=-1,
            )
        except ImportError as error:
            raise MissingDependencyError(
                f"a dataset index in PostgreSQL needs psycopg, which cannot be used ({error.msg}): "
                "install the extra `postgres`, as in `pip install 'estinel-assets[postgres]'`"
            ) from None

    def prepare(self, engine: Engine) -> None:
        """Make the tables where they are absent; many processes may do so at once."""
        with engine.connect() as connection:
            if _stands(connection):
                return
        with engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
            if not _stands(connection):
                _tables.create_all(connection)
                connection.execute(insert(versions).values(version=VERSION))

    def writing(self, connection: Connection) -> Connection:
        """The same connection, whose next transaction will write."""
        return connection

    def limit(self, connection: Connection, seconds: float) -> None:
        """Let each statement of this transaction take no longer."""
        milliseconds = str(max(1, round(seconds * 1000)))
        connection.execute(select(func.set_config("statement_timeout", milliseconds, true())))

    def lock(self, connection: Connection, ids: Sequence[str]) -> dict[str, str]:
        """Digests of what stands, by id; nobody else changes it until the end."""
        # In one order, so that two never wait for each other. What is absent cannot be locked:
        # then the unique index lets one of two writers in.
        columns = documents.c
        found = connection.execute(
            select(columns.id, columns.digest)
            .where(self.among(ids))
            .order_by(columns.id)
            .with_for_update()
        )
        return {row.id: row.digest for row in found}

    def remove(self, connection: Connection, ids: Sequence[str]) -> None:
        """Delete documents that are locked; absent ones are no error."""
        connection.execute(delete(documents).where(self.among(ids)))

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add documents; one that stands already raises IntegrityError."""
        if rows:
            values = [{**columns_of(row), "words": _quoted(row.words, " ")} for row in rows]
            connection.execute(insert(_documents), values)

    def among(self, ids: Sequence[str]) -> ColumnElement[bool]:
        """Whether a document has one of the ids."""
        return documents.c.id == any_(bindparam("among", list(ids), ARRAY(Text)))

    def overlaps(self, box: Box) -> ColumnElement[bool]:
        """Whether a document's box and this one have a point in common."""
        # `&&` forgives a millionth of a degree: it finds a few too many.
        columns = documents.c
        area = _box(columns.west, columns.south, columns.east, columns.north)
        near = [
            area.op("&&", is_comparison=True)(
                _box(*(literal(side, Float(53)) for side in (west, box.south, east, box.north)))
            )
            for west, east in box.windows()
        ]
        return or_(*near) & touches(box)

    def holds(self, words: Sequence[str]) -> ColumnElement[bool]:
        """Whether a document has all of the words."""
        column: ColumnElement[str] = literal_column(f"{documents.name}.words", TSVECTOR)
        return column.op("@@", is_comparison=True)(cast(_quoted(words, " & "), TSQUERY))

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the same may succeed another time."""
        if error.connection_invalidated:
            return True
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # nobody answered
            return isinstance(error, OperationalError | InterfaceError)
        return state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT


def _stands(connection: Connection) -> bool:
    return connection.dialect.has_table(connection, versions.name)


def _quoted(words: Sequence[str], between: str) -> str:
    """Words for a tsvector or tsquery: quoted, they are taken as they are."""
    return between.join(f"'{word}'" for word in words)
