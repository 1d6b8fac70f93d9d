"""Heads of TIFFs in the store: one object that a place's work loads, adds to and writes back.

It is a cache. Two processes that write at once overwrite one another's additions: the last one
wins, and what is lost is read again from its file.

The object is: a mark with the version of this form, a digest of the rest, the length of what comes
out of it, and, packed by zstd, a table in JSON and the heads' bytes one after another. It is no
Parquet table, because of damage: a wrong byte count in a head would look like a damaged scene, so
nothing is decoded before its digest is right, and never into more bytes than a shelf may have.
"""

import hashlib
import logging
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Final

import imagecodecs
from pydantic import Field, TypeAdapter

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.raster.tiff import ReadRange, Tiff, read_tiff
from estinel_assets.storage.port import ObjectStore

Item = tuple[str, "Head"]
"""A file's key and its head."""

MOST_UNPACKED: Final = 32 * 1024 * 1024
"""Bytes of all heads of a shelf."""
_SHARE_OF_ONE: Final = 8
"""One head may take an eighth of a shelf: a few odd files must not put out all others."""
_LEVEL: Final = 3

_MARK: Final = b"ESTHEAD\x01"
_DIGEST_BYTES: Final = 32
_LENGTH: Final = struct.Struct("<Q")
_Count = Annotated[int, Field(ge=0)]
_Row = tuple[str, _Count, str | None, list[tuple[_Count, _Count]]]
"""Key, size of the file, ETag, and of each piece its offset and length."""
_TABLE: Final = TypeAdapter(list[_Row])

_log = logging.getLogger(__name__)


class DamagedShelfError(ValueError):
    """A stored shelf is damaged, or of another version; the message says which."""


