"""The embedded STAC API for tests: started on a free local port, with what a test gives it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import load_items
from estinel_assets.stac.api.server import ServerThread

DATABASE_NAME = "stac.sqlite"


@contextmanager
def running_stac_api(
    folder: Path,
    collections: Iterable[Mapping[str, Any]] = (),
    items: Iterable[Mapping[str, Any]] = (),
    *,
    scenes_folder: Path | None = None,
    transactions: bool = False,
    api_key: str | None = None,
    api_key_header: str = "X-Api-Key",
) -> Iterator[str]:
    """Load what is given into `folder/stac.sqlite`, serve it, and yield the address.

    More can be loaded meanwhile through a `Database` on that same file.
    """
    path = folder / DATABASE_NAME
    with Database(path) as database:
        load_items(database, collections, items)
    with ServerThread(
        path,
        scenes_folder=scenes_folder,
        transactions=transactions,
        api_key=api_key,
        api_key_header=api_key_header,
    ) as server:
        yield server.url


def stac_collection(collection_id: str) -> dict[str, Any]:
    """The smallest valid collection."""
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection_id,
        "description": f"Collection {collection_id}",
        "license": "CC-BY-4.0",
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
        },
        "links": [],
    }


def stac_item(
    item_id: str,
    *,
    collection: str = "scenes",
    bbox: Sequence[float] = (147.0, -43.0, 148.0, -42.0),
    datetime: str | None = "2024-06-01T00:00:00Z",
    geometry: Mapping[str, Any] | None = None,
    assets: Mapping[str, Any] | None = None,
    **properties: object,
) -> dict[str, Any]:
    """A small valid item; its geometry is its bbox unless given."""
    west, south, east, north = bbox
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "collection": collection,
        "bbox": list(bbox),
        "geometry": dict(geometry or {"type": "Polygon", "coordinates": [ring]}),
        "properties": {"datetime": datetime, **properties},
        "links": [],
        "assets": dict(assets or {}),
    }
