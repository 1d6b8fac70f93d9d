"""A site's scenes, kept as stac-geoparquet at `stac/{SITE_ID}.parquet`.

A table has the columns that maps, notebooks and queries want, with the same types whatever the
items say, and in `estinel:item` each item as the API gave it, as JSON. `read_items` returns the
latter: inferring one Arrow schema from items of several years and providers fails as soon as a
property changes its type, and would fill every item with the nulls of the others.

Scenes are merged by id, at the cost of what changed: a row stays as it is until another version
of its item is found, and no item is decoded. A scene that a search no longer finds, although its
answer covers the scene's time, is marked withdrawn and not used until it is found again; see
`spans` for what an answer covers.

The bytes of a table follow from the items in it and their marks alone, not from the searches and
merges that led there.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from estinel_assets.errors import BadInputError
from estinel_assets.stac.scene_columns import VERSION, WITHDRAWN, version_text
from estinel_assets.stac.scene_rows import (
    ITEM,
    TIME,
    build_rows,
    is_current,
    item_text,
    used_asset_keys,
    with_asset_keys,
)
from estinel_assets.stac.scenes import version_stamp
from estinel_assets.stac.source import StacItem, in_time_order
from estinel_assets.stac.spans import Span
from estinel_assets.storage.tables import table_bytes

_FRAME_COLUMNS = {
    "id": "id",
    "datetime": "datetime",
    "platform": "estinel:platform",
    "mgrs_tile": "estinel:mgrs_tile",
    "datatake": "estinel:datatake",
    "sensing_start": "estinel:sensing_start",
    "baseline": "estinel:baseline",
    "updated": VERSION,
    "cloud_cover": "eo:cloud_cover",
    "withdrawn": WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Merge:
    """A table after a merge, and what the merge did to it."""

    table: pa.Table
    """Ordered by datetime then id."""
    changed: bool
    """Whether the table is another than before: only then it has to be stored."""
    added: int
    """Scenes that were not known."""
    replaced: int
    """Scenes of which another version, or another wording of the same version, was found."""
    withdrawn: int
    """Scenes that are withdrawn from now on."""
    returned: int
    """Scenes that were withdrawn and are used again; they may be among those replaced."""


def table_path(site_id: str) -> str:
    """Where a site's table stands in the store."""
    return f"stac/{site_id}.parquet"


def merge_items(
    existing: pa.Table | None, found: Iterable[StacItem], *, covered: Sequence[Span]
) -> Merge:
    """Bring a table up to date with what a search found.

    Args:
        existing: the table so far, None where there is none. It is not altered.
        found: the items of one search, each with id, datetime and assets.
        covered: spans in which the search found everything there is, and anything at all; ends
            included, timezone-aware. See `spans.CombinedResult.covered`.

    Returns:
        The merged table. Of two versions of an item the one with the newer stamp stays, the found
        one if they are equal. Scenes within a covered span that were not found are withdrawn,
        unless nothing was found.

    Raises:
        BadInputError: a span has no time zone, or the existing table is not ours.
        PermanentError: corrupt: an item has no id, or no datetime.
    """
    if any(instant.tzinfo is None for span in covered for instant in span):
        raise BadInputError("a covered span has no time zone: give its ends one, such as UTC")
    known, rebuilt = _known(existing)
    current = {item["id"]: item for item in found}
    ids = known.column("id").to_pylist()
    places = {item_id: place for place, item_id in enumerate(ids)}
    before = _flags(known)
    after = before.copy()
    if current:
        gone = [place for place in _within(known, covered) if ids[place] not in current]
        after[gone] = True
    after[[places[item_id] for item_id in current if item_id in places]] = False
    added = [item for item_id, item in current.items() if item_id not in places]
    replaced = _replacements(known, current, places)
    table = _with_flags(known, after) if (after != before).any() else known
    table = _with_items(table, added, replaced)
    return Merge(
        table=table,
        changed=rebuilt or table is not known,
        added=len(added),
        replaced=len(replaced),
        withdrawn=int((after & ~before).sum()),
        returned=int((before & ~after).sum()),
    )


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
    for item, withdrawn in _decoded(table):
        if not withdrawn:
            items.append(item)
        elif include_withdrawn:
            items.append({**item, "properties": {**item["properties"], WITHDRAWN: True}})
    return items


