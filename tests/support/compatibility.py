"""A world of a few small collections for tests of compatibility: a CMR, their files, Dagster.

The CMR is the demo's, served from a thread here, so that a test can see what was asked of it and
let it fail: whoever reads the files is another process. Each collection has one granule and a file
of its own.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import dagster as dg
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)
from starlette.types import Receive, Scope, Send

from estinel_assets.build import build_definitions
from estinel_assets.compatibility.opening_checks import CODE_VERSION, open_book
from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.demo import granule_files
from estinel_assets.demo.cmr_app import LocalCmrApp
from estinel_assets.demo.cmr_files import respond
from estinel_assets.demo.cmr_items import collection_item, granule_item
from estinel_assets.orchestration.in_process import JobRun, open_instance, run_job
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.partitions import COLLECTIONS
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import Settings, load_settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.asgi import serve_asgi
from tests.support.imagery import quiet_dagster as quiet_dagster
from tests.support.imagery import toml
from tests.support.outcomes import outcome
from tests.support.real import ROOT

RESULTS = dg.AssetKey("compatibility_results")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SEARCH, FILES = "/search/", "/files/"


def _grid(path: Path) -> None:
    granule_files.write_grid(path, rows=18, columns=36)


def _broken(path: Path) -> None:
    _grid(path)
    path.write_bytes(path.read_bytes()[:1500])


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file."""

    name: str
    reason: str
    """How the check of a collection of such files ends."""
    write: Callable[[Path], None] | None
    """Makes one; None where there is none."""
    format: str | None = "netCDF-4"


