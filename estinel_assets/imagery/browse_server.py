"""Serves a store's catalogue to a browser, with the package's own page.

For one person at their own machine, from a store of any kind, private buckets included: the
server reads with the credentials that it has. It only reads, and only what `browse_paths` lets
through. To serve many people, publish the store's folder or bucket instead.
"""

import ipaddress
import socket
import socketserver
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from typing import Any, Literal
from urllib.parse import urlsplit

from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.imagery.browse_paths import (
    SECURITY_HEADERS,
    ByteRange,
    asked_for,
    matches,
    parse_range,
    quoted_etag,
    store_type,
)
from estinel_assets.imagery.layout import CATALOG, INDEX, PAGE
from estinel_assets.imagery.page_files import page_file
from estinel_assets.logs import get_logger
from estinel_assets.storage.port import ObjectMeta, ObjectStore

IDLE_S = 60.0
"""A connection that asks for nothing for this long is closed."""
BODY_BYTES = 64 * 1024
"""Of a request, which has no use for one; a connection that brings more is closed."""
WHOLE_BYTES = 8 * 2**20
"""Objects up to this size are read in one request; larger ones in parts of this size."""

_DOCUMENTS = "no-cache"  # may be kept, and is asked for again each time
_IMAGES = "private, max-age=300"

log = get_logger(__name__)


