"""Items of a STAC API.

Versions are found by their ids, with the Filter extension (CQL2 JSON): a dataset's versions share
the beginning of their ids, while their properties differ in names and forms from publisher to
publisher. Comparisons of texts are in Basic CQL2, which every API with that extension has, and an
index on ids answers them at once. An API without the extension is refused: to take the versions
that it cannot look for as absent would register datasets without their predecessors.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, public_url
from estinel_assets.pids.item_source import MAX_VERSIONS, ItemFault, check_ids
from estinel_assets.pids.plugins import LookedUp, VersionQuery
from estinel_assets.stac.transactions.calls import JsonObject, StacCalls
from estinel_assets.stac.transactions.limits import Pace
from estinel_assets.transport import CorruptAnswerError, HttpStatusError, RetryPolicy

_FILTER: Final = re.compile(r"^https?://[^ ]*item-search/?#filter$")
_FIELDS: Final = re.compile(r"^https?://[^ ]*item-search/?#fields$")
_ABSENT: Final = frozenset({404, 410})
_LANGUAGE: Final = {"filter-lang": "cql2-json"}
_ON_A_PAGE: Final = 100
_BEYOND: Final = "zzzz"
"""Comes after what begins a version, in the orders that databases usually have texts in."""


class StacItems:
    """An `ItemSource` over HTTP. Safe to share between threads.

    Connections are kept. Every request has been tried again by the policy when an error comes
    out. The landing page is read before anything else is asked, until it was read once: what an
    address says is absent means something only where a STAC API is.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: RetryPolicy,
        timeout_s: float,
        collection: str | None = None,
        lookup: bool = True,
        at_once: int = 32,
    ) -> None:
        """Remember the address; nothing is asked yet.

        Args:
            url: root of the API, with or without a slash at its end.
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            collection: where versions are looked for when a message names no collection; None for
                all collections.
            lookup: whether versions will be asked for: `probe` then makes sure that they can be.
            at_once: requests in flight, from all threads together.

        Raises:
            BadInputError: the address cannot be used.
        """
        self._collection = collection
        self._lookup = lookup
        self._calls = StacCalls(
            url,
            policy=policy,
            timeout_s=timeout_s,
            at_once=at_once,
            pace=Pace(None),
            key=_no_key,
            key_header="X-Api-Key",
        )
        self._name = f"the STAC API {public_url(self._calls.root)}"
        self._lock = threading.Lock()
        self._conforms: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        """Without name and password."""
        return f"{type(self).__name__}({public_url(self._calls.root)!r})"

    def item(self, collection_id: str, item_id: str) -> dict[str, Any] | None:
        """See `ItemSource.item`."""
        check_ids(collection_id, item_id)
        with self._worded():
            self._conformance()
            url = self._calls.url("collections", collection_id, "items", item_id)
            try:
                found = self._calls.document("GET", url, hand_back=_ABSENT)
            except HttpStatusError:
                return None
        if found.get("type") != "Feature" or found.get("id") != item_id:
            raise _refused(
                f"GET {public_url(url)} gave something else than that item "
                f"(type {_shown(found.get('type'))}, id {_shown(found.get('id'))}): "
                "check the address of the API"
            )
        return found

    def versions(self, query: VersionQuery) -> LookedUp:
        """See `ItemSource.versions`."""
        start = f"{query.dataset_id}."
        collection = query.collection_id or self._collection
        check_ids(query.dataset_id, *([] if collection is None else [collection]))
        with self._worded():
            self._check_filter()
            body: JsonObject = {
                "filter": _between("id", start, start + _BEYOND),
                "limit": _ON_A_PAGE,
                **_LANGUAGE,
            }
            if collection is not None:
                body["collections"] = [collection]
            if any(map(_FIELDS.match, self._conformance())):
                body["fields"] = {"include": ["id", "collection"], "exclude": ["links"]}
            found = set(self._ids(body))
        # A database may have texts in an order in which others come between.
        return LookedUp(tuple(sorted(name for name in found if name.startswith(start))))

    def probe(self) -> None:
        """See `ItemSource.probe`; reads the landing page, and asks for one item."""
        with self._worded():
            self._conformance(anew=True)
            if self._lookup:
                self._check_filter()
                body: JsonObject = {"filter": _between("id", "a", "b"), "limit": 1, **_LANGUAGE}
                self._page("POST", self._calls.url("search"), body, impatient=True)

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def _ids(self, body: JsonObject) -> Iterator[str]:
        """Ids of the items of all pages."""
        method, url, asked = "POST", self._calls.url("search"), body
        seen = 0
        while True:
            page = self._page(method, url, asked)
            for item in page["features"]:
                yield item["id"]
            seen += len(page["features"])
            link = _next_link(page)
            if link is None or not page["features"]:
                return
            if seen >= MAX_VERSIONS:
                raise _refused(
                    f"POST {public_url(url)} finds more than {MAX_VERSIONS} items that begin with "
                    f"one dataset's id: {self._name} does not look at the filter; give another "
                    "API, or turn the lookup of earlier versions off"
                )
            url = self._calls.at_home(link["href"], asked=url)
            method = str(link.get("method", "GET")).upper()
            following = link["body"] if isinstance(link.get("body"), dict) else {}
            asked = {**asked, **following} if link.get("merge") else following

    def _page(
        self, method: str, url: str, body: JsonObject, *, impatient: bool = False
    ) -> JsonObject:
        asked = body if method == "POST" else None
        return self._document(method, url, _search_page, body=asked, impatient=impatient)

    def _document(
        self,
        method: str,
        url: str,
        read: Callable[[httpx.Response], JsonObject],
        *,
        body: JsonObject | None = None,
        impatient: bool = False,
    ) -> JsonObject:
        found: JsonObject = {}

        def accept(response: httpx.Response) -> None:
            found.clear()
            found.update(read(response))

        self._calls.send(method, url, body=body, impatient=impatient, accept=accept)
        return found

    def _check_filter(self) -> None:
        if not any(map(_FILTER.match, self._conformance())):
            raise _refused(
                f"{self._name} has no Filter extension, by which versions of a dataset are found: "
                "give another API, or turn the lookup of earlier versions off"
            )

    def _conformance(self, *, anew: bool = False) -> tuple[str, ...]:
        """What the landing page says that the API can do; it is read once, or anew."""
        with self._lock:
            if self._conforms is not None and not anew:
                return self._conforms
        landing = self._document("GET", f"{self._calls.root}/", _json_object, impatient=anew)
        classes = landing.get("conformsTo")
        if not isinstance(classes, list):
            raise _refused(
                f"{public_url(self._calls.root)} is no STAC API: it does not say what it conforms "
                "to; give the address of its landing page"
            )
        conforms = tuple(one for one in classes if isinstance(one, str))
        with self._lock:
            self._conforms = conforms
        return conforms

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """Errors of the transport in the words of this port."""
        try:
            yield
        except RetryableError as error:
            raise RetryableError(
                ItemFault.UNAVAILABLE, f"{error}; see whether {self._name} is up"
            ) from None
        except PermanentError as error:
            if error.reason == ItemFault.REFUSED:
                raise
            remedy = "" if error.reason == SourceFault.FORBIDDEN else "; check the address"
            raise PermanentError(ItemFault.REFUSED, f"{error}{remedy}") from None


