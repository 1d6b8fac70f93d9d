"""STAC items and their collection, in the form of Earth Search's `sentinel-2-c1-l2a`.

Fields were taken from published items. Addresses of files are relative to the root that serves
them: `scenes/{item id}/B04.tif`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from estinel_assets.demo.mgrs import MgrsTile, tile_at
from estinel_assets.demo.scenes import Scene, footprint_utm, sun_over

COLLECTION = "sentinel-2-c1-l2a"
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
EXTENSIONS = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "https://stac-extensions.github.io/mgrs/v1.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/sentinel-2/v1.0.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
)


@dataclass(frozen=True, slots=True)
class _Band:
    key: str
    file: str
    title: str
    wavelength_um: float
    width_um: float


BANDS = (
    _Band("red", "B04.tif", "Red - 10m", 0.665, 0.038),
    _Band("green", "B03.tif", "Green - 10m", 0.56, 0.045),
    _Band("blue", "B02.tif", "Blue - 10m", 0.49, 0.098),
)
SCL_FILE = "SCL.tif"

# The share of a scene in a class, and the property that tells it.
CLASS_PROPERTIES = {
    "s2:dark_features_percentage": 2,
    "s2:cloud_shadow_percentage": 3,
    "s2:vegetation_percentage": 4,
    "s2:not_vegetated_percentage": 5,
    "s2:water_percentage": 6,
    "s2:unclassified_percentage": 7,
    "s2:medium_proba_clouds_percentage": 8,
    "s2:high_proba_clouds_percentage": 9,
    "s2:thin_cirrus_percentage": 10,
    "s2:snow_ice_percentage": 11,
}

# Absolute orbit at a known moment, from published datatake ids; a day has 14.3 orbits.
_ORBITS_PER_DAY = 14.3
_KNOWN_ORBITS = {
    "a": (datetime(2024, 4, 22, 17, 39, 11, tzinfo=UTC), 46141),
    "b": (datetime(2024, 4, 20, 17, 49, 9, tzinfo=UTC), 37204),
    "c": (datetime(2025, 1, 15, 0, 0, 0, tzinfo=UTC), 1893),
}
_BASELINE_0511 = datetime(2024, 7, 23, tzinfo=UTC)
"""From here on scenes are processed with baseline 05.11, before with 05.10."""


@dataclass(frozen=True, slots=True)
class Naming:
    """The names that a scene's products carry."""

    item_id: str
    tile: MgrsTile
    baseline: str
    datatake_id: str
    datastrip_id: str
    tile_id: str
    product_uri: str
    generated: datetime
    """When the processor finished."""
    created: datetime
    """When the item was first published."""
    updated: datetime
    """When the item was last changed."""


