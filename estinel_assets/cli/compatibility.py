"""`estinel compatibility`: which CMR collections can be tiled, and if not, why."""

import sys
from dataclasses import asdict

import typer

from estinel_assets.cli.compatibility_checks import check, run
from estinel_assets.cli.compatibility_files import export_results, import_results
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.session import JsonOption, Session, dagster_home, needs_extra
from estinel_assets.errors import EstinelError

app = typer.Typer(help="Test CMR collections: can they be tiled, and if not, why.")

UNKNOWN_TOTAL = "`estinel compatibility sync` asks CMR how many there are"


@app.command("sync")
def sync(context: typer.Context, *, json: JsonOption = False) -> None:  # noqa: ARG001
    """Ask CMR which collections there are.

    All collections with granules are listed, and Dagster's partitions are kept in step. When CMR
    fails, or lists none, nothing changes.
    """
    session = Session.of(context)
    home = dagster_home()
    with needs_extra("compatibility"):
        from estinel_assets.build import build_definitions
    from estinel_assets.orchestration.in_process import open_instance, run_job
    from estinel_assets.orchestration.partitions import COLLECTIONS

    defs = build_definitions(config_file=str(session.config) if session.config else None)
    with open_instance(home) as instance:
        before = set(instance.get_dynamic_partitions(str(COLLECTIONS.name)))
        done = run_job(defs, instance, "refresh_collections")
        if not done.success:
            raise EstinelError(f"the collections were not refreshed: {done.error}")
        now = set(instance.get_dynamic_partitions(str(COLLECTIONS.name)))
    document = {"collections": len(now), "new": len(now - before), "gone": len(before - now)}
    session.show(document, lambda: Table(tuple(document), [tuple(document.values())]))


app.command("check")(check)
app.command("run")(run)


@app.command("status")
def status(context: typer.Context, *, json: JsonOption = False) -> None:  # noqa: ARG001
    """How many collections are checked, and how they ended."""
    with needs_extra("compatibility"):
        from estinel_assets.compatibility.collections_table import known_collections
        from estinel_assets.compatibility.opening_checks import open_book
        from estinel_assets.compatibility.standing import standing
        from estinel_assets.outcomes.chart import bars

    session = Session.of(context)
    store = session.open_store()
    known = known_collections(store)
    now = standing(open_book(session.settings, store).index(()), known)
    if not session.wants_json:
        total = f"{now.total} collections: {now.done} done, {now.left} left"
        unlisted = f"; {now.unlisted} of them CMR does not list (any more)" if now.unlisted else ""
        write_text(f"{total}{unlisted if known is not None else f'; {UNKNOWN_TOTAL}'}\n")
        if not now.by_reason:
            return
        write_text("\n")
    session.show(asdict(now), lambda: Table(("reason", "collections"), now.by_reason.items()))
    if not session.wants_json:
        chart = bars(now.by_reason, ascii_only=not _can_show("█"))
        write_text(f"\n{chart}\n")


app.command("export")(export_results)
app.command("import")(import_results)


def encoding_of_stdout() -> str:
    """How text is printed."""
    return sys.stdout.encoding or "utf-8"


def _can_show(character: str) -> bool:
    try:
        character.encode(encoding_of_stdout())
    except UnicodeEncodeError:
        return False
    return True
