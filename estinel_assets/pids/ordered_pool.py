"""Threads that work on many things at once, and on those with the same key one after the other."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Ended(Generic[T, R]):
    """Something that was worked on."""

    task: T
    result: R | None
    """None where it failed, or where its turn never came."""
    error: BaseException | None = None


class OrderedPool(Generic[T, R]):
    """A pool of threads that keeps order among what has one key. Tasks come from one thread."""

    def __init__(self, work: Callable[[T], R], *, threads: int, name: str) -> None:
        """Make the pool.

        Args:
            work: what is done with each; an exception out of it comes back in `Ended`.
            threads: how many.
            name: of the threads, in logs.
        """
        self._work = work
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._ended: queue.SimpleQueue[Ended[T, R]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, deque[T]] = {}
        """What waits behind the one in work, by key."""
        self._dropping = False
        self._open = 0

    @property
    def open(self) -> int:
        """How many were given and not yet taken back."""
        return self._open

    def submit(self, task: T, key: Hashable) -> None:
        """Have something worked on, after all that came before with the same key."""
        self._open += 1
        with self._lock:
            behind = self._waiting.get(key)
            if behind is not None:
                behind.append(task)
                return
            self._waiting[key] = deque()
        self._executor.submit(self._run, task, key)

    def take(self, timeout_s: float) -> list[Ended[T, R]]:
        """What has ended since; waits for the first one where none has.

        Args:
            timeout_s: longest wait, in seconds.
        """
        taken: list[Ended[T, R]] = []
        try:
            taken.append(
                self._ended.get(timeout=timeout_s) if timeout_s > 0 else self._ended.get_nowait()
            )
            while True:
                taken.append(self._ended.get_nowait())
        except queue.Empty:
            self._open -= len(taken)
            return taken

    def drop_waiting(self) -> None:
        """Begin nothing more; what is in work goes on, what waits comes back without a result."""
        self._dropping = True

    def close(self) -> None:
        """Wait for what is in work, and end the threads."""
        self.drop_waiting()
        self._executor.shutdown()

    def _run(self, task: T, key: Hashable) -> None:
        while True:
            self._ended.put(self._one(task))
            with self._lock:
                behind = self._waiting[key]
                if not behind:
                    del self._waiting[key]
                    return
                task = behind.popleft()

    def _one(self, task: T) -> Ended[T, R]:
        if self._dropping:
            return Ended(task, None)
        try:
            return Ended(task, self._work(task))
        except BaseException as error:  # noqa: BLE001 - the thread that takes it raises it again
            return Ended(task, None, error)
