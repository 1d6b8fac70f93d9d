"""`estinel pids consume`: take messages of Kafka, register their handles, commit."""

import logging
import shlex
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estinel_assets.cli.exit_codes import ExitCode, exit_code_of_counts
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.pids_running import consume_group, consuming_of
from estinel_assets.cli.pids_session import PidsConfigOption, configured
from estinel_assets.cli.pids_signals import stopping
from estinel_assets.cli.pids_telling import message_document, messages, told_message
from estinel_assets.cli.session import JsonOption, Session
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.pids.consumer import Consumed
    from estinel_assets.pids.consuming import Consuming
    from estinel_assets.pids.figures import Totals


_MOMENTARY = ("in_flight", "lag")
"""Figures that say nothing once it has ended."""

log = logging.getLogger(__name__)


def consume(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write records to files; register and commit nothing."),
    ] = False,
    dump: Annotated[
        bool, typer.Option("--dump", help="Keep every message, also those that end well.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Where a service is down, skip the message and go on."),
    ] = False,
    max_messages: Annotated[
        int | None, typer.Option(min=1, help="Take so many messages, then stop.", metavar="N")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve Prometheus metrics; 0 takes a free port.", metavar="N"
        ),
    ] = None,
    pids_config: PidsConfigOption = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Take messages from Kafka, register their handles, record how they ended, and commit.

    Runs for ever, also on an empty topic, unless --max-messages is given. SIGTERM or Ctrl-C stops
    it: what is in work is ended, recorded and committed. A second one interrupts it at once;
    nothing is lost by that, some messages come again.

    Exit codes: 0 all well, also when asked to stop; 1 some messages failed; 2 all did, or Kafka or
    a service cannot be reached or refuses; 3 the configuration cannot be used; 5 interrupted.
    """
    session = Session.of(context)
    settings, configuration = configured(session, pids_config)
    consuming = consuming_of(
        settings,
        configuration,
        session.open_store(),
        dry_run=dry_run,
        dump=dump,
        force=force,
        max_messages=max_messages,
    )
    if not consuming.is_dry and (missing := configuration.missing()):
        raise BadInputError("; ".join(missing))
    stop = threading.Event()
    with stopping(stop):
        consumed, totals = consume_group(consuming, stop, metrics_port=metrics_port)
    show_consumed(session, consuming, consumed, totals)
    raise typer.Exit(exit_code_of(consumed))


def exit_code_of(consumed: "Consumed") -> ExitCode:
    """What the exit status says of how it ended."""
    from estinel_assets.pids.consumer import Ending

    if consumed.ending is Ending.SERVICE_DOWN:
        return ExitCode.ALL_FAILED
    if not consumed.messages:
        return ExitCode.SUCCESS
    return exit_code_of_counts(consumed.messages - consumed.faults, consumed.faults)


def show_consumed(
    session: Session, consuming: "Consuming", consumed: "Consumed", totals: "Totals"
) -> None:
    """Print how many messages there were, by reason, why it ended, and what to do next."""
    stopped_by = consumed.stopped_by
    document = {
        "topic": consuming.configuration.consumer.topic,
        "group": consuming.options()["group.id"],
        "dry_run": consuming.is_dry,
        "ending": str(consumed.ending),
        "messages": consumed.messages,
        "faults": consumed.faults,
        "by_reason": dict(consumed.reasons.most_common()),
        "stopped_by": None if stopped_by is None else message_document(stopped_by),
        "figures": {name: one for name, one in totals.summary().items() if name not in _MOMENTARY},
        "output_dir": str(consuming.configuration.consumer.output_dir),
    }
    if stopped_by is not None:
        log.error("stopped by %s", told_message(stopped_by))
    rows = consumed.reasons.most_common()
    if rows or session.wants_json:
        session.show(document, lambda: Table(("reason", "messages"), rows))
    if session.wants_json:
        return
    session.printed = True
    blank = "\n" if rows else ""
    write_text(blank + "".join(f"{line}\n" for line in told_ending(consuming, consumed, totals)))


def told_ending(consuming: "Consuming", consumed: "Consumed", totals: "Totals") -> Sequence[str]:
    """Why a consumer ended, and what to do next, line by line."""
    from estinel_assets.pids.consumer import Ending

    folder = consuming.configuration.consumer.output_dir
    done = "read; nothing was registered" if consuming.is_dry else "recorded and committed"
    lines = [f"{messages(consumed.messages)} {done}, in {totals.running_s:.1f} s."]
    if consuming.is_dry:
        lines.append(f"The records are in {folder / 'handles'}.")
        if consumed.reasons["stac_unavailable"]:
            lines.append("It asks no STAC API, so that it cannot try patches.")
    stopped_by = consumed.stopped_by
    if stopped_by is not None:
        lines.append(f"Stopped by {told_message(stopped_by)}")
    elif consumed.messages == consuming.max_messages:
        lines.append("Ended because no more were asked for.")
    else:
        lines.append("Ended because it was asked to.")
    if consumed.ending is Ending.SERVICE_DOWN:
        lines += [
            "This message is not committed. When the service answers, go on with it:",
            "  estinel pids consume",
            "or go on without it, and keep it for a retry: estinel pids consume --force",
        ]
    elif consumed.faults and not consuming.is_dry:
        if consumed.ending is Ending.TOO_MANY_ERRORS:
            lines.append("To go on after it: estinel pids consume")
        lines += [f"What failed is kept in {folder}. Once it is repaired:", *_retrying(folder)]
    return lines


def _retrying(folder: Path) -> list[str]:
    kept = [one for one in ("failures", "skipped") if (folder / one).is_dir()]
    return [f"  estinel pids retry --delete-after {shlex.quote(str(folder / one))}" for one in kept]
