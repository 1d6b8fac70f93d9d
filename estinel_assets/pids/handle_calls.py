"""The requests of the Handle REST interface, and what their answers mean."""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Final
from urllib.parse import quote, urlsplit

from estinel_assets.errors import BadInputError, PermanentError, RetryableError, public_url
from estinel_assets.pids.ports import ADMIN_TYPE, HandleFault, HandleRecord, HandleValue
from estinel_assets.transport import (
    CorruptAnswerError,
    HttpStatusError,
    RetryPolicy,
    server_message,
)
from estinel_assets.transport.plain_transport import (
    PlainAnswer,
    PlainTransport,
    QueryParameters,
)

JsonObject = dict[str, Any]

_DONE = 1
_NO_HANDLE = 100
_NO_VALUES = 200
_ABSENT = frozenset({404})
_CONFLICT = frozenset({409})
_FEW_TRIES = 2
_PERMISSIONS: Final = "011111110011"
"""Of an owner, as the Handle tools and pyhandle give them."""


@dataclass(frozen=True, slots=True)
class HandleLogin:
    """A user of the Handle service. Neither part is ever shown."""

    user: str = field(repr=False)
    """As in `300:21.TEST/USER`: the index of a key and the handle that has it."""
    password: str = field(repr=False)

    def header(self) -> str:
        """HTTP Basic, the user's name percent-encoded, because it has a colon."""
        text = f"{quote(self.user)}:{self.password}"
        return f"Basic {base64.b64encode(text.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may change a handle: a key of a handle."""

    index: int
    handle: str

    @classmethod
    def parse(cls, text: str, what: str) -> "Owner":
        """Read `index:prefix/suffix`.

        Args:
            text: not shown in messages.
            what: names the text in messages.

        Raises:
            BadInputError: it is something else.
        """
        index, _, handle = text.partition(":")
        prefix, _, suffix = handle.partition("/")
        if not (index.isascii() and index.isdecimal()) or not prefix or not suffix:
            raise BadInputError(
                f"{what} of the Handle service must be index:prefix/suffix, as in 300:21.TEST/USER"
            )
        return cls(int(index), handle)

    def value(self, index: int) -> JsonObject:
        """The value that makes it the owner, at an index."""
        who = {"handle": self.handle, "index": self.index, "permissions": _PERMISSIONS}
        return {"index": index, "type": ADMIN_TYPE, "data": {"format": "admin", "value": who}}


@dataclass(frozen=True, slots=True)
class Creation:
    """What came of the wish to create a handle."""

    done: bool
    """False where one stands."""
    unanswered: bool
    """An earlier try had no answer that says what it did: the standing one may be its work."""


class Written(Enum):
    """What came of the wish to write values."""

    DONE = auto()
    NOT = auto()
    PERHAPS = auto()
    """An earlier try had no answer that says what it did, and others may have written since."""


