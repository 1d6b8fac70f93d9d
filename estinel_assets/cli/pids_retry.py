"""`estinel pids retry`: try again what files of failures and skipped messages keep."""

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.cli.exit_codes import ExitCode, NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.pids_session import EXTRA, PidsConfigOption, configured
from estinel_assets.cli.pids_telling import message_document, messages, told_message
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import AbortedError

if TYPE_CHECKING:
    from estinel_assets.pids.retrying import Retried

log = logging.getLogger(__name__)


def retry(
    context: typer.Context,
    *,
    paths: Annotated[
        list[str],
        typer.Argument(help="Files, folders, or patterns in quotes.", metavar="PATH..."),
    ],
    delete_after: Annotated[
        bool, typer.Option("--delete-after", help="Take out of the files what succeeded.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write records to files; register and delete nothing."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Where a service is down, skip the message and go on."),
    ] = False,
    pids_config: PidsConfigOption = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Try messages again that failed or were skipped, also those that piddiplatsch kept.

    What fails again is kept in the folder of the next retry.

    Exit codes: 0 all succeeded; 1 some failed, were not tried or cannot be read; 2 none succeeded;
    3 no file found; 5 stopped; 6 no messages in the files.
    """
    session = Session.of(context)
    settings, configuration = configured(session, pids_config)
    with needs_extra(EXTRA):
        from estinel_assets.pids.retrying import retry_files

    try:
        retried = retry_files(
            paths,
            settings,
            store=session.open_store(),
            delete_after=delete_after,
            dry_run=dry_run,
            force=force,
        )
    except KeyboardInterrupt:
        raise AbortedError(
            "stopped; what was recorded stands, and the same command tries the others again"
        ) from None
    for line in retried.unreadable:
        log.error("%s", line)
    if not (retried.total or retried.unreadable):
        raise NothingToDoError(f"there are no messages in {', '.join(paths)}")
    show_retried(session, retried)
    if not session.wants_json:
        folder = configuration.consumer.output_dir
        write_text("".join(f"{line}\n" for line in _told(retried, str(folder), dry_run=dry_run)))
    raise typer.Exit(exit_code_of(retried))


def exit_code_of(retried: "Retried") -> ExitCode:
    """What the exit status says; a line that cannot be read counts as one that failed."""
    unwell = retried.failed + retried.left + len(retried.unreadable)
    return exit_code_of_counts(retried.succeeded, unwell)


def show_retried(session: Session, retried: "Retried") -> None:
    """Print how many messages there were, and how they ended."""
    by_reason = dict(retried.reasons.most_common())
    stopped_by = retried.stopped_by
    document = {
        "total": retried.total,
        "succeeded": retried.succeeded,
        "failed": retried.failed,
        "left": retried.left,
        "success_rate": round(retried.success_rate, 4),
        "by_reason": by_reason,
        "unreadable": list(retried.unreadable),
        "removed_lines": retried.removed,
        "stopped_by": None if stopped_by is None else message_document(stopped_by),
    }
    session.show(document, lambda: Table(("reason", "messages"), by_reason.items()))


def told_counts(retried: "Retried") -> str:
    """How many messages there were, and how many succeeded."""
    return (
        f"{messages(retried.total)}: {retried.succeeded} succeeded, {retried.failed} failed, "
        f"{retried.left} not tried; success rate {retried.success_rate:.0%}."
    )


def _told(retried: "Retried", folder: str, *, dry_run: bool) -> list[str]:
    lines = ["", told_counts(retried)]
    if dry_run:
        lines.append(f"Nothing was registered; the records are in {folder}/handles.")
    if retried.unreadable:
        lines.append(f"Lines that cannot be read: {len(retried.unreadable)}")
        lines += [f"  {one}" for one in retried.unreadable]
    if retried.removed:
        lines.append(f"Lines that were taken out of the files: {retried.removed}")
    if retried.stopped_by is not None:
        lines.append(f"Stopped by {told_message(retried.stopped_by)}")
    elif retried.failed and not dry_run:
        lines.append(f"What failed again is kept in {folder}, under the next number.")
    return lines
