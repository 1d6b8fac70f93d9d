"""The demo's job folder is what a job would leave, and the same each time."""

import json
from hashlib import sha256
from pathlib import Path

import pystac
import pytest
import rasterio
from PIL import Image

from estinel_assets.demo.job_folders import (
    CATALOG,
    COLLECTION,
    DATASETS,
    GRID,
    ITEMS,
    make_job_folder,
    write_datasets_config,
)
from estinel_assets.publishing.datasets_config import load_datasets_config
from tests.support.job_folders import scan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("job") / "job-17"
    make_job_folder(made)
    return made


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def items_of(folder: Path) -> dict[str, pystac.Item]:
    catalog = pystac.Catalog.from_file(str(folder / CATALOG / "catalog.json"))
    return {item.id: item for item in catalog.get_items(recursive=True)}


def test_it_is_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    make_job_folder(tmp_path / "again")

    assert files_of(tmp_path / "again") == files_of(folder)


def test_a_second_edition_has_other_content_and_moves_on_by_a_day(
    folder: Path, tmp_path: Path
) -> None:
    make_job_folder(tmp_path / "second", edition=2)
    first, second = items_of(folder), items_of(tmp_path / "second")

    assert len(first) == len(second) == ITEMS
    assert sorted(first)[1:] == sorted(second)[:-1]
    assert max(second) > max(first)
    for shared in first.keys() & second.keys():
        fractions = [one[shared].properties["snow_fraction"] for one in (first, second)]
        assert fractions[0] < fractions[1] < 1


def test_the_catalogue_describes_its_files(folder: Path) -> None:
    for item in items_of(folder).values():
        assert item.collection_id == COLLECTION
        for asset in item.assets.values():
            href = asset.get_absolute_href()
            assert href is not None
            content = Path(href).read_bytes()
            assert asset.extra_fields["file:size"] == len(content)
            checksum = asset.extra_fields["file:checksum"]
            assert checksum == "1220" + sha256(content).hexdigest()


def test_rasters_and_pictures_can_be_read(folder: Path) -> None:
    for item in items_of(folder).values():
        with rasterio.open(item.assets["cover"].get_absolute_href()) as cover:
            assert cover.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert (cover.crs.to_string(), cover.shape) == (GRID.crs, GRID.shape)
            assert set(cover.read(1).ravel().tolist()) <= {1, 2, 3}
    with Image.open(folder / DATASETS[0] / f"{DATASETS[0]}.browse_small.png") as small:
        assert small.size == (GRID.width // 4, GRID.height // 4)


def test_it_can_be_published_as_it_is(folder: Path, tmp_path: Path) -> None:
    write_datasets_config(tmp_path / "datasets.json")
    config = load_datasets_config(tmp_path / "datasets.json", {})
    found = scan(folder, config)

    assert config.warnings == ()
    assert found.warnings == ()
    assert {one.id for one in found.products} == {CATALOG, *DATASETS}
    assert sum(len(one.browse_files) for one in found.products) == len(DATASETS)
    for name in DATASETS:
        document = json.loads((folder / name / f"{name}.dataset.json").read_text())
        assert document["location"]["type"] == "Polygon"
