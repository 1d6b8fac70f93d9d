"""Job folders published to real targets: S3 (moto), the dataset index, pgstac behind its API."""

import json
import os
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from estinel_assets.outcomes.record import Outcome
from estinel_assets.publishing.audit import audit
from estinel_assets.publishing.layout import ROOT
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.opening import opened_publications
from estinel_assets.publishing.ports import DocumentQuery
from estinel_assets.publishing.publications import Publications, Request
from estinel_assets.publishing.spool import Spool
from estinel_assets.settings import (
    PublishingSettings,
    Settings,
    StoreSettings,
    TransportSettings,
)
from tests.support.job_folders import JobFolder
from tests.support.pgstac import pgstac_api, why_no_pgstac
from tests.support.proxy import Fault, FaultProxy, Passed
from tests.support.s3 import S3Access, s3_server
from tests.support.stac_api import running_stac_api
from tests.support.tracing import tracing
from tests.support.web_server import Program, free_port


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture(scope="module")
def pgstac() -> Iterator[str]:
    if reason := why_no_pgstac():
        pytest.skip(reason)
    with pgstac_api() as url:
        yield url


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    """A folder with a catalogue and two datasets, all with names of their own."""
    name = f"job-{uuid4().hex[:8]}"
    made = JobFolder(tmp_path / name)
    made.catalog(f"stac_catalog_{name}", {f"{name}-a": b"asset a", f"{name}-b": b"asset b"})
    made.dataset(f"AOI_{name}_1", {"image.tif": b"image", "x.browse.png": b"p"})
    made.dataset(f"AOI_{name}_2", {"deep/image.tif": b"image"})
    return made


def _settings(store: StoreSettings, stac_url: str, folder: Path) -> Settings:
    config = folder / "datasets.json"
    place = f"published-{uuid4().hex[:8]}"
    entries = [
        {
            "ipath": f"hysds::data/{kind}",
            "version": "v1.0",
            "level": "l1",
            "type": kind,
            "match_pattern": pattern,
            "publish": {"location": f"{place}/{kind}/${{id}}"},
        }
        for kind, pattern in (
            ("area_of_interest", "/(?P<id>AOI_[^/]+)$"),
            ("stac_catalog", "/(?P<id>stac_catalog_[^/]+)$"),
        )
    ]
    config.write_text(json.dumps({"datasets": entries}))
    return Settings(
        store=store,
        transport=TransportSettings(attempts=3, backoff_s=0.01, backoff_max_s=0.05),
        publishing=PublishingSettings(
            config=config,
            index_url=f"sqlite:///{folder / 'index.sqlite'}",
            stac_url=stac_url,
        ),
    )


@contextmanager
def _publications(settings: Settings) -> Iterator[Publications]:
    from estinel_assets.storage import open_store

    at = settings.store
    store = open_store(at.url, endpoint_url=at.endpoint_url, region=at.region)
    with opened_publications(settings, store, "a-run") as made:
        yield made


@pytest.fixture(params=["s3 and pgstac", "local and embedded"])
def publications(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Publications]:
    if request.param == "local and embedded":
        store = StoreSettings(url=f"file://{tmp_path / 'store'}")
        (tmp_path / "api").mkdir()
        with (
            running_stac_api(tmp_path / "api", transactions=True) as url,
            _publications(_settings(store, url, tmp_path)) as made,
        ):
            yield made
        return
    access: S3Access = request.getfixturevalue("s3")
    url = request.getfixturevalue("pgstac")
    for name, value in access.environment().items():
        monkeypatch.setenv(name, value)
    store = StoreSettings(
        url=access.url(f"p{uuid4().hex[:6]}"),
        endpoint_url=access.endpoint_url,
        region=access.region,
    )
    with _publications(_settings(store, url, tmp_path)) as made:
        yield made


