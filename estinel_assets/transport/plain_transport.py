"""The standard library's HTTP client under the retry policy, for very many small requests.

It does what they need: kept connections, one document there and one back, proxies of the
environment, redirects of a GET. All else that libraries do for a request takes processor time, and
ten requests a message are most of what a consumer of messages does; docs/decisions/pids.md says
more.
"""

import http.client
import json as json_codec
import queue
import select
import ssl
import time
import urllib.request
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import SplitResult, unquote, urlencode, urljoin, urlsplit

import certifi

from estinel_assets.errors import public_url
from estinel_assets.transport.policy import (
    AnswerTimeoutError,
    ConnectionLostError,
    CorruptAnswerError,
    HttpStatusError,
    RetryPolicy,
    in_circles,
    root_cause,
    unusable,
)

QueryParameters = Mapping[str, str | Sequence[str]]
"""Of an address; a sequence repeats its name."""

_JSON: Final = {"Content-Type": "application/json"}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 20
_KEPT_S: Final = 4.0
"""Idle connections are not used any more before servers with the usual five seconds close them."""
_PIECE: Final = 65_536
_ANY_ZLIB: Final = 47
"""`wbits` with which zlib reads its own form and that of gzip."""


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """An answer, read whole."""

    method: str
    """Of the request."""
    status_code: int
    headers: Mapping[str, str]
    """By name, in any case."""
    content: bytes

    @property
    def text(self) -> str:
        """The body, as UTF-8; what is none becomes a sign for that."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json_codec.loads(self.content)


class PlainTransport:
    """`http.client` under a retry policy. Safe to share between threads."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        timeout_s: float,
        look: Callable[[PlainAnswer], None] | None = None,
    ) -> None:
        """Connect to nobody yet.

        Args:
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            look: sees each answer before anybody else; what it raises is a failure of the try.
        """
        self.policy = policy
        self._timeout_s = timeout_s
        self._look = look
        self._servers: dict[tuple[str, str], _Server] = {}

    def close(self) -> None:
        """Close the idle connections."""
        for server in self._servers.values():
            server.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        params: QueryParameters | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        signed: bool = False,
        hand_back: frozenset[int] = frozenset(),
        on_try: Callable[[], None] | None = None,
        accept: Callable[[PlainAnswer], None] | None = None,
    ) -> PlainAnswer:
        """Send a request under the policy.

        Args:
            method: GET, HEAD, POST…
            url: where to; None of its query appears in messages.
            params: the query, of an address without one.
            headers: of the request.
            json: a document to send as the body.
            signed: see `RetryPolicy.run`.
            hand_back: see `RetryPolicy.run`.
            on_try: called before each try, for those who count them.
            accept: looks at each 2xx answer; when it raises `CorruptAnswerError`, the request is
                tried again.

        Returns:
            A 2xx answer, read whole.

        Raises:
            RetryableError: see `RetryPolicy.run`.
            PermanentError: see `RetryPolicy.run`.
            HttpStatusError: a status in `hand_back`.
            BadInputError: the address is not one that can be requested.
        """
        what = f"{method} {public_url(url)}"
        address = f"{url}?{urlencode(params, doseq=True)}" if params else url
        body = None if json is None else json_codec.dumps(json, ensure_ascii=False).encode()
        sent = {**(headers or {}), **(_JSON if body is not None else {})}

        def one_try(remaining_s: float) -> PlainAnswer:
            if on_try is not None:
                on_try()
            timeout_s = min(self._timeout_s, remaining_s)
            answer = self._followed(method, address, sent, body, timeout_s, what)
            if self._look is not None:
                self._look(answer)
            if not 200 <= answer.status_code < 300:
                raise HttpStatusError.of(answer)
            if accept is not None:
                accept(answer)
            return answer

        return self.policy.run(one_try, what=what, signed=signed, hand_back=hand_back)

    def _followed(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        what: str,
    ) -> PlainAnswer:
        """The answer, of whoever a GET is redirected to."""
        for _ in range(_MOST_REDIRECTS):
            try:
                parts = _checked(address)
                server = self._server(parts)
            except ValueError as error:
                raise unusable(what, error) from None
            answer = server.ask(method, parts, headers, body, timeout_s)
            # A POST that follows a redirect turns into a GET without its body.
            to = answer.headers.get("Location")
            if answer.status_code not in _REDIRECTS or method not in ("GET", "HEAD") or not to:
                return answer
            address = urljoin(address, to)
            if urlsplit(address).netloc != parts.netloc:
                headers = {}  # they may hold what is for the first server only
        raise in_circles(what)

    def _server(self, parts: SplitResult) -> "_Server":
        known = self._servers.get((parts.scheme, parts.netloc))
        if known is None:
            made = _Server(parts, _proxy_for(parts.scheme, parts.hostname or ""))
            known = self._servers.setdefault((parts.scheme, parts.netloc), made)
        return known


