"""NASA's Common Metadata Repository: which collections there are, and their granules.

Asked is the search API (https://cmr.earthdata.nasa.gov/search/site/docs/search/api.html) for UMM
JSON. A long list is paged by search-after: each page comes with a header that is sent back for the
next, until a page is empty or has none. CMR says with each page how many records match; a list that
ends short of that is an error and no shorter list, because what is missing from it would look as if
it had been withdrawn.

Trouble with CMR is trouble with a source, a `RetryableError` or `PermanentError`; it says nothing
about a collection.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from estinel_assets.compatibility.cmr_json import Json, mappings, whole_number
from estinel_assets.compatibility.cmr_records import (
    Collection,
    DataLink,
    Granule,
    check_concept_id,
    read_collection,
    read_granule,
)
from estinel_assets.errors import (
    BadInputError,
    PermanentError,
    RetryableError,
    SourceFault,
    public_url,
)
from estinel_assets.transport import CorruptAnswerError
from estinel_assets.transport.httpx_transport import HttpxTransport, QueryParameters

__all__ = ["CmrClient", "Collection", "DataLink", "Granule", "check_concept_id"]

LARGEST_PAGE: Final = 2000
"""CMR gives no more at once."""
LAST_OFFSET: Final = 999_999
"""CMR pages no further than the millionth record."""
EOSDIS: Final = "EOSDIS"
"""The consortium of NASA's archives; it stands for all their providers, present and future."""

_SEARCH_AFTER = "CMR-Search-After"
_HITS = "CMR-Hits"


@dataclass(frozen=True, slots=True)
class _Page:
    items: Sequence[Mapping[str, Json]]
    hits: int
    """Records that match, on all pages."""
    search_after: str | None


