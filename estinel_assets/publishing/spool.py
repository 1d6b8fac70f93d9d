"""A temporary file of JSON documents, so that thousands of them need no memory."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from estinel_assets.publishing.model import JsonObject


class Spool:
    """Documents in a temporary file, and a folder for files; both are gone when it is closed.

    Safe to use from many threads.
    """

    def __init__(self) -> None:
        """Make an empty one, in the system's folder for temporary files."""
        self._folder = tempfile.TemporaryDirectory(prefix="estinel-publish-")
        self._file = (self.folder / "documents").open("w+b")
        self._lock = Lock()

    @property
    def folder(self) -> Path:
        """For files that are made anew, such as catalogues with other addresses."""
        return Path(self._folder.name)

    def add(self, document: Mapping[str, Any]) -> "SpooledBody":
        """Keep a document."""
        packed = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        with self._lock:
            self._file.seek(0, 2)
            start = self._file.tell()
            self._file.write(packed)
        return SpooledBody(self, start, len(packed))

    def read(self, start: int, length: int) -> bytes:
        """Bytes that were kept."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(length)

    def close(self) -> None:
        """Delete everything."""
        self._file.close()
        self._folder.cleanup()

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
