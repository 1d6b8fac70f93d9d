"""Job folders with STAC catalogues, made for tests."""

import json
import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from estinel_assets.publishing.catalog_product import CatalogProduct
from estinel_assets.publishing.catalogs import read_catalog
from estinel_assets.publishing.datasets_config import DatasetsConfig, load_datasets_config
from estinel_assets.publishing.files import JobFiles
from estinel_assets.publishing.model import (
    CollectionEntry,
    DocumentEntry,
    ItemEntry,
    Place,
    StoreAt,
)
from estinel_assets.publishing.scanned import Fault, Placement, Product, ScannedFile
from estinel_assets.publishing.spool import Spool
from tests.support.real import real_data

Document = dict[str, Any]
URL = "https://archive.example.org/catalogs/made"
"""Where `placement()` puts a catalogue."""
FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"

_CONFIG: Document = {
    "datasets": [
        {
            "ipath": "hysds::stac/catalog",
            "version": "v1.0",
            "level": "catalog",
            "type": "stac_catalog",
            "match_pattern": "/(?P<id>[^/]+)$",
            "publish": {
                "location": "s3://bucket/catalogs/${id}",
                "urls": ["https://archive.example.org/catalogs/${id}"],
            },
        }
    ]
}


def config(folder: Path) -> DatasetsConfig:
    """A configuration that takes every catalogue; kept beside the folder."""
    path = folder.parent / "datasets.json"
    path.write_text(json.dumps(_CONFIG))
    return load_datasets_config(path, {})


def item(item_id: str = "one", **changes: Any) -> Document:
    """A valid item with one asset, `{item_id}.tif`."""
    made: Document = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[10, 20], [11, 20], [11, 21], [10, 21], [10, 20]]],
        },
        "bbox": [10, 20, 11, 21],
        "properties": {"datetime": "2023-01-01T00:00:00Z"},
        "links": [],
        "assets": {"data": {"href": f"./{item_id}.tif", "type": "image/tiff"}},
    }
    return {**made, **changes}


def collection(collection_id: str = "things", **changes: Any) -> Document:
    """A valid collection without links."""
    made: Document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection_id,
        "description": "Things",
        "license": "CC-BY-4.0",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]},
        },
        "links": [],
    }
    return {**made, **changes}


def catalog(*links: tuple[str, str], **changes: Any) -> Document:
    """A valid catalogue.

    Args:
        links: relation and address of each.
        changes: other fields.
    """
    made: Document = {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "made",
        "description": "Made for a test",
        "links": [{"rel": rel, "href": href} for rel, href in links],
    }
    return {**made, **changes}


def write(path: Path, document: Document) -> Path:
    """Write a document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def touch(path: Path, content: bytes = b"pixels") -> Path:
    """Write an asset."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def nested(folder: Path) -> Path:
    """A catalogue with a collection with two items, an item without collection, a stray file."""
    write(
        folder / "catalog.json",
        catalog(("child", "./things/collection.json"), ("item", "./lone.json")),
    )
    links = [{"rel": "item", "href": f"./{name}.json"} for name in ("one", "two")]
    links += [
        {"rel": "root", "href": "../catalog.json"},
        {"rel": "license", "href": "./LICENCE.txt"},
        {"rel": "about", "href": "https://example.org/things"},
    ]
    write(folder / "things" / "collection.json", collection(links=links))
    touch(folder / "things" / "LICENCE.txt")
    for name in ("one", "two"):
        linked = [{"rel": "collection", "href": "./collection.json"}]
        write(folder / "things" / f"{name}.json", item(name, collection="things", links=linked))
        touch(folder / "things" / f"{name}.tif")
    write(folder / "lone.json", item("lone"))
    touch(folder / "lone.tif")
    touch(folder / "notes.txt")
    touch(folder / ".hidden")
    return folder


def absolute(folder: Path, base: str) -> Path:
    """`nested`, with all addresses absolute below a base, such as `https://old.example.org/x`."""
    nested(folder)
    for path in sorted(folder.rglob("*.json")):
        document = json.loads(path.read_text())
        here = path.parent.relative_to(folder).as_posix()
        holders = [*document["links"], *document.get("assets", {}).values()]
        for holder in holders:
            if "://" not in holder["href"]:
                joined = (Path("/") / here / holder["href"]).as_posix()
                holder["href"] = base + _plain(joined)
        own = base + _plain(f"/{path.relative_to(folder).as_posix()}")
        document["links"].append({"rel": "self", "href": own})
        write(path, document)
    return folder


def _plain(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def unity(folder: Path) -> Path:
    """A copy of a real catalogue of Unity, with its empty files that were not kept."""
    shutil.copytree(real_data("hysds/unity_stac_stage_out"), folder)
    for name in ("output_1.nc", "output_2.nc"):
        touch(folder / name, b"")
    return folder


def many_items(folder: Path, number: int) -> Path:
    """A catalogue with one collection and many items, all in one folder."""
    links = [("item", f"./{index:05d}.json") for index in range(number)]
    document = catalog(*links)
    write(folder / "catalog.json", {**document, **collection("many"), "links": document["links"]})
    template = item("x", collection="many")
    for index in range(number):
        made = deepcopy(template)
        made["id"] = f"{index:05d}"
        made["assets"]["data"]["href"] = f"./{index:05d}.tif"
        made["properties"]["note"] = "of no use " * 1000
        write(folder / f"{index:05d}.json", made)
        touch(folder / f"{index:05d}.tif")
    return folder


def read(folder: Path) -> tuple[CatalogProduct | None, list[Fault], list[str]]:
    """Read a catalogue that is its own job folder."""
    return read_catalog(folder, config=config(folder), files=JobFiles(folder, Spool()))


def product(folder: Path) -> CatalogProduct:
    """A catalogue that has no fault."""
    found, faults, _ = read(folder)
    assert found is not None, faults
    return found


def placement(suffix: str = "", *, urls: tuple[str, ...] | None = None) -> Placement:
    """A place, below `URL`."""
    return Placement(
        publication="job-7",
        place=Place(StoreAt("s3://bucket"), f"catalogs/made{suffix}"),
        urls=urls or (f"{URL}{suffix}",),
        browse_place=None,
        browse_urls=(),
        suffix=suffix,
    )


@dataclass
class Parts:
    """What a product adds, by kind."""

    documents: list[DocumentEntry] = field(default_factory=list)
    collections: list[CollectionEntry] = field(default_factory=list)
    items: list[ItemEntry] = field(default_factory=list)
    files: list[ScannedFile] = field(default_factory=list)


def parts_of(found: Product, where: Placement, spool: Spool) -> Parts:
    """What a product adds at a place."""
    parts = Parts()
    kinds: dict[type[Any], list[Any]] = {
        DocumentEntry: parts.documents,
        CollectionEntry: parts.collections,
        ItemEntry: parts.items,
        ScannedFile: parts.files,
    }
    for part in found.parts(where, spool):
        kinds[type(part)].append(part)
    parts.files.sort(key=lambda file: file.relative)
    return parts


def edit(path: Path, change: Callable[[Document], object]) -> None:
    """Change a document in its file."""
    document = json.loads(path.read_text())
    change(document)
    write(path, document)


def by_where(faults: list[Fault]) -> Mapping[str, str]:
    """What is wrong, by place."""
    return {fault.where: fault.what for fault in faults}
