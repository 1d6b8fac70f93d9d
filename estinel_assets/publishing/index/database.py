"""What differs between databases, as the index sees it."""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, and_, or_
from sqlalchemy.exc import DBAPIError

from estinel_assets.publishing.index.boxes import Box
from estinel_assets.publishing.index.fields import Row
from estinel_assets.publishing.index.tables import documents


class Database(Protocol):
    """One kind of database."""

    name: str
    """Of this one in messages; without user and password."""

    def engine(self) -> Engine:
        """Connections to it; nothing is asked yet."""
        ...

    def prepare(self, engine: Engine) -> None:
        """Make the tables where they are absent; many processes may do so at once."""
        ...

    def writing(self, connection: Connection) -> Connection:
        """The same connection, whose next transaction will write."""
        ...

    def limit(self, connection: Connection, seconds: float) -> None:
        """Let each statement of this transaction take no longer."""
        ...

    def lock(self, connection: Connection, ids: Sequence[str]) -> dict[str, str]:
        """Digests of what stands, by id; it changes for nobody else before the transaction ends."""
        ...

    def remove(self, connection: Connection, ids: Sequence[str]) -> None:
        """Delete documents that are locked; absent ones are no error."""
        ...

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add documents; that one stands already raises IntegrityError."""
        ...

    def among(self, ids: Sequence[str]) -> ColumnElement[bool]:
        """Whether a document has one of the ids."""
        ...

    def overlaps(self, box: Box) -> ColumnElement[bool]:
        """Whether a document's box and this one have a point in common."""
        ...

    def holds(self, words: Sequence[str]) -> ColumnElement[bool]:
        """Whether a document has all of the words."""
        ...

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the same may succeed another time."""
        ...


def columns_of(row: Row) -> dict[str, Any]:
    """The columns that both databases have."""
    box = row.box
    return {
        "id": row.id,
        "publication": row.publication,
        "digest": row.digest,
        "dataset_type": row.dataset_type,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "west": None if box is None else box.west,
        "south": None if box is None else box.south,
        "east": None if box is None else box.east,
        "north": None if box is None else box.north,
        "document": row.text,
    }


def touches(box: Box) -> ColumnElement[bool]:
    """Whether a document's box and this one have a point in common, by the plain columns."""
    columns = documents.c
    return and_(
        columns.south <= box.north,
        columns.north >= box.south,
        or_(*(and_(columns.west <= east, columns.east >= west) for west, east in box.windows())),
    )
