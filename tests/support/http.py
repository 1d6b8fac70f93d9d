"""A threaded HTTP server for tests: a folder with byte ranges, and misbehaviour on request.

It listens on 127.0.0.1 at a free port, keeps connections alive, ignores queries (so that signed
addresses can be tried), and remembers every request::

    with RangeServer(folder) as server:
        server.misbehave("scene/B04.tif", Misbehaviour(status=503, times=2))
        read(server.url("scene/B04.tif"))
        assert server.count("scene/B04.tif") == 5

rasterio holds the interpreter's lock while GDAL looks for a mask at the end of a file, so a server
in the same process cannot answer that request before it times out: serve files with their
directories in front, as COGs have them.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """What goes wrong with the requests for one path. Everything set here happens."""

    status: int | None = None
    """Answer with this status and a short body instead of the file."""
    delay_s: float = 0.0
    """Wait this long before the answer, or until the path is served properly again."""
    file_ends_at: int | None = None
    """Serve the file as if it had only this many bytes."""
    body_stops_after: int | None = None
    """Announce the whole body, send this many bytes of it, then close the connection."""
    reset: bool = False
    """Reset the connection (RST) instead of an answer."""
    after: int = 0
    """Leave this many requests in peace first."""
    times: int | None = None
    """Then spoil this many; None = all that follow."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    """Decoded, relative to the folder, without query."""
    query: str
    range: str | None
    """The `Range` header."""


class RangeServer:
    """Serves a folder; use as a context manager. All methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._requests: list[Request] = []
        self._bytes_sent = 0
        self._misbehaviours: dict[str, Misbehaviour] = {}
        self._seen: dict[str, int] = {}
        self._connections: set[socket.socket] = set()
        self._closing = False
        self._server: _Server | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._stack.enter_context(serving(self._server))
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            connections = list(self._connections)
        for connection in connections:  # clients that keep theirs alive must not keep us waiting
            _hang_up(connection)
        self._stack.close()

    @property
    def port(self) -> int:
        assert self._server is not None, "the server is not running: use it in a with statement"
        return self._server.server_address[1]

    def url(self, path: str = "") -> str:
        """The address of a path below the folder."""
        return f"http://127.0.0.1:{self.port}/{quote(path)}"

    def misbehave(self, path: str, misbehaviour: Misbehaviour) -> None:
        """Spoil the requests for a path from now on."""
        with self._lock:
            self._misbehaviours[path] = misbehaviour
            self._seen[path] = 0

    def behave(self, path: str) -> None:
        """Serve a path properly again."""
        with self._changed:
            self._misbehaviours.pop(path, None)
            self._changed.notify_all()

    @property
    def requests(self) -> list[Request]:
        """All requests so far, oldest first."""
        with self._lock:
            return list(self._requests)

    @property
    def bytes_sent(self) -> int:
        """Bytes of bodies sent so far."""
        with self._lock:
            return self._bytes_sent

    def count(self, path: str | None = None) -> int:
        """How many requests came so far, for one path or for all."""
        return sum(path is None or request.path == path for request in self.requests)

    def forget(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._requests.clear()
            self._bytes_sent = 0

    def _note(self, request: Request) -> Misbehaviour:
        with self._lock:
            self._requests.append(request)
            misbehaviour = self._misbehaviours.get(request.path)
            if misbehaviour is None:
                return Misbehaviour()
            seen = self._seen[request.path]
            self._seen[request.path] = seen + 1
        spoiled = seen - misbehaviour.after
        if spoiled < 0 or (misbehaviour.times is not None and spoiled >= misbehaviour.times):
            return Misbehaviour()
        return misbehaviour

    def _closes_within(self, delay_s: float, path: str) -> bool:
        """Keep a request waiting; whether the server is closed meanwhile."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or path not in self._misbehaviours, delay_s
            )
            return self._closing

    def _sent(self, count: int) -> None:
        with self._lock:
            self._bytes_sent += count

    @contextmanager
    def _connected(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._connections.add(connection)
            if self._closing:
                _hang_up(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    owner: RangeServer
    daemon_threads = False  # so that closing waits for the handlers and leaves no socket behind
    block_on_close = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with self.server.owner._connected(self.connection):
            super().handle()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""

    def _answer(self) -> None:
        owner = self.server.owner
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        wanted = self.headers.get("Range")
        spoiled = owner._note(Request(self.command, path, parts.query, wanted))
        if spoiled.delay_s and owner._closes_within(spoiled.delay_s, path):
            self.close_connection = True
            return
        if spoiled.reset:
            self._reset()
            return
        if spoiled.status is not None:
            self._refuse(spoiled.status)
            return
        file = (owner.folder / path).resolve()
        if not file.is_relative_to(owner.folder) or not file.is_file():
            self._refuse(404)
            return
        self._send_file(file, wanted, spoiled)

    def _send_file(self, file: Path, wanted: str | None, spoiled: Misbehaviour) -> None:
        content = file.read_bytes()[: spoiled.file_ends_at]
        start, stop = 0, len(content)
        if wanted is not None and wanted.startswith("bytes=") and "," not in wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            if first:
                start, stop = int(first), min(int(last) + 1 if last else stop, stop)
            else:
                start = max(stop - int(last), 0)
            if start >= len(content):
                self._refuse(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = content[start:stop]
        if spoiled.body_stops_after is not None and spoiled.body_stops_after < len(body):
            body = body[: spoiled.body_stops_after]
            self.close_connection = True
        self.wfile.write(body)
        self.server.owner._sent(len(body))

    def _refuse(self, status: int) -> None:
        body = f"status {status}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        # A linger of zero seconds makes close() send RST; it has to come before any shutdown().
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())
