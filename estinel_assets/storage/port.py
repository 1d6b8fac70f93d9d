"""The object store as everything else sees it.

Paths are relative to the store's root, with `/` between segments and no leading slash.
A listing prefix names whole segments: `a/b` lists `a/b/c`, never `a/bc` nor `a/b` itself.
What a path may be stands in `paths.check_path`; a bad one raises BadInputError. An object may not
stand where a folder of others does (`a` beside `a/b`): a local folder cannot hold both. Every
operation raises StoreError where the store cannot be reached or refuses.
"""

import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What the store knows of one object."""

    path: str
    """Relative to the store's root."""
    size: int
    """Bytes."""
    etag: str
    """Changes whenever the content does; compare-and-swap takes it."""
    last_modified: datetime
    """UTC, timezone-aware. What a write returns carries the writer's clock where the store does
    not say."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes together with what the store knew of it at that moment."""

    data: bytes
    meta: ObjectMeta


class ObjectStore(Protocol):
    """Atomic, conditional object storage. Safe to use from many threads."""

    @property
    def url(self) -> str:
        """The root, such as `s3://bucket/prefix` or `file:///data`."""
        ...

    def uri(self, path: str) -> str:
        """The full address of a path, such as `s3://bucket/prefix/a/b.json`."""
        ...

    def get(self, path: str) -> StoredObject:
        """Read one object whole.

        Raises:
            NotFoundError: there is none.
        """
        ...

    def get_range(self, path: str, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer come back at the object's end.

        Raises:
            NotFoundError: there is none.
        """
        ...

    def head(self, path: str) -> ObjectMeta:
        """Ask for an object's metadata.

        Raises:
            NotFoundError: there is none.
        """
        ...

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        """Write atomically, replacing what stood there. Readers see the old or the new whole."""
        ...

    def put_file(self, path: str, source: Path, *, content_type: str | None = None) -> ObjectMeta:
        """Like `put`, for a local file of any size: only some MB of it are in memory at once.

        Raises:
            OSError: the file cannot be read.
        """
        ...

    def create(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        """Write only where nothing stands; of many racing writers exactly one wins.

        Raises:
            AlreadyExistsError: something stands there.
        """
        ...

    def replace(
        self, path: str, data: bytes, *, etag: str, content_type: str | None = None
    ) -> ObjectMeta:
        """Write only over the version with that etag; of many racing writers exactly one wins.

        Raises:
            ChangedError: another version stands there.
            NotFoundError: nothing stands there.
        """
        ...

    def delete(self, path: str) -> None:
        """Delete an object; an absent one is no error."""
        ...

    def delete_many(self, paths: Sequence[str]) -> None:
        """Delete objects, in few requests where the store can; absent ones are no error.

        Raises:
            StoreError: some could not be deleted, and nobody says which.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """Stream all objects below a prefix of whole segments, in no promised order."""
        ...

    def list_folders(self, prefix: str = "") -> builtins.list[str]:
        """The names of the folders directly below a prefix, sorted, without the prefix."""
        ...
