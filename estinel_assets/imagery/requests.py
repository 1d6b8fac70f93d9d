"""What a sensor asks a run of a site for. Pure."""

from collections.abc import Iterable

from estinel_assets.imagery.plan import PlannedDay
from estinel_assets.orchestration.run_requests import digest

BOOTSTRAP = "bootstrap"
"""Content of a site's first run, which needs no search to be known as necessary."""


def content_of(plan: Iterable[PlannedDay]) -> str | None:
    """Names what a plan would do: equal for equal days, inputs and attempts; None for an empty one.

    Args:
        plan: a site's.
    """
    rows = [(day.day.isoformat(), day.fingerprint, day.attempt) for day in plan]
    return digest(sorted(rows)) if rows else None
