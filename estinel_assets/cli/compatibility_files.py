"""`estinel compatibility import` and `export`: results from and to files."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from estinel_assets.cli.exit_codes import NothingToDoError
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.progress import Step, progress
from estinel_assets.cli.replacing import replacing
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import BadInputError, public_url

log = logging.getLogger(__name__)

TOLD_EACH = 1000
"""Results after which an import without a terminal says how far it is."""


def import_results(
    context: typer.Context,
    *,
    where: Annotated[
        str,
        typer.Argument(
            help="Parquet file, or folder or URL of a tree of results.", metavar="FILE_OR_PREFIX"
        ),
    ],
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Take over results of titiler-cmr-compatibility, or an export of ours.

    Newer results of ours are kept; a second import changes nothing. Nothing is written unless
    every result can be understood.
    """
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.import_results import import_results
        from estinel_assets.compatibility.import_sources import find_results
        from estinel_assets.compatibility.opening_checks import open_book
    from estinel_assets.storage import open_store

    if where.lower().startswith(("http://", "https://")):
        raise BadInputError(
            f"{public_url(where)} is on the web, from which nothing is imported; download it, and "
            "name the file"
        )
    session = Session.of(context)
    at = session.settings.store
    found = find_results(
        where,
        lambda url: open_store(
            url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile
        ),
    )
    if not found.results:
        raise NothingToDoError(f"{where} holds no results")
    book = open_book(session.settings, session.open_store())
    with _importing(len(found.results)) as step:
        done = import_results(book, found, step=step)
    document = {
        "total": done.total,
        "written": done.written,
        "unchanged": done.unchanged,
        "kept_newer": done.kept_newer,
        "by_reason": done.by_reason,
    }
    if not session.wants_json:
        write_text(
            f"{done.total} results: {done.written} written, {done.unchanged} unchanged, "
            f"{done.kept_newer} newer ones of ours kept\n\n"
        )
    session.show(document, lambda: Table(("reason", "results"), list(done.by_reason.items())))


def export_results(
    context: typer.Context,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Parquet file to write.", metavar="FILE")
    ],
    details: Annotated[
        bool, typer.Option("--details", help="Add what we know beyond the published columns.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Write all results as one Parquet file with the published columns."""
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.opening_checks import open_book
        from estinel_assets.compatibility.results_table import table_of
    from estinel_assets.storage.tables import table_bytes

    if output.suffix.lower() != ".parquet":
        raise BadInputError(f"{output} does not end in .parquet; name it so")
    session = Session.of(context)
    ledger = open_book(session.settings, session.open_store()).ledger
    with replacing(output, force=force) as sink:
        table = table_of(ledger.read(ledger.entries()), with_details=details)
        sink.write(table_bytes(table))
    document = {"file": str(output), "results": table.num_rows}
    session.show(document, lambda: Table(tuple(document), [tuple(document.values())]))


@contextmanager
def _importing(total: int) -> Iterator[Step]:
    """A bar on a terminal; elsewhere a line now and then, not one for each of thousands."""
    if sys.stderr.isatty():
        with progress("Results", total=total) as step:
            yield step
        return
    done = 0

    def tell(_unit: str) -> None:
        nonlocal done
        done += 1
        if done % TOLD_EACH == 0:
            log.info("Results %s/%s", done, total)

    yield tell
