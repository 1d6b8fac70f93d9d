"""Many units of work at once: one `map`, several engines behind it."""

from estinel_assets.compute.engine import Completed, Engine
from estinel_assets.compute.opening import EngineName, open_engine
from estinel_assets.compute.retrying import Attempted, Backoff, with_retries
from estinel_assets.compute.supply import LATER, Later
from estinel_assets.compute.threads import Threads

__all__ = [
    "LATER",
    "Attempted",
    "Backoff",
    "Completed",
    "Engine",
    "EngineName",
    "Later",
    "Threads",
    "open_engine",
    "with_retries",
]
