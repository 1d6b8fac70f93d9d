"""Instants and intervals as clients write them, in microseconds since 1970."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from estinel_assets.errors import BadInputError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.IGNORECASE
)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 of a time, UTC where it names no zone."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND


def parse_interval(text: str) -> tuple[int | None, int | None]:
    """Read the `datetime` parameter.

    Args:
        text: an instant, or two joined by a slash, either of which may be `..` or empty.

    Returns:
        First and last instant, both included, in microseconds since 1970; None where open.

    Raises:
        BadInputError: not such a text, open on both sides, or the end before the start.
    """
    sides = text.split("/")
    if len(sides) == 1:
        instant = parse_instant(text)
        return instant, instant
    if len(sides) != 2:
        raise BadInputError(f"datetime: {text!r} holds more than one slash")
    starts, ends = (None if side in ("", "..") else parse_instant(side) for side in sides)
    if starts is None and ends is None:
        raise BadInputError(f"datetime: {text!r} is open on both sides: leave it out")
    if starts is not None and ends is not None and starts > ends:
        raise BadInputError(f"datetime: {text!r} ends before it starts")
    return starts, ends


def parse_instant(text: str) -> int:
    """Read an RFC 3339 date-time.

    Returns:
        Microseconds since 1970.

    Raises:
        BadInputError: it is something else.
    """
    try:
        if _RFC3339.fullmatch(text):
            return microseconds(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        pass
    raise BadInputError(f"datetime: {text!r} is no RFC 3339 date-time such as 2024-01-31T23:59:59Z")
