"""What stands in the API: items by id, and items page by page."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from estinel_assets.errors import RetryableError, SourceFault, UnitError, public_url
from estinel_assets.stac.transactions.calls import JsonObject, StacCalls
from estinel_assets.stac.transactions.documents import returned
from estinel_assets.stac.transactions.limits import Threads
from estinel_assets.transport import HttpStatusError

IDS_AT_ONCE = 250
"""Ids in one search, and items on one page."""

_ABSENT = frozenset({404, 410})
_NOT_OFFERED = frozenset({404, 405, 501})
_NOT_UNDERSTOOD = _NOT_OFFERED | {400, 422}


class StacReader:
    """Reads items. Safe to share between threads."""

    def __init__(self, calls: StacCalls, threads: Threads) -> None:
        """Nothing is asked yet."""
        self._calls = calls
        self._threads = threads
        self._searches = True
        self._selects_fields = True

    def collection(self, collection_id: str) -> JsonObject | None:
        """A collection; None where there is none."""
        return self._document("collections", collection_id)

    def item(self, collection_id: str, item_id: str) -> JsonObject | None:
        """An item; None where there is none."""
        return self._document("collections", collection_id, "items", item_id)

    def items(self, collection_id: str, item_ids: Collection[str]) -> dict[str, JsonObject]:
        """The items of these ids that there are, by id; several requests at once."""
        return self._items(collection_id, in_chunks(list(dict.fromkeys(item_ids)), IDS_AT_ONCE))

    def items_in_turn(self, collection_id: str, item_ids: Sequence[str]) -> dict[str, JsonObject]:
        """The same, one request after the other: for those who run in one of the threads."""
        found: dict[str, JsonObject] = {}
        for ids in in_chunks(item_ids, IDS_AT_ONCE):
            searched = self._search(collection_id, ids)
            if searched is None:
                searched = {
                    item_id: item
                    for item_id in ids
                    if (item := self.item(collection_id, item_id)) is not None
                }
            found |= searched
        return found

    def ids_in_turn(self, collection_id: str, item_ids: Sequence[str]) -> set[str]:
        """Which of these items stand; cheaper where the API can leave out the rest of them."""
        found: set[str] = set()
        for ids in in_chunks(item_ids, IDS_AT_ONCE):
            searched = self._search(
                collection_id, ids, fields={"include": ["id", "collection"], "exclude": ["links"]}
            )
            found |= set(self.items_in_turn(collection_id, ids) if searched is None else searched)
        return found

    def has_items(self, collection_id: str) -> bool:
        """Whether a collection has any item."""
        url = self._calls.url("collections", collection_id, "items")
        try:
            page = self._calls.document(
                "GET", url, params={"limit": 1}, hand_back=_ABSENT, member="features"
            )
        except HttpStatusError:
            return False
        return bool(page["features"])

    def all_items(self, collection_id: str) -> Iterator[JsonObject]:
        """All items of a collection, page by page; none where there is no collection.

        Raises:
            RetryableError: the API failed, or its pages lead in a circle.
            PermanentError: the API refused.
        """
        url = self._calls.url("collections", collection_id, "items")
        try:
            yield from self._pages("GET", url, {"limit": str(IDS_AT_ONCE)}, None, hand_back=_ABSENT)
        except HttpStatusError:
            return

    def _items(self, collection_id: str, chunks: list[list[str]]) -> dict[str, JsonObject]:
        found: dict[str, JsonObject] = {}
        one_by_one: list[str] = []
        for ids, searched in self._threads.each(partial(self._search, collection_id), chunks):
            if isinstance(searched, UnitError):
                raise searched
            if searched is None:
                one_by_one += ids
            else:
                found |= searched
        for item_id, item in self._threads.each(partial(self.item, collection_id), one_by_one):
            if isinstance(item, UnitError):
                raise item
            if item is not None:
                found[item_id] = item
        return found

    def _search(
        self, collection_id: str, ids: Sequence[str], *, fields: JsonObject | None = None
    ) -> dict[str, JsonObject] | None:
        """Items by id; None where the API cannot search by ids, or not with `fields`."""
        if not self._searches or (fields and not self._selects_fields):
            return None
        wanted = frozenset(ids)
        found: dict[str, JsonObject] = {}
        body: JsonObject = {"collections": [collection_id], "ids": list(ids), "limit": len(ids)}
        if fields:
            body["fields"] = fields
        url = self._calls.url("search")
        not_offered = _NOT_UNDERSTOOD if fields else _NOT_OFFERED
        try:
            for item in self._pages("POST", url, None, body, hand_back=not_offered):
                if item.get("id") not in wanted or item.get("collection") != collection_id:
                    # It does not look at what it was asked for.
                    self._searches = False
                    return None
                found[item["id"]] = item
                if len(found) == len(wanted):
                    break
        except HttpStatusError:
            if fields:
                self._selects_fields = False
            else:
                self._searches = False
            return None
        return found

    def _document(self, *segments: str) -> JsonObject | None:
        try:
            found = self._calls.document("GET", self._calls.url(*segments), hand_back=_ABSENT)
        except HttpStatusError:
            return None
        return returned(found)

    def _pages(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        body: JsonObject | None,
        *,
        hand_back: frozenset[int],
    ) -> Iterator[JsonObject]:
        """Items of all pages.

        Raises:
            HttpStatusError: the first page is answered by one of `hand_back`.
        """
        seen: set[tuple[str, str]] = set()
        asked: tuple[str, str, Any] = (method, url, body)
        while True:
            method, url, body = asked
            page = self._calls.document(
                method, url, params=params, body=body, hand_back=hand_back, member="features"
            )
            yield from map(returned, page["features"])
            following = self._following(page, asked)
            if following is None:
                return
            if (mark := (following[1], repr(following[2]))) in seen:
                raise RetryableError(
                    SourceFault.CORRUPT, f"{method} {public_url(url)}: its pages lead in a circle"
                )
            seen.add(mark)
            asked, params, hand_back = following, None, frozenset()

    def _following(
        self, page: JsonObject, asked: tuple[str, str, Any]
    ) -> tuple[str, str, Any] | None:
        """How to ask for the next page; None after the last."""
        links = page.get("links")
        link = next(
            (
                link
                for link in (links if isinstance(links, list) else ())
                if isinstance(link, dict) and link.get("rel") == "next"
            ),
            None,
        )
        if link is None or not isinstance(href := link.get("href"), str) or not page["features"]:
            return None
        url = self._calls.at_home(href, asked=asked[1])
        if str(link.get("method", "GET")).upper() != "POST":
            return "GET", url, None
        body = link.get("body")
        if not isinstance(body, dict):
            body = {}
        if link.get("merge"):
            body = {**(asked[2] or {}), **body}
        return "POST", url, body


def in_chunks(ids: Sequence[str], size: int) -> list[list[str]]:
    """Cut a sequence into parts of at most this size."""
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]