def scene_frame(table: pa.Table) -> pd.DataFrame:
    """The scenes of a table, one row each, for people.

    Args:
        table: of `merge_items`.

    Returns:
        Arrow-backed columns `id, datetime, platform, mgrs_tile, datatake, sensing_start,
        baseline, updated, cloud_cover, withdrawn`; times are UTC, cloud cover is in percent, the
        baseline reads as `05.10`.
    """
    columns = {name: table.column(stored) for name, stored in _FRAME_COLUMNS.items()}
    columns["updated"] = columns["updated"].cast(TIME)
    frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def encode_table(table: pa.Table) -> bytes:
    """The table as Parquet; equal tables give equal bytes."""
    return table_bytes(table)


def decode_table(content: bytes) -> pa.Table:
    """Read what `encode_table` wrote.

    Raises:
        BadInputError: it is no Parquet.
    """
    try:
        return pq.read_table(pa.BufferReader(content))
    except pa.ArrowInvalid as error:
        raise BadInputError(f"the scene table cannot be read: {error}") from error


def _known(existing: pa.Table | None) -> tuple[pa.Table, bool]:
    """The rows so far in the columns of today, and whether these had to be made."""
    if existing is not None and is_current(existing.schema):
        return existing, False
    items = {item["id"]: (item, withdrawn) for item, withdrawn in _decoded(existing)}
    ordered = in_time_order(item for item, _ in items.values())
    return build_rows([items[item["id"]] for item in ordered]), True


def _decoded(table: pa.Table | None) -> list[tuple[StacItem, bool]]:
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


def _flags(table: pa.Table) -> npt.NDArray[np.bool_]:
    return np.array(table.column(WITHDRAWN).to_pylist(), dtype=np.bool_)


def _with_flags(table: pa.Table, flags: npt.NDArray[np.bool_]) -> pa.Table:
    place = table.schema.get_field_index(WITHDRAWN)
    return table.set_column(place, table.schema.field(place), pa.array(flags, pa.bool_()))


def _within(table: pa.Table, spans: Sequence[Span]) -> list[int]:
    """The rows whose datetime is in one of the spans."""
    instants = table.column("datetime")
    inside = np.zeros(len(table), dtype=np.bool_)
    for start, end in spans:
        after = pc.greater_equal(instants, pa.scalar(start, TIME))
        before = pc.less_equal(instants, pa.scalar(end, TIME))
        inside |= np.array(pc.and_(after, before).to_pylist(), dtype=np.bool_)
    return [int(place) for place in np.flatnonzero(inside)]


def _replacements(
    table: pa.Table, current: dict[str, StacItem], places: dict[str, int]
) -> dict[int, StacItem]:
    """The found items that say something else than their rows and are not older, by row."""
    versions, texts = table.column(VERSION), table.column(ITEM)
    replacements = {}
    for item_id, item in current.items():
        place = places.get(item_id)
        if place is None:
            continue
        version = versions[place].as_py()
        stamp = version_text(version_stamp(item["properties"]))
        older = version is not None and stamp is not None and stamp < version
        if not older and texts[place].as_py() != item_text(item):
            replacements[place] = item
    return replacements


def _with_items(
    table: pa.Table, added: Sequence[StacItem], replaced: dict[int, StacItem]
) -> pa.Table:
    """A table with some rows more, and others in the place of some."""
    if not added and not replaced:
        return table
    kept = table
    if replaced:
        stays = np.ones(len(table), dtype=np.bool_)
        stays[list(replaced)] = False
        kept = table.filter(pa.array(stays))
    fresh = build_rows([(item, False) for item in (*replaced.values(), *added)])
    # A key that only a replaced row had goes with it, as if it had never been there.
    keys = used_asset_keys(kept) | used_asset_keys(fresh)
    joined = pa.concat_tables([with_asset_keys(part, keys) for part in (kept, fresh)])
    order = pc.sort_indices(joined, sort_keys=[("datetime", "ascending"), ("id", "ascending")])
    if order.equals(pa.array(np.arange(len(joined)), order.type)):
        return joined
    return joined.combine_chunks().take(order)
