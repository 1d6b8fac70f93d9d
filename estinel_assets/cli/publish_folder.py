"""`estinel publish JOB_DIR`: publishing a folder, or showing what that would do."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estinel_assets.cli.output import Table, write_table, write_text
from estinel_assets.cli.publish_dagster import home_of_dagster, report_to_dagster
from estinel_assets.cli.publish_ending import raise_for, stopped
from estinel_assets.cli.publish_session import publications, run_id
from estinel_assets.cli.session import Session
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome
    from estinel_assets.publishing.ending import Action
    from estinel_assets.publishing.planning import Plan

log = logging.getLogger(__name__)

MOST_STEPS = 50
"""Steps of a plan that the table shows."""


def plan_folder(
    session: Session, folder: Path, name: str | None, policy: str | None, config: Path | None
) -> None:
    """Show what publishing a folder would do.

    Raises:
        BadInputError: the folder cannot be published; all its faults are listed.
        EstinelError: a target cannot be read, or other content stands there.
    """
    from estinel_assets.publishing.spool import Spool

    with publications(session, config, run_id()) as opened, Spool() as spool:
        asked = request(session, folder, name, policy)
        with raising_refusals():
            plan = opened.plan(asked, spool)
        show_plan(session, asked.publication, plan)


def publish_folder(
    session: Session, folder: Path, name: str | None, policy: str | None, config: Path | None
) -> None:
    """Publish a folder, and say how it ended.

    Raises:
        AbortedError: it was stopped; what was done is undone.
        BadInputError: the folder cannot be published; all its faults are listed.
        NothingToDoError: its type is not enabled.
        EstinelError: a target failed; the message says what was undone.
    """
    home = home_of_dagster()
    with (
        copied_objects() as count,
        publications(session, config, run_id(), objects_done=count) as opened,
    ):
        asked = request(session, folder, name, policy)
        with stopped(asked.publication, opened.publisher.targets.journal):
            outcome = opened.publish(asked)
    if home is not None:
        report_to_dagster(home, outcome)
    show_outcome(session, outcome)
    raise_for(outcome)


def request(session: Session, folder: Path, name: str | None, policy: str | None) -> Any:
    """The request that a command line stands for.

    Raises:
        BadInputError: its id cannot be one.
    """
    from estinel_assets.publishing.folders import is_id
    from estinel_assets.publishing.model import Policy
    from estinel_assets.publishing.publications import Request

    chosen = policy or session.settings.publishing.policy
    asked = Request.of(folder.resolve(), name, Policy(chosen))
    if name == "" or not is_id(asked.publication):
        raise BadInputError(
            f"{asked.publication if name is None else name!r} cannot be the id of a publication; "
            "name another by --id"
        )
    return asked


@contextmanager
def raising_refusals() -> Iterator[None]:
    """Let a folder that is refused out as bad input, with all its faults."""
    from estinel_assets.publishing.ending import PublicationError
    from estinel_assets.publishing.scanned import FolderRefusedError

    try:
        yield
    except FolderRefusedError as error:
        raise BadInputError(str(error)) from None
    except PublicationError as error:
        if isinstance(error.__cause__, FolderRefusedError):
            raise BadInputError(str(error)) from None
        raise


def show_plan(session: Session, publication: str, plan: "Plan | Action") -> None:
    """Print what would be done."""
    from estinel_assets.publishing.ending import Action

    if isinstance(plan, Action):
        document: dict[str, Any] = {"publication": publication, "action": str(plan), "steps": []}
        session.show(document, lambda: Table(("publication", "would be"), [(publication, plan)]))
        return
    steps = list(plan.lines())
    counts = plan.counts()
    document = {
        "publication": publication,
        "counts": {str(phase): count for phase, count in counts.items()},
        "bytes": plan.bytes,
        "steps": steps,
    }
    session.show(document, lambda: Table(("step",), [(step,) for step in steps[:MOST_STEPS]]))
    if session.wants_json:
        return
    if len(steps) > MOST_STEPS:
        write_text(f"… and {len(steps) - MOST_STEPS} more steps; --json shows all\n")
    write_text("\n")
    sizes = {"objects": plan.bytes}
    write_table(
        Table(("phase", "steps", "bytes"), [(one, n, sizes.get(one)) for one, n in counts.items()])
    )
    write_text(f"\nNothing was written. {publication}: {len(steps)} steps.\n")


def show_outcome(session: Session, outcome: "Outcome") -> None:
    """Print how it ended; text only where it ended well, as a failure is told on stderr."""
    if session.wants_json:
        session.show(outcome.model_dump(mode="json"), lambda: Table((), []))
        return
    if not outcome.status:
        return
    detail = outcome.detail
    for line in detail.get("recovered", ()):
        write_text(f"Before it: {line}\n")
    columns = ("objects", "bytes", "documents", "collections", "items")
    row = (detail.get("publication"), detail.get("action"), *(detail.get(one) for one in columns))
    session.show(
        {},
        lambda: Table(("publication", "action", *columns, "seconds"), [(*row, _seconds(outcome))]),
    )
    if phases := detail.get("phases"):
        write_text("\n")
        rows = [
            (one["phase"], one["steps"], one["bytes"] or None, round(one["duration_s"], 2))
            for one in phases
        ]
        write_table(Table(("phase", "steps", "bytes", "seconds"), rows))
    if places := detail.get("places"):
        write_text("\nWhere it stands:\n")
        write_text("".join(f"  {place}\n" for place in places))
    for warning in detail.get("warnings", ()):
        log.warning("%s", warning)


def _seconds(outcome: "Outcome") -> float:
    return round(outcome.duration_s, 2)


@contextmanager
def copied_objects() -> Iterator[Callable[[int], None]]:
    """A bar of copied objects and bytes on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from estinel_assets.cli.progress import progress

    with progress("Objects") as step:
        done = 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            step(f"{done / 1e6:,.1f} MB")

        yield count
