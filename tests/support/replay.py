"""HTTP servers for tests of sources: recordings replayed, a STAC API with faults, scripted answers.

All listen on 127.0.0.1 at a port of the system's choice and end with their `with` block.
"""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from shapely.geometry import box, shape

from tests.support.serving import ManyAtOnce, serving

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What a server answers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    """Reset the connection instead."""
    cut: bool = False
    """Announce the whole body and send half of it."""
    stall: bool = False
    """Send half of the body and then nothing, until the server is stopped."""
    hang: bool = False
    """Keep silent until the server is stopped or the client gives up."""

    @classmethod
    def json(cls, document: Any, status: int = 200, **headers: str) -> Self:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(
            status, json.dumps(document).encode(), {"Content-Type": "application/json", **named}
        )

    @classmethod
    def html(cls, text: str = "<html>We are moving house.</html>", status: int = 200) -> Self:
        return cls(status, text.encode(), {"Content-Type": "text/html"})


class Server:
    """Answers every request with what `answer` returns and remembers what was asked."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                outer._serve(self)

            do_GET = do_POST = do_PUT = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._http = ManyAtOnce(("127.0.0.1", 0), Handler)
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._stack.enter_context(serving(self._http))
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._stack.close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(length)
        parts = urlsplit(handler.path)
        request = Request(
            method=handler.command,
            path=parts.path,
            query=parse_qs(parts.query),
            headers=dict(handler.headers),
            body=json.loads(raw) if raw else None,
        )
        with self._lock:
            self.requests.append(request)
            answer = self._answer(request)
        if answer.hang:
            self._stopped.wait(10)
            return
        if answer.reset:
            # Lingering for no time makes the system send RST instead of FIN.
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            handler.close_connection = True
            handler.connection.close()
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        whole = not (answer.cut or answer.stall)
        handler.wfile.write(answer.body if whole else answer.body[: len(answer.body) // 2])
        if answer.stall:
            handler.wfile.flush()
            self._stopped.wait(10)


class ScriptedServer(Server):
    """Gives the listed answers in turn, and the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._script = deque(answers)
        super().__init__(self._next)

    def _next(self, _request: Request) -> Answer:
        return self._script.popleft() if len(self._script) > 1 else self._script[0]


class ReplayServer(Server):
    """Replays recorded exchanges of a STAC API.

    A search matches a recorded one with the same bbox, datetime, collections and `next`; `limit`
    and everything else are ignored. Any other request matches by method and path. The recorded
    host in the bodies becomes this server.
    """

    def __init__(self, recording: Path) -> None:
        self._exchanges = json.loads(recording.read_text())
        first = urlsplit(self._exchanges[0]["request"]["uri"])
        self._recorded_host = f"{first.scheme}://{first.netloc}"
        self._root_path = first.path
        super().__init__(self._replay)

    @property
    def root(self) -> str:
        """The API's root on this server."""
        return self.url + self._root_path

    @staticmethod
    def _key(method: str, path: str, body: Any) -> str:
        asked = body if method == "POST" and isinstance(body, dict) else {}
        names = ("bbox", "datetime", "collections", "next")
        parts = {name: asked.get(name) for name in names}
        if parts["bbox"] is not None:
            parts["bbox"] = [float(number) for number in parts["bbox"]]
        return json.dumps([method, path.rstrip("/"), parts])

    def _replay(self, request: Request) -> Answer:
        wanted = self._key(request.method, request.path, request.body)
        for exchange in self._exchanges:
            asked = exchange["request"]
            path = urlsplit(asked["uri"]).path
            if self._key(asked["method"], path, asked["body"]) == wanted:
                response = exchange["response"]
                text = json.dumps(response["body"]).replace(self._recorded_host, self.url)
                return Answer(
                    response["status"]["code"],
                    text.encode(),
                    {"Content-Type": "application/json"},
                )
        return Answer.json({"description": f"not recorded: {wanted}"}, status=404)


