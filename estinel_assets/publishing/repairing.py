"""Repairing all that was broken off, and what became of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from estinel_assets.publishing.ending import PublicationError, Recovery
from estinel_assets.publishing.publications import Publications
from estinel_assets.publishing.reasons import PublishingReason

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a transaction that was not closed."""

    publication: str
    txn: str
    """Empty where nobody looked at it."""
    ended: Literal["committed", "undone", "left", "busy"]
    """`left`: it is still open; `busy`: a live worker is at it."""
    told: str
    """For people."""

    @property
    def closed(self) -> bool:
        """Whether nothing is left to do."""
        return self.ended in ("committed", "undone")

    @property
    def busy(self) -> bool:
        """Whether it is none of ours."""
        return self.ended == "busy"


def repairs(opened: Publications) -> Iterator[Repair]:
    """Complete or undo what was broken off, of all publications.

    Yields:
        What became of each transaction.
    """
    for name in list(opened.with_open_journals()):
        for one in opened.recover(name):
            yield _repair(name, one)


def left_open(left: Sequence[Repair]) -> PublicationError:
    """The error that names what could not be repaired."""
    shown = "; ".join(f"{one.publication}: {one.told}" for one in left[:SHOWN])
    more = f"; and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    return PublicationError(
        PublishingReason.UNDO_INCOMPLETE,
        f"{len(left)} transactions could not be repaired: {shown}{more}. Mend what they name; "
        "they are tried again",
    )


def _repair(name: str, one: Recovery | PublicationError) -> Repair:
    if isinstance(one, PublicationError):
        busy = one.reason == PublishingReason.BUSY
        return Repair(name, "", "busy" if busy else "left", str(one))
    if one.committed:
        return Repair(name, one.txn, "committed", one.summary())
    complete = one.undo is None or one.undo.complete
    return Repair(name, one.txn, "undone" if complete else "left", one.summary())
