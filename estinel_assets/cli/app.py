"""The command tree: the root's options, and one group of commands a subject."""

from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from estinel_assets import __version__
from estinel_assets.cli import (
    ard,
    browse,
    compatibility,
    config,
    demo,
    demo_compatibility,  # noqa: F401 - adds its command to that of `demo`
    demo_pids,  # noqa: F401 - likewise
    demo_publish,  # noqa: F401 - likewise
    doctor,
    markers,
    outcomes,
    pids,
    publish,
    ratings,
    reprocess,
    sites,
    stac,
    update,
)
from estinel_assets.cli.entry import RootCommand
from estinel_assets.cli.session import Session

app = typer.Typer(
    name="estinel",
    cls=RootCommand,
    help="Earth-observation products as one Dagster asset graph.",
    epilog=(
        "Exit codes: 0 success, 1 partly failed, 2 all failed, 3 bad input, "
        "4 missing dependency, 5 aborted, 6 nothing to do."
    ),
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - the signature of an option's callback
    if asked:
        typer.echo(f"estinel {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of settings; else the one that ESTINEL_CONFIG names.",
            metavar="FILE",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more of our own.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log the libraries, too; errors with traceback.")
    ] = False,
    log: Annotated[
        Path | None, typer.Option(help="Append the logs to this file, too.", metavar="FILE")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Earth-observation products as one Dagster asset graph."""
    Session.of(context).prepare(config=config, log_file=log, verbose=verbose, debug=debug)


app.command("browse")(browse.browse)
app.command("doctor")(doctor.doctor)
app.command("update")(update.update)
app.command("reprocess")(reprocess.reprocess)
app.add_typer(config.app, name="config")
app.add_typer(outcomes.app, name="outcomes")
# Product lines: what is special to one of them.
app.add_typer(ard.app, name="ard")
app.add_typer(compatibility.app, name="compatibility")
app.add_typer(demo.app, name="demo")
app.add_typer(markers.app, name="markers")
app.add_typer(pids.app, name="pids")
app.add_typer(publish.app, name="publish")
app.add_typer(ratings.app, name="ratings")
app.add_typer(sites.app, name="sites")
app.add_typer(stac.app, name="stac")


def main() -> None:
    """Run the command with the arguments of the process, and exit with its code."""
    get_command(app).main()