class StacStub(Server):
    """A small STAC API over a list of items, with the faults that real ones show.

    Search by bbox, intersects, datetime and collections; pages with a token in the next link's
    body, newest first.
    """

    def __init__(
        self,
        items: Sequence[Json] = (),
        *,
        script: Sequence[Answer | None] = (),
        root_script: Sequence[Answer] = (),
        largest_page: int | None = None,
        repeated: int = 0,
        claimed_matched: int | None = None,
        counts: str = "numberMatched",
        conforms_to: Sequence[str] | None = (
            "https://api.stacspec.org/v1.0.0/core",
            "https://api.stacspec.org/v1.0.0/item-search",
        ),
        search_link: bool = True,
    ) -> None:
        """Set the stage.

        Args:
            items: what the API holds.
            script: answers to the first searches; None is the real answer.
            root_script: the same for the root.
            largest_page: a larger `limit` is answered with 502.
            repeated: so many items of a page come again at the head of the next.
            claimed_matched: the number that is stated instead of the true one.
            counts: where the number stands: `numberMatched`, `context` or `none`.
            conforms_to: the root's conformance classes; None leaves the key out.
            search_link: whether the root links to the search.
        """
        self._items = sorted(
            items, key=lambda item: (item["properties"]["datetime"], item["id"]), reverse=True
        )
        self._script = deque(script)
        self._root_script = deque(root_script)
        self._largest_page = largest_page
        self._repeated = repeated
        self._claimed = claimed_matched
        self._counts = counts
        self._conforms_to = conforms_to
        self._search_link = search_link
        super().__init__(self._route)

    @property
    def searches(self) -> list[Json]:
        """The bodies of all searches so far."""
        return [request.body for request in self.requests if request.method == "POST"]

    def _route(self, request: Request) -> Answer:
        if request.path in ("", "/"):
            return self._root_script.popleft() if self._root_script else self._root()
        if request.path == "/search" and request.method == "POST":
            scripted = self._script.popleft() if self._script else None
            return scripted or self._search(request.body)
        return Answer.json({"code": "NotFound", "description": "no such path"}, status=404)

    def _root(self) -> Answer:
        root: Json = {
            "type": "Catalog",
            "id": "stub",
            "stac_version": "1.0.0",
            "description": "a stub",
            "links": [],
        }
        if self._conforms_to is not None:
            root["conformsTo"] = list(self._conforms_to)
        if self._search_link:
            for method in ("GET", "POST"):
                root["links"].append({"rel": "search", "href": "./search", "method": method})
        return Answer.json(root)

    def _search(self, asked: Json) -> Answer:
        limit = int(asked.get("limit", 10))
        if self._largest_page is not None and limit > self._largest_page:
            return Answer.json({"message": "Internal server error"}, status=502)
        matching = [item for item in self._items if _matches(item, asked)]
        start = int(asked.get("token", 0))
        page: Json = {
            "type": "FeatureCollection",
            "features": matching[max(0, start - self._repeated) : start + limit],
            "links": [],
        }
        matched = len(matching) if self._claimed is None else self._claimed
        if self._counts == "numberMatched":
            page["numberMatched"] = matched
        elif self._counts == "context":
            page["context"] = {"matched": matched}
        if start + limit < len(matching):
            body = {**asked, "token": str(start + limit)}
            page["links"].append(
                {"rel": "next", "href": f"{self.url}/search", "method": "POST", "body": body}
            )
        return Answer.json(page)


def _matches(item: Json, asked: Json) -> bool:
    if "collections" in asked and item["collection"] not in asked["collections"]:
        return False
    if "datetime" in asked:
        start, end = (datetime.fromisoformat(part) for part in asked["datetime"].split("/"))
        if not start <= datetime.fromisoformat(item["properties"]["datetime"]) <= end:
            return False
    area = box(*asked["bbox"]) if "bbox" in asked else shape(asked["intersects"])
    return bool(shape(item["geometry"]).intersects(area))
