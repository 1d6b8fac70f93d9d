"""How often a file is tried: what passes by itself is waited for, what does not is not."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from estinel_assets.errors import PermanentError, SourceFault, UnitError

T = TypeVar("T")

_CORRUPT_TRIES = 2
"""A transfer that broke looks like a damaged file, so one more try; a damaged file stays so."""


@dataclass(frozen=True, slots=True)
class Tries:
    """The rule for tries of one read."""

    attempts: int = 5
    """Tries, the first included."""
    backoff_s: float = 0.5
    """Upper bound of the first wait; doubled after each try, with full jitter."""
    backoff_max_s: float = 30.0
    """Longest wait between two tries."""
    deadline_s: float = 180.0
    """No further try begins after this long."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, monotonic."""
    sleep: Callable[[float], None] = time.sleep
    """Waits for so many seconds."""
    jitter: Callable[[], float] = random.random
    """A number in [0, 1) that a wait is multiplied with."""

    def run(self, once: Callable[[], T | UnitError], *, remote: bool) -> T:
        """Try until it works.

        Args:
            once: one try. It returns its error: raised in there, that of a library, which may
                quote a signed address, would cling to it as context.
            remote: whether a further try may be worth it.

        Returns:
            What the try that worked returned.

        Raises:
            UnitError: the error of the last try.
        """
        began = self.clock()
        attempt = 0
        while True:
            attempt += 1
            outcome = once()
            if not isinstance(outcome, UnitError):
                return outcome
            wait = self.jitter() * min(self.backoff_max_s, self.backoff_s * 2 ** (attempt - 1))
            late = self.clock() - began + wait > self.deadline_s
            if not remote or late or attempt >= self._tries_for(outcome):
                raise outcome
            self.sleep(wait)

    def _tries_for(self, error: UnitError) -> int:
        if isinstance(error, PermanentError) or error.reason == SourceFault.FORBIDDEN:
            return 1  # a refused signature does not get better by itself within seconds
        if error.reason == SourceFault.CORRUPT:
            return min(_CORRUPT_TRIES, self.attempts)
        return self.attempts
