"""The object store port on obstore: local folders, memory and S3.

Where a connection to S3 breaks, obstore itself repeats what reads or overwrites one object. What
else may be done twice is repeated here: deletions, and listings, which go on behind the last object
that came. A conditional write is not: see `ObstoreStore.create`.
"""

import builtins
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from operator import lt
from pathlib import Path
from typing import Protocol, TypeVar

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore, MemoryStore, S3Store

from estinel_assets.errors import (
    AlreadyExistsError,
    BadInputError,
    ChangedError,
    NotFoundError,
    UnansweredError,
)
from estinel_assets.storage.local_writes import LocalWrites
from estinel_assets.storage.paths import (
    RESERVED,
    BucketRoot,
    LocalRoot,
    MemoryRoot,
    check_path,
    check_prefix,
    object_uri,
)
from estinel_assets.storage.port import ObjectMeta, ObjectStore, StoredObject
from estinel_assets.storage.refusals import refusals

T = TypeVar("T")

_LIST_CHUNK = 1000
"""Objects fetched at once while listing: a page of S3."""
_PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 2
_PAUSES_S = (0.1, 0.4, 1.6)
"""Before what got no answer is asked again, in seconds; no more often than obstore may itself."""


class _Writes(Protocol):
    """How one kind of store writes; each returns the new ETag."""

    def put(self, path: str, body: bytes, content_type: str | None, /) -> str: ...

    def put_file(self, path: str, source: Path, content_type: str | None, /) -> str: ...

    def create(self, path: str, body: bytes, content_type: str | None, /) -> str: ...

    def replace(self, path: str, body: bytes, content_type: str | None, etag: str, /) -> str: ...

    def delete(self, path: str, /) -> None: ...


class _NativeWrites:
    """Writes of a store that has conditional puts of its own."""

    def __init__(self, store: MemoryStore | S3Store) -> None:
        self._store = store

    def put(self, path: str, body: bytes, content_type: str | None) -> str:
        return self._put(path, body, content_type, "overwrite")

    def put_file(self, path: str, source: Path, content_type: str | None) -> str:
        attributes: obstore.Attributes = {"Content-Type": content_type} if content_type else {}
        result = obstore.put(
            self._store,
            path,
            source,
            attributes=attributes,
            chunk_size=_PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )
        return str(result["e_tag"])

    def create(self, path: str, body: bytes, content_type: str | None) -> str:
        return self._put(path, body, content_type, "create")

    def replace(self, path: str, body: bytes, content_type: str | None, etag: str) -> str:
        return self._put(path, body, content_type, {"e_tag": etag})

    def delete(self, path: str) -> None:
        obstore.delete(self._store, path)

    def _put(
        self, path: str, body: bytes, content_type: str | None, mode: "obstore.PutMode"
    ) -> str:
        attributes: obstore.Attributes = {"Content-Type": content_type} if content_type else {}
        result = obstore.put(self._store, path, body, attributes=attributes, mode=mode)
        return str(result["e_tag"])


