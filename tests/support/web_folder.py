"""A small static web server over a folder, as a bucket or any web host would be one.

It follows links, answers with content types and entity tags, may add headers, answers for absent
pictures where it is told to, and misbehaves on request::

    with WebFolder(folder) as web:
        web.misbehave("catalog/index.json", Misbehaviour(status=404))
        page.goto(web.url("catalog/"))
"""

import mimetypes
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from tests.support.http import Misbehaviour
from tests.support.serving import serving

Absent = Callable[[str], bytes | None]
"""Gives the body for a path without a file; None for a 404."""

_TYPES = {".js": "text/javascript", ".json": "application/json", ".tif": "image/tiff"}
_CACHED = (".png", ".tif", ".js", ".css")


class WebFolder:
    """Serves a folder; use as a context manager. All methods may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        *,
        headers: Mapping[str, str] | None = None,
        absent: Absent | None = None,
    ) -> None:
        self.folder = folder
        self.headers = dict(headers or {})
        self.absent = absent
        self._lock = threading.Lock()
        self._requests: list[str] = []
        self._misbehaviours: dict[str, tuple[Misbehaviour, int]] = {}
        self._closing = threading.Event()
        self._stack = ExitStack()
        self._address = ""

    def __enter__(self) -> Self:
        server = _Server(("127.0.0.1", 0), _Handler)
        server.owner = self
        self._address = self._stack.enter_context(serving(server))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._stack.close()

    def url(self, path: str = "") -> str:
        """The address of a path below the folder."""
        return f"{self._address}/{quote(path, safe='/?=&%')}"

    def misbehave(self, path: str, misbehaviour: Misbehaviour) -> None:
        """Spoil the requests for a path, or for all below a path that ends in a slash."""
        with self._lock:
            self._misbehaviours[path] = misbehaviour, 0

    def behave(self) -> None:
        """Serve everything properly again."""
        with self._lock:
            self._misbehaviours.clear()

    @property
    def requests(self) -> list[str]:
        """The decoded paths of all requests since `forget`, oldest first."""
        with self._lock:
            return list(self._requests)

    def forget(self) -> None:
        """Remember requests anew."""
        with self._lock:
            self._requests.clear()

    def _note(self, path: str) -> Misbehaviour:
        with self._lock:
            self._requests.append(path)
            for key, (misbehaviour, seen) in self._misbehaviours.items():
                if path == key or (key.endswith("/") and path.startswith(key)):
                    self._misbehaviours[key] = misbehaviour, seen + 1
                    spoiled, times = seen - misbehaviour.after, misbehaviour.times
                    if spoiled >= 0 and (times is None or spoiled < times):
                        return misbehaviour
        return Misbehaviour()


class _Server(ThreadingHTTPServer):
    owner: WebFolder
    daemon_threads = True  # a browser keeps its connections alive
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that goes away is part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""

    def _answer(self) -> None:
        owner = self.server.owner
        path = unquote(urlsplit(self.path).path).lstrip("/")
        spoiled = owner._note(path)
        if spoiled.delay_s and owner._closing.wait(spoiled.delay_s):
            self.close_connection = True
            return
        if spoiled.reset:
            self.close_connection = True
            return
        if spoiled.status is not None:
            self._send(spoiled.status, f"status {spoiled.status}\n".encode(), "text/plain")
            return
        if path == "" or path.endswith("/"):
            path += "index.html"
        file = owner.folder / path
        body: bytes | None = None
        if ".." not in path.split("/"):
            if file.is_file():
                body = file.read_bytes()[: spoiled.file_ends_at]
            elif owner.absent is not None:
                body = owner.absent(path)
        if body is None:
            self._send(404, b"not found\n", "text/plain")
            return
        kind = _TYPES.get(file.suffix) or mimetypes.guess_type(path)[0]
        self._send(200, body, kind or "application/octet-stream", spoiled.body_stops_after)

    def _send(self, status: int, body: bytes, kind: str, stops_after: int | None = None) -> None:
        self.send_response(status)
        text = kind.startswith("text/") or kind == "application/json"
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        self.send_header("Content-Length", str(len(body)))
        lasting = status == 200 and urlsplit(self.path).path.endswith(_CACHED)
        self.send_header("Cache-Control", "max-age=600" if lasting else "no-cache")
        for name, value in self.server.owner.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            if stops_after is not None:
                body = body[:stops_after]
                self.close_connection = True
            self.wfile.write(body)
            self.wfile.flush()
