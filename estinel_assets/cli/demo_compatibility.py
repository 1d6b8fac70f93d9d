"""`estinel demo compatibility`: a local CMR, and the checks of all its collections."""

import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from estinel_assets.cli.demo import DemoFolder, app, checkout
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import EstinelError

_SETTINGS = """\
# Settings of the demo. Everything that is not here has its default.
[store]
url = "file://{store}"

[compatibility]
cmr_url = "{cmr}/search"
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
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Check the collections of a local CMR through Dagster, and show what was found.

    What an earlier demo left in the folder is made anew.
    """
    with needs_extra("demo"):
        from estinel_assets.demo.cmr import running_cmr
        from estinel_assets.demo.collections import build_collections

    started = time.monotonic()
    session = Session.of(context)
    at = DemoFolder(folder.resolve())
    for old in (at.world, at.store, at.home):
        shutil.rmtree(old, ignore_errors=True)
    at.home.mkdir(parents=True)
    shutil.copy(checkout() / "dagster.yaml", at.home / "dagster.yaml")
    build_collections(at.world)
    with running_cmr(at.world) as base_url:
        at.config.write_text(_SETTINGS.format(store=at.store, cmr=base_url), encoding="utf-8")
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
    from estinel_assets.orchestration.reprocess_job import run_config
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
        f"Results:    {at.store}/collections/\n"
        f"How many of each: ESTINEL_CONFIG={at.config} estinel compatibility status\n"
        f"One of them: ESTINEL_CONFIG={at.config} estinel outcomes show --product compatibility "
        "--key C1003-DEMO\n"
        f"Runs and assets in the Dagster UI: DAGSTER_HOME={at.home} ESTINEL_CONFIG={at.config} "
        "dagster-webserver\n"
    )
