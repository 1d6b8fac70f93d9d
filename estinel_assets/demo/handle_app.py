"""The web application of the local Handle server: the REST interface, over records in memory.

It follows the JSON interface of Handle.Net's server (technical manual, chapter 14) as far as
pyhandle and our own client use it, with its response codes:

====  ======  =====================================================
code  status  meaning
====  ======  =====================================================
1     200     done; 201 where a handle or a value is new
4     400     the request cannot be read
100   404     there is no such handle
101   409     the handle stands, and `overwrite=false` was asked
102   400     what was given is no handle
200   200     the handle has none of these values; 400 for a DELETE where it lacks any of them
201   409     the value stands, and `overwrite=false` was asked
202   400     a value cannot be read
301   400     the prefix does not live here
400   403     the user is not known
402   401     a login is needed
403   403     the password is wrong
====  ======  =====================================================

A parameter that the interface does not have is refused, so that a misspelt one shows. Handles are
the same in upper and lower case (ASCII), and an answer repeats the handle as it was asked for.
"""

import asyncio
import base64
import binascii
import hmac
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

from estinel_assets.clock import utc_now
from estinel_assets.demo.cmr_files import respond

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Json = dict[str, Any]
Values = dict[int, Json]
"""A record: values as the interface gives them, by index."""

ROOT: Final = "/api/handles"

_JSON = b"application/json;charset=UTF-8"
_TTL_S = 86400
_PARAMETERS: Mapping[str, frozenset[str]] = {
    "GET": frozenset({"auth", "index", "publicOnly", "type"}),
    "PUT": frozenset({"index", "overwrite"}),
    "DELETE": frozenset({"index"}),
}
_FORMATS = frozenset({"string", "base64", "hex", "admin", "vlist", "site", "key"})
_VARIOUS = "various"
_PERMISSIONS = re.compile(r"[01]{12}")
_INDEX = re.compile(r"[1-9][0-9]{0,9}")

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ServerLogin:
    """Who may write."""

    user: str
    """As in `300:21.TEST/USER`: the index of a key and the handle that has it."""
    password: str = field(repr=False)

    @property
    def handle(self) -> str:
        """The user's own."""
        return self.user.partition(":")[2]


