"""`estinel ard`: analysis-ready arrays per tile and year."""

import typer

from estinel_assets.cli.ard_files import export_ttc, report
from estinel_assets.cli.ard_run import run
from estinel_assets.cli.ard_tables import check, cost, quality, resolve

app = typer.Typer(help="Make analysis-ready arrays: DEM, Sentinel-1 and Sentinel-2 per tile, year.")

app.command("resolve")(resolve)
app.command("cost")(cost)
app.command("run")(run)
app.command("check")(check)
app.command("quality")(quality)
app.command("export-ttc")(export_ttc)
app.command("report")(report)
