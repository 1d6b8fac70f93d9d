"""A world of one site for tests of imagery: scenes, a STAC API, settings, Dagster.

The scenes are those of the demo's Hobart, moved to successive days of December 2024, so that no
day is far from another: `plain_scenes` holds five days whose images can all be made. They are read
as local files unless a test serves them; then the server must run in another process (see
`raster_server`). The STAC API may run in a thread here: GDAL never asks it anything.
"""

import copy
import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from estinel_assets.build import build_definitions
from estinel_assets.demo.items import collection
from estinel_assets.demo.world import DEMO_SEED, ITEMS_FILE, build_world
from estinel_assets.imagery.reasons import IMAGERY
from estinel_assets.imagery.site_id import site_id
from estinel_assets.orchestration.in_process import JobRun, run_job
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import Settings, load_settings
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import ItemRepository
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.s3 import S3Access
from tests.support.sharing import shared_folder
from tests.support.stac_api import DATABASE_NAME, running_stac_api

Item = dict[str, Any]

quiet_dagster = pytest.mark.filterwarnings(
    "ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"
)
"""For modules that run jobs: Dagster 1.13 itself calls what it has deprecated."""

HOBART = 'Hobart,147.3257,-42.8826,10,400,300,"tasmania,estuary"'
"""A row of the table of sites: a window of about 80 x 60 pixels."""
SITES_HEADER = "location,lon,lat,resolution,radiusx,radiusy,purpose"
FIRST_DAY = date(2024, 12, 1)
COLLECTION = "sentinel-2-c1-l2a"

# In the demo, by sensing day. That of 30 April has a truncated file.
_DAYS = ("20240210", "20240624", "20240803", "20241017", "20241204", "20250202")


@cache
def demo_scenes(base: Path) -> tuple[Path, str]:
    """The demo's Hobart, made once for all tests of a run; do not change its files.

    Args:
        base: `tmp_path_factory.getbasetemp()`.

    Returns:
        The folder of the scenes, and the items as JSON with addresses relative to it.
    """
    with shared_folder(base, "demo-hobart") as folder:
        if not (folder / ITEMS_FILE).exists():  # it is written last
            build_world(folder, seed=DEMO_SEED, locations=["Hobart"])
    return folder, json.dumps(json.loads((folder / ITEMS_FILE).read_text())["features"])


def plain_scenes(base: Path, root: str | None = None) -> list[Item]:
    """Items of five consecutive days from `FIRST_DAY` on, all of which give images.

    The first day has two versions of a scene, the last but one the two halves of a tile.

    Args:
        base: see `demo_scenes`.
        root: what addresses begin with; None for local files.
    """
    folder, text = demo_scenes(base)
    by_day: dict[str, list[Item]] = {}
    for item in json.loads(text):
        by_day.setdefault(item["properties"]["datetime"][:10].replace("-", ""), []).append(item)
    chosen = [by_day[day] for day in _DAYS if day != "20241017"]
    return [
        at_root(on_day(item, FIRST_DAY + timedelta(days=number)), root or f"file://{folder}")
        for number, items in enumerate(chosen)
        for item in items
    ]


def cloudy_scene(base: Path, day: date) -> Item:
    """A scene that is all clouds."""
    folder, text = demo_scenes(base)
    found = next(item for item in json.loads(text) if "20241017" in item["id"])
    return at_root(on_day(found, day), f"file://{folder}")


def on_day(item: Item, day: date) -> Item:
    """An item as if it had been sensed such that its solar day in Hobart is that day."""
    former = datetime.fromisoformat(item["properties"]["datetime"])
    instant = datetime.combine(day, former.time(), former.tzinfo)
    if former.hour > 14:  # past midnight in Hobart
        instant -= timedelta(days=1)
    moved = json.dumps({key: value for key, value in item.items() if key != "assets"})
    for form in ("%Y%m%d", "%Y-%m-%d"):
        moved = moved.replace(former.strftime(form), instant.strftime(form))
    return {**json.loads(moved), "assets": copy.deepcopy(item["assets"])}