@dataclass(frozen=True, slots=True)
class Head:
    """What was read of a file to learn its structure."""

    pieces: tuple[tuple[int, bytes], ...]
    """(offset, bytes), sorted by offset."""
    size: int
    """Of the whole file, bytes."""
    etag: str | None
    """The file's version as its server names it; None where it does not."""

    @property
    def length(self) -> int:
        """Of all pieces together, bytes."""
        return sum(len(body) for _, body in self.pieces)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file as far as they are here: a `ReadRange` for `read_tiff`."""
        found = b""
        for start, body in self.pieces:
            at = offset + len(found) - start
            if 0 <= at < len(body):
                found += body[at : at + length - len(found)]
        return found


def read_head(read: ReadRange, size: int, etag: str | None) -> tuple[Head, Tiff]:
    """Read a file's structure, and keep the bytes that tell it, without pixels beside them.

    Args:
        read: fetches bytes of the file.
        size: of the whole file, bytes.
        etag: the file's version, where its server names one.

    Returns:
        The head, from which `read_tiff` reads the same structure again, and the structure.

    Raises:
        MalformedTiffError: as `read_tiff`.
        UnsupportedTiffError: as `read_tiff`.
    """
    asked: list[tuple[int, bytes]] = []

    def listen(offset: int, length: int) -> bytes:
        body = read(offset, length)
        asked.append((offset, body))
        return body

    tiff = read_tiff(listen)
    return Head(_joined(asked), size, etag), tiff


def _joined(pieces: Iterable[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """Pieces sorted, those that touch or overlap as one."""
    joined: list[tuple[int, bytearray]] = []
    for offset, body in sorted(pieces):
        if joined and offset <= joined[-1][0] + len(joined[-1][1]):
            start, former = joined[-1]
            former += body[max(start + len(former) - offset, 0) :]
        else:
            joined.append((offset, bytearray(body)))
    return tuple((offset, bytes(body)) for offset, body in joined)


def pack(items: Sequence[Item]) -> bytes:
    """Encode heads; the same bytes for the same heads in the same order."""
    rows = [
        (key, head.size, head.etag, [(offset, len(body)) for offset, body in head.pieces])
        for key, head in items
    ]
    table = _TABLE.dump_json(rows)
    bodies = [body for _, head in items for _, body in head.pieces]
    unpacked = b"".join([_LENGTH.pack(len(table)), table, *bodies])
    rest = _LENGTH.pack(len(unpacked)) + imagecodecs.zstd_encode(unpacked, level=_LEVEL)
    return _MARK + _digest(rest) + rest


def unpack(content: bytes) -> list[Item]:
    """Decode what `pack` made.

    Raises:
        DamagedShelfError: it is damaged, or of another version.
    """
    if not content.startswith(_MARK):
        raise DamagedShelfError("it is of another version, or no cache of headers")
    start = len(_MARK) + _DIGEST_BYTES
    rest = content[start:]
    if content[len(_MARK) : start] != _digest(rest):
        raise DamagedShelfError("its digest is wrong")
    try:
        unpacked = _unpacked(rest)
        first = _LENGTH.size + _LENGTH.unpack_from(unpacked)[0]
        rows = _TABLE.validate_json(unpacked[_LENGTH.size : first])
    except (RuntimeError, ValueError, struct.error) as error:
        raise DamagedShelfError(f"it cannot be decoded ({type(error).__name__})") from None
    lengths = [length for _, _, _, pieces in rows for _, length in pieces]
    if first + sum(lengths) != len(unpacked):
        raise DamagedShelfError("its heads are not as long as its table says")
    bodies = iter(
        unpacked[start : start + length]
        for start, length in zip(accumulate(lengths, initial=first), lengths, strict=False)
    )
    return [
        (key, Head(tuple((offset, next(bodies)) for offset, _ in pieces), size, etag))
        for key, size, etag, pieces in rows
    ]


def _unpacked(rest: bytes) -> bytes:
    (length,) = _LENGTH.unpack_from(rest)
    if length > 2 * MOST_UNPACKED:
        raise ValueError("too long")
    unpacked = bytes(imagecodecs.zstd_decode(rest[_LENGTH.size :], out=bytearray(length)))
    if len(unpacked) != length:
        raise ValueError("too short")
    return unpacked


def _digest(rest: bytes) -> bytes:
    return hashlib.blake2b(rest, digest_size=_DIGEST_BYTES).digest()


def pack_within(items: Sequence[Item], most_bytes: int) -> bytes:
    """Encode the last heads, as many as there is room for.

    Args:
        items: the most useful last.
        most_bytes: of the encoded heads.
    """
    largest = most_bytes // _SHARE_OF_ONE
    kept: list[Item] = []
    room = MOST_UNPACKED
    for key, head in reversed(items):
        if head.length <= largest:
            room -= _cost(key, head)
            if room < 0:
                break
            kept.append((key, head))
    kept.reverse()
    while len(content := pack(kept)) > most_bytes and kept:
        fewer = int(len(kept) * most_bytes / len(content) * 0.95)
        kept = kept[len(kept) - fewer :]
    return content


def _cost(key: str, head: Head) -> int:
    """Bytes of a head and of its row, about."""
    return head.length + len(key) + len(head.etag or "") + 64 + 32 * len(head.pieces)


class Shelf:
    """The heads of one stored object, and those that were used while it was open. Thread-safe."""

    def __init__(self, store: ObjectStore, path: str, most_bytes: int, owner: object) -> None:
        """Start with nothing.

        Args:
            store: where the object is.
            path: of the object.
            most_bytes: largest size of the object.
            owner: who alone uses this shelf.
        """
        self.owner = owner
        self._store, self._path, self._most_bytes = store, path, most_bytes
        self._lock = threading.Lock()
        self._stored: dict[str, Head] = {}
        self._used: dict[str, Head] = {}
        self._room = MOST_UNPACKED
        self._changed = False
        self._unreadable = False

    def load(self) -> None:
        """Load the object, if there is one.

        A refusal is logged and nothing more, because the work needs no cache; the object is then
        not written either, as it may well be sound.
        """
        try:
            stored = unpack(self._store.get(self._path).data)
        except NotFoundError:
            return
        except StoreError as error:
            _log.warning("headers are read from their files: %s", error)
            self._unreadable = True
        except DamagedShelfError as error:
            where = self._store.uri(self._path)
            _log.warning("the cached headers at %s are made anew: %s", where, error)
            self._changed = True
        else:
            self._stored = dict(stored)

    def find(self, key: str) -> Head | None:
        """A stored head."""
        with self._lock:
            return self._stored.get(key)

    def use(self, key: str, head: Head) -> None:
        """Take down that a head was used."""
        if self._used.get(key) is head:
            return
        with self._lock:
            self._remove(key)
            self._used[key] = head
            self._room -= _cost(key, head)
            if self._stored.get(key) != head:
                self._changed = True
            while self._room < 0:
                self._remove(next(iter(self._used)))

    def drop(self, key: str) -> None:
        """Do not keep a head: it tells of another file than the present one."""
        with self._lock:
            self._remove(key)
            if self._stored.pop(key, None) is not None:
                self._changed = True

    def _remove(self, key: str) -> None:
        former = self._used.pop(key, None)
        if former is not None:
            self._room += _cost(key, former)

    def write(self) -> None:
        """Write the object, if it would differ; those used now are the last to go.

        A refusal is logged and nothing more, because the work is done and needs no cache.
        """
        with self._lock:
            if self._unreadable or not self._changed:
                return
            others = [item for item in self._stored.items() if item[0] not in self._used]
            used = sorted(self._used.items(), key=lambda item: item[0])
        content = pack_within([*others, *used], self._most_bytes)
        try:
            self._store.put(self._path, content, content_type="application/octet-stream")
        except StoreError as error:
            _log.warning("headers are not kept, and read again next time: %s", error)
