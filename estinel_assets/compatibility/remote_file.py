"""A remote file as local libraries want it: something to seek in and to read from.

HDF5 and GDAL read a few bytes here and a few there. They are given blocks of a file that arrive
by range requests and are kept for a while, so that no file is downloaded whole.
"""

import io
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.signatures import check_is_no_page
from estinel_assets.compatibility.source import Source
from estinel_assets.errors import public_url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore.store import ClientConfig, HTTPStore, LocalStore, RetryConfig, S3Store

BLOCK_BYTES = 1 << 20
"""Bytes asked for at least: what a request to an archive costs is its latency."""
_KEPT_BLOCKS = 64
_TIMEOUT = "20s"
_REGION = "us-west-2"
"""Where NASA's archives in the cloud are."""

_PUBLISH = "publish the file over HTTPS or S3"

SCHEMES = ("https", "http", "s3", "file")
"""What can be read."""


def scheme_of(url: str) -> str:
    """The scheme of an address; empty for one that cannot be read."""
    try:
        return urlsplit(url).scheme
    except ValueError:  # such as a host with one bracket
        return ""


def store_of(source: Source) -> "HTTPStore | S3Store | LocalStore":
    """A store whose root is the address.

    HTTP addresses are taken whole, as the root, since their paths may hold what no store's path
    may: two slashes in a row, percent signs, a query.

    Raises:
        CheckEndedError: `failed_to_extract_url`, the address has another scheme than `SCHEMES`, or
            is none.
    """
    scheme = scheme_of(source.url)
    if scheme not in SCHEMES:
        raise CheckEndedError(
            CompatibilityReason.FAILED_TO_EXTRACT_URL,
            f"the granule's only address is {scheme}://, which TiTiler's readers cannot open"
            if scheme
            else "the granule's only address cannot be read as one",
            _PUBLISH,
        )
    try:
        return _opened_store(source)
    except ValueError as error:
        raise CheckEndedError(
            CompatibilityReason.FAILED_TO_EXTRACT_URL,
            f"the granule's address {public_url(source.url)} cannot be read as one: {error}",
            _PUBLISH,
        ) from None


def _opened_store(source: Source) -> "HTTPStore | S3Store | LocalStore":
    from obstore.store import HTTPStore, LocalStore, S3Store

    parts = urlsplit(source.url)
    client: ClientConfig = {"timeout": _TIMEOUT, "connect_timeout": "10s"}
    retry: RetryConfig = {
        "max_retries": 2,
        "retry_timeout": timedelta(seconds=30),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    if parts.scheme in {"http", "https"}:
        if parts.scheme == "http":
            client["allow_http"] = True
        if source.headers:
            client["default_headers"] = dict(source.headers)
        return HTTPStore(source.url, client_options=client, retry_config=retry)
    if parts.scheme == "s3":
        config = {"region": _REGION, **source.s3}
        if not any(name.endswith("access_key_id") for name in config):
            config["skip_signature"] = "true"
        if config.get("endpoint", "").startswith("http://"):
            client["allow_http"] = True
        return S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=config,  # type: ignore[arg-type] # its names are obstore's
            client_options=client,
            retry_config=retry,
        )
    return LocalStore(unquote(parts.path))


def _file_in_store(source: Source) -> "tuple[HTTPStore | S3Store | LocalStore, str]":
    """A store that has the file, and the file's path in it."""
    scheme = scheme_of(source.url)
    if scheme not in {"s3", "file"}:
        return store_of(source), ""
    parts = urlsplit(source.url)
    if scheme == "s3":
        return store_of(replace(source, url=f"s3://{parts.netloc}")), parts.path.lstrip("/")
    folder, _, name = parts.path.rpartition("/")
    return store_of(replace(source, url=f"file://{folder or '/'}")), unquote(name)


class RemoteFile:
    """Blocks of a file, shared by all its readers; not for use from several threads.

    Attributes:
        size: bytes of the whole file.
        head: its first bytes, at most `BLOCK_BYTES`.
        failure: the latest error of a transfer. Libraries in C swallow it or turn it into
            something else, so whoever reads through them looks here afterwards.
    """

    def __init__(self, source: Source) -> None:
        """Read the head: one request, which also tells the size.

        Raises:
            CheckEndedError: as `store_of`; or a web page came in place of the file.
            obstore.exceptions.BaseError, OSError: the server or the file system refused.
        """
        import obstore
        from obstore.exceptions import NotSupportedError

        self._store, self._path = _file_in_store(source)
        try:
            got = obstore.get(self._store, self._path, options={"range": (0, BLOCK_BYTES)})
        except NotSupportedError:
            # A server without ranges, or a form for a login, which has none either.
            check_is_no_page(self._beginning())
            raise
        self.size = int(got.meta["size"])
        self.head = bytes(got.bytes())
        self.failure: Exception | None = None
        self._blocks: OrderedDict[int, bytes] = OrderedDict({0: self.head})

    def _beginning(self) -> bytes:
        """The first bytes of whatever comes when no range is asked for."""
        import obstore

        return bytes(next(iter(obstore.get(self._store, self._path).stream()), b""))

    def reader(self) -> "RangeReader":
        """A file object with a position of its own."""
        return RangeReader(self)

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the file, fewer at its end.

        Raises:
            obstore.exceptions.BaseError, OSError: as for the head; `failure` keeps it.
        """
        stop = min(start + length, self.size)
        if stop <= start:
            return b""
        first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
        blocks = self._fetched(first, last)
        offset = start - first * BLOCK_BYTES
        return b"".join(blocks)[offset : offset + stop - start]

    def _fetched(self, first: int, last: int) -> list[bytes]:
        """Blocks from the first to the last; what is missing in between comes in one request."""
        missing = [index for index in range(first, last + 1) if index not in self._blocks]
        fetched: dict[int, bytes] = {}
        if missing:
            begin = missing[0] * BLOCK_BYTES
            span = self._request(begin, min((missing[-1] + 1) * BLOCK_BYTES, self.size))
            for index in range(missing[0], missing[-1] + 1):
                offset = index * BLOCK_BYTES - begin
                fetched[index] = span[offset : offset + BLOCK_BYTES]
        blocks = [
            fetched[index] if index in fetched else self._blocks[index]
            for index in range(first, last + 1)
        ]
        for index, block in zip(range(first, last + 1), blocks, strict=True):
            self._blocks[index] = block
            self._blocks.move_to_end(index)
        while len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return blocks

    def _request(self, start: int, stop: int) -> bytes:
        import obstore
        from obstore.exceptions import BaseError

        try:
            return bytes(obstore.get_range(self._store, self._path, start=start, end=stop))
        except (BaseError, OSError) as error:
            self.failure = error
            raise


class RangeReader(io.RawIOBase):
    """One position in a `RemoteFile`."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0

    @property
    def mode(self) -> str:
        """As a file's; xarray's type of a file has it."""
        return "rb"

    def __enter__(self) -> Self:
        return self

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """See `io.RawIOBase.readinto`; fills the buffer, except at the end of the file."""
        view = memoryview(buffer).cast("B")
        found = self._file.read(self._position, len(view))
        view[: len(found)] = found
        self._position += len(found)
        return len(found)


class GdalReader(RangeReader):
    """A reader that ends where a transfer fails: GDAL aborts on a Python error in a read."""

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """See `RangeReader.readinto`; the error stands in `RemoteFile.failure`."""
        from obstore.exceptions import BaseError

        try:
            return super().readinto(buffer)
        except (BaseError, OSError):
            return 0
