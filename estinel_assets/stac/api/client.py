"""The STAC API's endpoints, as stac-fastapi wants them, on top of the repository.

Import this only where stac-fastapi is known to be installed: `app.create_app` sees to that.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import attr
from fastapi import Path, Query
from pydantic import BaseModel, JsonValue
from stac_fastapi.extensions.filter.client import BaseFiltersClient
from stac_fastapi.extensions.filter.request import (
    FilterExtensionGetRequest,
    FilterExtensionPostRequest,
)
from stac_fastapi.types.core import BaseCoreClient
from stac_fastapi.types.search import APIRequest
from starlette.requests import Request
from starlette.responses import Response

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.documents import feature_collection, plain_text, published
from estinel_assets.stac.api.items import ItemRepository, no_collection, no_item
from estinel_assets.stac.api.parameters import parse_search
from estinel_assets.stac.api.search import Search

_GEOJSON = "application/geo+json"
_JSON = "application/json"
_UNSUPPORTED = ("query", "q")
_FILTER_LANGUAGE = "cql2-json"


@attr.s
class ItemsParameters(APIRequest):
    """Query parameters of `GET /collections/{collection_id}/items`."""

    collection_id: Annotated[str, Path(description="Id of the collection.")] = attr.ib()
    bbox: Annotated[str | None, Query(description="4 or 6 numbers; west > east crosses ±180°.")] = (
        attr.ib(default=None)
    )
    datetime: Annotated[
        str | None, Query(description="RFC 3339 date-time, or two joined by a slash.")
    ] = attr.ib(default=None)
    sortby: Annotated[
        str | None, Query(description="Fields such as -datetime,+id,properties.gsd.")
    ] = attr.ib(default=None)
    limit: Annotated[int | None, Query(description="Items a page.")] = attr.ib(default=None)
    token: Annotated[str | None, Query(description="From a next link.")] = attr.ib(default=None)


@attr.s
class SearchParameters(FilterExtensionGetRequest):
    """Query parameters of `GET /search`."""

    collections: Annotated[
        str | None, Query(description="Ids of collections, comma-separated.")
    ] = attr.ib(default=None)
    ids: Annotated[str | None, Query(description="Ids of items, comma-separated.")] = attr.ib(
        default=None
    )
    bbox: Annotated[str | None, Query(description="4 or 6 numbers; west > east crosses ±180°.")] = (
        attr.ib(default=None)
    )
    intersects: Annotated[str | None, Query(description="A GeoJSON geometry.")] = attr.ib(
        default=None
    )
    datetime: Annotated[
        str | None, Query(description="RFC 3339 date-time, or two joined by a slash.")
    ] = attr.ib(default=None)
    sortby: Annotated[
        str | None, Query(description="Fields such as -datetime,+id,properties.gsd.")
    ] = attr.ib(default=None)
    limit: Annotated[int | None, Query(description="Items a page.")] = attr.ib(default=None)
    token: Annotated[str | None, Query(description="From a next link.")] = attr.ib(default=None)


class SortField(BaseModel):
    """One member of `sortby` in a POST."""

    field: str
    direction: str = "asc"


class SearchBody(FilterExtensionPostRequest):
    """Body of `POST /search`."""

    collections: list[str] | None = None
    ids: list[str] | None = None
    bbox: list[float] | None = None
    intersects: dict[str, JsonValue] | None = None
    datetime: str | None = None
    sortby: list[SortField] | None = None
    limit: int | None = None
    token: str | None = None
    query: JsonValue = None
    q: JsonValue = None


class SqliteClient(BaseCoreClient):
    """Reads from one repository. The endpoints are plain functions: they run in threads.

    They return ready responses, which stac-fastapi passes on though its annotations say otherwise.
    """

    def __init__(self, repository: ItemRepository, **options: Any) -> None:
        super().__init__(**options)
        self._repository = repository

    def landing_page(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """`GET /`, with a link to each collection."""
        base_url = _base_url(kwargs["request"])
        page: dict[str, Any] = dict(super().landing_page(**kwargs))
        page["links"] += [
            _link("child", f"{base_url}collections/{quote(name, safe='')}")
            for name in self._repository.collection_ids()
        ]
        return page

    def all_collections(self, **kwargs: Any) -> Response:  # type: ignore[override]
        """`GET /collections`: all of them, on one page."""
        base_url = _base_url(kwargs["request"])
        texts = ",".join(self._repository.collection_texts())
        links = plain_text([_link("root", base_url), _link("self", f"{base_url}collections")])
        return _answer(f'{{"collections":[{published(texts, base_url)}],"links":{links}}}')

    def get_collection(self, collection_id: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """`GET /collections/{collection_id}`."""
        text = self._repository.collection_text(collection_id)
        if text is None:
            raise no_collection(collection_id)
        return _answer(published(text, _base_url(kwargs["request"])))

    def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Response:  # type: ignore[override]
        """`GET /collections/{collection_id}/items/{item_id}`."""
        text = self._repository.item_text(collection_id, item_id)
        if text is None:
            raise no_item(collection_id, item_id)
        return _answer(published(text, _base_url(kwargs["request"])), _GEOJSON)

    def item_collection(  # type: ignore[override]
        self, collection_id: str, *, request: Request, **parameters: Any
    ) -> Response:
        """`GET /collections/{collection_id}/items`."""
        _refuse_unsupported(request.query_params, *_UNSUPPORTED, "filter")
        parameters["interval"] = parameters.pop("datetime", None)
        search = parse_search(collections=[collection_id], **parameters)
        if self._repository.collection_text(collection_id) is None:
            raise no_collection(collection_id)
        path = f"collections/{quote(collection_id, safe='')}/items"
        return self._page(search, request, path)

    def get_search(  # type: ignore[override]
        self,
        *,
        request: Request,
        filter_lang: str | None = None,
        filter_crs: str | None = None,  # noqa: ARG002 - no filter has coordinates
        **parameters: Any,
    ) -> Response:
        """`GET /search`."""
        _refuse_unsupported(request.query_params, *_UNSUPPORTED)
        if parameters["filter_expr"] and filter_lang != _FILTER_LANGUAGE:
            raise BadInputError(
                f"filter: only {_FILTER_LANGUAGE} is understood: say filter-lang={_FILTER_LANGUAGE}"
            )
        parameters["interval"] = parameters.pop("datetime", None)
        return self._page(parse_search(**parameters), request, "search")

    def post_search(  # type: ignore[override]
        self, search_request: SearchBody, *, request: Request, **_: Any
    ) -> Response:
        """`POST /search`."""
        body = search_request.model_dump(exclude_unset=True, exclude_none=True, by_alias=True)
        _refuse_unsupported(body, *_UNSUPPORTED)
        search = parse_search(
            collections=search_request.collections,
            ids=search_request.ids,
            bbox=search_request.bbox,
            intersects=search_request.intersects,
            interval=search_request.datetime,
            filter_expr=search_request.filter_expr,
            sortby=[(key.field, key.direction) for key in search_request.sortby or ()],
            limit=search_request.limit,
            token=search_request.token,
        )
        return self._page(search, request, "search", body=body)

    def _page(
        self, search: Search, request: Request, path: str, *, body: dict[str, Any] | None = None
    ) -> Response:
        base_url = _base_url(request)
        page = self._repository.search(search)
        here = f"{base_url}{path}"
        query = dict(request.query_params)
        links = [
            _link("root", base_url),
            _link("self", f"{here}?{urlencode(query)}" if query else here, _GEOJSON),
        ]
        if page.token is not None and body is not None:
            # The whole body, so that a client may send it as it is.
            following = {"method": "POST", "body": {**body, "token": page.token}, "merge": False}
            links.append(_link("next", here, _GEOJSON) | following)
        elif page.token is not None:
            address = f"{here}?{urlencode({**query, 'token': page.token})}"
            links.append(_link("next", address, _GEOJSON) | {"method": "GET"})
        content = feature_collection(page.texts, links, matched=page.matched, base_url=base_url)
        return Response(content, media_type=_GEOJSON)


class Queryables(BaseFiltersClient):
    """Says what filters can name."""

    def get_queryables(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """`GET /queryables`: every property, and three more names."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{_base_url(kwargs['request'])}queryables",
            "type": "object",
            "title": "Queryables",
            "description": "What a filter can name: these, and every property of an item.",
            "properties": {
                "id": {"type": "string"},
                "collection": {"type": "string"},
                "datetime": {"type": "string", "format": "date-time"},
            },
            "additionalProperties": True,
        }


def _refuse_unsupported(parameters: Mapping[str, Any], *names: str) -> None:
    # Ignored, they would find more than was asked for.
    for name in names:
        if parameters.get(name):
            raise BadInputError(f"{name}: this API does not support it, leave it out")


def _base_url(request: Request) -> str:
    return str(request.base_url)


def _link(relation: str, address: str, media_type: str = _JSON) -> dict[str, Any]:
    return {"rel": relation, "type": media_type, "href": address}


def _answer(text: str, media_type: str = _JSON) -> Response:
    return Response(text, media_type=media_type)
