"""How the JSON of collections and items is kept, and how it leaves again.

A document is kept as the text that a client gets, with U+0001 where the API's own address
belongs: before the links that the API makes itself, and before relative addresses of assets and
links. JSON forbids that character unescaped, so it is never anything else, and a page of items is
given out by one replacement, without parsing them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pydantic_core import PydanticSerializationError, to_json

_MARK: Final = "\x01"
_ESCAPED_MARK: Final = "\\u0001"
GENERATED_RELATIONS: Final = frozenset({"self", "root", "parent", "collection", "items"})
"""Links that the API makes itself; those of a document that comes in are dropped."""

JsonObject = dict[str, Any]


def item_text(item: Mapping[str, Any]) -> str:
    """The text to keep of an item.

    Args:
        item: a checked STAC item; NaN becomes null.

    Raises:
        ValueError: it holds something that JSON cannot say.
    """
    collection = _segment(item["collection"])
    home = f"collections/{collection}"
    links = [
        _link("self", f"{home}/items/{_segment(item['id'])}", "application/geo+json"),
        _link("parent", home),
        _link("collection", home),
        _link("root", ""),
    ]
    return _text(item, links)


def collection_text(collection: Mapping[str, Any]) -> str:
    """The text to keep of a collection.

    Raises:
        ValueError: it holds something that JSON cannot say.
    """
    home = f"collections/{_segment(collection['id'])}"
    links = [
        _link("self", home),
        _link("parent", ""),
        _link("root", ""),
        _link("items", f"{home}/items", "application/geo+json"),
    ]
    return _text(collection, links)


def published(text: str, base_url: str) -> str:
    """A kept text, or many joined, as a client gets it.

    Args:
        text: from `item_text` or `collection_text`.
        base_url: the API's address, ending in a slash.
    """
    return text.replace(_MARK, json.dumps(base_url)[1:-1])


def document(text: str) -> JsonObject:
    """A kept text as the document that came in: relative addresses, no generated links."""
    parsed: JsonObject = json.loads(text.replace(_MARK, ""))
    parsed["links"] = [
        link for link in parsed["links"] if link.get("rel") not in GENERATED_RELATIONS
    ]
    return parsed


def merged(document: object, patch: object) -> Any:
    """A JSON document with a merge patch applied (RFC 7396): null removes a member.

    Args:
        document: stays as it is.
        patch: a JSON object; anything else takes the place of the document.
    """
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def plain_text(value: object) -> str:
    """Compact JSON; NaN becomes null.

    Raises:
        ValueError: it holds something that JSON cannot say.
    """
    try:
        return to_json(value, inf_nan_mode="null").decode()
    except PydanticSerializationError as error:
        raise ValueError(f"it holds something that JSON cannot say ({error})") from error


def _text(document: Mapping[str, Any], generated: list[JsonObject]) -> str:
    kept = [
        _addressed(link)
        for link in document.get("links") or ()
        if link.get("rel") not in GENERATED_RELATIONS
    ]
    marked = {**document, "links": [*generated, *kept]}
    if document.get("assets"):
        marked["assets"] = {name: _addressed(asset) for name, asset in document["assets"].items()}
    text = plain_text(marked)
    holders = [*marked["links"], *marked.get("assets", {}).values()]
    marks = sum(str(holder.get("href", "")).startswith(_MARK) for holder in holders)
    if text.count(_ESCAPED_MARK) != marks:
        raise ValueError("it holds the control character U+0001, which has no place in a document")
    return text.replace(_ESCAPED_MARK, _MARK)


def _addressed(holder: Mapping[str, Any]) -> JsonObject:
    href = holder.get("href")
    if not isinstance(href, str) or href.startswith("/") or urlsplit(href).scheme:
        return dict(holder)
    return {**holder, "href": _MARK + href.removeprefix("./")}


def _link(relation: str, path: str, media_type: str = "application/json") -> JsonObject:
    return {"rel": relation, "type": media_type, "href": _MARK + path}


def _segment(name: str) -> str:
    return quote(name, safe="")


def feature_collection(
    texts: Sequence[str], links: Sequence[Mapping[str, Any]], *, matched: int, base_url: str
) -> bytes:
    """A page of items as a GeoJSON FeatureCollection.

    Args:
        texts: kept texts of the items.
        links: links of the page, ready made.
        matched: number of items that the whole search finds.
        base_url: the API's address, ending in a slash.
    """
    features = published(",".join(texts), base_url)
    return (
        f'{{"type":"FeatureCollection","features":[{features}],'
        f'"links":{plain_text(list(links))},'
        f'"numberMatched":{matched},"numberReturned":{len(texts)}}}'
    ).encode()
