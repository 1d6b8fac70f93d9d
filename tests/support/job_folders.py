"""Folders as jobs leave them: datasets, small STAC catalogues, and what must not be published."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estinel_assets.publishing.datasets_config import DatasetsConfig, load_datasets_config
from estinel_assets.publishing.scan import scan_folder
from estinel_assets.publishing.scanned import Fault, FolderRefusedError, Scan
from estinel_assets.publishing.spool import Spool
from estinel_assets.settings import PublishingSettings
from tests.support import catalog_folders

LOCATION = {
    "type": "Polygon",
    "coordinates": [[[-122.9, 40.4], [-121.6, 37.8], [-120.7, 38.2], [-122.9, 40.4]]],
}
DATASET = {"version": "v1.0", "starttime": "2017-03-01T00:00:00", "location": LOCATION}

ENTRY = {
    "ipath": "hysds::data/area_of_interest",
    "version": "v0.1",
    "level": "l0",
    "type": "area_of_interest",
    "match_pattern": "/(?P<id>AOI_[^/]+)$",
    "publish": {
        "location": "products/aoi/${version}/${id}",
        "urls": ["https://readers.example/products/aoi/${version}/${id}"],
    },
    "browse": {
        "location": "browse/aoi/${version}/${id}",
        "urls": ["https://readers.example/browse/aoi/${version}/${id}"],
    },
}
CATALOGS = {
    "ipath": "hysds::stac/catalog",
    "version": "stac_catalog",
    "level": "catalog",
    "type": "stac_catalog",
    "match_pattern": "/(?P<id>stac_catalog_[^/]+)$",
    "publish": {"location": "catalogs/${id}"},
}


def datasets_config(folder: Path, *entries: Mapping[str, Any]) -> DatasetsConfig:
    """A configuration with these entries; else with one for `AOI_…` and one for catalogues."""
    path = folder / "datasets.json"
    path.write_text(json.dumps({"datasets": list(entries or (ENTRY, CATALOGS))}))
    return load_datasets_config(path, {}, hostname="host")


@dataclass
class JobFolder:
    """A job's folder that is being filled."""

    root: Path

    def write(self, relative: str, body: bytes | str | Mapping[str, Any] | list[Any]) -> Path:
        """Write a file; what is neither text nor bytes becomes JSON."""
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(body, bytes):
            path.write_bytes(body)
        else:
            path.write_text(body if isinstance(body, str) else json.dumps(body))
        return path

    def dataset(
        self,
        name: str,
        files: Mapping[str, bytes | str | Mapping[str, Any]] | None = None,
        *,
        dataset: Mapping[str, Any] | None = None,
        within: str = "",
    ) -> Path:
        """Write a dataset with these files beside its `dataset.json`."""
        folder = f"{within}/{name}" if within else name
        self.write(f"{folder}/{name}.dataset.json", dict(DATASET if dataset is None else dataset))
        for relative, body in (files if files is not None else {"image.tif": b"image"}).items():
            self.write(f"{folder}/{relative}", body)
        return self.root / folder

    def catalog(self, name: str, items: Mapping[str, bytes] | None = None) -> Path:
        """Write a self-contained catalogue: one collection, named after it, an asset an item."""
        made = {"a": b"asset a", "b": b"asset b"} if items is None else items
        top = catalog_folders.catalog(("child", "./c/collection.json"), id=name)
        links = [{"rel": "item", "href": f"./{item}.json"} for item in made]
        collection = f"collection-{name}"
        self.write(f"{name}/catalog.json", top)
        self.write(f"{name}/c/collection.json", catalog_folders.collection(collection, links=links))
        for item, asset in made.items():
            self.write(f"{name}/c/{item}.tif", asset)
            self.write(f"{name}/c/{item}.json", catalog_folders.item(item, collection=collection))
        return self.root / name


def scan(folder: Path, config: DatasetsConfig, **settings: Any) -> Scan:
    """Scan a folder with these settings of publishing."""
    return scan_folder(
        folder,
        config,
        settings=PublishingSettings(**settings),
        spool=Spool(),
        environment={"PATH": os.defpath},
    )


def faults_of(folder: Path, config: DatasetsConfig, **settings: Any) -> list[Fault]:
    """Every fault of a folder; none where it can be published."""
    try:
        scan(folder, config, **settings)
    except FolderRefusedError as error:
        return list(error.faults)
    return []
