"""Who does the work that outcomes tell of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Run:
    """Who does the work, and when."""

    run_id: str
    """The Dagster run, or another name for who does it."""
    clock: Callable[[], datetime]
    """The time now, UTC and aware."""
    code_version: str