@dataclass(slots=True)
class _Server:
    """One server, with the connections to it that nobody uses."""

    parts: SplitResult
    proxy: SplitResult | None
    idle: "queue.LifoQueue[tuple[http.client.HTTPConnection, float]]" = field(
        default_factory=queue.LifoQueue
    )

    def ask(
        self,
        method: str,
        parts: SplitResult,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
    ) -> PlainAnswer:
        """Send a request once.

        Raises:
            AnswerTimeoutError: no answer in time.
            ConnectionLostError: the connection was refused, reset or cut.
            CorruptAnswerError: the answer cannot be unpacked.
        """
        connection = self._connection(timeout_s)
        response: http.client.HTTPResponse | None = None
        ends = time.monotonic() + timeout_s
        keeps = False
        try:
            sent = {**headers, **self._login(parts)}
            connection.request(method, self._target(parts), body, sent)
            response = connection.getresponse()
            content = _whole(response, ends)
            keeps = not response.will_close
        except TimeoutError:
            answer = "answer" if response is None else "whole answer"
            raise AnswerTimeoutError(f"no {answer} within {timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionLostError(f"the connection failed: {root_cause(error)}") from None
        finally:
            if response is not None:
                response.close()
            if keeps:
                self.idle.put((connection, time.monotonic()))
            else:
                connection.close()
        # Finds names in any case, as a mapping of headers does.
        found = cast("Mapping[str, str]", response.headers)
        return PlainAnswer(method, response.status, found, _unpacked(response, content))

    def close(self) -> None:
        """Close what is idle."""
        while True:
            try:
                connection, _ = self.idle.get_nowait()
            except queue.Empty:
                return
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        """A connection that is open, or will be."""
        while True:
            try:
                connection, since = self.idle.get_nowait()
            except queue.Empty:
                return self._made(timeout_s)
            sock = connection.sock
            if sock is not None and time.monotonic() - since < _KEPT_S and not _has_news(sock):
                sock.settimeout(timeout_s)
                return connection
            connection.close()

    def _made(self, timeout_s: float) -> http.client.HTTPConnection:
        via = self.proxy or self.parts
        host, port = via.hostname or "", via.port
        if self.parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        made = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=_tls())
        if self.proxy is not None:
            made.set_tunnel(
                self.parts.hostname or "", self.parts.port, headers=_proxy_login(self.proxy)
            )
        return made

    def _login(self, parts: SplitResult) -> dict[str, str]:
        """For a proxy that sees the request itself."""
        if self.proxy is None or parts.scheme == "https":
            return {}
        return _proxy_login(self.proxy)

    def _target(self, parts: SplitResult) -> str:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if self.proxy is None or parts.scheme == "https":
            return path
        return f"{parts.scheme}://{parts.netloc}{path}"


def _checked(address: str) -> SplitResult:
    """An address, taken apart.

    Raises:
        ValueError: it cannot be requested.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no address of the web")
    _ = parts.port  # is looked at only now
    parts.path.encode("ascii")
    return parts


def _whole(response: http.client.HTTPResponse, ends: float) -> bytes:
    """The body; the limit of a socket is for each piece of it, and pieces may come for ever."""
    pieces = []
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        if time.monotonic() > ends:
            raise TimeoutError
    content = b"".join(pieces)
    if response.length:  # bytes that were announced and have not come
        raise http.client.IncompleteRead(content, response.length)
    return content


def _unpacked(response: http.client.HTTPResponse, content: bytes) -> bytes:
    """The body without the compression that a server may use without being asked to."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", "") or not content:
        return content
    if encoding not in ("gzip", "deflate"):
        raise CorruptAnswerError(f"the answer is packed in a way nobody asked for: {encoding[:20]}")
    try:
        return zlib.decompress(content, _ANY_ZLIB)
    except zlib.error:
        raise CorruptAnswerError("the answer cannot be unpacked") from None


def _has_news(sock: Any) -> bool:
    """Whether an idle connection has something to say, which is that the server has closed it."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def _proxy_for(scheme: str, host: str) -> SplitResult | None:
    """The proxy that the environment names."""
    if urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    return None if not named else urlsplit(named if "://" in named else f"http://{named}")


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _tls() -> ssl.SSLContext:
    """The system's authorities, and those that are shipped where a system has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
