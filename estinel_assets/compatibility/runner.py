"""Checks many collections: each to exactly one outcome, or to none where CMR itself failed."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.locate import describe
from estinel_assets.compatibility.outage import OutageGuard
from estinel_assets.compatibility.reasons import COMPATIBILITY, CompatibilityReason
from estinel_assets.compatibility.record import CompatibilityRecord, inputs_of
from estinel_assets.compatibility.recorder import Recorder
from estinel_assets.compatibility.request import MORE_MEMORY, CheckRequest, CheckSettings
from estinel_assets.compute import Completed, Engine
from estinel_assets.compute.processes import OutOfMemoryError, TimeLimitError, WorkerDiedError
from estinel_assets.errors import BadInputError, EstinelError, MissingDependencyError, UnitError
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import NO_REASON, Outcome
from estinel_assets.outcomes.rules import next_attempt
from estinel_assets.outcomes.run import Run

CMR_FAILURES = 5
"""So many checks in a row without an answer of CMR end a run."""
SHOWN = 10

log = get_logger(__name__)


class UncheckedError(EstinelError):
    """Some collections have no outcome of this run.

    Attributes:
        problems: why, by collection; a `BadInputError` where CMR does not know what was asked for.
    """

    def __init__(self, problems: Mapping[str, EstinelError]) -> None:
        shown = "; ".join(f"{key}: {why}" for key, why in list(problems.items())[:SHOWN])
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        said = (
            "1 collection was not checked, and stands as before"
            if len(problems) == 1
            else f"{len(problems)} collections were not checked, and stand as before"
        )
        super().__init__(f"{said}: {shown}{more}")
        self.problems = dict(problems)


@dataclass(frozen=True, slots=True)
class Asked:
    """A collection that is to be checked."""

    concept_id: str
    granule_id: str | None = None
    """Concept id of the granule to try; None for a random one."""


def check_isolated(request: CheckRequest) -> CompatibilityRecord:
    """Check one collection; called in the process that may be stopped.

    The readers are imported there, not in the processes that plan and record.
    """
    from estinel_assets.compatibility.check import check

    return check(request)


@dataclass(slots=True)
class Checks:
    """A run over collections. Use once."""

    ledger: ObjectLedger
    standing: Mapping[Key, IndexRow]
    """The results as the run begins."""
    engine: Engine
    settings: CheckSettings
    run: Run
    anew: bool = False
    """Whether attempts start at one again, because somebody asked for these collections."""
    describe: Callable[[CheckRequest, CheckEndedError], CompatibilityRecord] = describe
    """Makes the record of a check whose process is gone."""
    problems: dict[str, EstinelError] = field(default_factory=dict)
    """Why some collections have no outcome of this run."""
    _began: dict[str, datetime] = field(default_factory=dict)
    _kept_back: list[Outcome] = field(default_factory=list)

    def outcomes(self, asked: Iterable[Asked]) -> Generator[Outcome, None, None]:
        """Check collections, and record how each one ended.

        Results that an outage would explain are recorded at the end, when it is known that there
        was none. Close the generator where an exception may pass by: that ends the processes.

        Args:
            asked: what is to be checked; a collection that comes again is left out.

        Yields:
            Each outcome that is stored, in no promised order, at the latest when the next check
            has ended: checks do not wait for the store.

        Raises:
            OutageSuspectedError: it looks like an outage; what it would explain was not recorded.
            UncheckedError: at the end: some collections have no outcome of this run, because CMR
                failed or does not know them.
            EstinelError: CMR does not answer.
            StoreError: the store refused a record.
        """
        with (
            closing(self.engine),
            closing(self.engine.map(check_isolated, self._requests(asked))) as ends,
            Recorder(self._store) as recorder,
        ):
            try:
                for outcome in self._accepted(ends):
                    recorder.add(outcome)
                    yield from recorder.stored()
            except EstinelError:
                # What stands by now is told of all the same.
                yield from recorder.rest()
                raise
            for outcome in self._kept_back:
                recorder.add(outcome)
            yield from recorder.rest()
        if self.problems:
            raise UncheckedError(self.problems)

    def _accepted(
        self, ends: Iterable[Completed[CheckRequest, CompatibilityRecord]]
    ) -> Iterator[Outcome]:
        """Outcomes that may be recorded at once; what an outage would explain is kept back.

        Raises:
            OutageSuspectedError: it looks like one.
            EstinelError: CMR does not answer.
        """
        at = self.settings.compatibility
        guard = OutageGuard(share=at.outage_share, window=at.outage_window)
        in_a_row = 0
        for completed in ends:
            concept_id = completed.item.concept_id
            try:
                outcome = self._outcome(completed)
            except (UnitError, BadInputError) as error:
                self.problems[concept_id] = error
                log.warning("not checked", collection=concept_id, error=str(error))
                in_a_row += isinstance(error, UnitError)
                if in_a_row >= CMR_FAILURES:
                    raise self._cmr_is_away(error) from None
                continue
            in_a_row = 0
            if guard.see(outcome.reason, self._former_reason(outcome.key)):
                self._kept_back.append(outcome)
                reason = guard.verdict()
                if reason is not None:
                    raise guard.explain(reason, len(self._kept_back))
            else:
                yield outcome

    def _requests(self, asked: Iterable[Asked]) -> Iterator[CheckRequest]:
        for one in asked:
            if one.concept_id in self._began:
                continue
            self._began[one.concept_id] = self.run.clock()
            row = None if self.anew else self.standing.get((one.concept_id,))
            # Another try looks at another granule.
            tries = 0 if row is None or row.status else row.attempts
            seed = self.settings.compatibility.seed + tries
            yield CheckRequest(one.concept_id, self.settings, seed, one.granule_id)

    def _outcome(self, completed: Completed[CheckRequest, CompatibilityRecord]) -> Outcome:
        """How a check ended.

        Raises:
            BadInputError: CMR does not know what was asked for.
            UnitError: CMR failed.
        """
        record = completed.value
        if record is None:
            record = self.describe(completed.item, _ending_of_process(completed))
        concept_id = completed.item.concept_id
        ended = self.run.clock()
        began = self._began[concept_id]
        if completed.value is not None and record.durations_s:
            # What it took itself; before that it may have waited for a process to start.
            began = max(began, ended - timedelta(seconds=sum(record.durations_s.values())))
        key = (concept_id,)
        inputs = inputs_of(record)
        return Outcome(
            product=COMPATIBILITY.product,
            key=key,
            status=record.tiling_compatible,
            reason=record.incompatible_reason or NO_REASON,
            error=record.error_message,
            attempts=next_attempt(None if self.anew else self.standing.get(key), inputs),
            started_at=began,
            finished_at=ended,
            duration_s=max((ended - began).total_seconds(), 0.0),
            run_id=self.run.run_id,
            code_version=self.run.code_version,
            inputs=inputs,
            detail=record.model_dump(mode="json"),
        )

    def _store(self, outcome: Outcome) -> None:
        self.ledger.put_one(outcome)
        log.info(
            "collection checked",
            collection=outcome.key[0],
            reason=outcome.reason,
            attempt=outcome.attempts,
            duration_s=round(outcome.duration_s, 3),
        )

    def _former_reason(self, key: Key) -> str | None:
        row = self.standing.get(key)
        return None if row is None else row.reason

    def _cmr_is_away(self, error: EstinelError) -> EstinelError:
        return EstinelError(
            f"{CMR_FAILURES} checks in a row had no answer of CMR, so the run stops; what stood "
            f"before still stands. The last one: {error}"
        )


def _ending_of_process(
    completed: Completed[CheckRequest, CompatibilityRecord],
) -> CheckEndedError:
    """What it means that a check did not return.

    Raises:
        BaseException: it was no accident of the process.
    """
    reason = CompatibilityReason
    match completed.error:
        case TimeLimitError() as error:
            ending = CheckEndedError(reason.TIMEOUT, str(error))
        case OutOfMemoryError() as error:
            # One that was killed says itself what helps.
            hint = None if error.killed else MORE_MEMORY
            ending = CheckEndedError(reason.OUT_OF_MEMORY, str(error), hint)
        case WorkerDiedError() as error:
            ending = CheckEndedError(reason.CANT_OPEN_FILE, f"the reader crashed: {error}")
        case UnitError() | BadInputError() | MissingDependencyError() as error:
            raise error
        case Exception() as error:
            log.error("internal error", exc_info=error, collection=completed.item.concept_id)
            ending = CheckEndedError(reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        case error:
            raise error or EstinelError("a check returned nothing")
    return ending
