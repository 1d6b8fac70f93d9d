"""Whether both ways made the same arrays."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.ard_peer import GROUPS
from estinel_assets.ard.tiles import TileYear

EXACT = ("s1/backscatter", "s2_10/reflectance", "s2_20/reflectance")
"""Read in the scenes' own CRS, at a resolution that a file has."""
_LEAST_FILLED = 0.99


@dataclass(slots=True)
class _Compared:
    differing: int = 0
    pixels: int = 0
    filled: int = 0
    most: float = 0.0
    """The largest difference."""


def compare(ours: Path, peer: Path, asked: Iterable[TileYear]) -> dict[str, dict[str, float]]:
    """Compare all arrays of all tiles.

    Args:
        ours: the store's folder.
        peer: likewise.
        asked: the tile-years in it.

    Returns:
        By group and array the share of numbers that differ, and the largest difference.

    Raises:
        SystemExit: what must be equal is not, or there is hardly anything in it.
    """
    found: dict[str, _Compared] = {}
    for one in asked:
        for group in GROUPS:
            mine, theirs = (_opened(root / one.store_path, group) for root in (ours, peer))
            for name in mine.data_vars:
                part = found.setdefault(f"{group}/{name}", _Compared())
                _add(part, mine[name].values, theirs[name].values)
    for name in EXACT:
        part = found[name]
        if part.differing or part.filled < _LEAST_FILLED * part.pixels:
            raise SystemExit(
                f"{name}: {part.differing} of {part.pixels} numbers differ, {part.filled} are not 0"
            )
    return {
        name: {
            "differing_share": round(part.differing / part.pixels, 6),
            "largest_difference": round(part.most, 4),
        }
        for name, part in found.items()
    }


def _opened(store: Path, group: str) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(
        store, group=group, chunks=None, consolidated=False, mask_and_scale=False
    )
    return dataset.drop_vars("spatial_ref", errors="ignore")


def _add(part: _Compared, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        raise SystemExit(f"{theirs.dtype} {theirs.shape} where ours is {ours.dtype} {ours.shape}")
    part.pixels += ours.size
    part.filled += int(np.count_nonzero(ours))
    unequal = ours != theirs
    if unequal.any():
        part.differing += int(unequal.sum())
        apart = np.abs(ours[unequal].astype(np.float64) - theirs[unequal])
        part.most = max(part.most, float(apart.max()))
