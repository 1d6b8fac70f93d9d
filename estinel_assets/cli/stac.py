"""`estinel stac`: the embedded STAC API."""

from pathlib import Path
from typing import Annotated

import typer

from estinel_assets.cli.output import Table
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.app import API_KEY_HEADER

app = typer.Typer(help="The embedded STAC API.")


@app.callback()
def stac() -> None:
    """The embedded STAC API."""


@app.command("serve")
def serve(
    context: typer.Context,
    *,
    database: Annotated[
        Path, typer.Option(help="SQLite file of the API; made where absent.", metavar="FILE")
    ],
    scenes: Annotated[
        Path | None,
        typer.Option(help="Folder of rasters to serve at /scenes.", metavar="FOLDER"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8080,
    load: Annotated[
        list[Path] | None,
        typer.Option(
            help="Store these items first: STAC JSON or stac-geoparquet; may be repeated.",
            metavar="FILE",
        ),
    ] = None,
    transactions: Annotated[
        bool,
        typer.Option(
            "--transactions", help="Answer requests that write (the Transaction extension)."
        ),
    ] = False,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the API key that requests to write must bring.", metavar="FILE"
        ),
    ] = None,
    api_key_header: Annotated[
        str, typer.Option(help="Header that brings the API key.", metavar="NAME")
    ] = API_KEY_HEADER,
    json: JsonOption = False,
) -> None:
    """Serve until stopped by Ctrl-C or SIGTERM, which is its normal end (exit code 0).

    The address is printed once it answers. With --transactions and without a key, everybody who
    reaches the address may write.
    """
    with needs_extra("serve"):
        from estinel_assets.cli.stac_files import load_files
        from estinel_assets.stac.api.server import serve as serve_api

    session = Session.of(context)
    api_key = None if api_key_file is None else _read_key(api_key_file)
    loaded = load_files(database, load or [])

    def ready(url: str) -> None:
        document = {"url": url, "database": str(database), "loaded": loaded}
        session.show(
            document,
            lambda: Table(columns=tuple(document), rows=[tuple(document.values())]),
            as_json=json,
        )

    try:
        serve_api(
            database,
            host,
            port,
            scenes,
            transactions=transactions,
            api_key=api_key,
            api_key_header=api_key_header,
            ready=ready,
        )
    except KeyboardInterrupt:
        return


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInputError(f"API key file {file} cannot be read ({reason})") from None
