"""An HTTP server that keeps files as real ones do: with ETags, tokens, and habits of their own.

`RangeServer` serves a folder and spoils answers; this one has its files in memory, where a test
may replace them, and remembers the headers of each request.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    """Decoded, without query and the slash in front."""
    raw_path: str
    """As it was sent, without query."""
    query: str
    headers: dict[str, str]
    """By names in lower case."""
    sent: int
    """Bytes of the body of its answer."""


@dataclass
class SceneServer:
    """Files, and how they are served. Change it between requests, from any thread."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by path."""
    allows: Callable[[str], bool] = lambda _query: True
    """Whether a query is good; else 403."""
    refusal: bytes = b"expired"
    """The body of that answer."""
    knows_ranges: bool = True
    """Else whole files are sent, with status 200."""
    with_etags: bool = True
    url: str = ""
    """Of the server, without a slash at the end."""
    asked: list[Asked] = field(default_factory=list)
    """All requests, oldest first."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, path: str, query: str = "") -> str:
        """The address of a file; the path is sent as it is given."""
        return f"{self.url}/{path}{'?' if query else ''}{query}"


@contextmanager
def scene_server(**files: bytes) -> Iterator[SceneServer]:
    """Serve while a block runs; further files may be put into `files`."""
    scenes = SceneServer(files)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.scenes = scenes
    with serving(server) as scenes.url:
        yield scenes


class _Server(ThreadingHTTPServer):
    scenes: SceneServer
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False  # connections that a reader keeps must not keep us


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""

    def _answer(self) -> None:
        scenes = self.server.scenes
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        content = scenes.files.get(path)
        own: dict[str, str] = {}
        if not scenes.allows(parts.query):
            status, body = 403, scenes.refusal
        elif content is None:
            status, body = 404, b"nothing here"
        else:
            status, body, own = self._part(content, headers)
        with scenes.lock:
            asked = Asked(path, parts.path, parts.query, headers, len(body))
            scenes.asked.append(asked)
        self.send_response(status)
        for name, value in {**own, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _part(self, content: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        scenes = self.server.scenes
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        own = {"ETag": tag} if scenes.with_etags else {}
        if "if-match" in headers and scenes.with_etags and headers["if-match"] != tag:
            return 412, b"changed", {}
        wanted = headers.get("range", "")
        if not wanted.startswith("bytes=") or not scenes.knows_ranges:
            return 200, content, own
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        if start >= len(content):
            return 416, b"", {"Content-Range": f"bytes */{len(content)}"}
        own["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        return 206, content[start:stop], own
