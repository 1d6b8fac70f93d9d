"""`estinel outcomes`: what is done, what failed and why."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import ExitCode, NothingToDoError, exit_code_of_counts
from estinel_assets.cli.outcome_query import (
    KeyOption,
    OutcomeQuery,
    ReasonOption,
    SinceOption,
    StatusOption,
    parse_key,
)
from estinel_assets.cli.output import Table
from estinel_assets.cli.products import ProductOption, open_outcomes, product_line
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session
from estinel_assets.errors import BadInputError, EstinelError

if TYPE_CHECKING:
    from estinel_assets.outcomes.book import OutcomeBook
    from estinel_assets.outcomes.paths import Key

MOST_CHARACTERS = 200
"""Of an error message in a table; the longest real one has 270 kB, and JSON shows it whole."""
WHOLE = "(all)"
"""Shown where a partition is the whole product line."""

app = typer.Typer(help="Ask for outcomes: what is done, what failed and why.")


@app.command("list")
def list_outcomes(
    context: typer.Context,
    *,
    product: ProductOption,
    key: KeyOption = None,
    status: StatusOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    json: JsonOption = False,
) -> None:
    """List outcomes, one a line; none is an answer, too."""
    from estinel_assets.outcomes.paths import encode_key

    session = Session.of(context)
    query = OutcomeQuery.parse(
        product_line(product).reasons, keys=key, status=status, words=reason, since=since
    )
    book = open_outcomes(session, product)
    # Not the records: those of a failed message hold all of it.
    document: list[dict[str, Any]] = [
        {
            "key": encode_key(outcome.key),
            "status": outcome.status,
            "reason": outcome.reason,
            "attempts": outcome.attempts,
            "finished_at": outcome.finished_at.isoformat(),
            "error": outcome.error,
        }
        for outcome in query.outcomes(book)
    ]
    session.show(
        document,
        lambda: Table(
            columns=("key", "status", "reason", "attempts", "finished", "error"),
            rows=[
                (
                    *(row[name] for name in ("key", "status", "reason", "attempts")),
                    datetime.fromisoformat(row["finished_at"]),
                    short(row["error"]),
                )
                for row in document
            ],
            caption=f"{len(document)} outcomes",
        ),
        as_json=json,
    )


@app.command("count")
def count_outcomes(
    context: typer.Context,
    *,
    product: ProductOption,
    key: KeyOption = None,
    status: StatusOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    json: JsonOption = False,
) -> None:
    """Count outcomes by status and reason."""
    session = Session.of(context)
    reasons = product_line(product).reasons
    query = OutcomeQuery.parse(reasons, keys=key, status=status, words=reason, since=since)
    counts = query.counts(open_outcomes(session, product))
    total = counts.total()
    succeeded = sum(number for (good, _), number in counts.items() if good)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][1]))
    document = {
        "product": product,
        "total": total,
        "by_status": {"true": succeeded, "false": total - succeeded},
        "by_reason": {word: number for (_, word), number in ordered},
    }
    meanings = {str(member): member.meaning for member in reasons}
    session.show(
        document,
        lambda: Table(
            columns=("status", "reason", "count", "meaning"),
            rows=[(good, word, number, meanings.get(word)) for (good, word), number in ordered],
            caption=f"{total} outcomes",
        ),
        as_json=json,
    )


@app.command("show")
def show_outcome(
    context: typer.Context,
    *,
    product: ProductOption,
    key: Annotated[
        str, typer.Option("--key", "-k", help="The whole key, as `list` shows it.", metavar="KEY")
    ],
    json: JsonOption = False,
) -> None:
    """Print one outcome's record whole."""
    session = Session.of(context)
    book = open_outcomes(session, product)
    outcome = book.ledger.get(parse_key(key))
    if outcome is None:
        raise BadInputError(
            f"{product} has no outcome {key!r}; "
            f"`estinel outcomes list --product {product}` shows those it has"
        )
    record = outcome.model_dump(mode="json")
    session.show(
        record,
        lambda: Table(columns=("field", "value"), rows=list(_flat(record))),
        as_json=json,
    )


