"""What publishing costs: thousands of items to S3 and pgstac, beside the plain way.

    .venv/bin/python -m benchmarks.publish [--quick]

Ours is everything: looking through the folder, checksums, validation, the plan, the journal,
conditional writes, read-back and commit. The peer is the plain way: every file is uploaded and
every item sent one after the other, documents go into the same index a thousand at a time, and
there is no validation, no journal and no undo. S3 is moto, the STAC API is stac-fastapi-pgstac on
PostgreSQL; both run in processes of their own. The order of the two alternates. Afterwards one
publication fails at its commit, and undoing all of it is measured.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from benchmarks.measuring import (
    forget_peak,
    keep,
    parser,
    peak_resident_mib,
    rounded,
    surroundings,
    timed,
)
from benchmarks.servers import s3_process
from estinel_assets.errors import StoreError
from estinel_assets.logs import configure_logging
from estinel_assets.publishing.ending import PublicationError
from estinel_assets.publishing.item_documents import item_document
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.opening import opened_publications
from estinel_assets.publishing.ports import Change, IndexedDocument
from estinel_assets.publishing.publications import Publications
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.steps import Phase
from estinel_assets.settings import PublishingSettings, Settings, StoreSettings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectMeta
from tests.support.pgstac import pgstac_api, why_no_pgstac
from tests.support.s3 import S3Access

GOAL_WHOLE = 2.0
GOAL_INDEX_AND_STAC = 5.0
INDEX_BATCH = 1000
ASSET = b"a small asset" * 80


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    items: int
    rounds: int


FULL = Size(items=5000, rounds=2)
QUICK = Size(items=60, rounds=1)


def job_folder(parent: Path, name: str, items: int) -> Path:
    """A folder with one self-contained catalogue, an asset an item."""
    folder = parent / name / f"stac_catalog_{name}"
    inside = folder / "items"
    inside.mkdir(parents=True)
    collection = f"collection-{name}"
    links = []
    for number in range(items):
        item_id = f"{name}-{number:05}"
        (inside / f"{item_id}.bin").write_bytes(ASSET + str(number).encode())
        document = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "stac_extensions": [],
            "id": item_id,
            "collection": collection,
            "geometry": {"type": "Point", "coordinates": [number % 360 - 180, number % 160 - 80]},
            "bbox": [number % 360 - 180, number % 160 - 80] * 2,
            "properties": {
                "datetime": f"2024-01-{number % 28 + 1:02}T00:00:00Z",
                "title": f"item {number}",
                "platform": "sentinel-2a",
            },
            "links": [{"rel": "collection", "href": "../collection.json"}],
            "assets": {"file": {"href": f"./{item_id}.bin", "roles": ["data"]}},
        }
        (inside / f"{item_id}.json").write_text(json.dumps(document))
        links.append({"rel": "item", "href": f"./items/{item_id}.json"})
    described = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection,
        "description": "Made for a benchmark.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2024-01-01T00:00:00Z", None]]},
        },
        "links": links,
    }
    (folder / "collection.json").write_text(json.dumps(described))
    catalog = {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": name,
        "description": "Made for a benchmark.",
        "links": [{"rel": "child", "href": "./collection.json"}],
    }
    (folder / "catalog.json").write_text(json.dumps(catalog))
    return folder.parent


@contextmanager
def opened(access: S3Access, api: str, folder: Path) -> Iterator[Publications]:
    """Everything that publishes, on these servers."""
    os.environ.update(access.environment())
    settings = Settings(
        store=StoreSettings(
            url=access.url("store"), endpoint_url=access.endpoint_url, region=access.region
        ),
        publishing=PublishingSettings(
            index_url=f"sqlite:///{folder / 'index.sqlite'}", stac_url=api
        ),
    )
    at = settings.store
    store = open_store(at.url, endpoint_url=at.endpoint_url, region=at.region)
    with opened_publications(settings, store, "benchmark") as publications:
        yield publications


def ours(publications: Publications, job: Path) -> dict[str, float]:
    """Publish a folder; seconds by part."""
    began = time.perf_counter()
    with Spool() as spool:
        scan_s, source = timed(lambda: publications.source(job, spool))
        result = publications.publisher.publish(source, job.name, Policy.FAIL)
    whole_s = time.perf_counter() - began
    phases = {timing.phase: timing.duration_s for timing in result.timings}
    upload_s = phases[Phase.OBJECTS]
    index_and_stac_s = sum(
        phases[phase] for phase in (Phase.DOCUMENTS, Phase.COLLECTIONS, Phase.ITEMS)
    )
    return {
        "whole_s": whole_s,
        "scan_and_validate_s": scan_s,
        "upload_s": upload_s,
        "index_and_stac_s": index_and_stac_s,
        "plan_journal_commit_s": whole_s - scan_s - upload_s - index_and_stac_s,
    }


def peer(access: S3Access, api: str, publications: Publications, job: Path) -> dict[str, float]:
    """The plain way; seconds by part."""
    began = time.perf_counter()
    client = access.client()
    (catalog,) = job.iterdir()
    files = sorted(path for path in catalog.rglob("*") if path.is_file())

    def upload() -> None:
        for path in files:
            client.put_object(
                Bucket=access.bucket,
                Key=f"plain/{job.name}/{path.relative_to(catalog)}",
                Body=path.read_bytes(),
            )

    upload_s, _ = timed(upload)
    collection = json.loads((catalog / "collection.json").read_text())
    items = [json.loads(path.read_text()) for path in sorted((catalog / "items").glob("*.json"))]

    def register() -> None:
        with requests.Session() as session:
            _accepted(session.post(f"{api}/collections", json={**collection, "links": []}))
            for start in range(0, len(items), INDEX_BATCH):
                batch = items[start : start + INDEX_BATCH]
                publications.publisher.targets.index.apply(
                    [Change(item["id"], None, _document(item, job.name)) for item in batch]
                )
                for item in batch:
                    address = f"{api}/collections/{item['collection']}/items"
                    _accepted(session.post(address, json={**item, "links": []}))

    index_and_stac_s, _ = timed(register)
    return {
        "whole_s": time.perf_counter() - began,
        "upload_s": upload_s,
        "index_and_stac_s": index_and_stac_s,
    }


def _document(item: dict[str, Any], publication: str) -> IndexedDocument:
    body = item_document(item, version="1")
    return IndexedDocument(item["id"], publication, "plain", body)


def _accepted(answer: requests.Response) -> None:
    if not answer.ok:
        raise SystemExit(f"the STAC API answered {answer.status_code}: {answer.text[:300]}")


class _UncommittedStore:
    """A store that refuses the commit, once, and remembers when."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.refused_at = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def create(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        if path.endswith("/current.json") and not self.refused_at:
            self.refused_at = time.perf_counter()
            raise StoreError("the commit is refused, so that everything is undone")
        created: ObjectMeta = self._store.create(path, data, content_type=content_type)
        return created


