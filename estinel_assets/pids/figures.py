"""What a consumer did so far, in numbers."""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.ports import HandleRecord, HandleService, Registered
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.stamps import Stamp

SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds of the classes by which the times that messages took are counted, in seconds."""

_EXTERNAL: Final = frozenset(
    {
        PidReason.HANDLE_UNAVAILABLE,
        PidReason.HANDLE_REFUSED,
        PidReason.STAC_UNAVAILABLE,
        PidReason.STAC_REFUSED,
    }
)


@dataclass(frozen=True, slots=True)
class Totals:
    """The numbers at one moment."""

    by_reason: Mapping[str, int]
    """Messages; those that ended well have the reason `none`."""
    registered: Mapping[Registered, int]
    """Handles, by what registering them did."""
    retries: int
    """Messages that had failed or been skipped before, and were tried again."""
    skipped_messages: int
    """Messages that a service was down for, and that were left for later."""
    patched_messages: int
    retracted_messages: int
    replicas: int
    warnings: int
    external_failures: int
    """Messages that ended as they did because of the Handle service or the STAC API."""
    handle_s: float
    """Time that registering took, in seconds, of all threads together."""
    took: tuple[int, ...]
    """Messages by the time that they took: at most `SECONDS` each, and longer than all."""
    message_s: float
    """Time that all messages took, in seconds, of all threads together."""
    in_flight: int
    """Messages in work."""
    lag: Mapping[TopicPartition, int]
    """Messages that are still to come, where that is known."""
    running_s: float
    """Since the start, in seconds."""
    per_s: float
    """Messages a second since the start."""
    lately_per_s: float
    """Messages a second that ended lately."""

    @property
    def messages(self) -> int:
        """All that ended."""
        return sum(self.by_reason.values())

    @property
    def errors(self) -> int:
        """Messages that failed, without those that were skipped."""
        return self.messages - self.by_reason.get(PidReason.NONE, 0) - self.skipped_messages

    @property
    def handles(self) -> int:
        """All handles that were looked after."""
        return sum(self.registered.values())

    def summary(self) -> dict[str, int | float]:
        """Flat and rounded, for structured logs and JSON."""
        return {
            "messages": self.messages,
            "errors": self.errors,
            "retries": self.retries,
            "skipped_messages": self.skipped_messages,
            "patched_messages": self.patched_messages,
            "retracted_messages": self.retracted_messages,
            "handles": self.handles,
            **{f"handles_{what}": self.registered.get(what, 0) for what in Registered},
            "replicas": self.replicas,
            "warnings": self.warnings,
            "external_failures": self.external_failures,
            "handle_s": round(self.handle_s, 3),
            "message_s": round(self.message_s, 3),
            "in_flight": self.in_flight,
            "lag": sum(self.lag.values()),
            "running_s": round(self.running_s, 3),
            "per_s": round(self.per_s, 3),
            "lately_per_s": round(self.lately_per_s, 3),
        }

    def line(self) -> str:
        """One line for people."""
        handles = ", ".join(
            f"{self.registered[what]:,} {what}" for what in Registered if self.registered.get(what)
        )
        counted = {
            "errors": self.errors,
            "skipped": self.skipped_messages,
            "retries": self.retries,
            "warnings": self.warnings,
            "still to come": sum(self.lag.values()),
        }
        return (
            f"{self.messages:,} messages in {self.running_s:,.1f} s "
            f"({self.per_s:,.1f} a second, lately {self.lately_per_s:,.1f}), "
            f"{self.handles:,} handles{f' ({handles})' if handles else ''}"
            + "".join(f", {count:,} {what}" for what, count in counted.items() if count)
        )


class Figures:
    """Counts what becomes of messages. Safe to share between threads."""

    def __init__(self, *, started_at: datetime, window_s: int = 60) -> None:
        """Begin with nothing.

        Args:
            started_at: aware.
            window_s: how long "lately" is, in whole seconds.
        """
        self._started_at = started_at
        self._window_s = window_s
        self._lock = threading.Lock()
        self._by_reason: Counter[str] = Counter()
        self._registered: Counter[Registered] = Counter()
        self._counts: Counter[str] = Counter()
        self._took = [0] * (len(SECONDS) + 1)
        self._handle_s = 0.0
        self._message_s = 0.0
        self._ended: Counter[int] = Counter()
        """Messages by the second in which they ended, seconds since 1970."""
        self._in_flight = 0
        self._lag: dict[TopicPartition, int] = {}

    def add(self, outcome: Outcome) -> None:
        """Count a message that ended.

        Args:
            outcome: of the product line; what its detail does not say is not so.
        """
        detail = outcome.detail
        with self._lock:
            self._by_reason[outcome.reason] += 1
            for what in Registered:
                self._registered[what] += detail.get(what, 0)
            self._counts.update(_counts(outcome))
            self._took[bisect_left(SECONDS, outcome.duration_s)] += 1
            self._message_s += outcome.duration_s
            self._ended[int(outcome.finished_at.timestamp())] += 1
            if len(self._ended) > 2 * self._window_s:
                self._forget()

    def add_handle_time(self, duration_s: float) -> None:
        """Count the time that registering a handle took, in seconds."""
        with self._lock:
            self._handle_s += duration_s

    def set_in_flight(self, messages: int) -> None:
        """Say how many messages are in work now."""
        with self._lock:
            self._in_flight = messages

    def set_lag(self, at: TopicPartition, messages: int | None) -> None:
        """Say how many messages of a partition are still to come; None once it is not ours."""
        with self._lock:
            if messages is None:
                self._lag.pop(at, None)
            else:
                self._lag[at] = messages

    def totals(self, now: datetime) -> Totals:
        """The numbers.

        Args:
            now: aware.
        """
        running_s = max((now - self._started_at).total_seconds(), 0.0)
        last = int(now.timestamp())
        with self._lock:
            lately = sum(
                count
                for second, count in self._ended.items()
                if last - self._window_s < second <= last
            )
            messages = self._by_reason.total()
            counts = self._counts
            return Totals(
                by_reason=dict(self._by_reason),
                registered=dict(self._registered),
                retries=counts["retries"],
                skipped_messages=counts["skipped"],
                patched_messages=counts["patched"],
                retracted_messages=counts["retracted"],
                replicas=counts["replicas"],
                warnings=counts["warnings"],
                external_failures=counts["external"],
                handle_s=self._handle_s,
                took=tuple(self._took),
                message_s=self._message_s,
                in_flight=self._in_flight,
                lag=dict(self._lag),
                running_s=running_s,
                # Nobody can say how many a second after less than one.
                per_s=messages / max(running_s, 1.0),
                lately_per_s=lately / max(min(running_s, self._window_s), 1.0),
            )

    def _forget(self) -> None:
        """Drop seconds that are no longer lately; messages of some partitions come late."""
        newest = max(self._ended)
        for second in [one for one in self._ended if one <= newest - self._window_s]:
            del self._ended[second]


class TimedHandles:
    """A `HandleService` that tells how long registering takes; all else is another's work."""

    def __init__(
        self,
        handles: HandleService,
        figures: Figures,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take another service's place; closing this one closes it.

        Args:
            handles: does the work.
            figures: told of each time, also where registering fails.
            clock: seconds on a clock that never goes back.
        """
        self._handles = handles
        self._figures = figures
        self._clock = clock

    def read(self, handle: str) -> HandleRecord | None:
        """See `HandleService.read`."""
        return self._handles.read(handle)

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        """See `HandleService.register`."""
        started = self._clock()
        try:
            return self._handles.register(record, stamp)
        finally:
            self._figures.add_handle_time(self._clock() - started)

    def probe(self) -> None:
        """See `HandleService.probe`."""
        self._handles.probe()

    def close(self) -> None:
        """See `HandleService.close`."""
        self._handles.close()


def _counts(outcome: Outcome) -> dict[str, int]:
    detail: dict[str, Any] = outcome.detail
    return {
        "retries": int(detail.get("retries", 0) > 0),
        "skipped": int(bool(detail.get("skipped"))),
        "patched": int(bool(detail.get("patched"))),
        "retracted": int(bool(detail.get("retracted"))),
        "replicas": detail.get("replicas", 0),
        "warnings": detail.get("warnings_count", len(detail.get("warnings", ()))),
        "external": int(outcome.reason in _EXTERNAL),
    }
