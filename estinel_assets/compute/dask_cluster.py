"""A Dask cluster of this machine, or the way to one that runs already."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from logging import CRITICAL
from typing import Final, Protocol

import dask.config
from distributed import Client, LocalCluster, Nanny
from distributed.scheduler import TaskState

from estinel_assets.compute.worker import MEBIBYTE
from estinel_assets.compute.worker_errors import WorkerError
from estinel_assets.errors import public_url

_SETTINGS: Final = {
    # A worker counts as lost for good when it has no successor at this time after it died, also
    # when the one that died meanwhile was that successor; its keeper would be sent away.
    "distributed.deploy.lost-worker-timeout": "52w",
    # Items may be large.
    "distributed.admin.large-graph-warning-threshold": "1 TiB",
}
"""While a cluster of our own is open, in all of this process."""
_NEWS_S: Final = 10.0
"""How long the news of a new task, or of the end of a process, may take at most."""


class Cluster(Protocol):
    """What runs items."""

    client: Client

    def free(self, under_way: int) -> int | None:
        """How many workers are free when so many items are under way; None if unknown."""
        ...

    def exit_code(self, address: str) -> int | None:
        """How the process of a worker that is lost has ended; None if unknown."""
        ...

    def end(self, keys: Iterable[str]) -> None:
        """End the processes that have these tasks, where that harms no other."""

    def close(self) -> None:
        """Put everything away."""


class RemoteCluster:
    """A scheduler at an address, with workers of its own."""

    def __init__(self, address: str, start_limit_s: float) -> None:
        """Connect, and wait for the first worker.

        Raises:
            WorkerError: nobody answers, or there is no worker.
        """
        begun = time.monotonic()
        try:
            self.client = Client(  # type: ignore[no-untyped-call]
                address, timeout=start_limit_s, set_as_default=False
            )
        except (OSError, ValueError) as error:  # the latter for what is no address
            raise WorkerError(
                f"no Dask scheduler answers at {public_url(address)}: {error}; "
                "see whether it runs and can be reached from here"
            ) from error
        try:
            left_s = max(1.0, start_limit_s - (time.monotonic() - begun))
            self.client.wait_for_workers(1, timeout=left_s)
        except TimeoutError as error:
            self.client.close()  # type: ignore[no-untyped-call]
            raise WorkerError(
                f"the Dask scheduler at {public_url(address)} has no worker after "
                f"{start_limit_s:g} s; start some"
            ) from error

    def free(self, under_way: int) -> int | None:  # noqa: ARG002
        """Unknown: workers come and go, and the scheduler keeps what waits for one."""
        return None

    def exit_code(self, address: str) -> int | None:  # noqa: ARG002
        """Unknown: the process is on another machine."""
        return None

    def end(self, keys: Iterable[str]) -> None:
        """Nothing: other items, not ours, may be in the same processes."""
        del keys

    def close(self) -> None:
        """Leave; the cluster runs on."""
        self.client.close()  # type: ignore[no-untyped-call]


class OwnCluster:
    """A scheduler in this process and worker processes of one thread each."""

    def __init__(self, workers: int, memory_limit_mib: int | None, start_limit_s: float) -> None:
        """Start it.

        Raises:
            WorkerError: it does not start.
        """
        self._exit_codes: dict[str, int] = {}
        exit_codes = self._exit_codes

        class Watching(Nanny):
            """The keeper of a worker process who tells how it has ended."""

            def _on_worker_exit_sync(self, exitcode: int) -> None:
                exit_codes[str(self.worker_address)] = exitcode
                super()._on_worker_exit_sync(exitcode)  # type: ignore[no-untyped-call]

        with ExitStack() as opened:
            folder = opened.enter_context(
                tempfile.TemporaryDirectory(prefix="estinel-dask-", ignore_cleanup_errors=True)
            )
            opened.enter_context(dask.config.set({"temporary-directory": folder, **_SETTINGS}))
            try:
                # Ctrl-C in a terminal goes to all processes, but it is for this one to say what
                # becomes of the others: threads and processes inherit that SIGINT is blocked.
                with _interrupts_blocked():
                    self._cluster = opened.enter_context(
                        LocalCluster(  # type: ignore[no-untyped-call]
                            n_workers=workers,
                            threads_per_worker=1,
                            processes=True,
                            host="127.0.0.1",
                            dashboard_address="127.0.0.1:0",  # None would be port 8787
                            # What a lost worker had is not tried again: whoever asked is told.
                            scheduler_kwargs={"allowed_failures": 0, "dashboard": False},
                            worker_class=Watching,
                            memory_limit=(memory_limit_mib or 0) * MEBIBYTE,
                            local_directory=folder,
                            silence_logs=CRITICAL,  # what is lost is told as an error of its item
                        )
                    )
                    self.client = opened.enter_context(
                        Client(  # type: ignore[no-untyped-call]
                            self._cluster, set_as_default=False, timeout=start_limit_s
                        )
                    )
            except (OSError, RuntimeError) as error:
                raise WorkerError(
                    f"no local Dask cluster can be started: {error}; see the limits on processes "
                    "and open files"
                ) from error
            self._opened = opened.pop_all()

    def free(self, under_way: int) -> int | None:
        """Each worker has one item at a time; one that died is missing until it has a successor."""
        return max(0, len(self._cluster.scheduler.workers) - under_way)

    def exit_code(self, address: str) -> int | None:
        """How the process ended, waiting a little for the news."""
        _wait_until(lambda: address in self._exit_codes)
        return self._exit_codes.get(address)

    def end(self, keys: Iterable[str]) -> None:
        """Kill the processes that have them, and see them gone; successors start by themselves."""
        given_up, scheduler = list(keys), self._cluster.scheduler
        # What was sent a moment ago may not have come to a worker, but will.
        _wait_until(lambda: all(_is_placed(scheduler.tasks.get(key)) for key in given_up))
        tasks = [scheduler.tasks.get(key) for key in given_up]
        at = [task.processing_on for task in tasks if task is not None]
        busy = {worker.address for worker in at if worker is not None}
        for nanny in list(self._cluster.workers.values()):
            # Its own way to kill wants an event loop in this thread.
            if nanny.worker_address in busy and (number := nanny.pid) is not None:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        # Else what comes next may be sent to one of them.
        _wait_until(lambda: not busy & scheduler.workers.keys())

    def close(self) -> None:
        """End the workers and the scheduler, and remove their folder."""
        self._opened.close()


def _is_placed(task: TaskState | None) -> bool:
    """Whether a worker has the task or has had it, or none will get it once it is cancelled."""
    settled = {"memory", "erred", "no-worker", "queued"}
    return task is not None and (task.processing_on is not None or task.state in settled)


def _wait_until(come: Callable[[], bool]) -> None:
    until = time.monotonic() + _NEWS_S
    while not come() and time.monotonic() < until:
        time.sleep(0.005)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C waiting, in this thread and in what it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
