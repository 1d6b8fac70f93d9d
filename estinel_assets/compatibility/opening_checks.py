"""Opens what a run over collections needs, from the settings."""

from estinel_assets.clock import utc_now
from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.compatibility.request import CheckSettings
from estinel_assets.compatibility.runner import Checks
from estinel_assets.compute import Engine, Threads
from estinel_assets.compute.processes import Processes
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

CODE_VERSION = "1"
"""Of the product line; a new one says that results may differ."""
PRELOADED = (
    "estinel_assets.compatibility.check",
    "h5netcdf",
    "obstore.store",
    "rasterio",
    "rio_tiler.io",
    "titiler.xarray.io",
    "xarray",
)
"""What every check imports: once, in the server that processes are forked from."""


def open_book(settings: Settings, store: ObjectStore) -> OutcomeBook:
    """The results."""
    return OutcomeBook.from_settings(store, COMPATIBILITY, settings.outcomes)


def open_engine(settings: Settings) -> Engine:
    """What runs checks: processes that may be stopped, or threads, which may not."""
    at = settings.compatibility
    if at.engine == "threads":
        return Threads(at.workers)
    return Processes(
        at.workers,
        time_limit_s=at.time_limit_s,
        memory_limit_mib=at.memory_limit_mib,
        preload=PRELOADED,
    )


def open_checks(
    settings: Settings, store: ObjectStore, run_id: str, *, anew: bool = False
) -> Checks:
    """A run over collections."""
    book = open_book(settings, store)
    return Checks(
        ledger=book.objects,
        standing=book.index(()),
        engine=open_engine(settings),
        settings=CheckSettings.of(settings),
        run=Run(run_id, utc_now, CODE_VERSION),
        anew=anew,
    )
