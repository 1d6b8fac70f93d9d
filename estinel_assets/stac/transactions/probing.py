"""Whether an API takes what we write, tried on a collection of our own that goes again."""

import re
from typing import Any, Final

from estinel_assets.errors import (
    EstinelError,
    PermanentError,
    RetryableError,
    SourceFault,
    UnitError,
    public_url,
)
from estinel_assets.stac.transactions.calls import JsonObject, StacCalls
from estinel_assets.transport import HttpStatusError

PREFIX: Final = "estinel-probe-"
"""Of the collection's id."""

_TRANSACTIONS: Final = re.compile(r"^https?://[^ ]*/extensions/transaction([#/].*)?$")
_ABSENT = frozenset({404, 410})
_TIME = "2020-01-01T00:00:00Z"


def probe(calls: StacCalls, *, name: str) -> None:
    """Create and delete a collection with an item in it.

    Args:
        calls: to the API.
        name: unique; part of the collection's id.

    Raises:
        RetryableError: the API cannot be reached, or fails.
        PermanentError: it is no STAC API, has no Transaction extension, or refuses the key or
            what we write.
    """
    _check_conformance(calls)
    collection_id = f"{PREFIX}{name}"
    item_id = f"{PREFIX}item-{name}"
    items = calls.url("collections", collection_id, "items")
    try:
        _step(calls, "create a collection", "POST", calls.url("collections"), _made(collection_id))
        _step(calls, "create an item", "POST", items, _made_item(collection_id, item_id))
        _step(calls, "delete an item", "DELETE", f"{items}/{item_id}", None)
    except EstinelError as error:
        left = _clear(calls, collection_id)
        if left is None or not isinstance(error, UnitError):
            raise
        raise type(error)(error.reason, f"{error}; {left}") from None
    if left := _clear(calls, collection_id):
        raise RetryableError(SourceFault.UNAVAILABLE, left)


def _check_conformance(calls: StacCalls) -> None:
    try:
        landing = calls.document("GET", f"{calls.root}/")
    except RetryableError as error:
        raise RetryableError(error.reason, f"the STAC API cannot be reached: {error}") from None
    except PermanentError as error:
        raise _refused("read its landing page", error) from None
    classes = landing.get("conformsTo")
    if not isinstance(classes, list):
        try:
            classes = calls.document("GET", calls.url("conformance")).get("conformsTo")
        except PermanentError:
            classes = None
    if not isinstance(classes, list):
        raise PermanentError(
            SourceFault.UNAVAILABLE,
            f"{public_url(calls.root)} is no STAC API: it does not say what it conforms to; "
            "give the address of its landing page",
        )
    if not any(isinstance(each, str) and _TRANSACTIONS.match(each) for each in classes):
        raise PermanentError(
            SourceFault.UNAVAILABLE,
            f"the STAC API {public_url(calls.root)} has no Transaction extension: nothing can be "
            "written to it; switch the extension on, or give the address of another one",
        )


def _step(calls: StacCalls, what: str, method: str, url: str, body: JsonObject | None) -> None:
    # 409: an earlier try whose answer was lost; 404 of a DELETE likewise.
    known = frozenset({409}) if method == "POST" else _ABSENT
    try:
        calls.send(method, url, body=body, hand_back=known)
    except HttpStatusError:
        return
    except PermanentError as error:
        raise _refused(what, error) from None


def _refused(what: str, error: PermanentError) -> PermanentError:
    if error.reason == SourceFault.FORBIDDEN:
        return PermanentError(error.reason, f"the STAC API refuses our key: cannot {what}: {error}")
    return PermanentError(error.reason, f"the STAC API does not let us {what}: {error}")


def _clear(calls: StacCalls, collection_id: str) -> str | None:
    """Delete the collection; what to say where that fails."""
    try:
        calls.send(
            "DELETE", calls.url("collections", collection_id), hand_back=_ABSENT, impatient=True
        )
    except HttpStatusError:
        return None
    except UnitError as error:
        return f"the collection {collection_id!r} may be left in the STAC API: {error}"
    return None


def _made(collection_id: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": collection_id,
        "description": "A trial whether this API can be written to; it may be deleted.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [[_TIME, None]]},
        },
        "links": [],
    }


def _made_item(collection_id: str, item_id: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": collection_id,
        "geometry": {"type": "Point", "coordinates": [0.0, 0.0]},
        "bbox": [0.0, 0.0, 0.0, 0.0],
        "properties": {"datetime": _TIME},
        "links": [],
        "assets": {},
    }
