"""The way in to the web application; what it is made of is imported when it is called for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from estinel_assets.errors import BadInputError, MissingDependencyError

if TYPE_CHECKING:
    from fastapi import FastAPI

API_KEY_HEADER: Final = "X-Api-Key"
_OPTIONAL_PACKAGES = frozenset({"attr", "brotli_asgi", "fastapi", "iso8601", "shapely"}) | {
    "stac_fastapi",
    "stac_pydantic",
    "starlette",
    "uvicorn",
}


@contextmanager
def serving_dependencies() -> Iterator[None]:
    """Imports in here report an absent package as what it means to the user.

    Raises:
        MissingDependencyError: a package of the extra `serve` is absent.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OPTIONAL_PACKAGES:
            raise
        raise MissingDependencyError(
            f"the embedded STAC API needs the package {package!r}, which is not installed: "
            "install the extra `serve`, as in `pip install 'estinel-assets[serve]'`"
        ) from error


def create_app(
    database_path: Path,
    *,
    scenes_folder: Path | None = None,
    title: str = "Estinel embedded STAC API",
    description: str = "SpatioTemporal assets from one SQLite file.",
    transactions: bool = False,
    api_key: str | None = None,
    api_key_header: str = API_KEY_HEADER,
) -> "FastAPI":
    """Build the API over one database file. It opens the file, and closes it on shutdown.

    Args:
        database_path: see `database.Database`; made where absent.
        scenes_folder: served at `/scenes`, with byte ranges; items refer to its files by
            relative addresses such as `scenes/a/B04.tif`.
        title: of the landing page.
        description: of the landing page.
        transactions: answer the requests of the Transaction extension, which write.
        api_key: asked for by requests that write; None lets everybody write who reaches the API.
        api_key_header: header that brings the key.

    Returns:
        The ASGI application; `app.state.repository` is its `ItemRepository`.

    Raises:
        MissingDependencyError: the extra `serve` is not installed.
        BadInputError: the database cannot be used, there is no such folder, or the key cannot be
            used or has nothing to guard.
    """
    with serving_dependencies(), _quiet_defaults():
        from estinel_assets.stac.api.access import WriteAccess
        from estinel_assets.stac.api.assembly import assemble
        from estinel_assets.stac.api.database import Database
    if scenes_folder is not None and not scenes_folder.is_dir():
        raise BadInputError(f"the scenes folder {scenes_folder} does not exist: make it first")
    if api_key is not None and not transactions:
        raise BadInputError(
            "an API key guards the requests that write: turn transactions on or leave the key out"
        )
    write_access = WriteAccess(api_key, api_key_header) if transactions else None
    database = Database(database_path)
    return assemble(database, scenes_folder, write_access, title=title, description=description)


@contextmanager
def _quiet_defaults() -> Iterator[None]:
    """Hold back the warning about default titles: on import stac-fastapi makes settings of them."""
    logger = logging.getLogger("stac_fastapi.types.config")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
