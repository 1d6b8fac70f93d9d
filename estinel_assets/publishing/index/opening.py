"""Opening a dataset index by its URL."""

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from estinel_assets.errors import BadInputError
from estinel_assets.publishing.index.database import Database
from estinel_assets.publishing.index.postgres import PostgresDatabase
from estinel_assets.publishing.index.sql_index import SqlDocumentIndex
from estinel_assets.publishing.index.sqlite import SqliteDatabase
from estinel_assets.publishing.ports import DocumentIndex
from estinel_assets.transport.policy import RetryPolicy

INDEX_FILE = "dataset-index.sqlite"
"""Name of the SQLite file beside a local store."""

_FORMS = "write postgresql+psycopg://user@host/database or sqlite:////folder/file.sqlite"
_SETTING = "publishing.index_url"
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


def open_index(
    url: str | None, *, default_folder: Path | None, policy: RetryPolicy
) -> DocumentIndex:
    """Open the dataset index.

    Nothing is asked of the database until the index is used; its tables are made then. A PostgreSQL
    URL may leave out user, password and host: libpq takes them from PGUSER, PGPASSWORD, PGPASSFILE
    and the like each time it connects, so that they may change meanwhile.

    Args:
        url: SQLAlchemy URL of an SQLite file or a PostgreSQL database.
        default_folder: folder of the SQLite file where no URL is given; None where the store is
            not on this machine.
        policy: how often and how long each operation is tried.

    Raises:
        BadInputError: the URL cannot be used, or there is neither a URL nor a folder.
        MissingDependencyError: the driver for PostgreSQL is not installed.
    """
    return SqlDocumentIndex(_database(url, default_folder, policy), policy=policy)


def _database(url: str | None, default_folder: Path | None, policy: RetryPolicy) -> Database:

    if url is None:
        if default_folder is None:
            raise BadInputError(
                f"there is no dataset index: the store is not a local folder, so set {_SETTING} "
                f"(ESTINEL_PUBLISHING_INDEX_URL); {_FORMS}"
            )
        path = default_folder.absolute() / INDEX_FILE
        return SqliteDatabase(path, wait_s=policy.deadline_s)
    parsed = _parse(url)
    if parsed.drivername in _POSTGRES:
        return PostgresDatabase(parsed.set(drivername="postgresql+psycopg"))
    if parsed.drivername not in _SQLITE:
        raise BadInputError(
            f"{_SETTING} names the database or driver {parsed.drivername!r:.50}, which cannot be "
            f"used; {_FORMS}"
        )
    if parsed.query or parsed.host or not parsed.database or parsed.database == ":memory:":
        raise BadInputError(
            f"{_SETTING} for SQLite must name a file and nothing else: sqlite:////folder/file.sqlite"
        )
    return SqliteDatabase(Path(parsed.database).absolute(), wait_s=policy.deadline_s)


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # a ValueError for a port that is no number
        # `from None`: it may hold a password, wherever it was mistyped.
        raise BadInputError(f"{_SETTING} is no SQLAlchemy URL; {_FORMS}") from None
