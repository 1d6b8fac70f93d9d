"""`estinel publish find`: questions to the dataset index."""

from datetime import UTC, datetime, time
from itertools import islice
from typing import Annotated, Any

import typer

from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.publish_session import targets
from estinel_assets.cli.session import JsonOption, Session
from estinel_assets.errors import BadInputError

_OPEN = ("", "..")
_COLUMNS = ("id", "dataset_type", "starttime", "endtime", "publication", "url")


def find(
    context: typer.Context,
    *,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Id; may be repeated.", metavar="ID")
    ] = None,
    publication: Annotated[
        str | None, typer.Option(help="Id of a publication.", metavar="ID")
    ] = None,
    bbox: Annotated[
        str | None,
        typer.Option(help="Degrees; W > E crosses ±180°.", metavar="W,S,E,N"),
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            "--time", help="A date or time, or FROM/TO with `..` for open.", metavar="TIME"
        ),
    ] = None,
    dataset_type: Annotated[
        str | None, typer.Option("--type", help="Type of the dataset.", metavar="TYPE")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Words that all stand in a document.", metavar="WORDS")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.", metavar="N")] = 100,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Find documents in the dataset index; everything given must hold.

    `--json` prints the whole documents. A bbox may begin with a minus: --bbox=-123,37,-120,41.
    """
    from estinel_assets.publishing.ports import DocumentQuery

    starts, ends = (None, None) if interval is None else parse_time(interval)
    query = DocumentQuery(
        ids=tuple(ids or ()),
        publication=publication,
        bbox=None if bbox is None else parse_bbox(bbox),
        starts=starts,
        ends=ends,
        dataset_type=dataset_type,
        text=text,
    )
    session = Session.of(context)
    with targets(session) as opened:
        found = list(islice(opened.index.search(query, limit=limit + 1), limit + 1))
    shown = found[:limit]
    rows = [{**_brief(one.document), "id": one.id, "publication": one.publication} for one in shown]
    document: dict[str, Any] = {
        "documents": [{"publication": one.publication, "document": one.document} for one in shown],
        "more": len(found) > limit,
    }
    session.show(
        document, lambda: Table(_COLUMNS, [[row.get(n) for n in _COLUMNS] for row in rows])
    )
    if document["more"] and not session.wants_json:
        write_text(f"… and more than these {limit}; raise --limit\n")


def _brief(document: dict[str, Any]) -> dict[str, Any]:
    urls = document.get("urls")
    kept = {name: document.get(name) for name in ("dataset_type", "starttime", "endtime")}
    return {**kept, "url": urls[0] if isinstance(urls, list) and urls else None}


def parse_bbox(text: str) -> tuple[float, float, float, float]:
    """Read a box; the index judges its values.

    Raises:
        BadInputError: it is not four numbers.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInputError(
            f"--bbox {text!r} is not four numbers; write west,south,east,north in degrees"
        ) from None
    return west, south, east, north


def parse_time(text: str) -> tuple[datetime | None, datetime | None]:
    """Read a time or an interval; a date stands for its whole day, UTC.

    Returns:
        The first and the last moment; None where it is open.

    Raises:
        BadInputError: it is neither, or it ends before it starts.
    """
    first, slash, last = text.partition("/")
    if not slash:
        last = first
    starts = None if slash and first in _OPEN else _moment(first, text, time.min)
    ends = None if slash and last in _OPEN else _moment(last, text, time.max)
    if starts and ends and starts > ends:
        raise BadInputError(f"--time {text!r} ends before it starts; exchange its ends")
    return starts, ends


def _moment(part: str, text: str, of_day: time) -> datetime:
    try:
        moment = datetime.fromisoformat(part)
    except ValueError:
        raise BadInputError(
            f"--time {text!r} is not understood; write 2024-07-12, 2024-07-12T10:00:00Z or "
            "2024-07-01/.."
        ) from None
    if len(part) <= len("2024-07-12"):
        moment = datetime.combine(moment.date(), of_day)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
