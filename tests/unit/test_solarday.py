"""Which day an instant belongs to, by both rules."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.solarday import (
    SolarDayRule,
    query_window_utc,
    solar_day,
    solar_day_span_utc,
    solar_days,
)

HOBART, CASEY, MAWSON = 147.3257, 110.5267, 62.8742
NAMED = {"Hobart": HOBART, "Casey": CASEY, "Mawson": MAWSON, "east": 179.9, "west": -179.9}
RULES: tuple[SolarDayRule, ...] = ("estinel", "estinel-r")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)

longitudes = st.floats(-180, 180)
days = st.dates(date(1970, 1, 2), date(2100, 12, 31))
# From 1969, so that negative times are met, to 2100.
instants = st.integers(-(10**13), 4 * 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))
rules = st.sampled_from(RULES)


def local_pass(longitude_deg: float, day: date, hour: float = 10.5) -> datetime:
    """The UTC instant at which local mean solar time is `hour` of that day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(hours=hour - longitude_deg / 15)


@given(days, longitudes)
@example(date(2024, 12, 4), 180.0)
@example(date(2024, 12, 4), -180.0)
@example(date(2024, 12, 4), HOBART)
def test_a_span_holds_exactly_the_instants_of_its_day(day: date, longitude: float) -> None:
    start, end = solar_day_span_utc(day, longitude)
    assert solar_day(start, longitude) == day
    assert solar_day(start - INSTANT, longitude) == day - timedelta(days=1)
    assert solar_day(end - INSTANT, longitude) == day
    assert solar_day(end, longitude) == day + timedelta(days=1)
    assert end - start == timedelta(days=1)


@pytest.mark.parametrize("longitude", NAMED.values(), ids=NAMED)
def test_the_day_changes_at_local_midnight(longitude: float) -> None:
    day = date(2024, 2, 29)
    midnight = local_pass(longitude, day, hour=0)
    assert solar_day(midnight + timedelta(seconds=1), longitude) == day
    assert solar_day(midnight - timedelta(seconds=1), longitude) == date(2024, 2, 28)


def test_the_first_instants_of_a_day_at_known_places() -> None:
    day = date(2024, 12, 4)
    assert solar_day_span_utc(day, 0.0)[0] == datetime(2024, 12, 4, tzinfo=UTC)
    assert solar_day_span_utc(day, 150.0)[0] == datetime(2024, 12, 3, 14, tzinfo=UTC)
    assert solar_day_span_utc(day, -67.5)[0] == datetime(2024, 12, 4, 4, 30, tzinfo=UTC)
    assert solar_day_span_utc(day, 180.0)[0] == datetime(2024, 12, 3, 12, tzinfo=UTC)
    assert solar_day_span_utc(day, -180.0)[0] == datetime(2024, 12, 4, 12, tzinfo=UTC)


@given(instants, st.timedeltas(timedelta(0), timedelta(days=400)), longitudes, rules)
def test_days_never_run_backwards(
    when: datetime, later: timedelta, longitude: float, rule: SolarDayRule
) -> None:
    assert solar_day(when, longitude, rule) <= solar_day(when + later, longitude, rule)


@given(instants, longitudes)
def test_the_solar_day_is_the_utc_date_or_a_neighbour(when: datetime, longitude: float) -> None:
    assert abs(solar_day(when, longitude) - when.date()) <= timedelta(days=1)


@given(instants, longitudes, st.integers(-14, 14), rules)
def test_the_zone_that_an_instant_is_written_in_does_not_matter(
    when: datetime, longitude: float, hours: int, rule: SolarDayRule
) -> None:
    elsewhere = when.astimezone(timezone(timedelta(hours=hours)))
    assert solar_day(elsewhere, longitude, rule) == solar_day(when, longitude, rule)


@given(st.lists(instants, min_size=1, max_size=8), longitudes, rules)
@example([datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)], 0.0, "estinel")
def test_many_instants_give_what_each_gives(
    when: list[datetime], longitude: float, rule: SolarDayRule
) -> None:
    expected = [solar_day(one, longitude, rule) for one in when]
    assert solar_days(pd.Series(when), longitude, rule).astype(object).tolist() == expected
    index = pd.DatetimeIndex(when).tz_convert("Australia/Hobart")
    each = np.full(len(when), longitude)
    assert solar_days(index, each, rule).astype(object).tolist() == expected


def test_nanoseconds_before_midnight_are_before_midnight() -> None:
    when = pd.DatetimeIndex(["2024-12-04T00:00:00.000000000Z", "2024-12-03T23:59:59.999999999Z"])
    assert solar_days(when, 0.0).astype(str).tolist() == ["2024-12-04", "2024-12-03"]


@pytest.mark.parametrize("rule", RULES)
def test_no_instants_give_no_days(rule: SolarDayRule) -> None:
    assert solar_days(pd.DatetimeIndex([], tz="UTC"), 10.0, rule).shape == (0,)


def test_naive_instants_are_refused() -> None:
    naive = datetime(2024, 12, 4, 14)  # noqa: DTZ001
    with pytest.raises(BadInputError, match="2024-12-04T14:00:00 has no time zone"):
        solar_day(naive, HOBART)
    with pytest.raises(BadInputError, match="no time zone"):
        solar_days(pd.Series([naive]), HOBART)


