"""Regular files of strangers, read safely: no pipe is waited for, and no change goes unnoticed."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.storage.checksums import Hasher

CHANGED = "changed while it was read; publish when the job has ended"

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".geojson": "application/geo+json",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".nc": "application/x-netcdf",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".zip": "application/zip",
}
_CHUNK = 1024 * 1024
_OPENING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


class UnusableFileError(Exception):
    """A file cannot be published. It is caught within the scan, and becomes a fault."""

    def __init__(self, reason: PublishingReason, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what


@dataclass(frozen=True, slots=True)
class Stamp:
    """What shows that a file was left alone."""

    size: int
    """Bytes."""
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """From what the operating system says."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


def read_start(real: Path, limit: int) -> bytes:
    """The first bytes of a regular file.

    Args:
        real: absolute, without links.
        limit: most bytes to read.

    Raises:
        UnusableFileError: it is not regular, or cannot be read.
    """
    with _opened(real) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(limit)


def read_digests(
    real: Path, hashers: Mapping[str, Hasher], lengths: Mapping[str, int] | None = None
) -> tuple[dict[str, str], Stamp]:
    """Digests of a regular file, in one pass and with a constant piece of memory.

    Args:
        real: absolute, without links.
        hashers: by any name.
        lengths: bytes of the digests of methods that have no length of their own.

    Returns:
        Hex by name, and the stamp that the file had before and after.

    Raises:
        UnusableFileError: it is not regular, cannot be read, or changed meanwhile.
    """
    with _opened(real) as descriptor:
        before = Stamp.of(os.fstat(descriptor))
        count = _feed(descriptor, [hasher.update for hasher in hashers.values()])
        after = Stamp.of(os.fstat(descriptor))
    if before != after or count != after.size:
        raise UnusableFileError(PublishingReason.CHECKSUM_MISMATCH, CHANGED)
    sized = lengths or {}
    digests = {name: _hexdigest(hasher, sized.get(name)) for name, hasher in hashers.items()}
    return digests, after


def digest_in(body: bytes, algorithm: str) -> str | None:
    """The digest that a checksum file gives: alone, or as `md5sum` and its like write it.

    Args:
        body: the file's content.
        algorithm: a name that `hashlib` knows.

    Returns:
        Lower-case hex; None where there is none of the right length.
    """
    words = body.decode("ascii", "replace").removeprefix("\\").split()
    length = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
    for word in words[:1] + words[-1:]:
        if _HEX.fullmatch(word) and (len(word) == length or not length):
            return word.lower()
    return None


def regular(mode: int) -> None:
    """Refuse what is not a regular file.

    Raises:
        UnusableFileError: it is a folder, pipe, socket or device.
    """
    if not stat.S_ISREG(mode):
        raise UnusableFileError(
            PublishingReason.MISSING_ASSET,
            "is a folder, where a file is needed"
            if stat.S_ISDIR(mode)
            else "is a pipe, socket or device; only regular files can be published",
        )


def media_type_of(path: Path) -> str | None:
    """The media type that a name tells; None where it tells none."""
    return _MEDIA_TYPES.get(path.suffix.lower())


def is_text(name: str) -> bool:
    """Whether a name is Unicode."""
    return name.isascii() or name == name.encode("utf-8", "replace").decode()


def readable(text: str) -> str:
    """Text fit for a message: what is not Unicode, and control characters, as escapes."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in plain
    )


def unread(error: Exception) -> str:
    """What to say of a file that the operating system refuses."""
    return f"cannot be read ({why(error)}); look at its name and permissions"


def why(error: Exception) -> str:
    """An error of the operating system, without the path."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or readable(str(error))


@contextmanager
def _opened(real: Path) -> Iterator[int]:
    """Open a regular file; a pipe or device in its place is not waited for."""
    try:
        regular(real.stat().st_mode)
        descriptor = os.open(real, _OPENING)
    except OSError as error:
        raise UnusableFileError(PublishingReason.MISSING_ASSET, unread(error)) from None
    try:
        regular(os.fstat(descriptor).st_mode)
        yield descriptor
    except OSError as error:
        raise UnusableFileError(PublishingReason.MISSING_ASSET, unread(error)) from None
    finally:
        os.close(descriptor)


def _feed(descriptor: int, takers: list[Callable[[memoryview], object]]) -> int:
    """Read a file piece by piece; the number of its bytes."""
    buffer = memoryview(bytearray(_CHUNK))
    count = 0
    while got := os.readv(descriptor, [buffer]):
        for take in takers:
            take(buffer[:got])
        count += got
    return count


def _hexdigest(hasher: Any, length: int | None) -> str:
    digest: str = hasher.hexdigest() if hasher.digest_size else hasher.hexdigest(length)
    return digest
