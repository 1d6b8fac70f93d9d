"""`estinel publish recover` and `remove`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table
from estinel_assets.cli.publish_dagster import home_of_dagster, report_to_dagster
from estinel_assets.cli.publish_ending import raise_for, stopped
from estinel_assets.cli.publish_session import publications, run_id
from estinel_assets.cli.session import JsonOption, Session

if TYPE_CHECKING:
    from estinel_assets.publishing.ending import PublicationError, Recovery


def recover(
    context: typer.Context,
    *,
    name: Annotated[
        str | None, typer.Argument(help="Id of a publication; else all.", metavar="ID")
    ] = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Complete or undo what was broken off.

    What was committed is completed, everything else is undone. May be called at any time, and
    again.

    Exit codes: 0 all closed; 1 some could not be; 2 none could; 6 nothing was open, or others are
    at work on it.
    """
    session = Session.of(context)
    rows: list[dict[str, Any]] = []
    with publications(session, None, run_id()) as opened:
        names = [name] if name is not None else list(opened.with_open_journals())
        for one in names:
            with stopped(one, opened.publisher.targets.journal):
                rows += [_row(one, ended) for ended in opened.recover(one)]
    if not rows:
        where = f"of {name} " if name is not None else ""
        raise NothingToDoError(f"no transaction {where}is open")
    session.show(
        {"recovered": rows},
        lambda: Table(
            ("publication", "transaction", "closed", "what became of it"),
            [(row["publication"], row["txn"], row["closed"], row["summary"]) for row in rows],
        ),
    )
    closed, busy = (sum(row[name] for row in rows) for name in ("closed", "busy"))
    raise typer.Exit(exit_code_of_counts(closed, len(rows) - closed - busy))


def _row(publication: str, ended: "Recovery | PublicationError") -> dict[str, Any]:
    from estinel_assets.publishing.ending import Recovery
    from estinel_assets.publishing.reasons import PublishingReason

    if not isinstance(ended, Recovery):
        return {
            "publication": publication,
            "txn": None,
            "closed": False,
            "busy": ended.reason == PublishingReason.BUSY,
            "committed": None,
            "summary": f"{ended.reason}: {ended}",
            "left": [],
        }
    undo = ended.undo
    return {
        "publication": publication,
        "txn": ended.txn,
        "closed": undo is None or undo.complete,
        "busy": False,
        "committed": ended.committed,
        "summary": ended.summary(),
        "left": [] if undo is None else [one.model_dump() for one in undo.left],
    }


def remove(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="Id of a publication.", metavar="ID")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the steps; do none.")] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Take a publication back: its items, documents and objects.

    Exit codes: 0 removed, or removed before; 2 failed, and all stands as before; 3 there is none of
    this id.
    """
    from estinel_assets.cli.publish_folder import show_outcome, show_plan

    session = Session.of(context)
    home = home_of_dagster()
    with publications(session, None, run_id()) as opened:
        if dry_run:
            from estinel_assets.publishing.model import Policy
            from estinel_assets.publishing.spool import Spool

            with Spool() as spool:
                plan = opened.publisher.plan(None, name, Policy.FAIL, spool)
                show_plan(session, name, plan)
            return
        with stopped(name, opened.publisher.targets.journal):
            outcome = opened.remove(name)
    if home is not None:
        report_to_dagster(home, outcome)
    show_outcome(session, outcome)
    raise_for(outcome)
