"""`estinel demo compatibility`: a local CMR, and the checks of all its collections."""

import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from estinel_assets.cli.demo import DemoFolder, app, checkout, free_port, serving
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import EstinelError

PORT = 8766
"""Where the local CMR answers, if the port is free."""

_SETTINGS = """\
# Settings of the demo. Everything that is not here has its default.
[store]
url = "file://{store}"

[compatibility]
cmr_url = "http://127.0.0.1:{port}/search"
# One of the demo's files is made to need more.
memory_limit_mib = 512

[transport]
attempts = 2
backoff_s = 0.1
"""


@app.command("compatibility")
def compatibility(
    context: typer.Context,
    *,
    folder: Annotated[
        Path, typer.Option("--folder", help="Where the demo keeps everything.", metavar="FOLDER")
    ] = Path(".demo/compatibility"),
    port: Annotated[int, typer.Option(help="Where the CMR answers; 0 takes a free port.")] = PORT,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Check the collections of a local CMR through Dagster, and show what was found.

    What an earlier demo left in the folder is made anew.
    """
    with needs_extra("demo"):
        from estinel_assets.demo.collections import build_collections

    started = time.monotonic()
    session = Session.of(context)
    at = DemoFolder(folder.resolve())
    for old in (at.world, at.store, at.home):
        shutil.rmtree(old, ignore_errors=True)
    at.home.mkdir(parents=True)
    shutil.copy(checkout() / "dagster.yaml", at.home / "dagster.yaml")
    build_collections(at.world)
    settings = _SETTINGS.format(store=at.store, port=free_port(port))
    at.config.write_text(settings, encoding="utf-8")
    with serving(at):
        rows = _check_all(at)
    document = {
        "seconds": round(time.monotonic() - started, 1),
        "collections": rows,
        "unexpected": [row["collection"] for row in rows if row["reason"] != row["expected"]],
        "store": str(at.store),
        "dagster_home": str(at.home),
    }
    session.show(document, lambda: _table(rows))
    if not session.wants_json:
        write_text(_where_to_look(at, document["seconds"]))
    if document["unexpected"]:
        raise EstinelError(f"these ended otherwise than made to: {document['unexpected']}")


def _check_all(at: DemoFolder) -> list[dict[str, Any]]:
    """Refresh the collections and check them all, in runs that Dagster records."""
    from estinel_assets.build import build_definitions
    from estinel_assets.compatibility.collections_table import known_collections
    from estinel_assets.compatibility.opening_checks import open_book
    from estinel_assets.demo.collections import COLLECTIONS, concept_id
    from estinel_assets.orchestration.in_process import open_instance, run_job
    from estinel_assets.orchestration.keys_job import run_config
    from estinel_assets.settings import load_settings
    from estinel_assets.storage.opening import open_store

    defs = build_definitions(config_file=str(at.config))
    settings = load_settings(at.config)
    store = open_store(settings.store.url)
    with open_instance(at.home) as instance:
        refreshed = run_job(defs, instance, "refresh_collections")
        if not refreshed.success:
            raise EstinelError(f"the collections were not refreshed: {refreshed.error}")
        keys = [(one,) for one in known_collections(store) or ()]
        # Some are made to end with a fault, so that the run is red.
        run_job(defs, instance, "check_collections", config=run_config(keys))
        run_job(defs, instance, "build_compatibility_table")
    ledger = open_book(settings, store).ledger
    rows = []
    for number, made in enumerate(COLLECTIONS):
        outcome = ledger.get((concept_id(number),))
        rows.append(
            {
                "collection": concept_id(number),
                "name": made.short_name,
                "expected": made.reason,
                "reason": outcome.reason if outcome else None,
                "error": outcome.error if outcome else None,
                "hint": outcome.detail.get("hint") if outcome else None,
                "seconds": round(outcome.duration_s, 2) if outcome else None,
            }
        )
    return rows


def _table(rows: list[dict[str, Any]]) -> Table:
    columns = ("name", "reason", "error", "hint", "seconds")
    return Table(columns, [[row[name] for name in columns] for row in rows])


def _where_to_look(at: DemoFolder, seconds: object) -> str:
    return (
        f"\nChecked in {seconds} s.\n"
        f"Results: {at.store}/collections/\n"
        "To ask about them:\n"
        f"  export ESTINEL_CONFIG={at.config}\n"
        f"  export DAGSTER_HOME={at.home}\n"
        "  estinel compatibility status\n"
        "  estinel outcomes list --product compatibility --status false\n"
        "  estinel outcomes show --product compatibility --key C1003-DEMO\n"
        "Dagster's UI, with the CMR running, so that checks work there and in another shell:\n"
        f"  estinel demo ui --folder {at.root}\n"
    )
