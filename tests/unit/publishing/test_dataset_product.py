"""Traditional datasets: their documents, routes, images and parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.publishing.dataset_product import DatasetProduct, browse_images
from estinel_assets.publishing.datasets_config import DatasetsConfig, load_datasets_config
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Placement
from estinel_assets.publishing.spool import Spool
from tests.support.catalog_folders import parts_of
from tests.support.job_folders import ENTRY, JobFolder, datasets_config, faults_of, scan
from tests.support.real import real_data

R = PublishingReason
PLACEMENT = Placement("p", Place(StoreAt(), "here"), ("https://readers.example/here",), None, ())


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "job")


@pytest.fixture
def config(tmp_path: Path) -> DatasetsConfig:
    return datasets_config(tmp_path)


def only(job: JobFolder, config: DatasetsConfig, **settings: Any) -> DatasetProduct:
    (product,) = scan(job.root, config, **settings).products
    assert isinstance(product, DatasetProduct)
    return product


def document(product: DatasetProduct, placement: Placement = PLACEMENT) -> dict[str, Any]:
    with Spool() as spool:
        (entry,) = parts_of(product, placement, spool).documents
        body = entry.body.read()
    assert entry.id == body["id"]
    return body


def test_a_dataset(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_x", {"image.tif": b"1", "more/deep.nc": b"2", "AOI_x.met.json": {"k": 1}})

    product = only(job, config)

    assert (product.id, product.folder) == ("AOI_x", job.root / "AOI_x")
    assert [file.relative for file in product.files] == [
        "AOI_x.dataset.json",
        "AOI_x.met.json",
        "image.tif",
        "more/deep.nc",
    ]
    assert product.route.place == Place(StoreAt(), "products/aoi/v1.0/AOI_x")
    made = document(product)
    assert made["metadata"] == {"k": 1}
    assert made["urls"] == ["https://readers.example/here"]
    assert made["starttime"] == "2017-03-01T00:00:00Z"


def test_an_id_gets_the_suffix(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_x")

    made = document(only(job, config), replace(PLACEMENT, suffix="-v2"))

    assert (made["id"], made["objectid"]) == ("AOI_x-v2", "AOI_x-v2")


def test_metadata_given_beforehand_overrule_others(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_x", {"AOI_x.met.json": {"a": 1, "b": 1}, "met.json": {"b": 2}})

    assert document(only(job, config))["metadata"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("files", "prov"),
    [
        ({"AOI_x.prov_es.json": {"own": 1}, "AOI_x.context.json": {"_prov": {"job": 1}}}, "own"),
        ({"AOI_x.context.json": {"_prov": {"job": 1}}}, "job"),
        ({"AOI_x.context.json": {"_prov": "text"}}, None),
        ({}, None),
    ],
)
def test_provenance(
    job: JobFolder, config: DatasetsConfig, files: dict[str, Any], prov: str | None
) -> None:
    job.dataset("AOI_x", files)

    assert document(only(job, config))["prov"] == ({prov: 1} if prov else {})


def test_a_version_from_the_route(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_x", dataset={})

    made = document(only(job, config))

    assert (made["version"], made["system_version"]) == ("v0.1", "v0.1")


def test_no_version_at_all(job: JobFolder, tmp_path: Path) -> None:
    entry = {name: value for name, value in ENTRY.items() if name != "version"}
    job.dataset("AOI_x", dataset={})

    (fault,) = faults_of(job.root, datasets_config(tmp_path, entry))

    assert fault.reason is R.INVALID_DATASET
    assert "version" in fault.what


def test_images_come_in_the_order_of_the_route() -> None:
    names = ["z.browse.png", "b.browse.png", "a.browse.png", "b.browse_small.png", "browse.png"]
    names += ["lonely.browse_small.png", "image.png"]

    assert browse_images(names, ["^z", "b\\.browse"]) == [
        {"img": "z.browse.png", "small_img": None, "tooltip": "z"},
        {"img": "b.browse.png", "small_img": "b.browse_small.png", "tooltip": "b"},
        {"img": "a.browse.png", "small_img": None, "tooltip": "a"},
        {"img": "browse.png", "small_img": None, "tooltip": ""},
    ]


def test_images_that_one_expression_finds_are_all_kept() -> None:
    names = ["2_amp.browse.png", "1_amp.browse.png", "0.browse.png"]

    assert [image["img"] for image in browse_images(names, ["amp"])] == [
        "1_amp.browse.png",
        "2_amp.browse.png",
        "0.browse.png",
    ]


def test_small_images_are_browse_files(job: JobFolder, config: DatasetsConfig) -> None:
    files = {"a.browse.png": b"a", "a.browse_small.png": b"s", "b.browse_small.png": b"s"}
    job.dataset("AOI_x", {**files, "deep/c.browse.png": b"c", "deep/c.browse_small.png": b"c"})

    product = only(job, config)

    assert [file.relative for file in product.browse_files] == ["a.browse_small.png"]
    assert [image["img"] for image in document(product)["images"]] == ["a.browse.png"]


EXTRACTOR = """#!/bin/sh
echo "{\\"found\\": 1, \\"given\\": 1, \\"name\\": \\"$(basename "$1")\\"}" > "$1/AOI_x.met.json"
"""


@pytest.fixture
def extracting(tmp_path: Path) -> DatasetsConfig:
    script = tmp_path / "extract.sh"
    script.write_text(EXTRACTOR)
    script.chmod(0o755)
    publish = {"location": "aoi/{met[name]}"}
    return datasets_config(tmp_path, {**ENTRY, "publish": publish, "extractor": str(script)})


def test_an_extractor_makes_what_the_route_needs(
    job: JobFolder, extracting: DatasetsConfig
) -> None:
    job.dataset("AOI_x", {"met.json": {"given": 2}})

    first = scan(job.root, extracting, allow_extractors=True)
    again = scan(job.root, extracting)

    (product,) = first.products
    assert isinstance(product, DatasetProduct)
    assert product.route.place.path == "aoi/AOI_x"
    assert product.metadata == {"found": 1, "given": 2, "name": "AOI_x"}
    assert "AOI_x.met.json" in [file.relative for file in product.files]
    assert again.fingerprint == first.fingerprint
    assert not [warning for warning in again.warnings if "extractor" in warning]


def test_an_extractor_that_may_not_run(job: JobFolder, extracting: DatasetsConfig) -> None:
    job.dataset("AOI_x", {"met.json": {"name": "given"}})

    found = scan(job.root, extracting)

    assert "set publishing.allow_extractors" in "".join(found.warnings)
    assert not (job.root / "AOI_x/AOI_x.met.json").exists()


def test_an_extractor_that_leaves_a_pipe(
    job: JobFolder, extracting: DatasetsConfig, tmp_path: Path
) -> None:
    (tmp_path / "extract.sh").write_text(EXTRACTOR + 'mkfifo "$1/pipe"\n')
    job.dataset("AOI_x")

    (fault,) = faults_of(job.root, extracting, allow_extractors=True)

    assert fault.where == "AOI_x/pipe"


def test_an_extractor_that_changes_another_dataset(
    job: JobFolder, extracting: DatasetsConfig, tmp_path: Path
) -> None:
    changed = 'echo "{\\"version\\": \\"v9\\"}" > "$1/../AOI_a/AOI_a.dataset.json"\n'
    (tmp_path / "extract.sh").write_text(EXTRACTOR + changed)
    job.dataset("AOI_a", {"AOI_a.met.json": {"name": "a"}})
    job.dataset("AOI_x")

    (fault,) = faults_of(job.root, extracting, allow_extractors=True)

    assert (fault.reason, fault.where) == (R.CHECKSUM_MISMATCH, "AOI_a/AOI_a.dataset.json")
    assert "changed while it was read" in fault.what


def test_an_extractor_that_fails(
    job: JobFolder, extracting: DatasetsConfig, tmp_path: Path
) -> None:
    (tmp_path / "extract.sh").write_text("#!/bin/sh\nexit 3\n")
    job.dataset("AOI_x")

    (fault,) = faults_of(job.root, extracting, allow_extractors=True)

    assert (fault.reason, fault.where) == (R.INVALID_DATASET, "AOI_x")
    assert "status 3" in fault.what


def test_a_real_dataset_in_a_real_configuration() -> None:
    folder = real_data("hysds/AOI_sacramento_valley")
    config = load_datasets_config(real_data("hysds/cluster_datasets.json"), {}, hostname="host")

    found = scan(folder, config)

    (product,) = found.products
    assert isinstance(product, DatasetProduct)
    made = document(product)
    assert "read as Polygon" in "".join(found.warnings)
    assert made["id"] == "AOI_sacramento_valley"
    assert made["dataset"] == "area_of_interest"
    assert made["location"]["type"] == "Polygon"
    assert made["starttime"] == "2017-03-01T00:00:00Z"
    assert made["index"]["name"] == "grq_2.0_area_of_interest"
    assert made["metadata"]["query"]["asf"]["priority"] == 6
