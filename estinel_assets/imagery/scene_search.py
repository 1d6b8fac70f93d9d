"""The site's table of scenes: brought up to date by a search, and read back."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from estinel_assets.errors import NotFoundError
from estinel_assets.stac.scene_columns import KnownScenes, known_scenes, read_known_scenes
from estinel_assets.stac.scene_table import (
    Merge,
    decode_table,
    encode_table,
    merge_items,
    read_items,
    scene_frame,
    table_path,
)
from estinel_assets.stac.source import SceneQuery, SceneSource, StacItem
from estinel_assets.stac.spans import SEARCHES_AT_ONCE, CombinedResult, search_all, split_query
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import PARQUET_TYPE


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a search of a site led to."""

    frame: pd.DataFrame
    """All scenes of the site; see `stac.scene_table.scene_frame`."""
    search: CombinedResult
    """What the source answered."""
    merge: Merge
    """What that did to the table."""

    @property
    def found(self) -> int:
        """Scenes that the search returned."""
        return len(self.search.items)

    @property
    def changed(self) -> bool:
        """Whether the table had to be written."""
        return self.merge.changed

    def counts(self) -> dict[str, int | float | bool]:
        """The numbers, for records and metadata."""
        return {
            "scenes_found": self.found,
            "scenes_known": len(self.frame),
            "scenes_withdrawn": int(self.frame["withdrawn"].sum()),
            "scenes_added": self.merge.added,
            "scenes_replaced": self.merge.replaced,
            "scenes_newly_withdrawn": self.merge.withdrawn,
            "scenes_returned": self.merge.returned,
            "searches": self.search.searches,
            "requests": self.search.requests,
            "query_time_s": round(self.search.duration_s, 3),
            "table_changed": self.changed,
        }


def refresh_scenes(
    store: ObjectStore,
    site_id: str,
    source: SceneSource,
    query: SceneQuery,
    *,
    workers: int = SEARCHES_AT_ONCE,
) -> Refreshed:
    """Search, and merge what was found into the site's table, which is written if it changed.

    Args:
        store: holds the table.
        site_id: the site.
        source: the STAC API.
        query: the whole span; a long one is cut into windows.
        workers: how many windows are asked at once.

    Raises:
        UnitError: the search failed; the table is as it was.
        StoreError: the store refused.
    """
    search, merge = _merged(store, site_id, source, query, workers)
    if merge.changed:
        path = table_path(site_id)
        store.put(path, encode_table(merge.table), content_type=PARQUET_TYPE)
    return Refreshed(scene_frame(merge.table), search, merge)


def merged_scenes(
    store: ObjectStore,
    site_id: str,
    source: SceneSource,
    query: SceneQuery,
    *,
    workers: int = SEARCHES_AT_ONCE,
) -> KnownScenes:
    """What `stored_scenes` would give after `refresh_scenes`. Writes nothing.

    Raises:
        UnitError: the search failed.
    """
    _, merge = _merged(store, site_id, source, query, workers)
    return known_scenes(merge.table)


def stored_scenes(store: ObjectStore, site_id: str) -> KnownScenes:
    """The site's scenes, withdrawn ones included, without their assets."""
    payload = _stored(store, table_path(site_id))
    return read_known_scenes(payload) if payload else KnownScenes.of(())


def stored_items(store: ObjectStore, site_id: str, ids: Collection[str]) -> dict[str, StacItem]:
    """Some items of the site's table, by id."""
    payload = _stored(store, table_path(site_id)) if ids else None
    if payload is None:
        return {}
    return {item["id"]: item for item in read_items(decode_table(payload), ids=ids)}


def _merged(
    store: ObjectStore, site_id: str, source: SceneSource, query: SceneQuery, workers: int
) -> tuple[CombinedResult, Merge]:
    search = search_all(source, split_query(query), workers=workers)
    former = _stored(store, table_path(site_id))
    table = None if former is None else decode_table(former)
    return search, merge_items(table, search.items, covered=search.covered)


def _stored(store: ObjectStore, path: str) -> bytes | None:
    try:
        return store.get(path).data
    except NotFoundError:
        return None
