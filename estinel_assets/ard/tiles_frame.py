"""The tables of ARD's assets: what is asked for, and what of it is complete."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd
import pyarrow as pa

from estinel_assets.ard.inbox import Resolved
from estinel_assets.ard.keys import in_tile_order, key_of
from estinel_assets.ard.tiles import Source, TileYear, parse_key
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key

_TIME = pa.timestamp("us", tz="UTC")
_TILE = [
    ("tile_year", pa.string()),
    ("year", pa.int32()),
    ("tile", pa.string()),
    ("x_tile", pa.int32()),
    ("y_tile", pa.int32()),
]
REQUESTS_SCHEMA = pa.schema(
    [*_TILE, ("lon", pa.float64()), ("lat", pa.float64()), ("requests", pa.list_(pa.string()))]
)
"""A row a tile-year; `requests` names those that ask for it."""
TILES_SCHEMA = pa.schema(
    [
        *_TILE,
        *(
            field
            for source in Source
            for field in (
                (f"{source.value}_complete", pa.bool_()),
                (f"{source.value}_reason", pa.string()),
                (f"{source.value}_finished_at", _TIME),
            )
        ),
    ]
)
"""A row a tile-year; a reason of null says that the source was never tried."""


def requests_frame(resolved: Iterable[Resolved]) -> pd.DataFrame:
    """Everything that requests ask for, each tile-year once, by year and tile."""
    asking: dict[TileYear, list[str]] = {}
    for done in resolved:
        for tile_year in done.tile_years:
            asking.setdefault(tile_year, []).append(done.request.path)
    rows = [
        {
            **_tile_columns(one.key),
            "lon": one.tile.lon,
            "lat": one.tile.lat,
            "requests": asking[one],
        }
        for one in sorted(asking, key=lambda one: (one.year, one.tile))
    ]
    return _frame(rows, REQUESTS_SCHEMA)


def tiles_frame(partitions: Iterable[str], rows: Mapping[Key, IndexRow]) -> pd.DataFrame:
    """What stands of each tile-year, per source, by year and tile.

    Args:
        partitions: the tile-years that somebody asked for.
        rows: how keys ended; tile-years that have an outcome stand in the table, too.
    """
    known = {*partitions, *(f"{key[0]}_{key[1]}" for key in rows)}
    return _frame([_standing(one, rows) for one in in_tile_order(known)], TILES_SCHEMA)


def complete_counts(
    partitions: Collection[str], sources: Sequence[Source], rows: Mapping[Key, IndexRow]
) -> dict[str, int]:
    """How many tile-years are complete in each source, and in all of them."""
    keys = in_tile_order(partitions)
    stands = {
        source: {one for one in keys if (row := rows.get(key_of(one, source))) and row.status}
        for source in sources
    }
    complete = set(keys).intersection(*stands.values()) if stands else set()
    return {
        "tile_years": len(keys),
        **{f"{source.value}_complete": len(found) for source, found in stands.items()},
        "complete": len(complete),
    }


def _standing(partition: str, rows: Mapping[Key, IndexRow]) -> dict[str, object]:
    found = _tile_columns(partition)
    for source in Source:
        row = rows.get(key_of(partition, source))
        found[f"{source.value}_complete"] = row is not None and row.status
        found[f"{source.value}_reason"] = None if row is None else row.reason
        found[f"{source.value}_finished_at"] = None if row is None else row.finished_at
    return found


def _tile_columns(partition: str) -> dict[str, object]:
    year, (x_tile, y_tile) = parse_key(partition)
    tile = partition.partition("_")[2]
    return {"tile_year": partition, "year": year, "tile": tile, "x_tile": x_tile, "y_tile": y_tile}


def _frame(rows: list[dict[str, object]], schema: pa.Schema) -> pd.DataFrame:
    table = pa.Table.from_pylist(rows, schema=schema)
    return pd.DataFrame(table.to_pandas(types_mapper=pd.ArrowDtype))
