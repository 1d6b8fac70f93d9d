"""What crosses to a worker of another scheduler, and back.

Only bytes and text do, as `answers` has it. What the item logged over there comes back with its
answer.
"""

import logging
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import cloudpickle  # type: ignore[import-untyped]

from estinel_assets.compute.answers import (
    Answer,
    answer_of_error,
    answer_of_value,
    completed,
    line_of,
    name_of,
)
from estinel_assets.compute.engine import Completed
from estinel_assets.compute.worker_errors import (
    NotTransferableError,
    OutOfMemoryError,
    WorkerDiedError,
    WorkerError,
)
from estinel_assets.errors import BadInputError
from estinel_assets.logs import ROOT_LOGGER

T = TypeVar("T")
R = TypeVar("R")

LOGS_KEPT: Final = 1000
"""The newest log records of an item that come back."""
_MACHINERY = ("dask", "distributed", "lithops", "tornado")
"""Loggers of those who run the item, who have logs of their own."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function and one item for it."""

    function: bytes
    """Pickled by `pack_function`."""
    item: bytes
    """Pickled by `pack_item`."""
    log_level: int = logging.WARNING
    """Least level of our own loggers over there."""
    module_path: tuple[str, ...] = ()
    """Where modules are looked for, beyond where the worker does; for workers on this machine."""
    kill_after_s: float | None = None
    """When the kernel ends the process of the item, which may have no other; None for never."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a call."""

    answer: Answer
    logged: tuple[Mapping[str, object], ...] = ()
    """The fields of each log record, in order."""


def pack_function(function: Callable[..., object]) -> bytes:
    """Pickle the function of a `map`; by value where it stands in a notebook or a script.

    Raises:
        BadInputError: it cannot be pickled.
    """
    try:
        packed: bytes = cloudpickle.dumps(function)
    except Exception as error:
        raise BadInputError(
            f"the function {function!r} cannot be sent to another process ({error}); "
            "define it at the top level of a module"
        ) from error
    return packed


def pack_item(item: object) -> bytes:
    """Pickle an item.

    Raises:
        NotTransferableError: it cannot be pickled.
    """
    try:
        packed: bytes = cloudpickle.dumps(item)
    except Exception as error:
        raise NotTransferableError(
            f"the item is a {name_of(type(item))}, which cannot be pickled: {line_of(error)}"
        ) from error
    return packed


# --- over there ----------------------------------------------------------------------------------


def answer(call: Call) -> Reply:
    """Run the function on its item. Never raises."""
    for place in call.module_path:
        if place not in sys.path:
            sys.path.append(place)
    with _recorded(call.log_level) as logged:
        if call.kill_after_s is not None and len(_recorder.under_way) > 1:
            refusal = "a time limit needs workers of one thread each, such as `--nthreads 1`"
            return Reply(answer_of_error(BadInputError(refusal), cloudpickle.dumps))
        with _killed_after(call.kill_after_s):
            answered = _answer(call)
    return Reply(answered, tuple(logged))


def _answer(call: Call) -> Answer:
    try:
        function = pickle.loads(call.function)  # noqa: S301 - from whoever asks for the work
        value = function(pickle.loads(call.item))  # noqa: S301 - the same
    except BaseException as error:  # noqa: BLE001 - an error is an answer, SystemExit too
        return answer_of_error(error, cloudpickle.dumps)
    return answer_of_value(value, cloudpickle.dumps)


@contextmanager
def _killed_after(seconds: float | None) -> Iterator[None]:
    """Have the kernel end this process by SIGALRM, also where native code keeps the GIL."""
    if seconds is None:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Recorder(logging.Handler):
    """Keeps what items log, each for itself: a worker may have several, one a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: dict[int, deque[Mapping[str, object]]] = {}
        """What is kept so far, by the thread of the item."""
        self._formatter = logging.Formatter()
        self._changing = threading.Lock()
        self._level_before = logging.NOTSET

    def begin(self, kept: deque[Mapping[str, object]], level: int) -> None:
        """Keep what the item of this thread logs, our own loggers from a level on."""
        ours = logging.getLogger(ROOT_LOGGER)
        with self._changing:
            if not self.under_way:
                self._level_before = ours.level
                logging.getLogger().addHandler(self)
            ours.setLevel(level)
            self.under_way[threading.get_ident()] = kept

    def end(self) -> None:
        """The item of this thread has ended."""
        with self._changing:
            del self.under_way[threading.get_ident()]
            if not self.under_way:
                logging.getLogger().removeHandler(self)
                logging.getLogger(ROOT_LOGGER).setLevel(self._level_before)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record for the item of its thread; of a foreign thread, for the oldest item."""
        if record.name.partition(".")[0] in _MACHINERY:
            return
        kept = self.under_way.get(record.thread or 0)
        if kept is None:
            kept = next(iter(self.under_way.values()), None)
        if kept is not None:
            kept.append(self._fields(record))

    def _fields(self, record: logging.LogRecord) -> Mapping[str, object]:
        fields = {name: _plain(value) for name, value in vars(record).items()}
        if record.exc_info:
            fields["exc_text"] = self._formatter.formatException(record.exc_info)
        return fields | {"msg": record.getMessage(), "args": None, "exc_info": None}


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else str(value)


_recorder = _Recorder()


@contextmanager
def _recorded(level: int) -> Iterator[deque[Mapping[str, object]]]:
    """Collect what is logged meanwhile by the item of this thread."""
    kept: deque[Mapping[str, object]] = deque(maxlen=LOGS_KEPT)
    _recorder.begin(kept, level)
    try:
        yield kept
    finally:
        _recorder.end()


# --- and back ------------------------------------------------------------------------------------


def level_of_logs() -> int:
    """The least level of our own loggers here, for those over there."""
    return logging.getLogger(ROOT_LOGGER).getEffectiveLevel()


def told(item: T, reply: Reply) -> Completed[T, R]:
    """The reply in the caller's terms; what it logged is logged here."""
    _replay(reply.logged)
    return completed(item, reply.answer, "{}; its worker has no more, give it a larger one".format)


def ended(exit_code: int | None, otherwise: str) -> WorkerError:
    """What a process that ended by itself, or by another's hand, means for its item.

    Args:
        exit_code: as multiprocessing tells it, a signal's number below zero; None if unknown.
        otherwise: what to say when it is unknown.
    """
    if exit_code is None:
        return WorkerDiedError(otherwise)
    if exit_code == -signal.SIGKILL:
        return OutOfMemoryError(
            "the isolated process was killed from outside (SIGKILL), as happens when the machine, "
            "or the memory limit of a worker, is used up; use fewer workers, or larger ones",
            killed=True,
        )
    if exit_code >= 0:
        return WorkerDiedError(f"exit code {exit_code}")
    try:
        return WorkerDiedError(signal.Signals(-exit_code).name)
    except ValueError:  # a real-time signal
        return WorkerDiedError(f"signal {-exit_code}")


def _replay(logged: Sequence[Mapping[str, object]]) -> None:
    for fields in logged:
        record = logging.makeLogRecord(dict(fields))
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
