"""Structures of TIFFs, learned once: in memory for a process, and, small, in the store.

A file at an address that has been read hardly ever changes, and where one does, whoever reads it
notices by size or ETag and says `forget`.
"""

import hashlib
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple
from urllib.parse import unquote

from estinel_assets.raster.header_shelf import Head, Shelf, read_head
from estinel_assets.raster.tiff import MalformedTiffError, Tiff, UnsupportedTiffError, read_tiff
from estinel_assets.storage.port import ObjectStore

__all__ = ["Head", "HeaderCache", "header_key", "read_head"]

MAX_BYTES: Final = 64 * 1024 * 1024
"""In memory, by default."""
MAX_STORED_BYTES: Final = 4 * 1024 * 1024
"""Of one stored object, by default."""

_ENTRY_BYTES: Final = 1024
_IMAGE_BYTES: Final = 640
"""What an entry, and each of its images, takes beside the bytes that are counted; about."""

# What signing adds to a query, by the parameter without which none of it is a signature.
_SIGNATURES: Final = {
    # Azure
    "sig": frozenset(
        {"sig", "sv", "ss", "srt", "sr", "st", "se", "sp", "sip", "spr", "si", "ses", "sdd"}
        | {"saoid", "suoid", "scid", "skoid", "sktid", "skt", "ske", "sks", "skv"}
        | {"sduoid", "skdutid", "rscc", "rscd", "rsce", "rscl", "rsct"}
    ),
    # AWS
    "x-amz-signature": frozenset({"x-id"}),
    # CloudFront, and the former ones of AWS and Google
    "signature": frozenset(
        {"signature", "expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid"}
    ),
}
_SIGNING_PREFIXES: Final = ("x-amz-", "x-goog-")

_LOGIN = re.compile(r"://[^/?#]*@")

_log = logging.getLogger(__name__)

_SHELF: ContextVar[Shelf | None] = ContextVar("estinel_header_shelf", default=None)
"""The innermost one that is open here."""


def header_key(href: str) -> str:
    """What a file is called in the cache: the same however its address is signed, and no secret.

    A query may say which file is meant, so what remains of it without the signature is part of the
    key, as a digest. Signatures are those of Azure, AWS, Google and CloudFront; one of another kind
    makes for a key that does not come again, and for nothing worse.

    Args:
        href: `http(s)://`, `s3://`, `file://` or a path.

    Returns:
        The address without user name, password, query and fragment; then, if need be, `?` and a
        digest.
    """
    if href.isascii() and not any(mark in href for mark in "@?#"):
        return href
    # A file's name need not be text.
    href = href.encode("utf-8", "backslashreplace").decode("utf-8")
    plain = _LOGIN.sub("://", href, count=1)
    if href.lower().startswith(("http://", "https://")):
        address, _, query = plain.partition("#")[0].partition("?")
        told = _without_signature(query)
    else:
        # Both may be part of a name.
        address = re.split(r"[?#]", plain, maxsplit=1)[0]
        told = plain[len(address) :]
    if not told:
        return address
    return f"{address}?{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def _without_signature(query: str) -> str:
    parameters = [(unquote(one.partition("=")[0]).lower(), one) for one in query.split("&") if one]
    names = {name for name, _ in parameters}
    dropped = {name for mark, added in _SIGNATURES.items() if mark in names for name in added}
    return "&".join(
        one
        for name, one in parameters
        if name not in dropped and not name.startswith(_SIGNING_PREFIXES)
    )


class _Entry(NamedTuple):
    found: tuple[Head, Tiff]
    cost: int
    """Bytes, about."""


class HeaderCache:
    """Heads of TIFFs and their structure, by `header_key`. Thread-safe.

    Those longest unused go first. Two threads that miss the same file at once both read it.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        """Start empty.

        Args:
            max_bytes: of what is in memory, beside what each open `kept_in` holds.
        """
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> tuple[Head, Tiff] | None:
        """What is known of a file; None where nothing is."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
        shelf = self._shelf()
        if entry is not None:
            found = entry.found
        elif shelf is None or (loaded := self._loaded(shelf, key)) is None:
            return None
        else:
            found = loaded
        if shelf is not None:
            shelf.use(key, found[0])
        return found

    def put(self, key: str, head: Head, tiff: Tiff) -> None:
        """Keep what was learned of a file, in place of what was known of it.

        Args:
            key: the file's `header_key`.
            head: what was read, as `read_head` gives it.
            tiff: what `read_tiff` makes of the head.
        """
        with self._lock:
            self._keep(key, head, tiff)
        shelf = self._shelf()
        if shelf is not None:
            shelf.use(key, head)

    def forget(self, key: str) -> None:
        """Drop what is known of a file, as the file has changed."""
        with self._lock:
            self._remove(key)
        shelf = self._shelf()
        if shelf is not None:
            shelf.drop(key)

    @contextmanager
    def kept_in(
        self, store: ObjectStore, path: str, *, max_stored_bytes: int = MAX_STORED_BYTES
    ) -> Iterator[None]:
        """Keep the heads that are used meanwhile in the store, beside those that are there.

        Several may be open at once, in threads or one inside another: a head is kept by the
        innermost one in whose context (see `contextvars`) it is used, which the workers of
        `compute.Threads` share, and those of `compute.Processes` do not. The object is written if
        one of the heads is new, changed or forgotten, and not at all after an exception. What the
        store refuses is logged and nothing more: the work needs no cache. A damaged object is
        replaced.

        Args:
            store: where the heads are kept.
            path: of the object.
            max_stored_bytes: largest size of the object; the heads longest unused go first.

        Raises:
            BadInputError: there cannot be such a path.
        """
        shelf = Shelf(store, path, max_stored_bytes, owner=self)
        shelf.load()
        token = _SHELF.set(shelf)
        try:
            yield
        finally:
            _SHELF.reset(token)
        shelf.write()

    def _shelf(self) -> Shelf | None:
        shelf = _SHELF.get()
        return shelf if shelf is not None and shelf.owner is self else None

    def _loaded(self, shelf: Shelf, key: str) -> tuple[Head, Tiff] | None:
        """A stored head, parsed. No lock is held meanwhile: two threads may do it at once."""
        head = shelf.find(key)
        if head is None:
            return None
        try:
            tiff = read_tiff(head.read)
        except (MalformedTiffError, UnsupportedTiffError) as error:
            _log.debug("the cached header of %s is read anew: %s", key, error)
            shelf.drop(key)
            return None
        with self._lock:
            there = self._entries.get(key)
            if there is not None:
                return there.found
            self._keep(key, head, tiff)
        return head, tiff

    def _keep(self, key: str, head: Head, tiff: Tiff) -> None:
        """Keep an entry, and let others go for it; the lock is held."""
        self._remove(key)
        cost = _cost(key, head, tiff)
        if cost > self._max_bytes:
            return
        self._entries[key] = _Entry((head, tiff), cost)
        self._bytes += cost
        while self._bytes > self._max_bytes:
            _, gone = self._entries.popitem(last=False)
            self._bytes -= gone.cost

    def _remove(self, key: str) -> None:
        """Drop an entry, if there is one; the lock is held."""
        gone = self._entries.pop(key, None)
        if gone is not None:
            self._bytes -= gone.cost


def _cost(key: str, head: Head, tiff: Tiff) -> int:
    arrays = sum(image.offsets.nbytes + image.byte_counts.nbytes for image in tiff.images)
    return _ENTRY_BYTES + _IMAGE_BYTES * len(tiff.images) + len(key) + head.length + arrays
