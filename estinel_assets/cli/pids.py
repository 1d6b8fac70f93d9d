"""`estinel pids`: persistent identifiers, from Kafka to the Handle service."""

import typer

from estinel_assets.cli import pids_config
from estinel_assets.cli.pids_consume import consume
from estinel_assets.cli.pids_retry import retry
from estinel_assets.cli.pids_status import status

app = typer.Typer(help="Persistent identifiers: from Kafka to Handle records.")


@app.callback()
def pids() -> None:
    """Persistent identifiers: from Kafka to Handle records."""


app.command("consume")(consume)
app.command("retry")(retry)
app.command("status")(status)
app.add_typer(pids_config.app, name="config")
