"""The Dask engine: processes of this machine, or whatever workers a Dask scheduler has.

It needs the extra `dask`, which is imported when the first item is there.
"""

import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from estinel_assets.compute import extras
from estinel_assets.compute.engine import Completed
from estinel_assets.compute.supply import ASK_AGAIN_S, Later, Supply
from estinel_assets.compute.worker_errors import NotTransferableError, TimeLimitError, WorkerError
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from distributed import Future

    from estinel_assets.compute.dask_cluster import Cluster
    from estinel_assets.compute.transfer import Call, Reply

T = TypeVar("T")
R = TypeVar("R")

START_LIMIT_S = 120.0
"""How long a cluster may take to start, or to be reached, and a lost worker to be replaced."""


class DaskEngine:
    """Runs items on a Dask cluster: its own, on this machine, or that of a scheduler.

    Errors come as values, in `Completed.error`, as those of `Processes` do: `TimeLimitError`,
    `OutOfMemoryError`, `WorkerDiedError`, `NotTransferableError`, and whatever else the function
    raises as it is, with a `RemoteTracebackError` as its cause. What an item logs is logged here
    when it has ended; what it logged is lost with its process.

    *Its own cluster* starts with the first item: processes of one thread each, which ignore SIGINT,
    without a dashboard, reachable from this machine only. A process that ends in the middle of an
    item is replaced; its item is not tried again. The cluster serves all maps until `close`, or the
    end of the `with` block.

    *Somebody else's cluster* must have the same Python, this package, its extra `dask` and whatever
    the function imports. The scheduler tries items of lost workers again, as often as its setting
    `distributed.scheduler.allowed-failures` says, so an item may run more than once. A time limit
    needs workers of one thread each. Items that wait for a worker wait for ever.

    *The time limit* counts while the function runs. The kernel ends a process that is over it, by
    SIGALRM, also where native code keeps the GIL; an item has no use of that signal for itself.

    *The end*: exhausting or closing the iterator cancels what has not begun, and ends the processes
    of its own cluster that are busy; on another cluster what has begun runs to its end, unheeded.
    """

    def __init__(
        self,
        workers: int,
        *,
        address: str | None = None,
        time_limit_s: float | None = None,
        memory_limit_mib: int | None = None,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        """Nothing starts before the first item.

        Args:
            workers: how many items are under way at once, at least 1; of its own cluster, how many
                processes there are.
            address: of a scheduler, such as `tcp://10.0.0.1:8786`; None for a cluster of its own.
            time_limit_s: seconds that one item may take; None for no limit.
            memory_limit_mib: MiB that a process of its own cluster may hold before Dask ends it.
            start_limit_s: seconds that the cluster may take to start, or to answer.

        Raises:
            BadInputError: a number that is no sensible limit, or a memory limit for a cluster that
                is not its own; the message names all of them.
            MissingDependencyError: the extra `dask` is not installed.
        """
        numbers = {
            "workers": workers,
            "time_limit_s": time_limit_s,
            "memory_limit_mib": memory_limit_mib,
            "start_limit_s": start_limit_s,
        }
        problems = [
            f"{name} is {number}, but has to be more than 0 and finite"
            for name, number in numbers.items()
            if number is not None and not 0 < number < math.inf
        ]
        if address is not None and memory_limit_mib is not None:
            problems.append(
                "memory_limit_mib is for a cluster of this machine; "
                "give it to the workers of the scheduler when they start"
            )
        if problems:
            raise BadInputError("; ".join(problems))
        extras.require("dask", "distributed")
        self.workers = workers
        self.address = address
        self.time_limit_s = time_limit_s
        self.memory_limit_mib = memory_limit_mib
        self.start_limit_s = start_limit_s
        self._cluster: Cluster | None = None
        self._opening = threading.Lock()
        self._runs: list[_Run[Any, Any]] = []

    def map(
        self, function: Callable[[T], R], items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        """See `Engine.map`.

        Raises:
            BadInputError: the function cannot be sent to another process.
            WorkerError: on iteration, when the cluster does not start, or is lost.
        """
        from estinel_assets.compute import transfer

        packed = transfer.pack_function(function)
        level = transfer.level_of_logs()

        def call_of(item: T) -> "Call":
            return transfer.Call(
                packed, transfer.pack_item(item), level, kill_after_s=self.time_limit_s
            )

        return self._completed(call_of, items)

    def _completed(
        self, call_of: "Callable[[T], Call]", items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        supply = Supply(items)
        run: _Run[T, R] | None = None
        try:
            while run is None:  # no cluster is started before an item is there
                for item in supply.take(1):
                    run = _Run(self._opened(), self.time_limit_s)
                    self._runs.append(run)
                    run.begin(item, call_of)
                if run is None and not supply.more():
                    return
            while True:
                for item in supply.take(self._room(run)):
                    run.begin(item, call_of)
                if run.ended:
                    yield run.ended.popleft()
                elif run.under_way:
                    starved = self._room(run) == 0 and len(run.under_way) < self.workers
                    run.wait(ASK_AGAIN_S if starved else supply.wait_s)
                elif supply.more():
                    self._wait_for_a_worker(run.cluster)
                else:
                    return
        finally:
            if run is not None:
                self._runs.remove(run)
                run.cancel()

    def _room(self, run: "_Run[T, R]") -> int:
        """How many items may be taken."""
        mine = self.workers - len(run.under_way)
        free = self._free(run.cluster)
        return mine if free is None else min(mine, free)

    def _free(self, cluster: "Cluster") -> int | None:
        if cluster.free(0) is None:
            return None
        sent = [future for run in tuple(self._runs) for future in tuple(run.under_way)]
        return cluster.free(
            sum(not future.done() for future in sent)  # type: ignore[no-untyped-call]
        )

    def _wait_for_a_worker(self, cluster: "Cluster") -> None:
        """Wait until there is one that has nothing to do; other maps may have them all.

        Raises:
            WorkerError: for too long there is none at all.
        """
        until = time.monotonic() + self.start_limit_s
        while self._free(cluster) == 0:
            if cluster.free(0):
                until = time.monotonic() + self.start_limit_s
            elif time.monotonic() > until:
                raise WorkerError(
                    f"the local Dask cluster has had no worker for {self.start_limit_s:g} s; "
                    "see the limits on processes and memory"
                )
            time.sleep(ASK_AGAIN_S)

    def _opened(self) -> "Cluster":
        from estinel_assets.compute.dask_cluster import OwnCluster, RemoteCluster

        with self._opening:
            if self._cluster is None:
                self._cluster = (
                    OwnCluster(self.workers, self.memory_limit_mib, self.start_limit_s)
                    if self.address is None
                    else RemoteCluster(self.address, self.start_limit_s)
                )
            return self._cluster

    def close(self) -> None:
        """End its own cluster, or leave that of the scheduler; another map would begin anew."""
        with self._opening:
            if self._cluster is not None:
                self._cluster.close()
                self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Run(Generic[T, R]):
    """The items of one map."""

    def __init__(self, cluster: "Cluster", time_limit_s: float | None) -> None:
        self.cluster = cluster
        self.under_way: dict[Future[Reply], T] = {}
        self.ended: deque[Completed[T, R]] = deque()
        """What is to be told."""
        self._time_limit_s = time_limit_s
        self._done: SimpleQueue[Future[Reply]] = SimpleQueue()
        self._name = f"estinel-{uuid.uuid4().hex}"
        self._begun = 0

    def begin(self, item: T, call_of: "Callable[[T], Call]") -> None:
        """Put the item under way, unless it cannot be sent."""
        from estinel_assets.compute import transfer

        try:
            call = call_of(item)
        except NotTransferableError as error:
            self.ended.append(Completed(item, None, error))
            return
        self._begun += 1
        future = self.cluster.client.submit(
            transfer.answer, call, key=f"{self._name}-{self._begun}", pure=False
        )
        self.under_way[future] = item
        future.add_done_callback(self._done.put)  # type: ignore[no-untyped-call]

    def wait(self, timeout_s: float | None) -> None:
        """Wait for the end of an item, but no longer than that.

        Raises:
            WorkerError: the scheduler is lost.
        """
        try:
            done = [self._done.get(timeout=timeout_s)]
        except Empty:
            return
        while not self._done.empty():
            done.append(self._done.get())
        for future in done:
            self.ended.append(self._told(self.under_way[future], future))
            del self.under_way[future]

    def _told(self, item: T, future: "Future[Reply]") -> Completed[T, R]:
        from distributed import CancelledError, KilledWorker

        from estinel_assets.compute import transfer

        try:
            reply = future.result()
        except CancelledError as error:
            raise WorkerError(f"the Dask scheduler is lost: {error}") from error
        except KilledWorker as error:
            return Completed(item, None, self._death(error.last_worker.address))
        except Exception as error:  # noqa: BLE001 - whatever a worker does that cannot even begin
            line = f"{type(error).__name__}: {error}"
            return Completed(item, None, WorkerError(f"the Dask worker failed: {line}"))
        return transfer.told(item, reply)

    def _death(self, address: str) -> WorkerError:
        from signal import SIGALRM

        from estinel_assets.compute import transfer

        exit_code = self.cluster.exit_code(address)
        if exit_code == -SIGALRM and self._time_limit_s is not None:
            return TimeLimitError(self._time_limit_s)
        return transfer.ended(exit_code, f"the Dask worker {address} is lost")

    def cancel(self) -> None:
        """Cancel what is under way."""
        given_up = list(self.under_way)
        if given_up:
            self.cluster.end([str(future.key) for future in given_up])
            self.cluster.client.cancel(  # type: ignore[no-untyped-call]
                given_up, force=True
            )
        self.under_way.clear()
