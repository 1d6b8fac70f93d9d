"""A run over planned units: spread over an engine, tried again, and at the end looked at anew.

What a worker says is news for the progress. What counts is what stands: after a run the ledger is
listed again, and the arrays that its outcomes speak of are looked for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from estinel_assets.ard.ard_zarr import check_group
from estinel_assets.ard.making_outcomes import OutcomeForm, is_settled, standing_arrays
from estinel_assets.ard.opening import GROUPS_OF, open_ard_book
from estinel_assets.ard.plan import ArdPlan, PlannedUnit, Unit
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source
from estinel_assets.ard.work import GroupWork, groups_of, make_group
from estinel_assets.compute import Attempted, Engine, Threads, open_engine, with_retries
from estinel_assets.compute.retrying import STRAGGLER_MULTIPLE
from estinel_assets.compute.worker_errors import WorkerDiedError
from estinel_assets.errors import (
    BadInputError,
    MissingDependencyError,
    RetryableError,
    StoreError,
)
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.ledger import Selection
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

_CHECKS_AT_ONCE: Final = 16

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ArdRun:
    """What a run led to."""

    run_id: str
    started_at: datetime
    """UTC."""
    finished_at: datetime
    plan: ArdPlan
    outcomes: tuple[Outcome, ...]
    """Of the units that this run made, as they stand, sorted by key."""
    unended: tuple[Unit, ...]
    """Planned, and without an outcome of this run, because it was stopped."""

    @property
    def faults(self) -> tuple[Outcome, ...]:
        """The outcomes in which something went wrong."""
        return tuple(
            outcome for outcome in self.outcomes if parse_reason(ArdReason, outcome.reason).fault
        )

    def counts(self) -> dict[str, int]:
        """Number of outcomes by reason, the most frequent first."""
        return dict(Counter(outcome.reason for outcome in self.outcomes).most_common())


def run_ard(
    plan: ArdPlan,
    settings: Settings,
    store: ObjectStore,
    run: Run,
    *,
    engine: Engine | None = None,
    on_ended: Callable[[Outcome], None] | None = None,
) -> ArdRun:
    """Make what is planned.

    An interrupt by the user passes by once the engine is closed; what was recorded until then
    stands, and `what_stands` tells of it.

    Args:
        plan: what is to be made.
        settings: all settings.
        store: where the outcomes and arrays are; workers open it by the settings.
        run: who does the work.
        engine: runs the groups; None for the one that the settings name.
        on_ended: told of each unit when its group has ended; None for nobody.

    Raises:
        BadInputError: the settings cannot be used.
        MissingDependencyError: an extra is not installed.
        StoreError: the store refuses the outcomes.
    """
    started_at = run.clock()
    groups = groups_of(plan.make, settings, run.run_id)
    ledger = open_ard_book(settings, store).objects
    with ExitStack() as stack:
        for opened, part in _parts(groups, settings, engine, stack):
            ends = with_retries(
                opened,
                make_group,
                part,
                retries=settings.ard.retries,
                # A store that refuses even the outcomes may only be away for a while.
                is_retryable=lambda error: isinstance(
                    error, RetryableError | WorkerDiedError | StoreError
                ),
                # On one machine a second runner only takes from the first.
                straggler_multiple=STRAGGLER_MULTIPLE if _is_remote(settings, engine) else None,
            )
            with closing(ends):
                for ended in ends:
                    for outcome in _ended(ended, ledger, run, started_at):
                        if on_ended is not None:
                            on_ended(outcome)
    return what_stands(plan, settings, store, run, started_at)


def what_stands(
    plan: ArdPlan, settings: Settings, store: ObjectStore, run: Run, started_at: datetime
) -> ArdRun:
    """Look at what a run has left, whether it came to its end or not.

    The ledger is listed anew. An outcome whose arrays cannot be read becomes `write_failed`.

    Args:
        plan: what was to be made.
        settings: all settings.
        store: where the outcomes and arrays are.
        run: who did the work.
        started_at: when it began.

    Raises:
        StoreError: the store refuses.
    """
    book = open_ard_book(settings, store)
    planned: dict[Key, PlannedUnit] = {one.unit.key: one for one in plan.make}
    outcomes = {
        outcome.key: outcome
        for outcome in _records(book.objects, planned)
        if outcome.run_id == run.run_id
    }

    def checked(outcome: Outcome) -> Outcome:
        problem = _unreadable(store, planned[outcome.key].unit, outcome)
        if problem is None:
            return outcome
        form = OutcomeForm(planned[outcome.key], run, outcome.started_at, settings.ard)
        failed = form.failed(problem, None, outcome.detail)
        book.objects.put_one(failed)
        log.error("arrays do not stand", key="/".join(outcome.key), error=str(problem))
        return failed

    with closing(Threads(_CHECKS_AT_ONCE).map(checked, outcomes.values())) as ends:
        looked_at = [end.result() for end in ends]
    if outcomes:
        book.standing()  # brings the index up to date, for whoever plans next
    return ArdRun(
        run_id=run.run_id,
        started_at=started_at,
        finished_at=run.clock(),
        plan=plan,
        outcomes=tuple(sorted(looked_at, key=lambda outcome: outcome.key)),
        unended=tuple(one.unit for key, one in planned.items() if key not in outcomes),
    )


def open_ard_engine(settings: Settings, source: Source | None = None) -> Engine:
    """The engine that the settings name. Close it at the end, if it can be closed.

    Args:
        settings: all settings.
        source: for Lithops, whose configuration may be one for each source; None for the general.

    Raises:
        BadInputError: the settings cannot be used.
        MissingDependencyError: the extra that the engine needs is not installed.
    """
    at = settings.ard
    own: Mapping[Source | None, Path | None] = {
        Source.DEM: at.lithops_dem_config,
        Source.S1: at.lithops_s1_config,
        Source.S2: at.lithops_s2_config,
    }
    isolated = at.engine in ("processes", "dask")
    return open_engine(
        at.engine,
        at.workers,
        time_limit_s=at.time_limit_s,
        memory_limit_mib=at.memory_mib if isolated else None,
        preload=("estinel_assets.ard.work",),
        dask_address=at.dask_address if at.engine == "dask" else None,
        lithops_config=(own.get(source) or at.lithops_config) if at.engine == "lithops" else None,
    )


def _parts(
    groups: Sequence[GroupWork], settings: Settings, engine: Engine | None, stack: ExitStack
) -> list[tuple[Engine, list[GroupWork]]]:
    """The groups in parts that run one after another, each with its engine.

    Where slow ones get a second runner, the sources run apart: what is slow for one is usual for
    another.
    """
    if not groups:
        return []
    by_source = {source: [work for work in groups if work.source is source] for source in Source}
    if engine is None and settings.ard.engine == "lithops":
        # All of them now: an unusable configuration is to be told of before anything starts.
        return [
            (_opened(stack, settings, source), works)
            for source, works in by_source.items()
            if works
        ]
    opened = engine or _opened(stack, settings, None)
    if _is_remote(settings, engine):
        return [(opened, works) for works in by_source.values() if works]
    return [(opened, list(groups))]


def _opened(stack: ExitStack, settings: Settings, source: Source | None) -> Engine:
    """The engine of the settings, closed with the stack."""
    return stack.enter_context(closing(open_ard_engine(settings, source)))


def _is_remote(settings: Settings, engine: Engine | None) -> bool:
    """Whether workers may run on several machines."""
    return engine is None and settings.ard.engine in ("dask", "lithops")


def _ended(
    ended: Attempted[GroupWork, tuple[Outcome, ...]],
    ledger: ObjectLedger,
    run: Run,
    started_at: datetime,
) -> tuple[Outcome, ...]:
    """The outcomes of a group that has ended; those that no worker could record are made here.

    Raises:
        BaseException: what is no failure of the group's.
    """
    error = ended.error
    if error is None:
        return ended.result()
    if isinstance(error, BadInputError | MissingDependencyError) or not isinstance(
        error, Exception
    ):
        raise error
    outcomes = []
    for planned in ended.item.units:
        outcome = ledger.get(planned.unit.key)
        recorded = outcome is not None and outcome.run_id == run.run_id
        if outcome is None or not (
            is_settled(outcome, run.run_id) or (recorded and isinstance(error, RetryableError))
        ):
            form = OutcomeForm(planned, run, started_at, ended.item.settings.ard)
            outcome = form.failed(error, standing_arrays(outcome), {})
            ledger.put_one(outcome)
            log.error(
                "group failed", key="/".join(outcome.key), reason=outcome.reason, exc_info=error
            )
        outcomes.append(outcome)
    return tuple(outcomes)


def _records(ledger: ObjectLedger, planned: Mapping[Key, PlannedUnit]) -> Iterable[Outcome]:
    """The newest outcome of each planned unit that has one."""
    years = {key[0] for key in planned}
    entries = [
        entry
        for year in sorted(years)
        for entry in ledger.entries(Selection(under=(year,)))
        if entry.key in planned
    ]
    return ledger.read(entries)


def _unreadable(store: ObjectStore, unit: Unit, outcome: Outcome) -> StoreError | None:
    """Why arrays that an outcome speaks of do not stand; None where they do, or there are none."""
    if not outcome.outputs or parse_reason(ArdReason, outcome.reason).fault:
        return None
    for group in GROUPS_OF[unit.source]:
        try:
            check_group(store, unit.tile_year.store_path, group)
        except StoreError as error:
            return error
    return None
