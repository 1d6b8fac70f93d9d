"""`estinel pids config`: what is configured for the PID line, and whether it can be used."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from estinel_assets.cli.exit_codes import ExitCode
from estinel_assets.cli.output import Table, write_json, write_text
from estinel_assets.cli.pids_session import PidsConfigOption, settings_with
from estinel_assets.cli.session import JsonOption, Session, needs_extra

app = typer.Typer(help="The configuration of the PID line.")


class FormatWord(StrEnum):
    """How the configuration is printed."""

    TOML = "toml"
    JSON = "json"


@app.callback()
def config() -> None:
    """The configuration of the PID line: the TOML file of pids.config, and the defaults."""


@app.command("show")
def show(
    context: typer.Context,
    *,
    form: Annotated[FormatWord, typer.Option("--format", help="How to print.")] = FormatWord.TOML,
    section: Annotated[
        str | None,
        typer.Option(help="One table, such as consumer.transient.", metavar="TABLE"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="One value of that table, such as group.id of kafka.", metavar="KEY"),
    ] = None,
    pids_config: PidsConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the values in force. Secrets stay hidden.

    What is not set is null in JSON and left out in TOML. A value that is printed alone is TOML or
    JSON, too.
    """
    if key is not None and section is None:
        raise typer.BadParameter("--key needs --section, the table that has it")
    with needs_extra("pids"):
        from estinel_assets.pids.configuration import load_configuration
        from estinel_assets.pids.configuration_show import effective, select

    session = Session.of(context)
    document: Any = effective(load_configuration(settings_with(session, pids_config).pids))
    if section is not None:
        document = select(document, section, key)
    session.printed = True
    if json or form is FormatWord.JSON:
        write_json(document)
    else:
        write_text(_toml(document))


@app.command("validate")
def validate(
    context: typer.Context, *, pids_config: PidsConfigOption = None, json: JsonOption = False
) -> None:
    """Look for everything that is wrong or missing; nobody is asked over the network.

    Exits with 0 when `estinel pids consume` could start with it (warnings are allowed), and with 3
    when something is wrong.
    """
    with needs_extra("pids"):
        from estinel_assets.pids.configuration import read_configuration
        from estinel_assets.pids.configuration_checks import remaining_faults

    session = Session.of(context)
    at = settings_with(session, pids_config).pids
    reading = read_configuration(at)
    faults = reading.faults
    if reading.configuration is not None:
        faults = remaining_faults(reading.configuration)
    where = str(at.config) if at.config else "none: give --pids-config, or set ESTINEL_PIDS_CONFIG"
    document = {
        "file": None if at.config is None else str(at.config),
        "valid": not faults,
        "faults": list(faults),
        "warnings": list(reading.warnings),
    }
    rows = [("fault", one) for one in faults] + [("warning", one) for one in reading.warnings]
    session.show(
        document,
        lambda: Table(
            columns=("verdict", "found"),
            rows=rows or [("ok", "nothing is wrong")],
            caption=f"configuration file: {where}",
        ),
        as_json=json,
    )
    if faults:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _toml(document: Any) -> str:
    """A table or a value as TOML; nothing for a value that is not set."""
    import tomlkit

    from estinel_assets.pids.configuration_show import without_unset

    if document is None:
        return ""
    if isinstance(document, dict):
        text = tomlkit.dumps(without_unset(document))
    else:
        text = f"{tomlkit.item(document).as_string()}\n"
    # TOML allows more characters in a text than a terminal should get.
    return "".join(
        one if one.isprintable() or one == "\n" else f"\\U{ord(one):08x}" for one in text
    )
