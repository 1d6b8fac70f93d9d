"""What `estinel browse` answers: which paths of a store are readable, and which part of them.

Pure: no sockets, no storage.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.layout import CATALOG, INDEX, PAGE
from estinel_assets.storage.paths import check_path

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' http: https: blob: data:",
        "connect-src 'self' http: https:",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""As the page's own, which cannot say who may frame it."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Every answer has them."""

_TYPES = {
    ".gz": "application/gzip",
    ".json": "application/json",
    ".png": "image/png",
    ".tif": "image/tiff",
}
_ITEM_TYPE = "application/geo+json"

_NAME = r"[^/]+"
_CATALOGUE = re.compile(
    rf"{re.escape(INDEX)}|{re.escape(CATALOG)}(?:\.gz)?|{PAGE}/(?:fragments|ratings)/{_NAME}\.json"
)
_OF_A_DAY = re.compile(
    rf"(?:thumbs/)?(?P<collection>{_NAME})/\d{{4}}/\d{{2}}/\d{{2}}/{_NAME}\.(?:png|tif|json)"
)
# The shape above is that of images only. Folders of other product lines and of Estinel's own are
# named all the same, so that none of them can ever be taken for a collection.
_PRIVATE = frozenset(
    {
        *("adopted", "assets", "cache", "catalog", "leases", "markers", "ratings", "stac"),
        *("outcome-index", "outcomes", "publications", "published", "thumbs"),
        *("ard", "collections", "tree_cover"),
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    kind: Literal["page", "store", "redirect", "nothing"]
    """A file of the package's page, an object of the store, another address, or neither."""
    name: str = ""
    """The file's name in the page, the object's path, or the other address."""


def asked_for(target: str) -> Asked:
    """Read the target of a request.

    From the store only the catalogue's documents and the images with their items are readable:
    no leases, outcomes, markers or tables, and nothing of other product lines.

    Args:
        target: path and query, as they stand in the request.
    """
    encoded = target.partition("?")[0]
    if encoded in ("", "/", f"/{PAGE}"):
        return Asked("redirect", f"/{PAGE}/")
    path = _decoded(encoded)
    if path is None:
        return Asked("nothing")
    if path == f"{PAGE}/":
        return Asked("page", "index.html")
    if _CATALOGUE.fullmatch(path) or _is_of_a_day(path):
        return Asked("store", path) if _is_possible(path) else Asked("nothing")
    if path.startswith(f"{PAGE}/"):
        return Asked("page", path.removeprefix(f"{PAGE}/"))
    return Asked("nothing")


def store_type(path: str) -> str:
    """The content type of an object that `asked_for` gives."""
    ending = f".{path.rpartition('.')[2]}"
    if ending == ".json" and not path.startswith(f"{PAGE}/"):
        return _ITEM_TYPE
    return _TYPES[ending]


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of an object: bytes `start` to `stop`, `stop` not included."""

    start: int
    stop: int


def parse_range(header: str | None, size: int) -> ByteRange | Literal["unsatisfiable"] | None:
    """Read a `Range` header.

    Args:
        header: None where there is none.
        size: of the object, in bytes.

    Returns:
        The part; None for the whole, also where the header is malformed or asks for several parts,
        which a server may ignore.
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").strip())
    if found is None or found[0].strip() == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        length = min(int(last), size)
        return ByteRange(size - length, size) if length else "unsatisfiable"
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return "unsatisfiable"
    return ByteRange(start, min(int(last) + 1, size) if last else size)


def quoted_etag(version: str) -> str:
    """A store's version of an object as an `ETag` header carries it."""
    bare = version.removeprefix("W/").strip('"')
    return f'"{re.sub(r"[^!#-~]", "_", bare)}"'


def matches(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names this version; weak ones count as well."""
    if header is None:
        return False
    named = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in named or etag in named


def _decoded(encoded: str) -> str | None:
    """The path that a target stands for, without the slash before it; None where it is none.

    An encoded slash would make two addresses of one path, and no path of ours has a backslash.
    """
    if not encoded.startswith("/") or re.search(r"%(?:2f|5c|00)|\\", encoded, re.IGNORECASE):
        return None
    try:
        path = unquote_to_bytes(encoded[1:]).decode("utf-8")
    except UnicodeDecodeError:
        return None
    segments = path.removesuffix("/").split("/")
    return None if {"", ".", ".."} & set(segments) else path


def _is_of_a_day(path: str) -> bool:
    found = _OF_A_DAY.fullmatch(path)
    return found is not None and found["collection"] not in _PRIVATE


def _is_possible(path: str) -> bool:
    try:
        check_path(path)
    except BadInputError:
        return False
    return True
