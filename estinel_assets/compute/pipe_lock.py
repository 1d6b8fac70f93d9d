"""A lock between a process and one that it starts, of which nothing outlives the two."""

import os
import threading
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext


class PipeLock:
    """A recursive lock: whoever has taken the one byte out of a pipe holds it.

    The locks of multiprocessing are named semaphores of the machine. Where the process that made
    one is killed, the name stays, until Python's resource tracker finds it and complains. A pipe
    ends with the last process that has it. As with those, a process that dies with the lock keeps
    it for ever.

    It travels to a process as multiprocessing's locks do: as an argument, when that is started.
    """

    def __init__(self, context: BaseContext) -> None:
        """Args: context: makes the pipe."""
        self._reader: Connection
        self._writer: Connection
        self._reader, self._writer = context.Pipe(duplex=False)
        # Holds in every process that has the pipe: two may see the byte, and one gets it.
        os.set_blocking(self._reader.fileno(), False)
        self._put_back()

    def __getstate__(self) -> tuple[Connection, Connection]:
        return self._reader, self._writer

    def __setstate__(self, state: tuple[Connection, Connection]) -> None:
        self._reader, self._writer = state
        self._holder: int | None = None
        self._depth = 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002 - multiprocessing's own signature
        """Take it, once more if this thread has it.

        Args:
            block: whether to wait for it.
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            Whether this thread has it now.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._holder != threading.get_ident() and not self._taken():
            left_s = None if until is None else until - time.monotonic()
            if not block or (left_s is not None and left_s <= 0):
                return False
            wait([self._reader], left_s)
        self._depth += 1
        return True

    def release(self) -> None:
        """Let go of it, once for each time that it was taken."""
        self._depth -= 1
        if self._depth == 0:
            self._put_back()

    def _taken(self) -> bool:
        try:
            os.read(self._reader.fileno(), 1)
        except BlockingIOError:
            return False
        self._holder = threading.get_ident()
        return True

    def _put_back(self) -> None:
        self._holder, self._depth = None, 0
        os.write(self._writer.fileno(), b"1")
