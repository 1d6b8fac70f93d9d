"""A job folder as a processing system leaves it: a STAC catalogue and two traditional datasets.

Snow cover of a few days in the Tasmanian highlands, and landslides after two storms. All of it is
made by a program, and the same each time; a second edition is what a corrected job would leave.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from shapely.geometry import box, mapping

from estinel_assets.demo.cogs import cog_bytes, write_whole
from estinel_assets.demo.noise import spectral
from estinel_assets.raster.encode import encode_png
from estinel_assets.raster.grids import Grid

CATALOG = "snow_cover_tasmania"
"""Id of the catalogue, and name of its folder."""
COLLECTION = "snow-cover-tasmania"
DATASETS = ("LANDSLIDES_20240716", "LANDSLIDES_20240901")
ITEMS = 6
"""In each edition; the second one lacks the first edition's first day and has a later one."""

GRID = Grid("EPSG:32755", left=446_000.0, top=5_390_000.0, resolution=100.0, width=96, height=96)
CLEAR, SNOW, CLOUD = 1, 2, 3
"""Classes of the snow cover; 0 means no data."""

_FIRST_DAY = date(2024, 7, 12)
_STEP = timedelta(days=5)
_COLOURS = {CLEAR: (92, 116, 78), SNOW: (240, 246, 255), CLOUD: (160, 164, 170)}
_EXTENSIONS = (
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
)
_COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_SHA256_MULTIHASH = "1220"
"""What a multihash of SHA-256 begins with."""

_ENTRIES = (
    {
        "ipath": "demo::data/landslides",
        "version": "v1.0",
        "level": "L3",
        "type": "landslides",
        "match_pattern": r"/(?P<id>LANDSLIDES_(?P<year>\d{4})(?P<month>\d{2})\d{2})$",
        "publish": {"location": "published/{type}/{version}/{year}/{month}/{id}"},
        "browse": {"location": "browse/{type}/{version}/{year}/{month}/{id}"},
    },
    {
        "ipath": "demo::stac/catalog",
        "version": "stac_catalog",
        "level": "catalog",
        "type": "stac_catalog",
        "match_pattern": "/(?P<id>snow_cover_[^/]+)$",
        "publish": {"location": "published/catalogs/{id}"},
    },
)

Json = dict[str, Any]
Pixels = npt.NDArray[np.uint8]


def write_datasets_config(path: Path) -> None:
    """Write a `datasets.json`, as HySDS has it, that takes what these folders hold."""
    _write_json(path, {"datasets": list(_ENTRIES)})


def make_job_folder(folder: Path, *, edition: int = 1) -> None:
    """Fill a folder, which is made where absent.

    Args:
        folder: of the job.
        edition: 1, or 2 for a corrected one: the snow line lies lower, and the days move on by one.
    """
    days = [_FIRST_DAY + _STEP * (number + edition - 1) for number in range(ITEMS)]
    _write_catalog(folder / CATALOG, days, edition)
    for name in DATASETS:
        _write_dataset(folder / name, edition)


