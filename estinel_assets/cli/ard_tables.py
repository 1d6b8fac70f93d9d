"""`estinel ard resolve`, `cost`, `check` and `quality`: what is asked for, costs, and stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.ard_asking import (
    InputArgument,
    MemoryOption,
    SourcesOption,
    YearOption,
    asked_tile_years,
    by_source,
    open_store_of,
    sources_of,
    with_options,
)
from estinel_assets.cli.exit_codes import ExitCode, exit_code_of_counts
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.replacing import replacing
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from estinel_assets.ard.availability import Availability
    from estinel_assets.ard.cost import Cost
    from estinel_assets.ard.tiles import TileYear

DestOption = Annotated[
    str | None,
    typer.Option(help="Store of the tiles; else that of the settings.", metavar="URL"),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file.")]


def resolve(
    context: typer.Context,
    *,
    inputs: InputArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV file to write; else print it.", metavar="FILE"),
    ] = None,
    year: YearOption = None,
    force: ForceOption = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Turn a request in any form into the table of tiles that every other command reads.

    Whatever is wrong with it is listed together, and then nothing is written.
    """
    session = Session.of(context)
    asked = asked_tile_years(session, inputs, year)
    from estinel_assets.ard.requests import canonical_csv

    text = canonical_csv(asked)
    if output is None and not session.wants_json:
        write_text(text)
        return
    if output is not None:
        with replacing(output, force=force) as sink:
            sink.write(text.encode())
    years = sorted({one.year for one in asked})
    document = {
        "file": None if output is None else str(output),
        "tile_years": len(asked),
        "tiles": len({one.tile for one in asked}),
        "years": years,
        **({} if output is not None else {"keys": [one.key for one in asked]}),
    }
    columns = ("file", "tile_years", "tiles", "years")
    row = (str(output), len(asked), document["tiles"], ", ".join(map(str, years)))
    session.show(document, lambda: Table(columns, [row]))


def cost(
    context: typer.Context,
    *,
    inputs: InputArgument,
    year: YearOption = None,
    memory: MemoryOption = None,
    sources: SourcesOption = None,
    dest: DestOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Count also what is complete.")
    ] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """What `run` would make of these tiles, and what that costs on AWS Lambda."""
    with needs_extra("ard"):
        from estinel_assets.ard.asked_keys import plan_keys
        from estinel_assets.ard.availability import with_damaged
        from estinel_assets.ard.cost import estimate_cost
        from estinel_assets.ard.latest_run import recorded
        from estinel_assets.ard.opening import open_ard_book

    session = Session.of(context)
    settings = with_options(session.settings, store_url=dest, memory_mib=memory)
    wanted = sources_of(settings, sources)
    asked = asked_tile_years(session, inputs, year)
    store = open_store_of(settings)
    book = open_ard_book(settings, store)
    rows = book.standing()
    each = {source: list(asked) for source in wanted}
    plan = plan_keys(each, rows, settings, now=utc_now(), overwrite=overwrite)
    plan = with_damaged(plan, rows, store)
    estimate = estimate_cost(
        plan.by_source(), memory_mib=settings.ard.memory_mib, recorded=recorded(book, rows)
    )
    document = {"asked": len(asked) * len(wanted), **plan.counts(), "cost": estimate.document()}
    session.show(document, lambda: cost_table(estimate))


def cost_table(estimate: "Cost") -> Table:
    """An estimate by source, and its sum."""
    columns = ("source", "tile-years", "seconds each", "GB-seconds", "USD", "rests on")
    rows: list[tuple[object, ...]] = [
        (
            one.source.value,
            one.n,
            round(one.seconds, 1),
            round(one.gb_seconds),
            round(one.usd, 4),
            one.rests_on,
        )
        for one in estimate.sources
    ]
    rows.append(("total", estimate.n, None, round(estimate.gb_seconds), round(estimate.usd, 4), ""))
    return Table(columns, rows)


