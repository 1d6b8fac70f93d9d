"""One request to the API: its address, its key, its turn, and what its failure means."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from estinel_assets.errors import BadInputError, public_url
from estinel_assets.stac.transactions.limits import Pace
from estinel_assets.transport import (
    CorruptAnswerError,
    HttpStatusError,
    RetryPolicy,
    server_message,
)
from estinel_assets.transport.httpx_transport import HttpxTransport, QueryParameters

JsonObject = dict[str, Any]
Key = Callable[[], str | None]
"""Gives the key of the moment; None for none."""

UNADDRESSABLE = frozenset({"", ".", ".."})
"""What cannot stand in the path of an address."""

_ORIGIN_PORTS = {"http": 80, "https": 443}
_FEW_TRIES = 2
_READS = frozenset({"GET", "HEAD"})


class StacCalls:
    """Requests to one API. Safe to share between threads.

    The key goes to the API's own origin only, whatever a redirect says, and what the API answers
    is searched for it before it gets into a message.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: RetryPolicy,
        timeout_s: float,
        at_once: int,
        pace: Pace,
        key: Key,
        key_header: str,
    ) -> None:
        """Remember the address; nothing is sent yet.

        Args:
            url: root of the API, with or without a slash at its end; it may hold a name and a
                password.
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            at_once: requests in flight.
            pace: how many a second; each try counts.
            key: asked anew for each request.
            key_header: carries the key.

        Raises:
            BadInputError: the address is none of HTTP, or has a query.
        """
        root, login = _root_and_login(url)
        self.root = root
        """Without a slash at its end."""
        self._origin = _origin(root)
        self._key = key
        self._key_header = key_header
        self._pace = pace
        self._slots = threading.BoundedSemaphore(at_once)
        client = httpx.Client(
            auth=login,
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
            event_hooks={"request": [self._keep_key_at_home], "response": [self._refused]},
        )
        self._transport = HttpxTransport(policy, timeout_s=timeout_s, client=client)
        few = replace(policy, attempts=min(_FEW_TRIES, policy.attempts))
        self._impatient = HttpxTransport(few, timeout_s=timeout_s, client=client)

    def __repr__(self) -> str:
        """Without the key."""
        return f"{type(self).__name__}({public_url(self.root)!r})"

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def url(self, *segments: str) -> str:
        """An address below the root; each segment is percent-encoded.

        Raises:
            BadInputError: a segment is empty, `.` or `..`. On the way such a one goes: what was
                to delete an item would delete its collection.
        """
        for segment in segments:
            if segment in UNADDRESSABLE:
                raise BadInputError(
                    f"{segment!r} cannot be the id of an item or a collection: "
                    "it has a meaning of its own in an address"
                )
        return "/".join([self.root, *(quote(segment, safe="") for segment in segments)])

    def at_home(self, url: str, *, asked: str) -> str:
        """An address of the next page that the API gave, below the root that we know.

        An API behind a gateway may name a host, a scheme or a path that only it knows. Then it is
        taken to mean what was asked, with another query.

        Args:
            url: as the API gave it.
            asked: our own address of what gave it.
        """
        given, ours = urlsplit(url), urlsplit(asked)
        below_root = given.path.startswith(f"{urlsplit(self.root).path}/")
        if below_root and _origin(url) == self._origin:
            return url
        return urlunsplit((ours.scheme, ours.netloc, ours.path, given.query, ""))

    def send(
        self,
        method: str,
        url: str,
        *,
        params: QueryParameters | None = None,
        body: object = None,
        hand_back: frozenset[int] = frozenset(),
        impatient: bool = False,
        accept: Callable[[httpx.Response], None] | None = None,
    ) -> httpx.Response:
        """Send a request when it is its turn.

        Args:
            method: GET, POST, PUT or DELETE.
            url: from `url` or `at_home`.
            params: the query, in place of the address's own.
            body: a JSON document.
            hand_back: see `RetryPolicy.run`.
            impatient: try only twice.
            accept: see `HttpxTransport.send`.

        Raises:
            RetryableError: see `RetryPolicy.run`.
            PermanentError: see `RetryPolicy.run`.
            HttpStatusError: a status in `hand_back`.
            BadInputError: the address or the body cannot be sent.
        """
        key = self._key()
        transport = self._impatient if impatient else self._transport
        with self._slots:
            return transport.send(
                method,
                url,
                params=params,
                headers=None if key is None else {self._key_header: key},
                json=body,
                hand_back=hand_back,
                on_try=self._pace.wait,
                accept=accept,
            )

    def document(
        self,
        method: str,
        url: str,
        *,
        params: QueryParameters | None = None,
        body: object = None,
        hand_back: frozenset[int] = frozenset(),
        member: str | None = None,
    ) -> JsonObject:
        """Ask for a JSON object.

        Args:
            method: as for `send`.
            url: as for `send`.
            params: as for `send`.
            body: as for `send`.
            hand_back: as for `send`.
            member: name of a list of objects that the answer must have.

        Raises:
            RetryableError: as for `send`, or the answer is something else until the end.
            PermanentError: as for `send`.
            HttpStatusError: as for `send`.
        """
        found: JsonObject = {}

        def accept(response: httpx.Response) -> None:
            found.clear()
            found.update(_json_object(response, member))

        self.send(method, url, params=params, body=body, hand_back=hand_back, accept=accept)
        return found

    def _keep_key_at_home(self, request: httpx.Request) -> None:
        if _origin(str(request.url)) != self._origin:
            request.headers.pop(self._key_header, None)

    def _refused(self, response: httpx.Response) -> None:
        """Say what a refusal means before anybody else reads it: it may repeat the key."""
        status = response.status_code
        if response.has_redirect_location and response.request.method not in _READS:
            to = public_url(str(response.headers["Location"]))
            raise HttpStatusError(status, message=f"it redirects to {to}; use that address")
        if status < 400:
            return
        response.read()
        text = response.text
        key = response.request.headers.get(self._key_header)
        if key:
            text = text.replace(key, "(key)")
        said = server_message(_problems(text) or text, response.headers.get("Content-Type", ""))
        raise HttpStatusError(status, response.headers.get("Retry-After"), said)


