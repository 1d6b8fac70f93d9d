"""Which outcomes are meant: the options that commands share, and reading what they select."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from collections import Counter

    from estinel_assets.outcomes.book import OutcomeBook
    from estinel_assets.outcomes.ledger import Entry, Selection
    from estinel_assets.outcomes.paths import Key
    from estinel_assets.outcomes.reason import Reason
    from estinel_assets.outcomes.record import Outcome


class StatusWord(StrEnum):
    """A status as it stands in paths."""

    TRUE = "true"
    FALSE = "false"


KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        "-k",
        help="Key, or its leading parts, as `list` shows it; may be repeated.",
        metavar="KEY",
    ),
]
StatusOption = Annotated[StatusWord | None, typer.Option("--status", help="Only this status.")]
ReasonOption = Annotated[
    list[str] | None,
    typer.Option("--reason", "-r", help="Only this reason; may be repeated.", metavar="REASON"),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="Only those finished at or after this time: ISO 8601, UTC unless it says otherwise.",
        metavar="TIME",
    ),
]


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """Which outcomes of a product line are asked for."""

    selections: tuple["Selection", ...]
    """Their union; they do not overlap."""
    since: datetime | None
    """Only those finished at or after it."""

    @classmethod
    def parse(
        cls,
        reasons: type["Reason"],
        *,
        keys: Sequence[str] | None,
        status: StatusWord | None,
        words: Sequence[str] | None,
        since: str | None,
    ) -> "OutcomeQuery":
        """Read the options.

        Args:
            reasons: those of the product line.
            keys: encoded keys or their leading parts; none for all.
            status: none for both.
            words: names of reasons; none for all.
            since: ISO 8601.

        Raises:
            BadInputError: one of them cannot be used.
        """
        from estinel_assets.outcomes.ledger import Selection
        from estinel_assets.outcomes.reason import parse_reason

        wanted = frozenset(str(parse_reason(reasons, word)) for word in words or ())
        flag = None if status is None else status is StatusWord.TRUE
        under = _without_nested([parse_key(key) for key in keys or ()]) or [()]
        return cls(
            selections=tuple(Selection(key, flag, wanted) for key in under),
            since=None if since is None else parse_time(since),
        )

    def entries(self, book: "OutcomeBook") -> Iterator["Entry"]:
        """What the listing says of the selected keys, sorted by key.

        `since` leaves entries out only where outcomes are packed: there alone a listing knows when
        a unit finished.
        """
        since = self.since if book.spec.packed else None
        for selection in self.selections:
            for entry in book.ledger.entries(selection):
                if since is None or (entry.modified_at is not None and entry.modified_at >= since):
                    yield entry

    def counts(self, book: "OutcomeBook") -> "Counter[tuple[bool, str]]":
        """How many of the selected stand under each status and reason."""
        from collections import Counter

        if self.since is None:
            return sum(map(book.counts, self.selections), Counter())
        # Of records in objects of their own, only the records tell the time.
        found = self.entries(book) if book.spec.packed else self.outcomes(book)
        return Counter((one.status, one.reason) for one in found)

    def outcomes(self, book: "OutcomeBook") -> Iterator["Outcome"]:
        """The selected records, sorted by key."""
        for outcome in book.ledger.read(self.entries(book)):
            if self.since is None or outcome.finished_at >= self.since:
                yield outcome


def parse_key(text: str) -> "Key":
    """Read a key as commands print it.

    Raises:
        BadInputError: it is none.
    """
    from estinel_assets.outcomes.paths import decode_key

    try:
        return decode_key(text.strip("/"))
    except BadInputError as error:
        raise BadInputError(
            f"--key {text!r} cannot be used: {error}; "
            "write keys as `estinel outcomes list` shows them"
        ) from None


def parse_time(text: str) -> datetime:
    """Read a date or a time; UTC where it names no zone.

    Raises:
        BadInputError: it is neither.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            f"--since {text!r} is no date or time; write 2024-01-31 or 2024-01-31T12:00:00Z"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _without_nested(keys: Sequence["Key"]) -> list["Key"]:
    """The keys in order, without those that another one contains."""
    kept: list[Key] = []
    for key in sorted(set(keys)):
        if not kept or key[: len(kept[-1])] != kept[-1]:
            kept.append(key)
    return kept