def _write_catalog(folder: Path, days: list[date], edition: int) -> None:
    inner = folder / COLLECTION
    names = [f"snow-{day:%Y%m%d}" for day in days]
    _write_json(
        folder / "catalog.json",
        {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": CATALOG,
            "description": "Snow cover of the Tasmanian highlands, made up by a program",
            "links": [
                _link("root", "./catalog.json"),
                _link("child", f"./{COLLECTION}/collection.json"),
            ],
        },
    )
    _write_json(inner / "collection.json", _collection(names, days))
    for name, day in zip(names, days, strict=True):
        classes = _classes(day, edition)
        files = {
            "cover": _File("cover.tif", _COG_TYPE, "data", cog_bytes(classes, GRID)),
            "preview": _File("preview.png", "image/png", "thumbnail", _picture(classes)),
        }
        for file in files.values():
            write_whole(inner / name / file.name, file.content)
        item = _item(name, day, float((classes == SNOW).mean()))
        item["assets"] = {key: file.asset() for key, file in files.items()}
        _write_json(inner / name / f"{name}.json", item)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of an item."""

    name: str
    media_type: str
    role: str
    content: bytes

    def asset(self) -> Json:
        """What the item says of it."""
        return {
            "href": f"./{self.name}",
            "type": self.media_type,
            "roles": [self.role],
            "file:size": len(self.content),
            "file:checksum": _SHA256_MULTIHASH + sha256(self.content).hexdigest(),
        }


def _collection(names: list[str], days: list[date]) -> Json:
    interval = [f"{days[0]}T00:00:00Z", f"{days[-1]}T23:59:59Z"]
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": COLLECTION,
        "title": "Snow cover, Tasmania",
        "description": "Snow, cloud and clear ground at 100 m, made up by a program",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [list(_bounds())]},
            "temporal": {"interval": [interval]},
        },
        "links": [
            _link("root", "../catalog.json"),
            _link("parent", "../catalog.json"),
            *(_link("item", f"./{name}/{name}.json") for name in names),
        ],
    }


def _item(name: str, day: date, snow: float) -> Json:
    bounds = _bounds()
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": name,
        "collection": COLLECTION,
        "geometry": _geometry(bounds),
        "bbox": list(bounds),
        "properties": {
            "datetime": f"{day}T00:05:00Z",
            "snow_fraction": round(snow, 4),
            "proj:code": GRID.crs,
            "proj:shape": list(GRID.shape),
            "proj:transform": list(GRID.transform),
        },
        "links": [
            _link("root", "../../catalog.json"),
            _link("parent", "../collection.json"),
            _link("collection", "../collection.json"),
        ],
        "assets": {},
    }


def _write_dataset(folder: Path, edition: int) -> None:
    name = folder.name
    day = date.fromisoformat(name.rpartition("_")[2])
    west, south, east, north = _bounds()
    third = (east - west) / 3
    place = west + third * DATASETS.index(name), south, east - third, north
    scars = np.where(_classes(day, edition) == SNOW, np.uint8(2), np.uint8(1))
    picture = _picture(scars)
    write_whole(folder / f"{name}.tif", cog_bytes(scars, GRID))
    write_whole(folder / f"{name}.browse.png", picture)
    write_whole(folder / f"{name}.browse_small.png", _picture(scars[::4, ::4]))
    _write_json(
        folder / f"{name}.dataset.json",
        {
            "version": "v1.0",
            "label": f"Landslides of {day}",
            "starttime": f"{day}T00:00:00Z",
            "endtime": f"{day + timedelta(days=1)}T00:00:00Z",
            "location": _geometry(place),
        },
    )
    _write_json(
        folder / f"{name}.met.json",
        {"sensor": "made up", "edition": edition, "slides": int((scars == SNOW).sum())},
    )
    _write_json(folder / f"{name}.context.json", {"job_id": "demo-job", "container": "slides:1.0"})


def _classes(day: date, edition: int) -> Pixels:
    """What the ground shows on a day: hills that stay, and clouds that go."""
    hills = spectral(GRID.shape, np.random.default_rng(7), exponent=1.8)
    clouds = spectral(GRID.shape, np.random.default_rng(day.toordinal()), exponent=2.0)
    line = 0.5 - 0.2 * (edition - 1)
    classes = np.where(hills > line, np.uint8(SNOW), np.uint8(CLEAR))
    return np.asarray(np.where(clouds > 1.0, np.uint8(CLOUD), classes), dtype=np.uint8)


def _picture(classes: Pixels) -> bytes:
    """A PNG in the colours of the classes."""
    colours = np.zeros((4, 3), dtype=np.uint8)
    for number, colour in _COLOURS.items():
        colours[number] = colour
    rgb = np.moveaxis(colours[classes], -1, 0)
    return encode_png(np.ascontiguousarray(rgb), np.asarray(classes > 0))


def _bounds() -> tuple[float, float, float, float]:
    """West, south, east, north of the grid, in degrees."""
    to_degrees = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*GRID.bounds)
    return round(west, 5), round(south, 5), round(east, 5), round(north, 5)


def _geometry(bounds: tuple[float, float, float, float]) -> Json:
    # Through JSON, so that positions are lists.
    geometry: Json = json.loads(json.dumps(mapping(box(*bounds))))
    return geometry


def _link(rel: str, href: str) -> Json:
    kind = "application/geo+json" if rel == "item" else "application/json"
    return {"rel": rel, "href": href, "type": kind}


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
