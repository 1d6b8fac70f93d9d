"""What the arrays of a tile-year are like: invalid values, ranges, gaps and dates; and a verdict.

`quality_table` measures, `findings` compares with limits. A group that is absent or cannot be
read is a row too, with its `state` and without numbers.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from estinel_assets.ard.ard_zarr import GROUPS, read_group
from estinel_assets.ard.sentinel2_selection import cloudy_pixels
from estinel_assets.ard.tiles import TileYear
from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.storage.port import ObjectStore

COLUMNS: Final = {
    "key": "object",
    "group": "object",
    "band": "object",
    "state": "object",
    "height": "Int64",
    "width": "Int64",
    "n_steps": "Int64",
    "n_empty_steps": "Int64",
    "invalid_share": "Float64",
    "worst_step_share": "Float64",
    "minimum": "Float64",
    "mean": "Float64",
    "maximum": "Float64",
    "saturated_share": "Float64",
    "cloudy_share": "Float64",
    "n_dates": "Int64",
    "first_date": "datetime64[s]",
    "last_date": "datetime64[s]",
    "longest_gap_days": "Int64",
    "gaps": "object",
    "problem": "object",
}
"""Columns of the table and their types.

`key` is the tile-year, `band` as `B02`, `VV`, `slope` or `scl` and empty where nothing could be
measured; `state` is `present`, `missing` or `unreadable`, for which `problem` says why. Shares go
from 0 to 1: `invalid_share` of the values that are none, in the steps that are not empty, and
`worst_step_share` of the worst of these; `saturated_share` of the valid values that are 1 or more
(reflectance, linear power) or 90 degrees (slope). `minimum`, `mean` and `maximum` are of the valid
values, in their units. `longest_gap_days` is between two dates, or a date and an end of the year.
`gaps` names quarters without data.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still good."""

    max_invalid_share: float = 0.05
    """Of a band over all steps; shares go from 0 to 1."""
    max_step_invalid_share: float = 0.25
    """Of the worst step."""
    max_saturated_share: float = 0.05
    """Of the valid values."""
    max_cloudy_share: float = 0.2
    """Of the tile on the days that are used."""
    min_s2_dates: int = 4
    """Days of Sentinel-2 in the year."""
    max_s2_gap_days: int = 150
    """Between days of Sentinel-2, and from the ends of the year."""

    def __post_init__(self) -> None:
        shares = ("max_invalid_share", "max_step_invalid_share", "max_saturated_share")
        problems = [
            f"{name} is {share}; take a share from 0 to 1"
            for name in (*shares, "max_cloudy_share")
            if not 0 <= (share := getattr(self, name)) <= 1
        ]
        if problems:
            raise BadInputError(f"the limits of quality cannot be used: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that passes a limit."""

    key: str
    """The tile-year."""
    group: str
    band: str
    """Empty for the group as a whole."""
    what: str
    """A sentence's end, with the value and the limit."""

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.key} {self.group}{f' {self.band}' if self.band else ''}: {self.what}"