def test_a_missing_instant_is_refused() -> None:
    with pytest.raises(BadInputError, match="instant 1 is missing"):
        solar_days(pd.to_datetime(pd.Series(["2024-12-04", None]), utc=True), HOBART)


@pytest.mark.parametrize("longitude", [180.001, -181.0, float("nan"), float("inf")])
def test_impossible_longitudes_are_refused(longitude: float) -> None:
    when = datetime(2024, 12, 4, tzinfo=UTC)
    with pytest.raises(BadInputError, match="longitude"):
        solar_day(when, longitude)
    with pytest.raises(BadInputError, match="longitude"):
        solar_days(pd.Series([when, when]), np.array([0.0, longitude]))
    with pytest.raises(BadInputError, match="longitude"):
        solar_day_span_utc(when.date(), longitude)


def test_longitudes_must_be_as_many_as_instants() -> None:
    when = pd.DatetimeIndex(["2024-12-04"], tz="UTC")
    with pytest.raises(BadInputError, match="2 longitudes for 1 instants"):
        solar_days(when, np.array([1.0, 2.0]))


@given(instants, longitudes, rules)
def test_a_query_holds_every_instant_of_its_days(
    when: datetime, longitude: float, rule: SolarDayRule
) -> None:
    day = solar_day(when, longitude, rule)
    start, end = query_window_utc(day, day, longitude)
    assert start <= when < end


@given(days, st.integers(0, 4000), longitudes)
def test_a_query_is_the_utc_days_widened_by_the_offset_and_half_a_day(
    first: date, more: int, longitude: float
) -> None:
    last = first + timedelta(days=more)
    start, end = query_window_utc(first, last, longitude)
    margin = timedelta(hours=abs(longitude) / 15 + 12)
    midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
    assert abs(start - (midnight - margin)) <= INSTANT
    assert abs(end - (midnight + timedelta(days=more + 1) + margin)) <= INSTANT


def test_a_query_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(BadInputError, match="2024-12-03 is before the first day 2024-12-04"):
        query_window_utc(date(2024, 12, 4), date(2024, 12, 3), HOBART)


# Every claim of docs/decisions/solar-day.md, in its order.


def test_hobart_at_14_utc_is_the_same_day_by_both_rules() -> None:
    when = datetime(2024, 12, 4, 14, tzinfo=UTC)
    assert [solar_day(when, HOBART, rule) for rule in RULES] == [date(2024, 12, 4)] * 2
    assert f"{when + timedelta(hours=HOBART / 15):%d %H:%M}" == "04 23:49"


def test_r_rounds_noon_up() -> None:
    noon = datetime(2024, 12, 4, 12, tzinfo=UTC)
    assert solar_day(noon, 0.0, "estinel-r") == date(2024, 12, 5)
    assert solar_day(noon - INSTANT, 0.0, "estinel-r") == date(2024, 12, 4)
    assert solar_day(datetime(1969, 12, 31, 12, tzinfo=UTC), 0.0, "estinel-r") == date(1970, 1, 1)


@given(instants, longitudes)
def test_r_is_the_mirrored_longitude_half_a_day_on(when: datetime, longitude: float) -> None:
    half_a_day = timedelta(hours=12)
    assert solar_day(when, longitude, "estinel-r") == solar_day(when + half_a_day, -longitude)


@given(days, longitudes)
@example(date(2024, 12, 4), 168.75)
@example(date(2024, 12, 4), 168.76)
@example(date(2024, 12, 4), -11.25)
@example(date(2024, 12, 4), -11.24)
@example(date(2024, 12, 4), -60.0)
@example(date(2024, 12, 4), HOBART)
def test_where_a_half_past_ten_pass_differs(day: date, longitude: float) -> None:
    when = local_pass(longitude, day)
    if min(abs(longitude - 168.75), abs(longitude + 11.25)) < 1e-6 and longitude not in (
        168.75,
        -11.25,
    ):
        return  # closer to the line than the microsecond that instants are kept to
    expected = -1 if longitude > 168.75 else 1 if longitude <= -11.25 else 0
    assert solar_day(when, longitude) == day
    assert solar_day(when, longitude, "estinel-r") - day == timedelta(days=expected)


def test_neighbouring_scenes_of_one_pass_split_by_their_own_centroids_only() -> None:
    site, western, eastern = 168.75, 168.3, 169.2
    when = local_pass(site, date(2024, 12, 4))
    assert solar_day(when, western, "estinel-r") == date(2024, 12, 4)
    assert solar_day(when, eastern, "estinel-r") == date(2024, 12, 3)
    assert solar_day(when, site) == date(2024, 12, 4)


def test_the_utc_date_misleads_far_from_greenwich() -> None:
    when = datetime(2024, 12, 3, 23, 30, tzinfo=UTC)
    local = when + timedelta(hours=HOBART / 15)
    assert f"{local:%d %H:%M}" == "04 09:19"
    assert solar_day(when, HOBART) == date(2024, 12, 4) != when.date()
