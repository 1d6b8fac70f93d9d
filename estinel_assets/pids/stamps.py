"""When a record was announced, and by which message: what decides whether a record is newer.

In a record a stamp is a text, as in `2024-10-02T13:45:12.345678Z CMIP6/3/41`: the time in UTC, and
the key of the message's outcome, which by custom is topic, partition and offset.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, total_ordering

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.paths import Key, decode_key, encode_key

OLDEST = datetime.min.replace(tzinfo=UTC)
"""The time of a message that has none."""
_NEWEST = datetime.max.replace(tzinfo=UTC)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


@total_ordering
@dataclass(frozen=True, slots=True)
class Stamp:
    """Ordered by time, then by topic, then by partition and offset as numbers."""

    at: datetime = OLDEST
    """UTC and aware."""
    unit: Key = ()
    """The key of the message's outcome; empty where it is not known, which counts as older."""

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Stamp):
            return NotImplemented
        return self._order < other._order

    def text(self) -> str:
        """As it stands in a record; `parse` reads it back.

        Raises:
            BadInputError: a part of the unit's key cannot be part of a path.
        """
        return _text(self.at, self.unit)

    @classmethod
    def parse(cls, text: str) -> "Stamp | None":
        """Read a stamp as it stands in a record.

        Returns:
            The stamp; None for any text that `text` does not make.
        """
        time, blank, path = text.partition(" ")
        if not _TIME.fullmatch(time):
            return None
        try:
            return cls(datetime.fromisoformat(time), decode_key(path) if blank else ())
        except (ValueError, BadInputError):
            return None

    @property
    def _order(self) -> tuple[datetime, Key, tuple[tuple[int, str], ...]]:
        return self.at, self.unit[:1], tuple(map(_natural, self.unit[1:]))


def stamp_of(*times: datetime | None, unit: Key = ()) -> Stamp:
    """The stamp of a message.

    Args:
        times: of the message, as its parts say it, naive for UTC; None for one that is not known.
        unit: the key of its outcome.

    Returns:
        The stamp with the earliest of the times, so that a clock that is ahead wins nothing.
    """
    return Stamp(min((_utc(time) for time in times if time is not None), default=OLDEST), unit)


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:  # a zone at either end of the calendar
        return OLDEST if time.year == OLDEST.year else _NEWEST


def _natural(part: str) -> tuple[int, str]:
    """Numbers by their size, after everything else."""
    if not (part.isascii() and part.isdecimal()):
        return -1, part
    digits = part.lstrip("0")
    return len(digits), f"{digits} {part}"


@lru_cache(maxsize=1024)
def _text(at: datetime, unit: Key) -> str:
    """A message writes its stamp into each of its records."""
    time = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f"{time} {encode_key(unit)}" if unit else time
