"""The STAC API's endpoints that write, as stac-fastapi wants them, on top of the repository.

stac-fastapi checks bodies with the models of stac-pydantic. What is stored is the body as it came,
not what a model makes of it: models write times and numbers in their own way. So the endpoints
read the body again, which Starlette has kept, and leave the model to `**_`. Writing runs in
threads.

Import this only where stac-fastapi is known to be installed: `app.create_app` sees to that.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from stac_fastapi.extensions.bulk_transactions import (
    AsyncBaseBulkTransactionsClient,
    BulkTransactionMethod,
    Items,
)
from stac_fastapi.extensions.transaction import AsyncBaseTransactionsClient
from stac_pydantic import Collection, Item
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.documents import JsonObject, merged, published
from estinel_assets.stac.api.items import ItemRepository, no_collection, no_item
from estinel_assets.stac.api.rows import shortened

_GEOJSON = "application/geo+json"
_JSON = "application/json"


class SqliteTransactions(AsyncBaseTransactionsClient):
    """Creates, replaces, patches and deletes collections and items, one transaction a request."""

    def __init__(self, repository: ItemRepository) -> None:
        super().__init__()
        self._repository = repository

    async def create_collection(  # type: ignore[override]
        self, collection: Collection, *, request: Request, **_: Any
    ) -> Response:
        """`POST /collections`."""
        body = await _body(request)
        text = await run_in_threadpool(self._repository.create_collection, body)
        return _created(text, request, _collection_path(collection.id), _JSON)

    async def update_collection(  # type: ignore[override]
        self, collection_id: str, *, request: Request, **_: Any
    ) -> Response:
        """`PUT /collections/{collection_id}`."""
        body = await _body(request)
        _check_same_id(body, collection_id)
        text = await run_in_threadpool(
            self._repository.change_collection, collection_id, lambda _: body
        )
        return _answer(text, request, _JSON)

    async def patch_collection(  # type: ignore[override]
        self, collection_id: str, *, request: Request, **_: Any
    ) -> Response:
        """`PATCH /collections/{collection_id}` with a merge patch."""
        change = _patching(await _body(request), Collection, {"id": collection_id})
        text = await run_in_threadpool(self._repository.change_collection, collection_id, change)
        return _answer(text, request, _JSON)

    async def delete_collection(self, collection_id: str, **_: Any) -> Response:
        """`DELETE /collections/{collection_id}`, with all its items."""
        if not await run_in_threadpool(self._repository.delete_collection, collection_id):
            raise no_collection(collection_id)
        return JSONResponse({"deleted collection": collection_id})

    async def create_item(  # type: ignore[override]
        self, collection_id: str, *, request: Request, **_: Any
    ) -> Response:
        """`POST /collections/{collection_id}/items`: one item, or a FeatureCollection."""
        body = await _body(request)
        many = body["type"] == "FeatureCollection"
        items = _within(collection_id, body["features"] if many else [body])
        texts = await run_in_threadpool(self._repository.create_items, collection_id, items)
        if many:
            return Response(status_code=201)
        return _created(texts[0], request, _item_path(collection_id, body["id"]), _GEOJSON)

    async def update_item(  # type: ignore[override]
        self, collection_id: str, item_id: str, *, request: Request, **_: Any
    ) -> Response:
        """`PUT /collections/{collection_id}/items/{item_id}`."""
        body = await _body(request)
        _check_same_id(body, item_id)
        (whole,) = _within(collection_id, [body])
        text = await run_in_threadpool(
            self._repository.change_item, collection_id, item_id, lambda _: whole
        )
        return _answer(text, request, _GEOJSON)

    async def patch_item(  # type: ignore[override]
        self, collection_id: str, item_id: str, *, request: Request, **_: Any
    ) -> Response:
        """`PATCH /collections/{collection_id}/items/{item_id}` with a merge patch."""
        ids = {"id": item_id, "collection": collection_id}
        change = _patching(await _body(request), Item, ids)
        text = await run_in_threadpool(self._repository.change_item, collection_id, item_id, change)
        return _answer(text, request, _GEOJSON)

    async def delete_item(self, item_id: str, collection_id: str, **_: Any) -> Response:
        """`DELETE /collections/{collection_id}/items/{item_id}`."""
        if not await run_in_threadpool(self._repository.delete_items, collection_id, [item_id]):
            raise no_item(collection_id, item_id)
        return JSONResponse({"deleted item": item_id})


class SqliteBulkTransactions(AsyncBaseBulkTransactionsClient):
    """Creates or replaces many items in one transaction: all or nothing."""

    def __init__(self, repository: ItemRepository) -> None:
        super().__init__()
        self._repository = repository

    async def bulk_item_insert(  # type: ignore[override]
        self, items: Items, *, request: Request, **_: Any
    ) -> Response:
        """`POST /collections/{collection_id}/bulk_items`."""
        collection_id = request.path_params["collection_id"]
        store = self._repository.create_items
        if items.method is BulkTransactionMethod.UPSERT:
            store = self._repository.put_items

        def check_and_store() -> int:
            return len(store(collection_id, _checked(collection_id, items.items)))

        stored = await run_in_threadpool(check_and_store)
        return JSONResponse(
            {"received": len(items.items), "success": stored, "skipped": 0, "errors": []}
        )


async def _body(request: Request) -> JsonObject:
    """The body as it came. An absent one and `null` are no bodies to the models, but pass."""
    try:
        body = await request.json()
    except ValueError as error:
        raise BadInputError(f"body: this is not JSON ({error})") from error
    if not isinstance(body, dict):
        raise BadInputError("body: this is no JSON object; a JSON Patch is not supported either")
    return body


def _checked(collection_id: str, items: Mapping[str, Any]) -> list[JsonObject]:
    """The items of a bulk request, which no model has looked at yet."""
    problems: list[str] = []
    for name, item in items.items():
        problem = _fault(Item, item)
        if not problem and item["id"] != name:
            problem = f"its id is {item['id']!r}"
        if problem:
            problems.append(f"item {name!r}: {problem}")
    if problems:
        raise BadInputError(f"items cannot be stored: {shortened(problems)}")
    return _within(collection_id, items.values())


def _fault(model: type[BaseModel], body: object) -> str:
    """Why it is no such document; empty where it is."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in problems
        )
    return ""


