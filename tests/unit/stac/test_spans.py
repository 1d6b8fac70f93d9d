"""Windows of a long search, and what several answers say together."""

import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, PermanentError, RetryableError, SourceFault
from estinel_assets.stac.scene_table import merge_items, read_items
from estinel_assets.stac.source import ListedScenes, SceneQuery, SearchResult
from estinel_assets.stac.spans import (
    LONGEST_SPAN,
    SEARCHES_AT_ONCE,
    search_all,
    search_spans,
    split_query,
)
from tests.support.examples import examples
from tests.unit.stac.stac_items import made_item

Json = dict[str, Any]
START = datetime(2015, 1, 1, tzinfo=UTC)
PLACE = ((147.0, -43.0, 148.0, -42.0),)
MICROSECOND = timedelta(microseconds=1)

INSTANTS = st.timedeltas(timedelta(days=-12000), timedelta(days=24000)).map(START.__add__)
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=4000))


def query(days: float, start: datetime = START) -> SceneQuery:
    return SceneQuery("sentinel-2-c1-l2a", PLACE, start, start + timedelta(days=days))


def on(day: float, name: str | None = None, **properties: Any) -> Json:
    when = (START + timedelta(days=day)).isoformat()
    return made_item(name or f"day-{day}", when, **properties)


class Scripted:
    """A source whose answers depend on the window's first day, counted from 2015."""

    def __init__(self, answers: dict[int, SearchResult | Exception]) -> None:
        self.asked: list[int] = []
        self._answers = answers

    def search(self, query: SceneQuery) -> SearchResult:
        day = (query.start - START).days
        self.asked.append(day)
        answer = self._answers.get(day, result())
        if isinstance(answer, Exception):
            raise answer
        return answer


def result(*items: Json, matched: int | None = None, requests: int = 1) -> SearchResult:
    return SearchResult(tuple(items), matched, requests, duration_s=1.0)


def windows(number: int) -> list[SceneQuery]:
    return [query(1, START + timedelta(days=day)) for day in range(number)]


def ticks() -> Iterator[float]:
    return iter((10.0, 17.5))


@given(INSTANTS, LENGTHS, st.timedeltas(timedelta(hours=1), timedelta(days=400)))
def test_windows_are_few_short_equal_and_without_gap(
    start: datetime, length: timedelta, longest: timedelta
) -> None:
    spans = search_spans(start, start + length, longest)
    assert (spans[0][0], spans[-1][1]) == (start, start + length)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    lengths = {last - first for first, last in spans}
    assert max(lengths) <= longest
    assert max(lengths) - min(lengths) <= MICROSECOND
    # One window fewer would not do.
    assert len(spans) == 1 or length > longest * (len(spans) - 1)


def test_up_to_90_days_are_one_search_and_ten_years_41() -> None:
    assert timedelta(days=90) == LONGEST_SPAN
    assert len(split_query(query(90))) == 1
    assert len(search_spans(START, START + timedelta(days=90) + MICROSECOND)) == 2
    assert len(split_query(query(3650))) == 41
    assert search_spans(START, START) == ((START, START),)


def test_windows_are_cut_by_time_not_by_what_clocks_show() -> None:
    # Hobart's clocks go back an hour in between: 48 hours there are 49.
    hobart = ZoneInfo("Australia/Hobart")
    start, end = datetime(2024, 4, 6, tzinfo=hobart), datetime(2024, 4, 8, tzinfo=hobart)
    first, second = search_spans(start, end, timedelta(hours=48))
    assert first == (
        datetime(2024, 4, 5, 13, tzinfo=UTC),
        datetime(2024, 4, 6, 13, 30, tzinfo=UTC),
    )
    assert second == (first[1], datetime(2024, 4, 7, 14, tzinfo=UTC))


