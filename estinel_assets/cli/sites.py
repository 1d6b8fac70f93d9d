"""`estinel sites`: the places that images are made for."""

from pathlib import Path
from typing import Annotated

import typer

from estinel_assets.cli.output import Table
from estinel_assets.cli.session import JsonOption, Session, needs_extra

app = typer.Typer(help="The sites that images are made for.")


@app.callback()
def sites() -> None:
    """The sites that images are made for."""


@app.command("list")
def list_sites(
    context: typer.Context,
    *,
    table: Annotated[
        str | None,
        typer.Option(
            help="CSV or Parquet, local or in the store; else the one of the settings, "
            "else the one that is shipped.",
            metavar="FILE",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the sites with their windows."""
    with needs_extra("imagery"):
        from estinel_assets.imagery.sites import load_sites
        from estinel_assets.imagery.windows import sites_table

    session = Session.of(context)
    imagery = session.settings.imagery
    location = imagery.sites if table is None else table
    # Opening a local store makes its folder: not for a table that is not in it.
    is_local = location is None or Path(location.removeprefix("file://")).is_file()
    store = None if is_local else session.open_store()
    found = load_sites(
        location, store, max_window_pixels=imagery.max_window_pixels, rule=imagery.window_rule
    )
    rows = sites_table(found, imagery.window_rule)
    columns = ("location", "SITE_ID", "lon", "lat", "crs", "width", "height")
    session.show(
        rows,
        lambda: Table(
            columns=columns,
            rows=[
                [{**row, "lon": site.lon, "lat": site.lat}[name] for name in columns]
                for row, site in zip(rows, found, strict=True)
            ],
            caption=f"{len(rows)} sites",
        ),
        as_json=json,
    )