class _RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class LocalHandleApp:
    """The ASGI application. Its records may be looked at from any thread."""

    def __init__(
        self,
        *,
        prefixes: Sequence[str] = (),
        login: ServerLogin | None = None,
        latency_s: float = 0.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Begin without handles but for the user's own.

        Args:
            prefixes: that live here; none for all.
            login: needed to write; None lets everybody.
            latency_s: each request waits so long before anything is done, in seconds.
            now: stamps values.
        """
        own = [login.handle.partition("/")[0]] if login and prefixes else []
        self._prefixes = frozenset(prefix.lower() for prefix in [*prefixes, *own])
        self._login = login
        self._latency_s = latency_s
        self._now = now
        self._lock = threading.Lock()
        self._records: dict[str, Values] = {}
        self._names: dict[str, str] = {}
        """Handles as they were created, by their lower case."""
        if login is not None:
            owner = {"handle": f"0.NA/{login.handle.partition('/')[0]}", "index": 200}
            admin = {"format": "admin", "value": {**owner, "permissions": "011111110011"}}
            self._store(login.handle, {100: self._stamped(100, "HS_ADMIN", admin, _TTL_S)})

    def records(self) -> dict[str, list[Json]]:
        """All records as they stand: values by index, under the handle as it was created."""
        with self._lock:
            return {
                self._names[key]: [dict(values[index]) for index in sorted(values)]
                for key, values in self._records.items()
            }

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        body = await _body(receive)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        handle = ""
        try:
            handle = _handle(scope)
            with self._lock:
                status, answer = self._answer(scope, handle, body)
        except _RefusedError as error:
            status = error.status
            answer = {"responseCode": error.code, "message": str(error)}
            if handle:
                answer["handle"] = handle
        headers = [(b"www-authenticate", b'Basic realm="handle"')] if status == 401 else None
        text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
        await respond(send, status, text, headers, _JSON)

    def _answer(self, scope: "Scope", handle: str, body: bytes) -> tuple[int, Json]:
        method: str = scope["method"]
        query = _query(method, scope["query_string"])
        if self._prefixes and handle.partition("/")[0].lower() not in self._prefixes:
            raise _RefusedError(400, 301, "That prefix doesn't live here")
        if method == "GET":
            return 200, self._read(handle, query)
        self._check_login(dict(scope["headers"]).get(b"authorization"))
        if method == "PUT":
            created = self._write(handle, query, body)
            return 201 if created else 200, {"responseCode": 1, "handle": handle}
        self._delete(handle, query)
        return 200, {"responseCode": 1, "handle": handle}

    def _read(self, handle: str, query: Query) -> Json:
        values = self._standing(handle)
        indexes, types = _indexes(query), query.get("type", ())
        asked = [
            values[index]
            for index in sorted(values)
            if not (indexes or types)
            or index in indexes
            or any(_is_of_type(values[index]["type"], one) for one in types)
        ]
        return {"responseCode": 1 if asked else 200, "handle": handle, "values": asked}

    def _write(self, handle: str, query: Query, body: bytes) -> bool:
        """Returns: whether the handle, or one of its values, is new."""
        given = self._values(body)
        overwrite = _flag(query, "overwrite", default=True)
        if "index" not in query:
            stands = handle.lower() in self._records
            if stands and not overwrite:
                raise _RefusedError(409, 101, "Handle already exists")
            self._store(handle, given)
            return not stands
        values = self._standing(handle)
        if query["index"] != [_VARIOUS]:
            asked = _indexes(query)
            if absent := asked - set(given):
                raise _RefusedError(400, 202, f"No value given at index {min(absent)}")
            given = {index: value for index, value in given.items() if index in asked}
        standing = set(given) & set(values)
        if standing and not overwrite:
            raise _RefusedError(409, 201, f"A value already exists at index {min(standing)}")
        values.update(given)
        return len(standing) < len(given)

    def _delete(self, handle: str, query: Query) -> None:
        values = self._standing(handle)
        if "index" not in query:
            del self._records[handle.lower()]
            del self._names[handle.lower()]
            return
        indexes = _indexes(query)
        if not indexes <= set(values):
            raise _RefusedError(400, 200, "Values not found")
        for index in indexes:
            del values[index]

    def _standing(self, handle: str) -> Values:
        values = self._records.get(handle.lower())
        if values is None:
            raise _RefusedError(404, 100, "Handle not found")
        return values

    def _store(self, handle: str, values: Values) -> None:
        self._records[handle.lower()] = values
        self._names.setdefault(handle.lower(), handle)

    def _values(self, body: bytes) -> Values:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise _RefusedError(400, 4, "The body is no JSON") from None
        if isinstance(document, dict):
            document = document.get("values", [document])
        if not isinstance(document, list) or not document:
            raise _RefusedError(400, 202, "The body has no values")
        values: Values = {}
        for one in document:
            value = self._value(one)
            if value["index"] in values:
                raise _RefusedError(400, 202, f"There are two values at index {value['index']}")
            values[value["index"]] = value
        return values

    def _value(self, given: object) -> Json:
        if not isinstance(given, dict):
            raise _RefusedError(400, 202, "A value is no object")
        index = _index(given.get("index"))
        kind, content, ttl_s = given.get("type"), given.get("data"), given.get("ttl", _TTL_S)
        if not isinstance(kind, str) or not kind:
            raise _RefusedError(400, 202, f"The value at index {index} has no type")
        if isinstance(content, str):
            content = {"format": "string", "value": content}
        if (
            not isinstance(content, dict)
            or str(content.get("format")) not in _FORMATS
            or (content["format"] == "string" and not isinstance(content.get("value"), str))
            or not isinstance(ttl_s, int)
        ):
            raise _RefusedError(400, 202, f"The value at index {index} cannot be read")
        if content["format"] == "admin":
            content = {"format": "admin", "value": _admin(index, content.get("value"))}
        return self._stamped(index, kind, content, ttl_s)

    def _stamped(self, index: int, kind: str, content: Json, ttl_s: int) -> Json:
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"index": index, "type": kind, "data": content, "ttl": ttl_s, "timestamp": stamp}

    def _check_login(self, header: bytes | None) -> None:
        if self._login is None:
            return
        scheme, _, encoded = (header or b"").partition(b" ")
        if scheme.lower() != b"basic":
            raise _RefusedError(401, 402, "Authentication needed")
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise _RefusedError(401, 402, "The login cannot be read") from None
        # The user's colon is percent-encoded, because Basic has one of its own.
        user, _, password = text.partition(":")
        if unquote(user).lower() != self._login.user.lower():
            raise _RefusedError(403, 400, "Identity not recognized")
        if not hmac.compare_digest(password.encode(), self._login.password.encode()):
            raise _RefusedError(403, 403, "Authentication failed")


async def _body(receive: "Receive") -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _handle(scope: "Scope") -> str:
    path: str = scope["path"]
    if not path.startswith(f"{ROOT}/"):
        raise _RefusedError(404, 2, "There is nothing at this address")
    handle = path[len(ROOT) + 1 :]
    prefix, _, suffix = handle.partition("/")
    if not prefix or not suffix:
        raise _RefusedError(400, 102, "A handle is a prefix, a slash and a suffix")
    return handle


def _query(method: str, raw: bytes) -> Query:
    known = _PARAMETERS.get(method)
    if known is None:
        raise _RefusedError(405, 4, f"{method} is not answered here")
    query = parse_qs(raw.decode("latin-1"), keep_blank_values=True)
    if unknown := sorted(set(query) - known):
        raise _RefusedError(400, 4, f"There is no parameter {unknown[0]}")
    for name in ("auth", "publicOnly"):
        _flag(query, name, default=False)
    return query


def _flag(query: Query, name: str, *, default: bool) -> bool:
    text = query.get(name, ("true" if default else "false",))[-1].lower()
    if text not in ("true", "false"):
        raise _RefusedError(400, 4, f"{name} is true or false")
    return text == "true"


def _indexes(query: Query) -> set[int]:
    return {_index(text) for text in query.get("index", ())}


def _index(given: object) -> int:
    """An index, which pyhandle writes as a text in places."""
    text = str(given)
    if _INDEX.fullmatch(text) is None:
        raise _RefusedError(400, 202, f"{text[:40]} is no index of a value")
    return int(text)


def _admin(index: int, given: object) -> Json:
    """Who may change a handle, in the one form in which it is given back."""
    if not isinstance(given, dict) or not isinstance(given.get("handle"), str):
        raise _RefusedError(400, 202, f"The administrator at index {index} cannot be read")
    permissions = str(given.get("permissions", ""))
    if _PERMISSIONS.fullmatch(permissions) is None:
        raise _RefusedError(400, 202, f"The permissions at index {index} are twelve bits")
    return {
        "handle": given["handle"],
        "index": _index(given.get("index")),
        "permissions": permissions,
    }


def _is_of_type(kind: str, asked: str) -> bool:
    return kind == asked or (asked.endswith(".") and kind.startswith(asked))
