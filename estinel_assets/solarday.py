"""Local solar time: which day an instant belongs to, and which instants belong to a day.

Longitudes are degrees east, -180 to 180. Instants are timezone-aware; a naive one is refused,
because guessing its zone moves it to another day. All arithmetic is on whole microseconds, so
that `solar_day` and `solar_day_span_utc` agree to the instant.

Two rules give a day:

* `estinel`: the date in local mean solar time, floor((t + longitude / 15 h) / 1 day). Callers
  pass the site's longitude.
* `estinel-r`: what the R expression `as.Date(round(t - lon / 15 * 3600, "days"))` gives. R rounds
  a date-time to days by adding 43,200 s and cutting off the time of day, so that noon goes up:
  floor((t - longitude / 15 h + 12 h) / 1 day). Callers pass the longitude of the scene's centroid.

`docs/decisions/solar-day.md` says how they differ.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias, TypeVar, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd

from estinel_assets.errors import BadInputError

SolarDayRule: TypeAlias = Literal["estinel", "estinel-r"]

Microseconds = TypeVar("Microseconds", int, npt.NDArray[np.int64])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000
_HALF_DAY_US = _DAY_US // 2
_US_PER_DEGREE = _DAY_US // 360
_QUERY_MARGIN = timedelta(hours=12)


def solar_day(when: datetime, longitude_deg: float, rule: SolarDayRule = "estinel") -> date:
    """The solar day of an instant.

    Args:
        when: timezone-aware.
        longitude_deg: of the site (`estinel`) or of the scene's centroid (`estinel-r`).
        rule: see the module.

    Raises:
        BadInputError: `when` is naive, or the longitude is not within -180 to 180.
    """
    since_epoch_us = (_aware(when) - _EPOCH) // _MICROSECOND
    east_us = _east(longitude_deg) // _MICROSECOND
    return _EPOCH_DAY + timedelta(days=(since_epoch_us + _shift_us(east_us, rule)) // _DAY_US)


def solar_days(
    when: pd.Series | pd.DatetimeIndex,
    longitude_deg: float | npt.NDArray[np.float64],
    rule: SolarDayRule = "estinel",
) -> npt.NDArray[np.datetime64]:
    """The solar days of many instants: what `solar_day` gives for each.

    Args:
        when: timezone-aware instants, shape (n,).
        longitude_deg: one longitude for all, or one for each, shape (n,).
        rule: see the module.

    Returns:
        `datetime64[D]`, shape (n,).

    Raises:
        BadInputError: the instants are naive or one is missing, a longitude is not within
            -180 to 180, or there are not as many longitudes as instants.
    """
    index = pd.DatetimeIndex(when)
    if index.tz is None:
        raise BadInputError("the instants have no time zone: give them one, such as UTC")
    if index.hasnans:
        missing = int(np.flatnonzero(index.isna())[0])
        raise BadInputError(f"instant {missing} is missing: leave it out before asking its day")
    longitudes = np.asarray(longitude_deg, dtype=np.float64)
    if longitudes.ndim and longitudes.shape != index.shape:
        raise BadInputError(
            f"{longitudes.size} longitudes for {len(index)} instants: give one, or one for each"
        )
    for longitude in np.unique(longitudes):
        _checked_longitude(float(longitude))
    east_us = np.rint(longitudes * _US_PER_DEGREE).astype(np.int64)
    since_epoch_us = index.tz_convert("UTC").as_unit("us").asi8
    days: npt.NDArray[np.int64] = (since_epoch_us + _shift_us(east_us, rule)) // _DAY_US
    return days.astype("datetime64[D]")


def solar_day_span_utc(day: date, longitude_deg: float) -> tuple[datetime, datetime]:
    """The instants whose solar day, by the rule `estinel`, is `day`.

    Returns:
        (start, end) in UTC: the day's first instant and the first instant of the next day.

    Raises:
        BadInputError: the longitude is not within -180 to 180.
    """
    start = _midnight_utc(day) - _east(longitude_deg)
    return start, start + timedelta(days=1)


def query_window_utc(
    first_day: date, last_day: date, longitude_deg: float
) -> tuple[datetime, datetime]:
    """A span of time that holds every scene of the solar days first to last, by either rule.

    The UTC days are widened on both sides by |longitude / 15| + 12 hours. Scenes of neighbouring
    days fall in as well: group by solar day afterwards.

    Returns:
        (start, end) in UTC.

    Raises:
        BadInputError: the last day is before the first, or the longitude is not within -180 to 180.
    """
    if last_day < first_day:
        raise BadInputError(f"the last day {last_day} is before the first day {first_day}")
    margin = abs(_east(longitude_deg)) + _QUERY_MARGIN
    return _midnight_utc(first_day) - margin, _midnight_utc(last_day) + timedelta(days=1) + margin


def _shift_us(east_us: Microseconds, rule: SolarDayRule) -> Microseconds:
    """What to add to an instant before its time of day is cut off."""
    match rule:
        case "estinel":
            return east_us
        case "estinel-r":
            return _HALF_DAY_US - east_us
        case _:
            assert_never(rule)


def _east(longitude_deg: float) -> timedelta:
    """How far local mean solar time is ahead of UTC: 4 minutes a degree, to the microsecond."""
    return timedelta(microseconds=round(_checked_longitude(longitude_deg) * _US_PER_DEGREE))


def _midnight_utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _aware(when: datetime) -> datetime:
    if when.utcoffset() is None:
        raise BadInputError(f"the instant {when.isoformat()} has no time zone: give it one")
    return when


def _checked_longitude(longitude_deg: float) -> float:
    # Written so that NaN, which compares false with everything, is refused as well.
    if not -180.0 <= longitude_deg <= 180.0:
        raise BadInputError(f"longitude {longitude_deg} is not within -180 to 180 degrees")
    return longitude_deg


def parse_day(text: str) -> date:
    """Read a day, as `2024-12-04`.

    Raises:
        BadInputError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInputError(f"{text!r} is no day; write it as 2024-12-04") from None