def at_root(item: Item, root: str) -> Item:
    """An item whose addresses begin with a root."""
    placed = copy.deepcopy(item)
    for asset in placed["assets"].values():
        asset["href"] = f"{root.rstrip('/')}/{asset['href']}"
    return placed


def stamped(item: Item, updated: str = "2025-06-01T00:00:00Z") -> Item:
    """A newer version of an item, under the same id."""
    changed = copy.deepcopy(item)
    changed["properties"]["updated"] = updated
    return changed


@dataclass(frozen=True)
class ImageryWorld:
    """One STAC API, one store, one Dagster instance and the sites of one table."""

    folder: Path
    config: Path
    instance: dg.DagsterInstance
    locations: tuple[str, ...]
    access: S3Access | None = None
    """Opens the store, where it is S3."""
    former: dict[str, Any] = field(default_factory=dict)

    @property
    def site(self) -> str:
        """The SITE_ID of the first site."""
        return site_id(self.locations[0])

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    @property
    def store(self) -> ObjectStore:
        at = self.settings.store
        if self.access is None:
            return open_store(at.url)
        return open_store(at.url, endpoint_url=at.endpoint_url, session=self.access.session())

    def definitions(self, **overrides: object) -> dg.Definitions:
        if not overrides:
            return self._own_definitions
        return build_definitions(config_file=str(self.config), resource_overrides=overrides)

    @cached_property
    def _own_definitions(self) -> dg.Definitions:
        """Made once: their resources read the settings whenever they start."""
        return build_definitions(config_file=str(self.config))

    def run(self, job: str, partition: str | None = None, **overrides: object) -> JobRun:
        return run_job(self.definitions(**overrides), self.instance, job, partition)

    def update(self, site: str | None = None, **overrides: object) -> JobRun:
        """Run `update_site` for one site, the first unless told."""
        return self.run("update_site", site or self.site, **overrides)

    def materialize(self, *assets: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        """Materialize assets by themselves, for the first site unless told."""
        defs = self.definitions()
        job = defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in assets],
            partition_key=partition or self.site,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def outcomes(self, site: str | None = None) -> dict[str, Outcome]:
        """The site's outcomes, by the last part of their key."""
        ledger = ObjectLedger(
            self.store, IMAGERY.product, "outcomes/imagery", field_name=IMAGERY.field_name
        )
        every = ledger.read(ledger.entries())
        wanted = site or self.site
        return {outcome.key[-1]: outcome for outcome in every if outcome.key[0] == wanted}

    def reasons(self, site: str | None = None) -> dict[str, str]:
        """The reasons of the site's days, by day."""
        return {
            day: outcome.reason for day, outcome in self.outcomes(site).items() if day != "search"
        }

    def products(self, *folders: str) -> dict[str, bytes]:
        """The published objects, by path; those of some folders only, if any are named."""
        names = folders or (COLLECTION, "sentinel-2-l2a", "thumbs")
        store = self.store
        return {meta.path: store.get(meta.path).data for name in names for meta in store.list(name)}

    def versions(self, *folders: str) -> dict[str, tuple[str, datetime]]:
        """Etag and time of the published objects, by path."""
        names = folders or (COLLECTION, "sentinel-2-l2a", "thumbs")
        return {
            meta.path: (meta.etag, meta.last_modified)
            for name in names
            for meta in self.store.list(name)
        }

    def catalog(self) -> dict[str, Any]:
        """The web catalogue as it stands."""
        document: dict[str, Any] = json.loads(self.store.get("catalog/image-catalog.json").data)
        return document

    def fragment(self, site: str | None = None) -> dict[str, Any]:
        """The site's part of the catalogue as it stands."""
        path = f"catalog/fragments/{site or self.site}.json"
        document: dict[str, Any] = json.loads(self.store.get(path).data)["location"]
        return document

    def publish(self, *items: Item) -> None:
        """Put items into the STAC API, replacing those with the same id."""
        self._on_the_api(lambda repository: repository.upsert_items(items))

    def withdraw(self, *items: Item) -> None:
        """Take items out of the STAC API."""
        ids = [item["id"] for item in items]
        self._on_the_api(lambda repository: repository.delete_items(items[0]["collection"], ids))

    @contextmanager
    def put_back(self, items: Iterable[Item]) -> Iterator["ImageryWorld"]:
        """The same world for one test: store and scenes are put back at the end.

        Runs are recorded in an instance of the test's own.

        Args:
            items: what the STAC API has now, and shall have again.
        """
        kept = self.folder / "kept"
        shutil.copytree(self.folder / "store", kept)
        try:
            with dg.DagsterInstance.ephemeral() as instance:
                known = self.instance.get_dynamic_partitions("sites")
                instance.add_dynamic_partitions("sites", list(known))
                yield replace(self, instance=instance)
        finally:
            shutil.rmtree(self.folder / "store")
            kept.rename(self.folder / "store")
            self.publish(*items)

    def configure(self, **groups: Mapping[str, object]) -> None:
        """Change settings: keys by group."""
        for group, values in groups.items():
            self.former.setdefault(group, {}).update(values)
        self.config.write_text(toml(self.former), encoding="utf-8")

    def move(self, url: str, *, access: S3Access | None = None) -> "ImageryWorld":
        """The same world on another store, whose table of sites is read; the former stays."""
        store: dict[str, object] = {"url": url}
        if access is not None:
            store["endpoint_url"] = access.endpoint_url
        kept = {key: value for key, value in self.former["store"].items() if key == "public_url"}
        groups = {**self.former, "store": {**kept, **store}}
        name = hashlib.sha256(url.encode()).hexdigest()[:8]
        moved = replace(
            self, config=self.folder / f"estinel-{name}.toml", former=groups, access=access
        )
        moved.configure()
        ran = moved.run("refresh_sites")
        assert ran.success, ran.error
        return moved

    def _on_the_api(self, change: Callable[[ItemRepository], object]) -> None:
        with Database(self.folder / DATABASE_NAME) as database:
            change(ItemRepository(database))


