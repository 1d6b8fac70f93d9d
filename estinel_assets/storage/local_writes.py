"""Writes to a store in a local folder: atomic, conditional, one at a time for each path.

obstore's local store cannot compare and swap, and its ETag (inode, modification time in
microseconds, size) can repeat: file systems stamp files by a coarse clock and hand out a freed
inode again at once, so that of two quick versions of one size a reader could not tell which it
had read. So every write here goes through the same steps:

1. the bytes are staged beside the target, under a name that listings hide, and synced to disk;
2. the path's lock is taken (`flock` on one of 256 files in `.locks` at the root);
3. the condition is checked against what stands there now;
4. the staged file gets a modification time later than the one that stood there, to the
   microsecond, which makes the ETag new;
5. it is renamed (to create: linked) onto the target.

Readers take no lock: they see the former file or the new one. A writer that dies leaves at most a
hidden staged file; the kernel frees its lock.

Two things follow. The same folder must always be opened under the same root, else its locks
differ; and files that other programs write into it are read, but not guarded. The file system
must support `flock`, hard links and modification times to the microsecond.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from obstore.exceptions import PreconditionError
from obstore.store import LocalStore

from estinel_assets.errors import StoreError
from estinel_assets.storage.paths import RESERVED

_COPY_BYTES = 2**20
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_TRIES = 100
"""A folder may vanish between being made and being used, because a deletion emptied it."""


class LocalWrites:
    """Writes below one root. Safe to use from many threads and processes."""

    def __init__(self, store: LocalStore) -> None:
        """Write below the root of the store that reads."""
        self._root = root = store.prefix or Path("/")
        self._store = store
        self._locks = root / RESERVED

    def put(self, path: str, body: bytes, _content_type: str | None) -> str:
        """Replace what stands there. Returns the new ETag."""
        return self._write(path, body, os.replace)

    def put_file(self, path: str, source: Path, _content_type: str | None) -> str:
        """Replace what stands there by a copy of a file. Returns the new ETag."""

        def copy(staged: BinaryIO) -> None:
            with source.open("rb") as file:
                shutil.copyfileobj(file, staged, _COPY_BYTES)

        return self._publish(path, copy, os.replace)

    def create(self, path: str, body: bytes, _content_type: str | None) -> str:
        """Write where nothing stands. Returns the new ETag.

        Raises:
            FileExistsError: something does.
        """
        return self._write(path, body, os.link)

    def replace(self, path: str, body: bytes, _content_type: str | None, etag: str) -> str:
        """Write over the version with that ETag. Returns the new ETag.

        Raises:
            FileNotFoundError: nothing stands there.
            PreconditionError: another version does.
        """

        def swap(staged: Path, target: Path) -> None:
            if self._etag(path) != etag:
                raise PreconditionError(path)
            staged.replace(target)

        # Fail early where nothing stands, without making its folder; under the lock it is checked
        # again.
        self._etag(path)
        return self._write(path, body, swap)

    def delete(self, path: str) -> None:
        """Delete a file and the folders that this leaves empty; an absent one is no error."""
        target = self._root / path
        with self._lock(path):
            # A path to a folder, or one that leads through a file, names no object.
            if not target.is_file():
                return
            target.unlink(missing_ok=True)
        for folder in target.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                return

    def _write(self, path: str, body: bytes, publish: Callable[[Path, Path], None]) -> str:
        return self._publish(path, lambda staged: staged.write(body), publish)

    def _publish(
        self,
        path: str,
        fill: Callable[[BinaryIO], object],
        publish: Callable[[Path, Path], None],
    ) -> str:
        target = self._root / path
        staged = _stage(target.parent, fill)
        try:
            with self._lock(path):
                _stamp(staged, target)
                publish(staged, target)
                return self._etag(path)
        finally:
            staged.unlink(missing_ok=True)

    def _etag(self, path: str) -> str:
        return str(self._store.head(path)["e_tag"])

    @contextmanager
    def _lock(self, path: str) -> Iterator[None]:
        # Lock files are few, named by hash and never removed: removing one that another writer
        # waits for would let two in.
        name = blake2b(path.encode(), digest_size=1).hexdigest()
        try:
            handle = os.open(self._locks / name, _LOCK_FLAGS, 0o666)
        except FileNotFoundError:
            self._locks.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._locks / name, _LOCK_FLAGS, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _stage(folder: Path, fill: Callable[[BinaryIO], object]) -> Path:
    for tried in range(_TRIES):
        staged = folder / f".staged#{secrets.randbits(62)}"
        try:
            if tried:  # most often the folder is there
                folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue
        except (FileExistsError, NotADirectoryError):
            raise StoreError(
                f"cannot write into {folder}: it, or a folder above it, is an object itself; "
                "choose another path"
            ) from None
        try:
            with os.fdopen(handle, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        return staged
    raise StoreError(f"cannot write into {folder}: it keeps vanishing; check what removes it")


def _stamp(staged: Path, target: Path) -> None:
    stamp_us = time.time_ns() // 1000
    with suppress(FileNotFoundError):
        stamp_us = max(stamp_us, target.stat().st_mtime_ns // 1000 + 1)
    os.utime(staged, ns=(stamp_us * 1000, stamp_us * 1000))