def check(
    context: typer.Context,
    *,
    inputs: InputArgument,
    year: YearOption = None,
    sources: SourcesOption = None,
    dest: DestOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV of the tiles that `run` would work on.", metavar="FILE"
        ),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """What of these tiles stands, per source; the store is looked at anew.

    `missing` was never made, `damaged` has lost objects, and where the store refuses or fails,
    which says nothing of the tile, it is `unknown`.

    Exit codes: 0 all is complete, 1 some is not, 2 nothing is.
    """
    with needs_extra("ard"):
        from estinel_assets.ard.availability import TO_MAKE, State, availability
        from estinel_assets.ard.opening import open_ard_book
        from estinel_assets.ard.plan import Unit
        from estinel_assets.ard.requests import canonical_csv

    session = Session.of(context)
    settings = with_options(session.settings, store_url=dest)
    wanted = sources_of(settings, sources)
    asked = asked_tile_years(session, inputs, year)
    store = open_store_of(settings)
    units = [Unit(one, source) for one in asked for source in wanted]
    found = list(availability(units, open_ard_book(settings, store).standing(), store))
    if output is not None:
        to_make = {one.unit.tile_year for one in found if one.state in TO_MAKE}
        with replacing(output, force=force) as sink:
            sink.write(canonical_csv(to_make).encode())
    document = {
        "tile_years": len(asked),
        "by_source": by_source((one.unit.source, one.state.value) for one in found),
        "tiles": [_told(one) for one in found],
    }
    session.show(document, lambda: _availability_table(found, asked))
    complete = sum(one.state is State.COMPLETE for one in found)
    raise typer.Exit(int(exit_code_of_counts(complete, len(found) - complete)))


def _told(one: "Availability") -> dict[str, Any]:
    return {
        "tile_year": one.unit.tile_year.key,
        "source": one.unit.source.value,
        "state": one.state.value,
        "reason": one.reason,
        "problem": one.problem,
    }


def _availability_table(found: "Sequence[Availability]", asked: "Sequence[TileYear]") -> Table:
    """A row a source of a tile-year; of many tile-years only what is not complete."""
    from estinel_assets.ard.availability import State

    counts = by_source((one.unit.source, one.state.value) for one in found)
    few = len(asked) <= FEW
    rows = [
        (one.unit.tile_year.key, one.unit.source.value, one.state.value, one.reason, one.problem)
        for one in found
        if few or one.state is not State.COMPLETE
    ]
    rows += [
        (
            f"all {len(asked)}",
            source,
            ", ".join(f"{n} {word}" for word, n in states.items()),
            "",
            "",
        )
        for source, states in counts.items()
    ]
    return Table(("tile_year", "source", "state", "reason", "problem"), rows)


FEW = 20
"""Tile-years of which a table shows every source."""


def quality(
    context: typer.Context,
    *,
    inputs: InputArgument,
    year: YearOption = None,
    dest: DestOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table to write: .csv or .parquet.", metavar="FILE"),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Invalid values, ranges, gaps and dates of the arrays of these tiles, per product.

    Where a source honestly has nothing for a tile, nothing is expected.

    Exit codes: 0 all limits are kept, 1 some are passed; then it says which.
    """
    with needs_extra("ard"):
        from estinel_assets.ard.availability import honestly_absent
        from estinel_assets.ard.opening import open_ard_book
        from estinel_assets.ard.quality import findings, quality_table

    if output is not None and output.suffix.lower() not in {".csv", ".parquet"}:
        raise BadInputError(f"{output} ends in neither .csv nor .parquet; name it so")
    session = Session.of(context)
    settings = with_options(session.settings, store_url=dest)
    asked = asked_tile_years(session, inputs, year)
    store = open_store_of(settings)
    table = quality_table(store, asked)
    absent = honestly_absent(asked, open_ard_book(settings, store).standing())
    kept = [
        state != "missing" or (key, group) not in absent
        for key, group, state in zip(table["key"], table["group"], table["state"], strict=True)
    ]
    table = table[kept].reset_index(drop=True)
    if output is not None:
        with replacing(output, force=force) as sink:
            sink.write(_table_bytes(table, output))
    found = findings(table)
    rows = [
        {str(name): None if _is_absent(value) else value for name, value in row.items()}
        for row in table.assign(
            first_date=table["first_date"].dt.strftime("%Y-%m-%d"),
            last_date=table["last_date"].dt.strftime("%Y-%m-%d"),
        ).to_dict("records")
    ]
    document = {"arrays": rows, "findings": [one.text for one in found]}
    session.show(document, lambda: _quality_table(rows))
    if found and not session.wants_json:
        write_text("\n" + "".join(f"{one.text}\n" for one in found))
    raise typer.Exit(int(ExitCode.PARTLY_FAILED if found else ExitCode.SUCCESS))


def _quality_table(rows: "Sequence[dict[str, Any]]") -> Table:
    columns = (
        "key",
        "group",
        "band",
        "state",
        "invalid_share",
        "minimum",
        "mean",
        "maximum",
        "n_dates",
        "gaps",
    )
    return Table(columns, [[row[name] for name in columns] for row in rows])


def _table_bytes(table: "pd.DataFrame", output: Path) -> bytes:
    from estinel_assets.storage.tables import table_bytes

    if output.suffix.lower() == ".csv":
        return table.to_csv(index=False).encode()
    return table_bytes(table)


def _is_absent(value: Any) -> bool:
    import pandas as pd

    return not isinstance(value, list) and bool(pd.isna(value))
