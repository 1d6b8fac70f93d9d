"""Checksums as they are written: multihash hex, as in STAC's `file:checksum`, and bare digests.

A multihash says by itself which method made it: the method's code and the digest's length as
varints, then the digest. Producers also write two forms that are none: a bare MD5 of 32 hex
digits, and an MD5 whose code `d501` has lost its second byte. Both are read, with a warning.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

from multiformats import multihash

MD5 = "md5"
SHA256 = "sha2-256"

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_BARE_MD5 = re.compile(r"[0-9a-f]{32}")
_SHORT_MD5 = re.compile(r"d510([0-9a-f]{32})")
_MORE = 0x80
"""Set in all bytes of a varint but its last."""
_LONGEST = 512
"""Hex digits; the longest that we can check, a SHA-512, has 132."""


class Hasher(Protocol):
    """What `hashlib` makes."""

    def update(self, body: Any, /) -> None:
        """Take in bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest of all that was taken in."""
        ...


_HASHERS: dict[str, Callable[[], Hasher]] = {
    MD5: partial(hashlib.md5, usedforsecurity=False),
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "sha2-224": hashlib.sha224,
    SHA256: hashlib.sha256,
    "sha2-384": hashlib.sha384,
    "sha2-512": hashlib.sha512,
    "sha3-224": hashlib.sha3_224,
    "sha3-256": hashlib.sha3_256,
    "sha3-384": hashlib.sha3_384,
    "sha3-512": hashlib.sha3_512,
    **{f"blake2b-{8 * size}": partial(hashlib.blake2b, digest_size=size) for size in range(1, 65)},
    **{f"blake2s-{8 * size}": partial(hashlib.blake2s, digest_size=size) for size in range(1, 33)},
}

_HELD = tuple(multihash.get(name) for name in _HASHERS)
"""The library forgets a method that nobody holds, and raises where it does so while another thread
asks for it."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest and the method that makes it."""

    method: str
    """Multihash's name of a method that we can compute, such as `sha2-256`."""
    digest: str
    """Lower-case hex."""
    warning: str = ""
    """What is unusual about how it was written; empty for a plain multihash."""

    def hasher(self) -> Hasher:
        """A new hasher of the method."""
        return _HASHERS[self.method]()

    @property
    def multihash(self) -> str:
        """As multihash hex."""
        return multihash.wrap(bytes.fromhex(self.digest), self.method).hex()


@dataclass(frozen=True, slots=True)
class UnreadChecksum:
    """A text that gives no checksum that can be computed."""

    why: str


def parse_checksum(text: str) -> Checksum | UnreadChecksum:
    """Read a checksum.

    Args:
        text: multihash hex, in either case; or an MD5 in one of the two forms of the module.

    Returns:
        The checksum; what is wrong with the text where it gives none.
    """
    plain = text.strip().lower()
    if len(plain) > _LONGEST or not _HEX.fullmatch(plain):
        return UnreadChecksum(f"checksum {text[:80]!r} is not multihash hex")
    if _BARE_MD5.fullmatch(plain):
        return Checksum(MD5, plain, f"checksum {plain} is no multihash; it is read as an MD5")
    short = _SHORT_MD5.fullmatch(plain)
    if short:
        return Checksum(
            MD5, short[1], f"checksum {plain} lacks the second byte of MD5's code; write d50110…"
        )
    return _parse_multihash(plain)


def _parse_multihash(plain: str) -> Checksum | UnreadChecksum:
    whole = bytes.fromhex(plain)
    # A varint ends with its first byte below 128.
    code = next((whole[: end + 1] for end, byte in enumerate(whole) if byte < _MORE), whole)
    method = _method_of(code)
    if method is None:
        return UnreadChecksum(f"checksum {plain} is no multihash of a known method")
    if method not in _HASHERS:
        return UnreadChecksum(f"checksum {plain} is of {method}, which cannot be computed here")
    length, digest = whole[len(code) : len(code) + 1], whole[len(code) + 1 :]
    if not length or length[0] != len(digest) or len(digest) != _size_of(method):
        return UnreadChecksum(f"checksum {plain} is not as long as a {method} is")
    return Checksum(method, digest.hex())


@lru_cache(maxsize=256)
def _method_of(code: bytes) -> str | None:
    """Multihash's name of a code; the library takes as long for it as for all the rest."""
    try:
        return str(multihash.from_digest(code).name)
    except (LookupError, ValueError):
        return None


@lru_cache(maxsize=256)
def _size_of(method: str) -> int:
    """Bytes of a digest; below 128 for all that we compute, so that one byte says its length."""
    return len(bytes.fromhex(_HASHERS[method]().hexdigest()))
