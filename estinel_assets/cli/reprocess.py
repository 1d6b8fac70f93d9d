"""`estinel reprocess`: make outcomes again, chosen by reason, status, key or time."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import NothingToDoError, exit_code_of_counts
from estinel_assets.cli.outcome_query import (
    KeyOption,
    OutcomeQuery,
    ReasonOption,
    SinceOption,
    StatusOption,
)
from estinel_assets.cli.output import Table
from estinel_assets.cli.products import ProductOption, open_outcomes, product_line
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra

if TYPE_CHECKING:
    from estinel_assets.outcomes.book import OutcomeBook
    from estinel_assets.outcomes.paths import Key
    from estinel_assets.outcomes.record import Outcome


def reprocess(
    context: typer.Context,
    *,
    product: ProductOption,
    reason: ReasonOption = None,
    status: StatusOption = None,
    key: KeyOption = None,
    since: SinceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be made again; write nothing.")
    ] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Make chosen outcomes again, whatever they say now; their attempts start anew.

    Exit codes: 0 done, 1 some ended with a fault, 2 all did, 6 nothing was chosen.
    """
    from estinel_assets.outcomes.reason import parse_reason

    session = Session.of(context)
    line = product_line(product)
    book = open_outcomes(session, product)
    query = OutcomeQuery.parse(line.reasons, keys=key, status=status, words=reason, since=since)
    chosen = list(query.outcomes(book))
    if dry_run:
        session.show(_documents(chosen), lambda: _plan_table(chosen))
        return
    if not chosen:
        raise NothingToDoError(
            "no outcome is chosen; `estinel outcomes list` shows those there are"
        )
    went = _run(session, product, book, [outcome.key for outcome in chosen])
    rows = [
        {**document, "now": went.get(outcome.key)}
        for document, outcome in zip(_documents(chosen), chosen, strict=True)
    ]
    faults = sum(parse_reason(line.reasons, now).fault for now in went.values())
    session.show(
        {"reprocessed": rows, "by_reason": dict(sorted(Counter(went.values()).items()))},
        lambda: Table(
            ("key", "was", "now"), [(row["key"], row["reason"], row["now"]) for row in rows]
        ),
    )
    raise typer.Exit(int(exit_code_of_counts(len(went) - faults, faults)))


def _run(
    session: Session, product: str, book: "OutcomeBook", keys: "Sequence[Key]"
) -> "dict[Key, str]":
    home = dagster_home()
    with needs_extra(product):
        from estinel_assets.build import build_definitions
    from estinel_assets.errors import EstinelError
    from estinel_assets.orchestration.by_reason import MOST_KEYS
    from estinel_assets.orchestration.in_process import open_instance, run_job
    from estinel_assets.outcomes.paths import encode_key

    defs = build_definitions(config_file=str(session.config) if session.config else None)
    runs = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
    with open_instance(home) as instance, progress("Runs", total=len(runs)) as step:
        for number, part in enumerate(runs, start=1):
            config = {
                "ops": {"reprocess_keys": {"config": {"keys": [encode_key(key) for key in part]}}}
            }
            done = run_job(defs, instance, f"reprocess_{product}", config=config)
            if not done.success and not _touched(book, part, done.run_id):
                raise EstinelError(f"run {done.run_id} failed before any outcome: {done.error}")
            step(f"{len(part)} keys ({number})")
    return {
        outcome.key: outcome.reason for key in keys if (outcome := book.ledger.get(key)) is not None
    }


def _touched(book: "OutcomeBook", keys: "Sequence[Key]", run_id: str) -> bool:
    records = (book.ledger.get(key) for key in keys)
    return any(record is not None and record.run_id == run_id for record in records)


def _documents(outcomes: "Sequence[Outcome]") -> list[dict[str, Any]]:
    return [
        {
            "key": outcome.model_dump(mode="json")["key"],
            "status": outcome.status,
            "reason": outcome.reason,
            "attempts": outcome.attempts,
            "error": outcome.error,
        }
        for outcome in outcomes
    ]


def _plan_table(outcomes: "Sequence[Outcome]") -> Table:
    columns = ("key", "status", "reason", "attempts", "error")
    rows = [[document[name] for name in columns] for document in _documents(outcomes)]
    return Table(columns, rows, f"{len(rows)} would be made again")
