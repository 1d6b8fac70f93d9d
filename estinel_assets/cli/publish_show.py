"""`estinel publish show`: what stands under a publication's id."""

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.output import Table, printable, write_text
from estinel_assets.cli.publish_session import EXTRA
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome
    from estinel_assets.publishing.state import Current
    from estinel_assets.storage.port import ObjectStore

MOST_IDS = 20
"""Ids of documents and items that are shown; `--json` has as many."""


def show(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="Id of a publication.", metavar="ID")],
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Show what stands, how it last ended, and which transactions are open.

    Asks our own records only; `audit` compares them with what is really there.

    Exit codes: 0 found; 3 there is none of this id.
    """
    with needs_extra(EXTRA):
        from estinel_assets.publishing.opening import open_book
        from estinel_assets.publishing.state import read_current

    session = Session.of(context)
    store = session.open_store()
    current = read_current(store, name).current
    outcome = open_book(session.settings, store).ledger.get((name,))
    journals = open_transactions(store, name)
    if current is None and outcome is None and not journals:
        raise BadInputError(
            f"there is no publication {name!r}; `estinel outcomes list --product publishing` "
            "lists all"
        )
    document = {
        "publication": name,
        "current": None if current is None else current.model_dump(mode="json"),
        **(parts(store, current)),
        "last": None if outcome is None else _last(outcome),
        "open": journals,
    }
    session.show(document, lambda: Table(("what", "value"), list(_rows(document))))
    if journals and not session.wants_json:
        write_text(f"\n`estinel publish recover {printable(name)}` closes what is open.\n")


def parts(store: "ObjectStore", current: "Current | None") -> dict[str, Any]:
    """The first ids of what a publication consists of."""
    from estinel_assets.publishing.parts import read_state
    from estinel_assets.publishing.spool import Spool

    with Spool() as spool:
        state = read_state(store, current, spool)
        return {
            "documents": [one.name for one in islice(state.documents, MOST_IDS)],
            "collections": sorted(state.collections),
            "items": [f"{one.group}/{one.name}" for one in islice(state.items, MOST_IDS)],
        }


def open_transactions(store: "ObjectStore", publication: str) -> list[dict[str, Any]]:
    """The transactions that are not closed, with what could not be undone."""
    from estinel_assets.publishing.journal import open_journals

    found = []
    for journal in open_journals(store, publication):
        begin = journal.begin()
        reached = journal.reached()
        found.append(
            {
                "txn": journal.txn,
                "started_at": None if begin is None else begin.started_at.isoformat(),
                "run_id": None if begin is None else begin.run_id,
                "steps": 0 if begin is None else begin.steps,
                "reached": None if reached is None else str(reached),
                "left": [one.model_dump() for one in journal.left()],
            }
        )
    return found


def _last(outcome: "Outcome") -> dict[str, Any]:
    return {
        "reason": outcome.reason,
        "action": outcome.detail.get("action"),
        "error": outcome.error,
        "attempts": outcome.attempts,
        "finished_at": outcome.finished_at.isoformat(),
        "folder": outcome.detail.get("folder"),
    }


def _rows(document: dict[str, Any]) -> "list[tuple[str, object]]":
    current, last = document["current"], document["last"]
    rows: list[tuple[str, object]] = [("publication", document["publication"])]
    if current is None:
        rows.append(("stands", "nothing"))
    elif current["removed"]:
        rows.append(("stands", f"nothing; removed at {_time(current['committed_at'])}"))
    else:
        counts = ", ".join(f"{what} {count}" for what, count in current["counts"].items())
        rows += [("stands", counts), ("since", _time(current["committed_at"]))]
        rows += [("fingerprint", current["fingerprint"]), ("run", current["run_id"])]
        rows += [("place", place) for place in current["places"]]
        for kind in ("documents", "collections", "items"):
            rows += [(kind.removesuffix("s"), one) for one in document[kind]]
            more = current["counts"].get(kind, 0) - len(document[kind])
            if more > 0 and kind != "collections":
                rows.append((kind.removesuffix("s"), f"… and {more} more"))
    if last is not None:
        how = last["action"] or last["reason"]
        rows.append(("last ended", f"{how} at {_time(last['finished_at'])}"))
        if last["folder"]:
            rows.append(("from", last["folder"]))
        if last["error"]:
            rows.append(("error", last["error"]))
    for one in document["open"]:
        began = _time(one["started_at"]) if one["started_at"] else "never"
        rows.append(("open", f"{one['txn']}: began {began}, {one['steps']} steps"))
        rows.append(("reached", one["reached"] or "nothing"))
        rows += [("not undone", f"{left['step']}: {left['why']}") for left in one["left"]]
    return rows


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%dT%H:%M:%SZ}"
