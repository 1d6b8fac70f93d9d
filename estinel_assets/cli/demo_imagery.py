"""The imagery demo's work: its world on disk, and the runs over it."""

import shutil
import socket
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estinel_assets.build import build_definitions
from estinel_assets.cli.progress import progress
from estinel_assets.demo.world import build_world
from estinel_assets.imagery.reasons import IMAGERY, SEARCH_KEY, ImageryReason
from estinel_assets.imagery.sites import load_sites
from estinel_assets.orchestration.in_process import open_instance, run_job
from estinel_assets.outcomes.book import OutcomeBook
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
"""


def make_world(at: "DemoFolder", seed: int, port: int) -> None:
    """Make the world's scenes, catalogue, settings and Dagster home, all anew.

    Args:
        at: where to; what an earlier demo left there is deleted.
        seed: decides what the world looks like.
        port: where it will answer; another one is taken when it is in use.
    """
    from estinel_assets.cli.demo import checkout

    for old in (at.world, at.store, at.home):
        shutil.rmtree(old, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        at.database.with_name(at.database.name + suffix).unlink(missing_ok=True)
    at.home.mkdir(parents=True)
    shutil.copy(checkout() / "dagster.yaml", at.home / "dagster.yaml")
    world = build_world(at.world, seed=seed)
    load_items(Database(at.database), world.collections, world.items)
    at.config.write_text(
        _SETTINGS.format(store=at.store, port=_free(port), sites=world.sites), encoding="utf-8"
    )


def run_imagery(at: "DemoFolder") -> list[dict[str, Any]]:
    """Run imagery over the world, every site, and the web catalogue after them.

    Returns:
        One row a site: what was found and made.
    """
    defs = build_definitions(config_file=str(at.config))
    settings = load_settings(at.config)
    store = open_store(settings.store.url)
    sites = load_sites(settings.imagery.sites, store)
    rows = []
    with open_instance(at.home) as instance, progress("Sites", total=len(sites)) as step:
        run_job(defs, instance, "refresh_sites")
        for site in sites:
            started = time.monotonic()
            run_job(defs, instance, "update_site", site.site_id)
            rows.append(
                {
                    "location": site.location,
                    "SITE_ID": site.site_id,
                    **_counts(at.config, site.site_id),
                    "seconds": round(time.monotonic() - started, 1),
                }
            )
            step(site.location)
        run_job(defs, instance, "build_web_catalog")
    return rows


def _counts(config: Path, site_id: str) -> dict[str, Any]:
    settings = load_settings(config)
    book = OutcomeBook.from_settings(open_store(settings.store.url), IMAGERY, settings.outcomes)
    index = book.index((site_id,))
    search = book.ledger.get((site_id, SEARCH_KEY))
    reasons = Counter(row.reason for key, row in index.items() if key[-1] != SEARCH_KEY)
    images = reasons.pop(ImageryReason.NONE, 0)
    faults = {why: n for why, n in reasons.items() if parse_reason(ImageryReason, why).fault}
    return {
        "scenes": search.detail["scenes_known"] if search is not None and search.status else 0,
        "days": images + reasons.total(),
        "images": images,
        "honest": {why: n for why, n in sorted(reasons.items()) if why not in faults},
        "faults": dict(sorted(faults.items())),
    }


def _free(port: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
