"""What a model of tree cover sees of a tile-year: quarterly composites, channel by channel.

| channel | what | as |
|---|---|---|
| `B02` … `B12` | Sentinel-2 reflectance, median of the quarter's days | 0 to 1 |
| `slope` | terrain slope, the same in every quarter | degrees / 90 |
| `VV`, `VH` | Sentinel-1 backscatter of the quarter | (dB + 22) / 22, from 0 to 1 |

All channels lie on the tile's 10 m grid, coarser pixels repeated. Pixels that the scene
classification calls cloudy are left out of a median. What a quarter then lacks is the median of
the year's clear days, and what these lack the median of all days. Where Sentinel-1 lacks a quarter,
it is the median of the others. A pixel that lacks a channel even so is not `valid`: the model sees
0 there, and no cover is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from estinel_assets.ard.ard_zarr import read_group
from estinel_assets.ard.sentinel1_composite import POLARIZATIONS, REPEATS, quarter_median
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS
from estinel_assets.ard.sentinel2_selection import cloudy_pixels
from estinel_assets.ard.tiles import TileYear
from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid
from estinel_assets.storage.port import ObjectStore

QUARTERS: Final = 4
"""Steps of the input: January to March, and so on."""
DEFAULT_CHANNELS: Final = (*S2_10_BANDS, *S2_20_BANDS, "slope", *POLARIZATIONS)
"""Every channel, in the order that a model gets unless it says otherwise."""
DARKEST_DB: Final = -22.0
"""Backscatter that becomes 0; 0 dB becomes 1."""

RESOLUTION_M: Final = 10.0

_OPTICAL: Final = frozenset({"s2_10", "s2_20"})
_GROUP_OF: Final[Mapping[str, str]] = {
    **dict.fromkeys(S2_10_BANDS, "s2_10"),
    **dict.fromkeys(S2_20_BANDS, "s2_20"),
    "slope": "dem",
    **dict.fromkeys(POLARIZATIONS, "s1"),
}

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stack:
    """The input of a model for a whole tile."""

    values: Values
    """(quarter, channel, height, width); 0 where `valid` is False."""
    valid: NDArray[np.bool_]
    """(height, width): whether every channel has a value."""
    channels: tuple[str, ...]
    grid: Grid
    """Of 10 m."""
    gaps: tuple[str, ...]
    """Quarters without Sentinel-1, which the others stand in for."""


def groups_for(channels: Sequence[str]) -> tuple[str, ...]:
    """The groups that channels are made from, in alphabetical order.

    Args:
        channels: among `DEFAULT_CHANNELS`.

    Raises:
        BadInputError: one is unknown or named twice, or there is none.
    """
    if not channels or len(set(channels)) < len(channels) or set(channels) - set(_GROUP_OF):
        raise BadInputError(
            f"channels {', '.join(channels) or '(none)'} cannot be made of a tile-year: name each "
            f"once, among {', '.join(DEFAULT_CHANNELS)}"
        )
    groups = {_GROUP_OF[channel] for channel in channels}
    return tuple(sorted(groups | ({"clouds"} if groups & _OPTICAL else set())))


def input_stack(
    store: ObjectStore, tile_year: TileYear, channels: Sequence[str] = DEFAULT_CHANNELS
) -> Stack:
    """Make the input of a model from the groups of a tile-year.

    Args:
        store: where they stand.
        tile_year: the tile-year.
        channels: in the model's order.

    Raises:
        BadInputError: a channel cannot be made, or the groups do not belong together.
        NotFoundError: a group does not stand.
        StoreError: the store refuses, or a group is damaged.
    """
    path = tile_year.store_path
    groups = {name: read_group(store, path, name) for name in groups_for(channels)}
    grid = _fine_grid(next(group for name, group in groups.items() if name != "clouds"))
    values = np.empty((QUARTERS, len(channels), *grid.shape), dtype=np.float32)
    for channel, quarters in _channels(groups, frozenset(channels)):
        factor = grid.height // quarters.shape[1]
        values[:, channels.index(channel)] = quarters.repeat(factor, 1).repeat(factor, 2)
    valid: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(values), axis=(0, 1))
    values[:, :, ~valid] = 0
    gaps = tuple(groups["s1"].attrs["gaps"]) if "s1" in groups else ()
    return Stack(values, valid, tuple(channels), grid, gaps)


def _channels(
    groups: Mapping[str, xr.Dataset], wanted: frozenset[str]
) -> Iterator[tuple[str, Values]]:
    """Each channel as (quarter or 1, y, x) on its own grid; NaN where there is no value."""
    for name, group in groups.items():
        if name == "dem":
            yield "slope", np.clip(group["slope"].values[np.newaxis] / np.float32(90), 0, 1)
        elif name == "s1":
            yield from ((band, of) for band, of in _radar(group) if band in wanted)
        elif name in _OPTICAL:
            yield from _optical(group, groups["clouds"], wanted)


def _radar(group: xr.Dataset) -> Iterator[tuple[str, Values]]:
    array = group["backscatter"]
    scale = np.float32(array.attrs["scale_factor"])
    for number, band in enumerate(array["polarization"].values):
        stored = array[::REPEATS, number].values
        power = np.where(stored > 0, stored * scale, np.float32(np.nan))
        of_year = quarter_median(list(power))
        power = np.where(np.isnan(power), of_year, power)
        decibel = 10 * np.log10(power)
        yield str(band), np.clip((decibel - DARKEST_DB) / -DARKEST_DB, 0, 1).astype(np.float32)


def _optical(
    group: xr.Dataset, clouds: xr.Dataset, wanted: frozenset[str]
) -> Iterator[tuple[str, Values]]:
    array = group["reflectance"]
    scale = np.float32(array.attrs["scale_factor"])
    quarter = (array["time"].dt.month.values - 1) // 3
    cloudy = _cloudy_on(clouds, group)
    names = [str(band) for band in array["band"].values]
    numbers = [number for number, band in enumerate(names) if band in wanted]
    steps = np.stack([array[step].values[numbers] for step in range(array.sizes["time"])])
    for number, place in enumerate(numbers):
        stored = steps[:, number]
        seen = np.where(stored > 0, stored * scale, np.float32(np.nan))
        clear = np.where(cloudy, np.float32(np.nan), seen)
        of_year = _first_value(quarter_median(list(clear)), quarter_median(list(seen)))
        yield (
            names[place],
            np.clip(
                np.stack(
                    [
                        _first_value(quarter_median(list(clear[quarter == q])), of_year)
                        if (quarter == q).any()
                        else of_year
                        for q in range(QUARTERS)
                    ]
                ),
                0,
                1,
            ),
        )


def _first_value(first: Values, second: Values) -> Values:
    return np.where(np.isnan(first), second, first)


def _cloudy_on(clouds: xr.Dataset, group: xr.Dataset) -> NDArray[np.bool_]:
    """Which pixels (time, y, x) of a group's days are cloudy, by the nearest of the classes."""
    scl = clouds["scl"]
    if not np.array_equal(scl["time"].values, group["time"].values):
        raise BadInputError("the groups of Sentinel-2 are of different days: make them again")
    rows = abs(scl["y"].values[:, np.newaxis] - group["y"].values).argmin(axis=0)
    columns = abs(scl["x"].values[:, np.newaxis] - group["x"].values).argmin(axis=0)
    return cloudy_pixels(scl.values)[:, rows][:, :, columns]


def _fine_grid(group: xr.Dataset) -> Grid:
    """The 10 m grid that shares its corners with a group's."""
    x, y = group["x"].values, group["y"].values
    spacing = float(x[1] - x[0])
    factor = round(spacing / RESOLUTION_M)
    authority = CRS.from_wkt(group["spatial_ref"].attrs["crs_wkt"]).to_authority()
    if authority is None:
        raise BadInputError("the CRS of a group has no EPSG code: make the tile-year again")
    return Grid(
        crs=":".join(authority),
        left=float(x[0]) - spacing / 2,
        top=float(y[0]) + spacing / 2,
        resolution=RESOLUTION_M,
        width=x.size * factor,
        height=y.size * factor,
    )
