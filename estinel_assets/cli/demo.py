"""`estinel demo`: an embedded world, and what the product lines make of it."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from estinel_assets.cli.output import Table, write_table, write_text
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import BadInputError, EstinelError

app = typer.Typer(
    help="An embedded world: made scenes, granules, job folders and messages, and local services."
)

STOP_TIMEOUT_S = 30.0
PORT = 8765
"""Where the embedded world answers, if the port is free."""

FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where the demo keeps everything.", metavar="FOLDER")
]


@app.callback()
def demo() -> None:
    """An embedded world: made scenes, granules, job folders and messages, and local services."""


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """What stands where in the demo's folder."""

    root: Path

    @property
    def world(self) -> Path:
        """Scenes and the table of sites, or the records and files of a CMR."""
        return self.root / "world"

    @property
    def database(self) -> Path:
        """The STAC API's items."""
        return self.root / "stac.sqlite"

    @property
    def store(self) -> Path:
        """The object store."""
        return self.root / "store"

    @property
    def home(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def pictures(self) -> Path:
        """What the demo draws."""
        return self.root / "pictures"

    @property
    def config(self) -> Path:
        """The settings."""
        return self.root / "estinel.toml"


@app.command("imagery")
def imagery(
    context: typer.Context,
    *,
    folder: FolderOption = Path(".demo"),
    port: Annotated[int, typer.Option(help="Where the world answers; 0 takes a free port.")] = PORT,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Make a world, run imagery over it through Dagster, and show what was made.

    What an earlier demo left in the folder is made anew.
    """
    with needs_extra("demo"):
        from estinel_assets.cli.demo_imagery import let_a_day_pass, make_world, run_imagery

    started = time.monotonic()
    session = Session.of(context)
    at = DemoFolder(folder.resolve())
    world = make_world(at, port)
    with serving(at):
        first = run_imagery(at)
        let_a_day_pass(at, world)
        second = run_imagery(at)
    summary = {
        "seconds": round(time.monotonic() - started, 1),
        "first_update": first,
        "next_day": second,
        "store": str(at.store),
        "catalog": str(at.store / "catalog" / "image-catalog.json"),
        "dagster_home": str(at.home),
    }
    session.show(summary, lambda: _sites_table(first["sites"]))
    if not session.wants_json:
        write_text(
            "\nA day passes: a late scene, a reprocessed one, a repaired file and a new day "
            "arrive.\n\n"
        )
        write_table(_sites_table(second["sites"]))
        write_text("\n")
        write_table(_updates_table({"first update": first, "next day": second}))
        write_text(_where_to_look(at, summary["seconds"]))


@app.command("ard")
def ard(
    context: typer.Context,
    *,
    folder: FolderOption = Path(".demo/ard"),
    port: Annotated[int, typer.Option(help="Where the world answers; 0 takes a free port.")] = PORT,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Make a world of radar, elevations and clouds, and six tiles' arrays of it.

    What an earlier demo left in the folder is made anew.
    """
    with needs_extra("demo"), needs_extra("ard"):
        from estinel_assets.cli.demo_ard import demonstrate

    demonstrate(Session.of(context), DemoFolder(folder.resolve()), port)


@app.command("ui")
def ui(
    *,
    folder: FolderOption = Path(".demo"),
    port: Annotated[int, typer.Option(help="Where the Dagster UI answers.")] = 3000,
) -> None:
    """Open the demo in the Dagster UI, with its world running, until interrupted."""
    with needs_extra("demo"):
        import dagster_webserver  # noqa: F401 - only whether it is there

    at = DemoFolder(folder.resolve())
    if not (at.config.exists() and at.home.is_dir()):
        raise BadInputError(
            f"there is no demo of runs in {folder}; make one first with `estinel demo imagery`, "
            "`estinel demo compatibility` or `estinel demo ard`, and give the same --folder"
        )
    with serving(at):
        command = [sys.executable, "-m", "dagster", "dev", "--port", str(port)]
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(at.home),
            "ESTINEL_CONFIG": str(at.config),
        }
        write_text(f"The UI answers at http://127.0.0.1:{port} in a few seconds; Ctrl-C ends it.\n")
        server = subprocess.Popen(command, cwd=checkout(), env=environment)
        try:
            server.wait()
        finally:
            stop(server)


@contextmanager
def serving(at: DemoFolder) -> Iterator[None]:
    """Serve the demo's world for as long as the context lasts.

    In a process of its own: GDAL keeps Python's global lock while it waits for some answers, and
    a server in the same process could not give them.

    Raises:
        EstinelError: it does not start.
    """
    command = _world_command(at)
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        # It prints its address once it answers, and ends its output where it cannot start.
        if server.stdout is None or not server.stdout.readline():
            raise EstinelError(f"the demo's world does not start; see: {' '.join(command)}")
        yield
    finally:
        stop(server)
        for pipe in (server.stdin, server.stdout):
            if pipe is not None:
                pipe.close()


def _world_command(at: DemoFolder) -> list[str]:
    """What serves the demo's world, at the port that its settings name."""
    from estinel_assets.demo.cmr import SETTINGS
    from estinel_assets.settings import load_settings

    settings = load_settings(at.config)
    if (at.world / SETTINGS).exists():
        port = urlsplit(settings.compatibility.cmr_url).port
        command = ["-m", "estinel_assets.demo.cmr", str(at.world), "--until-input-ends"]
    else:
        port = urlsplit(settings.stac.url).port
        command = ["-m", "estinel_assets.cli", "stac", "serve", "--database", str(at.database)]
        command += ["--scenes", str(at.world / "scenes")]
    return [sys.executable, *command, "--port", str(port)]


def free_port(wanted: int) -> int:
    """The port, or a free one where it is taken, or 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process in order; one that ignores the request, after half a minute, without."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def checkout() -> Path:
    """The checkout that this package runs from, which holds what Dagster needs.

    Raises:
        BadInputError: the package was installed without it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "dagster.yaml").exists():
        raise BadInputError(
            f"{root} holds no dagster.yaml: the demo runs from a checkout of the repository"
        )
    return root


def _sites_table(sites: list[dict[str, Any]]) -> Table:
    columns = ("location", "scenes", "days", "images", "without image", "faults", "seconds")
    rows = [
        (
            site["location"],
            site["scenes"],
            site["days"],
            site["images"],
            ", ".join(f"{n} {reason}" for reason, n in site["honest"].items()),
            ", ".join(f"{n} {reason}" for reason, n in site["faults"].items()),
            site["seconds"],
        )
        for site in sites
    ]
    return Table(columns, rows)


def _updates_table(updates: dict[str, dict[str, Any]]) -> Table:
    columns = ("update", "queries", "days", "images", "seconds")
    return Table(
        columns, [(name, *(done[key] for key in columns[1:])) for name, done in updates.items()]
    )


def _where_to_look(at: DemoFolder, seconds: object) -> str:
    pictures = f"{at.store}/sentinel-2-c1-l2a"
    return (
        f"\nMade in {seconds} s.\n"
        f"Pictures:   {pictures}/YYYY/MM/DD/*.png\n"
        f"Catalogue:  {at.store}/catalog/image-catalog.json\n"
        f"Browse:     estinel --config {shlex.quote(str(at.config))} browse\n"
        f"Why a day has no image: ESTINEL_CONFIG={at.config} estinel outcomes list "
        "--product imagery --status false\n"
        "Runs and assets in the Dagster UI: make ui\n"
    )
