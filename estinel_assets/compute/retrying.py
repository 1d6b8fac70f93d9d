"""Another attempt for what may succeed, and a second runner for what is slow, over any engine."""

import heapq
import math
import random as random_numbers
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from typing import Final, Generic, TypeVar

from estinel_assets.compute.engine import Completed, Engine
from estinel_assets.compute.supply import LATER, Later
from estinel_assets.errors import BadInputError, RetryableError

T = TypeVar("T")
R = TypeVar("R")

RETRIES: Final = 3
STRAGGLER_MULTIPLE: Final = 4.0
ENOUGH_DURATIONS: Final = 3
"""As long as fewer attempts have succeeded, nothing counts as slow."""
DURATIONS_KEPT: Final = 1000
"""The newest ones, of which the median is taken."""


@dataclass(frozen=True, slots=True)
class Attempted(Completed[T, R]):
    """One item, what became of it at last, and what that took."""

    attempts: int
    """How many times it was started, the backup among them."""
    duration_s: float
    """From its first start to its end, pauses between attempts included."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before another attempt: longer each time, and never quite the same."""

    first_s: float = 1.0
    """Longest pause before the first retry."""
    factor: float = 2.0
    """By which the longest pause grows with each retry."""
    longest_s: float = 60.0
    """Beyond which it does not grow."""

    def pause_s(self, retry: int, random: float) -> float:
        """Seconds to wait.

        Args:
            retry: which retry it is, from 1.
            random: from 0 to 1; the pause is between half of the longest and all of it.
        """
        longest = min(self.longest_s, self.first_s * self.factor ** min(retry - 1, 64))
        return longest * (1 + random) / 2


def is_retryable(error: BaseException) -> bool:
    """Whether the error says itself that another attempt may succeed."""
    return isinstance(error, RetryableError)


def with_retries(
    engine: Engine,
    function: Callable[[T], R],
    items: Iterable[T | Later],
    *,
    retries: int = RETRIES,
    backoff: Backoff = Backoff(),
    is_retryable: Callable[[BaseException], bool] = is_retryable,
    straggler_multiple: float | None = STRAGGLER_MULTIPLE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = random_numbers.random,
) -> Generator[Attempted[T, R], None, None]:
    """Run a function over items as `engine.map` does, with further attempts.

    The work must be idempotent: an item may run several times, twice at once, and what is not
    needed any more is ended in the middle where the engine can end it.

    *Retries*: an item whose error is retryable runs again after a pause, in which its worker has
    other items. *Backups*: an item that runs longer than a multiple of the median duration of the
    attempts that have succeeded gets a second runner, once; the first result wins, and the other is
    dropped. A retryable error of one of the two leaves the item to the other.

    Args:
        engine: what runs the attempts.
        function: what to do.
        items: what to do it with; taken as workers come free.
        retries: how many more attempts an item may have after its first.
        backoff: the pauses.
        is_retryable: which errors are worth another attempt.
        straggler_multiple: of the median duration, beyond which an item gets a backup; None for no
            backups.
        clock: seconds, monotonic.
        sleep: waits for so many seconds; called when nothing else is under way.
        random: from 0 to 1, for the pauses.

    Returns:
        Each item as it ends for good, in no promised order. Closing it closes the engine's map.

    Raises:
        BadInputError: numbers that make no sense, all in one message; or what the engine raises.
    """
    problems = []
    if retries < 0:
        problems.append(f"retries is {retries}, but has to be at least 0")
    if straggler_multiple is not None and not 1 < straggler_multiple < math.inf:
        problems.append(f"straggler_multiple is {straggler_multiple}, but has to be more than 1")
    if problems:
        raise BadInputError("; ".join(problems))
    rules = _Rules(retries, backoff, is_retryable, straggler_multiple, clock, sleep, random)
    return _Attempts[T, R](iter(items), rules).told(engine, function)


@dataclass(frozen=True, slots=True)
class _Rules:
    """See `with_retries`."""

    retries: int
    backoff: Backoff
    is_retryable: Callable[[BaseException], bool]
    straggler_multiple: float | None
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    random: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[T]):
    """What the engine has for an item: equal items are told apart by their number."""

    number: int
    item: T
    started_s: float


@dataclass(frozen=True, slots=True)
class _Function(Generic[T, R]):
    """The function of items as one of attempts."""

    function: Callable[[T], R]

    def __call__(self, attempt: _Attempt[T]) -> R:
        return self.function(attempt.item)


