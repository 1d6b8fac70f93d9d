"""CMIP6: an item's assets as Handle records of files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from estinel_assets.errors import public_url
from estinel_assets.pids.cmip6_settings import is_web_address
from estinel_assets.pids.reasons import PidReason
from estinel_assets.storage.checksums import UnreadChecksum, parse_checksum

CHECKSUM_METHODS = frozenset(
    {"md5", "sha1", "sha2-256", "sha2-512", "sha3-256", "sha3-512", "blake2b-256"}
)
"""Multihash's names of the methods that a file's record may have."""
UNKNOWN_METHOD = "unknown"
_LONGEST_CHECKSUM = 512
_LARGEST_SIZE = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that can be registered."""

    asset_key: str
    fields: dict[str, object]
    """Of its record, without what names other records."""
    doubts: tuple[tuple[PidReason, str], ...]
    """What is wrong, though the file can be registered; refused where strict."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnusableFile:
    """A file that cannot be registered."""

    asset_key: str
    reason: PidReason
    problem: str


def alternates(asset: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """An asset's copies on other nodes, by the node's name, sorted."""
    found = asset.get("alternate")
    if not isinstance(found, Mapping):
        return []
    return sorted((str(name), one) for name, one in found.items() if isinstance(one, Mapping))


def read_file_part(asset_key: str, asset: Mapping[str, Any]) -> FilePart | UnusableFile:
    """Read an asset as a file.

    What the asset does not say is taken from the first copy on another node that does.

    Args:
        asset_key: its key in the item.
        asset: the asset.

    Returns:
        The file, or the first thing that it lacks.
    """
    others = alternates(asset)
    said = _Said(asset, [one for _, one in others])
    url = said.value("href")
    name = _file_name(url)
    if not name:
        shown = public_url(url)[:200] if isinstance(url, str) else repr(url)[:200]
        return UnusableFile(
            asset_key,
            PidReason.MISSING_DOWNLOAD_URL,
            f"asset {asset_key}: href {shown!r} is no web address of a file",
        )
    size = _size(said.value("file:size"))
    if size is None:
        return UnusableFile(
            asset_key,
            PidReason.MISSING_FILE_SIZE,
            f"asset {asset_key}: file:size {repr(said.value('file:size'))[:60]} "
            "is no number of bytes above 0",
        )
    checksum = said.value("file:checksum")
    if not isinstance(checksum, str) or not checksum.strip() or len(checksum) > _LONGEST_CHECKSUM:
        return UnusableFile(
            asset_key,
            PidReason.INVALID_CHECKSUM,
            f"asset {asset_key}: file:checksum {repr(checksum)[:60]} is no checksum",
        )
    method, digest, doubts, warnings = _read_checksum(asset_key, checksum)
    urls = {one["href"] for _, one in others if is_web_address(one.get("href"))}
    fields: dict[str, object] = {
        "AGGREGATION_LEVEL": "FILE",
        "FILE_NAME": name,
        "CHECKSUM": digest,
        "CHECKSUM_METHOD": method,
        "FILE_SIZE": size,
        "DOWNLOAD_URL": url,
        "REPLICA_DOWNLOAD_URLS": sorted(urls - {url}),
    }
    return FilePart(asset_key, fields, doubts, warnings)


@dataclass(frozen=True, slots=True)
class _Said:
    asset: Mapping[str, Any]
    others: list[Mapping[str, Any]]

    def value(self, key: str) -> Any:
        """What the asset says, else the first copy that does."""
        for one in (self.asset, *self.others):
            if one.get(key):
                return one[key]
        return self.asset.get(key)


def _read_checksum(
    asset_key: str, text: str
) -> tuple[str, str, tuple[tuple[PidReason, str], ...], tuple[str, ...]]:
    read = parse_checksum(text)
    if isinstance(read, UnreadChecksum):
        doubt = (PidReason.INVALID_CHECKSUM, f"asset {asset_key}: {read.why}")
        return UNKNOWN_METHOD, text.strip(), (doubt,), ()
    warnings = (f"asset {asset_key}: {read.warning}",) if read.warning else ()
    if read.method not in CHECKSUM_METHODS:
        known = ", ".join(sorted(CHECKSUM_METHODS))
        problem = f"asset {asset_key}: the checksum's method {read.method} is none of {known}"
        return read.method, read.digest, ((PidReason.INVALID_CHECKSUM, problem),), warnings
    return read.method, read.digest, (), warnings


def _size(value: object) -> int | None:
    if isinstance(value, str):
        size = int(value) if _DIGITS.fullmatch(value) else 0
    elif isinstance(value, float):
        size = int(value) if value.is_integer() else 0
    else:
        size = value if isinstance(value, int) and not isinstance(value, bool) else 0
    return size if 0 < size <= _LARGEST_SIZE else None


def _file_name(url: object) -> str:
    if not isinstance(url, str) or not is_web_address(url):
        return ""
    return urlsplit(url).path.rpartition("/")[2]
