"""Which ranges become one request."""

from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.raster.coalesce import coalesce

RANGES = st.lists(
    st.tuples(st.integers(0, 40_000_000), st.integers(1, 3_000_000)), min_size=1, max_size=30
)


def test_neighbours_are_fetched_together():
    (run,) = coalesce([(1000, 500), (1508, 400), (0, 1000)])

    assert (run.offset, run.length) == (0, 1908)
    assert run.parts == ((0, 1000), (1000, 500), (1508, 400))


def test_what_lies_apart_is_fetched_apart():
    assert [run.offset for run in coalesce([(0, 1_000_000), (3_000_000, 1_000_000)])] == [
        0,
        3_000_000,
    ]


def test_a_gap_that_is_small_but_not_beside_what_is_wanted_is_left_out():
    # 1,000 bytes between two pieces of 100 would be most of the answer.
    assert len(coalesce([(0, 100), (1_100, 100)])) == 2


@st.composite
def near_ranges(draw):
    """Ranges one behind the other, most of them so near that they may be fetched together."""
    sizes = st.tuples(st.integers(0, 20_000), st.integers(1, 150_000))
    ranges, at = [], 0
    for gap, length in draw(st.lists(sizes, min_size=1, max_size=60)):
        ranges.append((at + gap, length))
        at += gap + length
    return ranges


def test_many_small_gaps_are_not_worth_more_than_one():
    # Each gap is a twentieth of what was wanted before; all of them are three times as much.
    runs = coalesce([(number * 116_000, 100_000) for number in range(100)])

    assert sum(run.length for run in runs) <= 1.05 * 100 * 100_000


@given(RANGES | near_ranges())
def test_every_range_is_in_a_run_and_little_else_is(ranges):
    runs = coalesce(ranges)

    parts = [part for run in runs for part in run.parts]
    assert parts == sorted(set(ranges))
    covered = 0
    for run in runs:
        assert run.offset == run.parts[0][0]
        assert run.length == max(offset + length for offset, length in run.parts) - run.offset
        reached = run.offset
        for offset, length in run.parts:
            covered += max(offset + length - max(offset, reached), 0)
            reached = max(reached, offset + length)
    wanted = sum(length for _, length in set(ranges))
    assert sum(run.length for run in runs) - covered <= 0.05 * wanted


@given(RANGES)
def test_a_run_of_several_ranges_is_never_huge(ranges):
    assert all(run.length <= 16 * 1024 * 1024 for run in coalesce(ranges) if len(run.parts) > 1)