class CmrClient:
    """Asks one CMR. Safe to share between threads, as its transport is."""

    def __init__(self, transport: HttpxTransport, base_url: str) -> None:
        """Keep the address; nothing is asked yet.

        Args:
            transport: retries requests.
            base_url: the search API, such as `https://cmr.earthdata.nasa.gov/search`.
        """
        self._transport = transport
        self._base_url = base_url.rstrip("/")

    def collections(
        self, *, providers: Sequence[str] = (), page_size: int = LARGEST_PAGE
    ) -> Iterator[Collection]:
        """All collections with granules, most used first, each once.

        The number of granules is not asked for: CMR would count them all.

        Args:
            providers: CMR's provider ids; none for all of the EOSDIS consortium.
            page_size: collections a request, from 1 to 2000.

        Yields:
            Collections as the pages come in. The list is whole only when it ends without an error.

        Raises:
            RetryableError: CMR does not answer, answers with what is no JSON, or lists fewer
                collections than it counts.
            PermanentError: CMR refuses, or its answer is not that of a CMR.
            BadInputError: a page size that CMR does not know.
        """
        if not 1 <= page_size <= LARGEST_PAGE:
            raise BadInputError(
                f"CMR gives no pages of {page_size} collections: choose from 1 to {LARGEST_PAGE}"
            )
        whose = {"provider[]": list(providers)} if providers else {"consortium[]": [EOSDIS]}
        asked: QueryParameters = {
            "has_granules": "true",
            "sort_key[]": "-usage_score",
            "page_size": page_size,
            **whose,
        }
        seen: set[str] = set()
        counted: int | None = None
        for page in self._pages("collections", asked):
            # The first count holds: a later one may come from a CMR that is just failing.
            counted = page.hits if counted is None else counted
            before = len(seen)
            for collection in map(read_collection, page.items):
                if collection.concept_id not in seen:
                    seen.add(collection.concept_id)
                    yield collection
            if len(seen) == before:
                # Empty, or the same again: there is nothing more to come.
                break
        self._check_complete("collections", found=len(seen), hits=counted or 0)

    def collection(self, concept_id: str) -> Collection | None:
        """One collection with its number of granules; None where CMR knows no such collection.

        Raises:
            BadInputError: no concept id of a collection.
            RetryableError: as `collections`.
            PermanentError: as `collections`.
        """
        check_concept_id(concept_id)
        page = self._page(
            "collections",
            {"concept_id": concept_id, "include_granule_counts": "true", "page_size": 1},
        )
        if not page.items:
            self._check_complete("collections", found=0, hits=page.hits)
            return None
        collection = read_collection(page.items[0])
        self._check_asked_for(concept_id, collection.concept_id)
        return collection

    def granule_at(self, concept_id: str, offset: int) -> Granule | None:
        """The granule at a place in CMR's list of a collection's granules.

        Args:
            concept_id: of the collection.
            offset: from 0.

        Returns:
            The granule; None where the list is shorter.

        Raises:
            BadInputError: no concept id of a collection, or an offset beyond CMR's reach.
            RetryableError: as `collections`.
            PermanentError: as `collections`.
        """
        check_concept_id(concept_id)
        if not 0 <= offset <= LAST_OFFSET:
            raise BadInputError(
                f"CMR lists no granule at offset {offset}: choose from 0 to {LAST_OFFSET}"
            )
        page = self._page(
            "granules", {"collection_concept_id": concept_id, "page_size": 1, "offset": offset}
        )
        if not page.items:
            # A list that ended before the offset is no shortfall.
            self._check_complete("granules", found=min(offset, page.hits), hits=page.hits)
            return None
        return read_granule(page.items[0], concept_id)

    def granule(self, granule_concept_id: str) -> Granule | None:
        """One granule; None where CMR knows no such granule.

        Raises:
            BadInputError: no concept id of a granule.
            RetryableError: as `collections`.
            PermanentError: as `collections`.
        """
        check_concept_id(granule_concept_id, "granule")
        page = self._page("granules", {"concept_id": granule_concept_id, "page_size": 1})
        if not page.items:
            self._check_complete("granules", found=0, hits=page.hits)
            return None
        granule = read_granule(page.items[0])
        self._check_asked_for(granule_concept_id, granule.concept_id)
        return granule

    def _pages(self, what: str, asked: QueryParameters) -> Iterator[_Page]:
        """Page after page until one is empty or the last."""
        search_after = None
        while True:
            page = self._page(what, asked, search_after)
            yield page
            search_after = page.search_after
            if search_after is None or not page.items:
                return

    def _page(self, what: str, asked: QueryParameters, search_after: str | None = None) -> _Page:
        url = self._url(what)
        headers = None if search_after is None else {_SEARCH_AFTER: search_after}
        decoded: list[Json] = []

        def accept(response: httpx.Response) -> None:
            decoded[:] = [_decode(response)]

        response = self._transport.send("GET", url, params=asked, headers=headers, accept=accept)
        return _read_page(url, decoded[0], response.headers)

    def _url(self, what: str) -> str:
        return f"{self._base_url}/{what}.umm_json"

    def _check_complete(self, what: str, *, found: int, hits: int) -> None:
        if found < hits:
            raise RetryableError(
                SourceFault.UNAVAILABLE,
                f"CMR at {public_url(self._url(what))} counts {hits} {what} and listed {found}: "
                "the list is not whole, try again later",
            )

    def _check_asked_for(self, asked: str, got: str) -> None:
        if got != asked:
            raise PermanentError(
                SourceFault.CORRUPT,
                f"CMR at {public_url(self._base_url)} was asked for {asked} and gave {got}: "
                "check that cmr_url is a CMR search API",
            )


def _decode(response: httpx.Response) -> Json:
    """An answer's JSON.

    Raises:
        CorruptAnswerError: it is none, as when a proxy shows a page for people, or half of one.
    """
    try:
        document: Json = json.loads(response.content)
    except (ValueError, RecursionError):  # a UnicodeDecodeError is a ValueError
        kind = response.headers.get("Content-Type", "without a content type").partition(";")[0]
        raise CorruptAnswerError(
            f"the answer is no JSON but {len(response.content)} bytes, {kind}; check that cmr_url "
            "is a CMR search API and that CMR is up"
        ) from None
    return document


def _read_page(url: str, document: Json, headers: httpx.Headers) -> _Page:
    if not isinstance(document, Mapping) or not isinstance(document.get("items"), list):
        raise PermanentError(
            SourceFault.CORRUPT,
            f"GET {public_url(url)} was answered with JSON that has no list of `items`: check that "
            "cmr_url is a CMR search API",
        )
    stated = headers.get(_HITS, "")
    hits = int(stated) if stated.isdecimal() else whole_number(document, "hits")
    if hits is None:
        raise PermanentError(
            SourceFault.CORRUPT,
            f"GET {public_url(url)} was answered without the header {_HITS}, so that nobody can "
            "tell whether the list is whole: check that cmr_url is a CMR search API",
        )
    return _Page(list(mappings(document, "items")), hits, headers.get(_SEARCH_AFTER))