def naming_of(scene: Scene) -> Naming:
    """Derive all names from the scene; nothing is random."""
    flight, version = scene.flight, scene.version
    # The northern half is sensed first: the satellite comes down from the north.
    start = flight.moment - timedelta(seconds=4 if scene.half != "south" else -3)
    datatake = flight.moment - timedelta(minutes=3, seconds=2)
    first = "05.11" if flight.moment >= _BASELINE_0511 else "05.10"
    baseline = first if version == 0 else "05.11" if first == "05.10" else "05.12"
    generated = flight.moment + timedelta(hours=5, minutes=40 if scene.half == "south" else 12)
    if version:
        generated += timedelta(days=190)
    created = generated + timedelta(hours=3, minutes=7)
    if scene.act == 2 and not scene.repaired and not version and flight.act == 1:
        created += timedelta(days=6)
    updated = created + timedelta(days=9) if scene.repaired else created
    letter = flight.platform.upper()
    known, number = _KNOWN_ORBITS[flight.platform]
    orbit = number + round((datatake - known) / timedelta(days=1) * _ORBITS_PER_DAY)
    left, bottom, right, top = scene.grid.bounds
    tile = tile_at(scene.grid.crs, (left + right) / 2, (bottom + top) / 2,
                   scene.place.latitude_deg)  # fmt: skip
    stamp, made = _stamp(start), _stamp(generated)
    again = f"_{version}" if version else ""
    return Naming(
        item_id=f"S2{letter}_T{tile.name}_{stamp}{again}_L2A",
        tile=tile,
        baseline=baseline,
        datatake_id=f"GS2{letter}_{_stamp(datatake)}_{orbit:06d}_N{baseline}",
        datastrip_id=f"S2{letter}_OPER_MSI_L2A_DS_2{letter}PS_{made}_S{stamp}_N{baseline}",
        tile_id=f"S2{letter}_OPER_MSI_L2A_TL_2{letter}PS_{made}_A{orbit:06d}_T{tile.name}"
        f"_N{baseline}",
        product_uri=f"S2{letter}_MSIL2A_{_stamp(datatake)}_N{baseline.replace('.', '')}"
        f"_R{scene.place.relative_orbit:03d}_T{tile.name}_{made}.SAFE",
        generated=generated,
        created=created,
        updated=updated,
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def item_of(
    scene: Scene, classes: npt.NDArray[np.uint8], files: Mapping[str, bytes]
) -> dict[str, object]:
    """Describe a scene.

    Args:
        scene: the scene.
        classes: its scene classes, for the shares that the properties tell.
        files: the whole files by name; size and checksum are theirs, even where the stored file
            is cut short.
    """
    names = naming_of(scene)
    geometry, bbox, centroid = _geography(scene)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(EXTENSIONS),
        "id": names.item_id,
        "collection": COLLECTION,
        "geometry": geometry,
        "bbox": bbox,
        "properties": _properties(scene, names, centroid) | _class_shares(classes),
        # Relative to the API, as the assets are; an API replaces it by its own.
        "links": [
            {
                "rel": "collection",
                "type": "application/json",
                "href": f"collections/{COLLECTION}",
            }
        ],
        "assets": _assets(scene, names.item_id, files),
    }


def _properties(scene: Scene, names: Naming, centroid: tuple[float, float]) -> dict[str, object]:
    sensed = scene.flight.moment + timedelta(seconds={"north": -5, "south": 9}.get(scene.tile, 0))
    if scene.half == "south":
        sensed += timedelta(seconds=7)
    sun = sun_over(scene)
    epsg = int(scene.grid.crs.split(":")[1])
    return {
        "datetime": _iso(sensed),
        "created": _iso(names.created),
        "updated": _iso(names.updated),
        "platform": f"sentinel-2{scene.flight.platform}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "proj:code": scene.grid.crs,
        "proj:epsg": epsg,
        "proj:centroid": {"lat": centroid[1], "lon": centroid[0]},
        "mgrs:utm_zone": names.tile.zone,
        "mgrs:latitude_band": names.tile.band,
        "mgrs:grid_square": names.tile.square,
        "grid:code": f"MGRS-{names.tile.name}",
        "view:sun_azimuth": round(sun.azimuth_deg, 6),
        "view:sun_elevation": round(sun.elevation_deg, 6),
        "s2:tile_id": names.tile_id,
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": names.baseline,
        "s2:product_uri": names.product_uri,
        "s2:generation_time": names.generated.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "s2:datatake_id": names.datatake_id,
        "s2:datatake_type": "INS-NOBS",
        "s2:datastrip_id": names.datastrip_id,
    }


def _class_shares(classes: npt.NDArray[np.uint8]) -> dict[str, object]:
    """Percentages of the valid pixels, and of nodata among all; as published items count."""
    counts = np.bincount(classes.ravel(), minlength=12)
    valid = int(counts[1:].sum())

    def share(*members: int) -> float:
        return round(100 * sum(int(counts[m]) for m in members) / valid, 6) if valid else 0.0

    shares: dict[str, object] = {
        "eo:cloud_cover": share(8, 9, 10),
        "s2:nodata_pixel_percentage": round(100 * int(counts[0]) / classes.size, 6),
    }
    return shares | {name: share(member) for name, member in CLASS_PROPERTIES.items()}


