"""`estinel markers`: how far each site is done, and the two ways to say otherwise."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table, printable
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import AbortedError, BadInputError, NotFoundError

if TYPE_CHECKING:
    from datetime import date

    from estinel_assets.imagery.health import SiteHealth
    from estinel_assets.imagery.markers import Marker
    from estinel_assets.imagery.site import Site
    from estinel_assets.imagery.site_imagery import SiteImagery
    from estinel_assets.storage.port import ObjectStore

app = typer.Typer(help="How far each site is done.")

RUN_ID = "markers"
"""Who asks; nothing that these commands write carries it."""


@app.callback()
def markers() -> None:
    """How far each site is done."""


@app.command("status")
def status(
    context: typer.Context,
    *,
    site: Annotated[
        list[str] | None,
        typer.Option(help="Only this site, by name or SITE_ID; may be repeated.", metavar="SITE"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show each site's marker, its age behind the newest scene, images and days given up."""
    with needs_extra("imagery"):
        from estinel_assets.compute import Threads
        from estinel_assets.imagery.site_survey import survey_sites

    session = Session.of(context)
    chosen = _chosen(session, site)
    engine = Threads(session.settings.compute.workers)
    rows = [_status_row(one) for one in survey_sites(_opened(session, chosen), engine)]
    columns = (
        "location",
        "SITE_ID",
        "last_solarday",
        "newest_solarday",
        "marker_age_days",
        "status",
        "images",
    )
    session.show(
        rows,
        lambda: Table(
            columns=(*columns, "given up"),
            rows=[[*(row[name] for name in columns), len(row["given_up"])] for row in rows],
            caption=f"{len(rows)} sites",
        ),
        as_json=json,
    )
    unreadable = [row for row in rows if row["problem"] and row["status"] == "unreadable"]
    for row in unreadable:
        typer.echo(f"estinel: {printable(row['location'])}: {printable(row['problem'])}", err=True)
    if unreadable:
        raise typer.Exit(int(exit_code_of_counts(len(rows) - len(unreadable), len(unreadable))))


@app.command("show")
def show(
    context: typer.Context,
    site: Annotated[str, typer.Argument(help="Name or SITE_ID.", metavar="SITE")],
    *,
    json: JsonOption = False,
) -> None:
    """Print one site's marker whole, as it is stored."""
    with needs_extra("imagery"):
        from estinel_assets.imagery.markers import marker_path, read_marker
        from estinel_assets.storage.documents import read_json

    session = Session.of(context)
    (chosen,) = _chosen(session, [site])
    store = session.open_store()
    stored = read_marker(store, chosen.site_id)
    if stored.problem is not None:
        raise BadInputError(
            f"{stored.problem}; the next update of {chosen.location} writes it anew"
        )
    if stored.marker is None:
        raise BadInputError(f"{chosen.location} ({chosen.site_id}) has no marker yet")
    document: dict[str, Any] = read_json(store, marker_path(chosen.site_id))
    session.show(
        document,
        lambda: Table(columns=("field", "value"), rows=list(document.items())),
        as_json=json,
    )


