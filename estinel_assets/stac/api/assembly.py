"""The web application: stac-fastapi with its settings, its errors, and the scenes' files.

Import this only where stac-fastapi is known to be installed: `app.create_app` sees to that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from stac_fastapi.api.app import StacApi
from stac_fastapi.extensions.bulk_transactions import BulkTransactionExtension
from stac_fastapi.extensions.filter import SearchFilterExtension
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.sort import SortExtension
from stac_fastapi.extensions.transaction import TransactionExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.errors import (
    ConflictError,
    DatabaseError,
    ForeignKeyError,
    InvalidQueryParameter,
    NotFoundError,
)
from stac_fastapi.types.extension import ApiExtension
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.access import WriteAccess
from estinel_assets.stac.api.client import (
    ItemsParameters,
    Queryables,
    SearchBody,
    SearchParameters,
    SqliteClient,
)
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import AlreadyStoredError, ItemRepository, NotStoredError
from estinel_assets.stac.api.rows import shortened
from estinel_assets.stac.api.transactions import SqliteBulkTransactions, SqliteTransactions

_SORT_CONFORMANCE = (
    # Version 1.0.0 is the one that pystac-client looks for.
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.1.0/item-search#sort",
    "https://api.stacspec.org/v1.1.0/ogcapi-features#sort",
)
_FILTER_CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
)
_STATUS_OF_ERRORS: dict[type[Exception], int] = {
    BadInputError: 400,
    NotStoredError: 404,
    AlreadyStoredError: 409,
    InvalidQueryParameter: 400,
    NotFoundError: 404,
    ConflictError: 409,
    ForeignKeyError: 424,
    DatabaseError: 424,
}
_CODE_OF_ERRORS: dict[type[Exception], str] = {
    NotStoredError: NotFoundError.__name__,
    AlreadyStoredError: ConflictError.__name__,
}
"""What clients know them by, where it is not the name of the class."""


def assemble(
    database: Database,
    scenes_folder: Path | None,
    write_access: WriteAccess | None,
    *,
    title: str,
    description: str,
) -> FastAPI:
    """Build the application over an open database, which it closes on shutdown.

    Args:
        database: what it reads and writes.
        scenes_folder: served at `/scenes`.
        write_access: what requests to write must bring; None leaves the transactions out.
        title: of the landing page.
        description: of the landing page.
    """
    repository = ItemRepository(database)
    settings = _settings(title, description)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(
        title=title,
        version=settings.stac_fastapi_version,
        description=description,
        openapi_url=settings.openapi_url,
        docs_url=settings.docs_url,
        redoc_url=None,
        lifespan=lifespan,
    )
    StacApi(
        settings=settings,
        app=app,
        client=SqliteClient(repository, landing_page_id=settings.stac_fastapi_landing_id),
        extensions=[
            SortExtension(conformance_classes=list(_SORT_CONFORMANCE)),
            SearchFilterExtension(
                client=Queryables(), conformance_classes=list(_FILTER_CONFORMANCE)
            ),
            TokenPaginationExtension(),
            *_transactions(repository, settings, write_access),
        ],
        exceptions={},
        search_get_request_model=SearchParameters,
        search_post_request_model=SearchBody,
        items_get_request_model=ItemsParameters,
        # No compression: it costs more than a local connection, and it would break byte ranges.
        middlewares=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=_methods_for_web_pages(write_access),
                allow_headers=["*"],
                expose_headers=["Accept-Ranges", "Content-Range"],
            )
        ],
    )
    _add_error_answers(app)
    if scenes_folder is not None:
        app.mount("/scenes", StaticFiles(directory=scenes_folder), name="scenes")
    app.state.repository = repository
    return app


def _transactions(
    repository: ItemRepository, settings: ApiSettings, write_access: WriteAccess | None
) -> list[ApiExtension]:
    if write_access is None:
        return []
    guards = [Depends(write_access.check())]
    return [
        TransactionExtension(
            client=SqliteTransactions(repository), settings=settings, route_dependencies=guards
        ),
        BulkTransactionExtension(
            client=SqliteBulkTransactions(repository), route_dependencies=guards
        ),
    ]


def _methods_for_web_pages(write_access: WriteAccess | None) -> list[str]:
    methods = ["GET", "HEAD", "POST", "OPTIONS"]
    if write_access is not None and write_access.api_key is not None:
        methods += ["PUT", "PATCH", "DELETE"]
    return methods


def _settings(title: str, description: str) -> ApiSettings:
    # Every field is given: what is left out would be taken from the environment.
    return ApiSettings(
        _env_file=None,
        stac_fastapi_title=title,
        stac_fastapi_description=description,
        stac_fastapi_version="1.0.0",
        stac_fastapi_landing_id="estinel-embedded",
        enable_response_models=False,
        enable_direct_response=False,
        openapi_url="/api",
        docs_url="/api.html",
        root_path="",
    )


def _add_error_answers(app: FastAPI) -> None:
    """Answer every error as the STAC API specification asks: a code and a description."""

    def refused(_: Request, error: Exception) -> Response:
        status = next(
            status for kind, status in _STATUS_OF_ERRORS.items() if isinstance(error, kind)
        )
        code = _CODE_OF_ERRORS.get(type(error), type(error).__name__)
        return _error(status, code, str(error))

    def malformed(_: Request, error: Exception) -> Response:
        said = _said(error) if isinstance(error, RequestValidationError) else ()
        return _error(400, BadInputError.__name__, shortened(said))

    def turned_away(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        code = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
        response = _error(error.status_code, code, error.detail)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(HTTPException, turned_away)
    for kind in _STATUS_OF_ERRORS:
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(RequestValidationError, malformed)


def _said(error: RequestValidationError) -> list[str]:
    """What is wrong with a request, where the models of its endpoint found it."""
    body = error.body if isinstance(error.body, dict) else {}
    # An endpoint that takes one of two models says of each what does not fit it.
    other = "Item" if body.get("type") == "FeatureCollection" else "ItemCollection"
    said = []
    for problem in error.errors():
        place = [str(part) for part in problem["loc"][1:]]
        if place[:1] != [other]:
            said.append(f"{'.'.join(place) or 'body'}: {problem['msg']}")
    return said


def _error(status: int, code: str, description: str) -> Response:
    return JSONResponse({"code": code, "description": description}, status_code=status)
