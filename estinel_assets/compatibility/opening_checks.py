"""Opens what a run over collections needs, from the settings."""

from estinel_assets.clock import utc_now
from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.compatibility.request import CheckSettings
from estinel_assets.compatibility.runner import Checks
from estinel_assets.compute import Engine, open_engine
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


def open_check_engine(settings: Settings) -> Engine:
    """What runs checks: processes that may be stopped, or threads, which may not.

    Raises:
        BadInputError: the settings cannot be used.
        MissingDependencyError: the extra that the engine needs is not installed.
    """
    at = settings.compatibility
    isolated = at.engine in ("processes", "dask")
    return open_engine(
        at.engine,
        at.workers,
        time_limit_s=at.time_limit_s,
        memory_limit_mib=at.memory_limit_mib if isolated else None,
        preload=PRELOADED,
        dask_address=at.dask_address if at.engine == "dask" else None,
        lithops_config=at.lithops_config if at.engine == "lithops" else None,
    )


def open_checks(
    settings: Settings, store: ObjectStore, run_id: str, *, anew: bool = False
) -> Checks:
    """A run over collections."""
    book = open_book(settings, store)
    return Checks(
        ledger=book.objects,
        standing=book.index(()),
        engine=open_check_engine(settings),
        settings=CheckSettings.of(settings),
        run=Run(run_id, utc_now, CODE_VERSION),
        anew=anew,
    )