def undo(publications: Publications, job: Path) -> dict[str, float]:
    """Publish a folder whose commit is refused; seconds until then, and of undoing."""
    publisher = publications.publisher
    refusing: Any = _UncommittedStore(publisher.targets.journal)
    targets = replace(publisher.targets, journal=refusing)
    began = time.perf_counter()
    try:
        with Spool() as spool:
            source = publications.source(job, spool)
            replace(publisher, targets=targets).publish(source, job.name, Policy.FAIL)
    except PublicationError as error:
        ended = time.perf_counter()
        if error.undo is None or not error.undo.complete:
            raise
        return {
            "publication_s": refusing.refused_at - began,
            "undo_s": ended - refusing.refused_at,
        }
    raise SystemExit("the publication was to fail")


def measure(size: Size) -> dict[str, object]:
    """Measure everything."""
    with (
        tempfile.TemporaryDirectory(prefix="estinel-publish-") as name,
        s3_process() as access,
        pgstac_api() as api,
        opened(access, api, Path(name)) as publications,
    ):
        folder = Path(name)
        ours(publications, job_folder(folder, "warm", 20))
        fifth = job_folder(folder, "fifth", size.items // 5)
        forget_peak()
        ours(publications, fifth)
        peak_at_a_fifth = peak_resident_mib()
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for number in range(size.rounds):
            ways = ("ours", "peer") if number % 2 == 0 else ("peer", "ours")
            for way in ways:
                _say(f"round {number + 1} of {size.rounds}: {way}")
                job = job_folder(folder, f"{way}{number}", size.items)
                forget_peak()
                run = (
                    ours(publications, job)
                    if way == "ours"
                    else peer(access, api, publications, job)
                )
                runs[way].append(run)
                if way == "ours" and number == 0:
                    peak = peak_resident_mib()
        _say("undo")
        undone = undo(publications, job_folder(folder, "undone", size.items))
    medians = {way: _medians(several) for way, several in runs.items()}
    whole = medians["peer"]["whole_s"] / medians["ours"]["whole_s"]
    registered = medians["peer"]["index_and_stac_s"] / medians["ours"]["index_and_stac_s"]
    return {
        "items": size.items,
        "rounds": size.rounds,
        **medians,
        "ratio_whole": round(whole, 1),
        "goal_whole": GOAL_WHOLE,
        "ratio_index_and_stac": round(registered, 1),
        "goal_index_and_stac": GOAL_INDEX_AND_STAC,
        "peak_mib_at_a_fifth": round(peak_at_a_fifth, 1),
        "peak_mib": round(peak, 1),
        "undo": {name: rounded(seconds) for name, seconds in undone.items()},
        "undo_share": round(undone["undo_s"] / undone["publication_s"], 2),
    }


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {part: rounded(statistics.median(run[part] for run in runs)) for part in runs[0]}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and keep the result."""
    arguments = parser(__doc__).parse_args()
    configure_logging("error", libraries="error")
    if reason := why_no_pgstac():
        raise SystemExit(reason)
    around = surroundings("httpx", "jsonschema-rs", "sqlalchemy", "stac-fastapi-pgstac")
    size = QUICK if arguments.quick else FULL
    keep("publish", arguments, {"surroundings": around, **measure(size)})


if __name__ == "__main__":
    main()