def _no_key() -> None:
    return None


def _between(name: str, first: str, last: str) -> JsonObject:
    """A filter in CQL2 JSON."""
    sides = ((">=", first), ("<=", last))
    return {
        "op": "and",
        "args": [{"op": op, "args": [{"property": name}, side]} for op, side in sides],
    }


def _json_object(response: httpx.Response) -> JsonObject:
    try:
        document = response.json()
    except ValueError:
        raise CorruptAnswerError("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise CorruptAnswerError("the answer is not a JSON object")
    return document


def _search_page(response: httpx.Response) -> JsonObject:
    page = _json_object(response)
    features = page.get("features")
    if not isinstance(features, list) or not all(
        isinstance(one, dict) and isinstance(one.get("id"), str) for one in features
    ):
        raise CorruptAnswerError("the answer is no list of items")
    return page


def _next_link(page: JsonObject) -> JsonObject | None:
    links = page.get("links")
    return next(
        (
            link
            for link in (links if isinstance(links, list) else ())
            if isinstance(link, dict)
            and link.get("rel") == "next"
            and isinstance(link.get("href"), str)
        ),
        None,
    )


def _shown(value: object) -> str:
    return repr(value)[:120]


def _refused(problem: str) -> PermanentError:
    return PermanentError(ItemFault.REFUSED, problem)
