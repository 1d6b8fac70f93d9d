"""A temporary folder, so that thousands of items need no memory: documents, shelves and files."""

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar

from estinel_assets.publishing.model import JsonObject
from estinel_assets.publishing.shelves import Form, Roll, Shelf, Shelves

T = TypeVar("T")


class Spool:
    """Documents in a file, rows in a database, and a folder for files.

    All of it is gone when the spool is closed, or when nobody has it or a shelf of it any more.
    Safe to use from many threads.
    """

    def __init__(self) -> None:
        """Make an empty one, in the system's folder for temporary files."""
        self._shelves = Shelves()
        self._file = (self.folder / "documents").open("w+b")
        self._close = weakref.finalize(self, self._file.close)
        self._lock = Lock()

    @property
    def folder(self) -> Path:
        """For files that are made anew, such as catalogues with other addresses."""
        return self._shelves.folder

    def add(self, document: Mapping[str, Any]) -> "SpooledBody":
        """Keep a document."""
        packed = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        with self._lock:
            start = self._file.seek(0, 2)
            self._file.write(packed)
        return SpooledBody(self, start, len(packed))

    def read(self, start: int, length: int) -> bytes:
        """Bytes that were kept."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(length)

    def shelf(self, form: Form[T]) -> Shelf[T]:
        """An empty shelf for things of a form."""
        return Shelf(self._shelves, form)

    def roll(self, form: Form[T]) -> Roll[T]:
        """An empty roll for things of a form."""
        return Roll(self._shelves, form)

    def close(self) -> None:
        """Delete everything."""
        self._close()
        self._shelves.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class SpooledBody:
    """A document in a spool; a `Body`."""

    spool: Spool
    start: int
    length: int

    def read(self) -> JsonObject:
        """See `Body.read`."""
        document: JsonObject = json.loads(self.spool.read(self.start, self.length))
        return document
