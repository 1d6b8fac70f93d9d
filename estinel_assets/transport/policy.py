"""The policy itself: which failures of a request are worth another try, after which pause.

It knows no HTTP library: it runs a callable that makes one try and understands small errors,
`HttpStatusError`, `ConnectionLostError`, `AnswerTimeoutError` and `CorruptAnswerError`. An adapter
turns a library's own exceptions into these.
"""

import json
import logging
import math
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, Self, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from estinel_assets.clock import utc_now
from estinel_assets.errors import (
    BadInputError,
    EstinelError,
    PermanentError,
    RetryableError,
    SourceFault,
    UnitError,
    public_url,
)
from estinel_assets.settings import TransportSettings

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_URL = re.compile(r"https?://[^\s\"'<>]+")
_TIMEOUTS = frozenset({408, 504})
_FORBIDDEN = frozenset({401, 403})
_ABSENT = frozenset({404, 410})
_MESSAGE_LENGTH = 200
_SHORTEST_TRY_S = 0.01


class Answer(Protocol):
    """An answer as httpx and requests both have it."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""

    @property
    def text(self) -> str:
        """The body."""


class TryError(EstinelError):
    """One try of a request failed. `RetryPolicy.run` turns it into a `UnitError`."""

    @property
    def transient(self) -> bool:
        """Whether the next try may succeed."""
        return True


class HttpStatusError(TryError):
    """The server answered with a status that is no success.

    Attributes:
        status: the HTTP status.
        retry_after: the `Retry-After` header as it came, seconds or an HTTP date.
    """

    def __init__(self, status: int, retry_after: str | None = None, message: str = "") -> None:
        super().__init__(f"the server answered {status}" + (f" ({message})" if message else ""))
        self.status = status
        self.retry_after = retry_after

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The error that an answer stands for."""
        message = server_message(answer.text, answer.headers.get("Content-Type", ""))
        return cls(answer.status_code, answer.headers.get("Retry-After"), message)

    @property
    def transient(self) -> bool:
        """True for 408, 429 and every 5xx."""
        return self.status in (408, 429) or self.status >= 500


class ConnectionLostError(TryError):
    """The connection was refused, reset or cut."""


class AnswerTimeoutError(TryError):
    """No answer came in time."""


class CorruptAnswerError(TryError):
    """The answer came, and is not what was asked for: half a document, or a page for people."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how long and with which pauses one request is tried.

    Pauses grow exponentially with full jitter, so that many workers that failed together do not
    come back together (Brooker, "Exponential Backoff And Jitter", 2015). A `Retry-After` of the
    server makes a pause longer, never shorter.
    """

    attempts: int
    """Tries, the first included."""
    backoff_s: float
    """Upper bound of the first pause, seconds; doubled after each try."""
    backoff_max_s: float
    """Longest pause that we choose ourselves, seconds."""
    deadline_s: float
    """Longest time for all tries and pauses together, seconds."""
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    """Waits so many seconds."""
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    """Seconds on a clock that never goes back."""
    now: Callable[[], datetime] = field(default=utc_now, repr=False)
    """The date and time, timezone-aware; only a `Retry-After` that is a date needs it."""
    uniform: Callable[[], float] = field(default=random.random, repr=False)
    """A number from [0, 1)."""

    @classmethod
    def from_settings(cls, settings: TransportSettings) -> Self:
        """The policy of the settings, with the system's clock and randomness."""
        return cls(
            attempts=settings.attempts,
            backoff_s=settings.backoff_s,
            backoff_max_s=settings.backoff_max_s,
            deadline_s=settings.deadline_s,
        )

    def run(
        self,
        request: Callable[[float], T],
        *,
        what: str,
        signed: bool = False,
        hand_back: frozenset[int] = frozenset(),
    ) -> T:
        """Make a request, again if need be, until it succeeds, is hopeless or time is up.

        Args:
            request: makes one try, within at most the seconds that it is given.
            what: names the request in messages, without secrets: `POST https://host/search`.
            signed: the address carries a signature that may have expired, so that "forbidden"
                is worth another attempt with a new one.
            hand_back: statuses that the caller deals with; their `HttpStatusError` is raised
                as it is and at once.

        Raises:
            RetryableError: timeouts, broken connections, unreadable answers, 429 or 5xx until the
                end.
            PermanentError: an answer that would be the same another time.
            HttpStatusError: a status in `hand_back`.
        """
        started = self.clock()

        def remaining_s() -> float:
            # A pause may overrun a little, and no library takes a timeout of nothing.
            return max(_SHORTEST_TRY_S, self.deadline_s - (self.clock() - started))

        try:
            # Nearly every request succeeds at once: the machinery is for the others.
            return request(remaining_s())
        except TryError as error:
            first = error
        return self._try_on(
            first, request, remaining_s, what=what, signed=signed, hand_back=hand_back
        )

    def _try_on(
        self,
        failed: TryError,
        request: Callable[[float], T],
        remaining_s: Callable[[], float],
        *,
        what: str,
        signed: bool,
        hand_back: frozenset[int],
    ) -> T:
        """Make further tries after a first one that failed, as far as they are worth it."""
        first: TryError | None = failed

        def next_try() -> T:
            # The first call is for the try that was made already.
            nonlocal first
            error, first = first, None
            if error is not None:
                raise error
            return request(remaining_s())

        def worth_a_retry(error: BaseException) -> bool:
            if isinstance(error, HttpStatusError) and error.status in hand_back:
                return False
            return isinstance(error, TryError) and error.transient

        def is_over(state: RetryCallState) -> bool:
            out_of_tries = state.attempt_number >= self.attempts
            return out_of_tries or state.upcoming_sleep >= remaining_s()

        def log(state: RetryCallState) -> None:
            _LOG.info(
                "%s: %s; try %d of %d follows in %.1f s",
                what,
                state.outcome.exception() if state.outcome else "no answer",
                state.attempt_number + 1,
                self.attempts,
                state.upcoming_sleep,
            )

        retrying = Retrying(
            retry=retry_if_exception(worth_a_retry),
            wait=self._pause_s,
            stop=is_over,
            sleep=self.sleep,
            before_sleep=log,
            reraise=True,
        )
        try:
            return retrying(next_try)
        except TryError as error:
            if isinstance(error, HttpStatusError) and error.status in hand_back:
                raise
            tries = int(retrying.statistics.get("attempt_number", 1))
            # `from None`: a library's own exception may show the URL's query.
            raise _verdict(error, what=what, signed=signed, tries=tries) from None
        finally:
            # Else it keeps the last answer in a circle, until all garbage is collected.
            retrying.iter_state.reset()

    def _pause_s(self, state: RetryCallState) -> float:
        doublings = min(state.attempt_number - 1, 60)
        pause = self.uniform() * min(self.backoff_max_s, self.backoff_s * 2.0**doublings)
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, HttpStatusError) and error.retry_after is not None:
            asked = retry_after_s(error.retry_after, now=self.now())
            if asked is not None:
                return max(pause, asked)
        return pause