@app.command("export")
def export_outcomes(
    context: typer.Context,
    *,
    product: ProductOption,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write: .parquet or .jsonl.", metavar="FILE"),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    key: KeyOption = None,
    status: StatusOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    json: JsonOption = False,
) -> None:
    """Write whole records to a Parquet or JSON Lines file."""
    from estinel_assets.cli.outcome_files import write_outcomes

    session = Session.of(context)
    query = OutcomeQuery.parse(
        product_line(product).reasons, keys=key, status=status, words=reason, since=since
    )
    book = open_outcomes(session, product)
    count = write_outcomes(output, query.outcomes(book), force=force)
    document = {"product": product, "file": str(output), "outcomes": count}
    session.show(
        document,
        lambda: Table(columns=tuple(document), rows=[tuple(document.values())]),
        as_json=json,
    )


@app.command("reindex")
def reindex_outcomes(
    context: typer.Context,
    *,
    product: ProductOption,
    key: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Rebuild the index of each partition from its records; keys choose partitions."""
    from estinel_assets.outcomes.paths import encode_key

    session = Session.of(context)
    book = open_outcomes(session, product)
    if book.spec.packed:
        raise BadInputError(
            f"{product} packs its outcomes in batches and has no index; nothing is to be rebuilt, "
            f"`estinel outcomes count --product {product}` reads them as they stand"
        )
    partitions = _partitions(book, [parse_key(one) for one in key or ()])
    if not partitions:
        raise NothingToDoError(f"{product} has no outcomes, so there is nothing to index")
    rows: list[dict[str, object]] = []
    failed = 0
    with progress("Partitions", total=len(partitions)) as step:
        for partition in partitions:
            name = encode_key(partition) if partition else WHOLE
            count, problem = None, None
            try:
                count = book.reindex(partition)
            except EstinelError as error:
                failed += 1
                problem = str(error)
            rows.append({"partition": name, "outcomes": count, "error": problem})
            step(name)
    session.show(
        rows,
        lambda: Table(
            columns=("partition", "outcomes", "error"), rows=[[*r.values()] for r in rows]
        ),
        as_json=json,
    )
    code = exit_code_of_counts(len(rows) - failed, failed)
    if code is not ExitCode.SUCCESS:
        raise typer.Exit(code)


def short(message: str | None) -> str | None:
    """An error message as a table shows it: not more of it than can be read there."""
    if message is None or len(message) <= MOST_CHARACTERS:
        return message
    return message[: MOST_CHARACTERS - 1] + "…"


def _partitions(book: "OutcomeBook", keys: list["Key"]) -> list["Key"]:
    """The partitions that hold outcomes, all of them or those of the keys.

    Where a product line has but one partition, that is the empty key.
    """
    from estinel_assets.outcomes.ledger import Selection
    from estinel_assets.outcomes.paths import encode_key

    depth = book.spec.partition_depth
    if not keys:
        return sorted({entry.key[:depth] for entry in book.ledger.entries()})
    if depth == 0:
        for key in keys:
            if not any(book.ledger.entries(Selection(under=key))):
                raise BadInputError(
                    f"{book.spec.product} has no outcome {encode_key(key)!r}; `estinel outcomes "
                    f"list --product {book.spec.product}` shows those it has"
                )
        return [()]
    wanted = sorted({book.partition_of(key) for key in keys})
    for partition in wanted:
        known = len(partition) == depth and any(book.ledger.entries(Selection(under=partition)))
        if not known:
            raise BadInputError(
                f"{book.spec.product} has no partition {encode_key(partition)!r}; "
                f"`estinel outcomes list --product {book.spec.product}` shows its keys, "
                f"the first {depth} part(s) of a key name its partition"
            )
    return wanted


def _flat(record: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """A record's fields as rows, nested ones with dotted names."""
    rows: list[tuple[str, object]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            rows.append((prefix + name, ", ".join(map(str, value))))
        else:
            rows.append((prefix + name, value))
    return rows