def _within(collection_id: str, items: Iterable[JsonObject]) -> list[JsonObject]:
    """Items that name the collection of the path, or none so far, as its items."""
    within = []
    problems = []
    for item in items:
        named = item.get("collection")
        if named not in (None, collection_id):
            problems.append(f"item {item['id']!r} names the collection {named!r}")
        within.append(item if named else {**item, "collection": collection_id})
    if problems:
        raise BadInputError(f"{shortened(problems)}; the path names {collection_id!r}")
    return within


def _check_same_id(body: Mapping[str, Any], name: str) -> None:
    if body["id"] != name:
        raise BadInputError(f"id: the body says {body['id']!r}, the path says {name!r}")


def _patching(
    patch: JsonObject, model: type[BaseModel], ids: Mapping[str, str]
) -> Callable[[JsonObject], JsonObject]:
    """What a merge patch does to a document, whose ids it cannot change.

    Raises:
        BadInputError: it changes an id.
    """
    for member, name in ids.items():
        if patch.get(member, name) != name:
            raise BadInputError(
                f"{member}: the body says {patch[member]!r}, the path says {name!r}"
            )

    def change(document: JsonObject) -> JsonObject:
        patched: JsonObject = merged(document, patch)
        if problem := _fault(model, patched):
            raise BadInputError(f"with the patch {ids['id']!r} cannot be stored: {problem}")
        return patched

    return change


def _collection_path(collection_id: str) -> str:
    return f"collections/{quote(collection_id, safe='')}"


def _item_path(collection_id: str, item_id: str) -> str:
    return f"{_collection_path(collection_id)}/items/{quote(item_id, safe='')}"


def _created(text: str, request: Request, path: str, media_type: str) -> Response:
    response = _answer(text, request, media_type)
    response.status_code = 201
    response.headers["Location"] = f"{request.base_url}{path}"
    return response


def _answer(text: str, request: Request, media_type: str) -> Response:
    return Response(published(text, str(request.base_url)), media_type=media_type)
