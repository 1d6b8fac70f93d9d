"""Bytes of files by ranges: local ones, and those behind HTTP or S3.

Remote files are read by obstore, one connection pool a server. Its messages quote whole addresses,
signatures included, so nothing of them is passed on. It does not repeat a request by itself:
`tries` does, which can tell what is worth it.
"""

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import obstore
from botocore.exceptions import BotoCoreError
from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import HTTPStore, S3Store

from estinel_assets.errors import SourceFault
from estinel_assets.raster.failures import fault_of_status, unreadable

if TYPE_CHECKING:
    import boto3
    from obstore.store import ClientConfig, RetryConfig, S3Config

S3Access = Literal["signed", "anonymous", "requester-pays"]
"""How `s3://` is read: with credentials, without, or with credentials of who pays for it."""

_STORES_KEPT: Final = 64
"""Connection pools. Each signature that a server gives for all its files needs one of its own."""
_CREDENTIALS_KEPT: Final = timedelta(minutes=8)
"""Less than the ten minutes within which botocore renews credentials that expire."""

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_TIMED_OUT = re.compile(r"kind: Timeout|source: TimedOut|timed out", re.IGNORECASE)
_BEYOND_THE_END: Final = 416
_MEANT_ENCODED = re.compile("%2[bf]", re.IGNORECASE)
"""Plus and slash, which obstore would send as they are: S3 takes the first for a space."""


