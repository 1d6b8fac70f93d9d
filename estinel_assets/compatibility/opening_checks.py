"""Opens what a run over collections needs, from the settings."""

from datetime import UTC, datetime

from estinel_assets.compatibility.reasons import COMPATIBILITY
from estinel_assets.compatibility.request import CheckSettings
from estinel_assets.compatibility.runner import Checks, Run
from estinel_assets.compute import Engine, Threads
from estinel_assets.compute.processes import Processes
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.rules import RetryRule
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


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def open_book(settings: Settings, store: ObjectStore) -> OutcomeBook:
    """The results."""
    return OutcomeBook.from_settings(store, COMPATIBILITY, settings.outcomes)


def retry_rule(settings: Settings) -> RetryRule:
    """How often and with which pauses a failed check is tried again."""
    at = settings.outcomes
    return RetryRule(at.max_attempts, at.backoff_s, at.backoff_max_s)


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
        ledger=book.ledger,
        standing=book.index(()),
        engine=open_engine(settings),
        settings=CheckSettings.of(settings),
        run=Run(run_id, utc_now, CODE_VERSION),
        anew=anew,
    )
