"""The dataset index on SQLAlchemy."""

import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, cast, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, UnitError
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.index.database import Database
from estinel_assets.publishing.index.errors import DocumentsChangedError, named
from estinel_assets.publishing.index.fields import check_rows, is_storable, rows_of
from estinel_assets.publishing.index.queries import PAGE, Search, read_query
from estinel_assets.publishing.index.tables import VERSION, documents, versions
from estinel_assets.publishing.ports import (
    Change,
    DocumentQuery,
    IndexedDocument,
    WritableDocument,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.transport.policy import (
    AnswerTimeoutError,
    ConnectionLostError,
    RetryPolicy,
    TryError,
)

T = TypeVar("T")

_MESSAGE_LENGTH = 300
_ROWS_AT_ONCE = 500
"""Documents in memory at once while they are written."""
_PROBE = IndexedDocument(
    id="estinel:probe",
    publication="estinel:probe",
    digest="probe",
    document={
        "id": "estinel:probe",
        "location": {"type": "Point", "coordinates": [0.0, 0.0]},
        "starttime": "2000-01-01T00:00:00Z",
    },
)


class _RacedError(TryError):
    """Another transaction added one of the documents after we had looked."""


class SqlDocumentIndex:
    """A dataset index in a database; see the port `DocumentIndex`."""

    def __init__(self, database: Database, *, policy: RetryPolicy) -> None:
        self._database = database
        self._policy = policy
        self._engine = database.engine()
        self._ready = False
        self._making_ready = threading.Lock()

    def get(self, ids: Collection[str]) -> dict[str, IndexedDocument]:
        """The documents of these ids that there are, by id; see the port."""
        wanted = sorted(set(filter(is_storable, ids)))
        if not wanted:
            return {}
        query = _selected().where(self._database.among(wanted))
        found = self._read(f"reading {len(wanted):,} documents", query)
        return {document.id: document for document in found}

    def apply(self, changes: Iterable[Change]) -> None:
        """Write and delete in one transaction: all or nothing; see the port.

        Args:
            changes: in the order of their ids, each once.

        Raises:
            DocumentsChangedError: something else stands; nothing was changed.
            PermanentError: `invalid_dataset` for documents that the index cannot take;
                `index_failed` where the database refuses.
            RetryableError: (`index_failed`) the database failed until the end. Where it says so,
                the answer to the last commit was lost, and all may stand or nothing.
            ValueError: an id is touched twice, or out of order.
        """
        count = _checked(changes)
        if not count:
            return
        # The answer to a commit can be lost; then the digests say whether it stands.
        unanswered = False

        def once(remaining_s: float) -> None:
            nonlocal unanswered
            with self._connection(remaining_s, writes=True) as connection:
                changed, done = self._compared(connection, changes)
                if unanswered and done:
                    return
                if changed and unanswered:
                    raise _unclear(changed)
                if changed:
                    raise DocumentsChangedError(changed)
                try:
                    for batch in batches(changes, _ROWS_AT_ONCE):
                        stood = [one.id for one in batch if one.expected is not None]
                        if stood:
                            self._database.remove(connection, stood)
                        written = [one.document for one in batch if one.document is not None]
                        self._database.insert(connection, rows_of(written))
                except IntegrityError:
                    raise _RacedError("another writer added one of the documents") from None
                unanswered = True
                connection.commit()
                unanswered = False

        try:
            self._run(f"writing {count:,} documents", once)
        except RetryableError as error:
            if not unanswered:
                raise
            raise RetryableError(
                error.reason, f"{error}; the answer to a commit was lost, so it may stand, or not"
            ) from None

    def _compared(
        self, connection: Connection, changes: Iterable[Change]
    ) -> tuple[list[str], bool]:
        """Ids where something else stands than is expected, and whether all is done already.

        What stands changes for nobody else before the transaction ends.
        """
        changed: list[str] = []
        done = True
        for batch in batches(changes, _ROWS_AT_ONCE):
            ids = [one.id for one in batch if is_storable(one.id)]
            standing = self._database.lock(connection, ids)
            for one in batch:
                stands = standing.get(one.id)
                if stands != one.expected:
                    changed.append(one.id)
                done = done and stands == (None if one.document is None else one.document.digest)
        return changed, done

    def search(
        self, query: DocumentQuery, *, limit: int | None = None
    ) -> Iterator[IndexedDocument]:
        """Documents by id, in the order of their ids, page by page; see the port.

        Each page shows what stands when it is read.

        Args:
            query: what to look for; a text without a single word asks for nothing.
            limit: at most so many.

        Raises:
            BadInputError: the query's box or times cannot be used.
        """
        search = read_query(query)
        if search is None:
            return iter(())
        return islice(self._found(search), limit if limit is None else max(0, limit))

    def probe(self) -> None:
        """Make sure that it can be read and written, without leaving anything behind."""
        rows = rows_of([_PROBE])

        def once(remaining_s: float) -> None:
            with self._connection(remaining_s, writes=True) as connection:
                self._database.remove(
                    connection, list(self._database.lock(connection, [_PROBE.id]))
                )
                try:
                    self._database.insert(connection, rows)
                except IntegrityError:
                    raise _RacedError("another worker probes it at this moment") from None
                connection.execute(_selected().where(documents.c.id == _PROBE.id)).one()
                connection.rollback()

        self._run("probing", once)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _found(self, search: Search) -> Iterator[IndexedDocument]:
        for ids in search.pages_of_ids():
            conditions = list(self._conditions(search, ids))
            after: list[ColumnElement[bool]] = []
            while True:
                query = _selected().where(*conditions, *after).order_by(documents.c.id).limit(PAGE)
                page = self._read("searching", query)
                yield from page
                if len(page) < PAGE:
                    break
                after = [documents.c.id > page[-1].id]

    def _conditions(
        self, search: Search, ids: tuple[str, ...] | None
    ) -> Iterator[ColumnElement[bool]]:
        columns = documents.c
        if ids is not None:
            yield self._database.among(ids)
        if search.publication is not None:
            yield columns.publication == search.publication
        if search.dataset_type is not None:
            yield columns.dataset_type == search.dataset_type
        if search.starts is not None:
            yield columns.ends_at >= search.starts
        if search.ends is not None:
            yield columns.starts_at <= search.ends
        if search.box is not None:
            yield self._database.overlaps(search.box)
        if search.words:
            yield self._database.holds(search.words)

    def _read(self, what: str, query: "Select[str, str, str, str]") -> list[IndexedDocument]:
        def once(remaining_s: float) -> "Sequence[Row[str, str, str, str]]":
            with self._connection(remaining_s) as connection:
                return connection.execute(query).all()

        return [
            IndexedDocument(name, publication, digest, json.loads(text))
            for name, publication, digest, text in self._run(what, once)
        ]

    def _run(self, what: str, once: Callable[[float], T]) -> T:
        named_so = f"{what} in the dataset index {self._database.name}"
        try:
            return self._policy.run(once, what=named_so)
        except UnitError as error:
            if error.reason not in set(SourceFault):
                raise
            raise RetryableError(
                PublishingReason.INDEX_FAILED,
                f"{error}; see whether the database runs and takes our user and password",
            ) from None

    @contextmanager
    def _connection(self, remaining_s: float, *, writes: bool = False) -> Iterator[Connection]:
        """A connection in a transaction, which is undone unless it is committed."""
        try:
            self._make_ready()
            with self._engine.connect() as connection:
                if writes:
                    self._database.writing(connection)
                self._database.limit(connection, remaining_s)
                yield connection
        except PoolTimeoutError:
            raise AnswerTimeoutError("no connection became free") from None
        except DBAPIError as error:
            # `from None`: SQLAlchemy's own exception shows the documents.
            said = _said(error)
            if self._database.is_transient(error):
                raise ConnectionLostError(said) from None
            raise PermanentError(
                PublishingReason.INDEX_FAILED,
                f"the dataset index {self._database.name} refused: {said}",
            ) from None

    def _make_ready(self) -> None:
        if self._ready:
            return
        with self._making_ready:
            if self._ready:
                return
            self._database.prepare(self._engine)
            with self._engine.connect() as connection:
                version = connection.scalar(select(versions.c.version))
            if version != VERSION:
                raise PermanentError(
                    PublishingReason.INDEX_FAILED,
                    f"the dataset index {self._database.name} has tables of version {version}, and "
                    f"this release knows version {VERSION}: install the release that made them, "
                    "or set publishing.index_url to another index",
                )
            self._ready = True


def _selected() -> "Select[str, str, str, str]":
    columns = documents.c
    return select(columns.id, columns.publication, columns.digest, cast(columns.document, Text))


def _checked(changes: Iterable[Change]) -> int:
    """How many changes there are, none of which is bound to fail.

    Raises:
        PermanentError: see `check_rows`.
        ValueError: an id is touched twice, or out of order.
    """
    count, last = 0, ""

    def written() -> Iterator[WritableDocument]:
        nonlocal count, last
        for one in changes:
            if count and one.id <= last:
                how = "twice" if one.id == last else "out of order"
                raise ValueError(f"document {one.id!r} is touched {how} in one transaction")
            count, last = count + 1, one.id
            if one.document is not None:
                yield one.document

    check_rows(written())
    return count


def _unclear(changed: Sequence[str]) -> RetryableError:
    return RetryableError(
        PublishingReason.INDEX_FAILED,
        "the answer to a commit was lost, and afterwards other documents stood than before or "
        f"after it: {named(changed)}; see who publishes the same ids, then publish again",
    )


def _said(error: DBAPIError) -> str:
    """What the database said, in one line without the values of a row."""
    diagnosis = getattr(error.orig, "diag", None)
    said = getattr(diagnosis, "message_primary", None) or str(error.orig)
    line = " ".join(said.split())
    return line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + "…"
