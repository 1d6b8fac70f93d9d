"""The rows of a scene table: which columns it has, and what an item gives them.

The columns follow stac-geoparquet. They are built here, not by the package of that name, whose
reader in 0.8 refuses a schema that it is given and otherwise infers one from whatever the items
happen to hold. Which rows a table has, and in which order, is the business of `scene_table`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from shapely import Polygon, to_wkb

from estinel_assets.stac.bands import Provider
from estinel_assets.stac.fields import as_list, as_number, as_numbers, as_text
from estinel_assets.stac.geography import geometry_of
from estinel_assets.stac.scene_columns import SCENE_COLUMNS, WITHDRAWN, scene_columns
from estinel_assets.stac.scenes import parse_scene
from estinel_assets.stac.source import StacItem, item_datetime, parse_instant

ITEM = "estinel:item"
"""Column: the item as the source gave it, as JSON."""
ASSETS = "assets"
"""Column: a struct with one field for each asset key that any item of the table has."""
TIME = pa.timestamp("us", tz="UTC")
"""Type of all instants."""
COLUMNS_VERSION = 1
"""To be raised whenever the columns, or how they are read from an item, change: the next merge
then builds a table of another version anew from the items in it."""

_LARGEST_SIZE = 2**31
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _list_of(kind: pa.DataType) -> pa.DataType:
    # Parquet's own name for it, so that a table that was read writes the same bytes again.
    return pa.list_(pa.field("element", kind))


_LINK = pa.struct(
    [("href", pa.string()), ("rel", pa.string()), ("type", pa.string()), ("title", pa.string())]
)
_ASSET = pa.struct(
    [
        ("href", pa.string()),
        ("type", pa.string()),
        ("title", pa.string()),
        ("roles", _list_of(pa.string())),
        ("proj:shape", _list_of(pa.int64())),
        ("proj:transform", _list_of(pa.float64())),
    ]
)
_CORE = (
    ("type", pa.string()),
    ("stac_version", pa.string()),
    ("stac_extensions", _list_of(pa.string())),
    ("id", pa.string()),
    ("collection", pa.string()),
    pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}),
    ("bbox", pa.struct([(side, pa.float64()) for side in _SIDES])),
    ("links", _list_of(_LINK)),
)
_TEXTS = (
    "platform",
    "grid:code",
    "s2:processing_baseline",
    "s2:datatake_id",
    "s2:datastrip_id",
)
_PROPERTIES = (
    ("datetime", TIME),
    ("created", TIME),
    ("updated", TIME),
    *((name, pa.string()) for name in _TEXTS),
    ("eo:cloud_cover", pa.float64()),
    ("proj:code", pa.string()),
    (WITHDRAWN, pa.bool_()),
    *SCENE_COLUMNS.items(),
    (ITEM, pa.string()),
)
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    # Without `crs`, GeoParquet means longitude and latitude on WGS 84.
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": [],
            "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
        }
    },
}
_METADATA = {
    b"geo": json.dumps(_GEO).encode(),
    b"stac-geoparquet": json.dumps({"version": "1.0.0"}).encode(),
    b"estinel": json.dumps({"columns": COLUMNS_VERSION}).encode(),
}
# A struct without fields cannot be stored.
_ANY_KEY = "visual"


def table_schema(asset_keys: Iterable[str]) -> pa.Schema:
    """The schema of a table.

    Args:
        asset_keys: every asset key of the items in it.
    """
    keys = sorted(set(asset_keys)) or [_ANY_KEY]
    assets = pa.struct([(key, _ASSET) for key in keys])
    return pa.schema([*_CORE, (ASSETS, assets), *_PROPERTIES]).with_metadata(_METADATA)


def is_current(schema: pa.Schema) -> bool:
    """Whether a table has the columns and the reading of items of this version."""
    if (schema.metadata or {}).get(b"estinel") != _METADATA[b"estinel"]:
        return False
    assets = schema.field(ASSETS).type if ASSETS in schema.names else None
    if assets is None or not pa.types.is_struct(assets):
        return False
    return bool(schema.equals(table_schema(field.name for field in assets)))


def build_rows(items: Sequence[tuple[StacItem, bool]]) -> pa.Table:
    """A table of items in the order given.

    Args:
        items: each with id, datetime and assets, and whether it is withdrawn.

    Raises:
        PermanentError: corrupt: an item has no id, or no datetime.
    """
    schema = table_schema(
        key
        for item, _ in items
        for key, asset in item["assets"].items()
        if isinstance(asset, Mapping)
    )
    documents = [_row(item, withdrawn=withdrawn) for item, withdrawn in items]
    columns = [
        pa.array([document.get(column.name) for document in documents], column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def used_asset_keys(table: pa.Table) -> set[str]:
    """The asset keys that any row of a table has."""
    return {
        field.name
        for chunk in table.column(ASSETS).chunks
        for place, field in enumerate(chunk.type)
        if chunk.field(place).null_count < len(chunk)
    }


def with_asset_keys(table: pa.Table, asset_keys: Iterable[str]) -> pa.Table:
    """The same rows, with fields for other asset keys: null where a row does not have one.

    Args:
        table: of this version; see `is_current`.
        asset_keys: at least those that are used, see `used_asset_keys`.
    """
    schema = table_schema(asset_keys)
    if table.schema.equals(schema):
        return table
    place = schema.get_field_index(ASSETS)
    kind = schema.field(place).type
    chunks = [_with_fields(chunk, kind) for chunk in table.column(ASSETS).chunks]
    columns = table.columns
    columns[place] = pa.chunked_array(chunks, kind)
    return pa.Table.from_arrays(columns, schema=schema)


def item_text(item: StacItem) -> str:
    """An item as JSON, the same text for equal items."""
    return json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _with_fields(assets: pa.StructArray, kind: pa.StructType) -> pa.StructArray:
    # No row of ours lacks the struct itself, so that its fields are all there is to it.
    parts = []
    for field in kind:
        place = assets.type.get_field_index(field.name)
        parts.append(pa.nulls(len(assets), _ASSET) if place < 0 else assets.field(place))
    return pa.StructArray.from_arrays(parts, fields=list(kind))


def _row(item: StacItem, *, withdrawn: bool) -> dict[str, Any]:
    """What stands in the columns, each value of its column's type or None."""
    properties = item["properties"]
    geometry = geometry_of(item) or Polygon()
    epsg = properties.get("proj:epsg")
    code = f"EPSG:{epsg}" if isinstance(epsg, int) else None
    return {
        "type": "Feature",
        "stac_version": as_text(item.get("stac_version")),
        "stac_extensions": [name for name in as_list(item.get("stac_extensions")) if as_text(name)],
        "id": item["id"],
        "collection": as_text(item.get("collection")),
        "geometry": to_wkb(geometry, flavor="iso"),
        "bbox": dict(zip(_SIDES, geometry.bounds, strict=True)) if not geometry.is_empty else None,
        "links": [
            {name: as_text(link.get(name)) for name in _LINK.names}
            for link in as_list(item.get("links"))
            if isinstance(link, Mapping)
        ],
        ASSETS: {
            key: _asset(asset)
            for key, asset in item["assets"].items()
            if isinstance(asset, Mapping)
        },
        **{name: as_text(properties.get(name)) for name in _TEXTS},
        "datetime": item_datetime(item),
        "created": parse_instant(properties.get("created")),
        "updated": parse_instant(properties.get("updated")),
        "eo:cloud_cover": as_number(properties.get("eo:cloud_cover")),
        "proj:code": as_text(properties.get("proj:code")) or code,
        WITHDRAWN: withdrawn,
        # The provider matters to assets only, of which these columns hold nothing.
        **scene_columns(parse_scene(item, Provider.EARTH_SEARCH)),
        ITEM: item_text(item),
    }


def _asset(asset: Mapping[str, Any]) -> dict[str, Any]:
    shape = [
        int(size) if isinstance(size, int | float) and 0 < size < _LARGEST_SIZE else None
        for size in as_list(asset.get("proj:shape"))
    ]
    return {
        "href": as_text(asset.get("href")),
        "type": as_text(asset.get("type")),
        "title": as_text(asset.get("title")),
        "roles": [role for role in as_list(asset.get("roles")) if as_text(role)],
        "proj:shape": None if None in shape else shape,
        "proj:transform": as_numbers(asset.get("proj:transform"), (6, 9)),
    }
