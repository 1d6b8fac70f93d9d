"""Stamps: when a record was announced, and by which message."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.pids.stamps import OLDEST, Stamp, stamp_of

AT = datetime(2024, 10, 2, 13, 45, 12, 345678, tzinfo=UTC)
PARTS = st.sampled_from(["CMIP6", "a.b/c d", "é", "0", "9", "10", "007", "7"]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8
)
NUMBERS = st.integers(0, 10**12)
UNITS = (
    st.just(())
    | st.builds(lambda topic, *at: (topic, *map(str, at)), PARTS, st.integers(0, 12), NUMBERS)
    | st.lists(PARTS, max_size=4).map(tuple)
)
TIMES = st.datetimes(timezones=st.just(UTC)) | st.sampled_from([OLDEST, AT])
STAMPS = st.builds(Stamp, TIMES, UNITS)


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (Stamp(AT, ("CMIP6", "3", "41")), "2024-10-02T13:45:12.345678Z CMIP6/3/41"),
        (Stamp(AT), "2024-10-02T13:45:12.345678Z"),
        (
            Stamp(AT.replace(microsecond=0), ("a.b c/d", "0", "0")),
            "2024-10-02T13:45:12.000000Z a%2Eb%20c%2Fd/0/0",
        ),
        (Stamp(unit=("CMIP6", "3", "41")), "0001-01-01T00:00:00.000000Z CMIP6/3/41"),
        (Stamp(), "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_the_text(stamp: Stamp, text: str) -> None:
    assert stamp.text() == text
    assert Stamp.parse(text) == stamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "yesterday",
        "2024-10-02",
        "2024-10-02T13:45:12Z",
        "2024-10-02T13:45:12.345678",
        "2024-10-02T13:45:12.345678+00:00",
        "2024-10-02 13:45:12.345678Z",
        "2024-13-02T13:45:12.345678Z",
        "0000-01-01T00:00:00.000000Z",
        "٢٠٢٤-10-02T13:45:12.345678Z",
        "2024-10-02T13:45:12.345678Z ",
        "2024-10-02T13:45:12.345678Z  CMIP6/3/41",
        "2024-10-02T13:45:12.345678Z CMIP6/3/41 ",
        "2024-10-02T13:45:12.345678Z CMIP6//41",
        "2024-10-02T13:45:12.345678Z a.b/3/41",
        "2024-10-02T13:45:12.345678Z CMIP6/3/41\n",
        "2024-10-02T13:45:12.345678Z %FF/3/41",
    ],
)
def test_what_is_no_stamp(text: str) -> None:
    assert Stamp.parse(text) is None


def test_the_order() -> None:
    ordered = [
        Stamp(),
        Stamp(unit=("CMIP6", "0", "0")),
        Stamp(AT),
        Stamp(AT, ("CMIP6", "2", "999")),
        Stamp(AT, ("CMIP6", "3", "9")),
        Stamp(AT, ("CMIP6", "3", "41")),
        Stamp(AT, ("CMIP6", "3", "100")),
        Stamp(AT, ("CMIP6", "10", "1")),
        Stamp(AT, ("CMIP7", "0", "0")),
        Stamp(AT + timedelta(microseconds=1), ("CMIP6", "0", "0")),
    ]
    turned = [*reversed(ordered)]
    assert sorted(turned) == ordered


@given(STAMPS)
def test_a_text_is_read_back(stamp: Stamp) -> None:
    assert Stamp.parse(stamp.text()) == stamp


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-02T13:4[0-9]:12\.345678Z [%A-F0-9/]*"))
def test_what_is_read_is_what_would_be_written(text: str) -> None:
    read = Stamp.parse(text)
    assert read is None or read.text() == text


@given(STAMPS, STAMPS, STAMPS)
def test_the_order_is_total(one: Stamp, other: Stamp, third: Stamp) -> None:
    assert [one < other, one == other, one > other].count(True) == 1
    assert (one <= other) == (other >= one)
    if one <= other <= third:
        assert one <= third


def test_the_earliest_time_that_is_known_counts() -> None:
    unit = ("CMIP6", "3", "41")
    later = AT + timedelta(hours=1)
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert stamp_of(AT, later, unit=unit) == Stamp(AT, unit)
    assert stamp_of(later, AT) == Stamp(AT)
    assert stamp_of(None, AT) == stamp_of(AT, None) == Stamp(AT)
    assert stamp_of(None, None, unit=unit) == Stamp(OLDEST, unit)
    assert stamp_of(AT.replace(tzinfo=None), later) == Stamp(AT)
    assert stamp_of(elsewhere).text() == Stamp(AT).text()


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_the_ends_of_the_calendar(time: str, text: str) -> None:
    assert stamp_of(datetime.fromisoformat(time)).text() == text


def test_a_unit_that_is_no_key() -> None:
    with pytest.raises(BadInputError):
        Stamp(AT, ("",)).text()
