"""Bytes that a worker lays aside until they are written: on disk, and gone with the worker."""

import os
import tempfile
import threading
import weakref
from dataclasses import dataclass, field
from hashlib import sha256

from estinel_assets.errors import StoreError


class ScratchFile:
    """A temporary file without a name, which ends with this. Safe to use from many threads.

    It lies in the folder for temporary files (`TMPDIR`). Nothing is left of it when its process
    ends, however that ends.
    """

    def __init__(self) -> None:
        """Make an empty file.

        Raises:
            StoreError: there is no place for it.
        """
        try:
            with tempfile.TemporaryFile(prefix="estinel-", buffering=0) as file:
                self._file = os.dup(file.fileno())
        except OSError as error:
            raise _refused(error) from None
        weakref.finalize(self, os.close, self._file)
        self._lock = threading.Lock()
        self._end = 0

    def keep(self, content: bytes) -> "Kept":
        """Lay bytes aside.

        Raises:
            StoreError: there is no room.
        """
        with self._lock:
            offset = self._end
            self._end += len(content)
        left, at = memoryview(content), offset
        try:
            while left:
                written = os.pwrite(self._file, left, at)
                left, at = left[written:], at + written
        except OSError as error:
            raise _refused(error) from None
        return Kept(self, offset, len(content), sha256(content).hexdigest())

    def read(self, offset: int, length: int) -> bytes:
        """Read what was laid aside.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            return os.pread(self._file, length, offset)
        except OSError as error:
            raise _refused(error) from None


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes in a `ScratchFile`."""

    _file: ScratchFile = field(repr=False)
    _offset: int
    size: int
    sha256: str
    """Hexadecimal."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            StoreError: the disk refuses.
        """
        return self._file.read(self._offset, self.size)


def _refused(error: OSError) -> StoreError:
    return StoreError(
        f"{tempfile.gettempdir()} cannot keep what was composed ({error.strerror}); make room "
        "there, or name another folder by TMPDIR"
    )
