"""Opens a site for work, from settings and a store."""

from collections.abc import Callable
from datetime import datetime

from estinel_assets import __version__
from estinel_assets.clock import utc_now
from estinel_assets.imagery.reasons import IMAGERY
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_imagery import SiteImagery
from estinel_assets.imagery.windows import site_window
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import Settings
from estinel_assets.stac.bands import Provider
from estinel_assets.storage.port import ObjectStore

CODE_VERSION = "1"
"""Of the images: raise it when the same scenes would give other pixels."""


def open_site(
    site: Site,
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
) -> SiteImagery:
    """Open a site; nothing is read or locked yet.

    Args:
        site: the site.
        settings: all settings.
        store: where everything is.
        run_id: stands in the outcomes of whatever is done.
        clock: the time, UTC and aware.
    """
    return SiteImagery(
        site=site,
        window=site_window(site, settings.imagery.window_rule),
        settings=settings,
        store=store,
        book=OutcomeBook.from_settings(store, IMAGERY, settings.outcomes),
        provider=Provider(settings.stac.provider),
        run=Run(run_id, clock, f"{__version__}/{CODE_VERSION}"),
    )
