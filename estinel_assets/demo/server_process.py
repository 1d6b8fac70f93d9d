"""A local server in a process of its own, which says its address in its first line of output."""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from estinel_assets.errors import EstinelError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


@contextmanager
def server_process(
    command: Sequence[str], what: str, *, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a server for as long as the context lasts.

    Args:
        command: starts it; it prints its address, and stops when its standard input ends.
        what: names it in messages.
        environment: of the process; this one's where none is given.

    Yields:
        The server's address.

    Raises:
        EstinelError: it does not start; why is on standard error.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=None if environment is None else dict(environment),
    )
    if process.stdin is None or process.stdout is None:
        raise EstinelError(f"{what} was started without pipes")
    # A server that hangs while it starts is ended, which ends the wait for its address, too.
    patience = threading.Timer(START_TIMEOUT_S, process.kill)
    patience.start()
    try:
        address = process.stdout.readline().strip()
        patience.cancel()
        if not address:
            raise EstinelError(f"{what} did not start; to see why, run: {' '.join(command)}")
        yield address
    finally:
        patience.cancel()
        process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
