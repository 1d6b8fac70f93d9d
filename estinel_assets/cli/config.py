"""`estinel config`: the settings in force, and where each comes from."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from estinel_assets.cli.output import Table
from estinel_assets.cli.session import JsonOption, Session
from estinel_assets.logs import MASK, mask_text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from estinel_assets.settings import Settings

app = typer.Typer(help="The settings in force.")


@app.callback()
def config() -> None:
    """The settings in force."""


@app.command("show")
def show(context: typer.Context, *, json: JsonOption = False) -> None:
    """Show every setting, its value and where it comes from. Secrets stay hidden."""
    session = Session.of(context)
    rows = setting_rows(session.settings, _from_environment(), _from_file(session.config))
    document = {
        "config_file": None if session.config is None else str(session.config),
        "settings": rows,
    }
    session.show(
        document,
        lambda: Table(
            columns=("setting", "value", "source", "variable"),
            rows=[(row["name"], row["value"], row["source"], row["variable"]) for row in rows],
            caption=f"settings file: {session.config or 'none'}",
        ),
        as_json=json,
    )


def setting_rows(
    settings: "Settings",
    environment: Mapping[str, Mapping[str, object]],
    file: Mapping[str, Mapping[str, object]],
) -> list[dict[str, str | int | float | bool | None]]:
    """Every setting as `name, variable, value, source`.

    Args:
        settings: the settings in force.
        environment: what the environment gives, by group and name.
        file: what the settings file gives, by group and name.
    """
    rows = []
    for group in type(settings).model_fields:
        values: BaseModel = getattr(settings, group)
        for name in type(values).model_fields:
            if name in environment.get(group, {}):
                source = "environment"
            elif name in file.get(group, {}):
                source = "file"
            else:
                source = "default"
            rows.append(
                {
                    "name": f"{group}.{name}",
                    "variable": f"ESTINEL_{group}_{name}".upper(),
                    "value": _shown(getattr(values, name)),
                    "source": source,
                }
            )
    return rows


def _shown(value: object) -> str | int | float | bool | None:
    """A value as it may be shown; of a secret only that there is one."""
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return mask_text(str(value))


def _from_environment() -> dict[str, dict[str, object]]:
    from pydantic_settings import EnvSettingsSource

    from estinel_assets.settings import Settings

    # The source that the settings themselves read, so that both always agree.
    return EnvSettingsSource(Settings)()


def _from_file(config: Path | None) -> dict[str, dict[str, object]]:
    """The settings file, which was read without a problem before."""
    return {} if config is None else tomllib.loads(config.read_text(encoding="utf-8"))
