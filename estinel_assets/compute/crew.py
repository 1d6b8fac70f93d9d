"""How isolated processes are started, watched, replaced and ended.

It stands on pebble's process pool, used in a narrow way: a pool has one process, a process has one
item at a time, and a pool whose process has ended is thrown away. So no item shares a pipe, a lock
or a fate with another: the processes of one pebble pool share a locked pipe, and one that dies or
is stopped at the wrong moment can take with it, or delay, what the others have.
"""

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, get_context, popen_forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from estinel_assets.compute import worker
from estinel_assets.compute.answers import Answer, AnswerKind
from estinel_assets.compute.pipe_lock import PipeLock
from estinel_assets.compute.worker import Start
from estinel_assets.compute.worker_errors import (
    NotTransferableError,
    OutOfMemoryError,
    TimeLimitError,
    WorkerDiedError,
    WorkerError,
)

T = TypeVar("T")

_TICK_S = 0.5  # how often to look for items that nobody will answer any more
_ALWAYS_PRELOADED = (__name__,)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process and one of its items may take."""

    time_s: float
    memory_mib: int | None
    tasks: int
    start_s: float


class _Popen(popen_forkserver.Popen):
    """How a started process is followed, by one thread at a time.

    The exit code comes once, through a pipe. Two threads that ask at the same moment both see that
    it is there, and for the second, which finds it gone, multiprocessing makes up a 255. And many
    ask: pebble's threads, and whoever starts any other process.
    """

    def __init__(self, process_obj: BaseProcess) -> None:
        self._asking = threading.Lock()
        super().__init__(process_obj)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code; None while it runs."""
        with self._asking:
            return super().poll(flag)


