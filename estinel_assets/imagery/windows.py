"""Windows: the pixels that are made for a site, and where on Earth they lie.

A window is a grid in the UTM zone of its site, in EPSG:3031 south of 80° S or in EPSG:3413 north
of 84° N. Zones are plain six-degree ones, zone 60 up to and with 180°: the exceptions of the
military grid for south-west Norway and Svalbard are not made, so that existing archives of
images keep their grids. Scenes of those parts are warped instead of cut out.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pyproj import Proj, Transformer

from estinel_assets.imagery.site import Site
from estinel_assets.raster.grids import Grid

WindowRule: TypeAlias = Literal["estinel", "estinel-r"]
Bbox: TypeAlias = tuple[float, float, float, float]
"""(west, south, east, north), in degrees; west is never greater than east."""

ANTARCTIC = "EPSG:3031"
ARCTIC = "EPSG:3413"
_ANTARCTIC_BELOW_DEG = -80.0
_ARCTIC_ABOVE_DEG = 84.0
_UTM_FALSE_EASTING_M = 500_000.0
_UTM_SOUTH_FALSE_NORTHING_M = 10_000_000.0

_POINTS_A_SIDE = 65
"""Along each side of a rectangle that is reprojected, both ends included."""
_BBOX_STEPS_A_DEG = 10_000_000
"""Boxes are rounded outward to a ten-millionth of a degree, about a centimetre."""
_BBOX_SLACK_STEPS = 1e-3
"""So that float noise at 180° makes no second box."""


@dataclass(frozen=True, slots=True)
class SiteWindow:
    """The pixels that are made for a site."""

    site_id: str
    """Such as `site_af38900f`."""
    grid: Grid
    """Where the pixels lie."""
    bboxes: tuple[Bbox, ...]
    """What the grid covers in longitude and latitude (WGS 84): one box, or two where the grid
    crosses 180°, the part west of that line first. Around a pole, all longitudes."""


def site_crs(lon: float, lat: float) -> str:
    """The CRS of the images of a site, as `EPSG:32755`.

    Args:
        lon: degrees east, -180 to 180.
        lat: degrees north; the equator counts as north.
    """
    if lat < _ANTARCTIC_BELOW_DEG:
        return ANTARCTIC
    if lat > _ARCTIC_ABOVE_DEG:
        return ARCTIC
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    return f"EPSG:{(32700 if lat < 0 else 32600) + zone}"


def site_window(site: Site, rule: WindowRule = "estinel") -> SiteWindow:
    """The window of a site.

    The rectangle of ±radiusx, ±radiusy around the site in a Lambert azimuthal equal-area
    projection centred on it is reprojected and covered with whole pixels, aligned to the origin
    of the CRS. Where the axes of the CRS are turned against east and north (up to 3° in a UTM
    zone, by any angle near a pole), the window is larger than the rectangle by that.

    Args:
        site: the site.
        rule: `estinel-r` takes radiusx for radiusy too, as archives made with R do.
    """
    crs = site_crs(site.lon, site.lat)
    radiusy = site.radiusx if rule == "estinel-r" else site.radiusy
    # A projection is quick to make; a transformation between two CRS takes 30 ms, so only the
    # second half of the way, which many sites share, is one.
    local = Proj(proj="laea", lat_0=site.lat, lon_0=site.lon, datum="WGS84", units="m")
    x, y = _outline((-site.radiusx, -radiusy, site.radiusx, radiusy), (0.0, 0.0))
    longitudes, latitudes = local(x, y, inverse=True)
    x, y = _transformer("EPSG:4326", crs).transform(longitudes, latitudes)
    grid = Grid.covering(
        crs,
        (float(x.min()), float(y.min()), float(x.max()), float(y.max())),
        float(site.resolution),
    )
    return SiteWindow(site_id=site.site_id, grid=grid, bboxes=grid_bboxes(grid, site.lon))


def grid_bboxes(grid: Grid, lon: float) -> tuple[Bbox, ...]:
    """What a grid covers in longitude and latitude, rounded outward to 1e-7 degrees.

    Args:
        grid: in a CRS that `site_crs` gives.
        lon: any longitude within the grid, in degrees east: from it the others are counted, so
            that a grid across 180° is not taken for one around the Earth.
    """
    origin = _natural_origin(grid.crs)
    left, bottom, right, top = grid.bounds
    longitudes, latitudes = _transformer(grid.crs, "EPSG:4326").transform(
        *_outline(grid.bounds, origin)
    )
    south, north = _floor_deg(float(latitudes.min())), _ceil_deg(float(latitudes.max()))
    if grid.crs in {ANTARCTIC, ARCTIC} and left <= 0.0 <= right and bottom <= 0.0 <= top:
        if grid.crs == ANTARCTIC:
            return ((-180.0, -90.0, 180.0, north),)
        return ((-180.0, south, 180.0, 90.0),)
    # A window without the pole, seen from the pole, is less than 180° wide.
    relative = (longitudes - lon + 180.0) % 360.0 - 180.0
    west = _floor_deg(lon + float(relative.min()))
    east = _ceil_deg(lon + float(relative.max()))
    if west < -180.0:
        return (west + 360.0, south, 180.0, north), (-180.0, south, east, north)
    if east > 180.0:
        return (west, south, 180.0, north), (-180.0, south, east - 360.0, north)
    return ((west, south, east, north),)


def window_problem(site: Site, max_window_pixels: int, rule: WindowRule = "estinel") -> str | None:
    """What is wrong with the size of a site's window, and the remedy; None where nothing is."""
    grid = site_window(site, rule).grid
    pixels = grid.width * grid.height
    if pixels <= max_window_pixels:
        return None
    return (
        f"makes a window of {grid.width} x {grid.height} = {pixels} pixels, more than the limit of "
        f"{max_window_pixels}: use smaller radii, a coarser resolution or a higher limit"
    )