def _problems(text: str) -> str:
    """What FastAPI found wrong with a document, in a line; empty for any other answer."""
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    details = document.get("detail") if isinstance(document, dict) else None
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:])}: {problem.get('msg')}"
        for problem in (details if isinstance(details, list) else ())
        if isinstance(problem, dict) and isinstance(problem.get("loc"), list)
    )


def _json_object(response: httpx.Response, member: str | None) -> JsonObject:
    try:
        document = response.json()
    except ValueError:
        raise CorruptAnswerError("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise CorruptAnswerError("the answer is not a JSON object")
    if member is not None:
        found = document.get(member)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise CorruptAnswerError(f"the answer has no list of {member}")
    return document


def _root_and_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """The address without what must not be logged, and the name and password that it held."""
    try:
        address = httpx.URL(url.strip())
    except httpx.InvalidURL:
        raise BadInputError(f"the STAC API's address {public_url(url)!r} cannot be read") from None
    if address.scheme not in _ORIGIN_PORTS or not address.host:
        raise BadInputError(
            f"the STAC API's address {public_url(url)!r} must begin with https:// or http://"
        )
    if address.query or address.fragment:
        raise BadInputError(
            f"the STAC API's address {public_url(url)!r} has a query or a fragment: "
            "leave it out, and send a key in a header"
        )
    login = (address.username, address.password) if address.userinfo else None
    return str(address.copy_with(userinfo=b"")).rstrip("/"), login


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        return "", "", None
    return address.scheme, address.host, address.port or _ORIGIN_PORTS.get(address.scheme)
