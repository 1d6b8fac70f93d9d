"""The tables that both databases share.

Their names begin alike, so that they can stand in a database with others.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import UserDefinedType

VERSION = 1
"""Of the tables; more with each change that an older release cannot read."""


class Verbatim(UserDefinedType[str]):
    """A type of PostgreSQL that is written as its text."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        """Its name."""
        return self.name


metadata = MetaData()

versions = Table(
    "estinel_index",
    metadata,
    Column("version", Integer, nullable=False),
)
"""One row: `VERSION` of the release that made the tables."""

# `C` is the order of code points, which is Python's and SQLite's.
_ID = Text().with_variant(Text(collation="C"), "postgresql")

documents = Table(
    "estinel_documents",
    metadata,
    # SQLite's own key: the tables of boxes and words refer to it.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", _ID, nullable=False, unique=True),
    Column("publication", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("dataset_type", Text),
    Column("starts_at", DateTime(timezone=True)),
    Column("ends_at", DateTime(timezone=True)),
    # Degrees; the east is beyond 180 where the box crosses that meridian.
    Column("west", Double),
    Column("south", Double),
    Column("east", Double),
    Column("north", Double),
    # Not jsonb, which writes 1e16 as an integer and takes no NUL.
    Column("document", Text().with_variant(Verbatim("JSON"), "postgresql"), nullable=False),
    Index("estinel_documents_publication", "publication"),
    Index("estinel_documents_type", "dataset_type"),
    Index("estinel_documents_starts_at", "starts_at"),
    Index("estinel_documents_ends_at", "ends_at"),
)
