"""How a transaction ends: its result, or the first error with what was undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from estinel_assets.errors import BadInputError, EstinelError, LeaseError, StoreError, UnitError
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.state import Current
from estinel_assets.publishing.steps import Phase
from estinel_assets.publishing.undoing import UndoReport


class Action(StrEnum):
    """What was done under a publication's id."""

    PUBLISHED = "published"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    """The same content stands already."""
    SKIPPED = "skipped"
    """Other content stands, and the policy is to leave it."""
    REMOVED = "removed"
    ABSENT = "absent"
    """There was nothing to remove."""


@dataclass(frozen=True, slots=True)
class PhaseTiming:
    """What a phase took."""

    phase: Phase
    steps: int
    bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """A transaction that ended well."""

    publication: str
    action: Action
    current: Current | None
    """What stands now."""
    timings: Sequence[PhaseTiming] = ()
    warnings: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    """What became of earlier transactions that had been broken off."""
    peak_mib: float = 0.0
    """Most memory that this process ever held, MiB."""

    def counts(self) -> Mapping[str, int]:
        """Objects, bytes, documents, collections and items that stand."""
        return {} if self.current is None else self.current.counts


class PublicationError(UnitError):
    """A transaction failed, and what it had done was undone as far as possible.

    Attributes:
        undo: what was undone and what was not; None where nothing had been done.
    """

    def __init__(
        self, reason: PublishingReason, message: str, undo: UndoReport | None = None
    ) -> None:
        super().__init__(reason, message)
        self.undo = undo

    def __reduce__(self) -> tuple[type["PublicationError"], tuple[object, ...]]:  # type: ignore[override]
        """Pickle with the report."""
        return type(self), (parse_reason(PublishingReason, self.reason), str(self), self.undo)


@dataclass(slots=True)
class Recovery:
    """What became of a transaction that had been broken off."""

    publication: str
    txn: str
    committed: bool
    """Whether its state stands; else it was undone."""
    undo: UndoReport | None = None

    def summary(self) -> str:
        """In a line, for people."""
        if self.committed:
            return f"{self.txn} was committed; its former objects are cleared away"
        return f"{self.txn} was undone; {self.undo.summary() if self.undo else 'nothing was done'}"


def reason_of(error: EstinelError, phase: Phase | None) -> PublishingReason:
    """The word for an error.

    Args:
        error: what was raised.
        phase: in which phase; None while planning.
    """
    if isinstance(error, LeaseError):
        return PublishingReason.BUSY
    if isinstance(error, BadInputError):
        return PublishingReason.INVALID_DATASET
    if isinstance(error, UnitError):
        if error.reason in set(PublishingReason):
            return parse_reason(PublishingReason, error.reason)
        # Only the STAC API is spoken to by the transport, which has words of its own.
        return PublishingReason.STAC_FAILED
    if isinstance(error, StoreError) or phase in (Phase.CLAIMS, Phase.OBJECTS):
        return PublishingReason.STORE_FAILED
    return PublishingReason.INTERNAL_ERROR
