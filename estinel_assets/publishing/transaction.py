"""One transaction: from its sealed journal to its commit, or back to where it began."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from estinel_assets.errors import EstinelError, LeaseLostError
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.run import Run
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.doing import Worker
from estinel_assets.publishing.ending import PhaseTiming, PublicationError, Recovery, reason_of
from estinel_assets.publishing.journal import Begin, Journal
from estinel_assets.publishing.objects import ForeignObjectError
from estinel_assets.publishing.parts import NextState, write_state
from estinel_assets.publishing.planning import Plan
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.state import Current, Standing, commit, fence
from estinel_assets.publishing.steps import Phase
from estinel_assets.publishing.undoing import Undoing, UndoReport

log = get_logger(__name__)

BEFORE_COMMIT = tuple(phase for phase in Phase if phase is not Phase.AFTER)

RECOVER = "run `estinel publish recover {publication}`, or publish it again"


@dataclass(slots=True)
class Transaction:
    """A transaction whose journal is sealed. Use once."""

    worker: Worker
    journal: Journal
    begin: Begin
    plan: Plan
    run: Run
    renew: Callable[[], None]
    """Makes sure, by asking the store, that the lease is still ours."""
    clock_s: Callable[[], float] = time.monotonic
    """Seconds since some moment."""
    timings: list[PhaseTiming] = field(default_factory=list)
    _phase: Phase | None = None
    _committing: bool = False

    def carry_out(self, standing: Standing, state: NextState, current: Current) -> None:
        """Do all steps and commit; on any failure undo them.

        Args:
            standing: what stood when the plan was made.
            state: what the publication consists of afterwards.
            current: the record that commits it.

        Raises:
            PublicationError: a target failed; the message says what was undone and what was not.
            BaseException: anything else that came up, such as an interrupt, after undoing.
        """
        try:
            # Whoever was taken over while it planned must not begin.
            self.renew()
            for phase in BEFORE_COMMIT:
                if self.plan.steps[phase]:
                    self._do(phase)
            self._phase = None
            at = self.journal
            write_state(at.store, at.publication, at.txn, state, self.plan.spool)
            self.renew()
            self._committing = True
            commit(self.journal.store, standing, current, self.worker.check)
        except BaseException as error:
            if self._was_committed(error):
                if isinstance(error, EstinelError):
                    return
                self.settle()
                raise
            failure = self._taken_back(error)
            if failure is None:
                raise
            raise failure from error

    def settle(self) -> tuple[str, ...]:
        """Do what follows the commit, and close the journal.

        Returns:
            Warnings: what could not be done now; `recover` does it later.
        """
        try:
            settle(self.worker, self.journal, self.begin)
        except EstinelError as error:
            log.warning(
                "publication stands, but is not cleared up",
                publication=self.journal.publication,
                txn=self.journal.txn,
                error=str(error),
            )
            how = RECOVER.format(publication=self.journal.publication)
            return (f"what it replaced is not all cleared away ({error}); {how}",)
        return ()

    def _do(self, phase: Phase) -> None:
        self._phase = phase
        steps = self.plan.steps[phase]
        began_s = self.clock_s()
        self.worker.check()
        self.journal.mark(phase)
        self.worker.do(phase, steps)
        timing = PhaseTiming(
            phase,
            len(steps),
            self.plan.bytes if phase is Phase.OBJECTS else 0,
            round(self.clock_s() - began_s, 6),
        )
        self.timings.append(timing)
        log.info(
            "publication phase done",
            publication=self.journal.publication,
            txn=self.journal.txn,
            phase=str(phase),
            steps=timing.steps,
            bytes=timing.bytes,
            duration_s=round(timing.duration_s, 3),
        )

    def _was_committed(self, error: BaseException) -> bool:
        """Whether the commit stands although it did not answer; if not, it never will.

        Raises:
            PublicationError: nobody can say now.
        """
        if not self._committing or isinstance(error, LeaseLostError):
            return False
        try:
            return _fence(self.journal, self.run, moved=False)
        except EstinelError as unreadable:
            how = RECOVER.format(publication=self.journal.publication)
            raise PublicationError(
                PublishingReason.UNDO_INCOMPLETE,
                f"nobody can say whether it was committed ({error}; then {unreadable}); {how}",
            ) from error

    def _taken_back(self, error: BaseException) -> PublicationError | None:
        """Undo everything, and say what to raise; None for the error itself."""
        if isinstance(error, LeaseLostError):
            return PublicationError(
                PublishingReason.BUSY,
                f"{error}; the worker that took it over undoes what was begun. What was being "
                "written at that moment may be left: see `estinel publish audit`",
            )
        how = RECOVER.format(publication=self.journal.publication)
        report: UndoReport | None = None
        try:
            if isinstance(error, ForeignObjectError):
                self.journal.note_foreign()
            report = Undoing(self.worker, self.journal).undo(self.begin)
            told = report.summary()
        except EstinelError as second:
            told = f"it could not be undone ({second})"
        undone = report is not None and report.complete
        self._note_undone(report)
        if not isinstance(error, EstinelError):
            error.add_note(told if undone else f"{told}; {how}")
            return None
        reason, message = reason_of(error, self._phase), f"{error}; {told}"
        if not undone:
            reason, message = PublishingReason.UNDO_INCOMPLETE, f"{message}; {how}"
        log.warning(
            "publication failed",
            publication=self.journal.publication,
            txn=self.journal.txn,
            reason=str(reason),
            error=message,
        )
        return PublicationError(reason, message, report)

    def _note_undone(self, report: UndoReport | None) -> None:
        """Close the journal, or note in it what is left. Where that fails, it stays open."""
        try:
            if report is not None:
                note_undone(self.journal, self.begin, report)
        except EstinelError as error:
            log.warning(
                "the journal of an undone publication stays open",
                publication=self.journal.publication,
                txn=self.journal.txn,
                error=str(error),
            )


def settle(worker: Worker, journal: Journal, begin: Begin) -> None:
    """Do what follows a commit, and close the journal. May be done again.

    Raises:
        EstinelError: a target failed; the journal stays open.
    """
    for part in journal.steps(begin, Phase.AFTER):
        for batch in batches(part):
            worker.do(Phase.AFTER, batch)
    journal.close(begin, committed=True)


def note_undone(journal: Journal, begin: Begin, report: UndoReport) -> None:
    """Close the journal of an undone transaction, or note in it what is left.

    Raises:
        StoreError: the store refuses; the journal stays open.
    """
    if report.complete:
        journal.close(begin, committed=False)
    else:
        journal.keep_left(report.left)


def recover(worker: Worker, journal: Journal, run: Run, *, suspect: bool) -> Recovery:
    """Complete or undo a transaction that was broken off.

    Args:
        worker: does it.
        journal: of the transaction.
        run: who does it.
        suspect: its own worker may still live, although it lost its lease.

    Raises:
        EstinelError: a target failed, or the journal cannot be read; it stays open.
    """
    begin = journal.begin()
    if begin is None or not journal.is_whole(begin):
        # It was never sealed, or is already closed; what is left of it means nothing. A seal
        # without its steps is one that came late, from a worker that was taken over.
        committed = _fence(journal, run, moved=suspect)
        journal.close(begin, committed=committed)
        return Recovery(journal.publication, journal.txn, committed=committed)
    worker.check()
    if _fence(journal, run, moved=suspect):
        settle(worker, journal, begin)
        return Recovery(journal.publication, journal.txn, committed=True)
    report = Undoing(worker, journal).undo(begin)
    note_undone(journal, begin, report)
    return Recovery(journal.publication, journal.txn, committed=False, undo=report)


def _fence(journal: Journal, run: Run, *, moved: bool) -> bool:
    """See `state.fence`."""
    return fence(
        journal.store,
        journal.publication,
        journal.txn,
        moved=moved,
        now=run.clock(),
        run_id=run.run_id,
    )
