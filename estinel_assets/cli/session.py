"""What one call of the command shares: its settings, its store, how it logs and prints."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.cli.output import Table, write_json, write_table
from estinel_assets.errors import BadInputError, MissingDependencyError

if TYPE_CHECKING:
    from estinel_assets.logs import LogFormat
    from estinel_assets.settings import Settings
    from estinel_assets.storage.port import ObjectStore

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
"""Every command that prints a result takes it."""


class Session:
    """One call of the command.

    Attributes:
        wants_json: `--json` was given: an error is to be a document, too.
        debug: `--debug` was given: errors come with their traceback.
        printed: a result was printed already.
        config: the settings file that was named, if any.
        log_file: where logs go besides stderr, if anywhere.
        log_format: how logs look; None as long as logging is not configured.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        """Look for what must be known even where the arguments cannot be parsed.

        Args:
            arguments: those of the command line, without the program's name.
        """
        options = list(arguments)
        if "--" in options:
            options = options[: options.index("--")]
        self.wants_json = "--json" in options
        self.debug = "--debug" in options
        self.printed = False
        self.config: Path | None = None
        self.log_file: Path | None = None
        self.log_format: LogFormat | None = None
        self._settings: Settings | BadInputError | None = None

    @classmethod
    def of(cls, context: typer.Context) -> "Session":
        """The session of a command."""
        found = context.find_object(cls)
        if found is None:
            raise RuntimeError("the command was not started through its entry point")
        return found

    def prepare(
        self, *, config: Path | None, log_file: Path | None, verbose: bool, debug: bool
    ) -> None:
        """Read the settings and start logging. Settings that cannot be used are kept for later.

        Raises:
            BadInputError: the log file cannot be written.
        """
        from estinel_assets.logs import configure_logging
        from estinel_assets.settings import CONFIG_VARIABLE, LogSettings, load_settings

        named = os.environ.get(CONFIG_VARIABLE)
        self.config = config or (Path(named) if named else None)
        self.debug = debug
        try:
            self._settings = load_settings(self.config)
            log = self._settings.log
        except BadInputError as error:
            self._settings = error
            log = LogSettings()
        configure_logging(
            "debug" if verbose or debug else log.level,
            log.format,
            log_file,
            libraries="info" if debug else "warning",
        )
        self.log_format = log.format
        self.log_file = log_file

    @property
    def settings(self) -> "Settings":
        """The settings.

        Raises:
            BadInputError: they cannot be used.
        """
        if isinstance(self._settings, BadInputError):
            raise self._settings
        if self._settings is None:
            raise RuntimeError("the session was not prepared")
        return self._settings

    def open_store(self) -> "ObjectStore":
        """Open the store that the settings name.

        Raises:
            BadInputError: its URL or its credentials cannot be used.
            StoreError: its folder cannot be made.
        """
        from estinel_assets.storage import open_store

        at = self.settings.store
        return open_store(
            at.url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile
        )

    def show(
        self, document: object, table: Callable[[], Table], *, as_json: bool | None = None
    ) -> None:
        """Print a command's result, once.

        Args:
            document: the result for `--json`.
            table: makes the table for people.
            as_json: which of both to print; None for what the command line says.
        """
        self.printed = True
        if self.wants_json if as_json is None else as_json:
            write_json(document)
        else:
            write_table(table())


def dagster_home() -> Path:
    """The folder in which Dagster keeps its runs.

    Raises:
        BadInputError: DAGSTER_HOME is not set, or names no folder.
    """
    named = os.environ.get("DAGSTER_HOME")
    if not named:
        raise BadInputError(
            "DAGSTER_HOME is not set; name the folder that holds dagster.yaml, so that runs are "
            "recorded where the Dagster UI shows them"
        )
    home = Path(named)
    if not home.is_dir():
        raise BadInputError(
            f"DAGSTER_HOME {named} is no folder; make it and put dagster.yaml there"
        )
    return home


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Imports in here report an absent package as what it means to the user.

    Raises:
        MissingDependencyError: a package of the extra is absent.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "estinel_assets"}:
            raise
        raise MissingDependencyError(
            f"the Python package {package!r} is not installed: "
            f"install the extra `{extra}`, as in `pip install 'estinel-assets[{extra}]'`"
        ) from error
