"""The site's table of scenes: brought up to date by a search, and read back."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from estinel_assets.errors import NotFoundError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.scene_columns import read_scenes
from estinel_assets.stac.scene_table import (
    decode_table,
    encode_table,
    merge_items,
    read_items,
    scene_frame,
    table_path,
)
from estinel_assets.stac.scenes import Scene
from estinel_assets.stac.source import SceneQuery, SceneSource, StacItem
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import PARQUET_TYPE


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a search of a site led to."""

    frame: pd.DataFrame
    """All scenes of the site; see `stac.scene_table.scene_frame`."""
    found: int
    """Scenes that the search returned."""
    requests: int
    query_time_s: float
    changed: bool
    """Whether the table had to be written."""

    def counts(self) -> dict[str, int | float | bool]:
        """The numbers, for records and metadata."""
        return {
            "scenes_found": self.found,
            "scenes_known": len(self.frame),
            "scenes_withdrawn": int(self.frame["withdrawn"].sum()),
            "requests": self.requests,
            "query_time_s": round(self.query_time_s, 3),
            "table_changed": self.changed,
        }


def refresh_scenes(
    store: ObjectStore, site_id: str, source: SceneSource, query: SceneQuery, provider: Provider
) -> Refreshed:
    """Search, and merge what was found into the site's table.

    Raises:
        UnitError: the search failed; the table is as it was.
        StoreError: the store refused.
    """
    path = table_path(site_id)
    former = _stored(store, path)
    result = source.search(query)
    table = merge_items(
        decode_table(former) if former else None, result.items, start=query.start, end=query.end
    )
    payload = encode_table(table)
    if payload != former:
        store.put(path, payload, content_type=PARQUET_TYPE)
    return Refreshed(
        frame=scene_frame(table, provider),
        found=len(result.items),
        requests=result.requests,
        query_time_s=result.duration_s,
        changed=payload != former,
    )


def merged_scenes(
    store: ObjectStore, site_id: str, source: SceneSource, query: SceneQuery
) -> list[Scene]:
    """What `stored_scenes` would give after `refresh_scenes`. Writes nothing.

    Raises:
        UnitError: the search failed.
    """
    former = _stored(store, table_path(site_id))
    result = source.search(query)
    table = merge_items(
        decode_table(former) if former else None, result.items, start=query.start, end=query.end
    )
    return read_scenes(encode_table(table))


def stored_scenes(store: ObjectStore, site_id: str) -> list[Scene]:
    """The site's scenes, withdrawn ones included, without their assets."""
    payload = _stored(store, table_path(site_id))
    return read_scenes(payload) if payload else []


def stored_items(store: ObjectStore, site_id: str, ids: Collection[str]) -> dict[str, StacItem]:
    """Some items of the site's table, by id."""
    payload = _stored(store, table_path(site_id)) if ids else None
    if payload is None:
        return {}
    return {item["id"]: item for item in read_items(decode_table(payload), ids=ids)}


def _stored(store: ObjectStore, path: str) -> bytes | None:
    try:
        return store.get(path).data
    except NotFoundError:
        return None
