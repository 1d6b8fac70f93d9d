"""`requests` under the retry policy, for pystac-client."""

from collections.abc import Callable
from typing import Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError

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


class RequestsTransport:
    """`requests` under a retry policy. Safe to share between threads."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        timeout_s: float,
        session: requests.Session | None = None,
    ) -> None:
        """Keep a session.

        Args:
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            session: headers and the like to use; its adapters are replaced.
        """
        self.policy = policy
        self._timeout_s = timeout_s
        self._session = requests.Session() if session is None else session
        for scheme in ("http://", "https://"):
            # No retries below ours.
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    @classmethod
    def from_settings(cls, settings: TransportSettings) -> Self:
        """The transport of the settings."""
        return cls(RetryPolicy.from_settings(settings), timeout_s=settings.timeout_s)

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def send(
        self,
        request: requests.Request,
        *,
        signed: bool = False,
        hand_back: frozenset[int] = frozenset(),
        on_try: Callable[[], None] | None = None,
    ) -> requests.Response:
        """Send a request under the policy.

        Args:
            request: not prepared yet.
            signed: see `RetryPolicy.run`.
            hand_back: see `RetryPolicy.run`.
            on_try: called before each try, for those who count them.

        Returns:
            A 2xx answer, read whole.

        Raises:
            RetryableError: see `RetryPolicy.run`.
            PermanentError: see `RetryPolicy.run`.
            HttpStatusError: a status in `hand_back`.
            BadInputError: the address is not one that can be requested.
        """
        what = f"{request.method} {public_url(str(request.url))}"

        def one_try(remaining_s: float) -> requests.Response:
            if on_try is not None:
                on_try()
            return self._try(request, min(self._timeout_s, remaining_s), what)

        return self.policy.run(one_try, what=what, signed=signed, hand_back=hand_back)

    def _try(self, request: requests.Request, timeout_s: float, what: str) -> requests.Response:
        session = self._session
        try:
            prepared = session.prepare_request(request)
            environment = session.merge_environment_settings(prepared.url, {}, None, None, None)
            response = session.send(
                prepared,
                timeout=timeout_s,
                # A POST that follows a redirect turns into a GET without its body.
                allow_redirects=prepared.method in ("GET", "HEAD"),
                **environment,
            )
        except requests.exceptions.Timeout:
            raise AnswerTimeoutError(f"no answer within {timeout_s:g} s") from None
        except requests.exceptions.TooManyRedirects:
            raise in_circles(what) from None
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            if error.args and isinstance(error.args[0], ReadTimeoutError):
                raise AnswerTimeoutError(f"no whole answer within {timeout_s:g} s") from None
            raise ConnectionLostError(f"the connection failed: {root_cause(error)}") from None
        except (requests.exceptions.RequestException, ValueError) as error:
            # What is left are addresses that requests cannot use.
            raise unusable(what, error) from None
        if not 200 <= response.status_code < 300:
            raise HttpStatusError.of(response)
        return response