def sites_table(sites: Iterable[Site], rule: WindowRule = "estinel") -> list[dict[str, object]]:
    """The sites with their windows, as plain values that JSON can hold.

    Returns:
        One object a site: `location, SITE_ID, crs, transform` (a, b, c, d, e, f), `width, height,
        bboxes` (west, south, east, north).
    """
    rows: list[dict[str, object]] = []
    for site in sites:
        window = site_window(site, rule)
        rows.append(
            {
                "location": site.location,
                "SITE_ID": window.site_id,
                "crs": window.grid.crs,
                "transform": list(window.grid.transform),
                "width": window.grid.width,
                "height": window.grid.height,
                "bboxes": [list(bbox) for bbox in window.bboxes],
            }
        )
    return rows


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _natural_origin(crs: str) -> tuple[float, float]:
    """Where x and y turn: the pole, or the central meridian on the equator."""
    if crs in {ANTARCTIC, ARCTIC}:
        return 0.0, 0.0
    south = crs.startswith("EPSG:327")
    return _UTM_FALSE_EASTING_M, _UTM_SOUTH_FALSE_NORTHING_M if south else 0.0


def _outline(
    bounds: Bbox, origin: tuple[float, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points along the sides of a rectangle: x and y, each of shape (n,).

    The corners are among them, and where a side passes the origin's x or y: there longitude or
    latitude has its extreme on that side, between two points of any spacing.
    """
    left, bottom, right, top = bounds
    xs = np.append(np.linspace(left, right, _POINTS_A_SIDE), np.clip(origin[0], left, right))
    ys = np.append(np.linspace(bottom, top, _POINTS_A_SIDE), np.clip(origin[1], bottom, top))
    x = np.concatenate([xs, xs, np.full_like(ys, left), np.full_like(ys, right)])
    y = np.concatenate([np.full_like(xs, bottom), np.full_like(xs, top), ys, ys])
    return x, y


def _floor_deg(angle: float) -> float:
    return math.floor(angle * _BBOX_STEPS_A_DEG + _BBOX_SLACK_STEPS) / _BBOX_STEPS_A_DEG


def _ceil_deg(angle: float) -> float:
    return math.ceil(angle * _BBOX_STEPS_A_DEG - _BBOX_SLACK_STEPS) / _BBOX_STEPS_A_DEG