@app.command("reset")
def reset(
    context: typer.Context,
    *,
    site: Annotated[str, typer.Option(help="Name or SITE_ID.", metavar="SITE")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete a site's marker and what says that an archive was taken over.

    The next update searches from the start. Days that have an outcome are not made again; those
    of an archive are.
    """
    with needs_extra("imagery"):
        from estinel_assets.imagery.markers import adoption_path, marker_path

    session = Session.of(context)
    (chosen,) = _chosen(session, [site])
    store = session.open_store()
    paths = [marker_path(chosen.site_id), adoption_path(chosen.site_id)]
    standing = [path for path in paths if _exists(store, path)]
    if not standing:
        raise NothingToDoError(f"{chosen.location} ({chosen.site_id}) has no marker to reset")
    if not yes:
        _confirm(chosen, [store.uri(path) for path in standing])
    for path in standing:
        store.delete(path)
    document = {
        "SITE_ID": chosen.site_id,
        "location": chosen.location,
        "deleted": [store.uri(path) for path in standing],
    }
    session.show(
        document,
        lambda: Table(columns=("deleted",), rows=[[store.uri(path)] for path in standing]),
        as_json=json,
    )


@app.command("adopt")
def adopt(
    context: typer.Context,
    *,
    site: Annotated[
        list[str] | None,
        typer.Option(help="This site, by name or SITE_ID; may be repeated.", metavar="SITE"),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every site that has a marker of another system.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            help="Days up to this one are done, as 2024-12-04; else up to the marker's.",
            metavar="DAY",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take over archives: days without an outcome up to a marker's count as done."""
    with needs_extra("imagery"):
        from estinel_assets.imagery.markers import write_adoption
        from estinel_assets.solarday import parse_day

    session = Session.of(context)
    if bool(site) == every:
        raise BadInputError("say which archives to take over: give either --site or --all")
    last = parse_day(until) if until else None
    sites = _chosen(session, site)
    planned = [
        (imagery, *found)
        for imagery in _opened(session, sites)
        if (found := _adoption(imagery, last, strict=not every)) is not None
    ]
    if not planned:
        raise NothingToDoError("no site has a marker of another system to take over")
    rows = []
    # Each of them can be taken over: nothing is written where one cannot.
    for imagery, marker, day in planned:
        write_adoption(imagery.store, marker, day, imagery.run.clock())
        rows.append(
            {
                "location": imagery.site.location,
                "SITE_ID": imagery.site.site_id,
                "adopted_until": day.isoformat(),
            }
        )
    session.show(
        rows,
        lambda: Table(columns=tuple(rows[0]), rows=[[*row.values()] for row in rows]),
        as_json=json,
    )


def _adoption(
    imagery: "SiteImagery", until: "date | None", *, strict: bool
) -> "tuple[Marker, date] | None":
    """What to take over of a site; None where there is nothing and that is no mistake."""
    from estinel_assets.imagery.markers import Marker, read_marker
    from estinel_assets.imagery.site_finish import adoption_day_of
    from estinel_assets.solarday import solar_day

    site, now = imagery.site, imagery.run.clock()
    stored = read_marker(imagery.store, site.site_id)
    marker = stored.marker
    if until is not None:
        if until > solar_day(now, site.lon):
            raise BadInputError(
                f"--until {until.isoformat()} is still to come at {site.location}; "
                "no archive holds it"
            )
        if marker is None:
            marker = Marker(site.site_id, site.location, until, now, 0, None)
        return marker, until
    if marker is not None and marker.n_images_total is None:
        return marker, adoption_day_of(imagery, marker)
    if not strict:
        return None
    if marker is None:
        raise BadInputError(
            f"{stored.problem or f'{site.location} ({site.site_id}) has no marker'}; "
            "say with --until up to which day its archive is complete"
        )
    raise BadInputError(
        f"the marker of {site.location} ({site.site_id}) is not of another system; "
        "say with --until up to which day its archive is complete"
    )


def _chosen(session: Session, names: list[str] | None) -> "list[Site]":
    """The named sites; without names all of them."""
    with needs_extra("imagery"):
        from estinel_assets.imagery.sites import known_site, sites_of

    sites = sites_of(session.settings, session.open_store())
    found = [known_site(sites, name) for name in names] if names else sites
    return list(dict.fromkeys(found))


def _opened(session: Session, sites: "Iterable[Site]") -> "Iterable[SiteImagery]":
    from estinel_assets.imagery.opening import open_site

    store = session.open_store()
    return (open_site(site, session.settings, store, RUN_ID) for site in sites)


def _status_row(health: "SiteHealth") -> dict[str, Any]:
    marker, newest = health.marker, health.newest_day
    row: dict[str, Any] = {
        "location": health.location,
        "SITE_ID": health.site_id,
        "last_solarday": marker.last_solarday.isoformat() if marker else None,
        "newest_solarday": newest.isoformat() if newest else None,
        "marker_age_days": health.age_days,
        "status": health.status.value if health.unreadable is None else "unreadable",
        "images": health.images,
        "given_up": [day.isoformat() for day in health.given_up],
        "problem": health.unreadable or health.marker_problem,
    }
    return row


def _exists(store: "ObjectStore", path: str) -> bool:
    try:
        store.head(path)
    except NotFoundError:
        return False
    return True


def _confirm(site: "Site", uris: list[str]) -> None:
    """Ask on the terminal.

    Raises:
        BadInputError: there is nobody to ask.
        AbortedError: the answer is no.
    """
    if not sys.stdin.isatty():
        raise BadInputError("there is no terminal to ask on; give --yes to delete without asking")
    for uri in uris:
        typer.echo(printable(uri), err=True)
    question = f"Delete this of {printable(site.location)}?"
    if not typer.confirm(question, err=True):
        raise AbortedError(f"nothing was deleted; the marker of {site.location} stands")
