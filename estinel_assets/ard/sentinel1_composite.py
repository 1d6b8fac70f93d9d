"""From Sentinel-1 backscatter to the twelve steps of a tile's year.

Backscatter is gamma nought, linear power, in the order VV, VH. Scenes of a day are laid over one
another, the days of a quarter give their median, pixel by pixel and band by band, and each quarter
stands three times, so that there are twelve steps. Stored is round(min(power, 1) · 65,535) as
uint16, at least 1 where there is a value; 0 is nodata.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from estinel_assets.ard.ard_zarr import coordinates_along, grid_coordinates
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.sentinel1_selection import WINDOWS, S1Rules, S1Selection
from estinel_assets.raster.grids import Grid

POLARIZATIONS: Final = ("VV", "VH")
"""The bands, in the order of the array."""
REPEATS: Final = 3
"""Steps that a quarter stands for."""
DAYS_OF_YEAR: Final[Mapping[str, int]] = {"Q1": 45, "Q2": 135, "Q3": 225, "Q4": 315}
"""The day of the year under which models know a quarter."""
SCALE: Final = 65_535
"""Of the stored numbers."""


@dataclass(frozen=True, slots=True)
class S1Composite:
    """The arrays of a tile's year."""

    backscatter: NDArray[np.uint16]
    """(12, 2, height, width): step, polarization, y, x; 0 = nodata."""
    valid_fraction: Mapping[str, float]
    """For each quarter the share of pixels that have both polarizations, 0 to 1."""
    gaps: tuple[str, ...]
    """The quarters without a single pixel; their steps are nodata."""

    @property
    def reason(self) -> ArdReason:
        """What the outcome says: `none`, `incomplete`, or `no_scenes` where every quarter lacks."""
        if not self.gaps:
            return ArdReason.NONE
        return ArdReason.NO_SCENES if len(self.gaps) == len(WINDOWS) else ArdReason.INCOMPLETE


