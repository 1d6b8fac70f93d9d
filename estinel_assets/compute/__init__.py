"""Many units of work at once: one `map`, several engines behind it."""

from estinel_assets.compute.engine import Completed, Engine
from estinel_assets.compute.threads import Threads

__all__ = ["Completed", "Engine", "Threads"]