@pytest.mark.parametrize(
    ("start", "end", "longest", "complaint"),
    [
        (START.replace(tzinfo=None), START, LONGEST_SPAN, "time zone"),
        (START, START.replace(tzinfo=None), LONGEST_SPAN, "time zone"),
        (START, START - MICROSECOND, LONGEST_SPAN, "cannot start at"),
        (START, START, timedelta(0), "positive"),
    ],
)
def test_spans_that_make_no_sense_are_refused(
    start: datetime, end: datetime, longest: timedelta, complaint: str
) -> None:
    with pytest.raises(BadInputError, match=complaint):
        search_spans(start, end, longest)


def test_a_query_keeps_all_but_its_span() -> None:
    whole = query(200)
    parts = split_query(whole)
    assert [(part.start, part.end) for part in parts] == list(search_spans(whole.start, whole.end))
    assert {(part.collection, part.boxes) for part in parts} == {(whole.collection, whole.boxes)}


HALF_DAYS = st.lists(st.integers(0, 400).map(lambda halves: halves / 2), unique=True, max_size=12)


@examples(50)
@given(
    HALF_DAYS,
    st.integers(0, 200),
    # Whole and half days, so that scenes fall on the instants that windows share.
    st.sampled_from([timedelta(days=days) for days in (10, 25, 50, 90, 365)]),
    st.integers(1, 5),
)
def test_windows_find_what_one_search_finds(
    days: list[float], length: int, longest: timedelta, workers: int
) -> None:
    source = ListedScenes([on(day) for day in days])
    whole = source.search(query(length))
    parts = split_query(query(length), longest)
    combined = search_all(source, parts, workers=workers)
    assert combined.items == whole.items
    assert combined.searches == len(parts)
    moments = [datetime.fromisoformat(item["properties"]["datetime"]) for item in whole.items]
    assert combined.covered == tuple(
        (part.start, part.end) for part in parts if any(map(part.covers, moments))
    )


@examples(50)
@given(HALF_DAYS, st.sets(st.integers(0, 7)), st.sets(st.integers(0, 400)))
def test_a_scene_is_withdrawn_only_if_a_window_that_answered_covers_it(
    days: list[float], lost_windows: set[int], lost_days: set[int]
) -> None:
    known = [on(day) for day in days]
    parts = split_query(query(200), timedelta(days=25))

    def is_lost(day: float) -> bool:
        return day * 2 in lost_days or any(
            window * 25 <= day <= (window + 1) * 25 for window in lost_windows
        )

    left = [day for day in days if not is_lost(day)]
    combined = search_all(ListedScenes([on(day) for day in left]), parts)
    table = merge_items(
        merge_items(None, known, covered=()).table, combined.items, covered=combined.covered
    ).table
    used = {item["id"] for item in read_items(table)}
    answered = [w for w in range(8) if any(w * 25 <= day <= (w + 1) * 25 for day in left)]
    assert used == {
        f"day-{day}"
        for day in days
        if day in left or not any(w * 25 <= day <= (w + 1) * 25 for w in answered)
    }


def test_the_numbers_are_sums_and_the_time_is_the_whole() -> None:
    clock = ticks()
    source = Scripted(
        {
            0: result(on(0.5), matched=1, requests=3),
            1: result(matched=0, requests=1),
            2: result(on(2.1), on(2.2), matched=2, requests=2),
        }
    )
    combined = search_all(source, windows(3), clock=lambda: next(clock))
    assert [item["id"] for item in combined.items] == ["day-0.5", "day-2.1", "day-2.2"]
    assert (combined.matched, combined.requests, combined.searches) == (3, 6, 3)
    assert combined.duration_s == 7.5
    assert combined.covered == tuple(
        (START + timedelta(days=day), START + timedelta(days=day + 1)) for day in (0, 2)
    )


def test_what_one_window_does_not_know_is_not_known() -> None:
    source = Scripted({0: result(matched=0), 1: result(matched=None)})
    assert search_all(source, windows(2)).matched is None


