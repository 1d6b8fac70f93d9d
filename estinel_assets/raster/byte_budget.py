"""A semaphore that counts bytes: however many reads are under way, memory stays bounded."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class ByteBudget:
    """Lets work begin while its bytes fit. Safe to use from many threads.

    First come, first served, so that a large read is not kept waiting by many small ones. One that
    is larger than everything there is goes alone. Whoever holds bytes must not ask for more: two
    that did could wait for each other.
    """

    def __init__(self, limit: int) -> None:
        """Args: limit: bytes that may be held together, at least 1."""
        if limit < 1:
            raise ValueError(f"a budget of {limit} bytes lets nothing begin: give at least 1")
        self._limit = limit
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them for the block.

        Args:
            count: bytes.
        """
        held = min(count, self._limit)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and self._held + held <= self._limit
                )
                self._held += held
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held -= held
                self._changed.notify_all()
