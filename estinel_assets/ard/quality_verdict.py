"""The verdict on the arrays of one source, over tile-years."""

from collections.abc import Collection, Iterable

import pandas as pd

from estinel_assets.ard.opening import GROUPS_OF
from estinel_assets.ard.quality import findings, quality_table
from estinel_assets.ard.tiles import Source, TileYear
from estinel_assets.outcomes.verdict import Verdict
from estinel_assets.storage.port import ObjectStore

SHOWN = 20


def source_quality(source: Source, tile_years: Collection[TileYear], store: ObjectStore) -> Verdict:
    """Measure the arrays of a source, and say what passes a limit.

    Args:
        source: whose groups are measured.
        tile_years: those that are complete.
        store: holds the arrays.

    Raises:
        StoreError: the store does not answer.
    """
    table = quality_table(store, tile_years, GROUPS_OF[source])
    return verdict_of(table, len(tile_years))


def verdict_of(table: pd.DataFrame, n_tile_years: int) -> Verdict:
    """The verdict on measured arrays.

    Args:
        table: of `quality_table`, over tile-years that are said to be complete.
        n_tile_years: how many.
    """
    found = findings(table)
    texts = tuple(one.text for one in found)
    failing = sorted({one.key for one in found})
    return Verdict(
        passed=not found,
        description=f"{len(failing)} of the {n_tile_years} newest tile-years pass a limit"
        if found
        else f"the {n_tile_years} newest tile-years keep all limits",
        numbers={
            "tile_years": n_tile_years,
            "failing_tile_years": len(failing),
            "findings": len(found),
            **_means(table, ("invalid_share", "cloudy_share")),
        },
        failing=texts[:SHOWN],
    )


def _means(table: pd.DataFrame, columns: Iterable[str]) -> dict[str, float]:
    means = {name: table[name].mean() for name in columns}
    return {f"mean_{name}": round(float(m), 4) for name, m in means.items() if not pd.isna(m)}
