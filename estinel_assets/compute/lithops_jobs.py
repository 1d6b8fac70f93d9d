"""The items of one map as jobs of a Lithops executor, from its start to its last file.

Lithops is imported only here, inside: its import makes folders, and reads the environment.
"""

import atexit
import copy
import logging
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from estinel_assets.compute import transfer
from estinel_assets.compute.engine import Completed
from estinel_assets.compute.transfer import Call, Reply
from estinel_assets.compute.worker_errors import (
    OutOfMemoryError,
    TimeLimitError,
    WorkerDiedError,
    WorkerError,
)

T = TypeVar("T")
R = TypeVar("R")

_LOCALHOST: Final = "localhost"
_JOBS: Final = "lithops.jobs"  # Lithops' own name
_LOOK_AGAIN_S: Final = 0.05
"""How often to look whether a function has ended; Lithops' own thread asks the storage."""
_STATUS_GRACE_S: Final = 1.0
"""How long after the end of a process its last word may come."""
_LOST_GRACE_S: Final = 30.0
"""How long after all limits a function that has said nothing counts as lost."""
_ENDED: Final = re.compile(r"\b(SIG[A-Z0-9]+)\b|exited with code (\d+)")
"""How a process has ended, in Lithops' words."""


def module_path(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Where workers look for modules: as this process does if they are on this machine."""
    return tuple(sys.path) if _is_local(config) else ()


def _is_local(config: Mapping[str, Any]) -> bool:
    return bool(config["lithops"].get("backend") == _LOCALHOST)


@dataclass(slots=True)
class _Task(Generic[T]):
    """One item under way."""

    item: T
    future: Any
    since_s: float
    """When it was sent, on the monotonic clock."""
    gone_since_s: float | None = None
    """When its process was found to have ended without a word; None while it has not."""


class Jobs(Generic[T, R]):
    """Items under way, and the executor that runs them, which starts with the first."""

    def __init__(
        self, config: Mapping[str, Any], workers: int, time_limit_s: float, start_limit_s: float
    ) -> None:
        self.under_way: list[_Task[T]] = []
        self._config = config
        self._workers = workers
        self._time_limit_s = time_limit_s
        self._lost_after_s = time_limit_s + start_limit_s + _LOST_GRACE_S
        self._local = _is_local(config)
        self._executor: Any = None
        self._ended: list[str] = []
        """Jobs of this machine whose files are still there."""

    def begin(self, calls: Sequence[tuple[T, Call]]) -> None:
        """Send items: on this machine one a job, so that it can be ended alone; else all in one.

        Raises:
            WorkerError: Lithops cannot start, or cannot send them.
        """
        size = 1 if self._local else max(1, len(calls))
        for first in range(0, len(calls), size):
            some = calls[first : first + size]
            try:
                if self._executor is None:
                    self._executor = _start(self._config, self._workers, local=self._local)
                futures = self._executor.map(
                    transfer.answer,
                    [(call,) for _, call in some],
                    timeout=self._time_limit_s,
                    include_modules=None,
                )
            except Exception as error:  # Lithops raises bare exceptions, clouds their own
                raise WorkerError(
                    f"Lithops cannot run anything: {type(error).__name__}: {error}; see its "
                    "configuration"
                ) from error
            now = time.monotonic()
            self.under_way += [
                _Task(item, future, now) for (item, _), future in zip(some, futures, strict=True)
            ]

    def wait(self, timeout_s: float | None) -> list[Completed[T, R]]:
        """Wait for the end of an item, but no longer than that, and tell of all that have ended."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            ended: list[Completed[T, R]] = []
            for task in tuple(self.under_way):
                outcome = self._outcome(task)
                if outcome is not None:
                    self._forget(task)
                    ended.append(outcome)
            if ended or (until is not None and time.monotonic() >= until):
                return ended
            time.sleep(_LOOK_AGAIN_S)

    def _outcome(self, task: _Task[T]) -> Completed[T, R] | None:
        """What became of the item; None while it is under way."""
        future = task.future
        if future.ready or future.success or future.done:
            return self._told(task)
        waited_s = time.monotonic() - task.since_s
        if waited_s > self._lost_after_s:
            lost = f"nothing was heard of the function for {waited_s:.0f} s; see its logs"
            return Completed(task.item, None, WorkerError(lost))
        if not self._local or not self._executor.compute_handler.env.jobs[future.job_key].done:
            return None
        # Its process has ended, and the file with its last word may be read a moment later.
        now = time.monotonic()
        task.gone_since_s = now if task.gone_since_s is None else task.gone_since_s
        if now - task.gone_since_s < _STATUS_GRACE_S:
            return None
        return Completed(task.item, None, WorkerDiedError("killed, without a word"))

    def _told(self, task: _Task[T]) -> Completed[T, R]:
        try:
            # With `throw_except` it would replace the interpreter's hook for uncaught exceptions.
            reply = task.future.result(
                throw_except=False, internal_storage=self._executor.internal_storage
            )
        except Exception as error:  # noqa: BLE001 - Lithops raises bare exceptions, clouds their own
            line = f"the result cannot be fetched: {type(error).__name__}: {error}"
            return Completed(task.item, None, WorkerError(line))
        if isinstance(reply, Reply):
            return transfer.told(task.item, reply)
        return Completed(task.item, None, self._failure(task))

    def _failure(self, task: _Task[T]) -> WorkerError:
        """Why a function gave no reply, in Lithops' words, as ours never raises."""
        raised = task.future._exception  # noqa: SLF001 - else only by raising, see `_told`
        error = raised[1] if raised else None
        if isinstance(error, TimeoutError):
            return TimeLimitError(self._time_limit_s)
        if isinstance(error, MemoryError):
            return OutOfMemoryError(
                f"{error}; use fewer workers, or functions with more memory", killed=True
            )
        if isinstance(error, RuntimeError):
            named = _ENDED.search(str(error))
            ended = str(error) if named is None else named[1] or f"exit code {named[2]}"
            alarm = ended == "SIGALRM"
            return TimeLimitError(self._time_limit_s) if alarm else WorkerDiedError(ended)
        return WorkerError(f"the function cannot start: {type(error).__name__}: {error}")

    def _forget(self, task: _Task[T]) -> None:
        """Stop following an item, and what Lithops keeps of it."""
        self.under_way.remove(task)
        executor, job_key = self._executor, task.future.job_key
        executor.job_monitor.remove([task.future])
        executor.futures.remove(task.future)
        if self._local:
            self._ended.append(job_key)
            self._tidy()

    def _tidy(self) -> None:
        """Delete what ended items have left, where their processes have ended, too."""
        jobs = self._executor.compute_handler.env.jobs
        gone = [key for key in self._ended if jobs[key].done]
        self._ended = [key for key in self._ended if key not in gone]
        for key in gone:
            _delete(key, f"{key}.log")

    def close(self) -> None:
        """End what can be ended, Lithops' threads too, and delete what it has stored."""
        executor = self._executor
        if executor is None:
            return
        self._executor = None
        keys = {task.future.job_key for task in self.under_way}
        ids = {task.future.job_id for task in self.under_way}
        executor.invoker.discard_pending(keys, ids)
        with suppress(AttributeError):  # only invokers of a cloud have threads of their own
            executor.invoker.executor.shutdown(wait=False, cancel_futures=True)
        executor.__exit__(None, None, None)
        atexit.unregister(executor._clean_at_exit)  # noqa: SLF001 - it would hold on to all
        self.under_way.clear()
        if not self._local:
            storage, prefix = executor.storage, f"{_JOBS}/{executor.executor_id}"
            for ours in (f"{prefix}/", f"{prefix}-"):
                storage.delete_objects(storage.bucket, storage.list_keys(storage.bucket, ours))
        _delete(executor.executor_id, f"{executor.executor_id}-*")


def _delete(*patterns: str) -> None:
    """Remove files of this machine: of a job, or of an executor."""
    from lithops import constants  # type: ignore[import-untyped]

    stored = Path(constants.LITHOPS_TEMP_DIR) / "storage" / _JOBS
    folders = [constants.JOBS_DIR, constants.LOGS_DIR, constants.MODULES_DIR, stored]
    for found in [f for folder in folders for name in patterns for f in Path(folder).glob(name)]:
        if found.is_dir():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)


def _start(config: Mapping[str, Any], workers: int, *, local: bool) -> Any:
    """An executor that logs little, reports to nobody and leaves cleaning to us."""
    # Lithops sets up handlers of its own unless its logger has been given a level.
    logger = logging.getLogger("lithops")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.ERROR)
    from lithops import FunctionExecutor

    complete = copy.deepcopy(dict(config))
    complete["lithops"] = {"data_limit": None, **complete["lithops"]} | {
        "telemetry": False,
        "data_cleaner": False,
    }
    if local:
        complete[_LOCALHOST] = {
            "runtime": sys.executable,
            **(complete.get(_LOCALHOST) or {}),
            "worker_processes": workers,
        }
    return FunctionExecutor(config=complete, log_level=None)