def _seen(publications: Publications, job: JobFolder) -> dict[str, Any]:
    """Everything that readers can see of a job, in full."""
    targets = publications.publisher.targets
    collection = f"collection-stac_catalog_{job.root.name}"
    stands = targets.need_stac().collection(collection)
    return {
        "objects": {
            meta.path: targets.journal.get(meta.path).data
            for meta in targets.journal.list()
            if not meta.path.startswith((f"{ROOT}/", "outcomes/"))
        },
        "documents": {
            one.id: (one.digest, one.document) for one in targets.index.search(DocumentQuery())
        },
        "collection": stands,
        "items": []
        if stands is None
        else sorted(targets.need_stac().all_items(collection), key=lambda item: item["id"]),
    }


def _publish(publications: Publications, job: JobFolder, policy: Policy = Policy.FAIL) -> Outcome:
    return publications.publish(Request.of(job.root, None, policy))


def test_a_folder_from_nothing_to_all_three_and_back(
    publications: Publications, job: JobFolder
) -> None:
    nothing = _seen(publications, job)
    outcome = _publish(publications, job)
    assert (outcome.status, outcome.error) == (True, None)
    assert outcome.detail["action"] == "published"
    first = _seen(publications, job)
    assert len(first["items"]) == 2
    assert len(first["documents"]) == 4
    for item in first["items"]:
        (asset,) = item["assets"].values()
        path = asset["href"].removeprefix(publications.publisher.targets.journal.url).lstrip("/")
        assert first["objects"][path] == b"asset " + item["id"][-1:].encode()
    listed = json.loads((job.root / "_datasets.json").read_text())
    assert {one["id"] for one in listed} == set(first["documents"])
    assert {one["system_version"] for one in listed} == {"v1.0"}

    assert _publish(publications, job).detail["action"] == "unchanged"
    assert _seen(publications, job) == first

    job.write(f"AOI_{job.root.name}_1/image.tif", b"another image")
    refused = _publish(publications, job)
    assert refused.reason == "already_published"
    assert _seen(publications, job) == first
    replaced = _publish(publications, job, Policy.REPLACE)
    assert replaced.detail["action"] == "replaced"
    second = _seen(publications, job)
    assert set(second["documents"]) == set(first["documents"])
    assert not set(second["objects"]) & set(first["objects"])
    assert b"another image" in second["objects"].values()

    assert audit(publications.publisher.targets).findings == []
    removed = publications.remove(job.root.name)
    assert removed.detail["action"] == "removed"
    assert _seen(publications, job) == nothing


def test_a_folder_with_faults_changes_nothing_and_names_them_all(
    publications: Publications, job: JobFolder
) -> None:
    catalog = f"stac_catalog_{job.root.name}"
    (job.root / catalog / "c" / f"{job.root.name}-a.tif").unlink()
    job.write(f"AOI_{job.root.name}_1/AOI_{job.root.name}_1.dataset.json", "[]")
    (job.root / f"AOI_{job.root.name}_2" / "out").symlink_to("/etc/passwd")
    before = _seen(publications, job)
    outcome = _publish(publications, job)
    assert not outcome.status
    reasons = {fault["reason"] for fault in outcome.detail["faults"]}
    assert reasons == {"missing_asset", "invalid_dataset", "path_traversal"}
    assert _seen(publications, job) == before


def _many(folder: Path, number: int) -> JobFolder:
    job = JobFolder(folder / f"job-{number}")
    job.catalog(f"stac_catalog_job-{number}", {f"i{index:05}": b"asset" for index in range(number)})
    return job


