"""Watching a consumer: its figures, and a line of them in the log now and then."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from estinel_assets.logs import get_logger
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.figures import Figures

log = get_logger(__name__)


class Watcher(Protocol):
    """What is told of a consumer's work."""

    @property
    def figures(self) -> Figures:
        """Its numbers."""

    def add(self, outcome: Outcome) -> None:
        """A message is recorded."""

    def set_in_flight(self, messages: int) -> None:
        """So many messages are in work."""


class ConsumerWatch:
    """Figures, with a line in the log after some time or some messages. For one thread."""

    def __init__(
        self,
        figures: Figures,
        *,
        clock: Callable[[], datetime],
        interval_s: float,
        every_messages: int,
    ) -> None:
        """Begin to watch.

        Args:
            figures: take part of each message.
            clock: the time now, UTC and aware.
            interval_s: time between two lines in the log, in seconds.
            every_messages: messages between two lines in the log.
        """
        self.figures = figures
        self._clock = clock
        self._interval = timedelta(seconds=interval_s)
        self._every = every_messages
        self._shown_at = clock()
        self._since = 0

    def add(self, outcome: Outcome) -> None:
        """See `Watcher.add`."""
        self.figures.add(outcome)
        self._since += 1
        now = self._clock()
        if self._since >= self._every or now - self._shown_at >= self._interval:
            log.info("messages", **self.figures.totals(now).summary())
            self._since, self._shown_at = 0, now

    def set_in_flight(self, messages: int) -> None:
        """See `Watcher.set_in_flight`."""
        self.figures.set_in_flight(messages)
