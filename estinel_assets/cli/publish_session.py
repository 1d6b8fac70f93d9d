"""Opening what the commands of `estinel publish` need."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from estinel_assets.cli.session import Session, needs_extra

if TYPE_CHECKING:
    from estinel_assets.publishing.ports import Targets
    from estinel_assets.publishing.publications import Publications
    from estinel_assets.settings import Settings

EXTRA = "publishing"


def run_id() -> str:
    """A name for one call of a command, which leases and records carry."""
    return f"command-{uuid.uuid4()}"


@contextmanager
def publications(
    session: Session,
    config: Path | None,
    run: str,
    *,
    objects_done: Callable[[int], None] = lambda _: None,
) -> Iterator["Publications"]:
    """Everything that publishes, closed at the end.

    Args:
        session: of the command.
        config: `datasets.json`; None for that of the settings.
        run: who does it.
        objects_done: told of the bytes of each object that is written.

    Raises:
        BadInputError: a setting or `datasets.json` cannot be used.
        MissingDependencyError: a package is not installed.
    """
    with needs_extra(EXTRA):
        from estinel_assets.publishing.opening import opened_publications

    settings = _with_config(session.settings, config)
    with opened_publications(
        settings, session.open_store(), run, objects_done=objects_done
    ) as opened:
        yield opened


@contextmanager
def targets(session: Session) -> Iterator["Targets"]:
    """The three targets, closed at the end.

    Raises:
        BadInputError: a setting cannot be used.
        MissingDependencyError: a package is not installed.
    """
    with needs_extra(EXTRA):
        from estinel_assets.publishing.opening import opened_targets

    with opened_targets(session.settings, session.open_store()) as opened:
        yield opened


def _with_config(settings: "Settings", config: Path | None) -> "Settings":
    if config is None:
        return settings
    publishing = settings.publishing.model_copy(update={"config": config})
    return settings.model_copy(update={"publishing": publishing})