@dataclass(slots=True)
class _Unit(Generic[T]):
    """An item that has not ended for good."""

    item: T
    first_s: float
    """When it was started first."""
    latest_s: float
    """When it was started last."""
    attempts: int = 0
    running: int = 0
    retries: int = 0
    backed_up: bool = False


class _AllToldError(Exception):
    """Ends the engine's map when only attempts that nobody needs are under way."""


@dataclass(slots=True)
class _Attempts(Generic[T, R]):
    """The books: what was started, what waits for another attempt, what has ended."""

    items: Iterator[T | Later]
    rules: _Rules
    _more: bool = True
    """Whether there may be further items."""
    _open: dict[int, _Unit[T]] = field(default_factory=dict)
    """Items that have been started and have not ended for good, by number."""
    _running: int = 0
    """Attempts under way, those that nobody needs any more among them."""
    _waiting: list[tuple[float, int]] = field(default_factory=list)
    """A heap of when an item is due again, and its number."""
    _durations: deque[float] = field(default_factory=lambda: deque(maxlen=DURATIONS_KEPT))
    _slow_s: float = math.inf
    """How long an attempt may take before its item gets a backup."""
    _numbers: Iterator[int] = field(default_factory=count)

    def told(
        self, engine: Engine, function: Callable[[T], R]
    ) -> Generator[Attempted[T, R], None, None]:
        """Run everything, and tell of each item that has ended for good."""
        with (
            suppress(_AllToldError),
            closing(engine.map(_Function(function), self._asked())) as results,
        ):
            for completed in results:
                ended = self._settle(completed)
                if ended is not None:
                    yield ended

    def _asked(self) -> Iterator[_Attempt[T] | Later]:
        """What the engine is given: retries that are due, backups, new items, in this order."""
        while True:
            number = self._due()
            if number is None:
                number = self._straggler()
            if number is None:
                number = self._new()
            if number is not None:
                yield self._start(number)
            elif self._running and not self._open and not self._more:
                raise _AllToldError
            elif self._running:
                yield LATER
            elif self._waiting:
                self.rules.sleep(max(0.0, self._waiting[0][0] - self.rules.clock()))
            elif self._more:
                yield LATER
            else:
                return

    def _due(self) -> int | None:
        if self._waiting and self._waiting[0][0] <= self.rules.clock():
            return heapq.heappop(self._waiting)[1]
        return None

    def _straggler(self) -> int | None:
        if self._slow_s == math.inf:
            return None
        since_s = self.rules.clock() - self._slow_s
        for number, unit in self._open.items():
            if unit.running and not unit.backed_up and unit.latest_s < since_s:
                unit.backed_up = True
                return number
        return None

    def _new(self) -> int | None:
        if not self._more:
            return None
        try:
            item = next(self.items)
        except StopIteration:
            self._more = False
            return None
        if isinstance(item, Later):
            return None
        number, now = next(self._numbers), self.rules.clock()
        self._open[number] = _Unit(item, now, now)
        return number

    def _start(self, number: int) -> _Attempt[T]:
        unit = self._open[number]
        unit.latest_s = self.rules.clock()
        unit.attempts += 1
        unit.running += 1
        self._running += 1
        return _Attempt(number, unit.item, unit.latest_s)

    def _settle(self, completed: Completed[_Attempt[T], R]) -> Attempted[T, R] | None:
        """Enter the end of an attempt; the item's end for good, if it is that."""
        attempt, error = completed.item, completed.error
        self._running -= 1
        unit = self._open.get(attempt.number)
        if unit is None:  # the other of two has won
            return None
        unit.running -= 1
        now = self.rules.clock()
        if error is None:
            self._learn(now - attempt.started_s)
        elif self.rules.is_retryable(error):
            if unit.running:
                return None
            if unit.retries < self.rules.retries:
                unit.retries += 1
                pause_s = self.rules.backoff.pause_s(unit.retries, self.rules.random())
                heapq.heappush(self._waiting, (now + pause_s, attempt.number))
                return None
        del self._open[attempt.number]
        return Attempted(unit.item, completed.value, error, unit.attempts, now - unit.first_s)

    def _learn(self, duration_s: float) -> None:
        """Enter how long an attempt took that succeeded."""
        self._durations.append(duration_s)
        multiple = self.rules.straggler_multiple
        if multiple is not None and len(self._durations) >= ENOUGH_DURATIONS:
            self._slow_s = multiple * median(self._durations)
