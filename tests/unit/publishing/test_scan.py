"""A job's folder: what is found, what is refused, and what its fingerprint depends on."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.publishing.datasets_config import DatasetsConfig, Route
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scan import fingerprint_of
from estinel_assets.publishing.scanned import (
    FolderRefusedError,
    Part,
    Placement,
    ScannedFile,
)
from estinel_assets.publishing.spool import Spool
from tests.support.examples import examples
from tests.support.job_folders import (
    CATALOGS,
    DATASET,
    ENTRY,
    JobFolder,
    datasets_config,
    faults_of,
    scan,
)
from tests.support.real import real_data
from tests.support.unprivileged import as_nobody

R = PublishingReason


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = tmp_path / "job"
    folder.mkdir()
    return JobFolder(folder)


@pytest.fixture
def config(tmp_path: Path) -> DatasetsConfig:
    return datasets_config(tmp_path)


def test_catalogues_then_datasets(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_b", within="deep/er")
    job.dataset("AOI_a")
    job.catalog("stac_catalog_1")
    job.write("stac_catalog_1/AOI_in/AOI_in.dataset.json", DATASET)
    job.write(".hidden/AOI_h/AOI_h.dataset.json", DATASET)
    job.write("_datasets.json", [])
    job.write("log.txt", "text")

    found = scan(job.root, config)

    assert [product.id for product in found.products] == ["stac_catalog_1", "AOI_a", "AOI_b"]
    assert found.folder == job.root
    assert len(found.fingerprint) == 64


def test_the_folder_itself_may_be_a_dataset(job: JobFolder, config: DatasetsConfig) -> None:
    folder = job.dataset("AOI_x")

    assert [product.id for product in scan(folder, config).products] == ["AOI_x"]


def test_a_link_to_a_jobs_folder(job: JobFolder, config: DatasetsConfig, tmp_path: Path) -> None:
    job.dataset("AOI_x")
    (tmp_path / "link").symlink_to(job.root)

    linked, plain = scan(tmp_path / "link", config), scan(job.root, config)
    assert (linked.folder, linked.fingerprint) == (plain.folder, plain.fingerprint)
    assert [list(one.files) for one in linked.products] == [
        list(one.files) for one in plain.products
    ]


def test_what_a_job_was_given_is_left_out(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_made", {"inputs/.localized": b"", "inputs/big.nc": b"1"})
    job.dataset("AOI_given", {".localized": b"", "AOI_deep/AOI_deep.dataset.json": DATASET})
    job.catalog("stac_catalog_1")
    job.write("stac_catalog_1/.localized", b"")

    (product,) = scan(job.root, config).products

    assert product.id == "AOI_made"
    assert [file.relative for file in product.files] == ["AOI_made.dataset.json"]


def test_a_dataset_in_a_dataset_is_one_of_its_own(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_outer", {"a.nc": b"1"})
    job.dataset("AOI_inner", {"b.nc": b"2"}, within="AOI_outer/parts")

    found = scan(job.root, config)

    assert {product.id: [f.relative for f in product.files] for product in found.products} == {
        "AOI_outer": ["AOI_outer.dataset.json", "a.nc"],
        "AOI_inner": ["AOI_inner.dataset.json", "b.nc"],
    }
    assert "lies in the dataset AOI_outer" in "".join(found.warnings)


def test_nothing_found(job: JobFolder, config: DatasetsConfig) -> None:
    job.write("log.txt", "text")
    job.write(".dataset.json", DATASET)

    (fault,) = faults_of(job.root, config)

    assert fault.reason is R.NOTHING_FOUND


def test_no_folder(tmp_path: Path, config: DatasetsConfig) -> None:
    with pytest.raises(BadInputError, match="name a folder"):
        scan(tmp_path / "absent", config)


@dataclass(frozen=True)
class Hostile:
    """A folder that must be refused."""

    name: str
    reason: PublishingReason
    where: str

    def make(self, job: JobFolder) -> None:
        folder = job.dataset("AOI_x")
        document = folder / "AOI_x.dataset.json"
        match self.name:
            case "no entry":
                job.dataset("unknown")
            case "misnamed":
                job.write("folder/AOI_y.dataset.json", DATASET)
            case "a list":
                document.write_text("[1]")
            case "a pipe":
                document.unlink()
                os.mkfifo(document)
            case "a folder":
                document.unlink()
                document.mkdir()
            case "a link out":
                document.unlink()
                (job.root.parent / "out.json").write_text(json.dumps(DATASET))
                document.symlink_to("../../out.json")
            case "a linked dataset":
                (job.root / "AOI_l").mkdir()
                job.write("AOI_l/AOI_l.dataset.json", DATASET)
                (job.root / "AOI_l").rename(job.root.parent / "AOI_l")
                (job.root / "AOI_l").symlink_to(job.root.parent / "AOI_l")
            case "met of a list":
                job.write("AOI_x/AOI_x.met.json", [1])
            case "huge number":
                job.write("AOI_x/met.json", '{"n": 99999999999999999999999}')
            case "NaN":
                job.write("AOI_x/AOI_x.context.json", '{"n": NaN}')
            case "two of one id":
                job.dataset("AOI_x", within="deep")
            case "other id":
                document.write_text(json.dumps({**DATASET, "id": "AOI_y"}))
            case "control character":
                job.dataset("AOI_\x1b[31m")
            case "not UTF-8":
                name = os.fsdecode(b"AOI_\xff")
                (job.root / name).mkdir()
                (job.root / name / f"{name}.dataset.json").write_text(json.dumps(DATASET))
            case "sidecar":
                job.write("AOI_x/image.tif.md5", "0" * 32)
            case "traversal in a catalogue":
                job.catalog("stac_catalog_1")
                item = job.root / "stac_catalog_1/c/a.json"
                item.write_text(item.read_text().replace("./a.tif", "../../../secret"))
            case "a catalogue of a list":
                job.write("stac_catalog_1/catalog.json", [])


@pytest.mark.parametrize(
    "hostile",
    [
        Hostile("no entry", R.NO_MATCH, "unknown"),
        Hostile("misnamed", R.INVALID_DATASET, "folder/AOI_y.dataset.json"),
        Hostile("a list", R.INVALID_DATASET, "AOI_x/AOI_x.dataset.json"),
        Hostile("a pipe", R.MISSING_ASSET, "AOI_x/AOI_x.dataset.json"),
        Hostile("a folder", R.INVALID_DATASET, "AOI_x/AOI_x.dataset.json"),
        Hostile("a link out", R.PATH_TRAVERSAL, "AOI_x/AOI_x.dataset.json"),
        Hostile("a linked dataset", R.PATH_TRAVERSAL, "AOI_l"),
        Hostile("met of a list", R.INVALID_DATASET, "AOI_x/AOI_x.met.json"),
        Hostile("huge number", R.INVALID_DATASET, "AOI_x/met.json"),
        Hostile("NaN", R.INVALID_DATASET, "AOI_x/AOI_x.context.json"),
        Hostile("two of one id", R.INVALID_DATASET, "deep/AOI_x"),
        Hostile("other id", R.INVALID_DATASET, "AOI_x/AOI_x.dataset.json"),
        Hostile("control character", R.INVALID_DATASET, "AOI_\\x1b[31m/AOI_\\x1b[31m.dataset.json"),
        Hostile("not UTF-8", R.INVALID_DATASET, "AOI_\\xff/AOI_\\xff.dataset.json"),
        Hostile("sidecar", R.CHECKSUM_MISMATCH, "AOI_x/image.tif"),
        Hostile("traversal in a catalogue", R.PATH_TRAVERSAL, "stac_catalog_1/c/a.json#"),
        Hostile("a catalogue of a list", R.INVALID_CATALOG, "stac_catalog_1/catalog.json"),
    ],
    ids=lambda hostile: hostile.name,
)
def test_hostile_folders(job: JobFolder, config: DatasetsConfig, hostile: Hostile) -> None:
    hostile.make(job)

    with pytest.raises(FolderRefusedError) as refused:
        scan(job.root, config)

    (fault,) = refused.value.faults
    assert (fault.reason, fault.where[: len(hostile.where)]) == (hostile.reason, hostile.where)
    assert refused.value.reason == hostile.reason
    assert fault.what.isprintable()
    str(refused.value).encode()


def test_links_in_loops_are_nobodys(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_x")
    (job.root / "loop").symlink_to(".")
    (job.root / "self").symlink_to("self")

    assert len(scan(job.root, config).products) == 1


def test_folders_that_cannot_be_read(config: DatasetsConfig) -> None:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        job = JobFolder(Path(made))
        job.dataset("AOI_x", {"closed.nc": b"1"})
        (job.root / "AOI_x/closed.nc").chmod(0)
        modes = {job.dataset("AOI_closed"): 0, job.catalog("stac_catalog_1"): 0o444}
        for folder, mode in modes.items():
            folder.chmod(mode)
        try:
            with as_nobody():
                faults = faults_of(job.root, config)
        finally:
            for folder in modes:
                folder.chmod(0o755)

    assert {fault.where.partition("#")[0] for fault in faults} >= {
        "AOI_closed",
        "AOI_x/closed.nc",
        "stac_catalog_1/catalog.json",
    }
    assert {fault.reason for fault in faults} == {R.MISSING_ASSET}


def test_all_faults_at_once(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("unknown")
    job.dataset("AOI_bad", dataset={"starttime": "x", "endtime": "y"})
    folder = job.dataset("AOI_links")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to("loop")
    job.write("AOI_sums/AOI_sums.dataset.json", DATASET)
    for name in "ab":
        job.write(f"AOI_sums/{name}.nc", name)
        job.write(f"AOI_sums/{name}.nc.md5", "0" * 32)
    job.write("stac_catalog_1/catalog.json", "{")

    found = sorted((fault.where, fault.reason.value) for fault in faults_of(job.root, config))

    assert found == [
        ("AOI_bad/AOI_bad.dataset.json", "invalid_dataset"),
        ("AOI_bad/AOI_bad.dataset.json", "invalid_dataset"),
        ("AOI_links/loop", "missing_asset"),
        ("AOI_links/out", "path_traversal"),
        ("AOI_sums/a.nc", "checksum_mismatch"),
        ("AOI_sums/b.nc", "checksum_mismatch"),
        ("stac_catalog_1/catalog.json", "invalid_catalog"),
        ("unknown", "no_match"),
    ]


def test_types_that_are_not_enabled_hold_the_whole_folder(
    job: JobFolder, config: DatasetsConfig
) -> None:
    job.dataset("AOI_x")
    job.catalog("stac_catalog_1")

    both = ("area_of_interest", "stac_catalog")
    assert len(scan(job.root, config, types=both).products) == 2
    for index, other in ((0, "stac_catalog_1"), (1, "AOI_x")):
        (fault,) = faults_of(job.root, config, types=both[index : index + 1])
        assert (fault.reason, fault.where) == (R.NOT_ENABLED, other)
        assert both[1 - index] in fault.what


def test_a_folder_that_waits_is_not_read(job: JobFolder, config: DatasetsConfig) -> None:
    folder = job.dataset("AOI_x")
    (folder / "image.tif.md5").write_text("0" * 32)

    assert [f.reason for f in faults_of(job.root, config, types=("other",))] == [R.NOT_ENABLED]


def test_names_that_differ_in_case_are_told(job: JobFolder, config: DatasetsConfig) -> None:
    job.dataset("AOI_x", {"A.nc": b"1", "a.nc": b"2", "e\u0301.nc": b"3", "\u00e9.nc": b"4"})

    found = scan(job.root, config)

    assert len([warning for warning in found.warnings if "where case or" in warning]) == 2


def test_a_real_catalogue_names_what_it_lacks(tmp_path: Path) -> None:
    shutil.copytree(real_data("hysds/unity_stac_stage_out"), tmp_path / "stac_catalog_unity")

    faults = faults_of(tmp_path / "stac_catalog_unity", datasets_config(tmp_path, CATALOGS))

    assert {fault.reason for fault in faults} == {R.MISSING_ASSET}
    assert len(faults) == 2

    for number in (1, 2):
        (tmp_path / f"stac_catalog_unity/output_{number}.nc").touch()
    found = scan(tmp_path / "stac_catalog_unity", datasets_config(tmp_path, CATALOGS))
    assert "read as an MD5" in "".join(found.warnings)


# The fingerprint.


@dataclass(frozen=True)
class Made:
    """A product that needs no folder."""

    id: str
    route: Route
    files: tuple[ScannedFile, ...]
    browse_files: tuple[ScannedFile, ...] = ()
    folder: Path = Path("/job/x")

    def parts(self, placement: Placement, spool: Spool) -> Iterator[Part]:
        raise AssertionError((placement, spool))


ROUTE = Route("a::b/c", "v1", "l0", "t", Place(StoreAt("s3://b"), "products/x"), ("https://h/x",))
_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
_digests = st.sampled_from(["0" * 64, "1" * 64, "ab" * 32])
_contents = st.dictionaries(_names, _digests, max_size=4)
_products = st.dictionaries(_names, _contents, min_size=1, max_size=3)


def made(products: dict[str, dict[str, str]], *, source: str = "/job") -> list[Made]:
    return [
        Made(
            name,
            replace(ROUTE, place=Place(ROUTE.place.store, f"products/{name}")),
            tuple(ScannedFile(at, Path(source, at), 1, sha) for at, sha in sorted(files.items())),
        )
        for name, files in products.items()
    ]


@examples(50)
@given(_products, st.randoms(use_true_random=False))
def test_neither_order_nor_place_matters(products: dict[str, dict[str, str]], random: Any) -> None:
    def shuffled(anything: dict[str, Any]) -> dict[str, Any]:
        return dict(random.sample(list(anything.items()), len(anything)))

    other = shuffled({name: shuffled(files) for name, files in products.items()})

    assert fingerprint_of(made(products)) == fingerprint_of(made(other, source="/elsewhere"))


@examples(50)
@given(_products, _products)
def test_other_content_has_another_fingerprint(
    one: dict[str, dict[str, str]], other: dict[str, dict[str, str]]
) -> None:
    assert (fingerprint_of(made(one)) == fingerprint_of(made(other))) == (one == other)


def test_what_was_published_before_has_the_same_fingerprint_still() -> None:
    names = {"a.nc": "0" * 64, "größe.nc": "1" * 64}
    files = tuple(ScannedFile(name, Path("/x"), 1, sha) for name, sha in names.items())

    made = [Made("y", ROUTE, ()), Made("x", ROUTE, files, files[:1])]

    assert fingerprint_of(made) == (
        "a53a95a4e40dea242d55b0a21657a1807b3fa0c54a5855dfc9e67de6d145a428"
    )


def test_the_id_counts() -> None:
    assert fingerprint_of([Made("x", ROUTE, ())]) != fingerprint_of([Made("y", ROUTE, ())])


@pytest.mark.parametrize(
    "change",
    [
        {"place": Place(StoreAt("s3://b"), "products/y")},
        {"place": Place(StoreAt("s3://c"), "products/x")},
        {"place": Place(StoreAt("s3://b", endpoint_url="http://e"), "products/x")},
        {"urls": ()},
        {"browse_place": Place(StoreAt("s3://b"), "browse/x")},
        {"version": "v2"},
        {"dataset_type": "other"},
        {"index_suffix": "s"},
    ],
)
def test_the_route_counts(change: dict[str, Any]) -> None:
    assert fingerprint_of([Made("x", ROUTE, ())]) != fingerprint_of(
        [Made("x", replace(ROUTE, **change), ())]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"place": Place(StoreAt("s3://b", profile="other"), "products/x")},
        {"warnings": ("odd",)},
        {"extractor": "command"},
    ],
)
def test_what_does_not_count_of_the_route(change: dict[str, Any]) -> None:
    assert fingerprint_of([Made("x", ROUTE, ())]) == fingerprint_of(
        [Made("x", replace(ROUTE, **change), ())]
    )


def test_folders(job: JobFolder, config: DatasetsConfig, tmp_path: Path) -> None:
    job.dataset("AOI_x", {"a.nc": b"1"})
    job.catalog("stac_catalog_1")
    first = scan(job.root, config).fingerprint

    moved = shutil.copytree(job.root, tmp_path / "elsewhere" / "other", copy_function=shutil.copy)
    (moved / "_datasets.json").write_text("[]")
    (moved / ".lock").touch()
    os.utime(moved / "AOI_x/a.nc", ns=(5, 5))
    assert scan(moved, config).fingerprint == first

    other = {**ENTRY, "publish": {"location": "elsewhere/${id}"}}
    assert scan(moved, datasets_config(tmp_path, other, CATALOGS)).fingerprint != first

    (moved / "AOI_x/a.nc").write_bytes(b"2")
    assert scan(moved, config).fingerprint != first