def retry_after_s(header: str, *, now: datetime) -> float | None:
    """Read a `Retry-After` header (RFC 9110, 10.2.3).

    Args:
        header: seconds, or an HTTP date.
        now: timezone-aware.

    Returns:
        Seconds from now, not negative; None where the header is neither.
    """
    text = header.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _verdict(error: TryError, *, what: str, signed: bool, tries: int) -> UnitError:
    """What a request's last failure means for the unit of work that made it."""
    times = "" if tries == 1 else f" after {tries} tries"
    text = f"{what} failed{times}: {error}"
    if isinstance(error, AnswerTimeoutError):
        return RetryableError(SourceFault.TIMEOUT, text)
    if isinstance(error, CorruptAnswerError):
        return RetryableError(SourceFault.CORRUPT, text)
    if not isinstance(error, HttpStatusError):
        return RetryableError(SourceFault.UNAVAILABLE, text)
    if error.transient:
        fault = SourceFault.TIMEOUT if error.status in _TIMEOUTS else SourceFault.UNAVAILABLE
        return RetryableError(fault, text)
    if error.status in _FORBIDDEN:
        if signed:
            return RetryableError(SourceFault.FORBIDDEN, f"{text}; its signature may have expired")
        return PermanentError(SourceFault.FORBIDDEN, f"{text}; check the access rights")
    if error.status in _ABSENT:
        return PermanentError(SourceFault.NOT_FOUND, text)
    return PermanentError(SourceFault.UNAVAILABLE, text)


def in_circles(what: str) -> PermanentError:
    """The error of a request whose redirects do not end."""
    text = f"{what} failed: the server redirects in circles"
    return PermanentError(SourceFault.UNAVAILABLE, text)


def unusable(what: str, error: Exception) -> BadInputError:
    """The error of an address that a library refuses; its own one may show the query."""
    return BadInputError(f"{what} cannot be requested ({type(error).__name__}): check the address")


def root_cause(error: BaseException) -> str:
    """The innermost cause in a few words; the outer ones would show the URL's query."""
    seen = {id(error)}
    while True:
        inner = next(
            (
                candidate
                for candidate in (
                    getattr(error, "reason", None),
                    error.__cause__,
                    error.__context__,
                    *error.args,
                )
                if isinstance(candidate, BaseException) and id(candidate) not in seen
            ),
            None,
        )
        if inner is None:
            break
        seen.add(id(inner))
        error = inner
    strerror = getattr(error, "strerror", None)
    return str(strerror) if strerror else type(error).__name__


def server_message(body: str, content_type: str) -> str:
    """What a server says about a failure, fit for a message.

    Args:
        body: of the answer.
        content_type: of the answer.

    Returns:
        One line of at most 200 characters, URLs without their queries; empty for HTML and
        for anything else that is not meant to be read in a line.
    """
    if "html" in content_type or body.lstrip().startswith("<"):
        return ""
    text = body
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        words = [document.get(key) for key in ("description", "message", "detail", "error")]
        if isinstance(several := document.get("errors"), list):
            words += several
        text = next((word for word in words if isinstance(word, str) and word), "")
    line = " ".join(_URL.sub(lambda match: public_url(match[0]), text).split())
    return line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + "…"
