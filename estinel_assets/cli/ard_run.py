"""`estinel ard run`: make what is missing of tiles, over any engine."""

import logging
import os
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.cli.ard_asking import (
    Engine,
    InputArgument,
    MemoryOption,
    SourcesOption,
    YearOption,
    asked_tile_years,
    counts_text,
    open_store_of,
    sources_of,
    with_options,
)
from estinel_assets.cli.ard_progress import tiles_progress
from estinel_assets.cli.ard_reports import made_folder, write_report
from estinel_assets.cli.exit_codes import NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import AbortedError

if TYPE_CHECKING:
    from estinel_assets.ard.cost import Cost
    from estinel_assets.ard.job_reports import JobReport
    from estinel_assets.ard.plan import ArdPlan
    from estinel_assets.ard.runner import ArdRun
    from estinel_assets.ard.tiles import TileYear
    from estinel_assets.outcomes.record import Outcome
    from estinel_assets.outcomes.run import Run
    from estinel_assets.settings import Settings
    from estinel_assets.storage.port import ObjectStore

log = logging.getLogger(__name__)


def run(
    context: typer.Context,
    *,
    inputs: InputArgument,
    year: YearOption = None,
    dest: Annotated[
        str | None,
        typer.Option(help="Store to write to; else that of the settings.", metavar="URL"),
    ] = None,
    memory: MemoryOption = None,
    sources: SourcesOption = None,
    engine: Annotated[
        Engine | None, typer.Option(help="What tiles are fanned out over; else as in settings.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Groups of tiles in flight; else as in settings.")
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(min=0, max=10, help="Tries again within the run; else as in settings."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make also what is complete.")
    ] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw a timeline for each region into the reports.")
    ] = False,
    report_dir: Annotated[
        Path, typer.Option(help="Folder of the reports.", metavar="FOLDER")
    ] = Path("job_reports"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Make what is missing or damaged of these tiles, per source; what is complete stays as it is.

    What it will cost on AWS Lambda is told before it asks. Ctrl-C ends it, and keeps what is
    finished. Where DAGSTER_HOME is set, Dagster shows the results, too.

    Exit codes: 0 done, also where a source honestly has nothing; 1 some failed; 2 all did;
    5 stopped, or nobody to ask and no --yes; 6 everything is complete.
    """
    with needs_extra("ard"):
        from estinel_assets.ard.opening import ard_run
    session = Session.of(context)
    home = dagster_home() if os.environ.get("DAGSTER_HOME") else None
    settings = with_options(
        session.settings,
        store_url=dest,
        memory_mib=memory,
        engine=None if engine is None else engine.value,
        workers=workers,
        retries=retries,
    )
    asked = asked_tile_years(session, inputs, year)
    work = _plan(settings, asked, sources, overwrite=overwrite)
    if not work.plan.make:
        raise NothingToDoError(_nothing_to_do(work.plan))
    _ask(work, yes=yes)
    folder = made_folder(report_dir)
    who = ard_run(f"command-{uuid.uuid4()}")
    ran, stopped = _run(work, who)
    files = write_report(_report(ran, work), folder, plot=plot)
    if home is not None:
        _report_to_dagster(home, ran.outcomes)
    if stopped:
        raise AbortedError(
            f"stopped after {len(ran.outcomes)} of {len(work.plan.make)}; what is finished stands, "
            f"and the same command takes the others. Report: {_text_of(files)}"
        )
    _show(session, ran, work, files)
    faults = len(ran.faults)
    raise typer.Exit(
        int(exit_code_of_counts(len(ran.outcomes) - faults, faults + len(ran.unended)))
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done."""

    settings: "Settings"
    store: "ObjectStore"
    asked: "tuple[TileYear, ...]"
    plan: "ArdPlan"
    estimate: "Cost"


def _plan(
    settings: "Settings", asked: "tuple[TileYear, ...]", sources: str | None, *, overwrite: bool
) -> _Work:
    from estinel_assets.ard.asked_keys import plan_keys
    from estinel_assets.ard.availability import with_damaged
    from estinel_assets.ard.cost import estimate_cost
    from estinel_assets.ard.latest_run import recorded
    from estinel_assets.ard.opening import open_ard_book

    store = open_store_of(settings)
    book = open_ard_book(settings, store)
    rows = book.standing()
    each = {source: list(asked) for source in sources_of(settings, sources)}
    plan = plan_keys(each, rows, settings, now=utc_now(), overwrite=overwrite)
    plan = with_damaged(plan, rows, store)
    estimate = estimate_cost(
        plan.by_source(), memory_mib=settings.ard.memory_mib, recorded=recorded(book, rows)
    )
    return _Work(settings, store, asked, plan, estimate)


def _ask(work: _Work, *, yes: bool) -> None:
    """Tell what is to be made and what it costs, and ask whether to begin.

    Raises:
        AbortedError: the answer is no, or there is nobody to ask.
    """
    from estinel_assets.ard.plan import Cause

    damaged = sum(one.cause is Cause.DAMAGED for one in work.plan.make)
    making = {"to make": len(work.plan.make), "of them damaged": damaged}
    counts = counts_text({**making, **_standing(work.plan)})
    typer.echo(f"{len(work.asked)} tile-years: {counts}", err=True)
    typer.echo(f"Estimated cost on AWS Lambda:\n{work.estimate.text()}", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise AbortedError(
            "nothing was begun: there is no terminal to ask on; give --yes to begin without asking"
        )
    if not typer.confirm("Begin?", err=True):
        raise AbortedError("nothing was begun")


def _run(work: _Work, who: "Run") -> "tuple[ArdRun, bool]":
    """Make everything; whether it was stopped."""
    from estinel_assets.ard.runner import run_ard, what_stands

    began = utc_now()
    totals = {source.value: n for source, n in sorted(work.plan.by_source().items())}
    with tiles_progress(totals) as tell:
        try:
            return run_ard(work.plan, work.settings, work.store, who, on_ended=tell), False
        except KeyboardInterrupt:
            log.warning("stopping; what is finished is kept")
    return what_stands(work.plan, work.settings, work.store, who, began), True


def _report(ran: "ArdRun", work: _Work) -> "JobReport":
    from estinel_assets.ard.job_reports import job_report

    return job_report(
        ran.outcomes,
        work.asked,
        run_id=ran.run_id,
        started_at=ran.started_at,
        finished_at=ran.finished_at,
        estimated=work.estimate,
        memory_mib=work.settings.ard.memory_mib,
        n_standing=len(work.plan.complete),
    )


def _text_of(files: "Sequence[str]") -> str:
    """The report for people."""
    return next(path for path in files if path.endswith(".txt"))


def _show(session: Session, ran: "ArdRun", work: _Work, files: "Sequence[str]") -> None:
    by_source: dict[str, dict[str, int]] = {}
    for outcome in ran.outcomes:
        reasons = by_source.setdefault(outcome.key[-1], {})
        reasons[outcome.reason] = reasons.get(outcome.reason, 0) + 1
    document = {
        "run_id": ran.run_id,
        "asked": len(work.asked),
        **work.plan.counts(),
        "left": len(ran.unended),
        "by_source": by_source,
        "failed": [
            {"key": "/".join(one.key), "reason": one.reason, "error": one.error}
            for one in ran.faults
        ],
        "duration_s": round((ran.finished_at - ran.started_at).total_seconds(), 3),
        "estimated": work.estimate.document(),
        "reports": list(files),
    }
    rows = [
        (source, reason, number)
        for source, reasons in sorted(by_source.items())
        for reason, number in sorted(reasons.items())
    ]
    session.show(document, lambda: Table(("source", "reason", "tile-years"), rows, _text_of(files)))
    for outcome in ran.faults:
        log.error("%s: %s: %s", "/".join(outcome.key), outcome.reason, outcome.error)


def _standing(plan: "ArdPlan") -> dict[str, int]:
    return {
        "complete": len(plan.complete),
        "with an honest no": len(plan.ended),
        "given up": len(plan.failed),
        "waiting": len(plan.waiting),
    }


def _nothing_to_do(plan: "ArdPlan") -> str:
    return (
        f"nothing is to be made: {counts_text(_standing(plan))}; give --overwrite to make it again"
    )


def _report_to_dagster(home: Path, outcomes: "Sequence[Outcome]") -> None:
    """Show outcomes on their partitions."""
    import dagster as dg

    from estinel_assets.ard.assets import SOURCE_ASSETS
    from estinel_assets.ard.keys import partition_of, shown
    from estinel_assets.ard.reasons import ArdReason
    from estinel_assets.ard.tiles import Source
    from estinel_assets.orchestration.in_process import open_instance
    from estinel_assets.orchestration.partitions import TILE_YEARS, add_partitions
    from estinel_assets.outcomes.reason import parse_reason

    with open_instance(home) as instance:
        add_partitions(instance, TILE_YEARS, {partition_of(one.key) for one in outcomes})
        for one in outcomes:
            # Green is for answers; only a run can be red.
            fault = parse_reason(ArdReason, one.reason).fault
            event = dg.AssetObservation if fault else dg.AssetMaterialization
            asset = SOURCE_ASSETS[Source(one.key[-1])].key
            instance.report_runless_asset_event(
                event(asset, partition=partition_of(one.key), metadata=shown(one))
            )
