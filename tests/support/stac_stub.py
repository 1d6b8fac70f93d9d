"""A small STAC API in memory that can be written to, and that goes wrong on request.

It keeps what it is given as it is, answers conflicts with 409, and remembers what was asked::

    with StacStub() as api:
        api.spoil(lambda asked: Answer(503) if asked.path.endswith("/bulk_items") else None)
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.support.asgi import serve_asgi

Json = dict[str, Any]
TRANSACTIONS = "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    """Decoded, without the query."""
    headers: dict[str, str]
    """By name in small letters."""
    body: Any
    number: int
    """From 1 on, over all requests."""

    @property
    def bulk(self) -> bool:
        return self.path.endswith("/bulk_items")


@dataclass(frozen=True)
class Answer:
    """What is answered in place of the right answer."""

    status: int = 500
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    """First do what was asked."""


Chooser = Callable[[Asked], Answer | None]


class StacStub:
    """The API; use as a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Be as new: with an empty collection `c`."""
        self.landing: Json = {"conformsTo": [TRANSACTIONS]}
        self.items: dict[str, dict[str, Json]] = {"c": {}}
        self.collections: dict[str, Json] = {"c": {"id": "c", "type": "Collection"}}
        self.asked: list[Asked] = []
        self.takes: Callable[[str], bool] = lambda _: True
        """Which ids a bulk request stores; it says that it stored all."""
        self.ignores_ids = False
        """Whether a search finds everything."""
        self.page = 1000
        """Most items on one page."""
        self._choose: Chooser = lambda _: None

    def __enter__(self) -> Self:
        self.url = self._stack.enter_context(serve_asgi(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def spoil(self, choose: Chooser) -> None:
        """Answer so from now on where it chooses to."""
        self._choose = choose

    def calls(self, method: str, end: str) -> list[Asked]:
        """Requests of this method whose path ends so."""
        return [one for one in self.asked if one.method == method and one.path.endswith(end)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        raw = await request.body()
        asked = Asked(
            request.method,
            scope["path"],
            dict(request.headers),
            json.loads(raw) if raw else None,
            len(self.asked) + 1,
        )
        self.asked.append(asked)
        spoilt = self._choose(asked)
        if spoilt is None or spoilt.done:
            response = self._answer(asked, request)
        if spoilt is not None:
            response = Response(spoilt.text, spoilt.status, spoilt.headers)
        await response(scope, receive, send)

    def _answer(self, asked: Asked, request: Request) -> Response:
        parts = asked.path.strip("/").split("/")
        match asked.method, parts:
            case "GET", [""]:
                return JSONResponse(self.landing)
            case "POST", ["search"]:
                return self._found(asked.body, str(request.url))
            case "POST", ["collections"]:
                return self._created(self.collections, asked.body)
            case "GET" | "PUT" | "DELETE", ["collections", name]:
                if asked.method == "DELETE":
                    self.items.pop(name, None)
                return self._one(self.collections, name, asked)
            case _, ["collections", name, *rest] if name in self.collections:
                return self._in_collection(asked, self.items.setdefault(name, {}), rest, request)
        return JSONResponse({"description": "nothing here"}, 404)

    def _in_collection(
        self, asked: Asked, items: dict[str, Json], rest: list[str], request: Request
    ) -> Response:
        match asked.method, rest:
            case "GET", ["items"]:
                start = int(request.query_params.get("start", 0))
                following = f"{request.url.path}?start={start + self.page}"
                page = self._pages(list(items.values()), start, {"href": following})
                return JSONResponse(page)
            case "POST", ["items"]:
                return self._created(items, asked.body)
            case "POST", ["bulk_items"]:
                return self._bulk_stored(items, asked.body)
            case _, ["items", item_id]:
                return self._one(items, item_id, asked)
        return JSONResponse({"description": "nothing here"}, 405)

    def _bulk_stored(self, items: dict[str, Json], body: Json) -> Response:
        given = body["items"]
        if body["method"] == "insert" and given.keys() & items.keys():
            return JSONResponse({"description": "there is one"}, 409)
        items |= {name: item for name, item in given.items() if self.takes(name)}
        return JSONResponse({"success": len(given), "skipped": 0, "errors": []})

    def _found(self, body: Json, url: str) -> Response:
        wanted = [
            item
            for name in body["collections"]
            for item in self.items.get(name, {}).values()
            if self.ignores_ids or item["id"] in body["ids"]
        ]
        start = body.get("start", 0)
        link = {"method": "POST", "href": url, "merge": True, "body": {"start": start + self.page}}
        return JSONResponse(self._pages(wanted, start, link))

    def _pages(self, items: list[Json], start: int, link: Json) -> Json:
        more = start + self.page < len(items)
        if link["href"].startswith("/"):
            link["href"] = self.url + link["href"]
        return {
            "type": "FeatureCollection",
            "features": items[start : start + self.page],
            "links": [{"rel": "next", **link}] if more else [],
        }

    @staticmethod
    def _created(documents: dict[str, Json], body: Json) -> Response:
        if body["id"] in documents:
            return JSONResponse({"description": "there is one"}, 409)
        documents[body["id"]] = body
        return JSONResponse(body, 201)

    @staticmethod
    def _one(documents: dict[str, Json], name: str, asked: Asked) -> Response:
        if name not in documents:
            return JSONResponse({"description": "no such thing"}, 404)
        if asked.method == "PUT":
            documents[name] = asked.body
        found = documents.pop(name) if asked.method == "DELETE" else documents[name]
        return JSONResponse(found)


def first(count: int, answer: Answer, which: Callable[[Asked], bool]) -> Chooser:
    """Spoil the first so many requests of a kind."""
    left: Iterator[int] = iter(range(count))

    def choose(asked: Asked) -> Answer | None:
        return answer if which(asked) and next(left, None) is not None else None

    return choose