def quality_table(
    store: ObjectStore, tile_years: Iterable[TileYear], groups: Sequence[str] = GROUPS
) -> pd.DataFrame:
    """Measure arrays; one time step is in memory at a time.

    Args:
        store: the object store.
        tile_years: whose arrays.
        groups: of `ard_zarr.GROUPS`.

    Returns:
        A row for each group and band of each tile-year, with `COLUMNS`.

    Raises:
        BadInputError: there is no such group.
    """
    rows = [
        {"key": tile_year.key, "group": group, **row}
        for tile_year in tile_years
        for group in groups
        for row in _rows(store, tile_year, group)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def findings(table: pd.DataFrame, limits: Limits | None = None) -> tuple[Finding, ...]:
    """What passes a limit, in the order of the table.

    Args:
        table: of `quality_table`.
        limits: None = the defaults.
    """
    limits = limits or Limits()
    return tuple(
        Finding(row["key"], row["group"], band, what)
        for row in table.to_dict("records")
        for band, what in _problems(row, limits)
    )


def _rows(store: ObjectStore, tile_year: TileYear, group: str) -> Iterator[dict[str, Any]]:
    try:
        dataset = read_group(store, tile_year.store_path, group)
    except NotFoundError as error:
        yield {"band": "", "state": "missing", "problem": str(error)}
        return
    except StoreError as error:
        yield {"band": "", "state": "unreadable", "problem": str(error)}
        return
    try:
        yield from list(_measured(dataset, group, tile_year.year))
    except StoreError as error:
        yield {"band": "", "state": "unreadable", "problem": str(error)}


def _measured(dataset: xr.Dataset, group: str, year: int) -> Iterator[dict[str, Any]]:
    match group:
        case "dem":
            measure = _Measure("slope", dataset["slope"].shape, 1.0, saturated_from=90.0)
            measure.add(values := dataset["slope"].values, np.isfinite(values))
            yield measure.row()
        case "s1":
            yield from _of_bands(dataset["backscatter"], _s1_dates(dataset, year))
        case "clouds":
            yield _of_classes(dataset["scl"], _dates(_days(dataset), year))
        case _:
            yield from _of_bands(dataset["reflectance"], _dates(_days(dataset), year))


def _of_bands(array: xr.DataArray, dates: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a stored (step, band, y, x); the steps are read one by one."""
    names = [str(name) for name in array[array.dims[1]].values]
    scale, nodata = float(array.attrs["scale_factor"]), array.attrs["_FillValue"]
    shape = array.shape[2:]
    measures = [_Measure(name, shape, scale, saturated_from=1.0) for name in names]
    for number in range(array.shape[0]):
        for measure, values in zip(measures, array[number].values, strict=True):
            measure.add(values, values != nodata)
    for measure in measures:
        yield {**measure.row(), **dates}


def _of_classes(scl: xr.DataArray, dates: dict[str, Any]) -> dict[str, Any]:
    """The row of the scene classification: its numbers are names, only shares are told."""
    measure = _Measure("scl", scl.shape[1:], 1.0)
    cloudy = 0
    for number in range(scl.shape[0]):
        values = scl[number].values
        measure.add(values, values != 0)
        cloudy += int(cloudy_pixels(values).sum())
    row = measure.row() | dict.fromkeys(("minimum", "mean", "maximum", "saturated_share"))
    return {**row, "cloudy_share": cloudy / max(scl.size, 1), **dates}


class _Measure:
    """Sums over the steps of a band."""

    def __init__(
        self, band: str, shape: tuple[int, ...], scale: float, *, saturated_from: float = np.inf
    ) -> None:
        self._band, self._shape, self._scale = band, shape, scale
        self._saturated_from = saturated_from
        self._valid_of: list[int] = []
        self._total, self._saturated = 0.0, 0
        self._least, self._most = np.inf, -np.inf

    def add(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """Take in a step (y, x), as it is stored."""
        seen = values[valid]
        self._valid_of.append(seen.size)
        if seen.size:
            self._total += float(seen.sum(dtype=np.float64))
            self._least = min(self._least, float(seen.min()))
            self._most = max(self._most, float(seen.max()))
            # Half a step of slack: 1 is stored as a whole number.
            self._saturated += int((seen >= self._saturated_from / self._scale - 0.5).sum())

    def row(self) -> dict[str, Any]:
        """What was found, in units."""
        pixels = max(int(np.prod(self._shape)), 1)
        n_valid, n_steps = sum(self._valid_of), len(self._valid_of)
        filled = [count for count in self._valid_of if count]
        row: dict[str, Any] = {
            "band": self._band,
            "state": "present",
            "height": self._shape[0],
            "width": self._shape[1],
            "n_steps": n_steps,
            "n_empty_steps": n_steps - len(filled),
            "invalid_share": 1 - n_valid / (pixels * len(filled)) if filled else 1.0,
            "worst_step_share": 1 - min(filled) / pixels if filled else 1.0,
        }
        if n_valid:
            row |= {
                "minimum": self._least * self._scale,
                "mean": self._total / n_valid * self._scale,
                "maximum": self._most * self._scale,
                "saturated_share": self._saturated / n_valid,
            }
        return row


def _days(dataset: xr.Dataset) -> list[dt.date]:
    return [day.item() for day in dataset["time"].values.astype("datetime64[D]")]


def _s1_dates(dataset: xr.Dataset, year: int) -> dict[str, Any]:
    texts = {str(days) for days in dataset["solar_days"].values}
    days = {dt.date.fromisoformat(day) for text in texts for day in text.split()}
    return {**_dates(sorted(days), year), "gaps": " ".join(dataset.attrs["gaps"])}


def _dates(days: Sequence[dt.date], year: int) -> dict[str, Any]:
    """What is said of days in the order of time."""
    ends = [dt.date(year, 1, 1), *days, dt.date(year, 12, 31)]
    return {
        "n_dates": len(days),
        "first_date": days[0] if days else None,
        "last_date": days[-1] if days else None,
        "longest_gap_days": max((later - earlier).days for earlier, later in pairwise(ends)),
    }


def _problems(row: dict[Any, Any], limits: Limits) -> Iterator[tuple[str, str]]:
    """The band, or none, and what is wrong with it."""
    band = row["band"]
    if row["state"] != "present":
        yield "", f"is {row['state']}: {row['problem']}"
        return
    shares = (
        ("invalid_share", limits.max_invalid_share, "of the values are invalid"),
        ("worst_step_share", limits.max_step_invalid_share, "of the worst step are invalid"),
        ("saturated_share", limits.max_saturated_share, "of the values are saturated"),
        ("cloudy_share", limits.max_cloudy_share, "of the pixels are cloudy"),
    )
    for column, limit, meaning in shares:
        share = row[column]
        if not pd.isna(share) and share > limit:
            yield band, f"{share:.1%} {meaning}, more than {limit:.1%}"
    if not pd.isna(row["gaps"]) and row["gaps"]:
        yield band, f"has no data for {row['gaps']}"
    elif row["n_empty_steps"]:
        yield band, f"{row['n_empty_steps']} of {row['n_steps']} steps are empty"
    if row["group"].startswith("s2"):
        if row["n_dates"] < limits.min_s2_dates:
            yield band, f"has {row['n_dates']} dates, fewer than {limits.min_s2_dates}"
        if row["longest_gap_days"] > limits.max_s2_gap_days:
            days, limit_days = row["longest_gap_days"], limits.max_s2_gap_days
            yield band, f"lacks dates for {days} days, more than {limit_days}"
