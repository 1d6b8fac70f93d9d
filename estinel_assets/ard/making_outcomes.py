"""The outcome of a unit: what it says when arrays stand, and when something failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from estinel_assets.ard.plan import PlannedUnit, fingerprint
from estinel_assets.ard.reasons import ARD, ArdReason, reason_of
from estinel_assets.compute.worker_errors import (
    OutOfMemoryError,
    TimeLimitError,
    WorkerDiedError,
)
from estinel_assets.errors import EstinelError, StoreError, UnitError, describe_bug
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import ArdSettings

STANDING: Final = "standing"
"""Where a failed unit's detail keeps what is known of its arrays of before, which stand."""


@dataclass(frozen=True, slots=True)
class OutcomeForm:
    """What all outcomes of a unit in a run have in common."""

    planned: PlannedUnit
    run: Run
    started_at: datetime
    ard: ArdSettings

    def ended(
        self,
        reason: ArdReason,
        *,
        error: str | None = None,
        outputs: tuple[str, ...] = (),
        detail: Mapping[str, Any],
    ) -> Outcome:
        """The outcome of a unit that ends now."""
        unit = self.planned.unit
        finished_at = self.run.clock()
        tile = unit.tile_year.tile
        return Outcome(
            product=ARD.product,
            key=unit.key,
            status=reason is ArdReason.NONE,
            reason=reason,
            error=error,
            attempts=self.planned.attempt,
            started_at=self.started_at,
            finished_at=finished_at,
            duration_s=max((finished_at - self.started_at).total_seconds(), 0.0),
            run_id=self.run.run_id,
            code_version=self.run.code_version,
            inputs=fingerprint(unit.tile_year, unit.source, self.ard),
            outputs=outputs,
            detail={"centre": {"lon": tile.lon, "lat": tile.lat}, **detail},
        )

    def failed(
        self,
        error: Exception,
        standing: Mapping[str, Any] | None,
        detail: Mapping[str, Any],
    ) -> Outcome:
        """The outcome of a unit that failed.

        Args:
            error: what went wrong.
            standing: what is known of arrays of before that still stand; None where none do.
            detail: what else is known.
        """
        reason = reason_of_error(error)
        return self.ended(
            reason,
            error=_described(error),
            outputs=() if standing is None else tuple(standing["outputs"]),
            detail={**detail, **({} if standing is None else {STANDING: dict(standing)})},
        )


def _described(error: Exception) -> str:
    if isinstance(error, EstinelError):
        return str(error)
    if isinstance(error, MemoryError):
        return "the work needed more memory than there was; make fewer tiles together"
    return describe_bug(error)


def reason_of_error(error: Exception) -> ArdReason:
    """The reason that an error stands for; `internal_error` where it is none of those known."""
    match error:
        case UnitError():
            return reason_of(error)
        case StoreError():
            return ArdReason.WRITE_FAILED
        case TimeLimitError():
            return ArdReason.TIMEOUT
        case OutOfMemoryError() | MemoryError():
            return ArdReason.OUT_OF_MEMORY
        case WorkerDiedError():
            return ArdReason.WORKER_DIED
        case _:
            return ArdReason.INTERNAL_ERROR


def is_settled(outcome: Outcome | None, run_id: str) -> bool:
    """Whether a run has ended a unit already, and not in a way that may pass."""
    if outcome is None or outcome.run_id != run_id:
        return False
    return not parse_reason(ArdReason, outcome.reason).retryable


def tries_again(outcome: Outcome) -> bool:
    """Whether another attempt within the run may help; a bug of ours stays one."""
    reason = parse_reason(ArdReason, outcome.reason)
    return reason.retryable and reason is not ArdReason.INTERNAL_ERROR


def standing_arrays(outcome: Outcome | None) -> dict[str, Any] | None:
    """What an outcome says of arrays that stand, also when a later attempt failed.

    Returns:
        The detail of the attempt that made them, with their `outputs`; None where none stand.
    """
    if outcome is None or not outcome.outputs:
        return None
    standing: dict[str, Any] | None = outcome.detail.get(STANDING)
    return standing or {**outcome.detail, "outputs": list(outcome.outputs)}
