"""Addresses within STAC documents: the files that they mean, and what they become."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from estinel_assets.errors import public_url

STRUCTURE = frozenset({"root", "parent", "self", "collection", "item", "items", "child"})
"""Relations that an API makes itself, and that a catalogue is walked by."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DECODED = frozenset({"http", "https", "file", "ftp", "dav", "davs", "webdav", "webdavs"})
"""Schemes whose paths are percent-encoded; the keys of `s3://` and its kin stand as they are."""
_SAFE = "=:@,~"


@dataclass(frozen=True, slots=True)
class CatalogRoot:
    """A catalogue's folder, and where its documents say that it stands."""

    folder: Path
    """Absolute."""
    address: str | None = None
    """URL or absolute path of the folder by the catalogue's own word, with `/` at the end."""


@dataclass(frozen=True, slots=True)
class LocalHref:
    """A file of the catalogue's folder, which may or may not exist."""

    relative: str
    """Path relative to the catalogue's folder, with `/`, without `.` and `..`."""
    absolute: bool
    """Whether the address names the old place, and so must be rewritten to work elsewhere."""


@dataclass(frozen=True, slots=True)
class RemoteHref:
    """Something that stands elsewhere, and is left there."""


@dataclass(frozen=True, slots=True)
class OutsideHref:
    """A local file outside the catalogue's folder."""

    what: str
    """What is wrong, with the remedy."""


Href: TypeAlias = LocalHref | RemoteHref | OutsideHref


def stated_address(document: Mapping[str, Any]) -> str | None:
    """Where the root document of a catalogue says that its folder stands.

    Returns:
        URL or absolute path with `/` at the end, from its link `self`, else `root`; None for a
        self-contained catalogue.
    """
    links = document.get("links")
    if not isinstance(links, list):
        return None
    for rel in ("self", "root"):
        for link in links:
            href = link.get("href") if isinstance(link, dict) and link.get("rel") == rel else None
            if isinstance(href, str) and (address := _folder_address(href)):
                return address
    return None


def _folder_address(href: str) -> str | None:
    local = _local_path(href)
    if local is not None:
        return os.path.dirname(os.path.normpath(local)).rstrip("/") + "/"  # noqa: PTH120
    if "://" not in href or not _SCHEME.match(href):
        return None
    plain = re.split(r"[?#]", href, maxsplit=1)[0]
    folder = plain.rpartition("/")[0]
    return f"{folder}/" if "://" in folder else None


def _local_path(href: str) -> str | None:
    """The path of an address that is an absolute local one."""
    if href.startswith("/") and not href.startswith(("//", "/vsi")):
        return href
    if href[:5].lower() == "file:":
        try:
            parts = urlsplit(href)
        except ValueError:
            return None
        return unquote(parts.path) if parts.netloc in ("", "localhost") else None
    return None


def resolve(href: str, *, document: str, root: CatalogRoot) -> Href:
    """Find out what an address means.

    A local one may be percent-encoded or not, whichever file exists.

    Args:
        href: as it stands in the document.
        document: path of the document, relative to the catalogue's folder.
        root: of the catalogue.
    """
    if "\0" in href:
        return OutsideHref("the address holds U+0000: remove it")
    if href.startswith("//"):
        return OutsideHref(f"{public_url(href)} has no scheme: write https:// or a relative path")
    local = _local_path(href)
    if local is not None:
        return _from_absolute_path(href, local, root)
    if root.address is not None and "://" in root.address and href.startswith(root.address):
        return _from_texts(href.removeprefix(root.address), folder="", absolute=True, root=root)
    if href.startswith("/vsi") or (_SCHEME.match(href) and "://" in href):
        return RemoteHref()
    found = _from_texts(href, folder=document.rpartition("/")[0], absolute=False, root=root)
    if _SCHEME.match(href) and not (isinstance(found, LocalHref) and _exists(root, found)):
        return RemoteHref()
    return found


def _exists(root: CatalogRoot, href: LocalHref) -> bool:
    return os.path.lexists(root.folder / href.relative)


def _from_absolute_path(href: str, local: str, root: CatalogRoot) -> Href:
    path = os.path.normpath(local)
    folders = [str(root.folder), os.path.realpath(root.folder)]
    if root.address is not None and root.address.startswith("/"):
        folders.insert(0, root.address.rstrip("/"))
    for folder in folders:
        if path.startswith(f"{folder}/"):
            rest = path.removeprefix(f"{folder}/")
            return _from_texts(rest, folder="", absolute=True, root=root)
    return OutsideHref(
        f"{public_url(href)} lies outside the catalogue's folder: put the file into the folder, "
        "and name it by a relative path"
    )


def _from_texts(href: str, *, folder: str, absolute: bool, root: CatalogRoot) -> Href:
    outside = False
    inside: list[LocalHref] = []
    for text in _readings(href):
        path = os.path.normpath(f"{folder}/{text}" if folder else text)
        if "\0" in path or path == ".." or path.startswith(("/", "../")):
            outside = True
            continue
        found = LocalHref(path, absolute)
        if _exists(root, found):
            return found
        inside.append(found)
    if outside:
        return OutsideHref(
            f"{public_url(href)} leads out of the catalogue's folder: put the file into the folder"
        )
    return inside[0]


def _readings(href: str) -> Iterator[str]:
    """A file's name as it may be meant: plain, percent-encoded, with a query or fragment."""
    plain = re.split(r"[?#]", href, maxsplit=1)[0]
    return iter(dict.fromkeys((href, unquote(href), unquote(plain))))


def relative_href(target: str, *, document: str) -> str:
    """The address of a file as seen from a document of the same catalogue.

    Args:
        target: path of the file, relative to the catalogue's folder.
        document: path of the document, likewise.
    """
    path = os.path.relpath(target, document.rpartition("/")[0] or ".")
    encoded = _encoded(path)
    return encoded if path.startswith("../") else f"./{encoded}"


def published_href(relative: str, *, url: str) -> str:
    """The address of a file once it is published.

    Args:
        relative: path of the file, relative to the catalogue's folder.
        url: of the place that the folder is published at.
    """
    scheme = url.partition(":")[0].lower()
    return f"{url.rstrip('/')}/{_encoded(relative) if scheme in _DECODED else relative}"


def _encoded(path: str) -> str:
    return "/".join(quote(segment, safe=_SAFE) for segment in path.split("/"))
