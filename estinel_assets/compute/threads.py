"""The default engine: threads of this process."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from estinel_assets.compute.engine import Completed
from estinel_assets.compute.supply import Later, Supply

T = TypeVar("T")
R = TypeVar("R")


class Threads:
    """Runs items in threads. For work that waits for the network or frees the GIL."""

    def __init__(self, workers: int) -> None:
        """Args: workers: how many items are under way at once, at least 1."""
        self.workers = workers

    def close(self) -> None:
        """Nothing is held between maps."""

    def map(
        self, function: Callable[[T], R], items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        """See `Engine.map`. The caller's context variables are visible to the function."""
        supply = Supply(items)
        under_way: dict[Future[R], T] = {}
        with ThreadPoolExecutor(self.workers, thread_name_prefix="map") as pool:
            try:
                while under_way or supply.more():
                    for item in supply.take(self.workers - len(under_way)):
                        under_way[pool.submit(copy_context().run, function, item)] = item
                    if not under_way:
                        continue
                    done, _ = wait(under_way, supply.wait_s, FIRST_COMPLETED)
                    for future in done:
                        item = under_way.pop(future)
                        error = future.exception()
                        value = future.result() if error is None else None
                        for following in supply.take(1):
                            submitted = pool.submit(copy_context().run, function, following)
                            under_way[submitted] = following
                        yield Completed(item, value, error)
            finally:
                for future in under_way:
                    future.cancel()
