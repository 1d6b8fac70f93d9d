"""A small world of logins on this machine: an archive and Earthdata Login, in one server.

The archive is `127.0.0.1`, the login `localhost`: two hosts as far as cookies and credentials go.
"""

import base64
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the server saw it."""

    host: str
    path: str
    headers: dict[str, str]


@dataclass
class LoginServer:
    """Serves files of a folder to those who have logged in; use as a context manager."""

    folder: Path
    username: str = "somebody"
    password: str = "open sesame"
    token: str = "a-token"
    gives_cookies: bool = True
    """Without cookies the login leads nowhere."""
    seen: list[Seen] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                world._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._stack.enter_context(serving(self._server))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def port(self) -> int:
        assert self._server is not None, "the server is not running: use it in a with statement"
        return int(self._server.server_address[1])

    def archive(self, path: str) -> str:
        """Address of a file that needs a login."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def sent_to(self, host: str, header: str) -> set[str]:
        """What a host was sent in a header."""
        return {seen.headers[header] for seen in self.seen if seen.host == host} - {""}

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        host = request.headers["Host"].split(":")[0]
        path = urlsplit(request.path).path.lstrip("/")
        headers = {name: request.headers.get(name, "") for name in ("Authorization", "Cookie")}
        self.seen.append(Seen(host, path, headers))
        if host == "localhost":
            self._log_in(request, headers["Authorization"])
        elif path == "redirect":
            cookie = "session=yes; Path=/" if self.gives_cookies else None
            target = urlsplit(request.path).query.removeprefix("to=")
            _reply(request, 302, location=f"http://127.0.0.1:{self.port}/{target}", cookie=cookie)
        elif "session=yes" not in headers["Cookie"] and path.startswith("bearer/"):
            self._send(request, path, allowed=headers["Authorization"] == f"Bearer {self.token}")
        elif "session=yes" not in headers["Cookie"]:
            _reply(request, 302, location=f"http://localhost:{self.port}/oauth?to={path}")
        elif path == "s3credentials":
            given = {"accessKeyId": "AKID", "secretAccessKey": "sk", "sessionToken": "st"}
            _reply(request, 200, json.dumps(given).encode())
        else:
            self._send(request, path, allowed=True)

    def _log_in(self, request: BaseHTTPRequestHandler, authorization: str) -> None:
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        target = urlsplit(request.path).query.removeprefix("to=")
        if authorization in {f"Basic {basic}", f"Bearer {self.token}"}:
            _reply(request, 302, location=f"http://127.0.0.1:{self.port}/redirect?to={target}")
        else:
            _reply(request, 200, b"<!DOCTYPE html><form>Log in</form>")

    def _send(self, request: BaseHTTPRequestHandler, path: str, *, allowed: bool) -> None:
        if not allowed:
            _reply(request, 401)
            return
        content = (self.folder / path).read_bytes()
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, len(content))
        span = f"bytes {start}-{stop - 1}/{len(content)}"
        _reply(request, 206, content[start:stop], content_range=span)


def _reply(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes = b"",
    *,
    location: str | None = None,
    cookie: str | None = None,
    content_range: str | None = None,
) -> None:
    request.send_response(status)
    for name, value in (
        ("Location", location),
        ("Set-Cookie", cookie),
        ("Content-Range", content_range),
        ("Content-Length", str(len(body))),
    ):
        if value is not None:
            request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
