"""`estinel browse`: the catalogue of the store in a browser, from this machine."""

import os
import sys
from typing import Annotated

import typer

from estinel_assets.cli.output import printable, write_json, write_text
from estinel_assets.cli.session import JsonOption, Session, needs_extra

PORT = 8730
"""A browser keeps ratings by address: another port is another address."""


def browse(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = PORT,
    open_browser: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open", help="Open the page; else only on a terminal with a desktop."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the store's catalogue in a browser, until Ctrl-C or SIGTERM (exit code 0).

    Reads any store that the settings name, private buckets included, and serves the catalogue's
    page, documents and images, and nothing else of it. The address is printed once it answers.
    Whoever reaches the address sees the images.
    """
    with needs_extra("imagery"):
        from estinel_assets.imagery.browse_server import check_catalogue, open_server

    session = Session.of(context)
    store = session.open_store()
    check_catalogue(store)
    server = open_server(store, host=host, port=port)
    try:
        if json:
            session.printed = True
            write_json({"url": server.url, "store": store.url})
        else:
            write_text(f"{printable(store.url)} is shown at {server.url}; Ctrl-C ends it.\n")
        if _is_desktop() if open_browser is None else open_browser:
            import webbrowser

            webbrowser.open(server.url)
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        return
    finally:
        server.server_close()


def _is_desktop() -> bool:
    """Whether somebody sits here who would see a browser open."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