@contextmanager
def imagery_world(
    folder: Path,
    items: Iterable[Item],
    *,
    sites: Sequence[str] = (HOBART,),
    access: S3Access | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> Iterator[ImageryWorld]:
    """Make a world, and read its table of sites.

    Args:
        folder: a new one.
        items: what the STAC API has at first.
        sites: rows of the table of sites.
        access: an S3 server to keep the store on; None for a local folder.
        settings: keys by group, over those that the world needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "sites.csv"
    table.write_text("\n".join([SITES_HEADER, *sites, ""]), encoding="utf-8")
    given = list(items)
    collections = [{**collection(), "id": name} for name in ("sentinel-2-l2a", COLLECTION)]
    with running_stac_api(folder, collections, given) as url:
        store: dict[str, object] = {"url": f"file://{folder}/store"}
        if access is not None:
            store = {"url": access.url("store"), "endpoint_url": access.endpoint_url}
        wanted: dict[str, dict[str, object]] = {
            "store": store,
            "stac": {"url": url, "collection": COLLECTION},
            "transport": {"attempts": 2, "backoff_s": 0.01, "timeout_s": 5},
            "imagery": {"sites": str(table)},
        }
        for group, values in (settings or {}).items():
            wanted.setdefault(group, {}).update(values)
        with dg.DagsterInstance.ephemeral() as instance:
            locations = tuple(site_locations(table))
            world = ImageryWorld(
                folder, folder / "estinel.toml", instance, locations, access, wanted
            )
            world.configure()
            ran = world.run("refresh_sites")
            assert ran.success, ran.error
            yield world


def site_locations(table: Path) -> list[str]:
    """The names in a table of sites."""
    with table.open(newline="", encoding="utf-8") as rows:
        return [row["location"] for row in csv.DictReader(rows)]


def toml(groups: Mapping[str, Mapping[str, object]]) -> str:
    """Settings as TOML: texts, numbers and flags."""
    lines = []
    for group, values in groups.items():
        # JSON writes texts and numbers as TOML does.
        lines += [f"[{group}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join([*lines, ""])


def digests(objects: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 by path: what a failed comparison can show."""
    return {path: hashlib.sha256(body).hexdigest() for path, body in sorted(objects.items())}
