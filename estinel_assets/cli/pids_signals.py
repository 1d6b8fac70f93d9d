"""Signals of a consumer: the first one asks it to stop in order, the second one interrupts it."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from estinel_assets.cli.exit_codes import ExitCode

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""Time in which an interrupted consumer may leave its group and its leases, in seconds."""


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C set an event; once more, and they interrupt as usual.

    An interrupted consumer would wait for requests that are under way. After `PATIENCE_S`, or at
    the third signal, the process ends whatever it does: it is made for that.

    Args:
        stop: is set by the first signal.

    Raises:
        KeyboardInterrupt: a second signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = threading.Timer(PATIENCE_S, _end)
    last.daemon = True
    signals = 0

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal signals
        signals += 1
        if signals == 1:
            stop.set()
            return
        if signals > 2:
            _end()
        last.start()
        raise KeyboardInterrupt

    former = {one: signal.signal(one, handle) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _told(stop):
            yield
    finally:
        for one, what in former.items():
            signal.signal(one, what)
        last.cancel()


@contextmanager
def _told(stop: threading.Event) -> Iterator[None]:
    """Log that it stops, from a thread: a signal's handler must not."""
    over = threading.Event()

    def wait() -> None:
        stop.wait()
        if not over.is_set():
            log.info("stopping: what is in work is ended and recorded; again to interrupt it")

    threading.Thread(target=wait, name="pids-stop", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        stop.set()


def _end() -> None:
    """End the process, now."""
    # Not through `sys.stderr`, which the interrupted thread may be writing to.
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"estinel: aborted by the user\n")
    os._exit(ExitCode.ABORTED)
