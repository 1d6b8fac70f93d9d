"""A world for tests of publishing under Dagster: an inbox, the three targets, an instance.

The targets are real and small: a local store, the dataset index beside it in SQLite, and the
embedded STAC API with its transactions.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from estinel_assets.build import build_definitions
from estinel_assets.orchestration.in_process import JobRun, open_instance, run_job
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.partitions import PUBLICATIONS
from estinel_assets.outcomes.record import Outcome
from estinel_assets.publishing.layout import ROOT as RECORDS
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.opening import CODE_VERSION, open_book, opened_publications
from estinel_assets.publishing.ports import DocumentQuery
from estinel_assets.publishing.publications import Request
from estinel_assets.publishing.reasons import PUBLISHING
from estinel_assets.settings import Settings, load_settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.imagery import quiet_dagster as quiet_dagster
from tests.support.imagery import toml
from tests.support.job_folders import CATALOGS, ENTRY, JobFolder
from tests.support.outcomes import outcome
from tests.support.publishing import Fault, Mode, World, faulty
from tests.support.real import ROOT
from tests.support.stac_api import running_stac_api
from tests.support.watched_store import Crash, bury

ASSET = dg.AssetKey("publications")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class PublishingWorld:
    """One inbox, one store with its index, one STAC API, one Dagster instance."""

    folder: Path
    config: Path
    instance: dg.DagsterInstance
    stac_url: str
    former: dict[str, dict[str, object]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    """Ids of runs, by what a test calls them."""

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.settings.store.url)

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    def configure(self, **groups: Mapping[str, object]) -> None:
        """Change settings: keys by group."""
        for group, values in groups.items():
            self.former.setdefault(group, {}).update(values)
        self.config.write_text(toml(self.former), encoding="utf-8")

    # --- folders -----------------------------------------------------------------------------

    def job(self, name: str) -> JobFolder:
        """A job's folder in the inbox."""
        (self.inbox / name).mkdir(exist_ok=True)
        return JobFolder(self.inbox / name)

    def dataset(self, name: str, body: bytes = b"image") -> JobFolder:
        """A job with one dataset of one file."""
        made = self.job(name)
        made.dataset(f"AOI_{name}", {"image.tif": body})
        return made

    def catalog(self, name: str, items: Mapping[str, bytes] | None = None) -> JobFolder:
        """A job with one STAC catalogue of some items: `a-{name}` and `b-{name}` by default."""
        made = self.job(name)
        usual = {f"a-{name}": b"asset a", f"b-{name}": b"asset b"}
        made.catalog(f"stac_catalog_{name}", usual if items is None else items)
        return made

    def without_asset(self, name: str) -> Path:
        """A job with a catalogue of which one asset is missing; gives the asset's path."""
        absent = self.catalog(name).root / f"stac_catalog_{name}" / "c" / f"b-{name}.tif"
        absent.unlink()
        return absent

    def take_away(self, name: str) -> None:
        """Delete a job's folder."""
        shutil.rmtree(self.inbox / name)

    # --- runs --------------------------------------------------------------------------------

    def definitions(self) -> dg.Definitions:
        return self._own_definitions

    @cached_property
    def _own_definitions(self) -> dg.Definitions:
        """Made once: their resources read the settings whenever they start."""
        return build_definitions(config_file=str(self.config))

    def run(self, job: str, *, config: Mapping[str, Any] | None = None) -> JobRun:
        return run_job(self.definitions(), self.instance, job, config=config)

    def publish(self, *names: str, job: str = "publish_folders") -> JobRun:
        """Publish folders in a run whose config holds their keys."""
        return self.run(job, config=run_config([(one,) for one in names]))

    def materialize(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        """Materialize a range of partitions, as a backfill's run would."""
        tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        return self.execute([ASSET], tags=tags)

    def by_reason(self, partition: str) -> dg.ExecuteInProcessResult:
        """Materialize a partition of the by-reason asset."""
        return self.execute([dg.AssetKey("publishing_by_reason")], partition_key=partition)

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

    def break_off(self, name: str, *, at: int, only: str = "") -> None:
        """Publish a folder with a worker that dies at its n-th effect; its lease is stale then."""
        with opened_publications(self.settings, self.store, "a-worker-that-died") as opened:
            publisher = opened.publisher
            targets = publisher.targets
            assert targets.stac is not None
            world = World(targets.journal, targets.index, targets.stac, targets.journal)
            fault = Fault(at, mode=Mode.DEAD, only=only)
            dying = replace(publisher, targets=faulty(world, fault))
            request = Request.of(self.inbox / name, name, Policy.REPLACE)
            with pytest.raises(Crash):
                replace(opened, publisher=dying).publish(request)
        bury(self.store)

    # --- what stands -------------------------------------------------------------------------

    def partitions(self) -> set[str]:
        """The publications that Dagster knows."""
        return set(self.instance.get_dynamic_partitions(str(PUBLICATIONS.name)))

    def colours(self) -> dict[str, str]:
        """The partitions that are green or red in the UI."""
        status = get_and_update_asset_status_cache_value(self.instance, ASSET, PUBLICATIONS)
        assert status is not None
        green = status.deserialize_materialized_partition_subsets(PUBLICATIONS)
        red = status.deserialize_failed_partition_subsets(PUBLICATIONS)
        running = status.deserialize_in_progress_partition_subsets(PUBLICATIONS)
        assert not list(running.get_partition_keys())
        return dict.fromkeys(green.get_partition_keys(), "green") | dict.fromkeys(
            red.get_partition_keys(), "red"
        )

    def events(
        self, run_id: str, kind: dg.DagsterEventType, asset: dg.AssetKey = ASSET
    ) -> dict[str, dict[str, Any]]:
        """The metadata of a run's events about an asset, by partition."""
        found = {}
        for entry in self.instance.all_logs(run_id, of_type=kind):
            assert entry.dagster_event is not None
            specific: Any = entry.dagster_event.event_specific_data
            event = getattr(specific, "materialization", None) or specific.asset_observation
            if event.asset_key != asset:
                continue
            assert event.partition not in found
            found[event.partition] = {name: value.value for name, value in event.metadata.items()}
        return found

    def outcomes(self) -> dict[str, Outcome]:
        """All outcomes by publication."""
        ledger = open_book(self.settings, self.store).ledger
        return {outcome.key[0]: outcome for outcome in ledger.read(ledger.entries())}

    def reasons(self) -> dict[str, str]:
        """How each publication ended."""
        return {name: one.reason for name, one in self.outcomes().items()}

    def put(self, *outcomes: Outcome) -> None:
        """Store outcomes."""
        open_book(self.settings, self.store).ledger.put(outcomes)

    def standing(self) -> dict[str, Any]:
        """What readers can see of publications, in full."""
        with opened_publications(self.settings, self.store, "a-reader") as opened:
            documents = opened.publisher.targets.index.search(DocumentQuery())
            found: dict[str, Any] = {"documents": {one.id: one.document for one in documents}}
        found["objects"] = {
            meta.path: self.store.get(meta.path).data
            for folder in ("products", "catalogs", "browse")
            for meta in self.store.list(folder)
        }
        found["items"] = items_at(self.stac_url)
        return found

    def open_journals(self) -> list[str]:
        """Objects of journals that are not closed."""
        return [meta.path for meta in self.store.list(RECORDS) if "/journal/" in meta.path]


def items_at(url: str) -> dict[str, list[str]]:
    """Ids of the items of a STAC API, by collection."""
    listed = requests.get(f"{url}/collections", timeout=30).json()["collections"]
    found = {}
    for collection in listed:
        at = f"{url}/collections/{collection['id']}/items"
        features = requests.get(at, params={"limit": "100"}, timeout=30).json()["features"]
        found[collection["id"]] = sorted(one["id"] for one in features)
    return found


def publication(name: str, reason: str = "none", **more: Any) -> Outcome:
    """A made-up outcome of long ago."""
    fields = {
        "product": PUBLISHING.product,
        "inputs": "",
        "run_id": "long-ago",
        "code_version": CODE_VERSION,
        "detail": {},
    }
    return outcome(name, reason=reason, **{**fields, **more})


@contextmanager
def publishing_world(
    folder: Path, *, settings: Mapping[str, Mapping[str, object]] | None = None
) -> Iterator[PublishingWorld]:
    """Make a world with an empty inbox.

    Args:
        folder: a new one.
        settings: keys by group, over those that the world needs.
    """
    (folder / "inbox").mkdir(parents=True)
    (folder / "stac").mkdir()
    home = folder / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    routes = folder / "datasets.json"
    routes.write_text(json.dumps({"datasets": [ENTRY, CATALOGS]}))
    with (
        running_stac_api(folder / "stac", transactions=True) as url,
        open_instance(home) as instance,
    ):
        world = PublishingWorld(folder, folder / "estinel.toml", instance, url)
        world.configure(
            store={"url": f"file://{folder}/store"},
            transport={"attempts": 1, "backoff_s": 0.01, "timeout_s": 10},
            publishing={
                "config": str(routes),
                "inbox": str(folder / "inbox"),
                "quiet_s": 0,
                "stac_url": url,
            },
            outcomes={"backoff_s": 3600},
        )
        world.configure(**(settings or {}))
        yield world
