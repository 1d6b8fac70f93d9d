"""Stores whose writes are watched, and may fail or be the last thing that their user does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from estinel_assets.errors import StoreError
from estinel_assets.storage.lease_record import LeaseRecord
from estinel_assets.storage.port import ObjectMeta, ObjectStore, StoredObject


class Crash(BaseException):
    """The end of a process, as far as one process can play another's."""


@dataclass(frozen=True)
class Write:
    """A write as the store sees it."""

    operation: str
    path: str
    number: int
    """How many writes began before this one; several may be under way at once."""


class WatchedStore:
    """A store whose writes are seen, before and after they happen, by somebody who may raise.

    Whoever sees them is called in the thread that writes, and maybe in several at once.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        before: Callable[[Write], None] = lambda _: None,
        after: Callable[[Write], None] = lambda _: None,
        reading: Callable[[], None] = lambda: None,
    ) -> None:
        self.inner, self.before, self.after, self.reading = inner, before, after, reading
        self.writes: list[Write] = []
        """In the order in which they began."""
        self._numbering = Lock()

    @property
    def url(self) -> str:
        return self.inner.url

    def uri(self, path: str) -> str:
        return self.inner.uri(path)

    def get(self, path: str) -> StoredObject:
        self.reading()
        return self.inner.get(path)

    def get_range(self, path: str, start: int, length: int) -> bytes:
        self.reading()
        return self.inner.get_range(path, start, length)

    def head(self, path: str) -> ObjectMeta:
        self.reading()
        return self.inner.head(path)

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        self.reading()
        return self.inner.list(prefix)

    def list_folders(self, prefix: str = "") -> Any:
        self.reading()
        return self.inner.list_folders(prefix)

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        return self._watched(
            "put", path, lambda: self.inner.put(path, data, content_type=content_type)
        )

    def put_file(self, path: str, source: Path, *, content_type: str | None = None) -> ObjectMeta:
        return self._watched(
            "put_file", path, lambda: self.inner.put_file(path, source, content_type=content_type)
        )

    def create(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        return self._watched(
            "create", path, lambda: self.inner.create(path, data, content_type=content_type)
        )

    def replace(
        self, path: str, data: bytes, *, etag: str, content_type: str | None = None
    ) -> ObjectMeta:
        return self._watched(
            "replace",
            path,
            lambda: self.inner.replace(path, data, etag=etag, content_type=content_type),
        )

    def delete(self, path: str) -> None:
        self._watched("delete", path, lambda: self.inner.delete(path))

    def delete_many(self, paths: Sequence[str]) -> None:
        self._watched("delete", paths[0], lambda: self.inner.delete_many(paths))

    def _watched(self, operation: str, path: str, write: Callable[[], Any]) -> Any:
        with self._numbering:
            made = Write(operation, path, len(self.writes))
            self.writes.append(made)
        self.before(made)
        done = write()
        self.after(made)
        return done


def crashing(inner: ObjectStore, at: int, *, after: bool) -> WatchedStore:
    """A store whose user dies at its n-th write, counted from 0: just before it or just after.

    The dead do nothing more: from then on every operation raises, reads included. Only writes that
    had begun in other threads may still come to their end, as they may when a process is killed.
    """
    dead = False

    def end() -> None:
        if dead:
            raise Crash

    def reach(write: Write) -> None:
        nonlocal dead
        end()
        if write.number == at:
            dead = True
            raise Crash

    store = WatchedStore(inner, reading=end)
    if after:
        store.before, store.after = lambda _: end(), reach
    else:
        store.before = reach
    return store


def refusing(inner: ObjectStore, at: int) -> WatchedStore:
    """A store that refuses its n-th write, counted from 0; deletions are writes, too."""

    def refuse(write: Write) -> None:
        if write.number == at:
            raise StoreError(f"the store refuses {write.path}")

    return WatchedStore(inner, before=refuse)


def bury(store: ObjectStore) -> None:
    """Make every lease in a store one of a process that has ended."""
    paths = (meta for meta in store.list() if "leases/" in meta.path or "/lease." in meta.path)
    for meta in list(paths):
        record = LeaseRecord.from_json(store.get(meta.path).data, meta.path)
        process = record.process
        gone = replace(process, start_ticks=(process.start_ticks or 0) + 1)
        body = replace(
            record, process=gone, expires_at=record.renewed_at - timedelta(hours=1)
        ).to_json()
        store.put(meta.path, body)
