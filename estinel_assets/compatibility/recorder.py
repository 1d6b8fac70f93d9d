"""Stores outcomes beside the checks, so that no process waits while the store writes."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Self

from estinel_assets.errors import EstinelError
from estinel_assets.outcomes.record import Outcome

AT_ONCE = 4
"""Outcomes written at once."""
MOST_WAITING = 16
"""So many outcomes may be on their way; beyond that checks wait for the store after all."""


class Recorder:
    """Outcomes on their way to the store, given back in the order in which they came.

    Leaving the context waits until all are written, whether they are asked for or not.
    """

    def __init__(self, write: Callable[[Outcome], object]) -> None:
        """Args: write: stores one outcome; called from several threads."""
        self._write = write
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="recorder")
        self._waiting: deque[tuple[Outcome, Future[object]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def add(self, outcome: Outcome) -> None:
        """Have an outcome stored."""
        # The caller's context holds what log lines are to say, such as the run.
        future = self._pool.submit(copy_context().run, self._write, outcome)
        self._waiting.append((outcome, future))

    def stored(self) -> Iterator[Outcome]:
        """Those that are stored by now, without waiting for others, unless very many wait.

        Raises:
            StoreError: the store refused the one that comes next.
        """
        while self._waiting:
            outcome, future = self._waiting[0]
            if not future.done() and len(self._waiting) <= MOST_WAITING:
                return
            self._waiting.popleft()
            future.result()
            yield outcome

    def rest(self) -> Iterator[Outcome]:
        """All others, each when it is stored.

        Raises:
            StoreError: at the end: the store refused one, or several.
        """
        refused: EstinelError | None = None
        while self._waiting:
            outcome, future = self._waiting.popleft()
            try:
                future.result()
            except EstinelError as error:
                refused = refused or error
            else:
                yield outcome
        if refused is not None:
            raise refused