def _assets(scene: Scene, item_id: str, files: Mapping[str, bytes]) -> dict[str, object]:
    grid = scene.grid
    assets: dict[str, object] = {}
    for band in BANDS:
        assets[band.key] = {
            "href": f"scenes/{item_id}/{band.file}",
            "type": COG_TYPE,
            "title": band.title,
            "eo:bands": [
                {
                    "name": band.file.removesuffix(".tif"),
                    "common_name": band.key,
                    "center_wavelength": band.wavelength_um,
                    "full_width_half_max": band.width_um,
                }
            ],
            "gsd": 10,
            "proj:shape": [grid.height, grid.width],
            "proj:transform": list(grid.transform),
            "raster:bands": [
                {
                    "nodata": 0,
                    "data_type": "uint16",
                    "spatial_resolution": 10,
                    "scale": 0.0001,
                    "offset": -0.1,
                }
            ],
            **_file_facts(files[band.file]),
            "roles": ["data", "reflectance"],
        }
    assets["scl"] = {
        "href": f"scenes/{item_id}/{SCL_FILE}",
        "type": COG_TYPE,
        "title": "Scene classification map (SCL)",
        "gsd": 20,
        "proj:shape": [grid.height // 2, grid.width // 2],
        "proj:transform": [20.0, 0.0, grid.left, 0.0, -20.0, grid.top],
        "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
        **_file_facts(files[SCL_FILE]),
        "roles": ["data"],
    }
    return assets


def _file_facts(content: bytes) -> dict[str, object]:
    # 0x12 0x20: a multihash of SHA-256 and its 32 bytes.
    digest = hashlib.sha256(content).hexdigest()
    return {"file:checksum": f"1220{digest}", "file:size": len(content)}


def _geography(scene: Scene) -> tuple[dict[str, object], list[float], tuple[float, float]]:
    """Geometry, bbox and centroid in degrees; split where it crosses the antimeridian."""
    to_degrees = Transformer.from_crs(scene.grid.crs, "EPSG:4326", always_xy=True)
    outline = footprint_utm(scene)
    longitudes, latitudes = to_degrees.transform(*np.asarray(outline.exterior.coords).T)
    if max(longitudes) - min(longitudes) > 180:
        longitudes = np.where(np.asarray(longitudes) < 0, np.asarray(longitudes) + 360, longitudes)
    whole = Polygon(
        (round(float(x), 6), round(float(y), 6)) for x, y in zip(longitudes, latitudes, strict=True)
    )
    west, south, east, north = whole.bounds
    middle = whole.centroid
    centroid = (round((middle.x + 180) % 360 - 180, 5), round(middle.y, 5))
    if east <= 180:
        return _geojson(whole), [west, south, east, north], centroid
    parts = [
        whole.intersection(box(-180, -90, 180, 90)),
        affinity.translate(whole.intersection(box(180, -90, 540, 90)), xoff=-360),
    ]
    split = MultiPolygon([part for part in parts if isinstance(part, Polygon)])
    return _geojson(split), [west, south, round(east - 360, 6), north], centroid


def _geojson(shape: Polygon | MultiPolygon) -> dict[str, object]:
    # Through JSON, because shapely answers with tuples where JSON has lists.
    document: dict[str, object] = json.loads(json.dumps(mapping(shape)))
    return document


def collection() -> dict[str, object]:
    """The collection of all scenes."""
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": COLLECTION,
        "title": "Sentinel-2 Collection 1 Level-2A (made for the demo)",
        "description": (
            "Invented scenes in the form of Sentinel-2 Collection 1 Level-2A: bottom-of-"
            "atmosphere reflectance and scene classification as Cloud-Optimized GeoTIFFs. "
            "No satellite took them."
        ),
        "license": "CC0-1.0",
        "keywords": ["sentinel-2", "demo"],
        "providers": [
            {"name": "Estinel Assets", "roles": ["producer", "host"],
             "description": "Made these scenes; they are no satellite imagery."}
        ],
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]},
        },
        "summaries": {
            "platform": ["sentinel-2a", "sentinel-2b", "sentinel-2c"],
            "constellation": ["sentinel-2"],
            "instruments": ["msi"],
            "gsd": [10, 20],
        },
        "links": [],
    }  # fmt: skip