class _Process(ForkServerProcess):
    """A process from the fork server whose exit code is the true one."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Popen:  # noqa: N802 - multiprocessing's name
        return _Popen(process_obj)


class _OneProcess:
    """The part of a multiprocessing context that a pool uses, good for a single process.

    pebble replaces a process that has ended. Refused here, it declares the pool broken and its
    item failed at once; and as the process is known, so is how it ended, which pebble forgets when
    it sees the end before the message that the item has begun.
    """

    def __init__(self, context: ForkServerContext) -> None:
        self._context = context
        self._lock: PipeLock | None = PipeLock(context)
        self.process: BaseProcess | None = None

    def get_start_method(self) -> str:
        return "forkserver"

    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]:  # noqa: FBT001, FBT002, N802
        return self._context.Pipe(duplex)

    def RLock(self) -> PipeLock:  # noqa: N802
        # The same for what the process reads and what it writes, which it does by turns.
        if self._lock is None:
            raise OSError("a pool of one process has one channel")
        return self._lock

    def Process(  # noqa: N802
        self,
        *,
        target: Callable[..., object],
        name: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> BaseProcess:
        if self.process is not None:
            raise OSError("a pool of one process does not replace it")
        self._lock = None  # the channel has it, and closes it
        self.process = _Process(target=target, name=name, args=args, kwargs=kwargs)
        return self.process


class _Worker:
    """A pool and its one process, from the start of the process to its end."""

    def __init__(self, start: Start) -> None:
        self._context = _OneProcess(get_context("forkserver"))
        context: Any = self._context  # whose lock is one of ours
        self._pool = ProcessPool(1, 0, worker.begin, (start,), context)
        self._joining: threading.Thread | None = None
        self.served = 0

    def submit(self, item: bytes, time_limit_s: float) -> Future[Answer]:
        """Hand it one item, and start it if this is its first.

        Raises:
            RuntimeError: its process has ended, or could not start.
        """
        self.served += 1
        return self._pool.schedule(worker.answer, args=(item,), timeout=time_limit_s)

    @property
    def active(self) -> bool:
        """Whether its process is there and watched."""
        return self._pool.active

    @property
    def exit_code(self) -> int | None:
        """The exit code, a signal's number below zero; None if it never started or still runs."""
        process = self._context.process
        return None if process is None or process.pid is None else process.exitcode

    def end(self) -> None:
        """Kill its process, and begin to put away what belonged to it."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        process = self._context.process
        if process is not None and process.pid is not None:
            process.kill()
        self._joining = threading.Thread(target=self._pool.join, name="put-away", daemon=True)
        self._joining.start()

    def gone(self, timeout_s: float | None) -> bool:
        """Whether all is put away, waiting for it up to the time given (None: for ever)."""
        if self._joining is None:
            return False
        self._joining.join(timeout_s)
        return not self._joining.is_alive()


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    """One item under way."""

    item: T
    worker: _Worker | None
    """Who has it; None if it could not be sent."""
    since_s: float
    """When it was handed over, on the monotonic clock."""


class Crew(Generic[T]):
    """The processes of one `map`, made as items need them."""

    def __init__(
        self, function: bytes, initializer: bytes | None, preload: tuple[str, ...], limits: Limits
    ) -> None:
        self._function = function
        self._initializer = initializer
        self._preload = preload
        self._limits = limits
        self._idle: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self.under_way: dict[Future[Answer], _Task[T]] = {}

    def submit(self, item: T) -> None:
        """Put the item under way.

        Raises:
            WorkerError: no process can be started.
        """
        try:
            pickled = pickle.dumps(item)
        except Exception as error:  # noqa: BLE001 - a class may refuse in any way it likes
            kind = f"{type(item).__module__}.{type(item).__qualname__}"
            refused: Future[Answer] = Future()
            refused.set_exception(
                NotTransferableError(
                    f"the item is a {kind}, which cannot be pickled: "
                    f"{type(error).__name__}: {error}"
                )
            )
            self.under_way[refused] = _Task(item, None, time.monotonic())
            return
        future, who = self._hand_over(pickled)
        self.under_way[future] = _Task(item, who, time.monotonic())

    def _hand_over(self, pickled: bytes) -> tuple[Future[Answer], _Worker]:
        # A process stays among the idle until it has the item, so that `close` finds it even when
        # Ctrl-C comes in between.
        while self._idle:
            who = self._idle[-1]
            try:
                future = who.submit(pickled, self._limits.time_s)
            except RuntimeError:  # it ended while idle
                self._dismiss(self._idle.pop())
            else:
                return future, self._idle.pop()
        who = self._new_worker()
        try:
            return who.submit(pickled, self._limits.time_s), self._idle.pop()
        except RuntimeError as error:
            raise WorkerError(
                f"no isolated process can be started: {error.__cause__ or error}; see the limits "
                "on processes and open files"
            ) from error

    def _new_worker(self) -> _Worker:
        _start_fork_server(self._preload)
        start = Start(
            function=self._function,
            initializer=self._initializer,
            preload=self._preload,
            environment=dict(os.environ),
            memory_limit_mib=self._limits.memory_mib,
        )
        who = _Worker(start)
        self._idle.append(who)
        return who

    def ended(self, timeout_s: float | None) -> list[tuple[T, Answer | WorkerError]]:
        """Wait until at least one item has ended, and tell of all that have.

        Args:
            timeout_s: how long to wait at most, with none that has ended then; None for as long as
                it takes.
        """
        tick_s = _TICK_S if timeout_s is None else min(timeout_s, _TICK_S)
        while True:
            done, _ = wait(self.under_way, timeout=tick_s, return_when=FIRST_COMPLETED)
            lost = {
                future for future, task in self.under_way.items() if self._is_lost(future, task)
            }
            if done or lost or timeout_s is not None:
                return [self._settle(future) for future in done | lost]

    def _is_lost(self, future: Future[Answer], task: _Task[T]) -> bool:
        """Whether pebble will not answer for the item: its pool is broken, or never begins."""
        if future.done() or task.worker is None:
            return False
        waiting_s = time.monotonic() - task.since_s
        never_begins = not future.running() and waiting_s > self._limits.start_s
        return never_begins or not task.worker.active

    def _settle(self, future: Future[Answer]) -> tuple[T, Answer | WorkerError]:
        task = self.under_way.pop(future)
        outcome = self._outcome(future, task.worker)
        if task.worker is not None:
            sound = isinstance(outcome, Answer) and outcome.kind is not AnswerKind.OUT_OF_MEMORY
            if sound and task.worker.served < self._limits.tasks:
                self._idle.append(task.worker)
            else:
                self._dismiss(task.worker)
        return task.item, outcome

    def _outcome(self, future: Future[Answer], who: _Worker | None) -> Answer | WorkerError:
        try:
            error = future.exception(timeout=_TICK_S)
        except TimeoutError:  # lost
            exit_code = None if who is None else who.exit_code
            return _ended(exit_code, f"no isolated process was ready in {self._limits.start_s:g} s")
        if error is None:
            return future.result()
        if isinstance(error, WorkerError):
            return error
        if isinstance(error, ProcessExpired):
            return _ended(error.exitcode, str(error))
        if isinstance(error, BrokenProcessPool):
            lost = f"the isolated process was lost: {error.__cause__ or error}"
            return _ended(None if who is None else who.exit_code, lost)
        if isinstance(error, TimeoutError):
            return TimeLimitError(self._limits.time_s)
        if isinstance(error, MemoryError):  # too little was left even to tell of it
            return OutOfMemoryError("memory was used up, with nothing left to say where")
        return WorkerError(f"the isolated process failed: {type(error).__name__}: {error}")

    def _dismiss(self, who: _Worker) -> None:
        who.end()
        self._leaving = [one for one in self._leaving if not one.gone(0)]
        self._leaving.append(who)

    def close(self) -> None:
        """Kill all processes, with what they have under way, and wait until they are gone."""
        if sys.is_finalizing():  # pebble has ended them at exit, and no thread runs any more
            return
        staying = [task.worker for task in self.under_way.values() if task.worker is not None]
        for who in (*staying, *self._idle):
            who.end()
            self._leaving.append(who)
        self.under_way.clear()
        self._idle.clear()
        for who in self._leaving:
            who.gone(None)


def _ended(exit_code: int | None, otherwise: str) -> WorkerError:
    """What a process that ended by itself, or by another's hand, means for its item."""
    if exit_code is None:
        return WorkerError(otherwise)
    if exit_code == -signal.SIGKILL:
        return OutOfMemoryError(
            "the isolated process was killed from outside (SIGKILL), as the kernel does when the "
            "machine runs out of memory; use fewer workers, or a lower memory limit",
            killed=True,
        )
    return WorkerDiedError(_named(exit_code))


def _named(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:  # a real-time signal
        return f"signal {-exit_code}"


def _start_fork_server(preload: tuple[str, ...]) -> None:
    """Start the fork server, unless it runs already; then it keeps what it has imported.

    It inherits that SIGINT is blocked, and so do its processes: Ctrl-C in a terminal goes to all
    of them, but it is for this process to say what becomes of them.
    """
    get_context("forkserver").set_forkserver_preload([*_ALWAYS_PRELOADED, *preload])
    with _interrupts_blocked():
        forkserver.ensure_running()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C waiting, in this thread and in what it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
