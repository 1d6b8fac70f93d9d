"""`estinel ratings`: what people think of images, taken in from the exports of the page."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import NothingToDoError
from estinel_assets.cli.output import Table, printable
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import public_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from estinel_assets.imagery.ratings import Export, MergeCounts, UserRatings
    from estinel_assets.storage.port import ObjectStore

app = typer.Typer(help="People's ratings of images.")

ASSET = "image_ratings"
JOB = "build_image_ratings"


@app.callback()
def ratings() -> None:
    """People's ratings of images."""


@app.command("import")
def import_ratings(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Exports of the catalogue's page: files, or addresses of http or https.",
            metavar="FILE-OR-URL...",
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and count; write nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Take in exported ratings; of each user's ratings of an image the newest stands.

    Nothing is written where an export cannot be used. Exit codes: 0 done, 3 bad input.
    """
    with needs_extra("imagery"):
        from estinel_assets.imagery.rating_store import read_exports
        from estinel_assets.imagery.ratings import merge_users
        from estinel_assets.imagery.site_ratings import read_listing

    session = Session.of(context)
    exports = read_exports(sources, session.settings.transport, utc_now())
    given = merge_users(export.ratings for export in exports.values())
    store = session.open_store()
    listed = read_listing(store).images
    rows = []
    changed = 0
    for user_id, entries in sorted(given.items()):
        counts = _merge(store, user_id, entries, dry_run=dry_run)
        changed += counts.n_changes
        rows.append(_row(store, user_id, counts, sum(one not in listed for one in entries)))
    document = {
        "sources": [_source(source, export) for source, export in exports.items()],
        "users": rows,
        **{name: sum(row[name] for row in rows) for name in _COUNTS},
        "dry_run": dry_run,
        "materialize": [ASSET] if changed and not dry_run else [],
        "job": JOB,
    }
    session.show(document, lambda: _users_table(rows, _COUNTS), as_json=json)
    if document["materialize"] and not json:
        typer.echo(
            f"Materialize {ASSET} (job {JOB}) to show the new consensus in the catalogue.",
            err=True,
        )


@app.command("list")
def list_ratings(context: typer.Context, *, json: JsonOption = False) -> None:
    """List the users whose ratings were imported, with what they rated."""
    with needs_extra("imagery"):
        from estinel_assets.imagery.rating_store import read_users

    session = Session.of(context)
    rows = [_user_row(user.user_id, user.ratings) for user in read_users(session.open_store())]
    columns = ("good", "ok", "bad", "cleared", "newest")
    session.show(rows, lambda: _users_table(rows, columns), as_json=json)


@app.command("export")
def export_ratings(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The user's id, as `list` shows it.", metavar="USER")],
) -> None:
    """Print one user's ratings as an export: JSON that the catalogue's page imports."""
    with needs_extra("imagery"):
        from estinel_assets.imagery.rating_store import read_user
        from estinel_assets.imagery.ratings import export_document

    session = Session.of(context)
    stored = read_user(session.open_store(), user)
    if stored.etag is None:
        raise NothingToDoError(
            f"no ratings of {user} were imported; see `estinel ratings list` for whose were"
        )
    document = export_document(user, stored.ratings)
    session.show(document, lambda: Table(columns=(), rows=[]), as_json=True)


_COUNTS = ("new", "updated", "older", "unchanged", "unknown_images")


def _merge(
    store: "ObjectStore", user_id: str, given: "UserRatings", *, dry_run: bool
) -> "MergeCounts":
    from estinel_assets.imagery.rating_store import import_user, read_user
    from estinel_assets.imagery.ratings import merge_ratings

    if dry_run:
        return merge_ratings(read_user(store, user_id).ratings, given)[1]
    return import_user(store, user_id, given)


def _row(
    store: "ObjectStore", user_id: str, counts: "MergeCounts", unknown: int
) -> "Mapping[str, Any]":
    from estinel_assets.imagery.rating_store import user_path

    return {
        "user_id": user_id,
        "new": counts.new,
        "updated": counts.updated,
        "older": counts.older,
        "unchanged": counts.unchanged,
        "unknown_images": unknown,
        "uri": store.uri(user_path(user_id)),
    }


def _users_table(rows: "Sequence[Mapping[str, Any]]", names: "Sequence[str]") -> Table:
    columns = ("user_id", *names)
    return Table(
        columns=columns,
        rows=[[row[name] for name in columns] for row in rows],
        caption=f"{len(rows)} users",
    )


def _source(source: str, export: "Export") -> dict[str, Any]:
    return {
        "source": printable(public_url(source)),
        "user_id": export.user_id,
        "ratings": export.n_ratings,
    }


def _user_row(user_id: str, ratings: "UserRatings") -> dict[str, Any]:
    given = [entry.rating or "cleared" for entry in ratings.values()]
    newest: datetime | None = max((one.timestamp for one in ratings.values()), default=None)
    return {
        "user_id": user_id,
        **{name: given.count(name) for name in ("good", "ok", "bad", "cleared")},
        "newest": None if newest is None else newest.isoformat(timespec="milliseconds"),
    }
