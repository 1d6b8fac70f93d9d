"""urllib3 under the retry policy, for very many small requests to one service.

It costs less than half the processor time that httpx takes for a request, and there are a hundred
thousand of them in an hour of registering handles.
"""

import json as json_codec
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import certifi
import urllib3
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ResponseError,
)

from estinel_assets.errors import public_url
from estinel_assets.transport.policy import (
    AnswerTimeoutError,
    ConnectionLostError,
    HttpStatusError,
    RetryPolicy,
    in_circles,
    root_cause,
    unusable,
)

QueryParameters = Mapping[str, str | Sequence[str]]
"""Of an address; a sequence repeats its name."""

_JSON = {"Content-Type": "application/json"}
# Only redirects: all else is the policy's.
_FOLLOW = urllib3.Retry(total=None, connect=False, read=False, status=0, other=False, redirect=20)


@dataclass(frozen=True, slots=True)
class Urllib3Answer:
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


class _SlowBodyError(Exception):
    """The pieces of a body come in time, and all of it does not."""


class Urllib3Transport:
    """`urllib3` under a retry policy. Safe to share between threads."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        timeout_s: float,
        at_once: int = 32,
        look: Callable[[Urllib3Answer], None] | None = None,
    ) -> None:
        """Make a pool of connections; none is opened yet.

        Args:
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            at_once: connections that are kept for the next request.
            look: sees each answer before anybody else; what it raises is a failure of the try.
        """
        self.policy = policy
        self._timeout_s = timeout_s
        self._at_once = at_once
        self._look = look
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        """By scheme and host."""

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.clear()

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
        accept: Callable[[Urllib3Answer], None] | None = None,
    ) -> Urllib3Answer:
        """Send a request under the policy.

        Args:
            method: GET, HEAD, POST…
            url: where to, without a query; None of its query appears in messages.
            params: the query.
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
        try:
            pool = self._pool(address)
        except (LocationValueError, ValueError) as error:
            raise unusable(what, error) from None

        def one_try(remaining_s: float) -> Urllib3Answer:
            if on_try is not None:
                on_try()
            timeout_s = min(self._timeout_s, remaining_s)
            answer = _try(pool, method, address, sent, body, timeout_s, what)
            if self._look is not None:
                self._look(answer)
            if not 200 <= answer.status_code < 300:
                raise HttpStatusError.of(answer)
            if accept is not None:
                accept(answer)
            return answer

        return self.policy.run(one_try, what=what, signed=signed, hand_back=hand_back)

    def _pool(self, address: str) -> urllib3.PoolManager:
        """The pool for an address, through the proxy that the environment names for it."""
        parts = urlsplit(address)
        host = parts.hostname
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("it is no address of the web")
        pool = self._pools.get((parts.scheme, host))
        if pool is None:
            options: dict[str, Any] = {"maxsize": self._at_once, "ssl_context": _ssl_context()}
            proxy = _proxy_for(parts.scheme, host)
            made = (
                urllib3.PoolManager(**options)
                if proxy is None
                else urllib3.ProxyManager(proxy, **options)
            )
            pool = self._pools.setdefault((parts.scheme, host), made)
        return pool


def _try(
    pool: urllib3.PoolManager,
    method: str,
    address: str,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout_s: float,
    what: str,
) -> Urllib3Answer:
    begun = False
    ends = time.monotonic() + timeout_s
    # A POST that follows a redirect turns into a GET without its body.
    follows = method in ("GET", "HEAD")
    try:
        response = pool.request(
            method,
            address,
            headers=headers,
            body=body,
            timeout=urllib3.Timeout(timeout_s),
            redirect=follows,
            retries=_FOLLOW if follows else False,
            preload_content=False,
        )
        begun = True
        try:
            content = _whole(response, ends)
        finally:
            response.release_conn()
    except NewConnectionError as error:  # which is a timeout, too, for urllib3
        raise ConnectionLostError(f"the connection failed: {root_cause(error)}") from None
    except (urllib3.exceptions.TimeoutError, _SlowBodyError):
        answer = "whole answer" if begun else "answer"
        raise AnswerTimeoutError(f"no {answer} within {timeout_s:g} s") from None
    except MaxRetryError as error:
        if isinstance(error.reason, ResponseError):
            raise in_circles(what) from None
        raise ConnectionLostError(f"the connection failed: {root_cause(error)}") from None
    except (LocationValueError, UnicodeError) as error:
        raise unusable(what, error) from None
    except (ProtocolError, DecodeError, HTTPError, OSError) as error:
        raise ConnectionLostError(f"the connection failed: {root_cause(error)}") from None
    return Urllib3Answer(method, response.status, response.headers, content)


def _whole(response: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    """The body; urllib3's own limit is for each piece of it, and pieces may come for ever."""
    pieces = []
    while piece := response.read1(decode_content=True):
        pieces.append(piece)
        if time.monotonic() > ends:
            raise _SlowBodyError
    if response.length_remaining:
        raise ProtocolError("the body is cut short")
    return b"".join(pieces)


def _proxy_for(scheme: str, host: str) -> str | None:
    if urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(scheme) or proxies.get("all")


def _ssl_context() -> ssl.SSLContext:
    """The system's authorities, and those that are shipped where a system has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
