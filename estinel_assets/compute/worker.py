"""The inside of an isolated process: how it starts, and how it answers for one item.

The outside is `estinel_assets.compute.processes`; what crosses the border stands in `answers`.
"""

import fcntl
import os
import pickle
import resource
import select
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import parent_process
from pathlib import Path

from estinel_assets.compute.answers import Answer, answer_of_error, answer_of_value

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Start:
    """What a process is given when it starts."""

    function: bytes
    """The function of all its items, pickled."""
    initializer: bytes | None
    """What to call once before the first item, pickled; None for nothing."""
    preload: tuple[str, ...]
    """Modules to import before the first item, for when they were not forked along."""
    environment: Mapping[str, str]
    """The environment variables of the process that asked, complete."""
    memory_limit_mib: int | None
    """How much memory its items may take beyond what the started process holds."""


@dataclass(slots=True)
class _Standing:
    """How this process stands: one an interpreter, as it serves one function all its life."""

    function: Callable[[object], object] | None = None
    trouble: BaseException | None = None


_standing = _Standing()


def begin(start: Start) -> None:
    """Make this process ready for items. Never raises: every item then answers with the trouble."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # also when native code never comes back
    try:
        _end_with_parent()
        _take_over(start.environment)
        for name in start.preload:
            import_module(name)
        function = pickle.loads(start.function)  # noqa: S301 - our own parent's
        if start.initializer is not None:
            pickle.loads(start.initializer)()  # noqa: S301 - our own parent's
        _limit_memory(start.memory_limit_mib)
        _standing.function = function
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the items
        _standing.trouble = error


def answer(item: bytes) -> Answer:
    """Run the function on one pickled item. Never raises, unless memory is gone for good."""
    function = _standing.function
    if function is None:
        trouble = _standing.trouble or RuntimeError("not a process of the engine")
        return answer_of_error(trouble, pickle.dumps, _lift_memory_limit)
    try:
        value = function(pickle.loads(item))  # noqa: S301 - our own parent's
    except BaseException as error:  # noqa: BLE001 - an error is an answer, SystemExit too
        return answer_of_error(error, pickle.dumps, _lift_memory_limit)
    return answer_of_value(value, pickle.dumps, _lift_memory_limit)


def _take_over(environment: Mapping[str, str]) -> None:
    """Make the environment variables those given."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, whatever either is doing.

    An idle process notices by itself, as its pipe closes; one that hangs in native code notices
    nothing. The parent keeps one end of a pipe open as long as it lives, and Linux can send any
    signal when the other end of a pipe closes (`F_SETSIG` in fcntl(2)). The usual way, a parent
    death signal, would not do: the parent in its sense is the fork server, which in turn lives as
    long as any process that it forked.
    """
    parent = parent_process()
    if sys.platform != "linux" or parent is None:
        return
    pipe = parent.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([pipe], [], [], 0)[0]:  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def _limit_memory(limit_mib: int | None) -> None:
    """Limit private writable memory to what is held now plus the limit, and write no core files."""
    if sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if limit_mib is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _private_writable_bytes() + limit_mib * MEBIBYTE
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _lift_memory_limit() -> None:
    if sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _private_writable_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA: `VmData`, see proc_pid_status(5)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status tells no VmData, so memory cannot be limited")
