"""From Sentinel-2 scenes to the arrays of a tile's year.

A step is a day: its scenes, each with its own radiometric offset taken out, laid over one another,
so that all bands of a pixel come from one scene. Reflectance is stored times 10,000 as uint16, at
least 1 where there is a value; 0 is nodata.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from estinel_assets.ard.ard_zarr import coordinates_along, grid_coordinates
from estinel_assets.ard.encoded_steps import EncodedSteps
from estinel_assets.ard.scratch import ScratchFile
from estinel_assets.ard.sentinel2_rules import S2Rules
from estinel_assets.ard.sentinel2_selection import CloudScore, Drop, cloudy_pixels
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_rgb
from estinel_assets.raster.scl import SclClass
from estinel_assets.stac.offsets import HARMONISATION_VERSION, OffsetDecision, harmonise

SCALE: Final = 10_000
"""Of the stored numbers."""


@dataclass(frozen=True, slots=True)
class S2Step:
    """What a time step was made from."""

    score: CloudScore
    """Of stage 1; also gives the day."""
    bad_fraction: float
    """Of stage 2."""
    coverage: float
    """Share of the tile within the scenes' footprints."""
    offsets: Mapping[str, OffsetDecision]
    """For each scene, by its id, in the order of preference, what was added."""


def compose_day(
    scenes: Iterable[tuple[NDArray[np.uint16], OffsetDecision]],
) -> NDArray[np.uint16]:
    """The reflectance of a day.

    Args:
        scenes: digital numbers (band, height, width) on one grid, each with what is to be added,
            in the order of preference; no more of them are taken than needed. A pixel is without
            data where a band is 0; or, where the catalogue has subtracted the offset already and
            dark pixels have become 0, where all bands are.

    Returns:
        (band, height, width), reflectance times 10,000; all bands of a pixel from the first scene
        that has it, 0 where none has.

    Raises:
        ValueError: there is no scene, or their shapes differ.
    """
    return mosaic_rgb(_valid_or_0(dn, decision) for dn, decision in scenes)


def _valid_or_0(dn: NDArray[np.uint16], decision: OffsetDecision) -> NDArray[np.uint16]:
    """Reflectance of a scene: at least 1 in every band of a valid pixel, 0 in all of another."""
    reflectance = harmonise(dn, decision)
    if dn.min() > 0:  # as on most days
        return reflectance
    present = dn != 0
    valid = present.all(axis=0) if decision.zero_is_nodata else present.any(axis=0)
    whole: NDArray[np.uint16] = np.where(valid, np.maximum(reflectance, 1), 0)
    return whole.astype(np.uint16, copy=False)


def days_of_year(days: Iterable[dt.date]) -> NDArray[np.int64]:
    """The days of the year, 1 for the first of January; 366 in a leap year's end."""
    return np.array([day.timetuple().tm_yday for day in days], dtype=np.int64)


