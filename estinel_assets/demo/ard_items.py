"""STAC items of the made tiles, in the forms of their catalogues.

Sentinel-2 as Earth Search lists `sentinel-2-c1-l2a`; Sentinel-1 RTC and Copernicus GLO-30 as the
Planetary Computer lists `sentinel-1-rtc` and `cop-dem-glo-30`. Fields were taken from published
items. Addresses of files are relative to the root that serves them: `scenes/{item id}/B04.tif`.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from shapely.geometry import Polygon, box, mapping

from estinel_assets.demo.ard_elevation import MadeCell
from estinel_assets.demo.ard_land import BANDS, BANDS_10
from estinel_assets.demo.ard_places import in_degrees
from estinel_assets.demo.ard_radar import NODATA, Frame
from estinel_assets.demo.ard_scenes import MadeScene
from estinel_assets.demo.items import (
    CLASS_PROPERTIES,
    COG_TYPE,
    COLLECTION,
    EXTENSIONS,
    SCL_FILE,
)
from estinel_assets.demo.items import collection as s2_collection
from estinel_assets.demo.mgrs import SQUARE_M, tile_at
from estinel_assets.raster.grids import Grid

S1_COLLECTION: Final = "sentinel-1-rtc"
DEM_COLLECTION: Final = "cop-dem-glo-30"
DEM_FILE: Final = "data.tif"

StacObject = dict[str, Any]

S2_FILES: Final = dict(
    zip(
        (*BANDS, "scl"),
        (*(f"B{name}.tif" for name in ("02", "03", "04", "08", "05", "06", "07", "8A", "11", "12")),
         SCL_FILE),
        strict=True,
    )
)  # fmt: skip
"""The file of each asset."""
_TITLES: Final = {
    "blue": ("blue", "Blue - 10m", 0.49, 0.098),
    "green": ("green", "Green - 10m", 0.56, 0.045),
    "red": ("red", "Red - 10m", 0.665, 0.038),
    "nir": ("nir", "NIR 1 - 10m", 0.842, 0.145),
    "rededge1": ("rededge", "Red Edge 1 - 20m", 0.704, 0.019),
    "rededge2": ("rededge", "Red Edge 2 - 20m", 0.74, 0.018),
    "rededge3": ("rededge", "Red Edge 3 - 20m", 0.783, 0.028),
    "nir08": ("nir08", "NIR 2 - 20m", 0.865, 0.033),
    "swir16": ("swir16", "SWIR 1.6μm - 20m", 1.61, 0.143),
    "swir22": ("swir22", "SWIR 2.2μm - 20m", 2.19, 0.242),
}
_DEM_MOMENT: Final = "2021-04-22T00:00:00Z"
_S1_EXTENSIONS: Final = tuple(
    f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json"
    for name in ("sar", "sat", "projection", "raster")
)
_ABSOLUTE_ORBIT: Final = 53_498
"""Of the descending pass of 19 April 2024; a day has 175 / 12 orbits."""
_KNOWN_PASS: Final = datetime.fromisoformat("2024-04-19T04:59:10+00:00")


def s2_item(scene: MadeScene) -> StacObject:
    """Describe a Sentinel-2 scene."""
    names = _s2_names(scene)
    sight, grid = scene.sight, scene.grid
    outline = in_degrees(box(*grid.bounds), grid.crs)
    sun = sight.sun
    published = _iso(sight.moment + timedelta(hours=8, minutes=20))
    middle = outline.centroid
    properties: StacObject = {
        "datetime": _iso(sight.moment),
        "created": published,
        "updated": published,
        "platform": f"sentinel-2{sight.platform}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "proj:code": grid.crs,
        "proj:epsg": _code(grid),
        "proj:centroid": {"lat": round(middle.y, 5), "lon": round(middle.x, 5)},
        "view:sun_azimuth": round(sun.azimuth_deg, 6),
        "view:sun_elevation": round(sun.elevation_deg, 6),
        "s2:product_type": "S2MSI2A",
        "s2:datatake_type": "INS-NOBS",
        **names["properties"],
        **_shares(scene),
    }
    assets = {band: _s2_band(scene, names["id"], band) for band in BANDS}
    assets["scl"] = {
        **_file(names["id"], SCL_FILE, scene.files["scl"]),
        "title": "Scene classification map (SCL)",
        "gsd": 20,
        **_projection(_s2_grid(grid, 20)),
        "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
        "roles": ["data"],
    }
    return _item(COLLECTION, names["id"], outline, properties, assets, EXTENSIONS)


def s1_item(frame: Frame, files: dict[str, bytes]) -> StacObject:
    """Describe a Sentinel-1 frame."""
    start, end = (frame.moment + timedelta(seconds=s) for s in (-12.5, 12.5))
    absolute = _ABSOLUTE_ORBIT + round((frame.moment - _KNOWN_PASS) / timedelta(days=12) * 175)
    datatake = absolute * 8 + frame.group.s1_orbit
    item_id = f"S1A_IW_GRDH_1SDV_{_stamp(start)}_{_stamp(end)}_{absolute:06d}_{datatake:06X}_rtc"
    grid = frame.grid
    left, bottom, right, top = grid.bounds
    properties: StacObject = {
        "datetime": frame.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "start_datetime": start.isoformat(sep=" "),
        "end_datetime": end.isoformat(sep=" "),
        "platform": "SENTINEL-1A",
        "constellation": "Sentinel-1",
        "s1:shape": [grid.width, grid.height],
        "s1:resolution": "high",
        "s1:slice_number": str(frame.number + 9),
        "s1:processing_level": "1",
        "proj:bbox": [left, bottom, right, top],
        "proj:epsg": _code(grid),
        **_projection(grid),
        "sar:product_type": "GRD",
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:center_frequency": 5.405,
        "sar:polarizations": ["VV", "VH"],
        "sar:pixel_spacing_range": 10,
        "sar:pixel_spacing_azimuth": 10,
        "sar:resolution_range": 20,
        "sar:resolution_azimuth": 22,
        "sat:orbit_state": frame.orbit_state,
        "sat:absolute_orbit": absolute,
        "sat:relative_orbit": frame.relative_orbit,
        "sat:platform_international_designator": "2014-016A",
    }
    assets = {
        key: {
            **_file(item_id, f"iw-{key}.rtc.tiff", files[key]),
            "title": f"{key.upper()}: terrain-corrected gamma naught",
            "raster:bands": [
                {"nodata": int(NODATA), "data_type": "float32", "spatial_resolution": 10.0}
            ],
            "roles": ["data"],
        }
        for key in ("vh", "vv")
    }
    return _item(S1_COLLECTION, item_id, frame.footprint, properties, assets, _S1_EXTENSIONS)


def dem_item(made: MadeCell) -> StacObject:
    """Describe a cell of elevations."""
    name, grid = made.cell.name, made.grid
    properties = {
        "datetime": _DEM_MOMENT,
        "gsd": 30,
        "platform": "TanDEM-X",
        "proj:epsg": 4326,
        **_projection(grid),
    }
    asset = {
        **_file(name, DEM_FILE, made.file),
        "title": name.removeprefix("Copernicus_DSM_COG_10_").removesuffix("_DEM"),
        "roles": ["data"],
    }
    return _item(
        DEM_COLLECTION, name, box(*grid.bounds), properties, {"data": asset}, _S1_EXTENSIONS[2:3]
    )


def collections() -> tuple[StacObject, ...]:
    """The three collections."""
    return (
        s2_collection(),
        _collection(
            S1_COLLECTION,
            "Sentinel 1 Radiometrically Terrain Corrected (made for the demo)",
            "Invented frames in the form of Sentinel-1 RTC: gamma nought as GeoTIFFs. No "
            "satellite took them.",
            "2014-10-10T00:28:21Z",
        ),
        _collection(
            DEM_COLLECTION,
            "Copernicus DEM GLO-30 (made for the demo)",
            "Invented elevations in the form of Copernicus DEM GLO-30. Nobody measured them.",
            _DEM_MOMENT,
        ),
    )


def _collection(key: str, title: str, description: str, first: str) -> StacObject:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": key,
        "title": title,
        "description": description,
        "license": "CC0-1.0",
        "keywords": ["demo"],
        "providers": s2_collection()["providers"],
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [[first, None]]},
        },
        "links": [],
    }


def _item(
    collection: str,
    item_id: str,
    outline: Polygon,
    properties: StacObject,
    assets: StacObject,
    extensions: tuple[str, ...],
) -> StacObject:
    rounded = [[round(x, 6), round(y, 6)] for x, y in outline.exterior.coords]
    xs, ys = [x for x, _ in rounded], [y for _, y in rounded]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(extensions),
        "id": item_id,
        "collection": collection,
        "geometry": {"type": mapping(outline)["type"], "coordinates": [rounded]},
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": properties,
        "links": [
            {"rel": "collection", "type": "application/json", "href": f"collections/{collection}"}
        ],
        "assets": assets,
    }


def _file(item_id: str, name: str, content: bytes) -> StacObject:
    # 0x12 0x20: a multihash of SHA-256 and its 32 bytes.
    return {
        "href": f"scenes/{item_id}/{name}",
        "type": COG_TYPE,
        "file:size": len(content),
        "file:checksum": f"1220{hashlib.sha256(content).hexdigest()}",
    }


def _projection(grid: Grid) -> StacObject:
    return {"proj:shape": [grid.height, grid.width], "proj:transform": list(grid.transform)}


def _s2_grid(grid: Grid, resolution: int) -> Grid:
    step = round(resolution / grid.resolution)
    return Grid(grid.crs, grid.left, grid.top, float(resolution),
                grid.width // step, grid.height // step)  # fmt: skip


def _s2_band(scene: MadeScene, item_id: str, band: str) -> StacObject:
    common, title, wavelength, width = _TITLES[band]
    resolution = 10 if band in BANDS_10 else 20
    return {
        **_file(item_id, S2_FILES[band], scene.files[band]),
        "title": title,
        "eo:bands": [
            {
                "name": S2_FILES[band].removesuffix(".tif"),
                "common_name": common,
                "center_wavelength": wavelength,
                "full_width_half_max": width,
            }
        ],
        "gsd": resolution,
        **_projection(_s2_grid(scene.grid, resolution)),
        "raster:bands": [
            {
                "nodata": 0,
                "data_type": "uint16",
                "spatial_resolution": resolution,
                "scale": 0.0001,
                "offset": -0.1,
            }
        ],
        "roles": ["data", "reflectance"],
    }


def _s2_names(scene: MadeScene) -> StacObject:
    sight = scene.sight
    crs, column, row = scene.square
    tile = tile_at(crs, column * SQUARE_M, row * SQUARE_M, sight.group.lat)
    letter, taken = sight.platform.upper(), sight.moment - timedelta(minutes=3)
    made = _stamp(sight.moment + timedelta(hours=5))
    orbit = f"_R{sight.group.s2_orbit:03d}_T{tile.name}_{made}"
    return {
        "id": f"S2{letter}_T{tile.name}_{_stamp(sight.moment)}_L2A",
        "properties": {
            "mgrs:utm_zone": tile.zone,
            "mgrs:latitude_band": tile.band,
            "mgrs:grid_square": tile.square,
            "grid:code": f"MGRS-{tile.name}",
            "s2:processing_baseline": "05.10",
            "s2:product_uri": f"S2{letter}_MSIL2A_{_stamp(taken)}_N0510{orbit}.SAFE",
            "s2:generation_time": _iso(sight.moment + timedelta(hours=5)),
            "s2:datatake_id": f"GS2{letter}_{_stamp(taken)}_000001_N05.10",
            "s2:datastrip_id": f"S2{letter}_OPER_MSI_L2A_DS_2{letter}PS_{made}_"
            f"S{_stamp(sight.moment)}_N05.10",
            "s2:tile_id": f"S2{letter}_OPER_MSI_L2A_TL_2{letter}PS_{made}_A000001_T{tile.name}"
            "_N05.10",
        },
    }


def _shares(scene: MadeScene) -> StacObject:
    """Percentages of the scene, from its classification at 160 m."""
    counts = np.bincount(scene.classes.ravel(), minlength=12)
    valid = max(1, int(counts[1:].sum()))

    def share(*members: int) -> float:
        return round(100 * sum(int(counts[member]) for member in members) / valid, 6)

    shares: StacObject = {
        "eo:cloud_cover": share(8, 9, 10),
        "s2:nodata_pixel_percentage": round(100 * int(counts[0]) / scene.classes.size, 6),
    }
    return shares | {name: share(member) for name, member in CLASS_PROPERTIES.items()}


def _code(grid: Grid) -> int:
    return int(grid.crs.split(":")[1])


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
