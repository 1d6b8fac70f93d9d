"""The isolated engine: processes that may hang, explode or crash at the cost of one item.

For work that runs foreign native code on foreign files. What goes on inside a process is in
`worker`, how processes are started, watched and ended is in `crew`.
"""

import math
import pickle
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

from estinel_assets.compute.answers import Answer, completed
from estinel_assets.compute.crew import Crew, Limits
from estinel_assets.compute.engine import Completed
from estinel_assets.compute.supply import Later, Supply
from estinel_assets.compute.worker_errors import (
    NotTransferableError,
    OutOfMemoryError,
    RemoteTracebackError,
    TimeLimitError,
    WorkerDiedError,
    WorkerError,
)
from estinel_assets.errors import BadInputError

__all__ = [
    "NotTransferableError",
    "OutOfMemoryError",
    "Processes",
    "RemoteTracebackError",
    "TimeLimitError",
    "WorkerDiedError",
    "WorkerError",
]

T = TypeVar("T")
R = TypeVar("R")

TASKS_PER_WORKER = 200
"""Items that one process serves before a fresh one takes its place, to contain leaks."""

START_LIMIT_S = 120.0
"""How long a process may take to import its modules and run its initializer."""


class Processes:
    """Runs items in processes of their own, each under a time limit and a memory limit.

    Errors come as values, in `Completed.error`: `TimeLimitError`, `OutOfMemoryError`,
    `WorkerDiedError`, `NotTransferableError`, and whatever else the function raises as it is, with
    a `RemoteTracebackError` as its cause.

    *Function, items, results* travel by pickle: the function stands at the top level of a module
    that the process can import. The program's own main module is imported again in every process,
    as multiprocessing does: where it imports much, name that in `preload`.

    *The time limit* counts from when the process has taken the item to when its result is there,
    at a resolution of 0.1 s; the wait for a process, its start and its imports do not count. A
    process that is over it is ended by SIGTERM, with its default action, and by SIGKILL 3 s later
    where the function ignores that. The limit holds also while the caller is busy between two
    items.

    *The memory limit* is what a process holds once it has started plus `memory_limit_mib`. It is
    the kernel's RLIMIT_DATA, on private writable memory: what allocations take, touched or not.
    RLIMIT_AS would also count files mapped for reading, libraries and the 64 MiB that the allocator
    only reserves for each thread: ten idle threads take 720 MiB of it, of RLIMIT_DATA 80 MiB, their
    stacks. Beyond the limit an allocation fails. Python, NumPy and Arrow then raise MemoryError,
    which comes back as `OutOfMemoryError`, also from under another exception. Native code may
    instead fail in its own words (GDAL: "cannot allocate"; HDF5: "filter returned failure"), which
    come back as they are; it may abort, a `WorkerDiedError` with SIGABRT; or it may hang where it
    wanted a thread, a `TimeLimitError`. Leave room for thread stacks and caches, and keep caches
    small (GDAL's takes a twentieth of the machine's memory unless `GDAL_CACHEMAX` says otherwise).
    SIGKILL from outside, as the kernel sends when the machine is out of memory, is an
    `OutOfMemoryError`. Except on Linux there is no limit.

    *The environment*: a process has the variables, the working directory and the module path that
    this one has when the process starts, and ignores SIGINT. What `preload` imports is imported
    before that, in the fork server, which keeps the environment of its own start: modules that read
    variables at import do not belong there, nor do those that start threads. Logging stands at
    Python's default.

    *The fork server* is one for the whole of this process, and starts with the first process. If it
    runs already, other modules preloaded, everything works and a process starts by as much slower
    as its imports take.

    *The end*: exhausting or closing the iterator kills what is under way and leaves no process.
    Close it where an exception may pass by (`contextlib.closing`), Ctrl-C among them: a traceback
    keeps a generator alive. Should this process be killed, on Linux the kernel kills the others,
    hanging or not; elsewhere one that hangs stays.

    Any thread may use it; no signal handler of this process is touched.
    """

    def __init__(
        self,
        workers: int,
        *,
        time_limit_s: float,
        memory_limit_mib: int | None = None,
        preload: Sequence[str] = (),
        initializer: Callable[[], object] | None = None,
        tasks_per_worker: int = TASKS_PER_WORKER,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        """Nothing starts before the first item.

        Args:
            workers: how many items are under way at once, at least 1.
            time_limit_s: seconds that one item may take.
            memory_limit_mib: MiB that the items of one process may hold; None for no limit.
            preload: names of heavy modules, imported once and forked along.
            initializer: called once in each process before its first item; what it raises comes
                back as the error of each item.
            tasks_per_worker: how many items a process serves before a fresh one replaces it.
            start_limit_s: seconds that a process may take to start.

        Raises:
            BadInputError: a number that is no sensible limit; the message names all of them.
        """
        self.workers = workers
        self.limits = Limits(
            time_s=time_limit_s,
            memory_mib=memory_limit_mib,
            tasks=tasks_per_worker,
            start_s=start_limit_s,
        )
        self.preload = tuple(preload)
        self.initializer = initializer
        self._check()

    def _check(self) -> None:
        limits = self.limits
        numbers = {
            "workers": self.workers,
            "time_limit_s": limits.time_s,
            "memory_limit_mib": limits.memory_mib,
            "tasks_per_worker": limits.tasks,
            "start_limit_s": limits.start_s,
        }
        problems = [
            f"{name} is {number}, but has to be more than 0 and finite"
            for name, number in numbers.items()
            if number is not None and not 0 < number < math.inf
        ]
        if problems:
            raise BadInputError("; ".join(problems))

    def close(self) -> None:
        """Nothing is held between maps."""

    def map(
        self, function: Callable[[T], R], items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        """See `Engine.map`. Closing early does not wait for what is under way, but kills it.

        Raises:
            BadInputError: the function cannot be sent to another process.
            WorkerError: on iteration, when no process can be started.
        """
        pickled = _pickled_callable("function", function)
        initializer = self.initializer and _pickled_callable("initializer", self.initializer)
        return self._completed(pickled, initializer, items)

    def _completed(
        self, function: bytes, initializer: bytes | None, items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        supply = Supply(items)
        crew: Crew[T] = Crew(function, initializer, self.preload, self.limits)
        try:
            while crew.under_way or supply.more():
                for item in supply.take(self.workers - len(crew.under_way)):
                    crew.submit(item)
                if not crew.under_way:
                    continue
                for item, outcome in crew.ended(supply.wait_s):
                    for following in supply.take(1):
                        crew.submit(following)
                    yield self._told(item, outcome)
        finally:
            crew.close()

    def _told(self, item: T, outcome: Answer | WorkerError) -> Completed[T, R]:
        """The answer in the caller's terms."""
        if isinstance(outcome, WorkerError):
            return Completed(item, None, outcome)
        return completed(item, outcome, self._out_of_memory)

    def _out_of_memory(self, text: str) -> str:
        if self.limits.memory_mib is None:
            return f"{text}; no limit was set, so the machine has no more"
        return (
            f"{text}; an item may take {self.limits.memory_mib} MiB, raise the memory limit "
            "if it is worth more"
        )


def _pickled_callable(role: str, function: Callable[..., object]) -> bytes:
    try:
        return pickle.dumps(function)
    except Exception as error:
        raise BadInputError(
            f"the {role} {function!r} cannot be sent to another process ({error}); "
            "define it at the top level of a module"
        ) from error