def cirrus_mask(scl: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where thin cirrus is seen, without what is no cirrus.

    A pixel that has it on every day, and on a day none of its neighbours has it, is bright ground.

    Args:
        scl: (time, height, width).

    Returns:
        The same shape; 1 = cirrus.
    """
    cirrus = scl == SclClass.THIN_CIRRUS
    edged = np.pad(cirrus, ((0, 0), (1, 1), (1, 1)))
    height, width = cirrus.shape[1:]
    around = np.zeros(cirrus.shape, dtype=np.int8)
    for down in range(3):
        for across in range(3):
            around += edged[:, down : down + height, across : across + width]
    bright = cirrus & (around == 1) & cirrus.all(axis=0)
    mask: NDArray[np.uint8] = (cirrus & ~bright).astype(np.uint8)
    return mask


class Composites:
    """The days of a tile's year in the bands of one pixel size, laid aside as they come."""

    def __init__(self, days: int, bands: Sequence[str], grid: Grid, scratch: ScratchFile) -> None:
        """Make room for so many days, in the bands and on the grid."""
        self.bands, self.grid = tuple(bands), grid
        self.valid_fraction: list[float] = []
        """Of the days that were added: the share of pixels with all bands."""
        self.reflectance = EncodedSteps((days, len(bands), *grid.shape), np.uint16, scratch)
        """(time, band, height, width), times 10,000."""

    def add(self, reflectance: NDArray[np.uint16]) -> None:
        """Add the next day.

        Args:
            reflectance: (band, height, width), of `compose_day`.
        """
        self.reflectance.put(len(self.valid_fraction), reflectance)
        valid = np.count_nonzero(reflectance.min(axis=0))
        self.valid_fraction.append(valid / (self.grid.width * self.grid.height))


def s2_dataset(composites: Composites, steps: Sequence[S2Step], rules: S2Rules) -> xr.Dataset:
    """The composites as the groups `s2_10` and `s2_20` keep them.

    Args:
        composites: in `S2_10_BANDS` or `S2_20_BANDS`.
        steps: what each day was made from, in the order of time.
        rules: the thresholds.

    Raises:
        ValueError: there is no step, or as many of them as the composites have not.
    """
    composed, days_of_tile = len(composites.valid_fraction), composites.reflectance.shape[0]
    if not steps or not len(steps) == composed == days_of_tile:
        raise ValueError(
            f"{composed} of {days_of_tile} days were composed, and {len(steps)} are told of"
        )
    grid = composites.grid
    days = [step.score.day for step in steps]
    variable = xr.Variable(
        ("time", "band", "y", "x"),
        composites.reflectance,
        attrs={
            "long_name": "surface reflectance",
            "standard_name": "surface_bidirectional_reflectance",
            "units": "1",
            "scale_factor": 1 / SCALE,
            "_FillValue": 0,
        },
        encoding={"grid_mapping": "spatial_ref"},
    )
    return xr.Dataset(
        {"reflectance": variable},
        coords={
            **grid_coordinates(grid),
            "time": _solar_days("time", days),
            "band": xr.Variable(("band",), np.array(composites.bands, dtype=object)),
            **coordinates_along(
                "time",
                {
                    **_said_of(steps),
                    "valid_fraction": (composites.valid_fraction, "pixels with all bands"),
                },
            ),
        },
        attrs={
            "title": "Sentinel-2 L2A surface reflectance of clear days",
            "harmonisation_version": HARMONISATION_VERSION,
            **_rule_attributes(rules),
            "attribution": _attribution(days),
        },
    )


def _said_of(steps: Sequence[S2Step]) -> dict[str, tuple[ArrayLike, str]]:
    offsets = [list(step.offsets.values()) for step in steps]
    return {
        "day_of_year": (days_of_year(step.score.day for step in steps), "day of the year"),
        "cloud_fraction": ([step.score.cloud_fraction for step in steps], "cloudy, wide area"),
        "local_fraction": ([step.score.local_fraction for step in steps], "cloudy, its middle"),
        "weighted": ([step.score.weighted for step in steps], "score of the day"),
        "bad_fraction": ([step.bad_fraction for step in steps], "cloudy, the tile"),
        "coverage": ([step.coverage for step in steps], "share of the tile within footprints"),
        "scene_ids": ([" ".join(step.offsets) for step in steps], "scenes, the preferred first"),
        "offsets_dn": (
            [" ".join(str(offset.offset_dn) for offset in of_step) for of_step in offsets],
            "what was added to each scene's digital numbers",
        ),
        "offset_rules": (
            ["; ".join(offset.rule for offset in of_step) for of_step in offsets],
            "the rule that decided each offset",
        ),
    }


def clouds_dataset(
    wide_scl: Mapping[dt.date, NDArray[np.uint8]],
    wide_grid: Grid,
    quality_scl: Mapping[dt.date, NDArray[np.uint8]],
    quality_grid: Grid,
    scores: Mapping[dt.date, CloudScore],
    dropped: Mapping[dt.date, Drop],
    rules: S2Rules,
) -> xr.Dataset:
    """What was seen of clouds, as the group `clouds` keeps it.

    `cloudy` holds every day that was looked at on the wide area (`date`, `y_wide`, `x_wide`);
    `scl` and `cirrus` hold the days that are used on the tile (`time`, `y`, `x`).

    Args:
        wide_scl: for each day that was looked at, its classification on `wide_grid`.
        wide_grid: of `sentinel2_rules.cloud_grid`.
        quality_scl: for each day that is used, its classification on `quality_grid`.
        quality_grid: of `sentinel2_rules.quality_grid`.
        scores: for each day that was looked at, how cloudy it is.
        dropped: of both stages.
        rules: the thresholds.

    Raises:
        ValueError: no day is used, or one has no score.
    """
    dates, used = sorted(wide_scl), sorted(quality_scl)
    if not used or not set(used) <= set(dates) or set(dates) != set(scores):
        raise ValueError("every day that is used or looked at needs its array and its score")
    scl = np.stack([quality_scl[day] for day in used])
    cloudy = np.stack([cloudy_pixels(wide_scl[day]) for day in dates]).astype(np.uint8)
    on_tile, on_wide = ("time", "y", "x"), ("date", "y_wide", "x_wide")
    variables = {
        "cloudy": xr.Variable(on_wide, cloudy, {"long_name": "1 = cloudy or unseen"}),
        "scl": xr.Variable(on_tile, scl, {"long_name": "scene classification"}),
        "cirrus": xr.Variable(on_tile, cirrus_mask(scl), {"long_name": "1 = thin cirrus"}),
    }
    for variable in variables.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    return xr.Dataset(
        variables,
        coords={
            **grid_coordinates(quality_grid),
            **grid_coordinates(wide_grid, "_wide"),
            "date": _solar_days("date", dates),
            "time": _solar_days("time", used),
            **coordinates_along("time", {"day_of_year": (days_of_year(used), "day of the year")}),
            **coordinates_along(
                "date", _said_of_dates([scores[day] for day in dates], dropped, set(used))
            ),
        },
        attrs={
            "title": "Clouds over a tile and around it",
            **_rule_attributes(rules),
            "attribution": _attribution(used),
        },
    )


def _said_of_dates(
    scores: Sequence[CloudScore], dropped: Mapping[dt.date, Drop], used: Collection[dt.date]
) -> dict[str, tuple[ArrayLike, str]]:
    days = [score.day for score in scores]
    clean = [dropped.get(day) in (None, Drop.BAD_PIXELS) for day in days]
    return {
        "cloud_fraction": ([score.cloud_fraction for score in scores], "cloudy, wide area"),
        "local_fraction": ([score.local_fraction for score in scores], "cloudy, its middle"),
        "weighted": ([score.weighted for score in scores], "score of the day"),
        "date_day_of_year": (days_of_year(days), "day of the year"),
        "clean": (np.array(clean, dtype=np.uint8), "1 = kept by stage 1"),
        "used": (np.array([day in used for day in days], dtype=np.uint8), "1 = kept by both"),
        "dropped": (
            [str(dropped.get(day, "")) for day in days],
            "step of the selection at which the day went",
        ),
    }


def _solar_days(dimension: str, days: Sequence[dt.date]) -> xr.Variable:
    instants = np.array(days, dtype="datetime64[D]").astype("datetime64[ns]")
    return xr.Variable(
        (dimension,), instants, {"long_name": "solar day", "standard_name": "time", "axis": "T"}
    )


def _rule_attributes(rules: S2Rules) -> dict[str, float]:
    return {f"rule_{name}": getattr(rules, name) for name in S2Rules.__dataclass_fields__}


def _attribution(days: Sequence[dt.date]) -> str:
    return f"Contains modified Copernicus Sentinel data [{days[0].year}]"
