"""Work in batches: so many at a time are in memory or in flight."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH = 1000
"""Documents or items that are in memory at once."""


def batches(things: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Lists of at most so many, in order."""
    remaining = iter(things)
    while batch := list(islice(remaining, size)):
        yield batch


def all_at_once(work: Callable[[T], R], things: Iterable[T], *, in_flight: int) -> Iterator[R]:
    """Work on things in threads; results come in no promised order.

    The first error stops what has not begun, waits for what has, and is raised.
    """
    with ThreadPoolExecutor(in_flight, thread_name_prefix="publish") as pool:
        remaining = iter(things)
        running: set[Future[R]] = {pool.submit(work, one) for one in islice(remaining, in_flight)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                running |= {pool.submit(work, one) for one in islice(remaining, len(done))}
        finally:
            for future in running:
                future.cancel()