class BrowseServer(socketserver.ThreadingMixIn, HTTPServer):
    """Answers each connection in a thread of its own; `open_server` makes one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, store: ObjectStore, host: str, port: int) -> None:
        self.store = store
        self.host = host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking a name server for the host's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where the catalogue is."""
        host = self.host if self.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/{PAGE}/"

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return _is_loopback(self.host)

    def may_be_called(self, host: str | None) -> bool:
        """Whether a request under this name is meant for us.

        A page from elsewhere may let its own name lead to this machine, and would then read what
        we serve. So a server that only this machine reaches answers to this machine's names only.

        Args:
            host: the `Host` header.
        """
        if not self.is_private:
            return True
        try:
            name = urlsplit(f"//{host or ''}").hostname
        except ValueError:
            return False
        return name is not None and _is_loopback(name)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what ended a connection; a browser that goes away is no error."""
        error = sys.exc_info()[1]
        if isinstance(error, (ConnectionError, TimeoutError)):
            log.debug("a connection broke")
        else:
            log.error("internal error", exc_info=error)


def open_server(store: ObjectStore, *, host: str = "127.0.0.1", port: int = 0) -> BrowseServer:
    """Bind a server; it answers once `serve_forever` runs.

    Args:
        store: what to show.
        host: address to listen at.
        port: 0 for a free one.

    Raises:
        BadInputError: the address cannot be used, or the port is taken.
    """
    try:
        return BrowseServer(store, host, port)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInputError(
            f"cannot listen at {host}, port {port} ({reason}); "
            "give another --port or --host, or end what uses it"
        ) from None


def check_catalogue(store: ObjectStore) -> None:
    """Make sure that there is something to show.

    Raises:
        BadInputError: the store holds no catalogue.
        StoreError: the store cannot be reached.
    """
    for path in (INDEX, CATALOG):
        with suppress(NotFoundError):
            store.head(path)
            return
    raise BadInputError(
        f"{store.url} holds no catalogue ({INDEX} is missing): make one with `estinel update`, or "
        "name another store with --config or ESTINEL_STORE_URL"
    )


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: BrowseServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def do_GET(self) -> None:
        """Answer, with the body."""
        self._drop_body()
        if not self.server.may_be_called(self.headers.get("Host")):
            self._say(HTTPStatus.MISDIRECTED_REQUEST)
            return
        asked = asked_for(self.path)
        try:
            if asked.kind == "redirect":
                self._say(HTTPStatus.FOUND, {"Location": asked.name})
            elif asked.kind == "page":
                self._send_page(asked.name)
            elif asked.kind == "store":
                self._send_object(asked.name)
            else:
                self._say(HTTPStatus.NOT_FOUND)
        except NotFoundError:
            self._say(HTTPStatus.NOT_FOUND)
        except StoreError as error:
            log.warning("the store did not answer", path=asked.name, problem=str(error))
            self._say(HTTPStatus.BAD_GATEWAY)

    do_HEAD = do_GET  # noqa: N815 - `_send` leaves out the body

    def _refuse(self) -> None:
        self._drop_body()
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD", "Connection": "close"})

    def _drop_body(self) -> None:
        """Read a request's body, or its bytes would be taken for the next request."""
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) <= BODY_BYTES:
            self.rfile.read(int(length))
        else:
            self.close_connection = True
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True

    do_DELETE = do_OPTIONS = do_PATCH = do_POST = do_PUT = _refuse  # noqa: N815

    def _send_page(self, name: str) -> None:
        file = page_file(name)
        if file is None:
            self._say(HTTPStatus.NOT_FOUND)
            return
        version = _Version(
            file.content_type, quoted_etag(file.sha256[:32]), _DOCUMENTS, len(file.body)
        )
        self._send(version, lambda part: iter((file.body[part.start : part.stop],)))

    def _send_object(self, path: str) -> None:
        store = self.server.store
        # Most requests are for pictures, all of them small: one question to the store each.
        meta = None if path.endswith(".png") and self._wants_whole() else store.head(path)
        if meta is None or (meta.size <= WHOLE_BYTES and self._wants_whole()):
            stored = store.get(path)
            whole = stored.data
            self._send(_version(stored.meta), lambda part: iter((whole[part.start : part.stop],)))
        else:
            self._send(_version(meta), lambda part: _parts(store, meta, part))

    def _wants_whole(self) -> bool:
        asks_more = "Range" in self.headers or "If-None-Match" in self.headers
        return self.command == "GET" and not asks_more

    def _send(self, version: "_Version", read: Callable[[ByteRange], Iterator[bytes]]) -> None:
        headers = {"ETag": version.etag, "Cache-Control": version.cache_control}
        if matches(self.headers.get("If-None-Match"), version.etag):
            self._start(HTTPStatus.NOT_MODIFIED, headers)
            return
        part = self._asked_part(version)
        if part == "unsatisfiable":
            self._say(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                {"Content-Range": f"bytes */{version.size}"},
            )
            return
        wanted = part or ByteRange(0, version.size)
        # The first bytes come before the status, which a store that refuses would change.
        chunks = read(wanted) if self.command == "GET" else iter(())
        first = next(chunks, b"")
        headers |= {
            "Content-Type": version.content_type,
            "Content-Length": str(wanted.stop - wanted.start),
            "Accept-Ranges": "bytes",
        }
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{version.size}"
        self._start(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT, headers)
        self._write_body(chain((first,), chunks), version)

    def _asked_part(self, version: "_Version") -> "ByteRange | Literal['unsatisfiable'] | None":
        if self.command != "GET" or self.headers.get("If-Range", version.etag) != version.etag:
            return None
        return parse_range(self.headers.get("Range"), version.size)

    def _write_body(self, chunks: Iterable[bytes], version: "_Version") -> None:
        try:
            for chunk in chunks:
                self.wfile.write(chunk)
        except StoreError as error:
            # The status is out; a body that ends too early is what tells the reader.
            log.warning("an object broke off", etag=version.etag, problem=str(error))
            self.close_connection = True

    def _start(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, **SECURITY_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _say(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> None:
        """Answer with nothing but a status."""
        body = f"{status.value} {status.phrase}\n".encode()
        fixed = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
        }
        self._start(status, {**fixed, **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot be read; the base's own answer would quote it."""
        del message, explain
        self._say(HTTPStatus(code), {"Connection": "close"})

    def version_string(self) -> str:
        """What the `Server` header says: no versions."""
        return "estinel"

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base's name
        """Log a request, where everything is logged."""
        log.debug("browse", request=format % values)


@dataclass(frozen=True, slots=True)
class _Version:
    """What the headers of an answer say of its body."""

    content_type: str
    etag: str
    """Quoted."""
    cache_control: str
    size: int
    """Bytes of the whole."""


def _version(meta: ObjectMeta) -> _Version:
    cache_control = _DOCUMENTS if meta.path.startswith(f"{PAGE}/") else _IMAGES
    return _Version(store_type(meta.path), quoted_etag(meta.etag), cache_control, meta.size)


def _parts(store: ObjectStore, meta: ObjectMeta, part: ByteRange) -> Iterator[bytes]:
    """The bytes of a range, some MB at a time, of one version of the object.

    Raises:
        StoreError: another version stands there by now; the reader must not take its bytes.
    """
    for start in range(part.start, part.stop, WHOLE_BYTES):
        stop = min(start + WHOLE_BYTES, part.stop)
        chunk = store.get_range(meta.path, start, stop - start)
        if stop == part.stop and store.head(meta.path).etag != meta.etag:
            raise StoreError(f"{store.uri(meta.path)} changed while it was read; read it again")
        yield chunk


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
