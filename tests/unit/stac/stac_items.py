"""Items for tests: the real ones, and small made ones."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from stac_geoparquet.arrow import stac_table_to_items

from tests.support.real import real_data

Json = dict[str, Any]

C1 = "rustac_c1_item_collection.json"
V1_MARCH_2020 = "xcube_search_bbox_paged_202003.exchanges.json"
ALL_COLLECTIONS = "pystacclient_all_collections_20240517.exchanges.json"
TWO_COLLECTIONS = "pystacclient_two_collections.exchanges.json"
V0 = "pystacclient_tasmania_55GDP_20241003.exchanges.json"
PC_1000 = "rustac_1000_items.parquet"
PC_2020 = "odcstac_site2-2020_jun_jul-35MNM.geojson"


@cache
def _read(path: Path) -> str:
    if path.suffix == ".parquet":
        return json.dumps(list(stac_table_to_items(pq.read_table(path))))
    document = json.loads(path.read_text())
    if isinstance(document, list):
        bodies = [exchange["response"]["body"] for exchange in document]
        pages = [body for body in bodies if body.get("type") == "FeatureCollection"]
        return json.dumps([item for page in pages for item in page["features"]])
    if document["type"] == "FeatureCollection":
        return json.dumps(document["features"])
    return json.dumps([document])


def real_items(name: str) -> list[Json]:
    """The items of a file of real STAC, fresh copies; skips where it is absent."""
    items: list[Json] = json.loads(_read(real_data(f"stac/{name}")))
    return items


def all_real_items() -> list[tuple[str, Json]]:
    """Every item of every file, with the file's name."""
    folder = real_data("stac")
    names = sorted(path.name for path in folder.iterdir())
    return [(name, item) for name in names for item in real_items(name)]


def made_item(
    item_id: str = "S2B_T55GDP_20240517T001109_L2A",
    when: str = "2024-05-17T00:11:09.024Z",
    *,
    west: float = 147.0,
    south: float = -43.0,
    size: float = 1.0,
    collection: str = "sentinel-2-c1-l2a",
    **properties: Any,
) -> Json:
    """A small item in Earth Search's style, one degree square unless told."""
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    reflectance = {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}
    grid = {"proj:shape": [10980, 10980], "proj:transform": [10, 0, 399960, 0, -10, 5300020]}
    assets = {
        band: {"href": f"https://host/{item_id}/{band}.tif", **grid, **reflectance}
        for band in ("red", "green", "blue")
    }
    assets["scl"] = {"href": f"https://host/{item_id}/scl.tif", **grid}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": when,
            "updated": "2024-05-18T00:00:00Z",
            "platform": "sentinel-2b",
            "proj:epsg": 32755,
            "grid:code": "MGRS-55GDP",
            "eo:cloud_cover": 12.5,
            "s2:processing_baseline": "05.10",
            "s2:datatake_id": "GS2B_20240517T001109_037585_N05.10",
            "s2:datastrip_id": "S2B_OPER_MSI_L2A_DS_2BPS_20240517T030049_S20240517T001110_N05.10",
            **properties,
        },
        "links": [{"rel": "self", "href": f"https://host/items/{item_id}"}],
        "assets": assets,
    }
