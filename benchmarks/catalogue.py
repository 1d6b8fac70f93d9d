"""Sites and scenes for benchmarks: the form of Earth Search's items, around made tiny rasters.

All scenes of a site share a few files; what differs is what a catalogue says of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from estinel_assets.demo.cogs import cog_bytes
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import site_window
from estinel_assets.raster.grids import Grid

COLLECTION = "sentinel-2-c1-l2a"
LOOKS = 4
"""Sets of files a site."""

_BANDS = {"red": "B04", "green": "B03", "blue": "B02"}
_MORE_BANDS = (
    "coastal", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "swir16", "swir22",
    "aot", "wvp", "cloud", "snow", "visual",
)  # fmt: skip
_DOCUMENTS = ("granule_metadata", "product_metadata", "tileinfo_metadata", "preview", "thumbnail")
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_MARGIN_PX = 16

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A site with the rasters that all its scenes point to."""

    site: Site
    grid: Grid
    """Of the rasters: the site's window and a margin."""
    root: str
    """What the addresses of the files begin with."""


def sites(count: int, *, radius_m: float = 120.0) -> list[Site]:
    """Sites two degrees from one another, so that no search finds another's scenes."""
    return [
        Site(
            location=f"Place {number:04d}",
            lon=round(-150.0 + 2.0 * (number % 150), 4),
            lat=round(-50.0 + 2.0 * (number // 150), 4),
            resolution=10.0,
            radiusx=radius_m,
            radiusy=radius_m,
        )
        for number in range(count)
    ]


def place_of(site: Site, root: str) -> Place:
    """Where a site's rasters lie."""
    window = site_window(site).grid
    margin = _MARGIN_PX * window.resolution
    left, bottom, right, top = window.bounds
    bounds = (left - margin, bottom - margin, right + margin, top + margin)
    return Place(site, Grid.covering(window.crs, bounds, 20.0), root)


def write_rasters(place: Place, folder: Path) -> None:
    """Make a site's files: `LOOKS` pictures of noise, each with a classification."""
    target = folder / place.site.site_id
    target.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(int(place.site.site_id[-8:], 16))
    shape = place.grid.shape
    for look in range(LOOKS):
        for band in _BANDS.values():
            pixels = noise.integers(1100, 5000, shape).astype(np.uint16)
            (target / f"{look}_{band}.tif").write_bytes(cog_bytes(pixels, place.grid))
        classes = noise.choice(np.array([4, 5, 6, 8], np.uint8), shape)
        (target / f"{look}_SCL.tif").write_bytes(cog_bytes(classes, place.grid))


def scene(place: Place, day: date, *, number: int = 0, whole: bool = False) -> Item:
    """A scene that was sensed on a solar day of a site, as its item.

    Args:
        place: the site.
        day: the solar day.
        number: tells the scenes of one day from one another.
        whole: with all assets that Earth Search lists, about 20 kB in all, in place of the four
            that imagery reads.
    """
    sensed = datetime.combine(day, time(10, 30), UTC) - timedelta(hours=place.site.lon / 15.0)
    sensed += timedelta(seconds=14 * number)
    stamp = sensed.strftime("%Y%m%dT%H%M%S")
    tile = f"{int(place.grid.crs[-2:]):02d}{'GHJ'[number % 3]}AB"
    name = f"S2B_T{tile}_{stamp}_{place.site.site_id[-8:]}_L2A"
    published = (sensed + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    west, south, east, north = _around(place.site)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": sensed.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "created": published,
            "updated": published,
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "eo:cloud_cover": float((day.toordinal() * 37 + number) % 101),
            "proj:code": place.grid.crs,
            "grid:code": f"MGRS-{tile}",
            "s2:processing_baseline": "05.11",
            "s2:datatake_id": f"GS2B_{stamp}_041234_N05.11",
            "s2:datastrip_id": f"S2B_OPER_MSI_L2A_DS_2BPS_{stamp}_S{stamp}_N05.11",
            "s2:product_uri": f"S2B_MSIL2A_{stamp}_N0511_R001_T{tile}_{stamp}.SAFE",
        },
        "links": [],
        "assets": _assets(place, (day.toordinal() + number) % LOOKS, name, whole=whole),
    }


def _around(site: Site) -> Sequence[float]:
    return site.lon - 0.4, site.lat - 0.4, site.lon + 0.4, site.lat + 0.4


def _assets(place: Place, look: int, name: str, *, whole: bool) -> Item:
    grid = place.grid
    where = {
        "type": _COG,
        "proj:shape": [grid.height, grid.width],
        "proj:transform": list(grid.transform),
    }
    address = f"{place.root}/{place.site.site_id}/{look}"
    scaled = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}
    assets: Item = {
        key: {
            **where,
            "href": f"{address}_{band}.tif",
            "title": f"{key.capitalize()} - 10m",
            "raster:bands": [scaled],
            "roles": ["data", "reflectance"],
        }
        for key, band in _BANDS.items()
    }
    assets["scl"] = {**where, "href": f"{address}_SCL.tif", "roles": ["data"]}
    if whole:
        for key in (*_MORE_BANDS, *_DOCUMENTS):
            assets[key] = _unread(key, name, where)
    return assets


def _unread(key: str, name: str, where: Item) -> Item:
    """An asset that imagery never reads, as long as such an entry is."""
    digest = name.encode().hex().ljust(64, "0")[:64]
    band = {"name": key, "common_name": key, "center_wavelength": 0.783,
            "full_width_half_max": 0.028}  # fmt: skip
    return {
        **where,
        "href": f"https://scenes.example/{COLLECTION}/{name[5:7]}/{name}/{key}.tif",
        "title": f"{key} - 20m",
        "eo:bands": [band],
        "gsd": 20,
        "raster:bands": [{"nodata": 0, "data_type": "uint16", "spatial_resolution": 20,
                          "scale": 0.0001, "offset": -0.1}],
        "file:checksum": f"1220{digest}",
        "file:size": 31_000_000 + len(key) * 1000,
        "roles": ["data", "reflectance"],
    }  # fmt: skip