class ObstoreStore:
    """An `ObjectStore` on obstore; open one with `open_store`.

    Safe to use from many threads. obstore runs threads of its own, so a process that has used a
    store must not fork; started afresh (`spawn`, `forkserver`), a process may unpickle a store
    that was opened by its URL.
    """

    def __init__(
        self,
        root: LocalRoot | MemoryRoot | BucketRoot,
        store: LocalStore | MemoryStore | S3Store,
        *,
        reopen: Callable[[], ObjectStore] | None = None,
        bulk: S3Store | None = None,
    ) -> None:
        """Read and write below a root.

        Args:
            root: what addresses are made of.
            store: obstore's store, opened at that root.
            reopen: opens the same store in another process, and can be pickled itself; None where
                that is impossible.
            bulk: the same store, which asks for many deletions in one request.
        """
        self._bulk = bulk
        self._root = root
        self._store = store
        self._writes: _Writes
        if isinstance(store, LocalStore):
            self._writes = LocalWrites(store)
        else:
            self._writes = _NativeWrites(store)
        self._reopen = reopen
        retry = store.retry_config if isinstance(store, S3Store) else None
        self._pauses_s = _PAUSES_S[: retry["max_retries"] if retry else 0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[Callable[[], ObjectStore], tuple[()]]:
        """Pickle as the way to open it again.

        Raises:
            BadInputError: it lives in this process's memory, or holds a session.
        """
        if self._reopen is None:
            raise BadInputError(
                f"the store {self.url} cannot be handed to another process; "
                "open a file:// store or an s3:// store without a session, or open it there"
            )
        return self._reopen, ()

    @property
    def url(self) -> str:
        """See `ObjectStore.url`."""
        return self._root.url

    def uri(self, path: str) -> str:
        """See `ObjectStore.uri`."""
        return object_uri(self._root, check_path(path))

    def get(self, path: str) -> StoredObject:
        """See `ObjectStore.get`."""
        with refusals("read", self.uri(path)):
            result = obstore.get(self._store, path)
            return StoredObject(bytes(result.bytes()), _meta(result.meta))

    def get_range(self, path: str, start: int, length: int) -> bytes:
        """See `ObjectStore.get_range`."""
        if start < 0 or length < 0:
            raise BadInputError(
                f"range of {length} bytes from {start} of {path}: neither may be negative"
            )
        with refusals("read", self.uri(path)):
            if length == 0:
                obstore.head(self._store, path)
                return b""
            try:
                return bytes(obstore.get_range(self._store, path, start=start, length=length))
            except GenericError:
                # No store answers a range that begins at or past the end, each in its own words.
                if obstore.head(self._store, path)["size"] <= start:
                    return b""
                raise

    def head(self, path: str) -> ObjectMeta:
        """See `ObjectStore.head`."""
        with refusals("look up", self.uri(path)):
            return _meta(obstore.head(self._store, path))

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        """See `ObjectStore.put`. A local store does not keep the content type."""
        with refusals("write", self.uri(path)):
            return _written(path, data, self._writes.put(path, data, content_type))

    def put_file(self, path: str, source: Path, *, content_type: str | None = None) -> ObjectMeta:
        """See `ObjectStore.put_file`. S3 gets large files in parts, and shows the whole."""
        size = source.stat().st_size
        with refusals("write", self.uri(path)):
            etag = self._writes.put_file(path, source, content_type)
        return ObjectMeta(path, size, etag, datetime.now(UTC))

    def create(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        """See `ObjectStore.create`.

        Where no answer comes, the object may have been written all the same, and a second try
        would then find it there: nobody could tell whether it is ours or another writer's. So it
        is not repeated, and neither is `replace`. Who writes something that can be told apart,
        as a lease can by its token, reads it again.

        Raises:
            UnansweredError: the connection failed, and it may have been written.
        """
        with refusals("create", self.uri(path)):
            return _written(path, data, self._writes.create(path, data, content_type))

    def replace(
        self, path: str, data: bytes, *, etag: str, content_type: str | None = None
    ) -> ObjectMeta:
        """See `ObjectStore.replace`, and `create` for what is not repeated."""
        uri = self.uri(path)
        try:
            with refusals("replace", uri):
                return _written(path, data, self._writes.replace(path, data, content_type, etag))
        except (ChangedError, AlreadyExistsError):
            # Stores answer alike for a changed and for an absent object, and S3 has an answer of
            # its own (409) for one that is being changed.
            self.head(path)
            raise ChangedError(f"{uri} changed since it was read; read it again") from None

    def delete(self, path: str) -> None:
        """See `ObjectStore.delete`.

        It is repeated where no answer comes, and either of the two may reach the server late: what
        another writer may create anew meanwhile is not to be deleted.
        """
        uri = self.uri(path)

        def delete() -> None:
            with refusals("delete", uri):
                try:
                    self._writes.delete(path)
                except FileNotFoundError as error:
                    if "NoSuchBucket" in str(error):
                        raise

        self._again(delete)

    def delete_many(self, paths: Sequence[str]) -> None:
        """See `ObjectStore.delete_many`. A server without bulk deletion is asked one by one."""
        checked = [check_path(path) for path in paths]
        if self._bulk is None:
            for path in checked:
                self.delete(path)
            return
        try:
            obstore.delete(self._bulk, checked)
        except BaseError:
            # Whatever the reason: deleting again what is gone does no harm.
            with refusals("delete", f"{len(checked)} objects below {self.url}"):
                obstore.delete(self._store, checked)

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """See `ObjectStore.list`."""
        return self._stream(check_prefix(prefix))

    def list_folders(self, prefix: str = "") -> builtins.list[str]:
        """See `ObjectStore.list_folders`."""
        bare = check_prefix(prefix)

        def listed() -> "obstore.ListResult[Sequence[obstore.ObjectMeta]]":
            with refusals("list", self._prefix_uri(bare)):
                return obstore.list_with_delimiter(self._store, bare or None)

        try:
            found = self._again(listed)
        except NotFoundError:
            return []
        names = sorted(path.rsplit("/", 1)[-1] for path in found["common_prefixes"])
        if not isinstance(self._root, LocalRoot):
            return names
        # A local folder may be empty; elsewhere a folder is nothing but its objects.
        below = f"{bare}/" if bare else ""
        return [
            name
            for name in names
            if below + name != RESERVED and any(True for _ in self._stream(below + name))
        ]

    def _stream(self, prefix: str) -> Iterator[ObjectMeta]:
        last: str | None = None
        ordered, tries = True, 0
        while True:
            try:
                for chunk in self._chunks(prefix, last):
                    yield from (
                        _meta(found)
                        for found in chunk
                        if not found["path"].startswith(f"{RESERVED}/")
                    )
                    paths = [last or "", *(found["path"] for found in chunk)]
                    ordered = ordered and all(map(lt, paths, paths[1:]))
                    last, tries = paths[-1], 0
            except NotFoundError:
                # A local prefix that leads through an object.
                return
            except UnansweredError:
                # S3 lists in the order of its keys; without an order there is no going on.
                if not ordered or tries == len(self._pauses_s):
                    raise
                time.sleep(self._pauses_s[tries])
                tries += 1
            else:
                return

    def _chunks(self, prefix: str, after: str | None) -> Iterator[Sequence["obstore.ObjectMeta"]]:
        """The objects below a prefix, those behind a path only, in the store's order."""
        uri = self._prefix_uri(prefix)
        with refusals("list", uri):
            chunks = iter(
                obstore.list(self._store, prefix or None, offset=after, chunk_size=_LIST_CHUNK)
            )
        while True:
            with refusals("list", uri):
                chunk: Sequence[obstore.ObjectMeta] | None = next(chunks, None)
            if chunk is None:
                return
            if chunk:
                yield chunk

    def _again(self, ask: Callable[[], T]) -> T:
        """What a request gives that may be made twice, made again where no answer came."""
        for pause_s in self._pauses_s:
            try:
                return ask()
            except UnansweredError:
                time.sleep(pause_s)
        return ask()

    def _prefix_uri(self, prefix: str) -> str:
        return object_uri(self._root, prefix) if prefix else self.url


def _meta(found: "obstore.ObjectMeta") -> ObjectMeta:
    return ObjectMeta(found["path"], found["size"], str(found["e_tag"]), found["last_modified"])


def _written(path: str, body: bytes, etag: str) -> ObjectMeta:
    # Asking the store when it wrote would cost a request for each write, and might be answered
    # with another writer's version.
    return ObjectMeta(path, len(body), etag, datetime.now(UTC))
