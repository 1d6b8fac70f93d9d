"""What a function makes of an item, as bytes and text that cross from one process to another.

Nothing else crosses, so that nothing a function returns or raises can upset the machinery in
between: a class may refuse to be pickled, or to come back, in any way it likes.
"""

import pickle
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from estinel_assets.compute.engine import Completed
from estinel_assets.compute.worker_errors import (
    NotTransferableError,
    OutOfMemoryError,
    RemoteTracebackError,
)

T = TypeVar("T")
R = TypeVar("R")


class AnswerKind(StrEnum):
    """What an answer holds."""

    VALUE = "value"
    ERROR = "error"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_TRANSFERABLE = "not_transferable"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item."""

    kind: AnswerKind
    pickled: bytes = b""
    """The value or the error; empty for the other kinds."""
    text: str = ""
    """Type and text of what was raised, in one line; empty for a value."""
    traceback: str = ""
    """Where it was raised, as Python prints it; empty for a value."""


Dumps = Callable[[object], bytes]
"""Pickles."""


def answer_of_value(
    value: object, dumps: Dumps, on_memory_error: Callable[[], None] | None = None
) -> Answer:
    """The answer of a function that returned.

    Args:
        value: what it returned.
        dumps: pickles it.
        on_memory_error: as for `answer_of_error`.
    """
    try:
        return Answer(AnswerKind.VALUE, dumps(value))
    except Exception as error:  # noqa: BLE001 - a class may refuse in any way it likes
        if _is_memory_error(error):
            return answer_of_error(error, dumps, on_memory_error)
        return Answer(
            AnswerKind.NOT_TRANSFERABLE,
            text=f"it returned a {name_of(type(value))}, which cannot be pickled: {line_of(error)}",
            traceback=_trace(error),
        )


def answer_of_error(
    error: BaseException, dumps: Dumps, on_memory_error: Callable[[], None] | None = None
) -> Answer:
    """The answer of a function that raised.

    Args:
        error: what it raised.
        dumps: pickles it.
        on_memory_error: called first where memory is used up: telling of it takes some, too.
    """
    memory = _is_memory_error(error)
    if memory and on_memory_error is not None:
        on_memory_error()
    text, trace = line_of(error), _trace(error)
    if memory:
        return Answer(AnswerKind.OUT_OF_MEMORY, text=text, traceback=trace)
    try:
        return Answer(AnswerKind.ERROR, dumps(error), text, trace)
    except Exception as refused:  # noqa: BLE001 - a class may refuse in any way it likes
        text = f"it raised {text}, which cannot be pickled: {line_of(refused)}"
        return Answer(AnswerKind.NOT_TRANSFERABLE, text=text, traceback=trace)


def completed(item: T, answer: Answer, out_of_memory: Callable[[str], str]) -> Completed[T, R]:
    """The answer in the caller's terms; an error has its traceback over there as cause.

    Args:
        item: the item.
        answer: what became of it.
        out_of_memory: makes the message where memory was used up, of the answer's text.
    """
    error: BaseException
    if answer.kind is AnswerKind.VALUE:
        try:
            return Completed(item, pickle.loads(answer.pickled), None)  # noqa: S301 - our workers'
        except Exception as refused:  # noqa: BLE001 - a class may refuse in any way it likes
            return Completed(item, None, _not_readable("it returned a value", refused))
    if answer.kind is AnswerKind.ERROR:
        error = _rebuilt(answer)
    elif answer.kind is AnswerKind.OUT_OF_MEMORY:
        error = OutOfMemoryError(out_of_memory(answer.text))
    else:
        error = NotTransferableError(answer.text)
    with suppress(AttributeError):  # an exception class may be frozen
        error.__cause__ = RemoteTracebackError(answer.traceback)
    return Completed(item, None, error)


def name_of(kind: type) -> str:
    """A class by its module and name."""
    return f"{kind.__module__}.{kind.__qualname__}"


def line_of(error: BaseException) -> str:
    """Type and text of an error, also where its own text fails."""
    return traceback.format_exception_only(error)[0].strip()


def _rebuilt(answer: Answer) -> BaseException:
    """The exception as it was raised, or one that tells of it."""
    try:
        error = pickle.loads(answer.pickled)  # noqa: S301 - from our own workers
    except Exception as refused:  # noqa: BLE001 - a class may refuse in any way it likes
        return _not_readable(f"it raised {answer.text}", refused)
    if isinstance(error, BaseException):
        return error
    return NotTransferableError(f"it raised {answer.text}, which comes back as something else")


def _not_readable(what: str, refused: Exception) -> NotTransferableError:
    return NotTransferableError(f"{what}, which cannot be unpickled: {line_of(refused)}")


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _is_memory_error(error: BaseException) -> bool:
    """Whether the error is a MemoryError, or came of one: readers wrap it in their own."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        if isinstance(following, MemoryError):
            return True
        seen.append(following)
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
    return False
