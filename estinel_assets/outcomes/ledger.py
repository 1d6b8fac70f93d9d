"""The ledger of a product line: where its outcomes are put, listed and read.

Two layouts stand behind this port: one object a key (`object_ledger`), or, for very many small
units, one Parquet per batch, status and reason (`packed_ledger`). In both, two records of one key
may be found for a moment, and the newest by (`finished_at`, `run_id`) is the one that counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing says of one key."""

    key: Key
    status: bool
    reason: str
    path: str
    """Object that holds the record."""
    etag: str
    """Version of that object."""
    modified_at: datetime | None = field(default=None, compare=False)
    """About when the record was stored, UTC: what the listing says of its object, or, in a batch
    of many, when the unit finished. None where nobody asked, as in an index."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which outcomes are asked for; an empty selection means all."""

    under: Key = ()
    """Leading parts of the key."""
    status: bool | None = None
    reasons: frozenset[str] = frozenset()
    """Any of these; empty for every reason."""

    def takes(self, status: bool, reason: str) -> bool:  # noqa: FBT001 - the field of a record
        """Whether a record with this status and reason is asked for."""
        return (self.status is None or status == self.status) and (
            not self.reasons or reason in self.reasons
        )


ALL = Selection()


class Ledger(Protocol):
    """The outcomes of one product line."""

    @property
    def product(self) -> str:
        """The product line, such as `imagery`."""
        ...

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Store records, then remove those that they replace.

        A record is stored before its predecessor is deleted, and a newer record is never deleted
        in favour of an older one.

        Raises:
            StoreError: the store refused; records already stored stay.
        """
        ...

    def get(self, key: Key) -> Outcome | None:
        """The newest record of a key; None where there is none."""
        ...

    def entries(self, selection: Selection = ALL) -> Iterator[Entry]:
        """The newest entry of each selected key, sorted by key."""
        ...

    def read(self, entries: Iterable[Entry]) -> Iterator[Outcome]:
        """The records of entries, in their order. An entry replaced meanwhile is left out."""
        ...


def newest(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Of the records of one key, the one that counts; None of none."""
    return max(outcomes, key=lambda outcome: outcome.age_key, default=None)
