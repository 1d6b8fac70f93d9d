"""Searching a STAC API, completely or not at all.

pystac-client forms the search; every request goes through the project's retry policy. What
public APIs do in practice decides the rest: an answer above a gateway's size limit comes as 502,
so the search starts again with half the page; pages overlap or skip when the catalogue changes
meanwhile, so ids are counted once and their number is held against what the API says matched.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self
from urllib.parse import urljoin

import requests
from pystac.link import Link
from pystac_client import ConformanceClasses, ItemSearch
from pystac_client.stac_api_io import StacApiIO

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, public_url
from estinel_assets.settings import StacSettings, TransportSettings
from estinel_assets.stac.fields import as_list, as_mapping
from estinel_assets.stac.geography import footprint
from estinel_assets.stac.source import (
    ListedScenes,
    SceneQuery,
    SceneSource,
    SearchResult,
    StacItem,
    in_time_order,
    item_datetime,
    parse_instant,
)
from estinel_assets.transport import HttpStatusError, RequestsTransport, RetryPolicy

__all__ = [
    "ListedScenes",
    "SceneQuery",
    "SceneSource",
    "SearchResult",
    "StacApiSource",
    "StacItem",
]

_LOG = logging.getLogger(__name__)
_LARGEST_PAGE = 100
_MOST_EMPTY_PAGES = 20
_TOO_LARGE = frozenset({502})


class StacApiSource:
    """A `SceneSource` that asks a STAC API. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        *,
        transport: RequestsTransport,
        page_size: int = 100,
        min_page_size: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember the address; nothing is asked yet.

        Args:
            url: root of the API.
            transport: sends the requests.
            page_size: items a page, at most 100.
            min_page_size: a page this small is not halved any more.
            clock: seconds, for the duration of a search.
        """
        self.url = url
        self._transport = transport
        self._page_size = min(page_size, _LARGEST_PAGE)
        self._min_page_size = min(min_page_size, self._page_size)
        self._clock = clock
        self._lock = threading.Lock()
        self._search_url: str | None = None

    @classmethod
    def from_settings(
        cls, stac: StacSettings, transport: TransportSettings, *, policy: RetryPolicy | None = None
    ) -> Self:
        """The source of the settings.

        Args:
            stac: address and page size.
            transport: time limits and retries.
            policy: instead of the one that `transport` describes.
        """
        policy = policy or RetryPolicy.from_settings(transport)
        return cls(
            stac.url,
            transport=RequestsTransport(policy, timeout_s=transport.timeout_s),
            page_size=stac.page_size,
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    def search(self, query: SceneQuery) -> SearchResult:
        """Find every scene that matches, all pages of them.

        Raises:
            RetryableError: no answer (timeout, unavailable), fewer items than the API says match
                (unavailable), or an answer that is not JSON (corrupt).
            PermanentError: forbidden, not found, not a STAC API, refused, or an item that
                cannot be used (corrupt).
        """
        started = self._clock()
        root = _SearchIO(self._transport)
        url = self._find_search(root)
        made = root.made
        size = self._page_size
        while True:
            smallest = size <= self._min_page_size
            pages = _SearchIO(self._transport, hand_back=frozenset() if smallest else _TOO_LARGE)
            try:
                found = self._collect(self._item_search(url, query, size, pages), query)
            except HttpStatusError:
                # Tokens and page numbers may depend on the size, so paging starts again.
                halved = max(self._min_page_size, size // 2)
                _LOG.info("%s: 502 with %d items a page, now %d", public_url(url), size, halved)
                size = halved
            else:
                break
            finally:
                made += pages.made
        self._check_count(found, pages.matched)
        return SearchResult(
            items=in_time_order(found.values()),
            matched=pages.matched,
            requests=made,
            duration_s=self._clock() - started,
            page_size=size,
        )

    def check(self) -> str:
        """Ask the root whether it offers search; return the search's address without query.

        Raises:
            RetryableError: see `search`.
            PermanentError: see `search`.
        """
        return public_url(self._find_search(_SearchIO(self._transport)))

    @staticmethod
    def _item_search(url: str, query: SceneQuery, size: int, pages: "_SearchIO") -> ItemSearch:
        several = len(query.boxes) > 1
        return ItemSearch(
            url,
            method="POST",
            stac_io=pages,
            collections=[query.collection],
            datetime=[query.start, query.end],
            bbox=None if several else list(query.boxes[0]),
            intersects=footprint(query.boxes)[0] if several else None,
            limit=size,
        )

    def _collect(self, search: ItemSearch, query: SceneQuery) -> dict[str, StacItem]:
        where = public_url(search.url)
        found: dict[str, StacItem] = {}
        for page in search.pages_as_dicts():
            for feature in page["features"]:
                item = _usable(feature, query, where)
                known = found.get(item["id"])
                if known is None or _stamp(item) >= _stamp(known):
                    found[item["id"]] = item
        return found

    def _check_count(self, found: dict[str, StacItem], matched: int | None) -> None:
        if matched is not None and len(found) < matched:
            raise RetryableError(
                SourceFault.UNAVAILABLE,
                f"{public_url(self.url)} says that {matched} items match and gave {len(found)}: "
                "none is used, rather than losing scenes; search again",
            )

    def _find_search(self, io: "_SearchIO") -> str:
        with self._lock:
            if self._search_url is None:
                self._search_url = _search_address(io.read_document(self.url), self.url)
            return self._search_url


class _SearchIO(StacApiIO):
    """pystac-client's reading and paging over our transport, for one search."""

    def __init__(
        self, transport: RequestsTransport, hand_back: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(max_retries=None)
        self._transport = transport
        self._hand_back = hand_back
        self.made = 0
        """Requests made, every try counted."""
        self.matched: int | None = None
        """What the last page that said so gave as the number of matching items."""

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Send one request under the retry policy and return its text."""
        verb = (method or "GET").upper()
        request = requests.Request(verb, href, headers=headers)
        if verb == "GET":
            request.params = parameters or {}
        else:
            request.json = parameters or {}
        response = self._transport.send(request, hand_back=self._hand_back, on_try=self._count_try)
        return response.content.decode()

    def _count_try(self) -> None:
        self.made += 1

    def read_document(
        self,
        source: str | Link,
        method: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Read a JSON object."""
        where = public_url(source if isinstance(source, str) else str(source.href))
        try:
            # Not `read_json`: it takes an address without scheme for a file.
            document = self.json_loads(
                self.request(source, method, parameters=parameters)
                if isinstance(source, str)
                else self.read_text(source, parameters=parameters)
            )
        except ValueError:
            raise RetryableError(
                SourceFault.CORRUPT, f"{where} answered with something that is not JSON"
            ) from None
        if not isinstance(document, dict):
            raise PermanentError(
                SourceFault.CORRUPT,
                f"{where} answered with a JSON {type(document).__name__}, not an object",
            )
        return document

    def get_pages(
        self,
        url: str,
        method: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Follow the pages to the end; those without features are skipped, not the end."""
        where = public_url(url)
        page = self.read_document(url, method, parameters)
        seen: set[str] = set()
        empty = 0
        while True:
            features = page.get("features")
            if not isinstance(features, list):
                raise PermanentError(
                    SourceFault.CORRUPT, f"{where} answered with a page without features"
                )
            self.matched = _matched(page, self.matched)
            empty = 0 if features else empty + 1
            if features:
                yield page
            link = _next_link(page)
            if link is None:
                return
            if str(link) in seen or empty > _MOST_EMPTY_PAGES:
                raise RetryableError(
                    SourceFault.CORRUPT, f"{where} leads in circles: its pages have no end"
                )
            seen.add(str(link))
            absolute = {**link, "href": urljoin(url, link["href"])}
            page = self.read_document(Link.from_dict(absolute), parameters=parameters)


def _next_link(page: dict[str, Any]) -> dict[str, Any] | None:
    for link in as_list(page.get("links")):
        if (
            isinstance(link, dict)
            and link.get("rel") == "next"
            and isinstance(link.get("href"), str)
        ):
            return link
    return None


def _matched(page: dict[str, Any], before: int | None) -> int | None:
    stated = page.get("numberMatched")
    if stated is None:
        stated = as_mapping(page.get("context")).get("matched")
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else before


def _stamp(item: StacItem) -> float:
    instant = parse_instant(item["properties"].get("updated"))
    return instant.timestamp() if instant else float("-inf")


def _usable(feature: object, query: SceneQuery, where: str) -> StacItem:
    """Check what everything later relies on.

    Raises:
        PermanentError: corrupt.
    """
    problem = None
    if not isinstance(feature, dict):
        raise PermanentError(SourceFault.CORRUPT, f"{where} gave a feature that is no object")
    item_id = feature.get("id")
    if not isinstance(item_id, str) or not item_id:
        problem = "has no id"
    elif item_datetime(feature) is None:
        problem = "has no datetime"
    elif not isinstance(feature.get("assets"), dict):
        problem = "has no assets"
    elif feature.get("collection", query.collection) != query.collection:
        problem = f"is of collection {feature['collection']!r}, not {query.collection!r}"
    if problem:
        raise PermanentError(
            SourceFault.CORRUPT, f"{where} gave an item {item_id!r} that {problem}"
        )
    return feature


def _search_address(root: dict[str, Any], url: str) -> str:
    """The address that takes POSTed searches.

    Raises:
        PermanentError: the root offers none.
    """
    where = public_url(url)
    advice = "set ESTINEL_STAC_URL to the root of a STAC API that offers item search"
    classes = root.get("conformsTo")
    if isinstance(classes, list):
        pattern = ConformanceClasses.ITEM_SEARCH.pattern
        if not any(isinstance(name, str) and re.match(pattern, name) for name in classes):
            raise PermanentError(
                SourceFault.UNAVAILABLE, f"{where} does not conform to item search: {advice}"
            )
    for link in as_list(root.get("links")):
        if not isinstance(link, dict) or link.get("rel") != "search":
            continue
        # Older APIs take POST there without saying so.
        href = link.get("href")
        if link.get("method", "POST") == "POST" and isinstance(href, str):
            return urljoin(url.rstrip("/") + "/", href)
    raise PermanentError(
        SourceFault.UNAVAILABLE, f"{where} has no link to a search by POST: {advice}"
    )