class HandleCalls:
    """Requests to one service. Safe to share between threads.

    The login goes with writes only, and what the service answers is searched for it before it
    gets into a message.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: RetryPolicy,
        timeout_s: float,
        login: HandleLogin | None,
        at_once: int,
    ) -> None:
        """Remember the address; nothing is sent yet. For the arguments see `HandleClient`."""
        self.root = _root(url)
        """Without a slash at its end."""
        self._hidden = () if login is None else _written_out(login)
        self._login = {} if login is None else {"Authorization": login.header()}
        self._slots = threading.BoundedSemaphore(at_once)
        few = replace(policy, attempts=min(_FEW_TRIES, policy.attempts))
        self._transport, self._impatient = (
            PlainTransport(one, timeout_s=timeout_s, look=self._refused) for one in (policy, few)
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
        self._impatient.close()

    def read(
        self, handle: str, *, impatient: bool = False, within: bool = False
    ) -> HandleRecord | None:
        """What stands; None where there is no such handle.

        Args:
            handle: is asked for.
            impatient: try no more than twice.
            within: another request of ours waits for it, which has its place among those that
                are in flight.
        """
        found: list[HandleValue] = []

        def accept(response: PlainAnswer) -> None:
            document = _document(response, handle, {_DONE, _NO_VALUES})
            found[:] = _values(document)

        try:
            # Not from a cache: what stands now is compared with what is to stand.
            self._send(
                "GET",
                handle,
                params={"auth": "true"},
                hand_back=_ABSENT,
                accept=accept,
                impatient=impatient,
                within=within,
            )
        except HttpStatusError:
            return None
        return HandleRecord(handle, tuple(sorted(found, key=lambda value: value.index)))

    def create(
        self, handle: str, values: Sequence[HandleValue], owner: Owner, owner_index: int
    ) -> Creation:
        """Create a handle unless one stands."""
        tries = _Tries()
        try:
            self._put(
                handle,
                {"overwrite": "false"},
                [*map(_written, values), owner.value(owner_index)],
                hand_back=_CONFLICT,
                on_try=tries.begin,
            )
        except HttpStatusError:
            return Creation(done=False, unanswered=tries.number > 1)
        return Creation(done=True, unanswered=False)

    def put_values(
        self,
        handle: str,
        values: Sequence[HandleValue],
        *,
        overwrite: bool,
        still: Callable[[], bool],
    ) -> "Written":
        """Write values at their indexes, in one go.

        Args:
            handle: that stands.
            values: to be written; all others stay.
            overwrite: take the place of values that stand.
            still: asked before each further try, because others may have written since: whether
                it is still to be done.

        Returns:
            Whether they are written. They are not where the handle, or without `overwrite` a
            place, is not as it was thought.
        """
        tries = _Tries(still)
        query: QueryParameters = {
            "index": [str(value.index) for value in values],
            "overwrite": "true" if overwrite else "false",
        }
        try:
            self._put(
                handle,
                query,
                [*map(_written, values)],
                hand_back=_ABSENT | _CONFLICT,
                on_try=tries.begin,
            )
        except (HttpStatusError, _OutdatedError):
            # An earlier try may have written what is in the way now.
            return Written.PERHAPS if tries.number > 1 else Written.NOT
        return Written.DONE

    def delete_values(
        self, handle: str, indexes: Sequence[int], *, still: Callable[[], bool]
    ) -> bool:
        """Delete the values at some indexes, all of them or none.

        Args:
            handle: that stands.
            indexes: of the values.
            still: see `put_values`.

        Returns:
            False where this request deleted nothing, because the handle or one of the values does
            not stand.
        """
        tries = _Tries(still)
        try:
            self._send(
                "DELETE",
                handle,
                params={"index": [str(index) for index in indexes]},
                headers=self._login,
                hand_back=_ABSENT,
                on_try=tries.begin,
                accept=lambda response: _check_done(response, handle),
            )
        except (HttpStatusError, _OutdatedError):
            # An earlier try may have deleted them.
            return tries.number > 1
        return True

    def try_login(self, handle: str) -> None:
        """Ask to delete a value of a handle that does not stand: that needs the login."""
        try:
            self._send(
                "DELETE",
                handle,
                params={"index": "1"},
                headers=self._login,
                hand_back=_ABSENT,
                impatient=True,
            )
        except HttpStatusError:
            return

    def _put(
        self,
        handle: str,
        query: QueryParameters,
        values: Sequence[JsonObject],
        *,
        hand_back: frozenset[int],
        on_try: Callable[[], None] | None = None,
    ) -> None:
        self._send(
            "PUT",
            handle,
            params=query,
            headers=self._login,
            body={"values": values},
            hand_back=hand_back,
            on_try=on_try,
            accept=lambda response: _check_done(response, handle),
        )

    def _send(
        self,
        method: str,
        handle: str,
        *,
        params: QueryParameters,
        hand_back: frozenset[int],
        headers: dict[str, str] | None = None,
        body: object = None,
        on_try: Callable[[], None] | None = None,
        accept: Callable[[PlainAnswer], None] | None = None,
        impatient: bool = False,
        within: bool = False,
    ) -> None:
        transport = self._impatient if impatient else self._transport
        try:
            with nullcontext() if within else self._slots:
                transport.send(
                    method,
                    f"{self.root}/api/handles/{quote(handle, safe='/')}",
                    params=params,
                    headers=headers,
                    json=body,
                    hand_back=hand_back,
                    on_try=on_try,
                    accept=accept,
                )
        except RetryableError as error:
            raise RetryableError(HandleFault.UNAVAILABLE, str(error)) from None
        except PermanentError as error:
            raise PermanentError(HandleFault.REFUSED, str(error)) from None

    def _refused(self, response: PlainAnswer) -> None:
        """Say what a refusal means before anybody else reads it: it may repeat the login."""
        status = response.status_code
        if status // 100 == 3 and "Location" in response.headers and response.method != "GET":
            to = public_url(str(response.headers["Location"]))
            raise HttpStatusError(status, message=f"it redirects to {to}; use that address")
        if status < 400:
            return
        document = _read_json(response.text)
        code = _response_code(document)
        if status == 400 and code == _NO_VALUES:
            status = 404  # what was to be deleted does not stand
        elif (status == 404 and code != _NO_HANDLE) or (status == 409 and code is None):
            # Perhaps of a gateway whose server is away; "no such handle" is what it does not say.
            raise CorruptAnswerError(f"the answer {status} is not that of a Handle server")
        # Read before it is searched: JSON may spell what it says in another way.
        said = document.get("message") if document else response.text
        text = said if isinstance(said, str) else ""
        for secret in self._hidden:
            text = text.replace(secret, "(hidden)")
        text = server_message(text, response.headers.get("Content-Type", ""))
        if code is not None:
            text = f"{text}; Handle code {code}" if text else f"Handle code {code}"
        raise HttpStatusError(status, response.headers.get("Retry-After"), text)


class _OutdatedError(Exception):
    """What was to be written is no longer what is to be written."""


class _Tries:
    """Counts the tries of a request, and ends them where they make no sense any more."""

    def __init__(self, still: Callable[[], bool] = lambda: True) -> None:
        self.number = 0
        self._still = still

    def begin(self) -> None:
        """Another try begins."""
        self.number += 1
        if self.number > 1 and not self._still():
            raise _OutdatedError


def _check_done(response: PlainAnswer, handle: str) -> None:
    _document(response, handle, {_DONE})


def _document(response: PlainAnswer, handle: str, codes: set[int]) -> JsonObject:
    """The answer, which is about the handle and has one of the codes."""
    try:
        document = response.json()
    except ValueError:
        raise CorruptAnswerError("the answer is not JSON") from None
    if not isinstance(document, dict) or _response_code(document) not in codes:
        raise CorruptAnswerError("the answer is not that of a Handle server")
    about = document.get("handle")
    if not isinstance(about, str) or about.lower() != handle.lower():
        raise CorruptAnswerError("the answer is about another handle")
    return document


def _values(document: JsonObject) -> list[HandleValue]:
    values = document.get("values", [])
    try:
        return [HandleValue(int(one["index"]), str(one["type"]), _text(one)) for one in values]
    except (LookupError, TypeError, ValueError):
        raise CorruptAnswerError("the answer has values that cannot be read") from None


def _text(value: JsonObject) -> str:
    content = value["data"]
    held = content["value"] if isinstance(content, dict) else content
    return held if isinstance(held, str) else json.dumps(held, sort_keys=True)


def _written(value: HandleValue) -> JsonObject:
    content = {"format": "string", "value": value.data}
    return {"index": value.index, "type": value.type, "data": content}


def _response_code(document: JsonObject) -> int | None:
    code = document.get("responseCode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _read_json(text: str) -> JsonObject:
    """A JSON object; an empty one for anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _written_out(login: HandleLogin) -> tuple[str, ...]:
    """Every form in which a login could come back, the longest first."""
    handle = login.user.partition(":")[2]
    encoded = login.header().removeprefix("Basic ")
    forms = {login.user, quote(login.user), handle, login.password, encoded} - {""}
    return tuple(sorted(forms, key=len, reverse=True))


def _root(url: str) -> str:
    address = url.strip()
    try:
        parts = urlsplit(address)
        _ = parts.port  # is looked at only now
        address.encode("ascii")
    except ValueError:
        raise BadInputError(
            f"the Handle service's address {public_url(url)!r} cannot be read"
        ) from None
    shown = public_url(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInputError(
            f"the Handle service's address {shown!r} must begin with https:// or http://"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInputError(
            f"the Handle service's address {shown!r} has a user, a query or a fragment: leave "
            "them out, and give user name and password by themselves"
        )
    return address.rstrip("/").removesuffix("/api/handles")