KINDS = {
    "good": Kind("good.nc", "none", _grid),
    "swath": Kind("swath.nc", "no_xy_dimensions", granule_files.write_swath),
    "empty": Kind("empty.nc", "cant_extract_variables", granule_files.write_without_variables),
    "table": Kind("table.csv", "unsupported_format", granule_files.write_text, "CSV"),
    "lost": Kind("lost.nc", "cant_open_file", None),
    "broken": Kind("broken.nc", "cant_open_file", _broken),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the server answers instead."""

    status: int = 503
    body: bytes = b"we are moving house"
    content_type: bytes = b"text/plain"
    headers: Sequence[tuple[bytes, bytes]] = ()


HTML = Trouble(200, b"<html>We are moving house.</html>", b"text/html")
NO_COLLECTIONS = Trouble(
    200,
    b'{"hits":0,"took":1,"items":[]}',
    b"application/vnd.nasa.cmr.umm_results+json",
    [(b"cmr-hits", b"0")],
)


class WatchedCmr:
    """The demo's CMR, whose requests are counted and may be answered otherwise.

    Attributes:
        troubles: by what a path begins with.
        held: paths whose answers wait until they are taken out again.
        described: how often each collection's metadata were asked for.
        read: how often each collection's file was asked for.
    """

    def __init__(self) -> None:
        self.troubles: dict[str, Trouble] = {}
        self.held: set[str] = set()
        self.described: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self._app: LocalCmrApp | None = None

    def serve(self, app: LocalCmrApp) -> None:
        self._app = app

    def forget(self) -> None:
        """Begin to count anew."""
        self.described.clear()
        self.read.clear()

    async def _keep_waiting(self, path: str) -> None:
        while path in self.held:
            await asyncio.sleep(0.02)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == f"{SEARCH}collections.umm_json":
            asked = parse_qs(scope["query_string"].decode())
            self.described.update(asked.get("concept_id", ()))
        if path.startswith(FILES):
            self.read[path.split("/")[2]] += 1
        await self._keep_waiting(path)
        for beginning, trouble in self.troubles.items():
            if path.startswith(beginning):
                stated = list(trouble.headers)
                await respond(send, trouble.status, trouble.body, stated, trouble.content_type)
                return
        assert self._app is not None
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class CompatibilityWorld:
    """One CMR, one store, one Dagster instance."""

    folder: Path
    config: Path
    instance: dg.DagsterInstance
    cmr: WatchedCmr
    root: str
    """Address of the server."""
    former: dict[str, dict[str, object]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    """Ids of runs, by what a test calls them."""

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.settings.store.url)

    def configure(self, **groups: Mapping[str, object]) -> None:
        """Change settings: keys by group."""
        for group, values in groups.items():
            self.former.setdefault(group, {}).update(values)
        self.config.write_text(toml(self.former), encoding="utf-8")

    def publish(self, collections: Mapping[str, str], *, files: str | None = None) -> None:
        """Let the CMR list these collections, and no others.

        Args:
            collections: their kinds, by concept id.
            files: root of the files' addresses; None for the CMR's own.
        """
        items, granules = [], []
        for concept_id, name in collections.items():
            kind = KINDS[name]
            at = self.file_of(concept_id, name)
            if kind.write is not None and not at.exists():
                at.parent.mkdir(parents=True, exist_ok=True)
                sample = self.folder / "samples" / kind.name
                if not sample.exists():
                    sample.parent.mkdir(exist_ok=True)
                    kind.write(sample)
                shutil.copy(sample, at)
            items.append(collection_item(concept_id, f"NAME_{concept_id}", "1", format=kind.format))
            address = f"{files or self.root}{FILES}{concept_id}/{kind.name}"
            granule_id = f"G{concept_id[1:]}"
            whole = (-180.0, -90.0, 180.0, 90.0)
            granules.append(
                (concept_id, granule_item(granule_id, concept_id, address, bounds=whole))
            )
        served = self.folder / "files"
        app = LocalCmrApp(items, granules, base_url=self.root, files=served, token=None)
        self.cmr.serve(app)

    def file_of(self, concept_id: str, kind: str) -> Path:
        """Where a collection's file is."""
        return self.folder / "files" / concept_id / KINDS[kind].name

    def repair(self, concept_id: str, kind: str) -> None:
        """Put a file that can be tiled in the place of a collection's own."""
        at = self.file_of(concept_id, kind)
        at.parent.mkdir(parents=True, exist_ok=True)
        _grid(at)

    def definitions(self, **overrides: object) -> dg.Definitions:
        if not overrides:
            return self._own_definitions
        return build_definitions(config_file=str(self.config), resource_overrides=overrides)

    @cached_property
    def _own_definitions(self) -> dg.Definitions:
        """Made once: their resources read the settings whenever they start."""
        return build_definitions(config_file=str(self.config))

    def run(self, job: str, *, config: Mapping[str, Any] | None = None) -> JobRun:
        return run_job(self.definitions(), self.instance, job, config=config)

    def check(self, *concept_ids: str, job: str = "check_collections") -> JobRun:
        """Check collections in a run whose config holds them."""
        return self.run(job, config=run_config([(one,) for one in concept_ids]))

    def materialize(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        """Materialize the results of a range of partitions, as a backfill's run would."""
        tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        return self.execute([RESULTS], tags=tags)

    def by_reason(self, partition: str) -> dg.ExecuteInProcessResult:
        """Materialize a partition of the by-reason asset."""
        return self.execute([dg.AssetKey("compatibility_by_reason")], partition_key=partition)

    def execute(self, assets: Sequence[dg.AssetKey], **more: Any) -> dg.ExecuteInProcessResult:
        """Materialize assets in one run."""
        job = self.definitions().resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=list(assets),
            raise_on_error=False,
            run_config=QUIET,
            **more,
        )

    def partitions(self) -> set[str]:
        """The collections that Dagster knows."""
        return set(self.instance.get_dynamic_partitions(str(COLLECTIONS.name)))

    def colours(self) -> dict[str, str]:
        """The partitions of the results that are green or red in the UI."""
        status = get_and_update_asset_status_cache_value(self.instance, RESULTS, COLLECTIONS)
        assert status is not None
        green = status.deserialize_materialized_partition_subsets(COLLECTIONS)
        red = status.deserialize_failed_partition_subsets(COLLECTIONS)
        running = status.deserialize_in_progress_partition_subsets(COLLECTIONS)
        assert not list(running.get_partition_keys())
        return dict.fromkeys(green.get_partition_keys(), "green") | dict.fromkeys(
            red.get_partition_keys(), "red"
        )

    def outcomes(self) -> dict[str, Outcome]:
        """All outcomes by concept id."""
        ledger = open_book(self.settings, self.store).ledger
        return {outcome.key[0]: outcome for outcome in ledger.read(ledger.entries())}

    def reasons(self) -> dict[str, str]:
        """How each collection stands."""
        return {concept_id: one.reason for concept_id, one in self.outcomes().items()}

    def records(self) -> dict[str, tuple[str, bytes]]:
        """Place and bytes of every record, by concept id; there is one of each."""
        found = {}
        for meta in self.store.list("collections"):
            concept_id = meta.path.split("/")[1]
            assert concept_id not in found, f"{concept_id} has two records"
            found[concept_id] = (meta.path, self.store.get(meta.path).data)
        return found

    def put(self, *outcomes: Outcome) -> None:
        """Store outcomes."""
        open_book(self.settings, self.store).ledger.put(outcomes)


def result(concept_id: str, reason: str = "none", **more: Any) -> Outcome:
    """A made-up outcome of long ago."""
    fields = {
        "product": COMPATIBILITY.product,
        "inputs": "revision 1",
        "run_id": "long-ago",
        "code_version": CODE_VERSION,
        "detail": {
            "collection_concept_id": concept_id,
            "tiling_compatible": reason == "none",
            "incompatible_reason": None if reason == "none" else reason,
            "revision_id": 1,
        },
    }
    return outcome(concept_id, reason=reason, **{**fields, **more})


@contextmanager
def compatibility_world(
    folder: Path,
    collections: Mapping[str, str],
    *,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> Iterator[CompatibilityWorld]:
    """Make a world.

    Args:
        folder: a new one.
        collections: kinds of the collections that the CMR lists, by concept id.
        settings: keys by group, over those that the world needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "files").mkdir()
    home = folder / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    cmr = WatchedCmr()
    with serve_asgi(cmr) as root, open_instance(home) as instance:
        world = CompatibilityWorld(folder, folder / "estinel.toml", instance, cmr, root)
        world.publish(collections)
        world.configure(
            store={"url": f"file://{folder}/store"},
            transport={"attempts": 2, "backoff_s": 0.01, "timeout_s": 10},
            compatibility={"cmr_url": f"{root}/search", "providers": [], "time_limit_s": 60},
            outcomes={"backoff_s": 3600},
        )
        world.configure(**(settings or {}))
        yield world
