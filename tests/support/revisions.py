"""Alembic's revisions, read once a process and not for each of Dagster's instances.

Dagster stamps every storage that it makes with its newest revision. For that Alembic imports all of
them, 88 files, which takes about as long as the rest of an instance in memory. They are files of an
installed package, which no test changes.
"""

from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory

_read = ScriptDirectory.from_config


@cache
def _scripts(file: str | None, location: str | None) -> ScriptDirectory:
    config = Config(file)
    if location is not None:
        config.set_main_option("script_location", location)
    return _read(config)


def _kept(config: Config) -> ScriptDirectory:
    return _scripts(config.config_file_name, config.get_main_option("script_location"))


def keep_revisions() -> None:
    """Let every storage that is made from now on share what was read for the first."""
    ScriptDirectory.from_config = staticmethod(_kept)  # type: ignore[method-assign,assignment]
