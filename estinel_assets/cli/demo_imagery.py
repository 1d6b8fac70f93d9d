"""The imagery demo's work: its world on disk, and the runs over it."""

import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from estinel_assets.build import build_definitions
from estinel_assets.cli.progress import progress
from estinel_assets.demo.world import DEMO_SEED, World, build_world, pass_a_day
from estinel_assets.errors import EstinelError
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.plan import outcomes_by_day
from estinel_assets.imagery.reasons import SEARCH_KEY, ImageryReason
from estinel_assets.imagery.site_imagery import SiteImagery
from estinel_assets.imagery.sites import load_sites
from estinel_assets.orchestration.in_process import JobRun, open_instance, run_job
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.settings import load_settings
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import load_items
from estinel_assets.storage.opening import open_store

if TYPE_CHECKING:
    from estinel_assets.cli.demo import DemoFolder

_SETTINGS = """\
# Settings of the demo. Everything that is not here has its default.
[store]
url = "file://{store}"

[stac]
url = "http://127.0.0.1:{port}"
collection = "sentinel-2-c1-l2a"

[transport]
# One of the demo's files is cut short; there is no use in waiting for it.
attempts = 2
backoff_s = 0.1

[imagery]
sites = "{sites}"
# The demo's scenes are months apart; real ones are days apart, and 30 days are enough.
rescan_days = 400
"""


def make_world(at: "DemoFolder", port: int) -> World:
    """Make the world's scenes, catalogue, settings and Dagster home, all anew.

    Args:
        at: where to; what an earlier demo left there is deleted.
        port: where it will answer; another one is taken when it is in use.
    """
    from estinel_assets.cli.demo import checkout, free_port

    for old in (at.world, at.store, at.home):
        shutil.rmtree(old, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        at.database.with_name(at.database.name + suffix).unlink(missing_ok=True)
    at.home.mkdir(parents=True)
    shutil.copy(checkout() / "dagster.yaml", at.home / "dagster.yaml")
    world = build_world(at.world, seed=DEMO_SEED)
    load_items(Database(at.database), world.collections, world.items)
    at.config.write_text(
        _SETTINGS.format(store=at.store, port=free_port(port), sites=world.sites), encoding="utf-8"
    )
    return world


def let_a_day_pass(at: "DemoFolder", world: World) -> None:
    """Bring a late scene, a reprocessed one, a repaired file and a new day."""
    load_items(Database(at.database), (), pass_a_day(world))


def run_imagery(at: "DemoFolder") -> dict[str, Any]:
    """Update every site of the world, and the web catalogue after them.

    Returns:
        What this update did, in sum and a row a site.
    """
    began = time.monotonic()
    defs = build_definitions(config_file=str(at.config))
    settings = load_settings(at.config)
    store = open_store(settings.store.url)
    sites = load_sites(settings.imagery.sites, store)
    rows = []
    with open_instance(at.home) as instance, progress("Sites", total=len(sites)) as step:
        _need(run_job(defs, instance, "refresh_sites"))
        for site in sites:
            started = time.monotonic()
            done = run_job(defs, instance, "update_site", site.site_id)
            counts = _counts(open_site(site, settings, store, "demo"), done.run_id)
            if not counts["faults"]:
                # One file of the demo is cut short on purpose; nothing else may fail.
                _need(done)
            rows.append(
                {
                    "location": site.location,
                    "SITE_ID": site.site_id,
                    **counts,
                    "seconds": round(time.monotonic() - started, 1),
                }
            )
            step(site.location)
        _need(run_job(defs, instance, "build_web_catalog"))
    return {
        "queries": len(rows),
        "requests": sum(row["requests"] for row in rows),
        "days": sum(row["days"] for row in rows),
        "images": sum(row["images"] for row in rows),
        "seconds": round(time.monotonic() - began, 1),
        "sites": rows,
    }


def _need(run: JobRun) -> None:
    if not run.success:
        raise EstinelError(f"run {run.run_id} failed: {run.error}")


def _counts(imagery: SiteImagery, run_id: str) -> dict[str, Any]:
    """What one run did at a site."""
    index = imagery.book.index(imagery.partition)
    search = imagery.book.ledger.get((imagery.site.site_id, SEARCH_KEY))
    found = search.detail if search is not None and search.status else {}
    reasons = Counter(
        row.reason for row in outcomes_by_day(index.values()).values() if row.run_id == run_id
    )
    images = reasons.pop(ImageryReason.NONE, 0)
    faults = {why: n for why, n in reasons.items() if parse_reason(ImageryReason, why).fault}
    return {
        "scenes": found.get("scenes_known", 0),
        "requests": found.get("requests", 0),
        "days": images + reasons.total(),
        "images": images,
        "honest": {why: n for why, n in sorted(reasons.items()) if why not in faults},
        "faults": dict(sorted(faults.items())),
    }
