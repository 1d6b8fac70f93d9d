"""How many requests are in flight, and how many are sent a second."""

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from estinel_assets.errors import UnitError

T = TypeVar("T")
R = TypeVar("R")

_QUEUED = 2
"""Tasks that wait for each thread, so that none of them is ever idle."""


class Pace:
    """Lets through so many a second, evenly, without bursts. Safe to share between threads."""

    def __init__(
        self,
        per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start now.

        Args:
            per_second: most a second; None for no limit.
            clock: seconds on a clock that never goes back.
            sleep: waits so many seconds.
        """
        self._interval_s = 0.0 if per_second is None else 1.0 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_at = 0.0

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        if not self._interval_s:
            return
        with self._lock:
            now = self._clock()
            turn = max(now, self._next_at)
            self._next_at = turn + self._interval_s
        if turn > now:
            self._sleep(turn - now)


class Threads:
    """The threads that all calls of one client share."""

    def __init__(self, at_once: int) -> None:
        """Args: at_once: how many; they start when there is work."""
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="stac")

    def each(
        self, function: Callable[[T], R], values: Iterable[T]
    ) -> Generator[tuple[T, R | UnitError]]:
        """Do something to many values, several at once, and hand back each as it ends.

        What has not begun when the caller stops listening is not begun any more. `function` must
        not itself call this: a thread that waits for another of the same few may wait for ever.

        Args:
            function: may raise a `UnitError`, which is handed back.
            values: taken as there is room for them.
        """
        running: dict[Future[R], T] = {}
        try:
            for value in values:
                running[self._pool.submit(function, value)] = value
                if len(running) >= _QUEUED * self._at_once:
                    yield from _ended(running)
            while running:
                yield from _ended(running)
        finally:
            for future in running:
                future.cancel()
            wait(running)

    def close(self) -> None:
        """Wait until what is running has ended; nothing can be begun afterwards."""
        self._pool.shutdown()


def _ended(running: dict[Future[R], T]) -> Generator[tuple[T, R | UnitError]]:
    """Wait for at least one; take what ended out of `running`."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        value = running.pop(future)
        error = future.exception()
        yield value, error if isinstance(error, UnitError) else future.result()
