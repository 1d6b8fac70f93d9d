"""A site's scenes, kept as stac-geoparquet at `stac/{SITE_ID}.parquet`.

A table has the columns that maps, notebooks and queries want, with the same types whatever the
items say, and in `estinel:item` each item as the API gave it, as JSON. `read_items` returns the
latter: inferring one Arrow schema from items of several years and providers fails as soon as a
property changes its type, and would fill every item with the nulls of the others.

Scenes are merged by id. One that a complete search no longer finds is marked withdrawn and not
used until it is found again; an empty answer withdraws nothing, because a service that has lost
its index answers like one that never had a scene.
"""

import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from shapely import Polygon, to_wkb

from estinel_assets.errors import BadInputError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.fields import as_list, as_number, as_numbers, as_text
from estinel_assets.stac.geography import geometry_of
from estinel_assets.stac.scene_columns import SCENE_COLUMNS, WITHDRAWN, scene_columns
from estinel_assets.stac.scenes import Scene, parse_scene, version_stamp
from estinel_assets.stac.source import StacItem, in_time_order, item_datetime, parse_instant

ITEM = "estinel:item"
"""Column: the item as the source gave it, as JSON."""

_LARGEST_SIZE = 2**31
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_TIME = pa.timestamp("us", tz="UTC")


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
    ("datetime", _TIME),
    ("created", _TIME),
    ("updated", _TIME),
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


def table_path(site_id: str) -> str:
    """Where a site's table stands in the store."""
    return f"stac/{site_id}.parquet"


def merge_items(
    existing: pa.Table | None,
    found: Iterable[StacItem],
    *,
    start: datetime,
    end: datetime,
    complete: bool = True,
) -> pa.Table:
    """Bring a table up to date with what a search found.

    Args:
        existing: the table so far, None where there is none.
        found: the items of one search, each with id and datetime.
        start: first instant that the search covered, timezone-aware.
        end: last instant that it covered, included.
        complete: whether the search is known to have given everything that matches.

    Returns:
        A table ordered by datetime then id. Of two versions of an item the one with the newer
        stamp stays, the found one if they are equal. Scenes within the span that were not found
        are withdrawn, if the search is complete and found anything at all.

    Raises:
        BadInputError: the span has no time zone, or the existing table is not ours.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise BadInputError(f"the span {start} to {end} needs a time zone")
    items = {item["id"]: (item, withdrawn) for item, withdrawn in _rows(existing)}
    current = {item["id"]: item for item in found}
    if complete and current:
        for item_id, (item, _) in items.items():
            instant = item_datetime(item)
            if item_id not in current and instant is not None and start <= instant <= end:
                items[item_id] = item, True
    for item_id, item in current.items():
        known = items[item_id][0] if item_id in items else item
        items[item_id] = (known if _is_newer(known, item) else item), False
    ordered = in_time_order(item for item, _ in items.values())
    return _table([(item, items[item["id"]][1]) for item in ordered])


def read_items(
    table: pa.Table | None,
    *,
    include_withdrawn: bool = False,
    ids: Collection[str] | None = None,
) -> list[StacItem]:
    """The items of a table as the source gave them, ordered by datetime then id.

    Args:
        table: of `merge_items`; None is empty.
        include_withdrawn: also those that are not to be used; their properties then carry
            `estinel:withdrawn`.
        ids: only these; None for all.

    Raises:
        BadInputError: the table is not ours.
    """
    items: list[StacItem] = []
    if table is not None and ids is not None:
        table = table.filter(pc.is_in(table.column("id"), pa.array(sorted(ids), pa.string())))
    for item, withdrawn in _rows(table):
        if not withdrawn:
            items.append(item)
        elif include_withdrawn:
            items.append({**item, "properties": {**item["properties"], WITHDRAWN: True}})
    return items


def scene_frame(table: pa.Table | None, provider: Provider | str) -> pd.DataFrame:
    """The scenes of a table, one row each, for people.

    Args:
        table: of `merge_items`; None is empty.
        provider: who offers the scenes.

    Returns:
        Arrow-backed columns `id, datetime, platform, mgrs_tile, datatake, sensing_start,
        baseline, updated, cloud_cover, withdrawn`; times are UTC, cloud cover is in percent, the
        baseline reads as `05.10`.
    """
    rows = [(parse_scene(item, provider), withdrawn) for item, withdrawn in _rows(table)]
    columns = {
        "id": pa.array([scene.id for scene, _ in rows], pa.string()),
        "datetime": pa.array([scene.datetime for scene, _ in rows], _TIME),
        "platform": pa.array([scene.platform for scene, _ in rows], pa.string()),
        "mgrs_tile": pa.array([scene.mgrs_tile for scene, _ in rows], pa.string()),
        "datatake": pa.array([scene.datatake for scene, _ in rows], pa.string()),
        "sensing_start": pa.array([scene.sensing_start for scene, _ in rows], pa.string()),
        "baseline": pa.array([_baseline_text(scene) for scene, _ in rows], pa.string()),
        "updated": pa.array([scene.updated for scene, _ in rows], _TIME),
        "cloud_cover": pa.array([scene.cloud_cover for scene, _ in rows], pa.float64()),
        "withdrawn": pa.array([withdrawn for _, withdrawn in rows], pa.bool_()),
    }
    frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def encode_table(table: pa.Table) -> bytes:
    """The table as Parquet; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def decode_table(content: bytes) -> pa.Table:
    """Read what `encode_table` wrote.

    Raises:
        BadInputError: it is no Parquet.
    """
    try:
        return pq.read_table(pa.BufferReader(content))
    except pa.ArrowInvalid as error:
        raise BadInputError(f"the scene table cannot be read: {error}") from error


def _rows(table: pa.Table | None) -> list[tuple[StacItem, bool]]:
    if table is None:
        return []
    if ITEM not in table.column_names or WITHDRAWN not in table.column_names:
        raise BadInputError(
            f"the scene table has no column {ITEM} or {WITHDRAWN}: it was not written by "
            "Estinel Assets; delete it, and the next search makes it anew"
        )
    documents = table.column(ITEM).to_pylist()
    flags = table.column(WITHDRAWN).to_pylist()
    return [
        (json.loads(document), bool(flag)) for document, flag in zip(documents, flags, strict=True)
    ]


def _is_newer(known: StacItem, found: StacItem) -> bool:
    before, now = version_stamp(known["properties"]), version_stamp(found["properties"])
    return before is not None and now is not None and before > now


def _baseline_text(scene: Scene) -> str | None:
    return f"{scene.baseline[0]:02d}.{scene.baseline[1]:02d}" if scene.baseline else None


def _table(rows: Sequence[tuple[StacItem, bool]]) -> pa.Table:
    # The columns are built here, not by stac_geoparquet, whose reader in 0.8 refuses a schema
    # that it is given and otherwise infers one from whatever the items happen to hold.
    keys = sorted({key for item, _ in rows for key in item["assets"]}) or ["visual"]
    assets = pa.struct([(key, _ASSET) for key in keys])
    schema = pa.schema([*_CORE, ("assets", assets), *_PROPERTIES])
    documents = [_row(item, withdrawn=withdrawn) for item, withdrawn in rows]
    columns = [
        pa.array([document.get(column.name) for document in documents], column.type)
        for column in schema
    ]
    described = {
        b"geo": json.dumps(_GEO).encode(),
        b"stac-geoparquet": json.dumps({"version": "1.0.0"}).encode(),
    }
    return pa.Table.from_arrays(columns, schema=schema.with_metadata(described))


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
        "assets": {
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
        ITEM: json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
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
