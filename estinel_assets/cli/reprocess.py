"""`estinel reprocess`: make outcomes again, chosen by reason, status, key or time."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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
from estinel_assets.cli.outcomes import short
from estinel_assets.cli.output import Table
from estinel_assets.cli.products import ProductOption, open_outcomes, product_line
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra
from estinel_assets.errors import AbortedError

if TYPE_CHECKING:
    from estinel_assets.outcomes.book import OutcomeBook
    from estinel_assets.outcomes.paths import Key
    from estinel_assets.outcomes.record import Outcome

log = logging.getLogger(__name__)

UNMADE = "(left as it was)"


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

    Exit codes: 0 done, 1 some ended with a fault, 2 all did, 5 stopped, 6 nothing was
    chosen.
    """
    from estinel_assets.outcomes.reason import parse_reason

    session = Session.of(context)
    line = product_line(product)
    book = open_outcomes(session, product)
    query = OutcomeQuery.parse(line.reasons, keys=key, status=status, words=reason, since=since)
    chosen = {outcome.key: _document(outcome) for outcome in query.outcomes(book)}
    if dry_run:
        session.show(list(chosen.values()), lambda: _plan_table(chosen.values()))
        return
    if not chosen:
        raise NothingToDoError(
            "no outcome is chosen; `estinel outcomes list` shows those there are"
        )
    ended, errors = _run(session, product, book, list(chosen))
    rows = [
        {**document, "now": ended[key].reason, "made": ended[key].made}
        for key, document in chosen.items()
    ]
    by_reason = Counter(one.reason for one in ended.values() if one.reason is not None)
    session.show(
        {"reprocessed": rows, "by_reason": dict(sorted(by_reason.items())), "errors": errors},
        lambda: Table(
            ("key", "was", "now"),
            [(row["key"], row["reason"], row["now"] if row["made"] else UNMADE) for row in rows],
        ),
    )
    for error in errors:
        log.error("%s", error)
    failed = sum(
        one.left_over or (one.reason is not None and parse_reason(line.reasons, one.reason).fault)
        for one in ended.values()
    )
    raise typer.Exit(int(exit_code_of_counts(len(ended) - failed, failed)))


@dataclass(frozen=True, slots=True)
class _Ended:
    """What became of a key."""

    reason: str | None
    """As it stands now; None where there is no outcome any more."""
    made: bool
    """Whether it was made again; a key that the source no longer offers is left as it is."""
    left_over: bool
    """Whether it was not, because its run failed."""


def _run(
    session: Session, product: str, book: "OutcomeBook", keys: "Sequence[Key]"
) -> "tuple[dict[Key, _Ended], list[str]]":
    """Make the keys again; what became of each, and what went wrong beyond their reasons."""
    home = dagster_home()
    with needs_extra(product):
        from estinel_assets.build import build_definitions
    from estinel_assets.orchestration.by_reason import MOST_KEYS
    from estinel_assets.orchestration.in_process import open_instance, run_job
    from estinel_assets.orchestration.keys_job import run_config

    defs = build_definitions(config_file=str(session.config) if session.config else None)
    runs = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
    ended: dict[Key, _Ended] = {}
    errors: list[str] = []
    try:
        with open_instance(home) as instance, progress("Runs", total=len(runs)) as step:
            for number, part in enumerate(runs, start=1):
                done = run_job(defs, instance, f"reprocess_{product}", config=run_config(part))
                now = book.records_of(part)
                made = {key for key, one in now.items() if one.run_id == done.run_id}
                unmade = not done.success and not made.issuperset(part)
                if unmade:
                    errors.append(f"run {done.run_id} left keys as they were: {done.error}")
                for key in part:
                    reason = now[key].reason if key in now else None
                    ended[key] = _Ended(reason, key in made, unmade and key not in made)
                step(f"{len(part)} keys ({number})")
    except KeyboardInterrupt:
        raise AbortedError(
            f"stopped after {len(ended)} of {len(keys)} keys; what was made again stands, and "
            "`estinel outcomes list` shows it"
        ) from None
    return ended, errors


def _document(outcome: "Outcome") -> dict[str, Any]:
    """What is shown of an outcome; the record of a failed message would hold all of it."""
    return {
        "key": outcome.model_dump(mode="json", include={"key"})["key"],
        "status": outcome.status,
        "reason": outcome.reason,
        "attempts": outcome.attempts,
        "error": outcome.error,
    }


def _plan_table(documents: Collection[Mapping[str, Any]]) -> Table:
    columns = ("key", "status", "reason", "attempts", "error")
    rows = [
        [*(document[name] for name in columns[:-1]), short(document["error"])]
        for document in documents
    ]
    return Table(columns, rows, f"{len(rows)} would be made again")
