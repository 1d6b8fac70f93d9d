"""`estinel compatibility`: which CMR collections can be tiled, and if not, why."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.cli.compatibility_files import export_results, import_results
from estinel_assets.cli.exit_codes import NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra
from estinel_assets.errors import AbortedError, EstinelError

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome

app = typer.Typer(help="Test CMR collections: can they be tiled, and if not, why.")
log = logging.getLogger(__name__)

app.command("import")(import_results)
app.command("export")(export_results)


class Engine(StrEnum):
    """What runs checks."""

    PROCESSES = "processes"
    THREADS = "threads"


ENGINE_VARIABLE = "ESTINEL_COMPATIBILITY_ENGINE"


@app.command("sync")
def sync(context: typer.Context, *, json: JsonOption = False) -> None:  # noqa: ARG001
    """Ask CMR for all collections with granules, and keep Dagster's partitions in step."""
    with needs_extra("compatibility"):
        from estinel_assets.build import build_definitions
    from estinel_assets.orchestration.in_process import open_instance, run_job
    from estinel_assets.orchestration.partitions import COLLECTIONS

    session = Session.of(context)
    defs = build_definitions(config_file=str(session.config) if session.config else None)
    with open_instance(dagster_home()) as instance:
        before = set(instance.get_dynamic_partitions(str(COLLECTIONS.name)))
        done = run_job(defs, instance, "refresh_collections")
        if not done.success:
            raise EstinelError(f"the collections were not refreshed: {done.error}")
        now = set(instance.get_dynamic_partitions(str(COLLECTIONS.name)))
    document = {"collections": len(now), "new": len(now - before), "gone": len(before - now)}
    session.show(document, lambda: Table(tuple(document), [tuple(document.values())]))


