"""Small tables of tiles, in memory."""

import pyarrow as pa

from estinel_assets.ard.tile_table import TileTable
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.storage import open_store
from estinel_assets.storage.tables import write_table

BAMENDA = (10.15, 5.96)
MANAUS = (-60.02, -3.1)


def table_of(rows: pa.Table) -> TileTable:
    """A table of tiles that holds these rows."""
    store = open_store("memory://")
    write_table(store, "grid/tiles.parquet", rows)
    return TileTable(store, "grid/tiles.parquet")


def small_table(*places: tuple[float, float], rings: int = 1) -> TileTable:
    """The tiles around some places, by default one north and one south of the equator."""
    return table_of(made_tile_table(places or (BAMENDA, MANAUS), rings=rings))