class RangeError(Exception):
    """A range cannot be had; `fault` says why. It carries no text, least of all an address."""

    def __init__(self, fault: SourceFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class NotByRangesError(Exception):
    """The file cannot be read by ranges here, though perhaps in another way; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of a file, and what the file was when they were read."""

    content: bytes | memoryview
    """Fewer than asked for at the file's end."""
    size: int | None
    """Of the file, bytes; None where the range lies beyond its end."""
    etag: str | None
    """Changes whenever the content does; None where the server gives none."""


class RangeFile(Protocol):
    """A file of which ranges can be read, from many threads."""

    def read(self, offset: int, length: int) -> Answer:
        """Read a range.

        Raises:
            RangeError: it cannot be had.
            NotByRangesError: its server gives only whole files.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine."""

    path: Path

    def read(self, offset: int, length: int) -> Answer:
        """See `RangeFile.read`."""
        try:
            with self.path.open("rb", buffering=0) as opened:
                status = os.fstat(opened.fileno())
                # One call reads at most 2 GB; ours are smaller.
                content = os.pread(opened.fileno(), length, offset)
        except (FileNotFoundError, ValueError):  # no file can have a name that is no text
            raise RangeError(SourceFault.NOT_FOUND) from None
        except PermissionError:
            raise RangeError(SourceFault.FORBIDDEN) from None
        except OSError:
            raise RangeError(SourceFault.UNAVAILABLE) from None
        return Answer(content, status.st_size, f"{status.st_mtime_ns}-{status.st_ino}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file behind HTTP or S3."""

    store: HTTPStore | S3Store = field(repr=False)
    path: str

    def read(self, offset: int, length: int) -> Answer:
        """See `RangeFile.read`."""
        try:
            found = obstore.get(self.store, self.path, options={"range": (offset, offset + length)})
            return Answer(
                memoryview(found.bytes()), int(found.meta["size"]), found.meta.get("e_tag")
            )
        except NotSupportedError:
            raise NotByRangesError("its server gives only whole files") from None
        except (BaseError, OSError, ValueError) as error:
            fault = _fault(error)
        if fault is None:
            return Answer(b"", None, None)
        raise RangeError(fault)


def _fault(error: Exception) -> SourceFault | None:
    """What obstore's exception means; None where the range lies beyond the file's end."""
    if isinstance(error, FileNotFoundError):
        return SourceFault.NOT_FOUND
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return SourceFault.FORBIDDEN
    text = str(error)
    status = _STATUS.search(text)
    if status is not None:
        number = int(status.group(1))
        return None if number == _BEYOND_THE_END else fault_of_status(number)
    return SourceFault.TIMEOUT if _TIMED_OUT.search(text) else SourceFault.UNAVAILABLE


class RangeFiles:
    """Opens files by their addresses. Safe to use from many threads."""

    def __init__(
        self,
        *,
        timeout_s: float = 30.0,
        s3_access: S3Access = "signed",
        s3_region: str | None = None,
        s3_endpoint_url: str | None = None,
        aws_session: "boto3.Session | None" = None,
    ) -> None:
        """Open nothing yet.

        Args:
            timeout_s: longest wait for one answer of a server, its body included.
            s3_access: how `s3://` is read.
            s3_region: of the buckets; else the session's.
            s3_endpoint_url: an S3 server other than AWS, addressed path-style.
            aws_session: gives the credentials for `s3://`; None = those boto3 finds by itself.
        """
        self._client: ClientConfig = {
            "allow_http": True,
            "connect_timeout": timedelta(seconds=timeout_s),
            "timeout": timedelta(seconds=timeout_s),
        }
        self._s3_access = s3_access
        self._s3_region = s3_region
        self._s3_endpoint_url = s3_endpoint_url
        self._session = aws_session
        self._lock = threading.Lock()
        self._stores: OrderedDict[str, HTTPStore | S3Store] = OrderedDict()

    def open(self, href: str) -> RangeFile:
        """Open a file; nothing is asked yet.

        Args:
            href: `http(s)://`, `s3://`, `file://` or a path.

        Raises:
            PermanentError: addresses of this kind cannot be read.
            NotByRangesError: this one can, but not here.
            RangeError: there are no credentials for it, or nothing can stand at such an address.
        """
        if "://" not in href:
            return LocalFile(Path(href))
        try:
            parts = urlsplit(href)
        except ValueError:  # such as a host with one bracket
            raise RangeError(SourceFault.NOT_FOUND) from None
        match parts.scheme:
            case "file":
                return LocalFile(Path(unquote(parts.path)))
            case "http" | "https":
                path = _plain(_decoded(parts.path))
                # The query, which may be a signature, goes with every request of the pool.
                root = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
                return RemoteFile(self._kept(root, lambda: self._http(root)), path)
            case "s3":
                # A key is taken as it stands: nothing in it is encoded, nor a query.
                bucket, _, key = href.removeprefix("s3://").partition("/")
                path = _plain(key)
                return RemoteFile(self._kept(f"s3:{bucket}", lambda: self._s3(bucket)), path)
        raise unreadable(href, parts.scheme)

    def _kept(self, root: str, make: Callable[[], HTTPStore | S3Store]) -> HTTPStore | S3Store:
        with self._lock:
            store = self._stores.get(root)
            if store is None:
                store = self._stores[root] = make()
            self._stores.move_to_end(root)
            while len(self._stores) > _STORES_KEPT:
                self._stores.popitem(last=False)
        return store

    def _http(self, root: str) -> HTTPStore:
        try:
            return HTTPStore.from_url(root, client_options=self._client, retry_config=_no_retries())
        except ValueError:  # such as a port beyond 65,535; its text is the address
            raise RangeError(SourceFault.NOT_FOUND) from None

    def _s3(self, bucket: str) -> S3Store:
        config: S3Config = {"virtual_hosted_style_request": False}
        if self._s3_region is not None:
            config["region"] = self._s3_region
        if self._s3_endpoint_url is not None:
            config["aws_endpoint_url_s3"] = self._s3_endpoint_url
        if self._s3_access == "anonymous":
            config["skip_signature"] = True
            return S3Store(
                bucket, config=config, client_options=self._client, retry_config=_no_retries()
            )
        if self._s3_access == "requester-pays":
            config["request_payer"] = True
        # boto3 takes half a second to import, which those who read over HTTP should not pay.
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            session = self._session or boto3.Session()
            if session.get_credentials() is None:
                raise RangeError(SourceFault.FORBIDDEN)
            credentials = Boto3CredentialProvider(session, ttl=_CREDENTIALS_KEPT)
        except BotoCoreError:  # a profile that is not there, a login that is over
            raise RangeError(SourceFault.FORBIDDEN) from None
        return S3Store(
            bucket,
            config=config,
            client_options=self._client,
            retry_config=_no_retries(),
            credential_provider=credentials,
        )


def _decoded(path: str) -> str:
    """The path as text, which obstore encodes again."""
    if not _MEANT_ENCODED.search(path):
        with suppress(UnicodeDecodeError):
            return unquote(path, errors="strict")
    raise NotByRangesError("its address has an unusual path")


def _plain(path: str) -> str:
    """The path as obstore takes it."""
    path = path.removeprefix("/")
    if {"", ".", ".."} & set(path.split("/")):
        raise NotByRangesError("its address has an unusual path")
    return path


def _no_retries() -> "RetryConfig":
    return {"max_retries": 0, "retry_timeout": timedelta(0)}