@app.command("check")
def check(
    context: typer.Context,
    *,
    concept_ids: Annotated[
        list[str], typer.Argument(help="Concept ids of collections.", metavar="ID...")
    ],
    granule: Annotated[
        str | None,
        typer.Option(help="Concept id of the granule to try; else a random one.", metavar="ID"),
    ] = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Check these collections now, and say what was found.

    The results are stored; where DAGSTER_HOME is set, Dagster shows them, too.

    Exit codes: 0 an answer for each, also an honest no; 1 some ended with a fault; 2 all did.
    """
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.cmr import check_concept_id
        from estinel_assets.compatibility.opening_checks import open_checks
        from estinel_assets.compatibility.runner import Asked
    if granule is not None and len(concept_ids) != 1:
        raise typer.BadParameter("--granule goes with exactly one collection")
    session = Session.of(context)
    for concept_id in concept_ids:
        check_concept_id(concept_id)
    checks = open_checks(session.settings, session.open_store(), "command", anew=True)
    outcomes: list[Outcome] = []
    asked = [Asked(concept_id, granule) for concept_id in dict.fromkeys(concept_ids)]
    try:
        with progress("Collections", total=len(asked)) as step:
            for outcome in checks.outcomes(asked):
                outcomes.append(outcome)
                step(outcome.key[0])
    finally:
        _report_to_dagster(outcomes)
    session.show(
        [outcome.model_dump(mode="json") for outcome in outcomes], lambda: _results_table(outcomes)
    )
    raise typer.Exit(_exit_code([outcome.reason for outcome in outcomes], left=0))


@app.command("run")
def run(
    context: typer.Context,
    *,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Check at most so many collections.", metavar="N")
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option(help="`processes` isolates each check; `threads` is for debugging."),
    ] = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Check collections that have no result, then those due for another try.

    Exit codes: 0 done, 1 some ended with a fault, 2 all did, 5 stopped, 6 nothing to check.
    """
    with needs_extra("compatibility"):
        from estinel_assets.build import build_definitions
    from estinel_assets.orchestration.by_reason import MOST_KEYS
    from estinel_assets.orchestration.in_process import open_instance, run_job
    from estinel_assets.orchestration.reprocess_job import run_config

    session = Session.of(context)
    home = dagster_home()
    waiting = _waiting(session)[:limit]
    if not waiting:
        raise NothingToDoError(
            "every known collection has a result that stands; "
            "`estinel compatibility sync` asks CMR for new ones"
        )
    batches = [waiting[start : start + MOST_KEYS] for start in range(0, len(waiting), MOST_KEYS)]
    errors: list[str] = []
    run_ids: list[str] = []
    with _setting(engine), _saying_what_stands(waiting, run_ids):
        defs = build_definitions(config_file=str(session.config) if session.config else None)
        with open_instance(home) as instance, progress("Runs", total=len(batches)) as step:
            for number, batch in enumerate(batches, start=1):
                config = run_config([(one,) for one in batch])
                done = run_job(defs, instance, "check_collections", config=config)
                run_ids.append(done.run_id)
                if not done.success:
                    errors.append(f"run {done.run_id}: {done.error}")
                step(f"{len(batch)} collections ({number})")
    reasons = _reasons_of_runs(session, waiting, set(run_ids))
    document = {
        "asked": len(waiting),
        "checked": len(reasons),
        "left": len(waiting) - len(reasons),
        "by_reason": dict(sorted(Counter(reasons).items())),
        "errors": errors,
    }
    session.show(document, lambda: _counts_table(reasons, f"{len(reasons)} checked"))
    for error in errors:
        log.error("%s", error)
    raise typer.Exit(_exit_code(reasons, left=len(waiting) - len(reasons)))


@app.command("status")
def status(context: typer.Context, *, json: JsonOption = False) -> None:  # noqa: ARG001
    """How many collections there are, how many are checked, and how they ended."""
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.chart import bars
        from estinel_assets.compatibility.collections_table import known_collections
        from estinel_assets.compatibility.opening_checks import open_book
        from estinel_assets.compatibility.standing import standing

    session = Session.of(context)
    store = session.open_store()
    known = known_collections(store)
    now = standing(open_book(session.settings, store).index(()), known)
    caption = f"{now.total} collections: {now.done} done, {now.left} left"
    if known is None:
        caption += "; `estinel compatibility sync` asks CMR how many there are"
    session.show(
        asdict(now), lambda: Table(("reason", "collections"), now.by_reason.items(), caption)
    )
    if now.by_reason and not session.wants_json:
        write_text(f"\n{bars(now.by_reason)}\n")


def _waiting(session: Session) -> list[str]:
    """The collections that a run would check now."""
    from estinel_assets.compatibility.collections_table import known_collections
    from estinel_assets.compatibility.opening_checks import open_book, retry_rule, utc_now
    from estinel_assets.compatibility.plan import due, unchecked

    store = session.open_store()
    known = known_collections(store)
    if known is None:
        raise NothingToDoError(
            "no collections are known yet; `estinel compatibility sync` asks CMR for them"
        )
    rows = open_book(session.settings, store).index(())
    again = set(due(rows, utc_now(), retry_rule(session.settings)))
    return [*unchecked(known, rows), *(one for one in known if one in again)]


def _reasons_of_runs(session: Session, asked: Sequence[str], run_ids: set[str]) -> list[str]:
    from estinel_assets.compatibility.opening_checks import open_book

    rows = open_book(session.settings, session.open_store()).index(())
    found = (rows.get((one,)) for one in asked)
    return [row.reason for row in found if row is not None and row.run_id in run_ids]


def _exit_code(reasons: Sequence[str], *, left: int) -> int:
    from estinel_assets.compatibility.reasons import CompatibilityReason
    from estinel_assets.outcomes.reason import parse_reason

    failed = sum(parse_reason(CompatibilityReason, reason).fault for reason in reasons) + left
    return int(exit_code_of_counts(len(reasons) + left - failed, failed))


def _report_to_dagster(outcomes: "Sequence[Outcome]") -> None:
    """Show results in Dagster, where there is one."""
    if not outcomes or not os.environ.get("DAGSTER_HOME"):
        return
    from estinel_assets.compatibility.assets import materialization
    from estinel_assets.orchestration.in_process import open_instance
    from estinel_assets.orchestration.partitions import COLLECTIONS, add_partitions

    with open_instance(dagster_home()) as instance:
        add_partitions(instance, COLLECTIONS, [outcome.key[0] for outcome in outcomes])
        for outcome in outcomes:
            instance.report_runless_asset_event(materialization(outcome))


@contextmanager
def _setting(engine: Engine | None) -> Iterator[None]:
    """Let the option stand for the setting while jobs of this process read it."""
    if engine is None:
        yield
        return
    former = os.environ.get(ENGINE_VARIABLE)
    os.environ[ENGINE_VARIABLE] = engine
    try:
        yield
    finally:
        if former is None:
            del os.environ[ENGINE_VARIABLE]
        else:
            os.environ[ENGINE_VARIABLE] = former


@contextmanager
def _saying_what_stands(waiting: Sequence[str], run_ids: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise AbortedError(
            f"stopped in run {len(run_ids) + 1} over {len(waiting)} collections; every result that "
            "was finished stands, and the next run goes on from there"
        ) from None


def _results_table(outcomes: "Sequence[Outcome]") -> Table:
    return Table(
        ("collection", "compatible", "reason", "error", "hint", "seconds"),
        [
            (
                one.key[0],
                one.status,
                one.reason,
                one.error,
                one.detail.get("hint"),
                round(one.duration_s, 2),
            )
            for one in outcomes
        ],
    )


def _counts_table(reasons: Sequence[str], caption: str) -> Table:
    counts = Counter(reasons).most_common()
    return Table(("reason", "collections"), counts, caption)
