"""`estinel ard export-ttc` and `report`: files from what stands."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from estinel_assets.cli.ard_asking import (
    InputArgument,
    YearOption,
    asked_tile_years,
    open_store_of,
    with_options,
)
from estinel_assets.cli.ard_reports import made_folder, write_report
from estinel_assets.cli.ard_tables import DestOption
from estinel_assets.cli.exit_codes import exit_code_of_counts
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import AbortedError, BadInputError, StoreError, UnitError

log = logging.getLogger(__name__)


def export_ttc(
    context: typer.Context,
    *,
    inputs: InputArgument,
    to: Annotated[
        str, typer.Option("--to", help="Folder or store to write to.", metavar="FOLDER_OR_URL")
    ],
    year: YearOption = None,
    dest: DestOption = None,
    gaps_allowed: Annotated[
        bool,
        typer.Option("--gaps-allowed", help="Export also a Sentinel-1 year that lacks quarters."),
    ] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Write tiles in the layout that existing tree-cover models read (hickle files).

    Exit codes: 0 all are written, 1 some are not, 2 none is, 5 stopped.
    """
    with needs_extra("ard"), needs_extra("ttc"):
        from estinel_assets.ard.export_ttc import export_tile_year

    session = Session.of(context)
    settings = with_options(session.settings, store_url=dest)
    asked = asked_tile_years(session, inputs, year)
    store = open_store_of(settings)
    target = open_store_of(with_options(settings, store_url=to))
    written: dict[str, int] = {}
    problems: dict[str, str] = {}
    try:
        with progress("Tiles", total=len(asked)) as step:
            for one in asked:
                try:
                    files = export_tile_year(store, one, target, gaps_allowed=gaps_allowed)
                except (BadInputError, StoreError, UnitError) as error:
                    problems[one.key] = str(error)
                else:
                    written[one.key] = len(files)
                step(one.key)
    except KeyboardInterrupt:
        raise AbortedError(
            f"stopped after {len(written)} of {len(asked)} tiles; their files are whole"
        ) from None
    document = {
        "written": written,
        "not_written": [{"tile_year": key, "error": why} for key, why in problems.items()],
    }
    rows = [
        *((key, files, None) for key, files in written.items()),
        *((key, None, why) for key, why in problems.items()),
    ]
    session.show(document, lambda: Table(("tile_year", "files", "error"), rows))
    raise typer.Exit(int(exit_code_of_counts(len(written), len(problems))))


def report(
    context: typer.Context,
    *,
    run_id: Annotated[
        str | None, typer.Option(help="Run to tell of; else the latest.", metavar="ID")
    ] = None,
    report_dir: Annotated[
        Path, typer.Option(help="Folder of the reports.", metavar="FOLDER")
    ] = Path("job_reports"),
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw a timeline for each region, too.")
    ] = False,
    dest: DestOption = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Write the reports of a run again, from the outcomes that it left."""
    with needs_extra("ard"):
        from estinel_assets.ard.job_reports import report_document, report_text
        from estinel_assets.ard.latest_run import report_of_run

    session = Session.of(context)
    settings = with_options(session.settings, store_url=dest)
    told = report_of_run(run_id, settings, open_store_of(settings))
    files = write_report(told, made_folder(report_dir), plot=plot)
    if not session.wants_json:
        write_text(report_text(told) + "\n")
    document = {**report_document(told), "reports": files}
    session.show(document, lambda: Table(("file",), [(one,) for one in files]))
