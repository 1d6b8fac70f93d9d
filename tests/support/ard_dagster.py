"""A world for tests of ARD under Dagster: a table of tiles, a STAC API, a store, an instance.

Its three collections list nothing, so that every source honestly has nothing and no pixel is read;
`break_source` makes one fail. Arrays that stand are put there by `stand`, tiny ones.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import xarray as xr
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from estinel_assets.ard.ard_zarr import write_group
from estinel_assets.ard.opening import GROUPS_OF, open_ard_book, tile_table_of
from estinel_assets.ard.plan import fingerprint
from estinel_assets.ard.reasons import ARD
from estinel_assets.ard.tiles import Source, TileYear, parse_tag
from estinel_assets.build import build_definitions
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.orchestration.in_process import JobRun, open_instance, run_job
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.partitions import TILE_YEARS
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import Settings, load_settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import write_table
from tests.support.daemon import free_port
from tests.support.imagery import quiet_dagster as quiet_dagster
from tests.support.imagery import toml
from tests.support.outcomes import outcome
from tests.support.real import ROOT
from tests.support.stac_api import running_stac_api, stac_collection
from tests.support.tile_tables import BAMENDA

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
COLLECTIONS = ("cop-dem-glo-30", "sentinel-1-rtc", "sentinel-2-c1-l2a")
ASSETS = {"dem": "dem_ard", "s1": "sentinel1_ard", "s2": "sentinel2_ard"}
INBOX = "ard/inbox"
HEADER = "Year,Y_tile,X_tile\n"


@dataclass(frozen=True)
class ArdDagsterWorld:
    """One table of tiles, one STAC API, one store, one Dagster instance."""

    folder: Path
    config: Path
    instance: dg.DagsterInstance
    stac_url: str
    former: dict[str, dict[str, object]] = field(default_factory=dict)

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

    def break_source(self, source: str) -> None:
        """Let nobody answer for a source."""
        self.configure(ard={f"{source}_url": f"http://127.0.0.1:{free_port()}"})

    def repair_source(self, source: str) -> None:
        """Let it be as it was."""
        self.configure(ard={f"{source}_url": self.stac_url})

    def ask(self, name: str, body: str) -> str:
        """Leave a request in the inbox; gives its path."""
        self.store.put(f"{INBOX}/{name}", body.encode())
        return f"{INBOX}/{name}"

    def tile_year(self, tile: str, year: int = 2023) -> TileYear:
        """A tile of the table in a year."""
        numbers = parse_tag(tile)
        table = tile_table_of(self.settings, self.store)
        return TileYear(table.by_numbers({numbers})[numbers], year)

    def stand(self, tile: str, source: str, **more: Any) -> Outcome:
        """Let arrays of a tile-year stand, with their outcome."""
        one, kind = self.tile_year(tile), Source(source)
        for group in GROUPS_OF[kind]:
            values = np.full((2, 2), 1.5, dtype=np.float32)
            dataset = xr.Dataset({"slope": (("y", "x"), values)}, attrs={"group": group})
            write_group(self.store, one.store_path, group, dataset, root={"tile": tile})
        made = self.ended(tile, source, "none", **more)
        self.put(made)
        return made

    def ended(self, tile: str, source: str, reason: str, **more: Any) -> Outcome:
        """A made-up outcome of a minute ago."""
        one, now = self.tile_year(tile), datetime.now(UTC)
        fields: dict[str, Any] = {
            "product": ARD.product,
            "inputs": fingerprint(one, Source(source), self.settings.ard),
            "run_id": "long-ago",
            "started_at": now,
            "finished_at": now,
            "detail": {"region": "here", "seconds": {"read": 3.0}},
        }
        return outcome(*one.outcome_key(Source(source)), reason=reason, **{**fields, **more})

    def put(self, *outcomes: Outcome) -> None:
        """Store outcomes."""
        open_ard_book(self.settings, self.store).ledger.put(outcomes)

    def outcomes(self) -> dict[str, Outcome]:
        """All outcomes, by key as `2023/11X7Y/s2`."""
        ledger = open_ard_book(self.settings, self.store).ledger
        return {"/".join(one.key): one for one in ledger.read(ledger.entries())}

    def reasons(self) -> dict[str, str]:
        """How each key stands."""
        return {key: one.reason for key, one in self.outcomes().items()}

    # --- Dagster -----------------------------------------------------------------------------

    def definitions(self) -> dg.Definitions:
        """The same each time: settings are read when a run starts."""
        return _definitions(str(self.config))

    def run(self, job: str, *, config: Mapping[str, Any] | None = None) -> JobRun:
        return run_job(self.definitions(), self.instance, job, config=config)

    def make(self, *keys: str, job: str = "make_tiles") -> JobRun:
        """Make keys, as `2023/11X7Y/s2`, in a run whose config holds them."""
        return self.run(job, config=run_config([tuple(key.split("/")) for key in keys]))

    def materialize(self, asset: str, first: str, last: str) -> dg.ExecuteInProcessResult:
        """Materialize a range of partitions, as a backfill's run would."""
        tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        return self.execute([dg.AssetKey(asset)], tags=tags)

    def by_reason(self, partition: str) -> dg.ExecuteInProcessResult:
        """Materialize a partition of the by-reason asset."""
        return self.execute([dg.AssetKey("ard_by_reason")], partition_key=partition)

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
        """The tile-years that Dagster knows."""
        return set(self.instance.get_dynamic_partitions(str(TILE_YEARS.name)))

    def add_partitions(self, *keys: str) -> None:
        self.instance.add_dynamic_partitions(str(TILE_YEARS.name), list(keys))

    def colours(self, asset: str) -> dict[str, str]:
        """The partitions of an asset that are green or red in the UI."""
        key = dg.AssetKey(asset)
        status = get_and_update_asset_status_cache_value(self.instance, key, TILE_YEARS)
        assert status is not None
        green = status.deserialize_materialized_partition_subsets(TILE_YEARS)
        red = status.deserialize_failed_partition_subsets(TILE_YEARS)
        return dict.fromkeys(green.get_partition_keys(), "green") | dict.fromkeys(
            red.get_partition_keys(), "red"
        )

    def shown(self, asset: str) -> dict[str, Any]:
        """What the latest materialization of an asset without partitions said of itself."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        said = event.asset_materialization.metadata
        return {name: entry.value for name, entry in said.items()}


@cache
def _definitions(config: str) -> dg.Definitions:
    return build_definitions(config_file=config)


@contextmanager
def ard_dagster_world(
    folder: Path, *, settings: Mapping[str, Mapping[str, object]] | None = None
) -> Iterator[ArdDagsterWorld]:
    """Make a world of 25 tiles, `11X7Y` to `15X11Y` around Bamenda, of which nothing is made yet.

    Args:
        folder: a new one.
        settings: keys by group, over those that the world needs.
    """
    (folder / "stac").mkdir(parents=True)
    home = folder / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    collections = [stac_collection(one) for one in COLLECTIONS]
    with (
        running_stac_api(folder / "stac", collections) as url,
        open_instance(home) as instance,
    ):
        world = ArdDagsterWorld(folder, folder / "estinel.toml", instance, url)
        world.configure(
            store={"url": f"file://{folder}/store"},
            transport={"attempts": 1, "backoff_s": 0.01, "timeout_s": 10},
            ard={
                "tile_table": "grid/tiles.parquet",
                "inbox": INBOX,
                "retries": 0,
                "dem_url": url,
                "s1_url": url,
                "s2_url": url,
            },
            outcomes={"backoff_s": 3600},
        )
        world.configure(**(settings or {}))
        write_table(world.store, "grid/tiles.parquet", made_tile_table([BAMENDA], rings=2))
        yield world
