"""`estinel update`: the increment of every site, in this process, recorded in Dagster."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import ExitCode, NothingToDoError, exit_code_of_counts
from estinel_assets.cli.output import Table
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra
from estinel_assets.errors import AbortedError, EstinelError

if TYPE_CHECKING:
    from datetime import date

    from estinel_assets.imagery.site import Site

log = logging.getLogger(__name__)


def update(
    context: typer.Context,
    *,
    site: Annotated[
        list[str] | None,
        typer.Option(help="Only this site, by name or SITE_ID; may be repeated.", metavar="SITE"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Ask from this solar day on, not from the marker.", metavar="DAY"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Search and print the plan; write nothing.")
    ] = False,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Find what is new, late, changed or due at every site, and make exactly that.

    Exit codes: 0 done, 1 some sites failed or the web catalogue did, 2 all sites failed, 5 stopped,
    6 nothing was to do.
    """
    with needs_extra("imagery"):
        from estinel_assets.imagery.sites import known_site, sites_of
        from estinel_assets.solarday import parse_day

    session = Session.of(context)
    first_day = parse_day(since) if since else None
    sites = sites_of(session.settings, session.open_store())
    chosen = [known_site(sites, name) for name in site] if site else list(sites)
    if dry_run:
        _show_plan(session, chosen, first_day)
        return
    rows, catalog_error = _run(session, chosen, since, dagster_home())
    document = {"sites": rows, **_totals(rows), "catalog_error": catalog_error}
    session.show(document, lambda: _table(rows))
    if catalog_error is not None:
        log.error("the web catalogue was not merged: %s", catalog_error)
    failed = sum(not row["success"] for row in rows)
    if not failed and catalog_error is None and not any(row["days"] for row in rows):
        raise NothingToDoError("no site had anything to make")
    code = exit_code_of_counts(len(rows) - failed, failed)
    if code is ExitCode.SUCCESS and catalog_error is not None:
        code = ExitCode.PARTLY_FAILED
    raise typer.Exit(int(code))


def _run(
    session: Session, sites: "Sequence[Site]", since: str | None, home: Path
) -> tuple[list[dict[str, Any]], str | None]:
    """Run the sites' jobs; a row a site, and why the web catalogue was not merged, if so."""
    from estinel_assets.build import build_definitions
    from estinel_assets.orchestration.in_process import open_instance, run_job

    defs = build_definitions(config_file=str(session.config) if session.config else None)
    asked = {"config": {"since": since}}
    config = {"ops": dict.fromkeys(("stac_query_tables", "filtered_solardays"), asked)}
    rows: list[dict[str, Any]] = []
    with (
        _saying_what_stands(rows, len(sites)),
        open_instance(home) as instance,
        progress("Sites", total=len(sites)) as step,
    ):
        refreshed = run_job(defs, instance, "refresh_sites")
        if not refreshed.success:
            raise EstinelError(f"the table of sites was not read: {refreshed.error}")
        for site in sites:
            began = time.monotonic()
            done = run_job(
                defs, instance, "update_site", site.site_id, config=config if since else None
            )
            rows.append(
                {
                    "location": site.location,
                    "SITE_ID": site.site_id,
                    **_counts(session, site, done.run_id),
                    "success": done.success,
                    "error": done.error,
                    "run_id": done.run_id,
                    "seconds": round(time.monotonic() - began, 2),
                }
            )
            step(site.location)
        merged = run_job(defs, instance, "build_web_catalog")
    return rows, merged.error


@contextmanager
def _saying_what_stands(rows: Sequence[dict[str, Any]], total: int) -> Iterator[None]:
    """Turn an interruption into an error that says what was done until then."""
    try:
        yield
    except KeyboardInterrupt:
        names = ", ".join(row["location"] for row in rows) or "none"
        raise AbortedError(
            f"stopped after {len(rows)} of {total} sites ({names}); every day that was finished "
            "stands, also of the site that was stopped: the next update goes on from there"
        ) from None


def _counts(session: Session, site: "Site", run_id: str) -> dict[str, Any]:
    from estinel_assets.imagery.opening import open_site
    from estinel_assets.imagery.plan import outcomes_by_day
    from estinel_assets.imagery.reasons import ImageryReason

    imagery = open_site(site, session.settings, session.open_store(), "update")
    rows = outcomes_by_day(imagery.book.index(imagery.partition).values())
    reasons = Counter(row.reason for row in rows.values() if row.run_id == run_id)
    return {
        "days": reasons.total(),
        "images": reasons[ImageryReason.NONE],
        "reasons": dict(sorted(reasons.items())),
    }


def _totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "days": sum(row["days"] for row in rows),
        "images": sum(row["images"] for row in rows),
        "failed_sites": sum(not row["success"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 2),
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    columns = ("location", "days", "images", "other reasons", "seconds", "error")
    return Table(
        columns,
        [
            (
                row["location"],
                row["days"],
                row["images"],
                ", ".join(f"{n} {why}" for why, n in row["reasons"].items() if why != "none"),
                row["seconds"],
                row["error"],
            )
            for row in rows
        ],
    )


def _show_plan(session: Session, sites: "Sequence[Site]", since: "date | None") -> None:
    from estinel_assets.imagery.opening import open_site
    from estinel_assets.imagery.site_finish import preview_plan
    from estinel_assets.stac.search import StacApiSource

    settings, store = session.settings, session.open_store()
    source = StacApiSource.from_settings(settings.stac, settings.transport)
    rows: list[dict[str, Any]] = []
    failed = 0
    for site in sites:
        try:
            plan = preview_plan(open_site(site, settings, store, "plan"), source, since)
        except EstinelError as error:
            failed += 1
            log.error("no plan for %s: %s", site.location, error)  # noqa: TRY400 - it is no bug
            continue
        rows += [
            {
                "location": site.location,
                "SITE_ID": site.site_id,
                "solarday": day.day.isoformat(),
                "cause": day.cause.value,
                "attempt": day.attempt,
            }
            for day in plan
        ]
    columns = ("location", "solarday", "cause", "attempt")
    session.show(
        rows,
        lambda: Table(
            columns, [[row[name] for name in columns] for row in rows], f"{len(rows)} days"
        ),
    )
    if failed:
        raise typer.Exit(int(exit_code_of_counts(len(sites) - failed, failed)))
