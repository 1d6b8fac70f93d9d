"""The web application of the local CMR: search for collections and granules, and files.

It follows CMR's search API where the product line touches it, its errors included: a parameter
that CMR does not know is refused, so that a misspelt one shows. Records are encoded once, when the
server starts; a request picks and joins them.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from estinel_assets.demo.cmr_files import FilesFolder, respond
from estinel_assets.demo.cmr_items import Item, with_absolute_urls

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_EOSDIS = "EOSDIS"
_LARGEST_PAGE = 2000
_JSON = b"application/json; charset=utf-8"
_UMM_JSON = b"application/vnd.nasa.cmr.umm_results+json;version=1.18.0; charset=utf-8"
_CONCEPT_ID = re.compile(r"[CG][0-9]+-[A-Za-z0-9_]+")
_PAGING = frozenset({"page_size", "page_num", "offset", "sort_key"})
_COLLECTION_PARAMETERS = _PAGING | {
    "concept_id",
    "consortium",
    "has_granules",
    "include_granule_counts",
    "provider",
}
_GRANULE_PARAMETERS = _PAGING | {"collection_concept_id", "concept_id", "provider"}

Query = Mapping[str, Sequence[str]]


class _RefusedError(Exception):
    """The request is one that CMR answers with 400."""


@dataclass(frozen=True, slots=True)
class _Record:
    concept_id: str
    parent_id: str
    """The collection's concept id; a collection's own."""
    provider: str
    consortia: frozenset[str]
    has_granules: bool
    plain: bytes
    counted: bytes
    """With the number of granules."""


class LocalCmrApp:
    """The ASGI application."""

    def __init__(
        self,
        collections: Sequence[Item],
        granules: Iterable[tuple[str, Item]],
        *,
        base_url: str,
        files: Path | None,
        token: str | None,
    ) -> None:
        """Encode the records.

        Args:
            collections: UMM-C items, in the order in which searches give them.
            granules: collection concept id and UMM-G item, in the order of searches.
            base_url: where this is served, for links without a scheme.
            files: folder served at `/files/`; None serves none.
            token: for files below `protected/`.
        """
        self._granules = [
            _granule(collection_id, with_absolute_urls(item, base_url))
            for collection_id, item in granules
        ]
        self._by_collection: dict[str, list[_Record]] = {}
        for granule in self._granules:
            self._by_collection.setdefault(granule.parent_id, []).append(granule)
        self._collections = [
            _collection(item, len(self._by_collection.get(item["meta"]["concept-id"], ())))
            for item in collections
        ]
        self._by_id: dict[str, list[_Record]] = {}
        for record in (*self._collections, *self._granules):
            self._by_id.setdefault(record.concept_id, []).append(record)
        self._selections: dict[str, list[_Record]] = {}
        self._files = None if files is None else FilesFolder(files, token)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:  # noqa: ARG002
        """Answer one request."""
        path: str = scope["path"]
        headers = dict(scope["headers"])
        if path.startswith("/files/") and self._files is not None:
            await self._files.answer(scope["method"], path[len("/files/") :], headers, send)
            return
        if path not in ("/search/collections.umm_json", "/search/granules.umm_json"):
            await _refuse(send, 404, "there is nothing at this address")
            return
        of_collections = "collections" in path
        after = headers.get(b"cmr-search-after")
        try:
            query = _query(scope["query_string"], collections=of_collections)
            matching = self._select(scope["query_string"], query, collections=of_collections)
            start, size = _window(query, after)
        except _RefusedError as error:
            await _refuse(send, 400, str(error))
            return
        await _send_page(send, query, matching, start, size)

    def _select(self, raw: bytes, query: Query, *, collections: bool) -> list[_Record]:
        """The records that match, in order."""
        for name in ("concept_id", "collection_concept_id"):
            for one in query.get(name, ()):
                if _CONCEPT_ID.fullmatch(one) is None:
                    raise _RefusedError(f"Concept-id [{one}] is not valid.")
        parents = [
            *query.get("collection_concept_id", ()),
            *(one for one in query.get("concept_id", ()) if not collections and one[0] == "C"),
        ]
        own = [one for one in query.get("concept_id", ()) if collections or one[0] == "G"]
        if own:
            candidates = [record for one in own for record in self._by_id.get(one, ())]
        elif parents:
            candidates = [record for one in parents for record in self._by_collection.get(one, ())]
        else:
            return self._select_all(raw, query, collections=collections)
        return [
            record
            for record in candidates
            if _matches(record, query) and (not own or not parents or record.parent_id in parents)
        ]

    def _select_all(self, raw: bytes, query: Query, *, collections: bool) -> list[_Record]:
        # Kept, because the pages of a long list ask the same again.
        key = f"{collections} {raw!r}"
        if key not in self._selections:
            records = self._collections if collections else self._granules
            if len(self._selections) >= 32:
                self._selections.clear()
            self._selections[key] = [record for record in records if _matches(record, query)]
        return self._selections[key]


def _collection(item: Item, granules: int) -> _Record:
    meta: Mapping[str, Any] = item["meta"]
    count = meta.get("granule-count", granules)
    counted = {**item, "meta": {**meta, "granule-count": count}}
    plain = {
        **item,
        "meta": {name: value for name, value in meta.items() if name != "granule-count"},
    }
    return _Record(
        concept_id=meta["concept-id"],
        parent_id=meta["concept-id"],
        provider=meta.get("provider-id", ""),
        consortia=frozenset(meta.get("consortiums", (_EOSDIS,))),
        has_granules=count > 0,
        plain=_encode(plain),
        counted=_encode(counted),
    )


def _granule(collection_id: str, item: Item) -> _Record:
    meta: Mapping[str, Any] = item["meta"]
    encoded = _encode(item)
    return _Record(
        concept_id=meta["concept-id"],
        parent_id=collection_id,
        provider=meta.get("provider-id", ""),
        consortia=frozenset(),
        has_granules=False,
        plain=encoded,
        counted=encoded,
    )


def _encode(item: Item) -> bytes:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode()


def _query(raw: bytes, *, collections: bool) -> Query:
    """The parameters by their names without the brackets of a list."""
    query: dict[str, list[str]] = {}
    known = _COLLECTION_PARAMETERS if collections else _GRANULE_PARAMETERS
    for name, values in parse_qs(raw.decode("latin-1"), keep_blank_values=True).items():
        plain = name.removesuffix("[]")
        if plain not in known:
            raise _RefusedError(f"Parameter [{name}] was not recognized.")
        query.setdefault(plain, []).extend(values)
    return query


def _matches(record: _Record, query: Query) -> bool:
    wanted = query.get("has_granules")
    consortia = query.get("consortium")
    return (
        ("provider" not in query or record.provider in query["provider"])
        and (consortia is None or not record.consortia.isdisjoint(consortia))
        and (wanted is None or record.has_granules == (wanted[0] == "true"))
    )


def _window(query: Query, after: bytes | None) -> tuple[int, int]:
    """Index of the first record of the page, and the page's size."""
    size = _number(query, "page_size", 10)
    if size > _LARGEST_PAGE:
        raise _RefusedError(f"page_size must be a number between 0 and {_LARGEST_PAGE}")
    if after is not None:
        if "offset" in query or "page_num" in query:
            raise _RefusedError("page_num and offset are not allowed with search-after")
        try:
            return int(json.loads(after)[-1]), size
        except (ValueError, TypeError, LookupError):
            raise _RefusedError("search-after is not valid") from None
    if "offset" in query:
        return _number(query, "offset", 0), size
    return (max(1, _number(query, "page_num", 1)) - 1) * size, size


def _number(query: Query, name: str, default: int) -> int:
    text = query.get(name, (str(default),))[0]
    if not (text.isascii() and text.isdecimal()):
        raise _RefusedError(f"{name} must be a number and not [{text}]")
    return int(text)


async def _send_page(
    send: "Send", query: Query, matching: Sequence[_Record], start: int, size: int
) -> None:
    page = matching[start : start + size]
    counts = query.get("include_granule_counts", ("false",))[0] == "true"
    items = b",".join([one.counted if counts else one.plain for one in page])
    headers = [(b"cmr-hits", b"%d" % len(matching)), (b"cmr-took", b"1")]
    if page:
        # As CMR does, also on the last page; the one after it is empty.
        headers.append((b"cmr-search-after", b'["local-cmr",%d]' % (start + len(page))))
    body = b'{"hits":%d,"took":1,"items":[%b]}' % (len(matching), items)
    await respond(send, 200, body, headers, _UMM_JSON)


async def _refuse(send: "Send", status: int, message: str) -> None:
    await respond(send, status, json.dumps({"errors": [message]}).encode(), None, _JSON)
