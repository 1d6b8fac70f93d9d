"""Long searches, cut into windows of time that are asked side by side.

A search of ten years has thousands of scenes: in one piece it pages for minutes, and a failure
on its last page costs all of it. Windows that touch, each with both of its ends included, lose
nothing: a scene at the instant that two of them share is found twice and counted once.

What several windows prove about scenes that were *not* found: a window whose answer is complete
and holds anything covers its span, so that a known scene of that span that no window found is
gone. A window with an empty answer covers nothing, even if its neighbours answered: a service
that has lost one year of its index answers so, and so does one that never had a scene there. An
incomplete answer does not occur: a source raises instead, and then the whole search has failed.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TypeAlias

from estinel_assets.errors import BadInputError
from estinel_assets.stac.scenes import version_stamp
from estinel_assets.stac.source import (
    SceneQuery,
    SceneSource,
    SearchResult,
    StacItem,
    in_time_order,
)

Span: TypeAlias = tuple[datetime, datetime]
"""(first instant, last instant), both included, timezone-aware."""

LONGEST_SPAN = timedelta(days=90)
"""A longer search is cut."""
SEARCHES_AT_ONCE = 4
"""Windows of one search that are under way together, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class CombinedResult:
    """What several searches found together. They all succeeded."""

    items: tuple[StacItem, ...]
    """Each id once, in its newest version, ordered by datetime then id."""
    matched: int | None
    """Sum of what the source said; None unless it said so of every window. A scene at an instant
    that two windows share counts in both."""
    requests: int
    """Sum over all windows, every try counted."""
    duration_s: float
    """Seconds from the first window's beginning to the last one's end."""
    covered: tuple[Span, ...]
    """Spans of the windows that found anything, in order: what was not found there is gone."""
    searches: int
    """Number of windows."""


def search_spans(
    start: datetime, end: datetime, longest: timedelta = LONGEST_SPAN
) -> tuple[Span, ...]:
    """Cut a span of time into the fewest equal windows that are short enough.

    Args:
        start: first instant, timezone-aware.
        end: last instant, included, timezone-aware.
        longest: longest window.

    Returns:
        Windows in UTC, in order, equal to the microsecond. Each begins with the instant that the
        one before it ends with.

    Raises:
        BadInputError: an instant has no time zone, the span ends before it starts, or the
            longest window is no time at all.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise BadInputError(f"the span {start} to {end} needs a time zone")
    if longest <= timedelta(0):
        raise BadInputError(f"a window of {longest} is no span of time: give a positive one")
    # Two instants of one zone with summer time would differ by what its clocks showed.
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    length = last - first
    if length < timedelta(0):
        raise BadInputError(f"a search cannot start at {start} and end at {end}")
    number = max(1, -(-length // longest))
    cuts = [first + length * index // number for index in range(number + 1)]
    return tuple(pairwise(cuts))


def split_query(query: SceneQuery, longest: timedelta = LONGEST_SPAN) -> tuple[SceneQuery, ...]:
    """The same query over each of the windows of `search_spans`."""
    spans = search_spans(query.start, query.end, longest)
    return tuple(replace(query, start=start, end=end) for start, end in spans)


def search_all(
    source: SceneSource,
    queries: Sequence[SceneQuery],
    *,
    workers: int = SEARCHES_AT_ONCE,
    clock: Callable[[], float] = time.monotonic,
) -> CombinedResult:
    """Run several searches of one collection, some at a time: all of them succeed or none counts.

    Args:
        source: safe to share between threads if there are several queries.
        queries: the windows.
        workers: how many are under way at once, at least 1.
        clock: seconds, for the duration.

    Raises:
        RetryableError: a search failed for now.
        PermanentError: a search was refused, or its answer cannot be used.
        BadInputError: no worker, or several collections, in which one id may name two items.

        After a failure no further search begins; those under way are waited for.
    """
    collections = sorted({query.collection for query in queries})
    if len(collections) > 1:
        raise BadInputError(f"one search cannot combine the collections {', '.join(collections)}")
    if workers < 1:
        raise BadInputError(f"{workers} searches at once find nothing: allow at least 1")
    started = clock()
    answers = _answers(source, queries, workers)
    stated = [answer.matched for answer in answers if answer.matched is not None]
    return CombinedResult(
        items=in_time_order(_newest(item for answer in answers for item in answer.items)),
        matched=sum(stated) if len(stated) == len(answers) else None,
        requests=sum(answer.requests for answer in answers),
        duration_s=clock() - started,
        covered=tuple(
            (query.start, query.end)
            for query, answer in zip(queries, answers, strict=True)
            if answer.items
        ),
        searches=len(answers),
    )


def _answers(
    source: SceneSource, queries: Sequence[SceneQuery], workers: int
) -> list[SearchResult]:
    """The answers in the order of the queries, whichever came first."""
    if len(queries) <= 1:
        # In this thread, where an interrupt by the user reaches it at once.
        return [source.search(query) for query in queries]
    answers: dict[int, SearchResult] = {}
    waiting = iter(enumerate(queries))
    under_way: dict[Future[SearchResult], int] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="search") as pool:
        while len(answers) < len(queries):
            # No more than there are threads: what has not begun is not queued either, so that
            # nothing is left to begin once a result raises.
            for place, query in islice(waiting, workers - len(under_way)):
                under_way[pool.submit(copy_context().run, source.search, query)] = place
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=under_way.__getitem__):
                answers[under_way.pop(future)] = future.result()
    return [answers[place] for place in range(len(queries))]


def _newest(items: Iterable[StacItem]) -> Iterable[StacItem]:
    found: dict[str, StacItem] = {}
    for item in items:
        known = found.get(item["id"])
        if known is None or not _is_newer(known, item):
            found[item["id"]] = item
    return found.values()


def _is_newer(known: StacItem, item: StacItem) -> bool:
    before, now = version_stamp(known["properties"]), version_stamp(item["properties"])
    return before is not None and now is not None and before > now