class _Away:
    """An API that refuses from the n-th change on."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, request: Passed) -> Fault | None:
        if request.method not in ("POST", "PUT", "DELETE") or request.path.endswith("/search"):
            return None
        self.left -= 1
        return Fault(status=503) if self.left < 0 else None


def _fails_in_the_middle(tmp_path: Path, number: int, *, bulk: int) -> None:
    job = _many(tmp_path, number)
    (tmp_path / "api").mkdir()
    store = StoreSettings(url=f"file://{tmp_path / 'store'}")
    with running_stac_api(tmp_path / "api", transactions=True) as api, FaultProxy(api) as proxy:
        settings = _settings(store, proxy.url, tmp_path)
        small = settings.publishing.model_copy(update={"stac_bulk_items": bulk})
        with _publications(settings.model_copy(update={"publishing": small})) as publications:
            nothing = _seen(publications, job)
            # The collection and half of the bulk requests come through.
            proxy.spoil(_Away(1 + number // bulk // 2))
            failed = _publish(publications, job)
            assert failed.reason == "undo_incomplete"
            assert failed.detail["left"]
            standing = httpx.get(f"{api}/collections/collection-stac_catalog_{job.root.name}/items")
            assert standing.json()["numberMatched"] > 0
            proxy.spoil(None)
            (recovery,) = publications.recover()
            assert getattr(recovery, "undo", None) is not None
            assert _seen(publications, job) == nothing
            assert _publish(publications, job).status
            assert len(_seen(publications, job)["items"]) == number
            assert audit(publications.publisher.targets).findings == []


def test_an_api_that_fails_in_the_middle_of_a_catalogue(tmp_path: Path) -> None:
    _fails_in_the_middle(tmp_path, 60, bulk=10)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_an_api_that_fails_in_the_middle_of_five_thousand_items(tmp_path: Path) -> None:
    _fails_in_the_middle(tmp_path, 5000, bulk=500)


@contextmanager
def _api_process(folder: Path) -> Iterator[str]:
    """The embedded STAC API in a process of its own, whose memory is not ours."""
    port = free_port()
    command = ["-m", "estinel_assets.cli", "stac", "serve", "--transactions"]
    program = Program(
        [sys.executable, *command, "--database", str(folder / "api.sqlite"), "--port", str(port)],
        {},
        folder / "said.txt",
    )
    try:
        program.wait_for(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.kill()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_items(tmp_path: Path) -> None:
    publishing, removing = [], []
    for number in (20, 2500, 5000):  # the first for what is loaded once
        folder = tmp_path / str(number)
        folder.mkdir()
        job = _many(folder, number)
        store = StoreSettings(url=f"file://{folder / 'store'}")
        with (
            _api_process(folder) as api,
            _publications(_settings(store, api, folder)) as publications,
            tracing(),
        ):
            with Spool() as spool:
                source = publications.source(job.root, spool)
                publications.publisher.publish(source, "p", Policy.FAIL)
            publishing.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
            publications.publisher.remove("p")
            removing.append(tracemalloc.get_traced_memory()[1])
    for what, peaks in (("publishing", publishing), ("removing", removing)):
        grown = (peaks[2] - peaks[1]) / 2500
        shown = [round(peak / 2**20, 1) for peak in peaks]
        print(f"{what}: {grown:.0f} bytes an item; peaks {shown} MiB")
        # Half a MiB of chance is 200 bytes an item; one object kept of each would be more.
        assert grown < 600, what


def test_secrets_are_in_no_message(tmp_path: Path, job: JobFolder, caplog: Any) -> None:
    secret = "s3cr3t-" + "k" * 20
    (tmp_path / "api").mkdir()
    store = StoreSettings(url=f"file://{tmp_path / 'store'}")
    with running_stac_api(tmp_path / "api", transactions=True, api_key="another") as api:
        settings = _settings(store, api, tmp_path)
        keyed = PublishingSettings(**{**settings.publishing.model_dump(), "stac_key": secret})
        with _publications(settings.model_copy(update={"publishing": keyed})) as publications:
            outcome = _publish(publications, job)
            assert outcome.reason == "stac_failed"
            stored = b"".join(
                publications.publisher.targets.journal.get(meta.path).data
                for meta in publications.publisher.targets.journal.list()
            )
    assert secret not in caplog.text
    assert secret.encode() not in stored
    assert secret not in outcome.model_dump_json()
    assert os.environ.get("ESTINEL_PUBLISHING_STAC_KEY") is None