def mosaic_day(scenes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Scenes of one day laid over one another.

    Args:
        scenes: (polarization, height, width) on one grid, linear power, in the order of
            preference; what is not finite, or not above 0, is no value.

    Returns:
        (polarization, height, width): for each pixel the first value; NaN where there is none.

    Raises:
        ValueError: there is no scene, or their shapes differ.
    """
    result: NDArray[np.float32] | None = None
    for scene in scenes:
        layer = np.where(np.isfinite(scene) & (scene > 0), scene, np.nan).astype(np.float32)
        if result is None:
            result = layer
        elif layer.shape != result.shape:
            raise ValueError(f"shape {layer.shape} differs from the first one's, {result.shape}")
        else:
            np.copyto(result, layer, where=np.isnan(result))
        if not np.isnan(result).any():
            break
    if result is None:
        raise ValueError("there is no scene to make a day of: give at least one")
    return result


def quarter_median(days: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The median of a quarter's days, pixel by pixel.

    Args:
        days: of `mosaic_day`, at least one; NaN = no value.

    Returns:
        The same shape. Of an even number of values the mean of the middle two; NaN where no day
        has a value.

    Raises:
        ValueError: there is no day, or their shapes differ.
    """
    values = np.sort(np.stack(days), axis=0)  # NaN comes last
    count = np.isfinite(values).sum(axis=0, keepdims=True)
    lower = np.take_along_axis(values, np.maximum(count - 1, 0) // 2, axis=0)[0]
    upper = np.take_along_axis(values, np.minimum(count // 2, len(days) - 1), axis=0)[0]
    median: NDArray[np.float32] = lower + (upper - lower) / 2
    return np.where(count[0] > 0, median, np.float32(np.nan))


def to_uint16(power: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Linear power as it is stored.

    Args:
        power: NaN = no value; a value is above 0.

    Returns:
        The same shape: round(min(power, 1) · 65,535), at least 1; 0 where there is no value.
    """
    valid = np.isfinite(power) & (power > 0)
    scaled = np.rint(np.clip(np.where(valid, power, 0), 0, 1).astype(np.float64) * SCALE)
    return np.where(valid, np.maximum(scaled, 1), 0).astype(np.uint16)


def compose_s1(
    quarters: Mapping[str, NDArray[np.float32] | None], shape: tuple[int, int]
) -> S1Composite:
    """The twelve steps out of four medians.

    Args:
        quarters: for `Q1` to `Q4` the median (2, height, width); None or absent is a gap, and so
            is a median without a value.
        shape: (height, width).

    Raises:
        ValueError: a quarter has another name or shape.
    """
    if unknown := set(quarters) - set(WINDOWS):
        raise ValueError(f"no quarter is called {', '.join(sorted(unknown))}; use Q1 to Q4")
    result = np.zeros((len(WINDOWS) * REPEATS, len(POLARIZATIONS), *shape), dtype=np.uint16)
    valid_fraction = {}
    for number, name in enumerate(WINDOWS):
        steps = result[number * REPEATS : (number + 1) * REPEATS]
        median = quarters.get(name)
        if median is not None:
            if median.shape != steps.shape[1:]:
                raise ValueError(f"{name} has shape {median.shape}, not {steps.shape[1:]}")
            steps[:] = to_uint16(median)
        valid_fraction[name] = float((steps[0] > 0).all(axis=0).mean())
    gaps = tuple(name for number, name in enumerate(WINDOWS) if not result[number * REPEATS].any())
    return S1Composite(result, valid_fraction, gaps)


def s1_dataset(
    composite: S1Composite, selection: S1Selection, grid: Grid, rules: S1Rules
) -> xr.Dataset:
    """The composite as the group `s1` keeps it.

    Args:
        composite: of `compose_s1`.
        selection: what it was made from.
        grid: its grid.
        rules: the thresholds.
    """
    variable = xr.Variable(
        ("step", "polarization", "y", "x"),
        composite.backscatter,
        attrs={
            "long_name": "gamma nought, radiometrically terrain corrected, linear power",
            "units": "1",
            "scale_factor": 1 / SCALE,
            "_FillValue": 0,
        },
        encoding={"grid_mapping": "spatial_ref"},
    )
    return xr.Dataset(
        {"backscatter": variable},
        coords={**grid_coordinates(grid), **_step_coordinates(composite, selection)},
        attrs={
            "title": "Quarterly medians of Sentinel-1 backscatter",
            "orbit": selection.orbit,
            "orbit_choice": rules.orbit.value,
            "qualifying_days": dict(selection.qualifying_days),
            "scenes_listed": dict(selection.scenes_listed),
            "days_per_quarter": rules.days_per_quarter,
            "min_coverage": rules.min_coverage,
            "gaps": list(composite.gaps),
            "attribution": "Contains modified Copernicus Sentinel data "
            f"[{selection.quarters[0].first_day.year}]",
        },
    )


def _step_coordinates(composite: S1Composite, selection: S1Selection) -> dict[str, xr.Variable]:
    quarters = [quarter for quarter in selection.quarters for _ in range(REPEATS)]
    names = [quarter.name for quarter in quarters]
    days = [" ".join(day.day.isoformat() for day in quarter.days) for quarter in quarters]
    scenes = [" ".join(s.id for day in quarter.days for s in day.scenes) for quarter in quarters]
    least = [min((day.coverage for day in q.days), default=0.0) for q in quarters]
    return {
        "step": xr.Variable(("step",), np.arange(1, len(quarters) + 1, dtype=np.int64)),
        "polarization": xr.Variable(("polarization",), np.array(POLARIZATIONS, dtype=object)),
        **coordinates_along(
            "step",
            {
                "quarter": (names, "quarter that the step repeats"),
                "day_of_year": ([DAYS_OF_YEAR[name] for name in names], "day of the year"),
                "solar_days": (days, "solar days of the median"),
                "scene_ids": (scenes, "scenes of the median"),
                "coverage": (least, "least share of the tile that a day's footprints cover"),
                "valid_fraction": (
                    [composite.valid_fraction[name] for name in names],
                    "share of pixels with both polarizations",
                ),
            },
        ),
    }
