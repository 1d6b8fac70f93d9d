"""The names of batches, and what they say of keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.pids.batch_names import batch_of, covers
from estinel_assets.pids.incoming import Position, TopicPartition

AT = TopicPartition("cmip6", 3)


@pytest.mark.parametrize(
    ("batch", "under", "expected"),
    [
        (("cmip6", "3", "10-19"), (), True),
        (("cmip6", "3", "10-19"), ("cmip6",), True),
        (("cmip6", "3", "10-19"), ("cmip5",), False),
        (("cmip6", "3", "10-19"), ("cmip6", "3"), True),
        (("cmip6", "3", "10-19"), ("cmip6", "33"), False),
        (("cmip6", "3", "10-19"), ("cmip6", "3", "9"), False),
        (("cmip6", "3", "10-19"), ("cmip6", "3", "10"), True),
        (("cmip6", "3", "10-19"), ("cmip6", "3", "19"), True),
        (("cmip6", "3", "10-19"), ("cmip6", "3", "20"), False),
        (("cmip6", "3", "10-19"), ("cmip6", "3", "x"), False),
        (("cmip6", "3", "10-19", "retried-1"), ("cmip6", "3", "12"), True),
        (("cmip6", "3", "10-19"), ("files", "abc"), False),
        (("files", "retried-1"), ("files", "abc"), True),
        (("files", "retried-1"), ("files",), True),
        (("files", "retried-1"), ("cmip6",), False),
        (("files", "retried-1"), (), True),
        (("0123abc",), ("cmip6", "3", "12"), True),
    ],
)
def test_covers(batch, under, expected: bool) -> None:
    assert covers(batch, under) is expected


offsets = st.integers(0, 2**63 - 1)


@given(st.lists(offsets, min_size=1, max_size=20), st.lists(st.text(min_size=1), max_size=1))
def test_a_batch_covers_all_its_units_and_what_they_begin_with(numbers, further) -> None:
    batch = batch_of(AT, min(numbers), max(numbers), *further)
    for offset in numbers:
        unit = Position(AT, offset).unit
        assert all(covers(batch, unit[:length]) for length in range(4))


@given(offsets, offsets, offsets)
def test_a_batch_covers_no_offset_outside(one: int, other: int, offset: int) -> None:
    first, last = sorted((one, other))
    covered = covers(batch_of(AT, first, last), Position(AT, offset).unit)
    assert covered is (first <= offset <= last)
