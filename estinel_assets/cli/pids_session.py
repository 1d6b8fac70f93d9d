"""What the commands of `estinel pids` share: their configuration, and who does the work."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.cli.session import Session, needs_extra

if TYPE_CHECKING:
    from estinel_assets.pids.configuration import PidConfiguration
    from estinel_assets.settings import Settings

EXTRA = "pids"

PidsConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--pids-config", help="TOML file of the PID line; else pids.config.", metavar="FILE"
    ),
]

log = logging.getLogger(__name__)


def settings_with(session: Session, config: Path | None) -> "Settings":
    """The settings, with another file of the PID line where one was named.

    Raises:
        BadInputError: they cannot be used.
    """
    settings = session.settings
    if config is None:
        return settings
    pids = settings.pids.model_copy(update={"config": config})
    return settings.model_copy(update={"pids": pids})


def configured(session: Session, config: Path | None) -> "tuple[Settings, PidConfiguration]":
    """The settings and the configuration; its warnings are logged.

    Raises:
        BadInputError: they cannot be used; the message lists every fault.
        MissingDependencyError: a package is not installed.
    """
    with needs_extra(EXTRA):
        from estinel_assets.pids.configuration import load_configuration

    settings = settings_with(session, config)
    configuration = load_configuration(settings.pids)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    return settings, configuration