def test_no_windows_find_nothing() -> None:
    combined = search_all(Scripted({}), [])
    assert (combined.items, combined.matched, combined.covered) == ((), 0, ())


@pytest.mark.parametrize("swapped", [False, True])
def test_the_newest_version_wins_whichever_window_found_it(swapped: bool) -> None:
    old = on(1, "shared", updated="2024-06-01T00:00:00Z")
    new = on(1, "shared", updated="2024-06-02T00:00:00Z")
    first, second = (new, old) if swapped else (old, new)
    combined = search_all(Scripted({0: result(first), 1: result(second)}), windows(2))
    assert combined.items == (new,)


@pytest.mark.parametrize("stamp", ["2024-06-01T00:00:00Z", None])
def test_of_equal_versions_the_later_window_decides(stamp: str | None) -> None:
    one, two = (on(1, "shared", updated=stamp, note=note) for note in ("one", "two"))
    combined = search_all(Scripted({0: result(one), 1: result(two)}), windows(2))
    assert combined.items == (two,)


class Gathering:
    """A source that answers once so many searches are under way, and never more than that."""

    def __init__(self, together: int) -> None:
        self.most = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(together, timeout=30)

    def search(self, query: SceneQuery) -> SearchResult:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        self._barrier.wait()
        with self._lock:
            self._under_way -= 1
        return result(on((query.start - START).days))


def test_searches_run_side_by_side_within_the_limit() -> None:
    source = Gathering(3)
    combined = search_all(source, windows(12), workers=3)
    assert source.most == 3
    assert [item["id"] for item in combined.items] == sorted(
        (f"day-{day}" for day in range(12)), key=lambda name: int(name[4:])
    )


def test_one_worker_asks_one_window_after_the_other() -> None:
    source = Scripted({})
    search_all(source, windows(6), workers=1)
    assert source.asked == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "error",
    [
        RetryableError(SourceFault.TIMEOUT, "the third window took too long"),
        PermanentError(SourceFault.FORBIDDEN, "the third window is not for you"),
    ],
)
def test_one_failure_fails_all_and_nothing_further_begins(error: Exception) -> None:
    source = Scripted({0: result(on(0)), 2: error})
    with pytest.raises(type(error), match="third window"):
        search_all(source, windows(9), workers=1)
    assert source.asked == [0, 1, 2]


class Held:
    """The first window fails while the second is under way, which is released afterwards."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self._second_began = threading.Event()

    def search(self, query: SceneQuery) -> SearchResult:
        day = (query.start - START).days
        self.begun.append(day)
        if day == 0:
            self._second_began.wait(30)
            raise RetryableError(SourceFault.UNAVAILABLE, "the first window failed")
        self._second_began.set()
        threading.Event().wait(0.05)
        self.ended.append(day)
        return result()


def test_what_is_under_way_at_a_failure_is_waited_for() -> None:
    source = Held()
    with pytest.raises(RetryableError, match="first window"):
        search_all(source, windows(40), workers=2)
    assert sorted(source.begun) == sorted([0, *source.ended])
    assert len(source.begun) < 40


def test_context_variables_reach_every_window() -> None:
    site: ContextVar[str] = ContextVar("site")
    seen = []

    class Reading:
        def search(self, query: SceneQuery) -> SearchResult:  # noqa: ARG002
            seen.append(site.get("nowhere"))
            return result()

    token = site.set("Hobart")
    try:
        search_all(Reading(), windows(SEARCHES_AT_ONCE + 1))
    finally:
        site.reset(token)
    assert seen == ["Hobart"] * (SEARCHES_AT_ONCE + 1)


def test_several_collections_or_no_workers_are_refused() -> None:
    other = SceneQuery("landsat", PLACE, START, START)
    with pytest.raises(BadInputError, match="landsat, sentinel-2-c1-l2a"):
        search_all(Scripted({}), [query(1), other])
    with pytest.raises(BadInputError, match="at least 1"):
        search_all(Scripted({}), windows(2), workers=0)
