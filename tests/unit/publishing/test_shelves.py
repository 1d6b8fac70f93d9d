"""Rows in a temporary database: what is put there comes back, in order and by key."""

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.shelves import AT_ONCE, Row, Shelf, plain
from estinel_assets.publishing.spool import Spool
from tests.support.examples import examples

_names = st.text(st.characters(codec="utf-8"), max_size=3)
_keys = st.tuples(st.sampled_from(["", "a", "b"]), _names)
_rows = st.lists(st.tuples(_keys, st.integers(0, 9)).map(lambda one: (*one[0], one[1])))


def _shelf(spool: Spool, *rows: Row) -> Shelf[Row]:
    made = spool.shelf(plain(3))
    made.put(rows)
    return made


@examples(60)
@given(_rows, _rows)
def test_a_shelf_is_a_sorted_dictionary(rows: list[Row], others: list[Row]) -> None:
    twice: list[tuple[Row, Row]] = []
    wanted: dict[tuple[str, str], Row] = {}
    expected = []
    for row in rows:
        former = wanted.setdefault(row[:2], row)
        if former is not row:
            expected.append((row, former))
    with Spool() as spool:
        made, other = spool.shelf(plain(3)), _shelf(spool, *others)
        made.put(rows, lambda one, stands: twice.append((one, stands)))
        assert twice == expected
        assert list(made) == sorted(wanted.values())
        assert len(made) == len(wanted)
        assert made.groups() == sorted({group for group, _ in wanted})
        assert list(made.of("a")) == sorted(row for row in wanted.values() if row[0] == "a")
        asked = [row[:2] for row in (*rows, *others)]
        assert made.look_up(asked) == {key: wanted[key] for key in asked if key in wanted}
        gone = {row[:2] for row in others}
        assert list(made.without(other)) == sorted(
            row for key, row in wanted.items() if key not in gone
        )


def test_more_than_one_page_comes_in_order() -> None:
    rows = [(f"{number % 3}", f"{number:05}", number) for number in range(3 * AT_ONCE + 7)]
    with Spool() as spool:
        made = _shelf(spool, *reversed(rows))
        assert list(made) == sorted(rows)
        assert list(made.of("1")) == rows[1::3]
        assert len(made.look_up((row[0], row[1]) for row in rows)) == len(rows)
        roll = spool.roll(plain(3))
        roll.extend(rows)
        assert list(roll) == rows
        assert list(made.without(_shelf(spool, *rows[::2]))) == sorted(rows[1::2])


def test_rows_may_be_added_while_others_are_looked_at() -> None:
    rows = [("", f"{number:05}", number) for number in range(2 * AT_ONCE)]
    with Spool() as spool:
        made, copy = _shelf(spool, *rows), spool.shelf(plain(3))
        for row in made:
            copy.put([row])
        assert list(copy) == rows


def test_the_first_under_a_key_stays_unless_it_is_set() -> None:
    with Spool() as spool:
        made = _shelf(spool, ("a", "b", 1))
        assert made.setdefault(("a", "b", 2)) == ("a", "b", 1)
        assert made.setdefault(("a", "c", 2)) == ("a", "c", 2)
        made.set([("a", "b", 3)])
        assert list(made) == [("a", "b", 3), ("a", "c", 2)]


@pytest.mark.parametrize(
    ("name", "holds"), [("a/b", True), ("a/b/c", True), ("a", False), ("ab", False), ("a0", False)]
)
def test_what_lies_in_a_folder(name: str, holds: bool) -> None:
    with Spool() as spool:
        assert _shelf(spool, ("", name, 1)).holds_below("", "a") is holds


def test_a_roll_gives_the_last_first() -> None:
    with Spool() as spool:
        roll = spool.roll(plain(1))
        roll.extend([("a",), ("b",)])
        assert roll.pop() == ("b",)
        roll.extend([("c",)])
        assert [roll.pop(), roll.pop(), roll.pop()] == [("c",), ("a",), None]
        assert len(roll) == 0


def test_of_threads_that_claim_a_key_one_is_the_first() -> None:
    with Spool() as spool, ThreadPoolExecutor(8) as pool:
        made = spool.shelf(plain(3))
        got = list(pool.map(lambda number: made.setdefault(("", "x", number)), range(200)))
        assert len({row[2] for row in got}) == 1


def test_nothing_is_left_when_nobody_has_it_any_more() -> None:
    spool = Spool()
    folder, shelf = spool.folder, _shelf(spool, ("a", "b", 1))
    del spool
    gc.collect()
    assert list(shelf) == [("a", "b", 1)]
    del shelf
    gc.collect()
    assert not folder.exists()


def test_memory_does_not_grow_with_the_rows() -> None:
    peaks = []
    for number in (2 * AT_ONCE, 10 * AT_ONCE):
        with Spool() as spool:
            made, other, roll = spool.shelf(plain(3)), spool.shelf(plain(3)), spool.roll(plain(3))
            tracemalloc.start()
            made.put(("", f"{each:06}", "x" * 100) for each in range(number))
            roll.extend(made)
            assert sum(1 for _ in made.without(other)) == len(roll) == number
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20_000
