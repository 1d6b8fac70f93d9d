"""`estinel demo publish`: a job folder is published, fails half-way, is repaired and replaced."""

import shutil
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.demo import DemoFolder, app, free_port
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import EstinelError

if TYPE_CHECKING:
    from estinel_assets.publishing.ports import Targets
    from estinel_assets.publishing.publications import Publications
    from estinel_assets.stac.api.server import ServerThread

PORT = 8767
"""Where the STAC API answers, if the port is free."""
NAME = "job-17"
FOLDERS = ("published", "browse")
"""Where the demo's objects stand."""

_SETTINGS = """\
# Settings of the demo. Everything that is not here has its default.
[store]
url = "file://{store}"

[publishing]
config = "{root}/datasets.json"
stac_url = "http://127.0.0.1:{port}"
# A corrected job takes the place of what it left before.
policy = "replace"

[transport]
attempts = 2
backoff_s = 0.1
"""

Act = dict[str, Any]
Stands = dict[str, dict[str, Any]]


@app.command("publish")
def publish(
    context: typer.Context,
    *,
    folder: Annotated[
        Path, typer.Option("--folder", help="Where the demo keeps everything.", metavar="FOLDER")
    ] = Path(".demo/publish"),
    port: Annotated[
        int, typer.Option(help="Where the STAC API answers; 0 takes a free one.")
    ] = PORT,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Publish a job folder to a local STAC API, break it off, repair it, replace it.

    What an earlier demo left in the folder is made anew.
    """
    with needs_extra("demo"):
        from estinel_assets.publishing.opening import opened_publications
        from estinel_assets.settings import load_settings
        from estinel_assets.stac.api.server import ServerThread
        from estinel_assets.storage.opening import open_store

    started = time.monotonic()
    session = Session.of(context)
    at = DemoFolder(folder.resolve())
    taken = free_port(port)
    _prepare(at, taken)
    settings = load_settings(at.config)
    store = open_store(settings.store.url)
    server = ServerThread(at.database, port=taken, transactions=True)
    breaking = _Breaking(server)
    with (
        server,
        opened_publications(settings, store, "demo", objects_done=breaking.object_copied) as opened,
    ):
        play = _Play(at, opened, server, breaking, quiet=session.wants_json)
        play.first()
        play.again()
        play.broken_off()
        play.repaired()
        play.replaced()
    seconds = round(time.monotonic() - started, 1)
    document = {
        "seconds": seconds,
        "acts": play.acts,
        "stac_url": settings.publishing.stac_url,
        "store": str(at.store),
        "config": str(at.config),
    }
    session.show(document, lambda: _table(play.acts))
    if not session.wants_json:
        write_text(_where_to_look(at, taken, seconds))
    if wrong := [act["act"] for act in play.acts if not act["as_expected"]]:
        raise EstinelError(f"these ended otherwise than they should: {', '.join(wrong)}")


def _prepare(at: DemoFolder, port: int) -> None:
    """Make the job folder, `datasets.json` and the settings, all anew."""
    from estinel_assets.demo.job_folders import make_job_folder, write_datasets_config

    for old in (at.root / "jobs", at.store):
        shutil.rmtree(old, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        at.database.with_name(at.database.name + suffix).unlink(missing_ok=True)
    make_job_folder(at.root / "jobs" / NAME)
    write_datasets_config(at.root / "datasets.json")
    text = _SETTINGS.format(store=at.store, root=at.root, port=port)
    at.config.write_text(text, encoding="utf-8")


class _Breaking:
    """Stops the STAC API as soon as an object is copied, if it is told to."""

    def __init__(self, server: "ServerThread") -> None:
        self.armed = False
        self._server = server

    def object_copied(self, size: int) -> None:  # noqa: ARG002 - the signature of a hook
        """See `opened_publications`."""
        if self.armed:
            self.armed = False
            self._server.stop()


class _Play:
    """The acts of the demo. What they print was read back."""

    def __init__(
        self,
        at: DemoFolder,
        opened: "Publications",
        server: "ServerThread",
        breaking: _Breaking,
        *,
        quiet: bool,
    ) -> None:
        self.acts: list[Act] = []
        self._at = at
        self._opened = opened
        self._server = server
        self._breaking = breaking
        self._quiet = quiet
        self._before: Stands = {}

    @property
    def _targets(self) -> "Targets":
        return self._opened.publisher.targets

    def first(self) -> None:
        """A folder is published, and found by readers."""
        folder = self._at.root / "jobs" / NAME
        files = sum(path.is_file() for path in folder.rglob("*"))
        self._say(f"A job has left {files} files in {folder}: a STAC catalogue, two datasets.")
        self._publish("publish", "published")
        self._before = standing(self._targets)
        items = self._search()
        documents = _found(self._targets)
        self.acts[-1] |= {"search_in_stac_api": items, "search_in_index": documents}
        self._say(f"   STAC API, late July:            {', '.join(items)}")
        self._say(f"   index, landslides since August: {', '.join(documents)}\n")

    def again(self) -> None:
        """The same content changes nothing."""
        self._say("The same folder again:")
        self._publish("publish again", "unchanged")
        self._say()

    def broken_off(self) -> None:
        """Corrected content, and the API goes away while its objects are copied."""
        from estinel_assets.demo.job_folders import make_job_folder

        folder = self._at.root / "jobs" / NAME
        shutil.rmtree(folder)
        make_job_folder(folder, edition=2)
        self._say("The job is run again, corrected. While its objects are copied, the STAC API")
        self._say("goes away.")
        self._breaking.armed = True
        act = self._publish("publish corrected", "undo_incomplete", reach=("objects", "documents"))
        now = standing(self._targets, ("objects", "documents"))
        former = {
            kind: sum(now[kind].get(name) == one for name, one in self._before[kind].items())
            for kind in now
        }
        act["former_stand"] = former
        act["as_expected"] &= all(former[kind] == len(self._before[kind]) for kind in now)
        self._say(
            f"   of these, as before: {former['objects']} objects, {former['documents']} documents"
        )

    def repaired(self) -> None:
        """The API is back; what was left is undone, and all is as it was."""
        from estinel_assets.publishing.ending import Recovery

        self._server.start()
        self._say()
        self._say("The STAC API is back. `recover` undoes what was left:")
        ended = list(self._opened.recover(NAME))
        told = [one.summary() if isinstance(one, Recovery) else str(one) for one in ended]
        now = standing(self._targets)
        for line in told:
            self._say(f"   {line}")
        same = now == self._before
        self._tell("recover", "undone", now, same=same, expected=same and len(ended) == 1)
        self._say()

    def replaced(self) -> None:
        """Published once more, the corrected content takes its place."""
        self._say("The corrected folder once more:")
        self._publish("publish once more", "replaced")
        now = standing(self._targets)
        gone, new = (
            sorted(one["items"].keys() - other["items"].keys())
            for one, other in ((self._before, now), (now, self._before))
        )
        self.acts[-1] |= {"items_gone": gone, "items_new": new}
        self._say(f"   gone: {', '.join(gone)}; new: {', '.join(new)}\n")

    def _publish(
        self,
        act: str,
        expected: str,
        *,
        reach: tuple[str, ...] = ("objects", "documents", "collections", "items"),
    ) -> Act:
        from estinel_assets.publishing.model import Policy
        from estinel_assets.publishing.publications import Request

        folder = self._at.root / "jobs" / NAME
        outcome = self._opened.publish(Request.of(folder, NAME, Policy.REPLACE))
        ended = str(outcome.detail.get("action", outcome.reason))
        now = standing(self._targets, reach)
        same = None
        if self._before:
            same = all(now[name] == self._before[name] for name in now)
        if outcome.error:
            self._say(f"   {outcome.reason}: {_first_sentences(outcome.error)}")
            for kind, count in outcome.detail.get("undone", {}).items():
                self._say(f"   undone: {count} {kind}")
            for left in outcome.detail.get("left", ()):
                self._say(f"   not undone yet: {left['step']}")
        entry = self._tell(act, ended, now, same=same, expected=ended == expected)
        entry |= {
            name: outcome.detail[name] for name in ("undone", "left") if name in outcome.detail
        }
        return entry

    def _tell(self, act: str, ended: str, now: Stands, *, same: bool | None, expected: bool) -> Act:
        counts = {name: len(found) for name, found in now.items()}
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        unasked = "" if "items" in now else "; the STAC API does not answer"
        as_before = " as before" if same else ""
        self._say(f"   {ended}; there are{as_before}: {told}{unasked}")
        self.acts.append(
            {
                "act": act,
                "ended": ended,
                "stands": counts,
                "as_before": same,
                "as_expected": expected,
            }
        )
        return self.acts[-1]

    def _search(self) -> list[str]:
        import requests

        asked = {"datetime": "2024-07-20T00:00:00Z/2024-07-31T23:59:59Z", "limit": "100"}
        answer = requests.get(f"{self._server.url}/search", params=asked, timeout=10)
        answer.raise_for_status()
        return sorted(item["id"] for item in answer.json()["features"])

    def _say(self, line: str = "") -> None:
        if not self._quiet:
            write_text(f"{line}\n")


def standing(
    targets: "Targets",
    reach: tuple[str, ...] = ("objects", "documents", "collections", "items"),
) -> Stands:
    """What readers find now, in full.

    Args:
        targets: where it is read.
        reach: what to read.
    """
    from estinel_assets.demo.job_folders import COLLECTION
    from estinel_assets.publishing.ports import DocumentQuery

    found: Stands = {}
    if "objects" in reach:
        found["objects"] = {
            meta.path: sha256(targets.journal.get(meta.path).data).hexdigest()
            for folder in FOLDERS
            for meta in targets.journal.list(folder)
        }
    if "documents" in reach:
        found["documents"] = {one.id: one.document for one in targets.index.search(DocumentQuery())}
    if "collections" in reach:
        collection = targets.need_stac().collection(COLLECTION)
        found["collections"] = {} if collection is None else {COLLECTION: collection}
    if "items" in reach:
        found["items"] = {one["id"]: one for one in targets.need_stac().all_items(COLLECTION)}
    return found


def _found(targets: "Targets") -> list[str]:
    from datetime import UTC, datetime

    from estinel_assets.publishing.ports import DocumentQuery

    query = DocumentQuery(dataset_type="landslides", starts=datetime(2024, 8, 1, tzinfo=UTC))
    return [one.id for one in targets.index.search(query)]


def _first_sentences(error: str) -> str:
    """An error without the list of steps, which is printed line by line."""
    return error.partition("; undone:")[0].partition("; not undone:")[0]


def _table(acts: list[Act]) -> Table:
    kinds = ("objects", "documents", "collections", "items")
    return Table(
        ("act", "ended", *kinds, "as before"),
        [
            (
                act["act"],
                act["ended"],
                *(act["stands"].get(kind) for kind in kinds),
                act["as_before"],
            )
            for act in acts
        ],
    )


def _where_to_look(at: DemoFolder, port: int, seconds: float) -> str:
    return (
        f"\nDone in {seconds} s.\n"
        "To look at what stands:\n"
        f"  export ESTINEL_CONFIG={at.config}\n"
        f"  estinel publish show {NAME}\n"
        "  estinel publish find --type landslides\n"
        "  estinel outcomes list --product publishing\n"
        "To publish yourself, with the STAC API running in another shell:\n"
        f"  estinel stac serve --database {at.database} --port {port} --transactions\n"
        f"  estinel publish {at.root}/jobs/{NAME} --dry-run\n"
        "  estinel publish audit\n"
    )
