"""Imagery's sensors: thin, a pure difference each."""

from hashlib import sha256

import dagster as dg

from estinel_assets.errors import EstinelError
from estinel_assets.imagery.jobs import build_web_catalog, refresh_sites
from estinel_assets.imagery.layout import FRAGMENTS
from estinel_assets.imagery.sites import load_sites
from estinel_assets.orchestration.resources import SettingsResource, StoreResource


@dg.sensor(job=refresh_sites, minimum_interval_seconds=300)
def sites_sensor(settings: SettingsResource, store: StoreResource) -> dg.RunRequest | dg.SkipReason:
    """Asks for `refresh_sites` when the table of sites changed."""
    at = settings.load().imagery
    try:
        sites = load_sites(
            at.sites, store.open(), max_window_pixels=at.max_window_pixels, rule=at.window_rule
        )
    except EstinelError as error:
        return dg.SkipReason(f"the table of sites is not usable: {error}")
    content = repr((sites, at.window_rule)).encode()
    return dg.RunRequest(run_key=f"sites-{sha256(content).hexdigest()[:16]}")


@dg.sensor(job=build_web_catalog, minimum_interval_seconds=60)
def web_catalog_sensor(store: StoreResource) -> dg.RunRequest | dg.SkipReason:
    """Asks for `build_web_catalog` when a site's part of the catalogue changed."""
    fragments = sorted((meta.path, meta.etag) for meta in store.open().list(FRAGMENTS))
    if not fragments:
        return dg.SkipReason("no site has a part of the catalogue yet")
    return dg.RunRequest(run_key=f"catalog-{sha256(repr(fragments).encode()).hexdigest()[:16]}")


SENSORS = [sites_sensor, web_catalog_sensor]
