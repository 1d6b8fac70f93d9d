"""The web application: stac-fastapi with its settings, its errors, and the scenes' files.

Import this only where stac-fastapi is known to be installed: `app.create_app` sees to that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from stac_fastapi.api.app import StacApi
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.sort import SortExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.errors import (
    ConflictError,
    DatabaseError,
    ForeignKeyError,
    InvalidQueryParameter,
    NotFoundError,
)
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.client import (
    ItemsParameters,
    SearchBody,
    SearchParameters,
    SqliteClient,
)
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import ItemRepository

_SORT_CONFORMANCE = (
    # Version 1.0.0 is the one that pystac-client looks for.
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.1.0/item-search#sort",
    "https://api.stacspec.org/v1.1.0/ogcapi-features#sort",
)
_STATUS_OF_ERRORS: dict[type[Exception], int] = {
    BadInputError: 400,
    InvalidQueryParameter: 400,
    NotFoundError: 404,
    ConflictError: 409,
    ForeignKeyError: 424,
    DatabaseError: 424,
}


def assemble(
    database: Database, scenes_folder: Path | None, *, title: str, description: str
) -> FastAPI:
    """Build the application over an open database, which it closes on shutdown."""
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
            TokenPaginationExtension(),
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
                allow_methods=["GET", "HEAD", "POST", "OPTIONS"],
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
        return _error(status, type(error).__name__, str(error))

    def malformed(_: Request, error: Exception) -> Response:
        problems = error.errors() if isinstance(error, RequestValidationError) else ()
        said = [
            f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'body'}: {problem['msg']}"
            for problem in problems
        ]
        return _error(400, BadInputError.__name__, "; ".join(said))

    for kind in _STATUS_OF_ERRORS:
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(RequestValidationError, malformed)


def _error(status: int, code: str, description: str) -> Response:
    return JSONResponse({"code": code, "description": description}, status_code=status)
