"""Files of STAC items, for the embedded STAC API."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from estinel_assets.cli.session import needs_extra
from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import ItemRepository, load_items

StacDocument: TypeAlias = Mapping[str, Any]


def load_files(database: Path, files: Sequence[Path]) -> int:
    """Store the items of files, all or none.

    Args:
        database: SQLite file of the API; made where absent.
        files: see `read_documents`.

    Returns:
        How many items.

    Raises:
        BadInputError: a file or an item cannot be used.
    """
    if not files:
        return 0
    documents = [document for file in files for document in read_documents(file)]
    collections = [one for one in documents if one.get("type") == "Collection"]
    items = [one for one in documents if one.get("type") == "Feature"]
    with Database(database) as opened:
        known = set(ItemRepository(opened).collection_ids())
        known |= {str(one.get("id")) for one in collections}
        return load_items(opened, [*collections, *_missing_collections(items, known)], items)


def read_documents(file: Path) -> list[StacDocument]:
    """The items and collections of a file.

    Args:
        file: `.parquet` (stac-geoparquet), or JSON: an item, a collection, a FeatureCollection of
            items or a list of all of these.

    Raises:
        BadInputError: it cannot be read or holds something else.
    """
    try:
        if file.suffix.lower() == ".parquet":
            return list(_read_parquet(file))
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise BadInputError(f"{file} cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise BadInputError(f"{file} is not JSON ({error}); give STAC JSON or .parquet") from None
    return list(_documents(found, file))


def _documents(found: object, file: Path) -> Iterator[StacDocument]:
    if isinstance(found, list):
        for one in found:
            yield from _documents(one, file)
        return
    kind = found.get("type") if isinstance(found, dict) else None
    if kind == "FeatureCollection" and isinstance(found, dict):
        yield from _documents(found.get("features"), file)
    elif kind in {"Feature", "Collection"} and isinstance(found, dict):
        yield found
    else:
        raise BadInputError(
            f"{file} holds a {kind or type(found).__name__}; "
            "give STAC items, collections or a FeatureCollection"
        )


def _read_parquet(file: Path) -> Iterable[StacDocument]:
    with needs_extra("imagery"):
        import pyarrow as pa
        import pyarrow.parquet as pq
        from stac_geoparquet.arrow import stac_table_to_items
    try:
        table = pq.read_table(file)
        if not {"id", "geometry"} <= set(table.column_names):
            raise BadInputError(f"{file} is no stac-geoparquet: columns are missing")
        return [dict(item) for item in stac_table_to_items(table)]
    except pa.ArrowException as error:
        raise BadInputError(f"{file} is no readable Parquet file ({error})") from None


def _missing_collections(items: Iterable[StacDocument], known: set[str]) -> Iterator[StacDocument]:
    """A plain collection for each one that items name and nobody described."""
    named = {str(item["collection"]) for item in items if item.get("collection")}
    for name in sorted(named - known):
        yield {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": f"Items loaded as {name}.",
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[None, None]]},
            },
            "links": [],
        }
