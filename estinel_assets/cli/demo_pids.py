"""`estinel demo pids`: messages become Handle records, a service fails, failures are repaired."""

import json as jsons
import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from estinel_assets.cli.demo import DemoFolder, app
from estinel_assets.cli.demo_pids_acts import TOPIC, Act, Play
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import EstinelError

USER = "300:21.DEMO/LIBRARIAN"
WORD = "made-for-the-demo"
"""The user's secret key at the demo's own Handle server."""

_SETTINGS = """\
# Settings of the demo. Everything that is not here has its default.
[store]
url = "file://{root}/store"

[pids]
config = "{root}/pids.toml"
"""
_CONFIGURATION = """\
# Configuration of the demo's PID line. Everything that is not here has its default.
[consumer]
topic = "{topic}"
output_dir = "{root}/outputs"
# Some of the messages are bad on purpose.
max_errors = -1
in_flight = 4

[consumer.transient]
retries = 1
backoff_initial = 0.05
backoff_max = 0.05

[kafka]
"bootstrap.servers" = "{kafka}"
"group.id" = "demo"
# The stand-in lets a group's next member wait for about so long.
"session.timeout.ms" = 1500
"heartbeat.interval.ms" = 200

[handle]
server_url = "{handles}"
prefix = "{prefix}"
username = "{user}"
password = "{word}"

[stac]
base_url = "{stac}"
collection = "{topic}"

[schema]
strict_mode = true

[plugins.cmip6]
landing_page_url = "https://landing.example"
esgf = "DEMO"
"""


@app.command("pids")
def pids(
    context: typer.Context,
    *,
    folder: Annotated[
        Path, typer.Option("--folder", help="Where the demo keeps everything.", metavar="FOLDER")
    ] = Path(".demo/pids"),
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Register the handles of made messages; then a service fails, and failures are repaired.

    Kafka, Handle server and STAC API are stand-ins on this machine, for as long as it runs. What an
    earlier demo left in the folder is made anew.
    """
    with needs_extra("demo"):
        import confluent_kafka  # noqa: F401 - only whether they are there
        import uvicorn  # noqa: F401

        from estinel_assets.demo.handle_outage import FailingHandleApp, serving_handles
        from estinel_assets.demo.handle_server import ServerLogin
        from estinel_assets.demo.kafka_broker import running_kafka_broker
        from estinel_assets.pids.configuration import load_configuration
        from estinel_assets.settings import load_settings
        from estinel_assets.stac.api.server import ServerThread
        from estinel_assets.storage.opening import open_store

    started = time.monotonic()
    session = Session.of(context)
    at = DemoFolder(folder.resolve())
    _clear(at)
    handles = FailingHandleApp(login=ServerLogin(USER, WORD))
    with (
        running_kafka_broker({TOPIC: 2}) as kafka,
        serving_handles(handles) as handle_url,
        ServerThread(at.database) as stac,
    ):
        addresses = {"kafka": kafka, "handles": handle_url, "stac": stac.url}
        _write_settings(at, addresses)
        settings = load_settings(at.config)
        play = Play(
            at,
            settings,
            load_configuration(settings.pids),
            open_store(settings.store.url),
            handles,
            quiet=session.wants_json,
        )
        play.first(kafka)
        play.read_back()
        play.outage(kafka)
        play.goes_on()
        play.repaired()
        play.closed()
        records = at.root / "handles.json"
        records.write_text(jsons.dumps(handles.records(), indent=2), encoding="utf-8")
    seconds = round(time.monotonic() - started, 1)
    document = {
        "seconds": seconds,
        "acts": play.acts,
        "handles": str(records),
        "store": str(at.store),
        "config": str(at.config),
    }
    session.show(document, lambda: _table(play.acts))
    if not session.wants_json:
        write_text(_where_to_look(at, addresses, seconds))
    if wrong := [act["act"] for act in play.acts if not act["as_expected"]]:
        raise EstinelError(f"these ended otherwise than they should: {', '.join(wrong)}")


def _clear(at: DemoFolder) -> None:
    """Remove what an earlier demo left, and fill the STAC API."""
    from estinel_assets.demo.pid_messages import collection, items
    from estinel_assets.stac.api.database import Database
    from estinel_assets.stac.api.items import load_items

    for old in (at.store, at.root / "outputs"):
        shutil.rmtree(old, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        at.database.with_name(at.database.name + suffix).unlink(missing_ok=True)
    at.root.mkdir(parents=True, exist_ok=True)
    with Database(at.database) as database:
        load_items(database, [collection()], items())


def _write_settings(at: DemoFolder, addresses: Mapping[str, str]) -> None:
    from estinel_assets.demo.pid_messages import PREFIX

    at.config.write_text(_SETTINGS.format(root=at.root), encoding="utf-8")
    text = _CONFIGURATION.format(
        root=at.root, topic=TOPIC, prefix=PREFIX, user=USER, word=WORD, **addresses
    )
    (at.root / "pids.toml").write_text(text, encoding="utf-8")


def _table(acts: list[Act]) -> Table:
    return Table(
        ("act", "ended", "messages", "by reason", "to go"),
        [
            (
                act["act"],
                act["ended"],
                act.get("messages"),
                ", ".join(f"{n} {reason}" for reason, n in act.get("by_reason", {}).items()),
                act.get("behind"),
            )
            for act in acts
        ],
    )


def _where_to_look(at: DemoFolder, addresses: Mapping[str, str], seconds: float) -> str:
    ports = {name: address.rpartition(":")[2] for name, address in addresses.items()}
    config, database, outputs = (
        shlex.quote(str(one)) for one in (at.config, at.database, at.root / "outputs")
    )
    return (
        f"\nDone in {seconds} s.\n"
        f"The Handle records: {at.root}/handles.json\n"
        "To look at how messages ended:\n"
        f"  export ESTINEL_CONFIG={config}\n"
        "  estinel outcomes list --product pids --status false\n"
        "  estinel outcomes show --product pids --key CMIP6/0/0\n"
        "  estinel pids config show\n"
        "To see which records the messages make, without any service:\n"
        f"  estinel pids retry --dry-run {outputs}/dump\n"
        "To register them yourself, with these two running in other shells:\n"
        f"  python -m estinel_assets.demo.handle_server --port {ports['handles']}\n"
        f"  estinel stac serve --database {database} --port {ports['stac']}\n"
        f"  estinel pids retry {outputs}/dump\n"
    )
