"""The wall clock, for those who are not given another one."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time now, UTC and aware."""
    return datetime.now(UTC)
