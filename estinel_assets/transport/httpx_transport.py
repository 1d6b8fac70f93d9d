"""httpx under the retry policy: one client, kept connections, safe to share between threads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import httpx

from estinel_assets.errors import public_url
from estinel_assets.settings import TransportSettings
from estinel_assets.transport.policy import (
    AnswerTimeoutError,
    ConnectionLostError,
    HttpStatusError,
    RetryPolicy,
    in_circles,
    root_cause,
    unusable,
)

QueryParameters = Mapping[str, str | int | Sequence[str]]
"""Of an address; a sequence repeats its name."""


class HttpxTransport:
    """`httpx` under a retry policy. Safe to share between threads."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        timeout_s: float,
        client: httpx.Client | None = None,
    ) -> None:
        """Keep a client.

        Args:
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            client: headers and the like to use; its own timeout is ignored, and it must not
                retry by itself. `close` closes it.
        """
        self.policy = policy
        self._timeout_s = timeout_s
        self._client = httpx.Client() if client is None else client

    @classmethod
    def from_settings(cls, settings: TransportSettings) -> Self:
        """The transport of the settings."""
        return cls(RetryPolicy.from_settings(settings), timeout_s=settings.timeout_s)

    def close(self) -> None:
        """Close the connections; nothing can be sent afterwards."""
        self._client.close()

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
        accept: Callable[[httpx.Response], None] | None = None,
    ) -> httpx.Response:
        """Send a request under the policy.

        Args:
            method: GET, HEAD, POST…
            url: where to; None of its query appears in messages.
            params: the query, in place of the address's own.
            headers: added to the client's.
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
        try:
            request = self._client.build_request(
                method, url, params=params, headers=headers, json=json
            )
        except (httpx.InvalidURL, TypeError, ValueError) as error:
            raise unusable(what, error) from None

        def one_try(remaining_s: float) -> httpx.Response:
            if on_try is not None:
                on_try()
            response = self._try(request, min(self._timeout_s, remaining_s), what)
            if accept is not None:
                accept(response)
            return response

        return self.policy.run(one_try, what=what, signed=signed, hand_back=hand_back)

    def _try(self, request: httpx.Request, timeout_s: float, what: str) -> httpx.Response:
        # The request is shared by all tries, and no two of them run at once.
        request.extensions["timeout"] = httpx.Timeout(timeout_s).as_dict()
        begun = False
        try:
            response = self._client.send(
                request,
                stream=True,
                # A POST that follows a redirect turns into a GET without its body.
                follow_redirects=request.method in ("GET", "HEAD"),
            )
            begun = True
            try:
                response.read()
            finally:
                response.close()
        except httpx.TimeoutException:
            answer = "whole answer" if begun else "answer"
            raise AnswerTimeoutError(f"no {answer} within {timeout_s:g} s") from None
        except httpx.TooManyRedirects:
            raise in_circles(what) from None
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            raise unusable(what, error) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise ConnectionLostError(f"the connection failed: {root_cause(error)}") from None
        if not 200 <= response.status_code < 300:
            raise HttpStatusError.of(response)
        return response
